"""What everybody has, how it came to be, and whether it is right; and the one way to change it.

Accounts are locked by the functions that post, in the order of their ids. Whoever posts, holds and posts again in
one transaction locks all accounts of it first (`lock`), or may have to wait for somebody who waits for him.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Boolean,
    DateTime,
    SmallInteger,
    Text,
    Uuid,
    any_,
    bindparam,
    column,
    func,
    select,
    text,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager, selectinload
from sqlalchemy.types import TypeEngine

from loaders.pages import Page, Slice
from loaders.work import in_our_words
from models.base import uuid7
from models.errors import NotFound
from models.ledger import (
    AccountKey,
    Balance,
    Entry,
    Hold,
    HoldResolved,
    HoldState,
    Journal,
    LedgerAccount,
    UnfoldedEntry,
)

EXPIRE_MAX = 100
FOLD_MAX = 10_000
"""Entries of one account that are folded at a time."""

MOMENT = DateTime(timezone=True)


def _array(name: str, kind: TypeEngine[Any]) -> BindParameter[Any]:
    return bindparam(name, type_=ARRAY(kind))


_OPEN = select(
    func.ledger_open(
        _array("ids", Uuid()),
        _array("kinds", Text()),
        _array("owner_ids", Uuid()),
        _array("currencies", Text()),
        _array("floors", BigInteger()),
        _array("hots", Boolean()),
        bindparam("at", type_=MOMENT),
    )
)
_KEYS = (
    func.unnest(_array("kinds", Text()), _array("owner_ids", Uuid()), _array("currencies", Text()))
    .table_valued("kind", "owner_id", "currency")
    .render_derived()
)
_FIND = (
    select(LedgerAccount)
    .join(
        _KEYS,
        (LedgerAccount.kind == _KEYS.c.kind)
        & LedgerAccount.owner_id.is_not_distinct_from(_KEYS.c.owner_id)
        & (LedgerAccount.currency == _KEYS.c.currency),
    )
    .execution_options(populate_existing=True)
)
_LOCK = select(func.ledger_lock(_array("ids", Uuid())))
POST = select(
    func.ledger_post(
        _array("ids", Uuid()),
        _array("kinds", Text()),
        _array("moments", MOMENT),
        _array("subjects", Text()),
        _array("subject_ids", Uuid()),
        _array("reversed_ids", Uuid()),
        _array("leg_counts", SmallInteger()),
        _array("hold_ids", Uuid()),
        _array("journal_ids", Uuid()),
        _array("positions", SmallInteger()),
        _array("legs", SmallInteger()),
        _array("account_ids", Uuid()),
        _array("amounts", BigInteger()),
    )
)
_HOLD = select(
    func.ledger_hold(
        bindparam("id", type_=Uuid()),
        bindparam("account_id", type_=Uuid()),
        bindparam("amount", type_=BigInteger()),
        bindparam("placed_at", type_=MOMENT),
        bindparam("expires_at", type_=MOMENT),
    )
)
_FREED = (
    func.ledger_free(_array("ids", Uuid()), bindparam("outcome", type_=Text()), bindparam("at", type_=MOMENT))
    .table_valued(column("id", Uuid()))
    .render_derived()
)
_FREE = select(_FREED.c.id)
_FOLD = select(func.ledger_fold(bindparam("most", type_=BigInteger())))


async def accounts(session: AsyncSession, *keys: AccountKey, at: datetime) -> tuple[LedgerAccount, ...]:
    """The accounts known by these keys, in their order; those that are not there yet are opened, with nothing in them.

    Their balances are those of the moment: to decide about an amount, post it and see.
    """
    found = await find(session, keys)
    if missing := [key for key in dict.fromkeys(keys) if key not in found]:
        with in_our_words():
            await session.execute(_OPEN, _named(missing) | _new(missing) | {"at": at})
        found |= await find(session, missing)
    return tuple(found[key] for key in keys)


async def find(session: AsyncSession, keys: Sequence[AccountKey]) -> dict[AccountKey, LedgerAccount]:
    """Those of the accounts known by these keys that are there."""
    by_name = {(key.kind.name, key.owner_id, key.currency): key for key in keys}
    with in_our_words():
        rows = await session.scalars(_FIND, _named(list(by_name.values())))
    return {by_name[row.kind, row.owner_id, row.currency]: row for row in rows}


def _named(keys: Sequence[AccountKey]) -> dict[str, object]:
    return {
        "kinds": [key.kind.name for key in keys],
        "owner_ids": [key.owner_id for key in keys],
        "currencies": [key.currency for key in keys],
    }


def _new(keys: Sequence[AccountKey]) -> dict[str, object]:
    return {
        "ids": [uuid7() for _ in keys],
        "floors": [key.kind.floor for key in keys],
        "hots": [key.kind.hot for key in keys],
    }


async def lock(session: AsyncSession, *account_ids: UUID) -> None:
    """Keep these balances as they are until the transaction ends; hot accounts are never kept."""
    with in_our_words():
        await session.execute(_LOCK, {"ids": list(account_ids)})


async def post(session: AsyncSession, *journals: Journal) -> None:
    """Post journals, all of them or none, in one round trip.

    Raises `InsufficientFunds` when an account would then be below its floor: all journals are weighed together, in
    whatever order they come. Raises `AlreadyReversed` for a second reversal of a journal. After a refusal the
    transaction can only be rolled back.
    """
    await _run(session, posting(*journals))


async def post_hold(session: AsyncSession, hold_id: UUID, journal: Journal) -> None:
    """Post a journal that debits an account by what is held of it, or by less; what is left is free again.

    Raises `HoldExceeded` when it is more, and `HoldResolved` when the hold is resolved, or the journal is of the
    moment when the hold ends, or of a later one.
    """
    await _run(session, posting(journal) | {"hold_ids": [hold_id]})


def posting(*journals: Journal) -> dict[str, object]:
    """What `POST` is given to post these; for those who do something else in the same statement."""
    entries = list(chain.from_iterable(journal.entries for journal in journals))
    return {
        "ids": [journal.id for journal in journals],
        "kinds": [journal.kind for journal in journals],
        "moments": [journal.at for journal in journals],
        "subjects": [journal.subject for journal in journals],
        "subject_ids": [journal.subject_id for journal in journals],
        "reversed_ids": [journal.reverses for journal in journals],
        "leg_counts": [journal.legs for journal in journals],
        "hold_ids": [],
        "journal_ids": [entry.journal_id for entry in entries],
        "positions": [entry.position for entry in entries],
        "legs": [entry.legs for entry in entries],
        "account_ids": [entry.account_id for entry in entries],
        "amounts": [entry.amount for entry in entries],
    }


async def _run(session: AsyncSession, bound: dict[str, object]) -> None:
    with in_our_words():
        await session.execute(POST, bound)


async def hold(session: AsyncSession, hold: Hold) -> None:
    """Set an amount aside; `InsufficientFunds` when there is not as much to spend."""
    bound = {name: getattr(hold, name) for name in ("id", "account_id", "amount", "placed_at", "expires_at")}
    with in_our_words():
        await session.execute(_HOLD, bound)


async def void_hold(session: AsyncSession, hold_id: UUID, *, at: datetime) -> None:
    """Let what is held be spent again; `HoldResolved` when it is not held any longer."""
    if not await _free(session, [hold_id], HoldState.VOIDED, at):
        raise HoldResolved


async def expire_holds(session: AsyncSession, *, at: datetime) -> Sequence[UUID]:
    """Let go of some holds whose time is over, the oldest first, and say which; none, when there are none left."""
    due = select(Hold.id).where(Hold.state == HoldState.HELD, Hold.expires_at <= at)
    ids = (await session.scalars(due.order_by(Hold.expires_at).limit(EXPIRE_MAX))).all()
    return await _free(session, ids, HoldState.EXPIRED, at) if ids else []


async def _free(session: AsyncSession, ids: Sequence[UUID], outcome: HoldState, at: datetime) -> Sequence[UUID]:
    with in_our_words():
        return (await session.scalars(_FREE, {"ids": ids, "outcome": outcome.value, "at": at})).all()


async def fold(session: AsyncSession) -> int:
    """Add some of the entries of hot accounts to their balances, and say how many.

    Nobody sees a difference, whenever it is done and by however many at once; but balances of hot accounts are read
    the faster, the fewer entries are left to add.
    """
    with in_our_words():
        return await session.scalar(_FOLD, {"most": FOLD_MAX}) or 0


_UNFOLDED = (
    select(func.coalesce(func.sum(UnfoldedEntry.amount), 0))
    .where(UnfoldedEntry.account_id == LedgerAccount.id)
    .scalar_subquery()
)
_BALANCES = select(LedgerAccount.id, (LedgerAccount.balance + _UNFOLDED).cast(BigInteger), LedgerAccount.held).where(
    LedgerAccount.id == any_(_array("ids", Uuid()))
)
_ALL = union_all(
    select(LedgerAccount.currency, LedgerAccount.balance.label("amount")),
    select(LedgerAccount.currency, UnfoldedEntry.amount).join(
        UnfoldedEntry, UnfoldedEntry.account_id == LedgerAccount.id
    ),
).subquery()
_TOTALS = select(_ALL.c.currency, func.sum(_ALL.c.amount).cast(BigInteger).label("total")).group_by(_ALL.c.currency)


async def balances(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, Balance]:
    """What each of these accounts has, all at the same moment."""
    with in_our_words():
        rows = await session.execute(_BALANCES, {"ids": list(ids)})
    return {account_id: Balance(balance, held) for account_id, balance, held in rows}


async def totals(session: AsyncSession) -> Mapping[str, int]:
    """All balances of each currency together: zero, at any moment."""
    with in_our_words():
        rows = await session.execute(_TOTALS)
    return {row.currency: row.total for row in rows}


async def journal(session: AsyncSession, journal_id: UUID) -> Journal:
    """A journal with its entries, as it was posted."""
    found = await session.get(Journal, journal_id, options=[selectinload(Journal.entries)])
    if found is None:
        raise NotFound
    return found


async def statement(session: AsyncSession, account_id: UUID, part: Slice) -> Page[Entry]:
    """An account's entries with their journals, the newest first; a place in them is an entry's `number`."""
    query = select(Entry).join(Entry.journal).options(contains_eager(Entry.journal))
    query = query.where(Entry.account_id == account_id)
    if part.place is not None:
        (number,) = part.place
        query = query.where(Entry.number > number if part.backward else Entry.number < number)
    query = query.order_by(Entry.number.asc() if part.backward else Entry.number.desc()).limit(part.limit + 1)
    with in_our_words():
        return Page.cut(list(await session.scalars(query)), part)


@dataclass(frozen=True, slots=True)
class Wrong:
    """The first thing in the ledger that is not as the entries say; `expected` and `found` are what they should be."""

    problem: str
    account_id: UUID | None
    account_kind: str | None
    owner_id: UUID | None
    journal_id: UUID | None
    position: int | None
    expected: int | None
    found: int | None

    def __str__(self) -> str:
        entry = f"entry {self.position} of journal {self.journal_id}" if self.position else None
        journal = f"journal {self.journal_id}" if self.journal_id and not entry else None
        account = f"account {self.account_id} ({self.account_kind or 'unknown'} of {self.owner_id or 'the house'})"
        places = [place for place in (entry, journal, account if self.account_id else None) if place]
        where = f"{', '.join(places)}: " if places else ""
        return f"{where}{self.problem}; it is {self.found}, not {self.expected}."


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit looked at, and the first thing wrong, if anything is."""

    accounts: int
    journals: int
    entries: int
    holds: int
    wrong: Wrong | None


async def audit(session: AsyncSession) -> Report:
    """Recompute the whole ledger from its entries as it is at one moment, whoever posts meanwhile."""
    with in_our_words():
        row = (await session.execute(_AUDIT)).one()
    wrong = None if row.problem is None else Wrong(*row[4:])
    return Report(row.accounts, row.journals, row.entries, row.holds, wrong)


# One statement, so that all of it is of one moment. What is wrong with an entry comes in the order of the entries'
# numbers: the first whose running balance does not follow is the one that was changed, or comes after one that is
# gone. A journal that is wrong as a whole stands where its last entry does, so that an entry known to be wrong comes
# before it. If all running balances follow, the wrong entry of an unbalanced journal is one without: a hot account's.
_AUDIT = text("""
WITH
weighed AS (
    SELECT e.journal_id, count(*) AS legs, sum(e.amount) AS total, max(e.number) AS number,
        min(a.currency COLLATE "C") <> max(a.currency COLLATE "C") AS mixed
    FROM entries e LEFT JOIN ledger_accounts a ON a.id = e.account_id GROUP BY e.journal_id
),
suspected AS (
    SELECT coalesce(j.id, w.journal_id) AS id, j.legs AS posted, w.*
    FROM journals j FULL JOIN weighed w ON w.journal_id = j.id
    WHERE j.legs IS DISTINCT FROM w.legs OR w.total <> 0 OR w.mixed
),
unfolded AS (SELECT account_id, sum(amount) AS amount FROM unfolded_entries GROUP BY account_id),
folds AS (
    SELECT a.id, a.balance + coalesce(u.amount, 0) AS kept, coalesce(f.amount, 0) AS folded
    FROM ledger_accounts a
    LEFT JOIN unfolded u ON u.account_id = a.id
    LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM entries GROUP BY account_id) f ON f.account_id = a.id
),
wrong (rank, number, problem, account_id, journal_id, position, expected, found) AS (
    SELECT CASE WHEN c.hot IS NULL THEN 1 ELSE 2 END, c.number,
        CASE
            WHEN c.hot IS NULL THEN 'the entry is of an account that is not there'
            ELSE 'its running balance does not follow'
        END,
        c.account_id, c.journal_id, c.position,
        CASE WHEN c.hot IS NULL THEN 1 WHEN NOT c.hot THEN c.expected END,
        CASE WHEN c.hot IS NULL THEN 0 ELSE c.balance_after END
    FROM (
        SELECT e.account_id, e.journal_id, e.position, e.number, e.balance_after, a.hot,
            sum(e.amount) OVER (PARTITION BY e.account_id ORDER BY e.number ROWS UNBOUNDED PRECEDING) AS expected
        FROM entries e LEFT JOIN ledger_accounts a ON a.id = e.account_id
    ) c
    WHERE c.hot IS NULL OR c.balance_after IS DISTINCT FROM CASE WHEN NOT c.hot THEN c.expected END
    UNION ALL
    SELECT 3, s.number, 'an entry of the journal is missing',
        (SELECT f.id FROM folds f WHERE f.kept - f.folded = -s.total ORDER BY f.id LIMIT 1), s.id,
        (SELECT min(p) FROM generate_series(1, s.posted) p
            WHERE NOT EXISTS (SELECT FROM entries e WHERE e.journal_id = s.id AND e.position = p)),
        s.posted, coalesce(s.legs, 0)
    FROM suspected s WHERE coalesce(s.legs, 0) < s.posted
    UNION ALL
    SELECT 4, s.number,
        CASE
            WHEN s.posted IS NULL THEN 'the entry is of a journal that is not there'
            WHEN s.legs > s.posted THEN 'the journal has more entries than it was posted with'
            WHEN s.mixed THEN 'the journal mixes currencies'
            ELSE 'the journal does not sum to zero'
        END,
        e.account_id, s.id, e.position, 0,
        CASE WHEN s.posted IS NULL OR s.legs > s.posted THEN s.legs - coalesce(s.posted, 0) ELSE s.total END
    FROM suspected s
    JOIN LATERAL (
        SELECT e.* FROM entries e WHERE e.journal_id = s.id
        ORDER BY coalesce(s.legs > s.posted, false) AND e.number = s.number DESC,
            EXISTS (SELECT FROM ledger_accounts a WHERE a.id = e.account_id AND a.hot) DESC, e.position
        LIMIT 1
    ) e ON true
    WHERE s.posted IS NULL OR s.legs >= s.posted
    UNION ALL
    SELECT 5, NULL, 'the journal is not the opposite of the one it reverses', o.account_id, j.id, NULL, 0, o.amount
    FROM journals j
    JOIN LATERAL (
        -- Found before they are grouped: an index that has them by accounts is not to be read for it, all of it.
        SELECT e.account_id, sum(e.amount) AS amount
        FROM (SELECT account_id, amount FROM entries WHERE journal_id IN (j.id, j.reverses) OFFSET 0) e
        GROUP BY e.account_id HAVING sum(e.amount) <> 0 ORDER BY e.account_id LIMIT 1
    ) o ON true
    WHERE j.reverses IS NOT NULL
    UNION ALL
    SELECT 6, e.number, 'what is to be folded is not what was posted', u.account_id, u.journal_id, u.position,
        e.amount, u.amount
    FROM unfolded_entries u
    LEFT JOIN entries e USING (account_id, journal_id, position)
    LEFT JOIN ledger_accounts a ON a.id = e.account_id
    WHERE a.hot IS NOT true OR e.amount <> u.amount
    UNION ALL
    SELECT 7, NULL, 'the balance is not the sum of the entries', f.id, NULL, NULL, f.folded, f.kept
    FROM folds f WHERE f.kept <> f.folded
    UNION ALL
    SELECT 8, NULL, 'what is not held of the balance is below the floor', a.id, NULL, NULL, a.floor, a.balance - a.held
    FROM ledger_accounts a WHERE a.balance - a.held < a.floor
    UNION ALL
    SELECT 9, NULL, 'what is held is not the sum of the holds', a.id, NULL, NULL, coalesce(h.amount, 0), a.held
    FROM ledger_accounts a FULL JOIN (
        SELECT account_id, sum(amount) AS amount FROM holds WHERE state = 'HELD' GROUP BY account_id
    ) h ON h.account_id = a.id
    WHERE coalesce(a.held, 0) <> coalesce(h.amount, 0)
    UNION ALL
    SELECT 10, NULL, 'a hold is posted by a journal that does not debit its account within the hold',
        h.account_id, h.journal_id, NULL, h.amount, p.debit
    FROM holds h
    LEFT JOIN LATERAL (
        SELECT -sum(e.amount) AS debit FROM entries e WHERE e.journal_id = h.journal_id AND e.account_id = h.account_id
    ) p ON true
    WHERE h.state = 'POSTED' AND coalesce(p.debit, 0) NOT BETWEEN 1 AND h.amount
)
SELECT
    (SELECT count(*) FROM ledger_accounts) AS accounts, (SELECT count(*) FROM journals) AS journals,
    (SELECT count(*) FROM entries) AS entries, (SELECT count(*) FROM holds) AS holds,
    first.problem, first.account_id, a.kind, a.owner_id, first.journal_id, first.position,
    first.expected::bigint, first.found::bigint
FROM (SELECT) AS always
LEFT JOIN (SELECT * FROM wrong ORDER BY number, rank, account_id, journal_id LIMIT 1) AS first ON true
LEFT JOIN ledger_accounts a ON a.id = first.account_id
""")
