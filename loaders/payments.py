"""What is charged, what was paid, what is owed, and what is due."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation, offered
from models.base import VIEWER, Audience
from models.payments import REQUEST_STEPS, Payment, PaymentRequest, Tariff, TariffKind, Wallet
from models.states import Party

wallet = Relation(Wallet, Wallet.id)
payment = Relation(Payment, Payment.id)
payments = Relation(
    Payment,
    order=(Payment.id,),
    descending=True,
    parties=(Payment.client_id, Payment.freelancer_id),
)
of_contract = Relation(Payment, Payment.contract_id, order=(Payment.id,), descending=True)
of_milestone = Relation(Payment, Payment.milestone_id, order=(Payment.id,), descending=True)
request = Relation(PaymentRequest, PaymentRequest.id)
requests = Relation(
    PaymentRequest,
    order=(PaymentRequest.id,),
    descending=True,
    parties=(PaymentRequest.client_id, PaymentRequest.freelancer_id),
)
requests_of_contract = Relation(PaymentRequest, PaymentRequest.contract_id, order=(PaymentRequest.id,), descending=True)
request_of_milestone = Relation(PaymentRequest, PaymentRequest.milestone_id)


def request_actions(_: Audience) -> ColumnElement[Any]:
    """What the viewer may do with a payment request, as `PaymentRequest.actions_for` tells it."""
    parties = {
        Party.CLIENT: PaymentRequest.client_id == VIEWER,
        Party.FREELANCER: PaymentRequest.freelancer_id == VIEWER,
    }
    return offered(REQUEST_STEPS, PaymentRequest.state, parties)


async def fees_at(session: AsyncSession, at: datetime) -> dict[TariffKind, int]:
    """The fee of each kind that holds at a moment, in basis points."""
    query = select(Tariff).where(Tariff.effective_at <= at)
    newest = query.ext(distinct_on(Tariff.kind)).order_by(Tariff.kind, Tariff.effective_at.desc())
    return {tariff.kind: tariff.bps for tariff in await session.scalars(newest)}


async def lock_due(session: AsyncSession, at: datetime, limit: int) -> Sequence[Payment]:
    """Some payments that need not be pending any longer, the oldest first; not those that others are settling."""
    due = select(Payment).where(Payment.settled_at.is_(None), Payment.available_at <= at)
    some = due.order_by(Payment.available_at).limit(limit).with_for_update(key_share=True, skip_locked=True)
    return (await session.scalars(some)).all()
