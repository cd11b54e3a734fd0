"""How far a sandbox is ahead of the world."""

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from models.clock import ClockStep

_HOLD = text("LOCK TABLE clock_steps IN EXCLUSIVE MODE")
_AHEAD = select(func.coalesce(func.max(ClockStep.ahead_seconds), 0))


async def ahead(session: AsyncSession) -> int:
    """How many seconds ahead it is, all steps together."""
    return await session.scalar(_AHEAD) or 0


async def lock(session: AsyncSession) -> int:
    """The same, and nobody else takes a step until the transaction ends."""
    await session.execute(_HOLD)
    return await ahead(session)
