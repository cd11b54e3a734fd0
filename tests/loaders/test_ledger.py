"""The ledger in its database: exact whoever posts at once, and nobody changes what is written."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

import loaders.ledger
from loaders.pages import Slice
from models.base import uuid7
from models.errors import Busy, NotFound
from models.ledger import (
    AccountKind,
    AlreadyReversed,
    Hold,
    HoldExceeded,
    HoldResolved,
    HoldState,
    InsufficientFunds,
    Journal,
    LedgerAccount,
)
from ops.database import Database

FUNDS = AccountKind("funds")
LOAN = AccountKind("loan", floor=-100)
RAIL = AccountKind("rail", floor=None, hot=True)
ABOUT: Any = SimpleNamespace(noun="thing", id=uuid7())
AT_ONCE = 50


class Books:
    """A house's ledger, in the fewest words."""

    def __init__(self, house):
        self.house, self.now = house, house.clock

    async def open(self, *kinds, currency="USD"):
        keys = [kind.of(None if kind.hot else uuid7(), currency) for kind in kinds]
        async with self.house.context().writing() as work:
            return await loaders.ledger.accounts(work, *keys, at=self.now())

    def journal(self, *entries):
        return Journal.of("move", ABOUT, entries, at=self.now())

    async def post(self, *journals):
        async with self.house.context().writing() as work:
            await loaders.ledger.post(work, *journals)

    async def move(self, amount, source, target):
        journal = self.journal((source, -amount), (target, amount))
        await self.post(journal)
        return journal

    async def hold(self, account, amount, **more):
        hold = Hold.of(account, amount, at=self.now(), **more)
        async with self.house.context().writing() as work:
            await loaders.ledger.hold(work, hold)
        return hold

    async def post_hold(self, hold, *entries):
        async with self.house.context().writing() as work:
            await loaders.ledger.post_hold(work, hold.id, self.journal(*entries))

    async def void(self, hold):
        async with self.house.context().writing() as work:
            await loaders.ledger.void_hold(work, hold.id, at=self.now())

    async def expire(self):
        async with self.house.context().writing() as work:
            return await loaders.ledger.expire_holds(work, at=self.now())

    async def fold(self):
        async with self.house.context().writing() as work:
            return await loaders.ledger.fold(work)

    async def ask(self, question, *values):
        async with self.house.database.reading() as session:
            return await question(session, *values)

    async def has(self, *accounts):
        """Balances and what is held of them."""
        found = await self.ask(loaders.ledger.balances, [account.id for account in accounts])
        return [(found[account.id].balance, found[account.id].held) for account in accounts]

    async def statement(self, account, **part):
        return await self.ask(loaders.ledger.statement, account.id, Slice(**{"limit": 100} | part))

    async def audit(self):
        return await self.ask(loaders.ledger.audit)

    async def wrong(self):
        return (await self.audit()).wrong


@pytest.fixture
def books(house):
    return Books(house)


@pytest.fixture
async def rich(books):
    """An account with 1 000 on it, one with nothing, and the world outside, where the money came from."""
    ann, bob, rail = await books.open(FUNDS, FUNDS, RAIL)
    await books.move(1_000, rail, ann)
    return ann, bob, rail


@pytest.fixture
def as_app(house):
    """Run SQL as the application does."""

    async def run(statement, **bound):
        async with house.database.engine.begin() as connection:
            await connection.execute(sa.text(statement), bound)

    return run


@pytest.fixture
def damage(owner):
    """Run SQL as the owner of the tables, all triggers off."""

    async def run(statement, **bound):
        async with owner.begin() as connection:
            assert (await connection.execute(sa.text(statement), bound)).rowcount > 0

    return run


@pytest.fixture
async def bound_owner(settings):
    """The owner of the tables, whom the triggers hold."""
    engine = create_async_engine(settings.database_url)
    yield engine
    await engine.dispose()


def outcomes(answers):
    return Counter(type(answer) for answer in answers)


async def all_of(*tasks):
    return outcomes(await asyncio.gather(*tasks, return_exceptions=True))


# Accounts


async def test_an_account_is_opened_when_it_is_first_asked_for(books):
    key = FUNDS.of(uuid7(), "USD")
    async with books.house.context().writing() as work:
        (first,) = await loaders.ledger.accounts(work, key, at=books.now())
    async with books.house.context().writing() as work:
        (again,) = await loaders.ledger.accounts(work, key, at=books.now())

    assert first.id == again.id
    assert (first.kind, first.owner_id, first.currency, first.floor) == ("funds", key.owner_id, "USD", 0)
    assert await books.has(first) == [(0, 0)]


async def test_accounts_come_in_the_order_they_were_asked_for(books):
    keys = [FUNDS.of(uuid7(), "USD"), RAIL.of(None, "USD"), FUNDS.of(uuid7(), "USD")]
    async with books.house.context().writing() as work:
        found = await loaders.ledger.accounts(work, *keys, keys[0], at=books.now())

    assert [(row.kind, row.owner_id) for row in found] == [(k.kind.name, k.owner_id) for k in (*keys, keys[0])]


async def test_all_who_open_the_same_accounts_at_once_get_the_same(books):
    keys = [FUNDS.of(uuid7(), currency) for currency in ("USD", "CNX")] + [RAIL.of(None, "CNX")]

    async def open_them():
        async with books.house.context().writing() as work:
            shuffled = random.sample(keys, len(keys))
            found = await loaders.ledger.accounts(work, *shuffled, at=books.now())
            return frozenset(row.id for row in found)

    assert len(set(await asyncio.gather(*(open_them() for _ in range(AT_ONCE))))) == 1


# Posting


async def test_posting_moves_what_the_journal_says(books, rich):
    ann, bob, rail = rich
    await books.post(books.journal((ann, -300), (bob, 250), (rail, 50)))

    assert await books.has(ann, bob, rail) == [(700, 0), (250, 0), (-950, 0)]


async def test_journals_posted_together_are_posted_all_or_none(books, rich, refuses):
    ann, bob, _ = rich
    async with refuses(InsufficientFunds):
        await books.post(books.journal((ann, -600), (bob, 600)), books.journal((ann, -600), (bob, 600)))


async def test_a_floor_is_kept_for_the_journal_as_a_whole(books, rich):
    ann, bob, _ = rich
    await books.post(books.journal((bob, -50), (ann, -50), (bob, 100)))

    assert await books.has(ann, bob) == [(950, 0), (50, 0)]


async def test_a_journal_below_the_floor_is_refused(books, rich, refuses):
    ann, bob, _ = rich
    async with refuses(InsufficientFunds):
        await books.move(1_001, ann, bob)


async def test_a_floor_may_lie_below_zero(books, rich, refuses):
    ann, _, _ = rich
    (debtor,) = await books.open(LOAN)
    await books.move(100, debtor, ann)

    async with refuses(InsufficientFunds):
        await books.move(1, debtor, ann)


async def test_what_is_more_than_can_be_counted_is_not_posted(books, rich):
    _, bob, rail = rich
    await books.move(2**63 - 1, rail, bob)

    with pytest.raises(DBAPIError, match="out of range"):
        await books.move(1, rail, bob)

    assert await books.has(bob) == [(2**63 - 1, 0)]


async def test_a_journal_is_reversed_once(books, rich, refuses):
    ann, bob, _ = rich
    paid = await books.move(300, ann, bob)
    posted = await books.ask(loaders.ledger.journal, paid.id)
    await books.post(posted.reversal("undo", at=books.now()))
    assert await books.has(ann, bob) == [(1_000, 0), (0, 0)]

    async with refuses(AlreadyReversed):
        await books.post(posted.reversal("undo", at=books.now()))


async def test_of_many_reversals_at_once_one_is_posted(books, rich):
    ann, bob, _ = rich
    paid = await books.move(10, ann, bob)
    await books.move(500, ann, bob)

    found = await all_of(*(books.post(paid.reversal("undo", at=books.now())) for _ in range(AT_ONCE)))

    assert found == {type(None): 1, AlreadyReversed: AT_ONCE - 1}
    assert await books.has(bob) == [(500, 0)]


async def test_a_reversal_of_something_else_is_refused(books, rich):
    ann, bob, _ = rich
    paid = await books.move(300, ann, bob)
    other = books.journal((bob, -200), (ann, 200))
    other.reverses = paid.id

    with pytest.raises(DBAPIError, match="opposite"):
        await books.post(other)

    assert await books.has(ann, bob) == [(700, 0), (300, 0)]


async def test_a_journal_that_is_not_there_is_not_found(books):
    with pytest.raises(NotFound):
        await books.ask(loaders.ledger.journal, uuid7())


# Statements


async def test_a_statement_tells_each_entry_and_the_balance_after_it(books, rich):
    ann, bob, _ = rich
    await books.move(300, ann, bob)
    await books.post(books.journal((ann, -100), (bob, 100)), books.journal((bob, -50), (ann, 50)))

    page = await books.statement(ann)

    assert [(entry.amount, entry.balance_after) for entry in page.rows] == [
        (50, 650),
        (-100, 600),
        (-300, 700),
        (1_000, 1_000),
    ]
    assert {entry.journal.kind for entry in page.rows} == {"move"}


async def test_a_statement_is_read_in_pages_both_ways(books, rich):
    ann, bob, _ = rich
    for amount in range(1, 6):
        await books.move(amount, ann, bob)

    first = await books.statement(ann, limit=2)
    second = await books.statement(ann, limit=2, place=(first.rows[-1].number,))
    back = await books.statement(ann, limit=2, place=(second.rows[0].number,), backward=True)

    assert [entry.amount for entry in (*first.rows, *second.rows)] == [-5, -4, -3, -2]
    assert (first.has_next, first.has_previous, second.has_next, second.has_previous) == (True, False, True, True)
    assert [entry.amount for entry in back.rows] == [-5, -4]
    assert not back.has_previous


async def test_a_hot_account_tells_no_running_balance(books, rich):
    _, _, rail = rich
    (entry,) = (await books.statement(rail)).rows

    assert (entry.amount, entry.balance_after) == (-1_000, None)


# Holds


async def test_what_is_held_cannot_be_spent(books, rich, refuses):
    ann, bob, _ = rich
    await books.hold(ann, 900)
    assert await books.has(ann) == [(1_000, 900)]

    async with refuses(InsufficientFunds):
        await books.move(101, ann, bob)
    async with refuses(InsufficientFunds):
        await books.hold(ann, 101)
    await books.move(100, ann, bob)


async def test_a_hold_is_posted_in_part_and_the_rest_is_free(books, rich, stored):
    ann, bob, _ = rich
    hold = await books.hold(ann, 900)
    await books.post_hold(hold, (ann, -600), (bob, 600))

    assert await books.has(ann, bob) == [(400, 0), (600, 0)]
    row = await stored(hold)
    assert row.state is HoldState.POSTED
    assert row.journal_id == (await books.statement(bob)).rows[0].journal_id


@pytest.mark.parametrize("amount", [-901, 900])
async def test_a_hold_is_not_posted_with_more_nor_the_other_way(amount, books, rich, refuses):
    ann, bob, rail = rich
    await books.move(900, rail, bob)
    hold = await books.hold(ann, 900)
    async with refuses(HoldExceeded):
        await books.post_hold(hold, (ann, amount), (bob, -amount))


async def test_a_hold_is_not_posted_by_a_journal_of_other_accounts(books, rich, refuses):
    ann, bob, rail = rich
    hold = await books.hold(ann, 900)
    async with refuses(HoldExceeded):
        await books.post_hold(hold, (rail, -5), (bob, 5))


async def test_a_voided_hold_can_be_spent(books, rich):
    ann, bob, _ = rich
    await books.void(await books.hold(ann, 900))
    await books.move(1_000, ann, bob)

    assert await books.has(ann, bob) == [(0, 0), (1_000, 0)]


async def test_a_hold_ends_when_its_time_is_over(books, rich, clock, stored, refuses):
    ann, bob, _ = rich
    soon = await books.hold(ann, 300, expires_at=books.now() + timedelta(hours=1))
    later = await books.hold(ann, 200, expires_at=books.now() + timedelta(hours=3))
    await books.hold(ann, 100)
    assert await books.expire() == []

    clock.advance(hours=2)

    async with refuses(HoldResolved):
        await books.post_hold(soon, (ann, -1), (bob, 1))
    assert await books.expire() == [soon.id]
    assert await books.has(ann) == [(1_000, 300)]
    assert [(await stored(hold)).state for hold in (soon, later)] == [HoldState.EXPIRED, HoldState.HELD]


@pytest.mark.parametrize("end", ["post", "void"])
async def test_a_resolved_hold_is_not_resolved_again(end, books, rich, refuses):
    ann, bob, _ = rich
    hold = await books.hold(ann, 300)
    await (books.void(hold) if end == "void" else books.post_hold(hold, (ann, -300), (bob, 300)))

    async with refuses(HoldResolved):
        await books.void(hold)
    async with refuses(HoldResolved):
        await books.post_hold(hold, (ann, -300), (bob, 300))


async def test_of_many_who_resolve_a_hold_at_once_one_does(books, rich, clock, stored):
    ann, bob, _ = rich
    hold = await books.hold(ann, 300, expires_at=books.now() + timedelta(hours=1))
    other = await books.hold(ann, 300)
    clock.advance(minutes=59, seconds=50)

    async def expire():
        async with books.house.context().writing() as work:
            if not await loaders.ledger.expire_holds(work, at=hold.expires_at):
                raise HoldResolved

    ways = [lambda: books.post_hold(hold, (ann, -300), (bob, 300)), lambda: books.void(hold), expire]
    tasks = [random.choice(ways)() for _ in range(AT_ONCE)]

    assert await all_of(*tasks) == {type(None): 1, HoldResolved: AT_ONCE - 1}
    spent = 300 if (await stored(hold)).state is HoldState.POSTED else 0
    assert await books.has(ann, bob) == [(1_000 - spent, other.amount), (spent, 0)]
    assert await books.wrong() is None


# Many at once


async def test_of_many_spends_at_once_exactly_as_many_succeed_as_there_is_money_for(books, rich):
    ann, bob, _ = rich

    found = await all_of(*(books.move(70, ann, bob) for _ in range(AT_ONCE)))

    assert found == {Journal: 1_000 // 70, InsufficientFunds: AT_ONCE - 1_000 // 70}
    assert await books.has(ann, bob) == [(1_000 % 70, 0), (1_000 - 1_000 % 70, 0)]
    assert await books.wrong() is None


async def test_of_many_holds_at_once_exactly_as_many_succeed_as_there_is_money_for(books, rich):
    ann, _, _ = rich

    found = await all_of(*(books.hold(ann, 70) for _ in range(AT_ONCE)))

    assert found == {Hold: 14, InsufficientFunds: AT_ONCE - 14}
    assert await books.has(ann) == [(1_000, 980)]


async def test_a_storm_of_journals_over_many_accounts_has_no_deadlock(books):
    accounts = await books.open(*[FUNDS] * 5, AccountKind("open", floor=None), RAIL)
    dice = random.Random(7)

    def any_journal():
        legs = [(account, dice.randint(1, 9)) for account in dice.sample(accounts[:5], 3)]
        sources = dice.sample(accounts[5:], 1)
        return books.journal(*legs, (sources[0], -sum(amount for _, amount in legs)))

    found = await all_of(*(books.post(*(any_journal() for _ in range(3))) for _ in range(200)))

    assert found == {type(None): 200}
    assert await books.wrong() is None


async def test_whoever_posts_twice_in_a_transaction_locks_first(books, rich):
    ann, bob, _ = rich
    await books.move(500, ann, bob)

    async def twice(first, second):
        async with books.house.context().writing() as work:
            await loaders.ledger.lock(work, first.id, second.id)
            await loaders.ledger.hold(work, Hold.of(first, 1, at=books.now()))
            await loaders.ledger.hold(work, Hold.of(second, 1, at=books.now()))

    found = await all_of(*(twice(*pair) for pair in [(ann, bob), (bob, ann)] * 20))

    assert found == {type(None): 40}


async def test_readers_see_the_same_total_at_every_moment(books):
    """The bank test: transfers, folds and holds go on while readers sum everything."""
    accounts = await books.open(*[FUNDS] * 5, RAIL)
    *people, rail = accounts
    for account in people:
        await books.move(100, rail, account)
    going = True

    async def trade(dice):
        for _ in range(25):
            source, target = dice.sample(accounts, 2)
            with suppress(InsufficientFunds):
                await books.move(dice.randint(1, 60), source, target)

    async def fold():
        while going:
            await books.fold()

    async def watch():
        seen: Counter[int] = Counter()
        while going:
            found = await books.ask(loaders.ledger.balances, [account.id for account in accounts])
            seen[sum(balance.balance for balance in found.values())] += 1
            seen[(await books.ask(loaders.ledger.totals))["USD"]] += 1
            assert min(found[account.id].balance for account in people) >= 0
        return seen

    others = [asyncio.create_task(task()) for task in (watch, watch, fold, fold)]
    await asyncio.gather(*(trade(random.Random(seed)) for seed in range(6)))
    going = False
    first, second, *_ = await asyncio.gather(*others)

    assert set(first) == set(second) == {0}
    assert await books.wrong() is None
    assert sum((await books.ask(loaders.ledger.totals)).values()) == 0


STEP = st.one_of(
    st.tuples(st.just("move"), st.integers(0, 3), st.integers(0, 3), st.integers(1, 80)),
    st.tuples(st.just("hold"), st.integers(0, 2), st.just(0), st.integers(1, 80)),
    st.tuples(st.just("end"), st.integers(0, 3), st.integers(0, 2), st.integers(1, 80)),
    st.tuples(st.just("fold"), st.just(0), st.just(0), st.just(1)),
)


class Play:
    """Three people and the world, who do what they are told as far as the ledger lets them."""

    def __init__(self, books, accounts):
        self.books, self.accounts, self.holds = books, accounts, []

    async def do(self, kind, first, second, amount):
        with suppress(InsufficientFunds, HoldResolved, HoldExceeded):
            await getattr(self, kind)(first, second, amount)

    async def move(self, first, second, amount):
        if first != second:
            await self.books.move(amount, self.accounts[first], self.accounts[second])

    async def hold(self, first, _, amount):
        self.holds.append(await self.books.hold(self.accounts[first], amount))

    async def end(self, first, second, amount):
        if not self.holds:
            return
        hold = self.holds[first % len(self.holds)]
        (source,) = [account for account in self.accounts if account.id == hold.account_id]
        if second == 0:
            await self.books.void(hold)
        else:
            await self.books.post_hold(hold, (source, -amount), (self.accounts[3], amount))

    async def fold(self, *_):
        await self.books.fold()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=5, max_size=30), at_once=st.integers(1, 8))
async def test_balances_equal_the_fold_of_their_entries_after_any_interleaving(books, steps, at_once):
    *people, rail = await books.open(*[FUNDS] * 3, RAIL)
    for account in people:
        await books.move(100, rail, account)
    play = Play(books, [*people, rail])

    for start in range(0, len(steps), at_once):
        await asyncio.gather(*(play.do(*step) for step in steps[start : start + at_once]))

    assert await books.wrong() is None
    holds = await held(books)
    for account in people:
        entries = (await books.statement(account)).rows
        folded = sum(entry.amount for entry in entries), sum(h.amount for h in holds if h.account_id == account.id)
        assert await books.has(account) == [folded]


async def held(books):
    async with books.house.database.reading() as session:
        return (await session.scalars(sa.select(Hold).where(Hold.state == HoldState.HELD))).all()


# Hot accounts


async def test_nobody_waits_for_a_hot_account(books, rich):
    ann, bob, rail = rich
    ctx = books.house.context()
    async with ctx.writing() as work:
        await loaders.ledger.post(work, books.journal((rail, -5), (ann, 5)))
        # While the first is not committed, another posts to the same hot account.
        async with asyncio.timeout(4):
            await books.move(7, rail, bob)

    assert await books.has(ann, bob, rail) == [(1_005, 0), (7, 0), (-1_012, 0)]


async def test_folding_changes_no_balance(books, rich):
    ann, _, rail = rich
    for amount in range(1, 6):
        await books.move(amount, rail, ann)
    before = await books.has(ann, rail)

    assert await books.fold() == 6
    assert await books.fold() == 0
    assert await books.has(ann, rail) == before
    assert await books.wrong() is None


async def test_many_fold_at_once_and_each_entry_once(books, rich):
    ann, _, rail = rich
    await asyncio.gather(*(books.move(1, rail, ann) for _ in range(30)))

    folded = await asyncio.gather(*(books.fold() for _ in range(10)))

    assert sum(folded) == 31
    assert await books.has(rail) == [(-1_030, 0)]
    assert await books.wrong() is None


# What the database refuses


WRITES = [
    "INSERT INTO journals (id, kind, at, subject, subject_id, legs) VALUES (gen_random_uuid(), '', now(), '', :a, 2)",
    "INSERT INTO entries (journal_id, position, legs, account_id, amount) VALUES (:j, 3, 2, :a, 1)",
    "INSERT INTO ledger_accounts VALUES (gen_random_uuid(), 'x', null, 'USD', null, false, 5, 0, now())",
    "INSERT INTO holds (id, account_id, amount, state, placed_at) VALUES (:j, :a, 1, 'HELD', now())",
    "INSERT INTO unfolded_entries VALUES (:a, :j, 1, 1)",
    "UPDATE journals SET kind = 'other'",
    "UPDATE entries SET amount = 1",
    "UPDATE ledger_accounts SET balance = balance + 1",
    "UPDATE ledger_accounts SET floor = null",
    "UPDATE holds SET state = 'HELD'",
    "DELETE FROM entries",
    "DELETE FROM journals",
    "DELETE FROM ledger_accounts",
    "DELETE FROM unfolded_entries",
    "DELETE FROM holds",
    "TRUNCATE entries",
    "TRUNCATE journals, entries, holds",
    "TRUNCATE ledger_accounts CASCADE",
    "ALTER TABLE entries DISABLE TRIGGER ALL",
    "DROP TRIGGER entries_stay ON entries",
    "SELECT nextval('entries_number_seq')",
    "SET session_replication_role = replica",
    "CREATE FUNCTION ledger_post() RETURNS void LANGUAGE sql AS ''",
    "SELECT ledger_post_holds(null, null, null, null, null, null)",
    "UPDATE alembic_version SET version_num = '0001'",
]


@pytest.mark.parametrize("statement", WRITES)
async def test_the_application_cannot_write_the_ledger_itself(statement, books, rich, as_app):
    ann, _, _ = rich
    (entry,) = (await books.statement(ann)).rows

    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        await as_app(
            statement, **{k: v for k, v in {"a": ann.id, "j": entry.journal_id}.items() if f":{k}" in statement}
        )

    assert await books.has(ann) == [(1_000, 0)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journals SET kind = 'other'",
        "UPDATE entries SET amount = amount",
        "UPDATE entries SET amount = 1 WHERE false",
        "DELETE FROM entries",
        "DELETE FROM journals",
        "DELETE FROM ledger_accounts",
        "DELETE FROM holds",
        "TRUNCATE entries",
        "TRUNCATE journals CASCADE",
        "TRUNCATE ledger_accounts CASCADE",
        "UPDATE ledger_accounts SET currency = 'EUR'",
        "UPDATE holds SET state = 'HELD', resolved_at = null",
        "UPDATE holds SET amount = 1",
    ],
)
async def test_not_even_their_owner_changes_what_is_written(statement, books, rich, bound_owner):
    ann, _, _ = rich
    await books.void(await books.hold(ann, 5))

    with pytest.raises(DBAPIError, match="stays as it is"):
        async with bound_owner.begin() as connection:
            await connection.execute(sa.text(statement))

    assert await books.wrong() is None


JOURNAL = "INSERT INTO journals (id, kind, at, subject, subject_id, legs) VALUES (:j, 'x', now(), 'x', :j, :legs)"
ENTRY = "INSERT INTO entries (journal_id, position, legs, account_id, amount) VALUES (:j, :p, :legs, :a, :amount)"


@pytest.mark.parametrize(
    ("legs", "amounts"),
    [
        (2, []),
        (2, [5]),
        (2, [5, -4]),
        (3, [5, -5]),
        (2, [5, -4, -1]),
        (1, [5]),
        (2, [0, 0]),
        (2, ["euros 5", -5]),
        (2, ["nobody 5", -5]),
    ],
    ids=str,
)
async def test_the_database_refuses_what_is_no_journal(legs, amounts, books, rich, bound_owner):
    ann, bob, _ = rich
    (euros,) = await books.open(FUNDS, currency="EUR")
    journal_id = uuid7()

    async def write():
        async with bound_owner.begin() as connection:
            await connection.execute(sa.text(JOURNAL), {"j": journal_id, "legs": legs})
            for position, amount in enumerate(amounts, start=1):
                word, _, number = str(amount).rpartition(" ")
                account_id = {"euros": euros.id, "nobody": uuid7()}.get(word, ann.id)
                entry = {"j": journal_id, "p": position, "legs": legs, "a": account_id, "amount": int(number)}
                await connection.execute(sa.text(ENTRY), entry)

    with pytest.raises(DBAPIError, match=r"legs in known accounts|violates"):
        await write()
    with pytest.raises(NotFound):
        await books.ask(loaders.ledger.journal, journal_id)
    assert await books.has(bob) == [(0, 0)]


async def test_nothing_is_added_to_a_journal_later(books, rich, bound_owner):
    ann, bob, _ = rich
    paid = await books.move(5, ann, bob)

    for position, legs in ((3, 2), (3, 4)):
        with pytest.raises(DBAPIError, match="violates"):
            async with bound_owner.begin() as connection:
                entry = {"j": paid.id, "p": position, "legs": legs, "a": ann.id, "amount": 1}
                await connection.execute(sa.text(ENTRY), entry)


async def test_the_database_refuses_a_balance_below_its_floor_to_its_owner(rich, bound_owner):
    ann, _, _ = rich
    for change in ("balance = -1", "held = 1001", "floor = 1001"):
        with pytest.raises(DBAPIError, match="within_floor"):
            async with bound_owner.begin() as connection:
                await connection.execute(sa.text(f"UPDATE ledger_accounts SET {change} WHERE id = :id"), {"id": ann.id})


@pytest.mark.parametrize("amounts", ["ARRAY[0.5, -0.5]", "ARRAY[1e0, -1e0]::float8[]", "'{1.5,-1.5}'::bigint[]"])
async def test_the_database_posts_nothing_but_integers(amounts, books, rich, as_app):
    ann, bob, _ = rich
    one = uuid7()
    call = f"""SELECT ledger_post(ARRAY['{one}']::uuid[], '{{x}}', ARRAY[now()], '{{x}}', ARRAY['{one}']::uuid[],
        '{{null}}', '{{2}}', '{{}}', ARRAY['{one}','{one}']::uuid[], '{{1,2}}', '{{2,2}}',
        ARRAY['{ann.id}','{bob.id}']::uuid[], {amounts})"""

    with pytest.raises(DBAPIError, match=r"does not exist|invalid input syntax"):
        await as_app(call)

    assert await books.has(ann, bob) == [(1_000, 0), (0, 0)]


async def test_a_journal_of_an_account_that_is_not_there_is_not_posted(books, rich):
    ann, _, _ = rich
    ghost = LedgerAccount(kind="ghost", currency="USD", floor=None, hot=False, balance=0, held=0)

    with pytest.raises(DBAPIError, match="known accounts"):
        await books.move(5, ann, ghost)

    assert await books.has(ann) == [(1_000, 0)]


async def test_a_connection_lost_in_the_middle_leaves_nothing(books, rich, owner):
    ann, bob, _ = rich
    before = await books.audit()

    with pytest.raises(Busy):
        async with books.house.context().writing() as work:
            number = await work.scalar(sa.text("select pg_backend_pid()"))
            await loaders.ledger.post(work, books.journal((ann, -5), (bob, 5)))
            async with owner.begin() as connection:
                await connection.execute(sa.text("select pg_terminate_backend(:number, 5000)"), {"number": number})
            await loaders.ledger.post(work, books.journal((ann, -5), (bob, 5)))

    assert await books.audit() == before
    await books.move(1_000, ann, bob)


# The audit


async def test_the_audit_counts_what_it_looked_at(books, rich):
    ann, _, _ = rich
    await books.hold(ann, 5)
    report = await books.audit()

    assert (report.accounts, report.journals, report.entries, report.holds, report.wrong) == (3, 1, 2, 1, None)


async def test_the_audit_finds_nothing_wrong_while_others_post(books, rich):
    ann, bob, rail = rich

    async def post():
        for amount in range(1, 20):
            await books.move(amount, rail, ann)
            await books.move(amount, ann, bob)
            await books.fold()

    posting = [asyncio.create_task(post()) for _ in range(3)]
    while not all(task.done() for task in posting):
        assert await books.wrong() is None
    await asyncio.gather(*posting)


@pytest.fixture
async def history(books, rich):
    """Four payments from Ann to Bob, and one that the world pays Bob."""
    ann, bob, rail = rich
    paid = [await books.move(amount, ann, bob) for amount in (10, 20, 30, 40)]
    return SimpleNamespace(ann=ann, bob=bob, rail=rail, paid=paid, deposit=await books.move(5, rail, bob))


async def named(books):
    """What the audit names: the problem, the account, the journal and the position."""
    wrong = await books.wrong()
    assert wrong is not None
    assert str(wrong.problem) in str(wrong)
    return wrong.problem, wrong.account_id, wrong.journal_id, wrong.position


async def test_the_audit_names_the_first_entry_that_was_changed(books, history, damage):
    for paid in history.paid[1:3]:
        await damage("UPDATE entries SET amount = amount + 1 WHERE journal_id = :j AND position = 2", j=paid.id)

    assert await named(books) == ("its running balance does not follow", history.bob.id, history.paid[1].id, 2)


async def test_the_audit_names_a_running_balance_that_was_changed(books, history, damage):
    await damage("UPDATE entries SET balance_after = 7 WHERE journal_id = :j AND position = 1", j=history.paid[3].id)

    assert await named(books) == ("its running balance does not follow", history.ann.id, history.paid[3].id, 1)


async def test_the_audit_names_an_entry_of_a_hot_account_that_was_changed(books, history, damage):
    await books.fold()
    await damage("UPDATE entries SET amount = -6 WHERE journal_id = :j AND position = 1", j=history.deposit.id)

    assert await named(books) == ("the journal does not sum to zero", history.rail.id, history.deposit.id, 1)


async def test_the_audit_names_an_entry_that_is_gone(books, history, damage):
    await damage("DELETE FROM entries WHERE journal_id = :j AND position = 2", j=history.paid[2].id)

    assert await named(books) == ("an entry of the journal is missing", history.bob.id, history.paid[2].id, 2)


async def test_the_audit_names_an_entry_that_was_added(books, history, damage):
    entry = {"j": history.paid[0].id, "p": 3, "legs": 3, "a": history.rail.id, "amount": 1}
    await damage(ENTRY, **entry)

    problem = "the journal has more entries than it was posted with"
    assert await named(books) == (problem, history.rail.id, history.paid[0].id, 3)


async def test_the_audit_names_an_entry_whose_journal_is_gone(books, history, damage):
    await damage("DELETE FROM journals WHERE id = :j", j=history.paid[1].id)

    problem, _, journal_id, position = await named(books)
    assert (problem, journal_id, position) == (
        "the entry is of a journal that is not there", history.paid[1].id, 1,
    )  # fmt: skip


async def test_the_audit_names_an_entry_whose_account_is_gone(books, history, damage):
    await damage("DELETE FROM ledger_accounts WHERE id = :a", a=history.bob.id)

    problem = "the entry is of an account that is not there"
    assert await named(books) == (problem, history.bob.id, history.paid[0].id, 2)


async def test_the_audit_names_an_account_whose_journal_is_gone_altogether(books, history, damage):
    await damage("DELETE FROM entries WHERE journal_id = :j", j=history.paid[3].id)
    await damage("DELETE FROM journals WHERE id = :j", j=history.paid[3].id)

    # Bob's next entry tells it; Ann has none after it.
    assert await named(books) == ("its running balance does not follow", history.bob.id, history.deposit.id, 2)


async def test_the_audit_names_a_journal_of_two_currencies(books, history, damage):
    await damage("UPDATE ledger_accounts SET currency = 'EUR' WHERE id = :a", a=history.rail.id)

    problem, _, _, _ = await named(books)
    assert problem == "the journal mixes currencies"


async def test_the_audit_names_a_balance_that_was_changed(books, history, damage):
    await damage("UPDATE ledger_accounts SET balance = balance + 1 WHERE id = :a", a=history.ann.id)

    assert await named(books) == ("the balance is not the sum of the entries", history.ann.id, None, None)
    wrong = await books.wrong()
    assert (wrong.expected, wrong.found, wrong.account_kind, wrong.owner_id) == (
        900,
        901,
        "funds",
        history.ann.owner_id,
    )


async def test_the_audit_names_a_hot_account_that_lost_what_was_to_be_folded(books, history, damage):
    await damage("DELETE FROM unfolded_entries WHERE journal_id = :j", j=history.deposit.id)

    assert await named(books) == ("the balance is not the sum of the entries", history.rail.id, None, None)


async def test_the_audit_names_an_entry_to_be_folded_that_was_changed(books, history, damage):
    await damage("UPDATE unfolded_entries SET amount = -6 WHERE journal_id = :j", j=history.deposit.id)

    assert await named(books) == (
        "what is to be folded is not what was posted", history.rail.id, history.deposit.id, 1,
    )  # fmt: skip


async def test_the_audit_names_an_account_below_its_floor(books, history, damage, bound_owner):
    async with bound_owner.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE ledger_accounts DROP CONSTRAINT ck_ledger_accounts_within_floor"))
        await connection.execute(
            sa.text("UPDATE ledger_accounts SET floor = 5000 WHERE id = :id"), {"id": history.bob.id}
        )
    try:
        assert await named(books) == (
            "what is not held of the balance is below the floor", history.bob.id, None, None,
        )  # fmt: skip
    finally:
        await damage("UPDATE ledger_accounts SET floor = 0 WHERE id = :id", id=history.bob.id)
        async with bound_owner.begin() as connection:
            await connection.execute(
                sa.text(
                    "ALTER TABLE ledger_accounts ADD CONSTRAINT ck_ledger_accounts_within_floor"
                    " CHECK (balance - held >= floor)"
                )
            )


async def test_the_audit_names_an_account_whose_holds_were_changed(books, history, damage):
    hold = await books.hold(history.ann, 50)
    await damage("UPDATE holds SET amount = 60 WHERE id = :id", id=hold.id)

    assert await named(books) == ("what is held is not the sum of the holds", history.ann.id, None, None)


async def test_the_audit_names_a_hold_posted_by_another_journal(books, history, damage):
    hold = await books.hold(history.ann, 50)
    await books.post_hold(hold, (history.ann, -50), (history.bob, 50))
    await damage("UPDATE holds SET journal_id = :j WHERE id = :id", id=hold.id, j=history.deposit.id)

    problem, account_id, journal_id, _ = await named(books)
    assert "does not debit its account" in problem
    assert (account_id, journal_id) == (history.ann.id, history.deposit.id)


async def test_the_audit_names_a_reversal_of_something_else(books, history, damage):
    await damage("UPDATE journals SET reverses = :r WHERE id = :j", j=history.paid[1].id, r=history.paid[0].id)

    problem, _, journal_id, _ = await named(books)
    assert (problem, journal_id) == ("the journal is not the opposite of the one it reverses", history.paid[1].id)


LOOKED_AT = "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'entries'"


async def test_a_reversal_is_weighed_by_its_entries_alone_on_a_line_that_is_older_than_all_others(database_url, books):
    database = Database.at(database_url, connections=1)
    keys = FUNDS.of(uuid7(), "USD"), RAIL.of(None, "USD")
    async with database.writing.begin() as work:
        ann, rail = await loaders.ledger.accounts(work, *keys, at=books.now())

    def paid():
        return books.journal((rail, -5), (ann, 5))

    async def undo(work, journal):
        await loaders.ledger.post(work, journal.reversal("undo", at=books.now()))
        before = await work.scalar(sa.text(LOOKED_AT)) or 0
        await work.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))
        return await work.scalar(sa.text(LOOKED_AT)) - before

    # It is now that everything is planned.
    first = paid()
    async with database.writing.begin() as work:
        await loaders.ledger.post(work, first)
        assert await undo(work, first) > 0
    others = [paid() for _ in range(500)]
    async with database.writing.begin() as work:
        await loaders.ledger.post(work, *others)
    async with database.writing.begin() as work:
        looked_at = await undo(work, others[7])
    await database.close()

    # Its own two, and with them the two that it reverses.
    assert looked_at == 2 + 4


async def test_an_audit_reads_the_entries_a_few_times_even_if_nothing_is_known_of_them(database_url, books):
    database = Database.at(database_url, connections=1)
    keys = FUNDS.of(uuid7(), "USD"), RAIL.of(None, "USD")
    async with database.writing.begin() as work:
        ann, rail = await loaders.ledger.accounts(work, *keys, at=books.now())
    paid = [books.journal((rail, -5), (ann, 5)) for _ in range(200)]
    async with database.writing.begin() as work:
        await loaders.ledger.post(work, *paid)
    async with database.writing.begin() as work:
        await loaders.ledger.post(work, *(journal.reversal("undo", at=books.now()) for journal in paid))

    async with database.writing.begin() as work:
        report = await loaders.ledger.audit(work)
        looked_at = await work.scalar(sa.text(LOOKED_AT))
    await database.close()

    assert report.wrong is None
    assert looked_at < 10 * report.entries
