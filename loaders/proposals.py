"""Who offered what, to whom, as far as it is the viewer's business."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation, Summary, offered
from models.base import NOW, VIEWER, Audience
from models.errors import NotFound
from models.jobs import Job, JobState
from models.proposals import (
    BID_RANGE_MIN,
    STEPS,
    Proposal,
    ProposalAction,
    ProposalAttachment,
    ProposalMilestone,
    ProposalState,
)
from models.states import Party

STANDING = Proposal.state != ProposalState.WITHDRAWN

by_id = Relation(Proposal, Proposal.id)
of_job = Relation(Proposal, Proposal.job_id, order=(Proposal.id,))
of_freelancer = Relation(Proposal, Proposal.freelancer_id, order=(Proposal.id,), descending=True)
standing = Relation(Proposal, Proposal.job_id, among=STANDING, counted_for_all=True)
live_of_viewer = Relation(
    Proposal,
    Proposal.job_id,
    among=and_(Proposal.freelancer_id == VIEWER, Proposal.state.in_([ProposalState.PENDING, ProposalState.ACCEPTED])),
)
milestones = Relation(ProposalMilestone, ProposalMilestone.proposal_id, order=(ProposalMilestone.position,))
attachments = Relation(ProposalAttachment, ProposalAttachment.proposal_id, order=(ProposalAttachment.position,))
bids = Summary(
    Proposal,
    Proposal.job_id,
    (
        func.min(Proposal.bid_cents).label("low_cents"),
        func.max(Proposal.bid_cents).label("high_cents"),
        func.min(Proposal.currency).label("currency"),
    ),
    among=STANDING,
    having=func.count(Proposal.freelancer_id.distinct()) >= BID_RANGE_MIN,
)


def _job_is(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(Job.id == Proposal.job_id, *conditions).correlate(Proposal)


def actions(audience: Audience) -> ColumnElement[Any]:
    """What the viewer may do with a proposal, as `Proposal.actions_for` tells it, as far as she sees the job."""
    is_open = and_(Job.state == JobState.OPEN, or_(Job.expires_at.is_(None), Job.expires_at > NOW))
    return offered(
        STEPS,
        Proposal.state,
        {
            Party.FREELANCER: and_(Proposal.freelancer_id == VIEWER, _job_is(Job.seen_by(audience))),
            Party.CLIENT: _job_is(Job.client_id == VIEWER, Job.seen_by(audience)),
        },
        {ProposalAction.ACCEPT: _job_is(is_open)},
    )


def is_shortlisted(audience: Audience) -> ColumnElement[Any]:
    """Whether the client keeps a proposal at hand, for the client alone."""
    return case((_job_is(Job.client_id == VIEWER, Job.seen_by(audience)), Proposal.shortlisted))


def is_archived(audience: Audience) -> ColumnElement[Any]:
    """Whether the client put a proposal out of sight, for the client alone."""
    return case((_job_is(Job.client_id == VIEWER, Job.seen_by(audience)), Proposal.archived))


async def job_of(session: AsyncSession, proposal_id: UUID, viewer_id: UUID, audience: Audience) -> UUID:
    """The job that a proposal was made on, for those who see the proposal."""
    query = select(Proposal.job_id).where(Proposal.id == proposal_id, Proposal.seen_by(audience))
    found: UUID | None = await session.scalar(query, {"viewer_id": viewer_id})
    if found is None:
        raise NotFound
    return found


async def lock(session: AsyncSession, proposal_id: UUID) -> Proposal:
    """The proposal, held until the transaction ends; its job is held before."""
    return await session.get_one(Proposal, proposal_id, with_for_update={"key_share": True})


async def lock_pending(session: AsyncSession, job: Job) -> Sequence[Proposal]:
    """The pending proposals of a job that is held already, held until the transaction ends."""
    query = select(Proposal).where(Proposal.job_id == job.id, Proposal.state == ProposalState.PENDING)
    return (await session.scalars(query.order_by(Proposal.id).with_for_update(key_share=True))).all()


async def count_pending(session: AsyncSession, job_id: UUID) -> int:
    """How many proposals on a held job are pending; whoever makes or changes one has to hold the job, too."""
    query = select(func.count()).where(Proposal.job_id == job_id, Proposal.state == ProposalState.PENDING)
    return await session.scalar(query) or 0


async def freelancers_of(session: AsyncSession, job_id: UUID) -> Sequence[UUID]:
    """Who has a pending proposal on a job."""
    query = select(Proposal.freelancer_id).where(Proposal.job_id == job_id, Proposal.state == ProposalState.PENDING)
    return (await session.scalars(query.order_by(Proposal.freelancer_id))).all()


async def parts(session: AsyncSession, proposal_id: UUID) -> Sequence[ProposalMilestone]:
    """The milestones of a proposal that is held already, in order."""
    query = select(ProposalMilestone).where(ProposalMilestone.proposal_id == proposal_id)
    return (await session.scalars(query.order_by(ProposalMilestone.position))).all()


async def attached(session: AsyncSession, proposal_id: UUID) -> Sequence[UUID]:
    """The uploads attached to a held proposal."""
    query = select(ProposalAttachment.upload_id).where(ProposalAttachment.proposal_id == proposal_id)
    return [upload_id for upload_id in await session.scalars(query) if upload_id]


async def drop_parts(session: AsyncSession, proposal_id: UUID) -> None:
    """Take the milestones and attachments off a proposal, to be said anew."""
    await session.execute(delete(ProposalMilestone).where(ProposalMilestone.proposal_id == proposal_id))
    await session.execute(delete(ProposalAttachment).where(ProposalAttachment.proposal_id == proposal_id))
