"""Who asked for what before."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models.idempotency import IdempotencyKey, Once

SWEPT_MAX = 1_000

# Built once: every mutation that moves money begins with the first.
_KEYS = IdempotencyKey.metadata.tables[IdempotencyKey.__tablename__]
_TAKE = insert(_KEYS).on_conflict_do_nothing().returning(_KEYS.c.subject_id)
_TAKEN = select(_KEYS.c.fingerprint, _KEYS.c.subject_id).where(
    _KEYS.c.account_id == bindparam("by"), _KEYS.c.key == bindparam("with_key")
)


async def claim(session: AsyncSession, once: Once, *, at: datetime) -> UUID | None:
    """Take the key for this request, or give the id of what was answered to it before.

    Whoever comes second waits here until the first has committed or given up. The first statement of a transaction:
    those who wait hold nothing that the first one needs.
    """
    said = {name: getattr(once, name) for name in ("account_id", "key", "fingerprint", "subject_id")}
    if await session.scalar(_TAKE, said | {"used_at": at}) is not None:
        return None
    before = (await session.execute(_TAKEN, {"by": once.account_id, "with_key": once.key})).one()
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
