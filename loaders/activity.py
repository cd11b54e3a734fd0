"""What happened since."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models.activity import Event, StreamHead


async def head(session: AsyncSession, stream: str) -> int:
    """The number of the last event of a stream; 0 before the first."""
    return await session.scalar(select(StreamHead.sequence).where(StreamHead.stream == stream)) or 0


async def after(session: AsyncSession, stream: str, sequence: int, limit: int) -> Sequence[Event]:
    """The next events of a stream after a number, in order."""
    query = select(Event).where(Event.stream == stream, Event.sequence > sequence)
    return (await session.scalars(query.order_by(Event.sequence).limit(limit))).all()
