"""What is kept, refused and announced of offers, and what happens when two people act at once."""

import asyncio
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

import resolvers.accounts
import resolvers.jobs
import resolvers.proposals
from models.accounts import NotAFreelancer, PartyUnavailable, Role
from models.activity import (
    JOBS_STREAM,
    EventKind,
    account_stream,
    contract_stream,
    job_stream,
    proposal_stream,
    wallet_stream,
)
from models.contracts import Contract, ContractState, Milestone, MilestoneState
from models.errors import Conflict, Forbidden, Invalid, NotFound, Stale, Unauthenticated
from models.jobs import Job, JobClosed, JobState, OwnJob
from models.proposals import (
    AlreadyProposed,
    AttachmentWords,
    MilestoneWords,
    Proposal,
    ProposalAttachment,
    ProposalDecided,
    ProposalMilestone,
    ProposalState,
)
from tests import make
from tests.resolvers.test_storm import must_add_up

JOBS_WITH_RIVALS = 1_000
"""Three accepts race for each job, two of one offer and one of its rival: a thousand pairs that may meet."""
SUBMITS_AT_ONCE = 200
DUELS_EACH = 40
AT_ONCE = 3
"""Races that run at the same time: two or three connections each, and the pool has ten."""

WORDS = make.proposal_words(
    attachments=(AttachmentWords("My shop", "https://example.org/shop"), AttachmentWords("Code", "http://example.org")),
)


@pytest.fixture
async def job(keep, people):
    return await keep(make.job(people.client))


@pytest.fixture
async def proposal(job, as_, people):
    """An offer with everything that hangs on one, and nothing told of it yet."""
    return await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=WORDS, key=make.key())


@pytest.fixture
def parts_of(house):
    async def read(proposal):
        async with house.database.reading() as session:
            return [
                (
                    await session.scalars(select(kind).where(kind.proposal_id == proposal.id).order_by(kind.position))
                ).all()
                for kind in (ProposalMilestone, ProposalAttachment)
            ]

    return read


@pytest.fixture
def duel():
    """Let pairs of verbs happen at once, a few pairs at a time; what came of each pair, in the pair's order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def pair(*verbs):
        async with room:
            return await asyncio.gather(*(verb() for verb in verbs), return_exceptions=True)

    async def fight(pairs):
        return await asyncio.gather(*(pair(*verbs) for verbs in pairs))

    return fight


def kinds(answers: Any) -> Counter[type]:
    return Counter(type(answer) for answer in answers)


# Kept


async def test_an_offer_is_kept_with_all_that_hangs_on_it(proposal, job, people, stored, parts_of):
    kept = await stored(proposal)
    milestones, attachments = await parts_of(proposal)

    assert (kept.job_id, kept.freelancer_id, kept.state) == (job.id, people.freelancer.id, ProposalState.PENDING)
    assert (kept.bid_cents, kept.version, kept.shortlisted, kept.archived) == (1_000_00, 1, False, False)
    assert [(part.description, part.amount_cents) for part in milestones] == [("Design", 300_00), ("Build", 700_00)]
    assert [part.name for part in attachments] == ["My shop", "Code"]


async def test_an_edit_replaces_all_that_the_offer_said(proposal, as_, people, stored, parts_of):
    words = make.proposal_words(bid_cents=50_00, milestones=[MilestoneWords("All of it", 50_00, date(2100, 1, 1))])

    await resolvers.proposals.edit(as_(people.freelancer), proposal_id=proposal.id, words=words, version=1)

    kept, (milestones, attachments) = await stored(proposal), await parts_of(proposal)
    assert (kept.bid_cents, kept.version, kept.state) == (50_00, 2, ProposalState.PENDING)
    assert [(part.description, part.due_on) for part in milestones] == [("All of it", date(2100, 1, 1))]
    assert attachments == []


async def test_an_offer_is_taken_back(proposal, as_, people, stored):
    await resolvers.proposals.withdraw(as_(people.freelancer), proposal_id=proposal.id)

    kept = await stored(proposal)
    assert (kept.state, kept.version) == (ProposalState.WITHDRAWN, 2)
    assert kept.decided_at is not None


async def test_an_offer_is_rejected_with_a_reason(proposal, as_, people, stored):
    await resolvers.proposals.reject(as_(people.client), proposal_id=proposal.id, reason="Too dear.")

    kept = await stored(proposal)
    assert (kept.state, kept.reason, kept.version) == (ProposalState.REJECTED, "Too dear.", 2)


@pytest.mark.parametrize("end", ["withdraw", "reject"])
async def test_after_an_offer_has_ended_another_may_be_made(end, proposal, job, as_, people, stored):
    if end == "withdraw":
        await resolvers.proposals.withdraw(as_(people.freelancer), proposal_id=proposal.id)
    else:
        await resolvers.proposals.reject(as_(people.client), proposal_id=proposal.id, reason=None)

    again = await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=WORDS, key=make.key())

    assert (await stored(again)).state is ProposalState.PENDING


@pytest.mark.parametrize(("verb", "mark"), [("shortlist", "shortlisted"), ("archive", "archived")])
async def test_a_client_sorts_offers_without_changing_them(verb, mark, proposal, as_, people, stored):
    sort = getattr(resolvers.proposals, verb)

    await sort(as_(people.client), proposal_id=proposal.id, on=True)
    assert (getattr(await stored(proposal), mark), (await stored(proposal)).version) == (True, 1)

    await sort(as_(people.client), proposal_id=proposal.id, on=False)
    assert getattr(await stored(proposal), mark) is False


async def test_accepting_makes_a_contract_of_what_was_offered(proposal, job, as_, people, stored, house):
    contract = await resolvers.proposals.accept(as_(people.client), proposal_id=proposal.id)

    kept = await stored(contract)
    assert (kept.proposal_id, kept.job_id, kept.state) == (proposal.id, job.id, ContractState.ACTIVE)
    assert (kept.client_id, kept.freelancer_id) == (people.client.id, people.freelancer.id)
    assert (kept.title, kept.bid_cents, kept.freelancer_fee_bps, kept.client_fee_bps) == (
        job.title,
        1_000_00,
        1_000,
        500,
    )
    async with house.database.reading() as session:
        parts = (await session.scalars(select(Milestone).order_by(Milestone.position))).all()
    assert [(part.contract_id, part.description, part.amount_cents, part.state) for part in parts] == [
        (contract.id, "Design", 300_00, MilestoneState.OPEN),
        (contract.id, "Build", 700_00, MilestoneState.OPEN),
    ]
    assert (await stored(proposal)).state is ProposalState.ACCEPTED


async def test_the_last_hire_fills_the_job_and_rejects_the_rest(proposal, job, as_, keep, people, stored):
    rival = await keep(make.proposal(job, people.other_freelancer))

    await resolvers.proposals.accept(as_(people.client), proposal_id=proposal.id)

    filled, lost = await stored(job), await stored(rival)
    assert (filled.state, filled.hired_count) == (JobState.FILLED, 1)
    assert (lost.state, lost.reason, lost.version) == (ProposalState.REJECTED, "Somebody else was hired.", 2)


async def test_while_more_are_wanted_the_job_stays_open(keep, as_, people, stored):
    job = await keep(make.job(people.client, freelancers_wanted=2))
    mine, other = await keep(make.proposal(job, people.freelancer), make.proposal(job, people.other_freelancer))

    await resolvers.proposals.accept(as_(people.client), proposal_id=mine.id)

    assert ((await stored(job)).state, (await stored(job)).hired_count) == (JobState.OPEN, 1)
    assert (await stored(other)).state is ProposalState.PENDING


async def test_whoever_offers_on_an_edited_job_is_bound_by_what_it_says_now(proposal, as_, people, stored):
    await resolvers.proposals.edit(as_(people.freelancer), proposal_id=proposal.id, words=WORDS, version=None)

    assert (await stored(proposal)).version == 2


# Refused


async def test_offers_are_made_by_freelancers(job, as_, people, refuses):
    async with refuses(NotAFreelancer):
        await resolvers.proposals.submit(as_(people.other_client), job_id=job.id, words=WORDS, key=make.key())


async def test_offers_are_made_by_somebody(job, as_, refuses):
    async with refuses(Unauthenticated):
        await resolvers.proposals.submit(as_(None), job_id=job.id, words=WORDS, key=make.key())


async def test_nobody_offers_on_her_own_job(as_, keep, refuses):
    both = make.account(Role.CLIENT, Role.FREELANCER)
    await keep(both, *make.profiles(both))
    job = await keep(make.job(both))

    async with refuses(OwnJob):
        await resolvers.proposals.submit(as_(both), job_id=job.id, words=WORDS, key=make.key())


@pytest.mark.parametrize("state", [JobState.FILLED, JobState.CLOSED, JobState.EXPIRED])
async def test_a_job_that_is_not_open_refuses_offers(state, as_, keep, people, refuses):
    job = await keep(make.job(people.client, state))

    async with refuses(JobClosed):
        await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=WORDS, key=make.key())


@pytest.mark.parametrize("state", [JobState.DRAFT, JobState.REMOVED])
async def test_a_job_that_is_not_seen_is_not_there_to_offer_on(state, as_, keep, people, refuses):
    job = await keep(make.job(people.client, state))

    async with refuses(NotFound):
        await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=WORDS, key=make.key())


@pytest.mark.usefixtures("proposal")
async def test_a_second_offer_on_the_same_job_is_refused(job, as_, people, refuses):
    async with refuses(AlreadyProposed):
        await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=WORDS, key=make.key())


async def test_after_being_hired_no_second_offer_is_taken(as_, keep, people, refuses):
    job = await keep(make.job(people.client, freelancers_wanted=2))
    await keep(make.proposal(job, people.freelancer, ProposalState.ACCEPTED))

    async with refuses(AlreadyProposed):
        await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=WORDS, key=make.key())


async def test_an_offer_says_everything_that_is_wrong_with_it(job, as_, people, refuses, clock):
    yesterday = (clock() - timedelta(days=1)).date()
    words = make.proposal_words(
        cover_letter=" ", milestones=[MilestoneWords("", 0, yesterday)], attachments=[AttachmentWords("x", "ftp://x")]
    )

    async with refuses(Invalid) as refused:
        await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=words, key=make.key())

    assert [problem.path for problem in refused.value.problems] == [
        ("cover_letter",),
        ("milestones", "0", "description"),
        ("milestones", "0", "amount"),
        ("milestones", "0", "due_on"),
        ("attachments", "0", "url"),
    ]


VERBS: dict[str, Any] = {
    "edit": lambda ctx, of: resolvers.proposals.edit(ctx, proposal_id=of.id, words=WORDS, version=None),
    "withdraw": lambda ctx, of: resolvers.proposals.withdraw(ctx, proposal_id=of.id),
    "shortlist": lambda ctx, of: resolvers.proposals.shortlist(ctx, proposal_id=of.id, on=True),
    "archive": lambda ctx, of: resolvers.proposals.archive(ctx, proposal_id=of.id, on=True),
    "reject": lambda ctx, of: resolvers.proposals.reject(ctx, proposal_id=of.id, reason=None),
    "accept": lambda ctx, of: resolvers.proposals.accept(ctx, proposal_id=of.id),
}
THEIRS = {"edit": "freelancer", "withdraw": "freelancer"}


@pytest.mark.parametrize("verb", VERBS)
async def test_whoever_does_not_see_an_offer_does_not_find_it(verb, proposal, as_, people, refuses):
    for stranger in (people.other_client, people.other_freelancer):
        async with refuses(NotFound):
            await VERBS[verb](as_(stranger), proposal)


@pytest.mark.parametrize("verb", VERBS)
async def test_the_other_party_and_administrators_see_it_and_may_not(verb, proposal, as_, people, refuses):
    other = people.client if THEIRS.get(verb) else people.freelancer
    for wrong in (other, people.admin):
        async with refuses(Forbidden):
            await VERBS[verb](as_(wrong), proposal)


@pytest.mark.parametrize("verb", VERBS)
async def test_whoever_is_not_signed_in_does_nothing_with_offers(verb, proposal, as_, refuses):
    async with refuses(Unauthenticated):
        await VERBS[verb](as_(None), proposal)


@pytest.mark.parametrize("state", [ProposalState.ACCEPTED, ProposalState.REJECTED, ProposalState.WITHDRAWN])
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "archive"])
async def test_a_decided_offer_stays_as_it_is(verb, state, job, as_, keep, people, refuses):
    proposal = await keep(make.proposal(job, people.freelancer, state))
    right = getattr(people, THEIRS.get(verb, "client"))

    async with refuses(ProposalDecided):
        await VERBS[verb](as_(right), proposal)


@pytest.mark.parametrize("state", [JobState.EXPIRED, JobState.CLOSED, JobState.FILLED, JobState.REMOVED])
async def test_nobody_is_hired_on_a_job_that_is_not_open(state, as_, keep, people, refuses):
    job = await keep(make.job(people.client, state))
    proposal = await keep(make.proposal(job, people.freelancer))

    async with refuses(JobClosed):
        await resolvers.proposals.accept(as_(people.client), proposal_id=proposal.id)


async def test_an_edit_of_what_has_changed_since_is_refused_with_how_it_stands(proposal, as_, people, refuses):
    await resolvers.proposals.edit(as_(people.freelancer), proposal_id=proposal.id, words=WORDS, version=1)

    async with refuses(Stale) as refused:
        await resolvers.proposals.edit(as_(people.freelancer), proposal_id=proposal.id, words=WORDS, version=1)

    assert isinstance(refused.value, Stale)
    assert (refused.value.current.id, refused.value.current.version) == (proposal.id, 2)


async def test_a_reason_has_its_bounds(proposal, as_, people, refuses):
    for reason in ("x" * 1_001, "nul\0"):
        async with refuses(Invalid):
            await resolvers.proposals.reject(as_(people.client), proposal_id=proposal.id, reason=reason)


async def test_nobody_proposes_to_or_hires_somebody_who_is_shut_out(job, proposal, as_, people, refuses):
    await resolvers.accounts.suspend(as_(people.admin), account_id=people.freelancer.id)
    async with refuses(PartyUnavailable):
        await resolvers.proposals.accept(as_(people.client), proposal_id=proposal.id)
    await resolvers.accounts.suspend(as_(people.admin), account_id=people.client.id)
    async with refuses(PartyUnavailable):
        await resolvers.proposals.submit(as_(people.other_freelancer), job_id=job.id, words=WORDS, key=make.key())

    await resolvers.accounts.reinstate(as_(people.admin), account_id=people.freelancer.id)
    await resolvers.proposals.accept(as_(people.client), proposal_id=proposal.id)


# Announced

NEW = EventKind.PROPOSAL_SUBMITTED
TOLD: dict[str, tuple[EventKind, set[str]]] = {
    "edit": (EventKind.PROPOSAL_EDITED, {"job", "proposal"}),
    "withdraw": (EventKind.PROPOSAL_WITHDRAWN, {"job", "proposal", "client"}),
    "shortlist": (EventKind.PROPOSAL_SHORTLISTED, {"job"}),
    "archive": (EventKind.PROPOSAL_ARCHIVED, {"job"}),
    "reject": (EventKind.PROPOSAL_REJECTED, {"job", "proposal", "freelancer"}),
}


def streams_of(job: Job, proposal: Proposal, people: make.People) -> dict[str, str]:
    return {
        "job": job_stream(job.id),
        "proposal": proposal_stream(proposal.job_id, proposal.freelancer_id),
        "client": account_stream(people.client.id),
        "freelancer": account_stream(people.freelancer.id),
        "everybody": JOBS_STREAM,
    }


async def test_a_new_offer_is_told_to_the_client(job, as_, people, told, hears):
    async with hears(job_stream(job.id), account_stream(people.client.id), silent=(JOBS_STREAM,)):
        proposal = await resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=WORDS, key=make.key())

    streams = streams_of(job, proposal, people)
    paid = {wallet_stream(people.freelancer.id): [EventKind.WALLET_CHANGED]}
    assert await told() == {streams[name]: [NEW] for name in ("job", "proposal", "client")} | paid


@pytest.mark.parametrize("verb", TOLD)
async def test_what_becomes_of_an_offer_is_told_to_whom_it_concerns(verb, job, proposal, as_, people, told, hears):
    streams, before = streams_of(job, proposal, people), await told()
    kind, told_to = TOLD[verb]
    right = getattr(people, THEIRS.get(verb, "client"))

    loud = tuple(streams[name] for name in sorted(told_to))
    async with hears(*loud, silent=tuple(set(streams.values()) - set(loud))):
        await VERBS[verb](as_(right), proposal)

    expected = {name: list(kinds) for name, kinds in before.items()}
    for name in loud:
        expected.setdefault(name, []).append(kind)
    assert await told() == expected


async def test_a_hire_is_told_to_everybody_it_concerns(job, as_, keep, people, told, hears):
    mine, other = await keep(make.proposal(job, people.freelancer), make.proposal(job, people.other_freelancer))
    concerned = [
        job_stream(job.id),
        *(proposal_stream(one.job_id, one.freelancer_id) for one in (mine, other)),
        *(account_stream(one.id) for one in (people.freelancer, people.other_freelancer)),
    ]

    async with hears(*concerned, silent=(account_stream(people.client.id),)):
        contract = await resolvers.proposals.accept(as_(people.client), proposal_id=mine.id)

    assert await told() == {
        job_stream(job.id): [EventKind.PROPOSAL_ACCEPTED, EventKind.JOB_FILLED, EventKind.PROPOSAL_REJECTED],
        proposal_stream(mine.job_id, mine.freelancer_id): [EventKind.PROPOSAL_ACCEPTED],
        account_stream(people.freelancer.id): [EventKind.PROPOSAL_ACCEPTED, EventKind.CONTRACT_STARTED],
        contract_stream(contract.id): [EventKind.CONTRACT_STARTED],
        proposal_stream(other.job_id, other.freelancer_id): [EventKind.PROPOSAL_REJECTED],
        account_stream(people.other_freelancer.id): [EventKind.PROPOSAL_REJECTED],
    }


# Two at once


async def count(house: Any, *conditions: Any) -> int:
    async with house.database.reading() as session:
        return await session.scalar(select(func.count()).where(*conditions)) or 0


@pytest.mark.timeout(300)  # three thousand accepts, a third of which write a contract
async def test_of_two_accepts_of_one_offer_and_one_of_a_rival_at_once_one_hires(house, keep, as_, people, told, duel):
    jobs = [make.job(people.client) for _ in range(JOBS_WITH_RIVALS)]
    rivals = [(make.proposal(job, people.freelancer), make.proposal(job, people.other_freelancer)) for job in jobs]
    await keep(*jobs, *(offer for pair in rivals for offer in pair))

    def accept(offer):
        return lambda: resolvers.proposals.accept(as_(people.client), proposal_id=offer.id)

    for answers in await duel([(accept(one), accept(other), accept(one)) for one, other in rivals]):
        counted = kinds(answers)
        assert counted[Contract] == 1
        assert counted[ProposalDecided] + counted[JobClosed] == 2
    assert await count(house, Contract.id.is_not(None)) == JOBS_WITH_RIVALS
    assert await count(house, Job.state == JobState.FILLED) == JOBS_WITH_RIVALS
    await must_add_up(house)
    await told()


async def test_of_two_offers_at_once_from_one_freelancer_one_is_refused(house, keep, as_, people, told, duel):
    jobs = await keep(*(make.job(people.client) for _ in range(SUBMITS_AT_ONCE)))

    def submit(job):
        return lambda: resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=WORDS, key=make.key())

    for pair in await duel([(submit(job), submit(job)) for job in jobs]):
        assert kinds(pair) == {Proposal: 1, AlreadyProposed: 1}
    assert await count(house, Proposal.id.is_not(None)) == SUBMITS_AT_ONCE
    assert await count(house, ProposalMilestone.id.is_not(None)) == SUBMITS_AT_ONCE * 2
    assert (await told())[account_stream(people.client.id)] == [NEW] * SUBMITS_AT_ONCE


async def test_an_offer_is_accepted_or_withdrawn_and_never_both(house, keep, as_, people, told, duel):
    jobs = [make.job(people.client) for _ in range(DUELS_EACH)]
    offers = [make.proposal(job, people.freelancer) for job in jobs]
    await keep(*jobs, *offers)

    def both(offer):
        accept = lambda: resolvers.proposals.accept(as_(people.client), proposal_id=offer.id)  # noqa: E731
        withdraw = lambda: resolvers.proposals.withdraw(as_(people.freelancer), proposal_id=offer.id)  # noqa: E731
        return (accept, withdraw) if offer.id.int % 2 else (withdraw, accept)

    for pair in await duel([both(offer) for offer in offers]):
        assert kinds(pair) in ({Contract: 1, ProposalDecided: 1}, {Proposal: 1, ProposalDecided: 1})
    await must_add_up(house)
    await told()


@pytest.mark.parametrize("verb", ["submit", "accept"])
async def test_a_job_closes_before_or_after_and_leaves_nobody_waiting(verb, house, keep, as_, people, told, duel):
    jobs = [make.job(people.client) for _ in range(DUELS_EACH)]
    offers = [make.proposal(job, people.freelancer) for job in jobs] if verb == "accept" else []
    await keep(*jobs, *offers)

    def both(at, job):
        close = lambda: resolvers.jobs.close(as_(people.client), job_id=job.id)  # noqa: E731
        submit = lambda: resolvers.proposals.submit(as_(people.freelancer), job_id=job.id, words=WORDS, key=make.key())  # noqa: E731
        accept = lambda: resolvers.proposals.accept(as_(people.client), proposal_id=offers[at].id)  # noqa: E731
        other = submit if verb == "submit" else accept
        return (close, other) if at % 2 else (other, close)

    for pair in await duel([both(at, job) for at, job in enumerate(jobs)]):
        assert all(not isinstance(answer, Exception) or isinstance(answer, Conflict) for answer in pair), pair
    await must_add_up(house)
    await told()


async def test_of_two_edits_of_one_version_at_once_one_is_stale(house, keep, as_, people, told, duel):
    jobs = [make.job(people.client) for _ in range(DUELS_EACH)]
    offers = [make.proposal(job, people.freelancer) for job in jobs]
    await keep(*jobs, *offers)

    def edit(offer):
        return lambda: resolvers.proposals.edit(as_(people.freelancer), proposal_id=offer.id, words=WORDS, version=1)

    for pair in await duel([(edit(offer), edit(offer)) for offer in offers]):
        assert kinds(pair) == {Proposal: 1, Stale: 1}
    assert await count(house, Proposal.version == 2) == DUELS_EACH
    assert await count(house, ProposalMilestone.id.is_not(None)) == DUELS_EACH * 2
    await told()


async def test_of_two_edits_at_once_that_name_no_version_both_are_kept(proposal, as_, people, stored, parts_of):
    words = [make.proposal_words(bid_cents=cents, milestones=[MilestoneWords("All", cents)]) for cents in (1_00, 2_00)]

    await asyncio.gather(
        *(
            resolvers.proposals.edit(as_(people.freelancer), proposal_id=proposal.id, words=said, version=None)
            for said in words
        )
    )

    kept, (milestones, _) = await stored(proposal), await parts_of(proposal)
    assert kept.version == 3
    assert [part.amount_cents for part in milestones] == [kept.bid_cents]
