"""What is done with work on offer: written down, published, changed, renewed, closed."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import loaders.accounts
import loaders.jobs
import loaders.proposals
import resolvers.connects
import resolvers.media
from loaders.work import UnitOfWork
from models.activity import JOBS_STREAM, EventKind, account_stream, event, job_stream, proposal_stream
from models.errors import NotFound
from models.jobs import WARNING_DAYS, Invitation, Job, JobAttachment, JobSkill, JobWords, looked_up
from models.media import UploadGroup
from resolvers.context import Context

SWEEP_MAX = 100
"""Jobs ended or warned of in one transaction."""

IDS_MAX = 1_000
"""Ids that are looked for in the catalogue; more are too many anyway."""


async def draft(ctx: Context, *, words: JobWords) -> Job:
    """Write a job down; nobody else sees it yet."""
    async with ctx.writing() as work:
        job = Job.draft(ctx.me, await _looked_up(work, words), at=ctx.now())
        await resolvers.media.exchange(ctx, work, old=(), new=words.attachment_ids, group=UploadGroup.ATTACHMENTS)
        work.add(job)
        work.add_all(JobSkill(job_id=job.id, skill_id=skill_id) for skill_id in set(words.skill_ids))
        work.add_all(JobAttachment.of(job, words.attachment_ids))
    return job


async def edit(ctx: Context, *, job_id: UUID, words: JobWords, version: int | None) -> Job:
    """Change a draft or an open job; those with a pending proposal are told."""
    me = ctx.me
    async with ctx.writing() as work:
        job = await loaders.jobs.lock(work, job_id, *ctx.eyes)
        pending = await loaders.proposals.count_pending(work, job.id)
        job.edit(me, await _looked_up(work, words), version, pending=pending)
        await loaders.jobs.replace_skills(work, job.id, set(words.skill_ids))
        await _replace_attachments(ctx, work, job, words.attachment_ids)
        work.leave(event(job_stream(job.id), EventKind.JOB_EDITED, job, by=me.id, at=ctx.now()))
        await _tell_proposers(ctx, work, job, EventKind.JOB_EDITED)
    return job


async def _replace_attachments(ctx: Context, work: UnitOfWork, job: Job, upload_ids: Sequence[UUID]) -> None:
    old = await loaders.jobs.attached(work, job.id)
    await resolvers.media.exchange(ctx, work, old=old, new=upload_ids, group=UploadGroup.ATTACHMENTS)
    await loaders.jobs.replace_attachments(work, job, upload_ids)


async def _looked_up(work: UnitOfWork, words: JobWords) -> JobWords:
    if len(words.skill_ids) > IDS_MAX:
        return words
    category_known, skills_known = await loaders.jobs.in_catalogue(work, words)
    return looked_up(words, category_known=category_known, skills_known=skills_known)


async def _tell_proposers(ctx: Context, work: UnitOfWork, job: Job, kind: EventKind) -> None:
    for freelancer_id in await loaders.proposals.freelancers_of(work, job.id):
        work.leave(event(account_stream(freelancer_id), kind, job, by=ctx.me.id, at=ctx.now()))


async def publish(ctx: Context, *, job_id: UUID) -> Job:
    """Show a draft to everybody."""
    me = ctx.me
    async with ctx.writing() as work:
        job = await loaders.jobs.lock(work, job_id, *ctx.eyes)
        job.publish(me, at=ctx.now(), config=ctx.config)
        for stream in (job_stream(job.id), JOBS_STREAM):
            work.leave(event(stream, EventKind.JOB_PUBLISHED, job, by=me.id, at=ctx.now()))
    return job


async def renew(ctx: Context, *, job_id: UUID) -> Job:
    """Keep a job open for another term, or open it again."""
    me = ctx.me
    async with ctx.writing() as work:
        job = await loaders.jobs.lock(work, job_id, *ctx.eyes)
        job.renew(me, at=ctx.now(), config=ctx.config)
        work.leave(event(job_stream(job.id), EventKind.JOB_RENEWED, job, by=me.id, at=ctx.now()))
    return job


async def close(ctx: Context, *, job_id: UUID) -> Job:
    """Take no more proposals; those that are pending are rejected, and their freelancers told."""
    me = ctx.me
    async with ctx.writing() as work:
        job = await loaders.jobs.lock(work, job_id, *ctx.eyes)
        job.close(me)
        work.leave(event(job_stream(job.id), EventKind.JOB_CLOSED, job, by=me.id, at=ctx.now()))
        await reject_pending(ctx, work, job, "The job was closed.")
    return job


async def remove(ctx: Context, *, job_id: UUID) -> Job:
    """Take a job away that breaks the rules of the place; its client and those who proposed are told."""
    me = ctx.me
    async with ctx.writing() as work:
        job = await loaders.jobs.lock(work, job_id, *ctx.eyes)
        job.remove(me)
        for stream in (job_stream(job.id), account_stream(job.client_id)):
            work.leave(event(stream, EventKind.JOB_REMOVED, job, by=me.id, at=ctx.now()))
        await reject_pending(ctx, work, job, "The job was removed.")
    return job


async def reject_pending(ctx: Context, work: UnitOfWork, job: Job, reason: str) -> None:
    """Reject every proposal that is still pending on a held job that takes no more, and tell the freelancers.

    What they cost is returned if nobody had a chance.
    """
    pending = await loaders.proposals.lock_pending(work, job)
    if job.returns_connects:
        await resolvers.connects.restore(ctx, work, pending)
    for proposal in pending:
        proposal.lose(reason, at=ctx.now())
        mine = (proposal_stream(job.id, proposal.freelancer_id), account_stream(proposal.freelancer_id))
        for stream in (job_stream(job.id), *mine):
            work.leave(event(stream, EventKind.PROPOSAL_REJECTED, proposal, by=ctx.me.id, at=ctx.now()))


async def invite(ctx: Context, *, job_id: UUID, freelancer_id: UUID) -> Invitation:
    """Ask a freelancer for an offer, which then costs nothing; she is told."""
    me = ctx.me
    async with ctx.writing() as work:
        job = await loaders.jobs.lock(work, job_id, *ctx.eyes)
        freelancer = await loaders.accounts.freelancer_party(work, freelancer_id)
        count = await loaders.jobs.count_invitations(work, job.id)
        invitation = Invitation.send(job, me, freelancer, count=count, at=ctx.now())
        work.add(invitation)
        for stream in (job_stream(job.id), account_stream(freelancer.id)):
            work.leave(event(stream, EventKind.FREELANCER_INVITED, invitation, by=me.id, at=ctx.now()))
    return invitation


async def expire_due(ctx: Context) -> int:
    """End jobs whose time is over and warn of those whose time soon is; safe to run twice, and at once.

    Returns the number of jobs touched, so that the caller knows whether there may be more.
    """
    warning = timedelta(days=ctx.config[WARNING_DAYS])
    async with ctx.writing() as work:
        due = await loaders.jobs.lock_due(work, ctx.now(), warning, SWEEP_MAX)
        for job in due:
            if job.expire(at=ctx.now()):
                kind = EventKind.JOB_EXPIRED
            elif job.warn(at=ctx.now(), config=ctx.config):
                kind = EventKind.JOB_EXPIRES_SOON
            else:
                continue
            for stream in (job_stream(job.id), account_stream(job.client_id)):
                work.leave(event(stream, kind, job, by=None, at=ctx.now()))
    return len(due)


async def must_exist(ctx: Context, job_id: UUID) -> Job:
    """The job, for somebody who may see it."""
    job = await ctx.loaders.one(loaders.jobs.by_id, job_id)
    if job is None:
        raise NotFound
    return job
