"""What is charged, and what is due."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation
from models.payments import Payment, Tariff, TariffKind, Wallet

wallet = Relation(Wallet, Wallet.id)


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
