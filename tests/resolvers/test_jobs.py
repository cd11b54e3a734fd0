"""What is kept, refused and announced of work on offer, and what happens when two people act at once."""

import asyncio
from datetime import timedelta
from time import perf_counter
from typing import Any

import pytest
from sqlalchemy import func, select, text

import resolvers.jobs
import resolvers.proposals
from models.accounts import NotAClient
from models.activity import JOBS_STREAM, Event, EventKind, StreamHead, account_stream, job_stream, proposal_stream
from models.base import uuid7
from models.errors import Forbidden, Invalid, NotFound, Stale, Unauthenticated
from models.jobs import (
    Budget,
    BudgetKind,
    BudgetKindInUse,
    Job,
    JobClosed,
    JobNotDraft,
    JobNotRenewable,
    JobSkill,
    JobState,
    TooFewWanted,
)
from models.proposals import Proposal, ProposalState
from tests import make

WORDS = make.job_words(title="Build a bigger shop", skill_ids=make.SKILL_IDS[5:8], freelancers_wanted=3)
EDITS_AT_ONCE = 20
JOBS_DUE = 60
DUELS = 10
CROWD_SECONDS = 20.0


@pytest.fixture
async def job(keep, people):
    return await keep(make.job(people.client))


@pytest.fixture
def skills_of(house):
    async def read(job):
        async with house.database.reading() as session:
            return set(await session.scalars(select(JobSkill.skill_id).where(JobSkill.job_id == job.id)))

    return read


VERBS: dict[str, Any] = {
    "edit": lambda ctx, job: resolvers.jobs.edit(ctx, job_id=job.id, words=WORDS, version=None),
    "publish": lambda ctx, job: resolvers.jobs.publish(ctx, job_id=job.id),
    "renew": lambda ctx, job: resolvers.jobs.renew(ctx, job_id=job.id),
    "close": lambda ctx, job: resolvers.jobs.close(ctx, job_id=job.id),
    "remove": lambda ctx, job: resolvers.jobs.remove(ctx, job_id=job.id),
}
RIGHT = {"remove": "admin"}
FROM = {"publish": JobState.DRAFT}


# Kept


async def test_a_draft_is_kept_with_its_skills(as_, people, stored, skills_of):
    job = await resolvers.jobs.draft(as_(people.client), words=WORDS)

    kept = await stored(job)
    assert (kept.client_id, kept.state, kept.version) == (people.client.id, JobState.DRAFT, 1)
    assert (kept.title, kept.freelancers_wanted, kept.hired_count) == ("Build a bigger shop", 3, 0)
    assert (kept.budget_kind, kept.budget_amount_cents, kept.published_at) == (BudgetKind.FIXED, 1_000_00, None)
    assert await skills_of(job) == set(make.SKILL_IDS[5:8])


async def test_a_skill_named_twice_is_asked_for_once(as_, people, skills_of):
    job = await resolvers.jobs.draft(as_(people.client), words=make.job_words(skill_ids=make.SKILL_IDS[:2] * 2))

    assert await skills_of(job) == set(make.SKILL_IDS[:2])


async def test_a_published_job_is_open_for_thirty_days(as_, keep, people, stored):
    job = await keep(make.job(people.client, JobState.DRAFT))

    await resolvers.jobs.publish(as_(people.client), job_id=job.id)

    kept = await stored(job)
    assert (kept.state, kept.version) == (JobState.OPEN, 2)
    assert kept.expires_at - kept.published_at == timedelta(days=30)


async def test_an_edit_replaces_everything_a_job_said(job, as_, people, stored, skills_of):
    hourly = Budget(BudgetKind.HOURLY, minimum_cents=10_00, maximum_cents=20_00)
    words = make.job_words(title="  Mend a shop ", budget=hourly, skill_ids=make.SKILL_IDS[9:10], location="Here")

    await resolvers.jobs.edit(as_(people.client), job_id=job.id, words=words, version=1)

    kept = await stored(job)
    assert (kept.title, kept.location, kept.version, kept.state) == ("Mend a shop", "Here", 2, JobState.OPEN)
    assert (kept.budget_amount_cents, kept.budget_minimum_cents, kept.budget_maximum_cents) == (None, 10_00, 20_00)
    assert await skills_of(job) == {make.SKILL_IDS[9]}


@pytest.mark.parametrize("state", [JobState.OPEN, JobState.EXPIRED])
async def test_a_renewed_job_is_open_for_thirty_days_from_now_and_will_be_warned_of_again(
    state, as_, keep, people, stored, clock
):
    job = await keep(make.job(people.client, state, warned_at=clock()))
    clock.advance(days=40)

    await resolvers.jobs.renew(as_(people.client), job_id=job.id)

    kept = await stored(job)
    assert (kept.state, kept.version, kept.warned_at) == (JobState.OPEN, 2, None)
    assert abs(kept.expires_at - clock() - timedelta(days=30)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("verb", "state", "reason"),
    [("close", JobState.CLOSED, "The job was closed."), ("remove", JobState.REMOVED, "The job was removed.")],
)
async def test_a_job_that_ends_rejects_what_is_pending_and_nothing_else(
    verb, state, reason, job, as_, keep, people, stored
):
    pending, back = await keep(
        make.proposal(job, people.freelancer),
        make.proposal(job, people.other_freelancer, ProposalState.WITHDRAWN),
    )

    await VERBS[verb](as_(people.admin if verb == "remove" else people.client), job)

    lost = await stored(pending)
    assert ((await stored(job)).state, (await stored(job)).version) == (state, 2)
    assert (lost.state, lost.reason, lost.version) == (ProposalState.REJECTED, reason, 2)
    assert ((await stored(back)).state, (await stored(back)).version) == (ProposalState.WITHDRAWN, 1)


# Refused


async def test_only_clients_write_jobs(as_, people, refuses):
    async with refuses(NotAClient):
        await resolvers.jobs.draft(as_(people.freelancer), words=WORDS)


async def test_a_job_is_written_by_somebody(as_, refuses):
    async with refuses(Unauthenticated):
        await resolvers.jobs.draft(as_(None), words=WORDS)


@pytest.mark.parametrize("verb", VERBS)
async def test_whoever_is_not_signed_in_does_nothing_with_jobs(verb, as_, keep, people, refuses):
    job = await keep(make.job(people.client, FROM.get(verb, JobState.OPEN)))

    async with refuses(Unauthenticated):
        await VERBS[verb](as_(None), job)


@pytest.mark.parametrize("verb", VERBS)
async def test_only_the_right_person_changes_a_job(verb, as_, keep, people, refuses):
    job = await keep(make.job(people.client, FROM.get(verb, JobState.OPEN)))
    wrong = set(vars(people)) - {RIGHT.get(verb, "client")}

    for name in sorted(wrong):
        async with refuses(NotFound if verb == "publish" else Forbidden):
            await VERBS[verb](as_(getattr(people, name)), job)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_draft_is_there_for_nobody_but_its_client(verb, as_, keep, people, refuses):
    job = await keep(make.job(people.client, JobState.DRAFT))

    for stranger in (people.other_client, people.freelancer, people.admin):
        async with refuses(NotFound):
            await VERBS[verb](as_(stranger), job)


@pytest.mark.parametrize("verb", VERBS)
async def test_there_is_nothing_to_do_with_a_job_that_is_not_there(verb, as_, people, refuses):
    async with refuses(NotFound):
        await VERBS[verb](as_(getattr(people, RIGHT.get(verb, "client"))), make.job(people.client))


REFUSED_IN = {
    "edit": (JobClosed, {JobState.FILLED, JobState.CLOSED, JobState.EXPIRED, JobState.REMOVED}),
    "publish": (JobNotDraft, set(JobState) - {JobState.DRAFT}),
    "renew": (JobNotRenewable, {JobState.DRAFT, JobState.FILLED, JobState.CLOSED, JobState.REMOVED}),
    "close": (JobClosed, set(JobState) - {JobState.OPEN}),
    "remove": (JobClosed, {JobState.REMOVED}),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_job_in_the_wrong_state_refuses(verb, as_, keep, people, refuses):
    refusal, states = REFUSED_IN[verb]
    for state in sorted(states, key=lambda one: one.value):
        job = await keep(make.job(people.client, state))
        async with refuses(refusal):
            await VERBS[verb](as_(getattr(people, RIGHT.get(verb, "client"))), job)


async def test_words_are_refused_with_all_their_faults(as_, people, refuses):
    words = make.job_words(title="x", description="", skill_ids=[], freelancers_wanted=0)

    async with refuses(Invalid) as refused:
        await resolvers.jobs.draft(as_(people.client), words=words)

    assert [problem.path[0] for problem in refused.value.problems] == [
        "title",
        "description",
        "skill_ids",
        "freelancers_wanted",
    ]


@pytest.mark.parametrize("verb", ["draft", "edit"])
async def test_what_the_catalogue_does_not_have_is_refused(verb, job, as_, people, refuses):
    words = make.job_words(category_id=uuid7(), skill_ids=[make.SKILL_IDS[0], uuid7()])

    async with refuses(Invalid) as refused:
        if verb == "draft":
            await resolvers.jobs.draft(as_(people.client), words=words)
        else:
            await resolvers.jobs.edit(as_(people.client), job_id=job.id, words=words, version=None)

    assert [problem.path for problem in refused.value.problems] == [("category_id",), ("skill_ids",)]


async def test_an_edit_of_what_has_changed_since_is_refused_with_how_it_stands(job, as_, people, refuses):
    await resolvers.jobs.edit(as_(people.client), job_id=job.id, words=WORDS, version=1)

    async with refuses(Stale) as refused:
        await resolvers.jobs.edit(as_(people.client), job_id=job.id, words=make.job_words(), version=1)

    assert isinstance(refused.value, Stale)
    assert (refused.value.current.title, refused.value.current.version) == ("Build a bigger shop", 2)


async def test_fewer_than_are_hired_cannot_be_wanted(as_, keep, people, refuses):
    job = await keep(make.job(people.client, words=make.job_words(freelancers_wanted=5), hired_count=2))

    async with refuses(TooFewWanted):
        await resolvers.jobs.edit(
            as_(people.client), job_id=job.id, words=make.job_words(freelancers_wanted=2), version=None
        )


async def test_the_kind_of_a_budget_does_not_change_under_a_pending_offer(job, as_, keep, people, refuses):
    await keep(make.proposal(job, people.other_freelancer, ProposalState.REJECTED))
    proposal = await keep(make.proposal(job, people.freelancer))
    hourly = make.job_words(budget=make.HOURLY)

    async with refuses(BudgetKindInUse):
        await resolvers.jobs.edit(as_(people.client), job_id=job.id, words=hourly, version=None)

    await resolvers.proposals.withdraw(as_(people.freelancer), proposal_id=proposal.id)
    edited = await resolvers.jobs.edit(as_(people.client), job_id=job.id, words=hourly, version=None)
    assert edited.budget_kind is BudgetKind.HOURLY


async def test_of_an_offer_and_a_new_kind_of_budget_at_once_the_offer_is_judged_by_what_is_kept(
    as_, keep, people, stored
):
    for _ in range(DUELS):
        job = await keep(make.job(people.client))
        offered, edited = await asyncio.gather(
            resolvers.proposals.submit(
                as_(people.freelancer), job_id=job.id, words=make.proposal_words(), key=make.key()
            ),
            resolvers.jobs.edit(
                as_(people.client), job_id=job.id, words=make.job_words(budget=make.HOURLY), version=None
            ),
            return_exceptions=True,
        )
        assert not isinstance(offered, Exception)
        kind = (await stored(job)).budget_kind
        assert isinstance(edited, BudgetKindInUse) == (kind is BudgetKind.FIXED)


# Announced


async def test_drafts_are_nobodys_business(as_, people, told, hears):
    async with hears(silent=(JOBS_STREAM,)):
        await resolvers.jobs.draft(as_(people.client), words=WORDS)

    assert await told() == {}


async def test_a_published_job_is_told_to_everybody(as_, keep, people, told, hears):
    job = await keep(make.job(people.client, JobState.DRAFT))

    async with hears(JOBS_STREAM, job_stream(job.id)):
        await resolvers.jobs.publish(as_(people.client), job_id=job.id)

    assert await told() == {
        JOBS_STREAM: [EventKind.JOB_PUBLISHED],
        job_stream(job.id): [EventKind.JOB_PUBLISHED],
    }


async def test_an_edit_is_told_to_those_who_wait_for_an_answer(job, as_, keep, people, told, hears):
    await keep(
        make.proposal(job, people.freelancer), make.proposal(job, people.other_freelancer, ProposalState.REJECTED)
    )
    streams = (job_stream(job.id), account_stream(people.freelancer.id))

    async with hears(*streams, silent=(account_stream(people.other_freelancer.id),)):
        await resolvers.jobs.edit(as_(people.client), job_id=job.id, words=WORDS, version=None)

    assert await told() == {stream: [EventKind.JOB_EDITED] for stream in streams}


async def test_a_renewal_is_told(job, as_, people, told, hears):
    async with hears(job_stream(job.id), silent=(JOBS_STREAM,)):
        await resolvers.jobs.renew(as_(people.client), job_id=job.id)

    assert await told() == {job_stream(job.id): [EventKind.JOB_RENEWED]}


@pytest.mark.parametrize("verb", ["close", "remove"])
async def test_the_end_of_a_job_is_told_to_all_it_concerns(verb, job, as_, keep, people, told, hears):
    proposal = await keep(make.proposal(job, people.freelancer))
    kind = EventKind.JOB_CLOSED if verb == "close" else EventKind.JOB_REMOVED
    rejected = [EventKind.PROPOSAL_REJECTED]

    async with hears(
        job_stream(job.id),
        proposal_stream(proposal.job_id, proposal.freelancer_id),
        account_stream(people.freelancer.id),
    ):
        await VERBS[verb](as_(people.admin if verb == "remove" else people.client), job)

    expected = {
        job_stream(job.id): [kind, *rejected],
        proposal_stream(proposal.job_id, proposal.freelancer_id): rejected,
        account_stream(people.freelancer.id): rejected,
    }
    assert await told() == expected | ({account_stream(people.client.id): [kind]} if verb == "remove" else {})


# Time


async def test_time_warns_once_then_ends_a_job(job, as_, people, stored, told, clock):
    streams = (job_stream(job.id), account_stream(people.client.id))
    soon, over = EventKind.JOB_EXPIRES_SOON, EventKind.JOB_EXPIRED
    days_and_news: list[tuple[float, list[EventKind]]] = [(24, []), (2, [soon]), (1, [soon]), (4, [soon, over])]

    for days, news in days_and_news:
        clock.advance(days=days)
        await resolvers.jobs.expire_due(as_(None))
        assert await told() == (dict.fromkeys(streams, news) if news else {})

    assert (await stored(job)).state is JobState.EXPIRED
    assert await resolvers.jobs.expire_due(as_(None)) == 0


async def test_a_job_that_was_renewed_after_the_warning_is_warned_of_again(job, as_, people, told, clock):
    clock.advance(days=26)
    await resolvers.jobs.expire_due(as_(None))
    await resolvers.jobs.renew(as_(people.client), job_id=job.id)
    clock.advance(days=26)
    await resolvers.jobs.expire_due(as_(None))

    assert (await told())[account_stream(people.client.id)] == [EventKind.JOB_EXPIRES_SOON] * 2


async def test_jobs_that_are_not_open_do_not_expire(as_, keep, people, told, clock):
    await keep(*(make.job(people.client, state) for state in JobState if state is not JobState.OPEN))
    clock.advance(days=100)

    assert await resolvers.jobs.expire_due(as_(None)) == 0
    assert await told() == {}


async def test_two_workers_at_once_tell_of_each_job_once(as_, keep, people, told, clock):
    jobs = await keep(*(make.job(people.client) for _ in range(JOBS_DUE)))
    clock.advance(days=31)

    touched = await asyncio.gather(*(resolvers.jobs.expire_due(as_(None)) for _ in range(4)))
    touched.append(await resolvers.jobs.expire_due(as_(None)))

    assert sum(touched) == JOBS_DUE
    streams = await told()
    assert all(streams[job_stream(job.id)] == [EventKind.JOB_EXPIRED] for job in jobs)
    assert streams[account_stream(people.client.id)] == [EventKind.JOB_EXPIRED] * JOBS_DUE


async def test_a_worker_leaves_alone_what_somebody_holds(job, house, as_, clock):
    clock.advance(days=31)

    async with house.database.writing() as other:
        await other.get(Job, job.id, with_for_update=True)
        assert await resolvers.jobs.expire_due(as_(None)) == 0

    assert await resolvers.jobs.expire_due(as_(None)) == 1


# Two at once


async def test_of_many_edits_of_one_version_at_once_one_is_kept(job, as_, people, stored, told):
    answers = await asyncio.gather(
        *(
            resolvers.jobs.edit(as_(people.client), job_id=job.id, words=make.job_words(title=f"Job {at}"), version=1)
            for at in range(EDITS_AT_ONCE)
        ),
        return_exceptions=True,
    )

    (kept,) = [answer for answer in answers if isinstance(answer, Job)]
    assert [type(answer) for answer in answers].count(Stale) == EDITS_AT_ONCE - 1
    assert ((await stored(job)).title, (await stored(job)).version) == (kept.title, 2)
    assert await told() == {job_stream(job.id): [EventKind.JOB_EDITED]}


async def test_edits_at_once_that_name_no_version_all_count_and_one_is_left_whole(job, as_, people, stored, skills_of):
    edits = [
        make.job_words(title=f"Job {at}", skill_ids=make.SKILL_IDS[at : at + 2])
        for at in range(len(make.SKILL_IDS) - 2)
    ]

    await asyncio.gather(
        *(resolvers.jobs.edit(as_(people.client), job_id=job.id, words=said, version=None) for said in edits)
    )

    kept = await stored(job)
    last = int(kept.title.split()[1])
    assert kept.version == 1 + len(edits)
    assert await skills_of(job) == set(make.SKILL_IDS[last : last + 2])


async def test_a_draft_published_twice_at_once_is_published_once(as_, keep, people, told):
    job = await keep(make.job(people.client, JobState.DRAFT))

    answers = await asyncio.gather(
        *(resolvers.jobs.publish(as_(people.client), job_id=job.id) for _ in range(5)), return_exceptions=True
    )

    assert [type(answer) for answer in answers].count(JobNotDraft) == 4
    assert (await told())[JOBS_STREAM] == [EventKind.JOB_PUBLISHED]


async def test_a_job_with_ten_thousand_pending_offers_is_closed_in_seconds(job, as_, people, house):
    async with house.database.writing.begin() as work:
        await work.execute(text(CROWD), {"job": job.id, "many": 10_000})

    began = perf_counter()
    await resolvers.jobs.close(as_(people.client), job_id=job.id)

    assert perf_counter() - began < CROWD_SECONDS
    async with house.database.reading() as session:
        heads = select(func.count(), func.sum(StreamHead.sequence)).select_from(StreamHead)
        assert (await session.execute(heads)).one() == (20_001, 30_001)
        assert await session.scalar(select(func.count()).select_from(Event)) == 30_001
        left = select(func.count()).where(Proposal.state == ProposalState.PENDING)
        assert await session.scalar(left) == 0


CROWD = """
    with people as (
        insert into accounts (id, email, password_hash, full_name, roles, created_at)
        select gen_random_uuid(), 'crowd' || n || '@example.org', '', 'F', array['FREELANCER'], now()
        from generate_series(1, :many) n returning id
    ), profiles as (
        insert into freelancer_profiles (id, full_name, currency, languages, skills, joined_at, version)
        select id, 'F', 'USD', '{}', '{}', now(), 1 from people returning id
    )
    insert into proposals (id, job_id, freelancer_id, cover_letter, duration, bid_cents, currency, state, shortlisted,
        archived, submitted_at, version)
    select gen_random_uuid(), :job, id, 'Me', 'LESS_THAN_A_MONTH', 100000, 'USD', 'PENDING', false, false, now(), 1
    from profiles
"""
