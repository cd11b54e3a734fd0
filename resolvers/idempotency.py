"""How a thing is done once, however often it is asked for."""

from datetime import timedelta
from typing import TypeVar

import loaders.idempotency
from loaders.work import UnitOfWork
from models.base import Identified
from models.idempotency import KEPT_DAYS, Once
from resolvers.context import Context

Answer = TypeVar("Answer", bound=Identified)


async def first_answer(ctx: Context, work: UnitOfWork, once: Once, kind: type[Answer]) -> Answer | None:
    """What was answered to this request before, as it is now; nothing when this is the first time.

    The first beat of a verb that moves money: what follows in the block happens once for a key, and a key is used up
    only if it does.
    """
    before = await loaders.idempotency.claim(work, once, at=ctx.now())
    if before is None:
        return None
    ctx.remarks.setdefault("replayed", []).append(once.key)
    return await work.get_one(kind, before)


async def sweep(ctx: Context) -> int:
    """Forget keys that are too old."""
    async with ctx.writing() as work:
        return await loaders.idempotency.sweep(work, ctx.now() - timedelta(days=ctx.config[KEPT_DAYS]))
