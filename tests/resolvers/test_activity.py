"""How what happens is followed: once, in order, and only by those whom it concerns."""

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import pytest
import sqlalchemy as sa

import resolvers.accounts
import resolvers.activity
import resolvers.contracts
import resolvers.jobs
import resolvers.proposals
from models.accounts import Session
from models.activity import EventKind, event, job_stream
from models.config import Config
from models.errors import NotFound, Unauthenticated
from models.jobs import JobState
from tests import make
from tests.conftest import HEARD_SECONDS

WORDS = make.proposal_words()
BURST = 250


@pytest.fixture
async def job(keep, people):
    return await keep(make.job(people.client))


@pytest.fixture
async def contract(keep, people):
    job = make.job(people.client)
    proposal = make.proposal(job, people.freelancer)
    contract = make.contract(job, proposal)
    await keep(job, proposal, contract)
    return contract


def closing(news: Any) -> AbstractAsyncContextManager[Any]:
    """Let go of what is followed at the end of the block."""
    return aclosing(news)


class Following:
    """Somebody who follows: what is heard is asked for one by one."""

    def __init__(self, house: Any, news: Any) -> None:
        self.house, self.news = house, news
        self._next: asyncio.Task[Any] | None = None

    async def begun(self) -> None:
        """Wait until it has read where the stream ends, so that everything from now on is news."""
        has_read, engine = asyncio.Event(), self.house.database.engine.sync_engine

        def notice(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "stream_heads" in statement:
                has_read.set()

        sa.event.listen(engine, "after_cursor_execute", notice)
        try:
            self._next = asyncio.create_task(anext(self.news))
            async with asyncio.timeout(HEARD_SECONDS):
                await has_read.wait()
        finally:
            sa.event.remove(engine, "after_cursor_execute", notice)

    async def heard(self) -> Any:
        async with asyncio.timeout(HEARD_SECONDS):
            if self._next is not None:
                waiting, self._next = self._next, None
                return await waiting
            return await anext(self.news)


def test_a_burst_is_more_than_is_read_at_once():
    assert BURST > 2 * resolvers.activity.EVENTS_MAX


async def test_a_follower_hears_everything_from_now_on_once_and_in_order(as_, people, job, house):
    ctx, stream = as_(people.client), job_stream(job.id)

    def news():
        return event(stream, EventKind.JOB_EDITED, job, by=None, at=ctx.now())

    async with ctx.writing() as work:
        work.leave(news(), news())
    async with closing(resolvers.activity.follow(as_(people.client), stream)) as followed:
        follower = Following(house, followed)
        await follower.begun()
        async with ctx.writing() as work:
            work.leave(*(news() for _ in range(BURST)))
        async with ctx.writing() as work:
            work.leave(news())

        heard = [(await follower.heard()).sequence for _ in range(BURST + 1)]

    assert heard == list(range(3, BURST + 4))


async def test_a_false_ring_tells_nothing(as_, people, job, house):
    ctx, stream = as_(people.client), job_stream(job.id)
    async with closing(resolvers.activity.follow(ctx, stream)) as followed:
        follower = Following(house, followed)
        await follower.begun()
        for payload in ("1", "99", "nonsense", ""):
            await house.hub.ring(stream, payload)
        async with ctx.writing() as work:
            work.leave(event(stream, EventKind.JOB_EDITED, job, by=None, at=ctx.now()))

        assert (await follower.heard()).sequence == 1


async def test_whoever_is_signed_out_hears_no_more(people, job, house, keep, as_, clock):
    session = await keep(Session.begin(people.client, address="", agent="", at=clock(), config=Config()))
    ctx, stream = house.context(people.client, session_id=session.id), job_stream(job.id)
    async with closing(resolvers.activity.follow(ctx, stream)) as followed:
        follower = Following(house, followed)
        await follower.begun()
        await resolvers.jobs.renew(as_(people.client), job_id=job.id)
        assert (await follower.heard()).kind is EventKind.JOB_RENEWED

        await resolvers.accounts.sign_out_everywhere(as_(people.client))
        await resolvers.jobs.renew(as_(people.client), job_id=job.id)

        with pytest.raises(Unauthenticated):
            await follower.heard()


async def test_a_client_follows_all_offers_on_a_job_and_a_freelancer_her_own(as_, people, job, house):
    client = resolvers.proposals.changes(as_(people.client), job_id=job.id)
    freelancer = resolvers.proposals.changes(as_(people.freelancer), job_id=job.id)
    async with closing(client), closing(freelancer):
        office, desk = Following(house, client), Following(house, freelancer)
        await office.begun()
        await desk.begun()

        rival = await resolvers.proposals.submit(
            as_(people.other_freelancer), job_id=job.id, words=WORDS, key=make.key()
        )
        mine = await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=WORDS, key=make.key())
        await resolvers.proposals.shortlist(as_(people.client), proposal_id=mine.id, on=True)
        await resolvers.proposals.reject(as_(people.client), proposal_id=mine.id, reason=None)

        def told(answer: Any) -> Any:
            happened, proposal = answer
            return happened.sequence, happened.kind, proposal.id

        assert [told(await office.heard()) for _ in range(4)] == [
            (1, EventKind.PROPOSAL_SUBMITTED, rival.id),
            (2, EventKind.PROPOSAL_SUBMITTED, mine.id),
            (3, EventKind.PROPOSAL_SHORTLISTED, mine.id),
            (4, EventKind.PROPOSAL_REJECTED, mine.id),
        ]
        # No number is missing that would tell her of rivals, or of how she was sorted.
        assert [told(await desk.heard()) for _ in range(2)] == [
            (1, EventKind.PROPOSAL_SUBMITTED, mine.id),
            (2, EventKind.PROPOSAL_REJECTED, mine.id),
        ]


async def test_jobs_that_are_not_seen_are_not_followed(as_, people, keep):
    draft = await keep(make.job(people.client, JobState.DRAFT))

    for stranger in (people.freelancer, people.admin):
        with pytest.raises(NotFound):
            await anext(resolvers.proposals.changes(as_(stranger), job_id=draft.id))
    with pytest.raises(Unauthenticated):
        await anext(resolvers.proposals.changes(as_(None), job_id=(await keep(make.job(people.client))).id))


async def test_the_parties_follow_their_contract_and_its_milestones(as_, people, contract, keep, house):
    milestone = await keep(make.milestone(contract))
    changes = resolvers.contracts.changes(as_(people.client), contract_id=contract.id)
    async with closing(changes):
        follower = Following(house, changes)
        await follower.begun()

        await resolvers.contracts.start(as_(people.freelancer), milestone_id=milestone.id)

        happened, shown = await follower.heard()
        assert (happened.kind, happened.subject_id, shown.id) == (
            EventKind.MILESTONE_STARTED,
            milestone.id,
            contract.id,
        )


async def test_contracts_of_others_are_not_followed(as_, people, contract):
    for stranger in (people.other_client, people.other_freelancer):
        with pytest.raises(NotFound):
            await anext(resolvers.contracts.changes(as_(stranger), contract_id=contract.id))
    with pytest.raises(Unauthenticated):
        await anext(resolvers.contracts.changes(as_(None), contract_id=contract.id))
