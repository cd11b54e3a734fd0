"""How what happens is followed."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from typing import TypeVar
from uuid import UUID

import loaders.accounts
import loaders.activity
from loaders.batch import Relation
from loaders.work import in_our_words
from models.activity import Event
from models.base import Base
from models.errors import Busy, Unauthenticated
from resolvers.context import Context
from resolvers.hub import Bell

Row = TypeVar("Row", bound=Base)

EVENTS_MAX = 100
"""Events read at once."""

LOOK_SECONDS = 30.0
"""How long to rely on the bell before looking all the same: a process may die between its commit and its ring."""

AGAIN_SECONDS = 1.0
"""How long to leave a database alone that is away."""


async def follow(ctx: Context, stream: str) -> AsyncIterator[Event]:
    """Every event of a stream from now on, once and in order, whatever the bell misses or rings twice."""
    async with ctx.hub.listen(stream) as bell:
        last = await _last(ctx, stream)
        patience = LOOK_SECONDS
        while True:
            await _wake(bell, last, patience)
            try:
                events = await _news(ctx, stream, last)
            except Busy:
                # Whoever follows has missed nothing yet, and need not know.
                patience = AGAIN_SECONDS
                continue
            patience = 0.0 if len(events) == EVENTS_MAX else LOOK_SECONDS
            for happened in events:
                # What a subscription shows is read when it happens, not remembered from when it began.
                ctx.loaders.forget()
                last = happened.sequence
                yield happened


async def _wake(bell: Bell, last: int, patience: float) -> None:
    """Sleep until a ring that may mean something new, or until it is time to look all the same."""
    try:
        async with asyncio.timeout(patience):
            async for ring in bell:
                if not isinstance(ring, str) or not ring.isdecimal() or int(ring) > last:
                    return
    except TimeoutError:
        return


async def _last(ctx: Context, stream: str) -> int:
    with in_our_words():
        async with ctx.reading() as session:
            return await loaders.activity.head(session, stream)


async def _news(ctx: Context, stream: str, last: int) -> Sequence[Event]:
    """What happened since, for somebody who is still signed in; it is read once for all who follow and are as far."""
    events = await ctx.together.ask((ctx.reading, stream, last), partial(_after, ctx, stream, last))
    if events and ctx.session_id is not None:
        signed_in = await ctx.together.ask_for((ctx.reading, _signed_in), ctx.session_id, partial(_signed_in, ctx))
        if ctx.session_id not in signed_in:
            raise Unauthenticated
    return events


async def _after(ctx: Context, stream: str, last: int) -> Sequence[Event]:
    with in_our_words():
        async with ctx.reading() as session:
            return await loaders.activity.after(session, stream, last, EVENTS_MAX)


async def _signed_in(ctx: Context, session_ids: Collection[UUID]) -> Collection[UUID]:
    with in_our_words():
        async with ctx.reading() as session:
            return await loaders.accounts.among_signed_in(session, session_ids, ctx.now.wall())


async def subject(ctx: Context, relation: Relation[Row], key: UUID) -> Row | None:
    """The row that an event is about, if the viewer may see it; read once for all her windows that hear of it."""
    return await ctx.together.ask((ctx.reading, relation, key, *ctx.eyes), partial(ctx.loaders.one, relation, key))
