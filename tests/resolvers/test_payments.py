"""What is kept, refused and announced of money."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import loaders.ledger
import loaders.payments
import resolvers.payments
from models.activity import EventKind, wallet_stream
from models.errors import Unauthenticated
from models.ledger import Hold
from models.payments import EARNINGS, ESCROW, FEES, FUNDS, PENDING, RAIL, pay
from tests import make

SECONDS = 10.0


@pytest.fixture
def give(house):
    """Let somebody have money of some kind, out of nowhere."""

    async def run(kind, owner, cents):
        await make.give(house, kind, owner.id, cents)

    return run


@pytest.fixture
def amounts(as_):
    """What somebody's wallet says: funds, available, pending, escrowed, leaving."""

    async def read(who):
        wallet = await as_(who).loaders.one(loaders.payments.wallet, who.id)
        names = ("funds", "available", "pending", "escrowed", "leaving")
        return tuple(getattr(wallet, f"{name}_cents") for name in names)

    return read


@pytest.fixture
def is_right(house):
    """Expect a ledger in which nothing is wrong."""

    async def look():
        async with house.database.reading() as session:
            report = await loaders.ledger.audit(session)
        assert report.wrong is None, report.wrong

    return look


async def test_whoever_has_nothing_has_an_empty_wallet(people, amounts):
    for somebody in vars(people).values():
        assert await amounts(somebody) == (0, 0, 0, 0, 0)


async def test_a_wallet_tells_what_may_be_done_with_money(house, keep, people, give, amounts):
    jobs = [make.job(people.client), make.job(people.client), make.job(people.other_client)]
    offers = [make.proposal(job, people.freelancer) for job in jobs]
    contracts = [make.contract(job, offer) for job, offer in zip(jobs, offers, strict=True)]
    await keep(*jobs, *offers, *contracts)
    for contract, cents in zip(contracts, (5, 70, 900), strict=True):
        await give(ESCROW, contract, cents)
    for kind, cents in ((FUNDS, 100), (PENDING, 20), (EARNINGS, 3)):
        await give(kind, people.client, cents)
        await give(kind, people.freelancer, 2 * cents)
    async with house.context().writing() as work:
        account, *_ = await loaders.ledger.accounts(work, FUNDS.of(people.client.id, "USD"), at=house.clock())
        await loaders.ledger.hold(work, Hold.of(account, 40, at=house.clock()))

    assert await amounts(people.client) == (60, 3, 20, 75, 40)
    assert await amounts(people.freelancer) == (200, 6, 40, 0, 0)
    assert await amounts(people.other_client) == (0, 0, 0, 900, 0)


async def test_nobody_sees_the_wallet_of_another(people, as_, give):
    await give(FUNDS, people.client, 100)

    for other in (None, people.freelancer, people.other_client):
        assert await as_(other).loaders.one(loaders.payments.wallet, people.client.id) is None
    assert await as_(people.admin).loaders.one(loaders.payments.wallet, people.client.id) is not None


async def test_everybody_is_told_once_of_what_moved(people, as_, told, hears):
    names = [wallet_stream(one.id) for one in (people.client, people.freelancer)]

    async with hears(*names, silent=(wallet_stream(people.admin.id),)):
        ctx = as_(people.client)
        async with ctx.writing() as work:
            ids = [people.client.id, people.freelancer.id, people.client.id]
            resolvers.payments.tell_wallets(ctx, work, *ids)

    assert await told() == {name: [EventKind.WALLET_CHANGED] for name in names}


async def test_whoever_follows_her_wallet_hears_what_is_in_it(people, as_, give):
    followed: Any = resolvers.payments.wallet_changes(as_(people.client))
    first = asyncio.ensure_future(anext(followed))

    async def knock():
        ctx = as_(None)
        async with ctx.writing() as work:
            resolvers.payments.tell_wallets(ctx, work, people.client.id, people.freelancer.id)
        await asyncio.wait([first], timeout=0.05)

    await give(FUNDS, people.client, 100)
    async with asyncio.timeout(SECONDS):
        while not first.done():
            await knock()
        happened, wallet = await first

    assert (happened.kind, happened.actor_id) == (EventKind.WALLET_CHANGED, None)
    assert (wallet.id, wallet.funds_cents) == (people.client.id, 100)
    await followed.aclose()


@pytest.fixture
def paid(house, keep, people):
    """Let a freelancer have been paid something a while ago, on a contract of its own."""

    async def run(cents, fee_cents=0, *, to=None, days_ago=5):
        freelancer = to or people.freelancer
        job = make.job(people.client)
        offer = make.proposal(job, freelancer)
        contract = make.contract(job, offer)
        await keep(job, offer, contract)
        at = house.clock() - timedelta(days=days_ago)
        payment = make.payment(contract, cents, fee_cents, at=at)
        async with house.context().writing() as work:
            keys = RAIL.of(None, "USD"), PENDING.of(freelancer.id, "USD"), FEES.of(None, "USD")
            rail, pending, fees = await loaders.ledger.accounts(work, *keys, at=at)
            sources = [(rail, payment.charge.gross)]
            journal = pay("BONUS", payment, payment.charge, sources=sources, pending=pending, fees=fees, at=at)
            await loaders.ledger.post(work, journal)
            payment.journal_id = journal.id
            work.add(payment)
        return payment

    return run


async def test_what_was_pending_for_long_enough_may_be_withdrawn(people, paid, as_, stored, amounts, told, is_right):
    due, young = await paid(100_00, 10_00), await paid(7_00, days_ago=4)
    assert await amounts(people.freelancer) == (0, 0, 97_00, 0, 0)

    assert await resolvers.payments.settle_due(as_(None)) == 1
    assert await resolvers.payments.settle_due(as_(None)) == 0

    assert await amounts(people.freelancer) == (0, 90_00, 7_00, 0, 0)
    assert [(await stored(payment)).settled_at is None for payment in (due, young)] == [False, True]
    assert await told() == {wallet_stream(people.freelancer.id): [EventKind.WALLET_CHANGED]}
    await is_right()


async def test_a_payment_that_was_all_fee_settles_without_a_journal(paid, as_, stored, count_rows, told):
    payment = await paid(10_00, 10_00)
    journals = (await count_rows())["journals"]

    assert await resolvers.payments.settle_due(as_(None)) == 1

    assert (await stored(payment)).settled_at is not None
    assert (await count_rows())["journals"] == journals
    assert await told() == {}


async def test_several_workers_settle_each_payment_once(people, paid, as_, amounts, told, is_right):
    for _ in range(6):
        await paid(3_00)
        await paid(5_00, to=people.other_freelancer)

    settled = await asyncio.gather(*(resolvers.payments.settle_due(as_(None)) for _ in range(4)))

    assert sum(settled) == 12
    assert (await amounts(people.freelancer))[:3] == (0, 18_00, 0)
    assert (await amounts(people.other_freelancer))[:3] == (0, 30_00, 0)
    assert set(await told()) == {wallet_stream(one.id) for one in (people.freelancer, people.other_freelancer)}
    await is_right()


async def test_hot_accounts_are_folded_without_anybody_seeing_a_difference(house, people, give, as_, is_right):
    # What people were granted when they came is another matter.
    await resolvers.payments.fold(as_(None))
    for cents in (1, 2, 3):
        await give(FUNDS, people.client, cents)

    folded = [await resolvers.payments.fold(as_(None)) for _ in range(2)]

    assert folded == [3, 0]
    async with house.database.reading() as session:
        assert set((await loaders.ledger.totals(session)).values()) == {0}
    await is_right()


async def test_holds_whose_time_is_over_are_let_go(house, people, give, as_, clock, amounts, is_right):
    await give(FUNDS, people.client, 100)
    async with house.context().writing() as work:
        (account,) = await loaders.ledger.accounts(work, FUNDS.of(people.client.id, "USD"), at=house.clock())
        for minutes in (1, 60):
            until = house.clock() + timedelta(minutes=minutes)
            await loaders.ledger.hold(work, Hold.of(account, 30, at=house.clock(), expires_at=until))
    clock.advance(minutes=2)

    freed = [await resolvers.payments.expire_holds(as_(None)) for _ in range(2)]

    assert freed == [1, 0]
    assert await amounts(people.client) == (70, 0, 0, 0, 30)
    await is_right()


async def test_nobody_follows_no_wallet(as_):
    with pytest.raises(Unauthenticated):
        await anext(resolvers.payments.wallet_changes(as_(None)))
