"""What is kept, refused and announced of money."""

import asyncio
from typing import Any

import pytest

import loaders.ledger
import loaders.payments
import resolvers.payments
from models.activity import EventKind, wallet_stream
from models.errors import Unauthenticated
from models.ledger import Hold
from models.payments import EARNINGS, ESCROW, FUNDS, PENDING
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


async def test_nobody_follows_no_wallet(as_):
    with pytest.raises(Unauthenticated):
        await anext(resolvers.payments.wallet_changes(as_(None)))
