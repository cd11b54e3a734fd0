"""What is said of money."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

import loaders.connects
import loaders.contracts
import loaders.payments
import loaders.statements
import models.payments
import resolvers.payments
import resolvers.statements
from models.payments import PaymentKind, PaymentRequestAction, PaymentRequestState
from schema.activity import Happened, cursor_of
from schema.connects import Connects
from schema.edges import Connection, Info, Node, actions, column, made, one, page_by, priced, shown, shows
from schema.scalars import Money, described
from schema.statements import PART, PartArgument, StatementEntry, WhichArgument

if TYPE_CHECKING:
    from schema.contracts import Contract, Milestone


@strawberry.type(description="Your money, by what may be done with it; all amounts are of the same moment.")
class Wallet:
    is_type_of = shows(models.payments.Wallet, again=loaders.payments.wallet)

    funds: Money = priced("What you deposited or got back: to pay for work with, or to withdraw.", "funds_cents")
    available: Money = priced("What you earned and may withdraw.", "available_cents")
    pending: Money = priced("What you earned and may withdraw in a few days.", "pending_cents")
    escrowed: Money = priced("What lies aside for work that you pay for, fees included.", "escrowed_cents")
    connects: Connects = one("What you have of Connects.", loaders.connects.of_account, "id")
    leaving: Money = priced("What is on its way out, held until the withdrawal is through.", "leaving_cents")

    statement: Connection[StatementEntry] = page_by(
        "What came into a part of it and left it, the latest first.", loaders.statements.of_account, PART, WhichArgument
    )

    @made(
        "Where to read the whole statement of a part as CSV for some minutes, relative to this server. "
        "Whoever has the address may: keep it to yourself.",
        models.payments.Wallet,
        "id",
        "currency",
    )
    def statement_url(root: Any, info: Info, part: PartArgument) -> str:
        return resolvers.statements.address(info.context, root.id, part, root.currency)


described(
    PaymentKind,
    "What was paid for.",
    MILESTONE="Work that was accepted.",
    BONUS="Thanks.",
)
described(
    PaymentRequestState,
    "What became of a payment request.",
    PENDING="The client owes it.",
    PAID="It is paid.",
    CANCELLED="The freelancer did without it.",
)
described(
    PaymentRequestAction,
    "What may be done with a payment request.",
    PAY="`payPaymentRequest`.",
    CANCEL="`cancelPaymentRequest`.",
)


@strawberry.type(description="Work that was paid for, or thanks; seen by who paid and who was paid.")
class Payment(Node):
    is_type_of = shows(models.payments.Payment, loaders.payments.payment)

    kind: PaymentKind = column("What was paid for.")
    amount: Money = priced("What was agreed, without fees.", "amount_cents")
    client_fee: Money = priced("What the client paid on top.", "client_fee_cents")
    freelancer_fee: Money = priced("What was kept of the amount.", "freelancer_fee_cents")
    note: str | None = column("What the client said with it.")
    paid_at: datetime = column("When it was paid.")
    available_at: datetime = column("From when on the freelancer may withdraw it.")
    contract: Annotated["Contract", strawberry.lazy("schema.contracts")] = one(
        "The contract it was paid under.", loaders.contracts.by_id, "contract_id"
    )
    milestone: Annotated["Milestone", strawberry.lazy("schema.contracts")] | None = one(
        "The milestone it was paid for.", loaders.contracts.milestone, "milestone_id"
    )


@strawberry.type(description="Accepted work that was not paid for in advance; seen by who owes and who is owed.")
class PaymentRequest(Node):
    is_type_of = shows(models.payments.PaymentRequest, loaders.payments.request)

    amount: Money = priced("What is owed, without fees.", "amount_cents")
    state: PaymentRequestState = column("What became of it.")
    made_at: datetime = column("When the work was accepted.")
    decided_at: datetime | None = column("When it was paid or cancelled.")
    contract: Annotated["Contract", strawberry.lazy("schema.contracts")] = one(
        "The contract.", loaders.contracts.by_id, "contract_id"
    )
    milestone: Annotated["Milestone", strawberry.lazy("schema.contracts")] = one(
        "The milestone that was accepted.", loaders.contracts.milestone, "milestone_id"
    )
    payment: Payment | None = one("What was paid.", loaders.payments.payment, "payment_id")

    @actions("What you may do with it now.", loaders.payments.request_actions)
    def available_actions(root: Any, info: Info) -> list[PaymentRequestAction]:
        return root.actions_for(info.context.viewer)


@strawberry.type(description="Something happened to your wallet.")
class WalletChanged(Happened):
    wallet: Wallet = strawberry.field(description="The wallet as it is now.")


@strawberry.type
class PaymentSubscriptions:
    @strawberry.subscription(description="What moves in your wallet.")
    async def wallet_changed(self, info: Info) -> AsyncGenerator[WalletChanged, None]:
        async for event, wallet in resolvers.payments.wallet_changes(info.context):
            yield WalletChanged(cursor=cursor_of(event, info), at=event.at, kind=event.kind, wallet=shown(wallet))
