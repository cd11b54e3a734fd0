"""Who asked for what before."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models.idempotency import IdempotencyKey, Once

SWEPT_MAX = 1_000


async def claim(session: AsyncSession, once: Once, *, at: datetime) -> UUID | None:
    """Take the key for this request, or give the id of what was answered to it before.

    Whoever comes second waits here until the first has committed or given up. The first statement of a transaction:
    those who wait hold nothing that the first one needs.
    """
    taken = insert(IdempotencyKey).values(
        account_id=once.account_id,
        key=once.key,
        fingerprint=once.fingerprint,
        subject_id=once.subject_id,
        used_at=at,
    )
    if await session.scalar(taken.on_conflict_do_nothing().returning(IdempotencyKey.subject_id)) is not None:
        return None
    columns = IdempotencyKey.fingerprint, IdempotencyKey.subject_id
    query = select(*columns).where(IdempotencyKey.account_id == once.account_id, IdempotencyKey.key == once.key)
    before = (await session.execute(query)).one()
    once.must_be(before.fingerprint)
    subject_id: UUID = before.subject_id
    return subject_id


async def sweep(session: AsyncSession, before: datetime) -> int:
    """Forget some of the keys that were used before a moment, and say how many."""
    due = select(IdempotencyKey.account_id, IdempotencyKey.key).where(IdempotencyKey.used_at < before)
    some = due.limit(SWEPT_MAX).with_for_update(skip_locked=True).cte("due")
    gone = delete(IdempotencyKey).where(
        IdempotencyKey.account_id == some.c.account_id, IdempotencyKey.key == some.c.key
    )
    return len((await session.execute(gone.returning(IdempotencyKey.key))).all())
