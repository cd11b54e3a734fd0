"""Who brought or took out what, and what is not decided yet."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation
from models.errors import NotFound
from models.transfers import Transfer

by_id = Relation(Transfer, Transfer.id)
of_account = Relation(Transfer, Transfer.account_id, order=(Transfer.id,), descending=True)


async def lock(session: AsyncSession, transfer_id: UUID) -> Transfer:
    """The transfer, held until the transaction ends, whoever asks: it is the provider who speaks."""
    query = select(Transfer).where(Transfer.id == transfer_id).execution_options(populate_existing=True)
    found = await session.scalar(query.with_for_update(key_share=True))
    if found is None:
        raise NotFound
    return found


async def lock_due(session: AsyncSession, at: datetime, limit: int) -> Sequence[Transfer]:
    """Some of those that the provider has to be asked about, the longest waiting first; not those others ask about."""
    due = select(Transfer).where(Transfer.decided_at.is_(None), Transfer.next_attempt_at <= at)
    some = due.order_by(Transfer.next_attempt_at).limit(limit).with_for_update(key_share=True, skip_locked=True)
    return (await session.scalars(some)).all()
