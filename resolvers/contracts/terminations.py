"""How a contract is ended before its time."""

from uuid import UUID

import loaders.contracts
from models.contracts import MilestoneState, Termination, TerminationDecision
from models.idempotency import Once
from resolvers.context import Context
from resolvers.contracts.till import Till, lapse_requests, tell
from resolvers.idempotency import first_answer

_NOT_HANDED_IN = {MilestoneState.OPEN, MilestoneState.IN_PROGRESS}


async def request_termination(ctx: Context, *, contract_id: UUID, reason: str) -> Termination:
    """Ask for a contract to be ended before its time."""
    me = ctx.me
    async with ctx.writing() as work:
        contract = await loaders.contracts.lock(work, contract_id, *ctx.eyes)
        waiting = await loaders.contracts.lock_open_terminations(work, contract)
        has_requested = any(one.requester_id == me.id for one in waiting)
        request, change = Termination.request(contract, me, reason, has_requested=has_requested, at=ctx.now())
        work.add(request)
        tell(work, contract, change)
    return request


async def withdraw_termination(ctx: Context, *, termination_id: UUID) -> Termination:
    """Take back a wish to end a contract."""
    me = ctx.me
    async with ctx.writing() as work:
        contract, request = await loaders.contracts.lock_with_termination(work, termination_id, *ctx.eyes)
        tell(work, contract, request.withdraw(contract, me, at=ctx.now()))
    return request


async def decide(
    ctx: Context, *, termination_id: UUID, decision: TerminationDecision, answer: str | None, key: str
) -> Termination:
    """Agree to end a contract, or not: what lies in escrow for work that was not handed in goes back to the client."""
    me = ctx.me
    once = Once.of(me, key, "decideTermination", decision, answer, about=termination_id)
    async with ctx.writing() as work:
        if first := await first_answer(ctx, work, once, Termination):
            return first
        contract, request = await loaders.contracts.lock_with_termination(work, termination_id, *ctx.eyes)
        changes = [request.decide(decision, contract, me, answer, at=ctx.now())]
        if decision is TerminationDecision.ACCEPT:
            changes.append(contract.terminate(me, at=ctx.now()))
            milestones = await loaders.contracts.lock_milestones(work, contract)
            till = await Till.open(ctx, work, contract)
            changes += till.give_back([one for one in milestones if one.state in _NOT_HANDED_IN], me)
            await till.close()
            changes += await lapse_requests(ctx, work, contract)
        tell(work, contract, *changes)
    return request
