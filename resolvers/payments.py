"""What is done with money: brought, taken out, earned; and who is told."""

from collections.abc import AsyncIterator
from uuid import UUID

import loaders.ledger
import loaders.payments
import models.payments
import resolvers.activity
from loaders.work import UnitOfWork
from models.activity import Event, EventKind, wallet_stream
from models.errors import NotFound
from models.payments import EARNINGS, PENDING, Wallet
from resolvers.context import Context

SETTLED_MAX = 100
"""Payments settled in one transaction."""


def tell_wallets(ctx: Context, work: UnitOfWork, *account_ids: UUID) -> None:
    """Tell people that their wallets have changed; each once, however often she is named."""
    work.leave(*wallet_news(ctx, *account_ids))


def wallet_news(ctx: Context, *account_ids: UUID) -> list[Event]:
    """What people are told whose wallets have changed."""
    return [
        Event(
            stream=wallet_stream(account_id),
            kind=EventKind.WALLET_CHANGED,
            subject=Wallet.noun,
            subject_id=account_id,
            actor_id=ctx.viewer.id if ctx.viewer else None,
            at=ctx.now(),
        )
        for account_id in dict.fromkeys(account_ids)
    ]


async def wallet_changes(ctx: Context) -> AsyncIterator[tuple[Event, Wallet]]:
    """What moves in one's own wallet, from now on."""
    me = ctx.me
    async for happened in resolvers.activity.follow(ctx, wallet_stream(me.id)):
        wallet = await resolvers.activity.subject(ctx, loaders.payments.wallet, me.id)
        if wallet is None:
            raise NotFound
        yield happened, wallet


async def settle_due(ctx: Context) -> int:
    """Let freelancers have what was pending for long enough; safe to run twice, and by several workers at once."""
    async with ctx.writing() as work:
        due = await loaders.payments.lock_due(work, ctx.now(), SETTLED_MAX)
        worth = [payment for payment in due if payment.come_due(at=ctx.now())]
        if worth:
            keys = [
                kind.of(payment.freelancer_id, payment.currency.value)
                for payment in worth
                for kind in (PENDING, EARNINGS)
            ]
            accounts = await loaders.ledger.accounts(work, *keys, at=ctx.now())
            pairs = zip(worth, accounts[::2], accounts[1::2], strict=True)
            moved = [
                models.payments.settle(payment, pending=pending, earnings=earnings, at=ctx.now())
                for payment, pending, earnings in pairs
            ]
            await loaders.ledger.post(work, *moved)
            tell_wallets(ctx, work, *(payment.freelancer_id for payment in worth))
    return len(due)


async def fold(ctx: Context) -> int:
    """Add up what hot accounts were appended with, so that reading them stays quick; nobody sees a difference."""
    async with ctx.writing() as work:
        return await loaders.ledger.fold(work)


async def expire_holds(ctx: Context) -> int:
    """Let go of what was held until now, and no longer."""
    async with ctx.writing() as work:
        return len(await loaders.ledger.expire_holds(work, at=ctx.now()))
