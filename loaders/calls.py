"""What the worker was called for, and what became of it; the queue's own tables are pgqueuer's (`migrations/`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Interval, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

SWEPT_MAX = 10_000

_SWEEP = text("""
WITH old AS (
    SELECT id FROM queue.pgqueuer_log WHERE created < now() - :age ORDER BY created LIMIT :most FOR UPDATE SKIP LOCKED
)
DELETE FROM queue.pgqueuer_log WHERE id IN (SELECT id FROM old) RETURNING id
""").bindparams(bindparam("age", type_=Interval()))
_SWEEP_FIGURES = text("""
WITH old AS (
    SELECT id FROM queue.pgqueuer_statistics WHERE created < now() - :age LIMIT :most FOR UPDATE SKIP LOCKED
)
DELETE FROM queue.pgqueuer_statistics WHERE id IN (SELECT id FROM old) RETURNING id
""").bindparams(bindparam("age", type_=Interval()))
_BACKLOG = text("""
SELECT entrypoint AS chore, count(*) AS waiting, extract(epoch FROM now() - min(created))::float AS oldest_seconds
FROM queue.pgqueuer WHERE status = 'queued' GROUP BY entrypoint ORDER BY entrypoint
""")


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many calls for a chore wait, and since when the oldest does."""

    chore: str
    waiting: int
    oldest_seconds: float


async def backlog(session: AsyncSession) -> Sequence[Backlog]:
    """What waits to be done, by chore."""
    return [Backlog(*row) for row in await session.execute(_BACKLOG)]


async def sweep(session: AsyncSession, age: timedelta) -> int:
    """Forget some of what was logged and counted longer ago than this, and say how much."""
    bound = {"age": age, "most": SWEPT_MAX}
    gone = [await session.scalars(statement, bound) for statement in (_SWEEP, _SWEEP_FIGURES)]
    return sum(len(ids.all()) for ids in gone)
