"""What is done under a contract."""

from collections.abc import AsyncIterator
from uuid import UUID

import loaders.contracts
import loaders.media
import resolvers.activity
from loaders.work import UnitOfWork
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


async def attach(ctx: Context, *, contract_id: UUID, upload_id: UUID) -> Contract:
    """Put a file of one's own with a contract, for both parties to read."""
    me = ctx.me
    async with ctx.writing() as work:
        contract = await loaders.contracts.lock(work, contract_id, *ctx.eyes)
        upload = await loaders.media.lock(work, upload_id, *ctx.eyes)
        count = await loaders.contracts.count_attachments(work, contract.id)
        work.add(contract.attach(upload, me, count=count, at=ctx.now()))
        _tell(ctx, work, contract, EventKind.ATTACHMENT_ADDED)
    return contract


async def detach(ctx: Context, *, contract_id: UUID, upload_id: UUID) -> Contract:
    """Take a file that one put with a contract off it."""
    me = ctx.me
    async with ctx.writing() as work:
        contract = await loaders.contracts.lock(work, contract_id, *ctx.eyes)
        place = await loaders.contracts.attachment(work, contract.id, upload_id)
        contract.detach(await loaders.media.lock(work, upload_id, *ctx.eyes), me, at=ctx.now())
        await work.delete(place)
        _tell(ctx, work, contract, EventKind.ATTACHMENT_REMOVED)
    return contract


def _tell(ctx: Context, work: UnitOfWork, contract: Contract, kind: EventKind) -> None:
    work.leave(event(contract_stream(contract.id), kind, contract, by=ctx.me.id, at=ctx.now()))


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
