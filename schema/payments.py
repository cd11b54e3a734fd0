"""What is said of money."""

from collections.abc import AsyncGenerator

import strawberry

import models.payments
import resolvers.payments
from schema.activity import Happened, cursor_of
from schema.edges import Info, priced, shown, shows
from schema.scalars import Money


@strawberry.type(description="Your money, by what may be done with it; all amounts are of the same moment.")
class Wallet:
    is_type_of = shows(models.payments.Wallet)

    funds: Money = priced("What you deposited or got back: to pay for work with, or to withdraw.", "funds_cents")
    available: Money = priced("What you earned and may withdraw.", "available_cents")
    pending: Money = priced("What you earned and may withdraw in a few days.", "pending_cents")
    escrowed: Money = priced("What lies aside for work that you pay for, fees included.", "escrowed_cents")
    leaving: Money = priced("What is on its way out, held until the withdrawal is through.", "leaving_cents")


@strawberry.type(description="Something happened to your wallet.")
class WalletChanged(Happened):
    wallet: Wallet = strawberry.field(description="The wallet as it is now.")


@strawberry.type
class PaymentSubscriptions:
    @strawberry.subscription(description="What moves in your wallet.")
    async def wallet_changed(self, info: Info) -> AsyncGenerator[WalletChanged, None]:
        async for event, wallet in resolvers.payments.wallet_changes(info.context):
            yield WalletChanged(cursor=cursor_of(event, info), at=event.at, kind=event.kind, wallet=shown(wallet))
