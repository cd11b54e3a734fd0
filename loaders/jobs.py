"""Which work is on offer."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    delete,
    exists,
    false,
    func,
    not_,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation, offered, viewer_is
from models.accounts import Role
from models.base import NOW, VIEWER, Audience
from models.errors import NotFound
from models.jobs import STEPS, Category, Invitation, Job, JobAction, JobAttachment, JobSkill, JobState, JobWords, Skill
from models.media import Upload
from models.proposals import Proposal, ProposalState
from models.states import Party

by_id = Relation(Job, Job.id)
newest = Relation(
    Job,
    order=(Job.published_at, Job.id),
    descending=True,
    # Open until it is over, noted or not.
    among=and_(Job.state == JobState.OPEN, Job.expires_at > NOW),
    filters={
        "category_id": Job.category_id == bindparam("category_id", type_=Uuid()),
        "experience": Job.experience == any_(bindparam("experience", type_=ARRAY(Text))),
        "duration": Job.duration == any_(bindparam("duration", type_=ARRAY(Text))),
        "budget_kind": Job.budget_kind == bindparam("budget_kind", type_=Text()),
        "skill_ids": exists().where(
            JobSkill.job_id == Job.id, JobSkill.skill_id == any_(bindparam("skill_ids", type_=ARRAY(Uuid)))
        ),
    },
)
of_client = Relation(Job, Job.client_id, order=(Job.id,), descending=True)
skills = Relation(Skill, JobSkill.job_id, order=(Skill.name,), via=(JobSkill, JobSkill.skill_id == Skill.id))
skill = Relation(Skill, Skill.id)
attachments = Relation(
    Upload,
    JobAttachment.job_id,
    order=(JobAttachment.position,),
    via=(JobAttachment, JobAttachment.upload_id == Upload.id),
)
invitation = Relation(Invitation, Invitation.id)
invitations = Relation(Invitation, Invitation.job_id, order=(Invitation.id,))
invitations_of_freelancer = Relation(Invitation, Invitation.freelancer_id, order=(Invitation.id,), descending=True)
category = Relation(Category, Category.id)
categories = Relation(Category, order=(Category.name, Category.id))
all_skills = Relation(Skill, order=(Skill.name, Skill.id))


def actions(_audience: Audience) -> ColumnElement[Any]:
    """What the viewer may do with a job, as `Job.actions_for` tells it."""
    mine = func.coalesce(Job.client_id == VIEWER, false())
    live = exists().where(
        Proposal.job_id == Job.id,
        Proposal.freelancer_id == VIEWER,
        Proposal.state.in_([ProposalState.PENDING, ProposalState.ACCEPTED]),
    )
    in_time = or_(Job.expires_at.is_(None), Job.expires_at > NOW)
    return offered(
        STEPS,
        Job.state,
        {
            Party.CLIENT: mine,
            Party.FREELANCER: and_(viewer_is(Role.FREELANCER), not_(mine)),
            Party.ADMIN: viewer_is(Role.ADMIN),
        },
        {JobAction.PROPOSE: and_(in_time, not_(live)), JobAction.INVITE: in_time},
    )


async def lock(session: AsyncSession, job_id: UUID, viewer_id: UUID, audience: Audience) -> Job:
    """The job, held until the transaction ends, so that its state cannot move under us; unseen is not found."""
    return await _seen(session, _one(job_id, audience).with_for_update(key_share=True), viewer_id)


async def hold(session: AsyncSession, job_id: UUID, viewer_id: UUID, audience: Audience) -> tuple[Job, bool]:
    """The job, kept as it is until the transaction ends, and whether the viewer is invited to it.

    Many may hold it so at once, and nobody may change it.
    """
    asked = exists().where(Invitation.job_id == Job.id, Invitation.freelancer_id == VIEWER)
    query = _one(job_id, audience).add_columns(asked).with_for_update(read=True, of=Job)
    found = (await session.execute(query, {"viewer_id": viewer_id})).one_or_none()
    if found is None:
        raise NotFound
    job, is_invited = found
    return job, is_invited


def _one(job_id: UUID, audience: Audience) -> Select[Job]:
    return select(Job).where(Job.id == job_id, Job.seen_by(audience))


async def _seen(session: AsyncSession, query: Select[Job], viewer_id: UUID) -> Job:
    found: Job | None = await session.scalar(query, {"viewer_id": viewer_id})
    if found is None:
        raise NotFound
    return found


async def lock_seen(session: AsyncSession, job_id: UUID) -> Job:
    """The job of something the caller sees, held until the transaction ends."""
    return await session.get_one(Job, job_id, with_for_update={"key_share": True})


async def replace_skills(session: AsyncSession, job_id: UUID, skill_ids: Collection[UUID]) -> None:
    """Let a held job ask for these skills and no others."""
    await session.execute(delete(JobSkill).where(JobSkill.job_id == job_id))
    session.add_all(JobSkill(job_id=job_id, skill_id=skill_id) for skill_id in skill_ids)


async def attached(session: AsyncSession, job_id: UUID) -> Sequence[UUID]:
    """The uploads attached to a held job."""
    return (await session.scalars(select(JobAttachment.upload_id).where(JobAttachment.job_id == job_id))).all()


async def replace_attachments(session: AsyncSession, job: Job, upload_ids: Sequence[UUID]) -> None:
    """Let a held job have these attachments and no others."""
    await session.execute(delete(JobAttachment).where(JobAttachment.job_id == job.id))
    session.add_all(JobAttachment.of(job, upload_ids))


async def count_invitations(session: AsyncSession, job_id: UUID) -> int:
    """How many freelancers are invited to a held job."""
    return await session.scalar(select(func.count()).where(Invitation.job_id == job_id)) or 0


async def in_catalogue(session: AsyncSession, words: JobWords) -> tuple[bool, int]:
    """Whether the catalogue has the category of a job, and how many of its skills."""
    known = select(
        exists().where(Category.id == words.category_id),
        select(func.count()).where(Skill.id.in_(set(words.skill_ids))).scalar_subquery(),
    )
    category_known, skills_known = (await session.execute(known)).one()
    return category_known, skills_known


async def lock_due(session: AsyncSession, at: datetime, warning: timedelta, limit: int) -> Sequence[Job]:
    """Open jobs whose time is over, or whose client is to be told that it soon is; those others hold are left out."""
    due = or_(Job.expires_at <= at, (Job.expires_at <= at + warning) & Job.warned_at.is_(None))
    query = select(Job).where(Job.state == JobState.OPEN, due).order_by(Job.id).limit(limit)
    return (await session.scalars(query.with_for_update(key_share=True, skip_locked=True))).all()
