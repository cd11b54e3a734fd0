"""What is done with Connects: given, bought, spent on proposals, returned; and lost with time."""

from collections.abc import Sequence
from uuid import UUID

import loaders.connects
import loaders.ledger
import resolvers.idempotency
import resolvers.payments
from loaders.work import UnitOfWork
from models.accounts import Account
from models.connects import (
    CURRENCY,
    EXPIRED,
    ISSUED,
    LOT,
    SALES,
    SPENT,
    Allowance,
    Lot,
    Moving,
    expire,
    give_back,
    issue,
    sell,
    spend,
)
from models.idempotency import Once
from models.ledger import LedgerAccount
from models.payments import FUNDS
from models.proposals import Proposal
from resolvers.context import Context

SWEEP_MAX = 200
"""Lots expired, or freelancers given to, in one transaction."""

MONEY = "USD"


async def welcome(ctx: Context, work: UnitOfWork, account: Account) -> None:
    """Give somebody who becomes a freelancer her first Connects, and from now on some every month."""
    allowance = Allowance.begin(account, at=ctx.now())
    work.add(allowance)
    await _issue(ctx, work, allowance.give(config=ctx.config))


async def buy(ctx: Context, *, size: int, key: str) -> Lot:
    """Buy a bundle, out of the money that one has deposited."""
    me = ctx.me
    once = Once.of(me, key, "buyConnects", size)
    async with ctx.writing() as work:
        if first := await resolvers.idempotency.first_answer(ctx, work, once, Lot):
            return first
        lot = Lot.bundle(me, size, at=ctx.now(), config=ctx.config)
        lot.id = once.subject_id
        keys = FUNDS.of(me.id, MONEY), SALES.of(None, MONEY)
        await _issue(ctx, work, lot, paid=await loaders.ledger.accounts(work, *keys, at=ctx.now()))
        await work.refresh(lot)
    return lot


async def _issue(ctx: Context, work: UnitOfWork, *lots: Lot, paid: tuple[LedgerAccount, ...] | None = None) -> None:
    """Open an account for each new lot, and fill it; a bundle is `paid` for from one account to another."""
    now = ctx.now()
    keys = [ISSUED.of(None, CURRENCY), *(LOT.of(lot.id, CURRENCY) for lot in lots)]
    issued, *purses = await loaders.ledger.accounts(work, *keys, at=now)
    for lot, purse in zip(lots, purses, strict=True):
        lot.purse_id = purse.id
        work.add(lot)
    await work.flush()
    movings: list[Moving] = []
    for lot, purse in zip(lots, purses, strict=True):
        sale = sell(lot, funds=paid[0], sales=paid[1], at=now, config=ctx.config) if paid else None
        movings.append(issue(lot, issued=issued, purse=purse, at=now, sale=sale))
    await loaders.connects.move(work, *movings)
    resolvers.payments.tell_wallets(ctx, work, *(lot.account_id for lot in lots))


async def charge(ctx: Context, work: UnitOfWork, proposal: Proposal) -> None:
    """Take what a new proposal costs, if it costs anything, from whoever makes it."""
    if proposal.connects_cost == 0:
        return
    now, payer = ctx.now(), proposal.freelancer_id
    lots, spent = await loaders.connects.lock_lots(work, payer, now)
    if spent is None:
        (spent,) = await loaders.ledger.accounts(work, SPENT.of(None, CURRENCY), at=now)
    await loaders.connects.move(work, spend(proposal, payer, proposal.connects_cost, lots, spent=spent, at=now))
    resolvers.payments.tell_wallets(ctx, work, payer)


async def restore(ctx: Context, work: UnitOfWork, proposals: Sequence[Proposal]) -> None:
    """Return what these proposals cost to the lots that it came from; whatever of it has expired, expires again."""
    payers: dict[UUID, UUID] = {one.id: one.freelancer_id for one in proposals if one.connects_cost}
    if not payers:
        return
    spendings = await loaders.connects.spendings(work, list(payers))
    await loaders.connects.lock_purses(work, {entry.account_id for spent in spendings for entry in spent.entries})
    movings = [give_back(spent, payers[spent.subject_id], at=ctx.now()) for spent in spendings]
    await loaders.connects.move(work, *movings)
    resolvers.payments.tell_wallets(ctx, work, *payers.values())


async def grant_due(ctx: Context) -> int:
    """Give freelancers what is due to them, one month at a time; safe to run twice, and at once.

    Returns to how many, so that the caller knows whether there may be more.
    """
    async with ctx.writing() as work:
        due = await loaders.connects.lock_due(work, ctx.now(), SWEEP_MAX)
        if due:
            await _issue(ctx, work, *(allowance.give(config=ctx.config) for allowance in due))
    return len(due)


async def expire_due(ctx: Context) -> int:
    """Take away what is left of lots whose time is over, and say of how many; safe to run twice, and at once."""
    async with ctx.writing() as work:
        lots = await loaders.connects.lock_expired(work, ctx.now(), SWEEP_MAX)
        if lots:
            (expired,) = await loaders.ledger.accounts(work, EXPIRED.of(None, CURRENCY), at=ctx.now())
            await loaders.connects.move(work, *(expire(lot, expired=expired, at=ctx.now()) for lot in lots))
            resolvers.payments.tell_wallets(ctx, work, *(lot.account_id for lot in lots))
    return len(lots)
