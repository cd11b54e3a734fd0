"""Which files there are, or are to come, and whose they are."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation, offered
from models.base import VIEWER, Audience
from models.errors import NotFound
from models.media import STEPS, Upload, UploadGroup, UploadState, Usage
from models.states import Party

by_id = Relation(Upload, Upload.id)
of_account = Relation(
    Upload, Upload.owner_id, order=(Upload.id,), descending=True, among=Upload.state != UploadState.SWEPT
)


def actions(_audience: Audience) -> ColumnElement[Any]:
    """What the viewer may do with an upload, as `Upload.actions_for` tells it."""
    return offered(STEPS, Upload.state, {Party.OWNER: Upload.owner_id == VIEWER})


async def usage(session: AsyncSession, account_id: UUID) -> Usage:
    """What an account that is held already has requested and brought."""
    requested = func.count().filter(Upload.state == UploadState.REQUESTED)
    query = select(requested, func.coalesce(func.sum(Upload.size), 0))
    query = query.where(Upload.owner_id == account_id, Upload.state != UploadState.SWEPT)
    open_count, bytes_total = (await session.execute(query)).one()
    return Usage(open_count, int(bytes_total))


async def lock(session: AsyncSession, upload_id: UUID, viewer_id: UUID, audience: Audience) -> Upload:
    """The upload, held until the transaction ends; unseen is not found."""
    return (await lock_several(session, [upload_id], viewer_id, audience))[0]


async def lock_several(
    session: AsyncSession, upload_ids: Collection[UUID], viewer_id: UUID, audience: Audience
) -> Sequence[Upload]:
    """These uploads, held in the order of their ids until the transaction ends; one unseen, and none is found."""
    query = select(Upload).where(Upload.id.in_(upload_ids), Upload.seen_by(audience)).order_by(Upload.id)
    found = (await session.scalars(query.with_for_update(key_share=True), {"viewer_id": viewer_id})).all()
    if len(found) != len(set(upload_ids)):
        raise NotFound
    return found


async def lock_any(session: AsyncSession, upload_id: UUID) -> Upload:
    """The upload of a ticket, held until the transaction ends; whoever has the ticket has the right to it."""
    found = await session.get(Upload, upload_id, with_for_update={"key_share": True})
    if found is None:
        raise NotFound
    return found


async def lock_delivered(session: AsyncSession, group: UploadGroup, stored_name: str) -> Upload | None:
    """What a machine brought under a name before, held until the transaction ends."""
    query = select(Upload).where(Upload.group == group, Upload.stored_name == stored_name, Upload.owner_id.is_(None))
    found: Upload | None = await session.scalar(query.with_for_update(key_share=True))
    return found


async def lock_due(session: AsyncSession, at: datetime, limit: int) -> Sequence[Upload]:
    """Uploads that the sweeper has to look at, those longest due first; what others hold is left out."""
    query = select(Upload).where(Upload.due_at <= at).order_by(Upload.due_at, Upload.id).limit(limit)
    return (await session.scalars(query.with_for_update(key_share=True, skip_locked=True))).all()


async def lock_swept(session: AsyncSession, upload_ids: Collection[UUID]) -> Sequence[Upload]:
    """Those of these uploads that are swept, held until the transaction ends."""
    query = select(Upload).where(Upload.id.in_(upload_ids), Upload.state == UploadState.SWEPT).order_by(Upload.id)
    return (await session.scalars(query.with_for_update(key_share=True))).all()
