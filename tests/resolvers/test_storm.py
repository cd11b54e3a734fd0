"""Many people doing everything at once on a few jobs: only refusals come of it, and everything adds up."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select

import loaders.audit
import resolvers.accounts
import resolvers.jobs
import resolvers.proposals
from models.accounts import ClientWords, FreelancerWords
from models.contracts import Contract
from models.errors import Refusal
from models.jobs import Job, JobState
from models.proposals import Proposal, ProposalState
from resolvers.context import Context
from tests import make

SECONDS = 3.0
HANDS = 12
JOBS, CLIENTS, FREELANCERS = 6, 2, 6

Verb = Callable[[], Awaitable[Any]]


async def must_add_up(house: Any) -> None:
    """As many are hired as have a contract, nobody has two live offers on a job, and what is over has none waiting."""
    contracts = select(func.count()).select_from(Contract).where(Contract.job_id == Job.id).scalar_subquery()
    accepted = select(func.count()).select_from(Proposal).where(Proposal.job_id == Job.id)
    accepted = accepted.where(Proposal.state == ProposalState.ACCEPTED)
    is_full, is_filled = Job.hired_count == Job.freelancers_wanted, Job.state == JobState.FILLED
    live = Proposal.state.in_([ProposalState.PENDING, ProposalState.ACCEPTED])
    over = Job.state.in_([JobState.FILLED, JobState.CLOSED, JobState.REMOVED])
    wrong = {
        "hired without a contract": select(Job.id).where(Job.hired_count != contracts),
        "hired without an offer": select(Job.id).where(Job.hired_count != accepted.scalar_subquery()),
        "full and still open": select(Job.id).where(is_full, Job.state == JobState.OPEN),
        "filled with places free": select(Job.id).where(~is_full, is_filled),
        "two live offers": select(Proposal.job_id)
        .where(live)
        .group_by(Proposal.job_id, Proposal.freelancer_id)
        .having(func.count() > 1),
        "waiting for nothing": select(Proposal.id)
        .join(Job, Job.id == Proposal.job_id)
        .where(over, Proposal.state == ProposalState.PENDING),
    }
    async with house.database.reading() as session:
        found = {name: (await session.execute(query)).all() for name, query in wrong.items()}
    assert found == {name: [] for name in wrong}


class Hand:
    """Somebody's hand, which does one thing after another to what lies about."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.chance = random.Random(number)

    def verb(self) -> Verb:
        """Choose what to do next, wise or not."""
        chance, world = self.chance, self.world
        job_id, proposal_id = chance.choice(world.jobs), chance.choice(world.proposals or world.jobs)
        client, freelancer = world.somebody(chance, world.clients), world.somebody(chance, world.freelancers)
        words = make.proposal_words(cover_letter=f"Letter {chance.random()}")
        title = make.job_words(title=f"Job {chance.random()}", freelancers_wanted=chance.randint(1, 4))
        version = chance.choice([None, None, 1, 2, 3])
        kinds: list[tuple[int, Verb]] = [
            (30, lambda: resolvers.proposals.submit(freelancer, job_id=job_id, words=words, key=make.key())),
            (10, lambda: resolvers.proposals.edit(freelancer, proposal_id=proposal_id, words=words, version=version)),
            (10, lambda: resolvers.proposals.withdraw(freelancer, proposal_id=proposal_id)),
            (5, lambda: resolvers.proposals.shortlist(client, proposal_id=proposal_id, on=True)),
            (5, lambda: resolvers.proposals.reject(client, proposal_id=proposal_id, reason="No.")),
            (20, lambda: resolvers.proposals.accept(client, proposal_id=proposal_id)),
            (5, lambda: resolvers.jobs.edit(client, job_id=job_id, words=title, version=version)),
            (3, lambda: resolvers.jobs.close(client, job_id=job_id)),
            (3, lambda: resolvers.jobs.renew(client, job_id=job_id)),
            (1, lambda: resolvers.jobs.remove(world.admin, job_id=job_id)),
            (2, lambda: resolvers.jobs.expire_due(world.admin)),
            (3, lambda: resolvers.accounts.edit_client(client, words=ClientWords("Co"), version=None)),
            (3, lambda: resolvers.accounts.edit_freelancer(freelancer, words=FreelancerWords("F"), version=None)),
            (6, lambda: self.begin(client, title)),
        ]
        weights, verbs = zip(*kinds, strict=True)
        chosen: Verb = chance.choices(verbs, weights)[0]
        return chosen

    async def begin(self, client: Context, words: Any) -> Job:
        """Put another job among the few, in the place of one that may be over."""
        job = await resolvers.jobs.draft(client, words=words)
        job = await resolvers.jobs.publish(client, job_id=job.id)
        self.world.jobs[self.chance.randrange(JOBS)] = job.id
        return job

    async def work(self, until: float) -> Counter[str]:
        """Do things until it is time to stop; count what came of them."""
        found: Counter[str] = Counter()
        while asyncio.get_running_loop().time() < until:
            try:
                made = await self.verb()()
            except Refusal as refused:
                found[type(refused).__name__] += 1
                continue
            found["done"] += 1
            if isinstance(made, Proposal) and made.version == 1:
                self.world.proposals.append(made.id)
        return found


class World:
    """What lies about: a few people and jobs, and all the offers that were made."""

    def __init__(self, as_: Any, people: make.People, clients: Any, freelancers: Any, jobs: Any) -> None:
        self.as_ = as_
        self.clients, self.freelancers = clients, freelancers
        self.jobs = [job.id for job in jobs]
        self.proposals: list[Any] = []
        self.admin = as_(people.admin)

    def somebody(self, chance: random.Random, among: Any) -> Context:
        """One of these, with a context of her own."""
        ctx: Context = self.as_(chance.choice(among))
        return ctx


@pytest.fixture
async def world(house, keep, as_, people):
    clients = [people.client, people.other_client, *(make.client() for _ in range(CLIENTS - 2))]
    freelancers = [make.freelancer() for _ in range(FREELANCERS)]
    await keep(*freelancers, *(profile for one in freelancers for profile in make.profiles(one)))
    await make.connects(house, *freelancers)
    jobs = [make.job(clients[at % CLIENTS], words=make.job_words(freelancers_wanted=1 + at % 3)) for at in range(JOBS)]
    await keep(*jobs)
    return World(as_, people, clients, freelancers, jobs)


async def test_in_a_storm_there_are_only_refusals_and_everything_adds_up(world, house, told):
    until = asyncio.get_running_loop().time() + SECONDS

    answers = sum(await asyncio.gather(*(Hand(world, number).work(until) for number in range(HANDS))), Counter[str]())

    await must_add_up(house)
    async with house.database.reading() as session:
        assert (await loaders.audit.audit(session)).wrong is None
    await told()
    # It was a storm: things were done, and people were in each other's way.
    assert answers["done"] > HANDS
    assert answers["Busy"] == 0
    assert {"ProposalDecided", "AlreadyProposed", "JobClosed"} <= set(answers), answers
