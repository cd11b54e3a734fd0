"""What is done with money: brought, taken out, earned; and who is told."""

from collections.abc import AsyncIterator
from uuid import UUID

import loaders.payments
import resolvers.activity
from loaders.work import UnitOfWork
from models.activity import Event, EventKind, wallet_stream
from models.errors import NotFound
from models.payments import Wallet
from resolvers.context import Context


def tell_wallets(ctx: Context, work: UnitOfWork, *account_ids: UUID) -> None:
    """Tell people that their wallets have changed; each once, however often she is named."""
    for account_id in dict.fromkeys(account_ids):
        work.leave(
            Event(
                stream=wallet_stream(account_id),
                kind=EventKind.WALLET_CHANGED,
                subject=Wallet.noun,
                subject_id=account_id,
                actor_id=ctx.viewer.id if ctx.viewer else None,
                at=ctx.now(),
            )
        )


async def wallet_changes(ctx: Context) -> AsyncIterator[tuple[Event, Wallet]]:
    """What moves in one's own wallet, from now on."""
    me = ctx.me
    async for happened in resolvers.activity.follow(ctx, wallet_stream(me.id)):
        wallet = await ctx.loaders.one(loaders.payments.wallet, me.id)
        if wallet is None:
            raise NotFound
        yield happened, wallet
