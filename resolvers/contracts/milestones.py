"""What is done with milestones: worked on, handed in, looked at, paid."""

from uuid import UUID

import loaders.accounts
import loaders.contracts
import resolvers.media
from loaders.work import UnitOfWork
from models.contracts import Acceptance, ChangeAttachment, ContractState, Milestone, MilestoneWords, Submission
from models.idempotency import Once
from models.media import UploadGroup
from models.payments import PaymentRequest, PaymentRequestAction
from resolvers.context import Context
from resolvers.contracts.till import Till, conclude, tell
from resolvers.idempotency import first_answer

OVERDUE_MAX = 100
"""Contracts looked through at once for work that nobody has looked at in time."""


async def edit(ctx: Context, *, milestone_id: UUID, words: MilestoneWords, version: int | None) -> Milestone:
    """Word a milestone anew that nobody works on yet."""
    me = ctx.me
    async with ctx.writing() as work:
        contract, milestone = await loaders.contracts.lock_with_milestone(work, milestone_id, *ctx.eyes)
        tell(work, contract, milestone.edit(contract, me, words, version, at=ctx.now()))
    return milestone


async def fund(ctx: Context, *, milestone_id: UUID, key: str) -> Milestone:
    """Put aside what a milestone costs, as far as it does not lie there already."""
    me = ctx.me
    once = Once.of(me, key, "fundMilestone", about=milestone_id)
    async with ctx.writing() as work:
        if first := await first_answer(ctx, work, once, Milestone):
            return first
        contract, milestone = await loaders.contracts.lock_with_milestone(work, milestone_id, *ctx.eyes)
        cents, change = milestone.fund(contract, me, at=ctx.now())
        (await loaders.accounts.party(work, contract.freelancer_id)).must_be_available()
        till = await Till.open(ctx, work, contract)
        till.fund(milestone, cents)
        await till.close()
        tell(work, contract, change)
    return milestone


async def start(ctx: Context, *, milestone_id: UUID) -> Milestone:
    """Begin to work on a milestone."""
    me = ctx.me
    async with ctx.writing() as work:
        contract, milestone = await loaders.contracts.lock_with_milestone(work, milestone_id, *ctx.eyes)
        tell(work, contract, milestone.start(contract, me, at=ctx.now()))
    return milestone


async def submit(ctx: Context, *, milestone_id: UUID, words: Submission) -> Milestone:
    """Hand in the work of a milestone, with files if there are any."""
    me = ctx.me
    async with ctx.writing() as work:
        contract, milestone = await loaders.contracts.lock_with_milestone(work, milestone_id, *ctx.eyes)
        change = milestone.submit(contract, me, words, at=ctx.now(), config=ctx.config)
        await resolvers.media.exchange(ctx, work, old=(), new=words.upload_ids, group=UploadGroup.ATTACHMENTS)
        tell(work, contract, change)
        work.add_all(ChangeAttachment(change_id=change.id, upload_id=upload_id) for upload_id in words.upload_ids)
    return milestone


async def request_changes(ctx: Context, *, milestone_id: UUID, message: str, key: str) -> Milestone:
    """Have a milestone worked on again; on a terminated contract, decline it and get back what lies in escrow."""
    me = ctx.me
    once = Once.of(me, key, "requestChanges", message, about=milestone_id)
    async with ctx.writing() as work:
        if first := await first_answer(ctx, work, once, Milestone):
            return first
        contract, milestone = await loaders.contracts.lock_with_milestone(work, milestone_id, *ctx.eyes)
        changes = [milestone.request_changes(contract, me, message, at=ctx.now())]
        if contract.state is not ContractState.ACTIVE:
            till = await Till.open(ctx, work, contract)
            changes += till.give_back([milestone], me)
            await till.close()
        tell(work, contract, *changes)
    return milestone


async def accept(ctx: Context, *, milestone_id: UUID, words: Acceptance, key: str) -> Milestone:
    """Accept a milestone or a part of it: what lies in escrow pays for it at once, else the client is asked to pay."""
    me = ctx.me
    once = Once.of(me, key, "acceptMilestone", words.cents, words.rest, words.currency, about=milestone_id)
    async with ctx.writing() as work:
        if first := await first_answer(ctx, work, once, Milestone):
            return first
        contract, milestone, all_of_them = await loaders.contracts.lock_with_milestones(work, milestone_id, *ctx.eyes)
        changes = milestone.accept(contract, me, words, all_of_them, at=ctx.now())
        till = await Till.open(ctx, work, contract)
        changes += till.settle(milestone, me)
        await till.close()
        changes += await conclude(ctx, work, contract, all_of_them, me)
        tell(work, contract, *changes)
    return milestone


async def pay_request(ctx: Context, *, request_id: UUID, key: str) -> PaymentRequest:
    """Pay for work that was accepted before it was funded."""
    me = ctx.me
    once = Once.of(me, key, "payPaymentRequest", about=request_id)
    async with ctx.writing() as work:
        if first := await first_answer(ctx, work, once, PaymentRequest):
            return first
        contract, all_of_them, request = await loaders.contracts.lock_with_request(work, request_id, *ctx.eyes)
        request.must_allow(PaymentRequestAction.PAY, me)
        milestone = next(one for one in all_of_them if one.id == request.milestone_id)
        till = await Till.open(ctx, work, contract)
        payment, paid = till.pay(milestone, me)
        await till.close()
        request.pay(me, payment, at=ctx.now())
        tell(work, contract, paid, *await conclude(ctx, work, contract, all_of_them, me))
    return request


async def cancel_request(ctx: Context, *, request_id: UUID, key: str) -> PaymentRequest:
    """Do without a payment; what lies in escrow for it goes back to the client."""
    me = ctx.me
    once = Once.of(me, key, "cancelPaymentRequest", about=request_id)
    async with ctx.writing() as work:
        if first := await first_answer(ctx, work, once, PaymentRequest):
            return first
        contract, all_of_them, request = await loaders.contracts.lock_with_request(work, request_id, *ctx.eyes)
        request.cancel(me, at=ctx.now())
        milestone = next(one for one in all_of_them if one.id == request.milestone_id)
        changes = [milestone.waive(contract, me, at=ctx.now())]
        till = await Till.open(ctx, work, contract)
        changes += till.give_back([milestone], me)
        await till.close()
        changes += await conclude(ctx, work, contract, all_of_them, me)
        tell(work, contract, *changes)
    return request


async def accept_overdue(ctx: Context) -> int:
    """Accept what was handed in and nobody has looked at in time; may be run by several at once."""
    async with ctx.reading() as session:
        due = await loaders.contracts.overdue(session, ctx.now(), OVERDUE_MAX)
    count = 0
    for contract_id in due:
        async with ctx.writing() as work:
            count += await _accept_in_silence(ctx, work, contract_id)
    return count


async def _accept_in_silence(ctx: Context, work: UnitOfWork, contract_id: UUID) -> int:
    contract = await loaders.contracts.lock_if_free(work, contract_id)
    if contract is None:
        return 0
    milestones = await loaders.contracts.lock_milestones(work, contract)
    till = await Till.open(ctx, work, contract)
    changes, count = [], 0
    for milestone in milestones:
        if accepted := milestone.lapse(contract, at=ctx.now()):
            changes += [accepted, *till.settle(milestone, None)]
            count += 1
    await till.close()
    tell(work, contract, *changes, *await conclude(ctx, work, contract, milestones, None))
    return count
