"""What is done with a contract as a whole: parts and files added, a bonus paid, completed; and how it is followed."""

from collections.abc import AsyncIterator
from uuid import UUID

import loaders.accounts
import loaders.contracts
import loaders.media
import resolvers.activity
from loaders.work import UnitOfWork
from models.activity import Event, EventKind, contract_stream, event
from models.contracts import Contract, Milestone, MilestoneWords
from models.errors import NotFound
from models.idempotency import Once
from models.money import Currency
from models.payments import Payment
from resolvers.context import Context
from resolvers.contracts.till import Till, lapse_requests, tell
from resolvers.idempotency import first_answer


async def add(ctx: Context, *, contract_id: UUID, words: MilestoneWords) -> Milestone:
    """Put another milestone behind the others."""
    me = ctx.me
    async with ctx.writing() as work:
        contract = await loaders.contracts.lock(work, contract_id, *ctx.eyes)
        others = await loaders.contracts.lock_milestones(work, contract)
        milestone, change = Milestone.add(contract, me, words, others, at=ctx.now())
        (await loaders.accounts.party(work, contract.freelancer_id)).must_be_available()
        work.add(milestone)
        tell(work, contract, change)
    return milestone


async def bonus(
    ctx: Context, *, contract_id: UUID, cents: int, currency: Currency, note: str | None, key: str
) -> Payment:
    """Thank the freelancer with money."""
    me = ctx.me
    once = Once.of(me, key, "payBonus", contract_id, cents, currency, note)
    async with ctx.writing() as work:
        if first := await first_answer(ctx, work, once, Payment):
            return first
        contract = await loaders.contracts.lock(work, contract_id, *ctx.eyes)
        charge = contract.bonus(me, cents, currency, note)
        (await loaders.accounts.party(work, contract.freelancer_id)).must_be_available()
        till = await Till.open(ctx, work, contract)
        payment = till.thank(once.subject_id, charge, note)
        await till.close()
        tell(work, contract, contract.thanked(payment, me))
    return payment


async def complete(ctx: Context, *, contract_id: UUID, key: str) -> Contract:
    """Say that one is done; when both have said so it is over, and what lies in escrow goes back to the client."""
    me = ctx.me
    once = Once.of(me, key, "completeContract", about=contract_id)
    async with ctx.writing() as work:
        if first := await first_answer(ctx, work, once, Contract):
            return first
        contract = await loaders.contracts.lock(work, contract_id, *ctx.eyes)
        milestones = await loaders.contracts.lock_milestones(work, contract)
        undecided = any(milestone.is_undecided for milestone in milestones)
        changes = [contract.agree_to_end(me, undecided=undecided, at=ctx.now())]
        if contract.is_agreed_to_end:
            changes.append(contract.complete(me, at=ctx.now()))
            till = await Till.open(ctx, work, contract)
            changes += till.give_back(milestones, me)
            await till.close()
            changes += await lapse_requests(ctx, work, contract)
        tell(work, contract, *changes)
    return contract


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
        contract = await resolvers.activity.subject(ctx, loaders.contracts.by_id, contract_id)
        if contract is None:
            raise NotFound
        yield happened, contract
