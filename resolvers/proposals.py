"""What is done with offers: made, changed, taken back, weighed, and accepted into contracts."""

from collections.abc import AsyncIterator
from uuid import UUID

import loaders.accounts
import loaders.contracts
import loaders.jobs
import loaders.offering
import loaders.payments
import loaders.proposals
import resolvers.activity
import resolvers.connects
import resolvers.idempotency
import resolvers.jobs
import resolvers.media
import resolvers.payments
from loaders.offering import Offer, Terms
from loaders.work import UnitOfWork
from models.activity import Event, EventKind, account_stream, contract_stream, event, job_stream, proposal_stream
from models.connects import Moving, spend
from models.contracts import Contract, Milestone
from models.idempotency import Once
from models.jobs import Job
from models.media import UploadGroup
from models.proposals import (
    Proposal,
    ProposalAttachment,
    ProposalMilestone,
    ProposalWords,
)
from resolvers.context import Context, LongWay


async def submit(
    ctx: Context, *, job_id: UUID, words: ProposalWords, key: str, agreed_cost: int | None = None
) -> Proposal:
    """Make an offer on a job, and pay for it in Connects unless one is invited."""
    me = ctx.me
    once = Once.of(me, key, "submitProposal", job_id, words, agreed_cost)
    if ctx.is_recalled:
        return await _submit_at_once(ctx, once, job_id=job_id, words=words, agreed_cost=agreed_cost)
    async with ctx.writing() as work:
        if first := await resolvers.idempotency.first_answer(ctx, work, once, Proposal):
            return first
        job, is_invited = await loaders.jobs.hold(work, job_id, *ctx.eyes)
        proposal = Proposal.submit(
            job, me, words, at=ctx.now(), invited=is_invited, agreed=agreed_cost, key=once.subject_id
        )
        (await loaders.accounts.party(work, job.client_id)).must_be_available()
        await resolvers.media.exchange(ctx, work, old=(), new=words.upload_ids, group=UploadGroup.ATTACHMENTS)
        work.add(proposal)
        work.add_all(_parts(proposal, words))
        await resolvers.connects.charge(ctx, work, proposal)
        _tell(ctx, work, proposal, EventKind.PROPOSAL_SUBMITTED, job.client_id)
    return proposal


async def _submit_at_once(
    ctx: Context, once: Once, *, job_id: UUID, words: ProposalWords, agreed_cost: int | None
) -> Proposal:
    """The same by two statements, and one of them sees whether she who is remembered is signed in yet.

    What the rules refuse here they would have refused then: whoever used the key before would have been seen.
    """
    if words.upload_ids:
        raise LongWay
    me, now = ctx.me, ctx.now()
    found = await ctx.one_of(loaders.offering.terms_for(me.audience), {"job_id": job_id, "key": once.key})
    if found is None:
        raise LongWay
    terms = loaders.offering.read(found)
    proposal = Proposal.submit(
        terms.job, me, words, at=now, invited=terms.is_invited, agreed=agreed_cost, key=once.subject_id
    )
    spending = _spending(proposal, terms)
    events = _news(ctx, proposal, EventKind.PROPOSAL_SUBMITTED, terms.job.client_id)
    if spending:
        events += resolvers.payments.wallet_news(ctx, me.id)
    await _write(ctx, Offer(terms, once, [proposal, *_parts(proposal, words)], spending, events, now))
    ctx.loaders.forget(kept=True)
    return proposal


def _spending(proposal: Proposal, terms: Terms) -> Moving | None:
    if proposal.connects_cost == 0:
        return None
    if terms.spent is None:
        raise LongWay
    payer, at = proposal.freelancer_id, proposal.submitted_at
    return spend(proposal, payer, proposal.connects_cost, terms.lots, spent=terms.spent, at=at)


async def _write(ctx: Context, offer: Offer) -> None:
    """Write an offer, and let everybody look who is to know."""
    assert ctx.deeds is not None
    streams = {event.stream for event in offer.events}
    # As long as nobody knows, it may have been kept: a ring too many costs a look.
    rings: dict[str, int | str] = dict.fromkeys(streams, "")
    try:
        sequel = ctx.showing(Proposal, offer.once.subject_id) if ctx.showing else None
        last = loaders.offering.numbers(await ctx.deeds.do(offer, sequel))
        rings = {stream: last[stream] for stream in streams}
    finally:
        await ctx.ring(rings)


def _parts(proposal: Proposal, words: ProposalWords) -> list[ProposalMilestone | ProposalAttachment]:
    return [*ProposalMilestone.of(proposal, words), *ProposalAttachment.of(proposal, words)]


def _tell(ctx: Context, work: UnitOfWork, proposal: Proposal, kind: EventKind, other: UUID | None) -> None:
    work.leave(*_news(ctx, proposal, kind, other))


def _news(ctx: Context, proposal: Proposal, kind: EventKind, other: UUID | None) -> list[Event]:
    streams = [job_stream(proposal.job_id), proposal_stream(proposal.job_id, proposal.freelancer_id)]
    if other is not None:
        streams.append(account_stream(other))
    by, at = ctx.me.id, ctx.now()
    return [event(stream, kind, proposal, by=by, at=at) for stream in streams]


async def _lock(ctx: Context, work: UnitOfWork, proposal_id: UUID) -> tuple[Job, Proposal]:
    """Hold the job, then the proposal, in the order that everybody keeps."""
    job_id = await loaders.proposals.job_of(work, proposal_id, *ctx.eyes)
    job = await loaders.jobs.lock_seen(work, job_id)
    return job, await loaders.proposals.lock(work, proposal_id)


async def edit(ctx: Context, *, proposal_id: UUID, words: ProposalWords, version: int | None) -> Proposal:
    """Change an offer while it is pending."""
    me = ctx.me
    async with ctx.writing() as work:
        job, proposal = await _lock(ctx, work, proposal_id)
        proposal.edit(job, me, words, version, at=ctx.now())
        old = await loaders.proposals.attached(work, proposal.id)
        await resolvers.media.exchange(ctx, work, old=old, new=words.upload_ids, group=UploadGroup.ATTACHMENTS)
        await loaders.proposals.drop_parts(work, proposal.id)
        work.add_all(_parts(proposal, words))
        _tell(ctx, work, proposal, EventKind.PROPOSAL_EDITED, None)
    return proposal


async def withdraw(ctx: Context, *, proposal_id: UUID) -> Proposal:
    """Take an offer back."""
    me = ctx.me
    async with ctx.writing() as work:
        job, proposal = await _lock(ctx, work, proposal_id)
        proposal.withdraw(job, me, at=ctx.now())
        _tell(ctx, work, proposal, EventKind.PROPOSAL_WITHDRAWN, job.client_id)
    return proposal


async def shortlist(ctx: Context, *, proposal_id: UUID, on: bool) -> Proposal:
    """Keep an offer at hand, or no longer."""
    me = ctx.me
    async with ctx.writing() as work:
        job, proposal = await _lock(ctx, work, proposal_id)
        proposal.shortlist(job, me, on=on)
        _tell_client(ctx, work, proposal, EventKind.PROPOSAL_SHORTLISTED)
    return proposal


async def archive(ctx: Context, *, proposal_id: UUID, on: bool) -> Proposal:
    """Put an offer out of sight, or back."""
    me = ctx.me
    async with ctx.writing() as work:
        job, proposal = await _lock(ctx, work, proposal_id)
        proposal.archive(job, me, on=on)
        _tell_client(ctx, work, proposal, EventKind.PROPOSAL_ARCHIVED)
    return proposal


def _tell_client(ctx: Context, work: UnitOfWork, proposal: Proposal, kind: EventKind) -> None:
    """Tell the client's other windows; it is none of the freelancer's business."""
    work.leave(event(job_stream(proposal.job_id), kind, proposal, by=ctx.me.id, at=ctx.now()))


async def reject(ctx: Context, *, proposal_id: UUID, reason: str | None) -> Proposal:
    """Say no to an offer."""
    me = ctx.me
    async with ctx.writing() as work:
        job, proposal = await _lock(ctx, work, proposal_id)
        proposal.reject(job, me, reason, at=ctx.now())
        _tell(ctx, work, proposal, EventKind.PROPOSAL_REJECTED, proposal.freelancer_id)
    return proposal


async def accept(ctx: Context, *, proposal_id: UUID, version: int | None = None) -> Contract:
    """Hire a freelancer: a contract begins, and the last wanted one fills the job, which rejects the other offers."""
    me, now = ctx.me, ctx.now()
    async with ctx.writing() as work:
        job, proposal = await _lock(ctx, work, proposal_id)
        proposal.accept(job, me, version, at=now)
        (await loaders.accounts.party(work, proposal.freelancer_id)).must_be_available()
        contract = Contract.begin(job, proposal, await loaders.payments.fees_at(work, now), at=now)
        work.add(contract)
        work.add_all(Milestone.of(contract, await loaders.proposals.parts(work, proposal.id)))
        work.add(contract.begun(me))
        _tell(ctx, work, proposal, EventKind.PROPOSAL_ACCEPTED, proposal.freelancer_id)
        for stream in (contract_stream(contract.id), account_stream(contract.freelancer_id)):
            work.leave(event(stream, EventKind.CONTRACT_STARTED, contract, by=me.id, at=now))
        if job.is_filled:
            work.leave(event(job_stream(job.id), EventKind.JOB_FILLED, job, by=me.id, at=now))
            await resolvers.jobs.reject_pending(ctx, work, job, "Somebody else was hired.")
    return contract


async def changes(ctx: Context, *, job_id: UUID) -> AsyncIterator[tuple[Event, Proposal]]:
    """What happens to the proposals of a job, as far as the viewer may see them, from now on."""
    job = await resolvers.jobs.must_exist(ctx, job_id)
    # To each a stream of their own: what somebody is not to know takes none of the numbers in her cursors.
    stream = job_stream(job_id) if job.client_id == ctx.me.id else proposal_stream(job_id, ctx.me.id)
    async for happened in resolvers.activity.follow(ctx, stream):
        if happened.subject != Proposal.noun:
            continue
        proposal = await resolvers.activity.subject(ctx, loaders.proposals.by_id, happened.subject_id)
        if proposal is not None:
            yield happened, proposal
