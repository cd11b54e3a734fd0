"""How what happens is followed."""

from collections.abc import AsyncIterator

import loaders.accounts
import loaders.activity
from models.activity import Event
from models.errors import Unauthenticated
from resolvers.context import Context

EVENTS_MAX = 100
"""Events read at once."""


async def follow(ctx: Context, stream: str) -> AsyncIterator[Event]:
    """Every event of a stream from now on, once and in order, whatever the bell misses or rings twice."""
    async with ctx.hub.listen(stream) as bell:
        async with ctx.reading() as session:
            last = await loaders.activity.head(session, stream)
        async for _ in bell:
            while True:
                async with ctx.reading() as session:
                    events = await loaders.activity.after(session, stream, last, EVENTS_MAX)
                if not events:
                    break
                await _must_still_be_signed_in(ctx)
                for happened in events:
                    # What a subscription shows is read when it happens, not remembered from when it began.
                    ctx.loaders.forget()
                    last = happened.sequence
                    yield happened


async def _must_still_be_signed_in(ctx: Context) -> None:
    if ctx.session_id is None:
        return
    async with ctx.reading() as session:
        if await loaders.accounts.signed_in(session, ctx.session_id, ctx.now()) is None:
            raise Unauthenticated
