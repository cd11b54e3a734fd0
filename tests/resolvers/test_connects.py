"""What is kept, refused and announced of Connects; and that none is lost, however many come at once."""

import asyncio
from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

import loaders.audit
import loaders.connects
import resolvers.accounts
import resolvers.connects
import resolvers.jobs
import resolvers.proposals
from models.accounts import NotAFreelancer, PartyUnavailable, Role
from models.activity import EventKind, account_stream, job_stream, wallet_stream
from models.connects import Allowance, Lot, LotSource, Movement, NotEnoughConnects
from models.errors import Forbidden, Invalid, NotFound
from models.idempotency import IdempotencyKeyReused
from models.jobs import AlreadyInvited, Budget, BudgetKind, JobClosed, JobState
from models.ledger import InsufficientFunds
from models.payments import FUNDS
from models.proposals import Proposal, ProposalDecided
from tests import make

WORDS = make.proposal_words()
AT_ONCE = 20
STEPS = 120


@pytest.fixture
async def nina(keep):
    """A freelancer without anything."""
    somebody = make.freelancer("Nina")
    await keep(somebody, *make.profiles(somebody))
    return somebody


@pytest.fixture
def balance(house):
    async def read(who):
        async with house.database.reading() as session:
            lots = await session.scalars(select(Lot).where(Lot.account_id == who.id))
        return sum(one.remaining for one in lots if one.expires_at > house.clock())

    return read


@pytest.fixture
def history(house):
    async def read(who):
        async with house.database.reading() as session:
            rows = await session.scalars(
                select(Movement).where(Movement.account_id == who.id).order_by(Movement.at, Movement.id)
            )
            return [(row.kind.value, row.amount) for row in rows]

    return read


@pytest.fixture
def must_be_right(house):
    async def check():
        async with house.database.reading() as session:
            report = await loaders.audit.audit(session)
        assert report.wrong is None, str(report.wrong)

    return check


def submit(ctx, job, key=None, **more):
    return resolvers.proposals.submit(ctx, job_id=job.id, words=WORDS, key=key or make.key(), **more)


# Kept


async def test_whoever_becomes_a_freelancer_is_given_twenty_once(keep, as_, balance, told, must_be_right):
    somebody = make.client("Clio")
    await keep(somebody, *make.profiles(somebody))

    for _ in range(2):
        await resolvers.accounts.add_role(as_(somebody), role=Role.FREELANCER)

    assert await balance(somebody) == 20
    assert await told() == {wallet_stream(somebody.id): [EventKind.WALLET_CHANGED]}
    await must_be_right()


async def test_a_bundle_is_paid_for_and_bought_once_for_a_key(house, nina, as_, history, told, must_be_right):
    await make.give(house, FUNDS, nina.id, 10_00)

    lots = await asyncio.gather(*(resolvers.connects.buy(as_(nina), size=20, key="k") for _ in range(AT_ONCE)))

    assert len({lot.id for lot in lots}) == 1
    assert {(lot.source, lot.remaining) for lot in lots} == {(LotSource.BUNDLE, 20)}
    assert await history(nina) == [("ISSUED", 20)]
    assert (await told())[wallet_stream(nina.id)] == [EventKind.WALLET_CHANGED]
    async with house.database.reading() as session:
        funds = {kind.kind: kind.balance for total in await loaders.audit.totals(session) for kind in total.kinds}
    assert (funds["FUNDS"], funds["CONNECTS_SALES"]) == (7_00, 3_00)
    await must_be_right()


async def test_a_proposal_is_paid_for_once_for_a_key(keep, nina, house, people, as_, balance, history, must_be_right):
    job = await keep(make.job(people.client))
    await make.connects(house, nina, size=20)

    made = await asyncio.gather(*(submit(as_(nina), job, key="k") for _ in range(AT_ONCE)))

    assert len({one.id for one in made}) == 1
    assert await balance(nina) == 12
    assert await history(nina) == [("ISSUED", 20), ("SPENT", -8)]
    await must_be_right()


async def test_whoever_is_invited_pays_nothing(keep, nina, people, as_, history, told, must_be_right):
    job = await keep(make.job(people.client))

    invitation = await resolvers.jobs.invite(as_(people.client), job_id=job.id, freelancer_id=nina.id)
    proposal = await submit(as_(nina), job, agreed_cost=8)

    assert proposal.connects_cost == 0
    assert await history(nina) == []
    streams = await told()
    assert streams[account_stream(nina.id)] == [EventKind.FREELANCER_INVITED]
    assert streams[job_stream(job.id)] == [EventKind.FREELANCER_INVITED, EventKind.PROPOSAL_SUBMITTED]
    assert wallet_stream(nina.id) not in streams
    assert invitation.freelancer_id == nina.id
    await must_be_right()


@pytest.mark.parametrize("end", ["close", "remove"])
async def test_those_who_wait_get_theirs_back_and_nobody_else(
    end, house, keep, nina, people, as_, history, told, must_be_right
):
    job = await keep(make.job(people.client, freelancers_wanted=2))
    await make.connects(house, nina, size=20)
    withdrawn = await submit(as_(people.freelancer), job)
    await resolvers.proposals.withdraw(as_(people.freelancer), proposal_id=withdrawn.id)
    rejected = await submit(as_(people.other_freelancer), job)
    await resolvers.proposals.reject(as_(people.client), proposal_id=rejected.id, reason=None)
    await submit(as_(nina), job)

    if end == "close":
        await resolvers.jobs.close(as_(people.client), job_id=job.id)
    await resolvers.jobs.remove(as_(people.admin), job_id=job.id)

    assert await history(nina) == [("ISSUED", 20), ("SPENT", -8), ("RETURNED", 8)]
    for other in (people.freelancer, people.other_freelancer):
        assert [kind for kind, _ in await history(other)] == ["ISSUED", "SPENT"]
    assert (await told())[wallet_stream(nina.id)] == [EventKind.WALLET_CHANGED] * 2
    await must_be_right()


async def test_nothing_is_returned_when_somebody_was_hired(keep, people, as_, history, must_be_right):
    jobs = await keep(make.job(people.client), make.job(people.client, freelancers_wanted=2))
    for job in jobs:
        hired = await submit(as_(people.freelancer), job)
        await submit(as_(people.other_freelancer), job)
        await resolvers.proposals.accept(as_(people.client), proposal_id=hired.id)
    await resolvers.jobs.close(as_(people.client), job_id=jobs[1].id)

    assert [kind for kind, _ in await history(people.other_freelancer)] == ["ISSUED", "SPENT", "SPENT"]
    await must_be_right()


async def test_what_comes_back_to_a_lot_that_has_expired_expires_again(
    house, keep, nina, people, as_, clock, balance, history, must_be_right
):
    job = await keep(make.job(people.client, expires_at=clock() + timedelta(days=500)))
    await make.connects(house, nina, size=20)
    await submit(as_(nina), job)
    clock.advance(days=366)
    while await resolvers.connects.expire_due(as_(None)):
        continue
    await resolvers.jobs.close(as_(people.client), job_id=job.id)
    await must_be_right()

    assert await resolvers.connects.expire_due(as_(None)) == 1
    assert await history(nina) == [("ISSUED", 20), ("SPENT", -8), ("EXPIRED", -12), ("RETURNED", 8), ("EXPIRED", -8)]
    assert await balance(nina) == 0
    await must_be_right()


# Refused


async def test_what_is_not_right_is_refused(keep, nina, house, people, as_, refuses):
    job, other = await keep(make.job(people.client), make.job(people.client))
    await make.connects(house, nina, size=10)
    async with refuses(InsufficientFunds):
        await resolvers.connects.buy(as_(nina), size=10, key="k")
    async with refuses(Invalid):
        await resolvers.connects.buy(as_(nina), size=11, key="k")
    async with refuses(NotAFreelancer):
        await resolvers.connects.buy(as_(people.client), size=10, key="k")
    await submit(as_(nina), job, key="one")
    async with refuses(IdempotencyKeyReused):
        await submit(as_(nina), other, key="one")
    async with refuses(NotEnoughConnects):
        await submit(as_(nina), other)


async def test_invitations_are_sent_once_by_the_client_to_freelancers_on_open_jobs(
    keep, nina, people, as_, refuses, clock
):
    job, closed = await keep(make.job(people.client), make.job(people.client, JobState.CLOSED))

    def invite(who, to=nina, on=job):
        return resolvers.jobs.invite(as_(who), job_id=on.id, freelancer_id=to.id)

    async with refuses(Forbidden):
        await invite(people.other_client)
    async with refuses(NotFound):
        await invite(people.client, to=people.other_client)
    async with refuses(JobClosed):
        await invite(people.client, on=closed)
    await invite(people.client)
    async with refuses(AlreadyInvited):
        await invite(people.client)
    await resolvers.accounts.suspend(as_(people.admin), account_id=people.freelancer.id)
    async with refuses(PartyUnavailable):
        await invite(people.client, to=people.freelancer)
    clock.advance(days=31)
    async with refuses(JobClosed):
        await invite(people.client, to=people.other_freelancer)


# Time


async def test_what_was_not_given_in_time_is_given_later_and_once(house, as_, keep, clock, history, must_be_right):
    somebody = make.client("Clio")
    await keep(somebody, *make.profiles(somebody))
    await resolvers.accounts.add_role(as_(somebody), role=Role.FREELANCER)
    clock.advance(days=100)

    async def work():
        while await resolvers.connects.grant_due(as_(None)):
            continue

    await asyncio.gather(*(work() for _ in range(4)))
    await work()

    assert await history(somebody) == [("ISSUED", 20)] + [("ISSUED", 10)] * 3
    async with house.database.reading() as session:
        lots = (await session.scalars(select(Lot).where(Lot.source == LotSource.GRANT).order_by(Lot.issued_at))).all()
        allowance = (await session.scalars(select(Allowance))).one()
    assert len({lot.month for lot in lots}) == 3
    assert all((lot.expires_at - lot.issued_at).days in {365, 366} for lot in lots)
    assert allowance.next_at > clock()
    await must_be_right()


async def test_of_many_who_expire_lots_at_once_each_takes_what_no_other_takes(house, nina, as_, clock, history):
    for _ in range(5):
        await make.connects(house, nina, size=10)
    clock.advance(days=366)

    done = await asyncio.gather(*(resolvers.connects.expire_due(as_(None)) for _ in range(4)))

    while await resolvers.connects.expire_due(as_(None)):
        continue
    assert sum(done) <= 7
    assert Counter(kind for kind, _ in await history(nina)) == {"ISSUED": 5, "EXPIRED": 5}


# At once


@pytest.mark.parametrize(("size", "lots"), [(100, 1), (7, 9), (8, 3)])
async def test_as_many_are_paid_for_as_there_are_connects_for(
    size, lots, house, keep, nina, people, as_, balance, must_be_right
):
    jobs = await keep(*(make.job(people.client) for _ in range(AT_ONCE)))
    for _ in range(lots):
        await make.connects(house, nina, size=size)

    answers = await asyncio.gather(*(submit(as_(nina), job) for job in jobs), return_exceptions=True)

    paid = min(size * lots // 8, AT_ONCE)
    assert Counter(map(type, answers)) == Counter({Proposal: paid, NotEnoughConnects: AT_ONCE - paid})
    assert await balance(nina) == size * lots - 8 * paid
    await must_be_right()


async def test_an_offer_is_withdrawn_or_its_price_returned_and_never_both(
    house, keep, nina, people, as_, history, must_be_right
):
    jobs = await keep(*(make.job(people.client) for _ in range(AT_ONCE)))
    await make.connects(house, nina, size=1_000)
    offers = [await submit(as_(nina), job) for job in jobs]

    pairs = await asyncio.gather(
        *(
            asyncio.gather(
                resolvers.proposals.withdraw(as_(nina), proposal_id=offer.id),
                resolvers.jobs.close(as_(people.client), job_id=job.id),
                return_exceptions=True,
            )
            for job, offer in zip(jobs, offers, strict=True)
        )
    )

    withdrawn = sum(isinstance(first, Proposal) for first, _ in pairs)
    assert all(isinstance(first, Proposal | ProposalDecided) for first, _ in pairs)
    returned = [kind for kind, _ in await history(nina)].count("RETURNED")
    assert returned == AT_ONCE - withdrawn
    await must_be_right()


# A model


class Model:
    """The same in Python: lots as pairs of when they expire and what is left, and what each offer was paid with."""

    def __init__(self):
        self.lots: dict[Any, Any] = {}
        self.paid: dict[Any, Any] = {}

    def spend(self, name, cost, at):
        open_ones = sorted((expires, lot) for lot, (expires, left) in self.lots.items() if left and expires > at)
        if sum(self.lots[lot][1] for _, lot in open_ones) < cost:
            return False
        parts, left = {}, cost
        for expires, lot in open_ones:
            part = min(left, self.lots[lot][1])
            if part:
                parts[lot], left = part, left - part
                self.lots[lot] = (expires, self.lots[lot][1] - part)
        self.paid[name] = parts
        return True

    def give_back(self, name):
        for lot, part in self.paid.pop(name, {}).items():
            expires, left = self.lots[lot]
            self.lots[lot] = (expires, left + part)

    def expire(self, at):
        self.lots = {lot: (expires, left if expires > at else 0) for lot, (expires, left) in self.lots.items()}


BUDGETS = [Budget(BudgetKind.FIXED, amount_cents=cents) for cents in (90_00, 400_00, 1_000_00, 20_000_00)]


class Life:
    """What a freelancer may do, or what may happen to her, in the house and in the model."""

    def __init__(self, chance, keep, nina, people, as_, clock):
        self.chance, self.keep, self.clock = chance, keep, clock
        self.nina, self.client, self.nobody = as_(nina), as_(people.client), as_(None)
        self.model = Model()
        self.waiting: dict[Any, Any] = {}

    async def buy(self):
        lot = await resolvers.connects.buy(self.nina, size=self.chance.choice([10, 20]), key=make.key())
        self.model.lots[lot.id] = (lot.expires_at, lot.size)

    async def submit(self):
        words, ever = make.job_words(budget=self.chance.choice(BUDGETS)), self.clock() + timedelta(days=9_999)
        job = await self.keep(make.job(self.client.me, words=words, expires_at=ever))
        enough = self.model.spend(job.id, job.connects_cost, self.clock())
        try:
            self.waiting[job.id] = (await submit(self.nina, job)).id
            assert enough
        except NotEnoughConnects:
            assert not enough

    async def close(self):
        if self.waiting:
            job_id = self.chance.choice(list(self.waiting))
            del self.waiting[job_id]
            await resolvers.jobs.close(self.client, job_id=job_id)
            self.model.give_back(job_id)

    async def withdraw(self):
        if self.waiting:
            proposal_id = self.waiting.pop(self.chance.choice(list(self.waiting)))
            await resolvers.proposals.withdraw(self.nina, proposal_id=proposal_id)

    async def let_time_pass(self):
        self.clock.advance(days=self.chance.randrange(1, 90))

    async def expire(self):
        while await resolvers.connects.expire_due(self.nobody):
            continue
        self.model.expire(self.clock())


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_in_whatever_order_lots_are_as_the_model_says(
    seed, house, keep, nina, people, as_, clock, must_be_right
):
    life = Life(Random(seed), keep, nina, people, as_, clock)
    await make.give(house, FUNDS, nina.id, 1_000_00)
    deeds = [life.buy, life.submit, life.close, life.withdraw, life.let_time_pass, life.expire]

    for step in range(STEPS):
        deed = life.chance.choices(deeds, [2, 8, 3, 1, 3, 2])[0]
        await deed()
        async with house.database.reading() as session:
            lots = await session.scalars(select(Lot).where(Lot.account_id == nina.id))
            found = {lot.id: (lot.expires_at, lot.remaining) for lot in lots}
        assert found == life.model.lots, (step, deed.__name__)
    await must_be_right()
