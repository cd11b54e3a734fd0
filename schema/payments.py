"""What is said of money."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import strawberry

import loaders.statements
import models.payments
import resolvers.payments
import resolvers.statements
from schema.activity import Happened, cursor_of
from schema.edges import After, Before, Connection, First, Info, Last, Window, paged, priced, shown, shows
from schema.scalars import Money
from schema.statements import PartArgument, StatementEntry

NOBODY = UUID(int=0)
"""Whose account has no entries."""


@strawberry.type(description="Your money, by what may be done with it; all amounts are of the same moment.")
class Wallet:
    is_type_of = shows(models.payments.Wallet)

    funds: Money = priced("What you deposited or got back: to pay for work with, or to withdraw.", "funds_cents")
    available: Money = priced("What you earned and may withdraw.", "available_cents")
    pending: Money = priced("What you earned and may withdraw in a few days.", "pending_cents")
    escrowed: Money = priced("What lies aside for work that you pay for, fees included.", "escrowed_cents")
    leaving: Money = priced("What is on its way out, held until the withdrawal is through.", "leaving_cents")

    @strawberry.field(description="What came into a part of it and left it, the latest first.")
    async def statement(
        root: Any,  # noqa: N805 - the parent
        info: Info,
        part: PartArgument,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[StatementEntry]:
        account_id = await resolvers.statements.account(info.context, root.id, part, root.currency)
        window = Window(first, after, last, before)
        return shown(await paged(info, loaders.statements.of_account, account_id or NOBODY, window))

    @strawberry.field(
        description="Where to read the whole statement of a part as CSV for some minutes, relative to this server. "
        "Whoever has the address may: keep it to yourself."
    )
    def statement_url(root: Any, info: Info, part: PartArgument) -> str:  # noqa: N805
        return resolvers.statements.address(info.context, root.id, part, root.currency)


@strawberry.type(description="Something happened to your wallet.")
class WalletChanged(Happened):
    wallet: Wallet = strawberry.field(description="The wallet as it is now.")


@strawberry.type
class PaymentSubscriptions:
    @strawberry.subscription(description="What moves in your wallet.")
    async def wallet_changed(self, info: Info) -> AsyncGenerator[WalletChanged, None]:
        async for event, wallet in resolvers.payments.wallet_changes(info.context):
            yield WalletChanged(cursor=cursor_of(event, info), at=event.at, kind=event.kind, wallet=shown(wallet))
