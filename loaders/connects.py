"""Who has how many Connects, and until when; and the one way to move them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import chain
from typing import cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Table,
    Uuid,
    and_,
    any_,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, contains_eager, selectinload

import loaders.ledger
from loaders.batch import Relation
from loaders.work import in_our_words
from models.base import NOW
from models.connects import CURRENCY, SPENT, Allowance, Connects, Lot, Movement, MovementKind, Moving
from models.ledger import Journal, LedgerAccount

of_account = Relation(Connects, Connects.id)
lot = Relation(Lot, Lot.id)
lots = Relation(
    Lot,
    Lot.account_id,
    order=(Lot.expires_at, Lot.id),
    among=and_(Lot.remaining > 0, Lot.expires_at > NOW),
)
movement = Relation(Movement, Movement.id)
history = Relation(Movement, Movement.account_id, order=(Movement.id,), descending=True)

_Spent = aliased(LedgerAccount)
_HERS = (
    select(Lot, _Spent)
    .join(Lot.purse)
    .outerjoin(
        _Spent,
        and_(_Spent.kind == SPENT.name, _Spent.owner_id.is_(None), _Spent.currency == CURRENCY),
    )
    .options(contains_eager(Lot.purse))
    .where(Lot.account_id == bindparam("account_id", type_=Uuid()))
    .where(Lot.expires_at > bindparam("at", type_=DateTime(timezone=True)))
    .order_by(Lot.id)
    .with_for_update(key_share=True, of=Lot)
)


async def lock_lots(
    session: AsyncSession, account_id: UUID, at: datetime
) -> tuple[Sequence[Lot], LedgerAccount | None]:
    """Somebody's lots that have not expired, held, and the account of what is spent, once there is one.

    Empty ones are among them, because something may just be returned to those.
    """
    rows = (await session.execute(_HERS, {"account_id": account_id, "at": at})).all()
    return [row[0] for row in rows], rows[0][1] if rows else None


async def lock_purses(session: AsyncSession, purse_ids: Collection[UUID]) -> None:
    """Hold the lots that have these accounts until the transaction ends."""
    query = (
        select(Lot.id).where(Lot.purse_id == any_(bindparam("ids", list(purse_ids), ARRAY(Uuid())))).order_by(Lot.id)
    )
    await session.execute(query.with_for_update(key_share=True))


async def lock_expired(session: AsyncSession, at: datetime, limit: int) -> Sequence[Lot]:
    """Lots whose time is over and that have something left; those others hold are left out."""
    query = select(Lot).join(Lot.purse).options(contains_eager(Lot.purse))
    query = query.where(Lot.remaining > 0, Lot.expires_at <= at).order_by(Lot.expires_at).limit(limit)
    return (await session.scalars(query.with_for_update(key_share=True, of=Lot, skip_locked=True))).all()


async def lock_due(session: AsyncSession, at: datetime, limit: int) -> Sequence[Allowance]:
    """Freelancers to whom something is due; those others hold are left out."""
    query = select(Allowance).where(Allowance.next_at <= at).order_by(Allowance.next_at).limit(limit)
    return (await session.scalars(query.with_for_update(key_share=True, skip_locked=True))).all()


async def spendings(session: AsyncSession, proposal_ids: Collection[UUID]) -> Sequence[Journal]:
    """The journals with which proposals were paid for, of those that cost anything."""
    query = select(Journal).join(Movement, Movement.journal_id == Journal.id).options(selectinload(Journal.entries))
    paid = query.where(
        Movement.proposal_id == any_(bindparam("ids", list(proposal_ids), ARRAY(Uuid()))),
        Movement.kind == MovementKind.SPENT,
    )
    return (await session.scalars(paid)).all()


_LOTS, _MOVEMENTS = cast("Table", Lot.__table__), cast("Table", Movement.__table__)
_NOTED = insert(_MOVEMENTS).from_select(
    list(_MOVEMENTS.columns.keys()),
    select(*(func.unnest(bindparam(f"movement_{one.key}", type_=ARRAY(one.type))) for one in _MOVEMENTS.columns)),
)
_PARTS = select(
    func.unnest(bindparam("purse_ids", type_=ARRAY(Uuid()))).label("purse_id"),
    func.unnest(bindparam("parts", type_=ARRAY(BigInteger()))).label("part"),
).subquery()
_SUMS = select(_PARTS.c.purse_id, func.sum(_PARTS.c.part).label("part")).group_by(_PARTS.c.purse_id).subquery()
_MOVED = (
    update(_LOTS)
    .where(_LOTS.c.purse_id == _SUMS.c.purse_id)
    .values(remaining=_LOTS.c.remaining + _SUMS.c.part.cast(BigInteger))
)
_MOVE = loaders.ledger.POST.add_cte(_NOTED.cte("noted"), _MOVED.cte("moved"))


async def move(session: AsyncSession, *movings: Moving) -> None:
    """Post what moves Connects, note it, and let the lots say what is left, all in one round trip.

    Their lots are held before. What is posted to no lot's account changes none.
    """
    journals = [moving.journal for moving in movings]
    sales = [moving.sale for moving in movings if moving.sale]
    entries = list(chain.from_iterable(journal.entries for journal in journals))
    bound = loaders.ledger.posting(*journals, *sales) | {
        f"movement_{column.key}": [getattr(moving.movement, column.key) for moving in movings]
        for column in _MOVEMENTS.columns
    }
    bound |= {"purse_ids": [entry.account_id for entry in entries], "parts": [entry.amount for entry in entries]}
    with in_our_words():
        await session.execute(_MOVE, bound)
