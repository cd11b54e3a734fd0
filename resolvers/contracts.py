"""What is done under a contract."""

from collections.abc import AsyncIterator
from uuid import UUID

import loaders.contracts
import resolvers.activity
from models.activity import Event, EventKind, contract_stream, event
from models.contracts import Contract, Milestone
from models.errors import NotFound
from resolvers.context import Context


async def start(ctx: Context, *, milestone_id: UUID) -> Milestone:
    """Begin to work on a milestone."""
    me = ctx.me
    async with ctx.writing() as work:
        contract, milestone = await loaders.contracts.lock_with_milestone(work, milestone_id, *ctx.eyes)
        milestone.start(contract, me, at=ctx.now())
        stream = contract_stream(contract.id)
        work.leave(event(stream, EventKind.MILESTONE_STARTED, milestone, by=me.id, at=ctx.now()))
    return milestone


async def changes(ctx: Context, *, contract_id: UUID) -> AsyncIterator[tuple[Event, Contract]]:
    """What happens to a contract and its milestones, for its two parties, from now on."""
    _ = ctx.me
    if await ctx.loaders.one(loaders.contracts.by_id, contract_id) is None:
        raise NotFound
    async for happened in resolvers.activity.follow(ctx, contract_stream(contract_id)):
        contract = await ctx.loaders.one(loaders.contracts.by_id, contract_id)
        if contract is None:
            raise NotFound
        yield happened, contract
