"""How the worker's book of calls is kept short."""

from datetime import timedelta

import loaders.calls
from resolvers.context import Context

KEPT = timedelta(days=7)


async def sweep(ctx: Context) -> int:
    """Forget what became of calls long ago."""
    async with ctx.writing() as work:
        return await loaders.calls.sweep(work, KEPT)
