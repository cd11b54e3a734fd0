"""How time is let pass in a sandbox."""

import loaders.clock
from models.accounts import Role
from models.activity import CLOCK_STREAM, EventKind, event
from models.clock import ClockIsReal, ClockStep, Span
from resolvers.context import Context


async def advance(ctx: Context, *, span: Span) -> ClockStep:
    """Let time pass for everybody at once: whatever comes due by then is done."""
    me = ctx.me
    me.must_be(Role.ADMIN)
    if not ctx.now.is_sandbox:
        raise ClockIsReal
    async with ctx.writing() as work:
        step = ClockStep.take(await loaders.clock.lock(work), span, me, at=ctx.now.wall())
        work.add(step)
        work.leave(event(CLOCK_STREAM, EventKind.CLOCK_ADVANCED, step, by=me.id, at=ctx.now()))
    await ctx.now.catch_up()
    return step
