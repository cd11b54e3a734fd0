"""What somebody's money did."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation
from models.ledger import LedgerAccount
from models.money import Currency
from models.payments import Wallet
from models.statements import StatementEntry, WalletPart

of_account = Relation(StatementEntry, StatementEntry.account_id, order=(StatementEntry.number,), descending=True)


async def account_of(session: AsyncSession, owner_id: UUID, part: WalletPart, currency: Currency) -> UUID | None:
    """The account in the ledger that a part of somebody's wallet is; none before there was anything in it."""
    query = select(LedgerAccount.id).where(
        LedgerAccount.kind == part.kind.name,
        LedgerAccount.owner_id == owner_id,
        LedgerAccount.currency == currency.value,
    )
    found: UUID | None = await session.scalar(query)
    return found


def account_in(part: ColumnElement[str]) -> ColumnElement[UUID]:
    """The same of a wallet that is read in a statement; the part is said by the kind of its account."""
    query = select(LedgerAccount.id).where(
        LedgerAccount.kind == part, LedgerAccount.owner_id == Wallet.id, LedgerAccount.currency == Wallet.currency
    )
    return query.correlate(Wallet).scalar_subquery()


async def after(session: AsyncSession, account_id: UUID, number: int, limit: int) -> Sequence[StatementEntry]:
    """The next entries of an account after a number, the oldest first."""
    query = select(StatementEntry).where(StatementEntry.account_id == account_id, StatementEntry.number > number)
    return (await session.scalars(query.order_by(StatementEntry.number).limit(limit))).all()
