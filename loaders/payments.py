"""What is charged."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation
from models.payments import Tariff, TariffKind, Wallet

wallet = Relation(Wallet, Wallet.id)


async def fees_at(session: AsyncSession, at: datetime) -> dict[TariffKind, int]:
    """The fee of each kind that holds at a moment, in basis points."""
    query = select(Tariff).where(Tariff.effective_at <= at)
    newest = query.ext(distinct_on(Tariff.kind)).order_by(Tariff.kind, Tariff.effective_at.desc())
    return {tariff.kind: tariff.bps for tariff in await session.scalars(newest)}
