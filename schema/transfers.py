"""What is said of money brought from outside, and taken out."""

from datetime import datetime
from typing import Annotated

import strawberry

import loaders.transfers
import models.transfers
import resolvers.transfers
from models.errors import Checks
from models.transfers import METHOD_MAX, Purse, TransferKind, TransferState, TransferWords
from schema.edges import Info, Node, column, priced, shown, shows
from schema.errors import Refused
from schema.scalars import Money, MoneyInput, described

described(
    TransferKind,
    "Which way money goes.",
    DEPOSIT="From outside into the funds of a wallet.",
    WITHDRAWAL="Out of a wallet.",
)
described(
    TransferState,
    "How far a transfer is.",
    REQUESTED="It is written down, and the payment provider has not said yet that it has it.",
    SUBMITTED="The payment provider has it; what comes of it may take days.",
    SUCCEEDED="It is through.",
    FAILED="It did not go through; nothing has moved, and what was held is free again.",
)
described(
    Purse,
    "The parts of a wallet that can be withdrawn.",
    FUNDS="What was deposited, or came back.",
    EARNINGS="What was earned and is not pending any longer: `Wallet.available`.",
)

KEY_SAYS = "Yours to choose, 1 to 255 characters: the same request with the same key is done once."
METHOD_SAYS = (
    f"what the payment provider calls it, 1 to {METHOD_MAX} characters. The sandbox does as it says: see docs."
)


@strawberry.type(description="A deposit or a withdrawal. Nothing can be done with one but wait; `walletChanged` tells.")
class Transfer(Node):
    is_type_of = shows(models.transfers.Transfer, loaders.transfers.by_id)

    kind: TransferKind = column("Which way the money goes.")
    purse: Purse = column("The part of the wallet that it comes into or out of.")
    amount: Money = priced("How much it is.", "amount_cents")
    method: str = column("Where it comes from or goes to, as the payment provider calls it.")
    state: TransferState = column("How far it is.")
    reason: str | None = column("Why it failed.")
    reference: str | None = column("What the payment provider calls it, once it has it.")
    requested_at: datetime = column("When it was asked for.")
    decided_at: datetime | None = column("When it went through or failed.")


DepositResult = Annotated[
    Transfer | Refused, strawberry.union("DepositResult", description="The transfer as it is now, or why not.")
]
WithdrawResult = Annotated[
    Transfer | Refused, strawberry.union("WithdrawResult", description="The transfer as it is now, or why not.")
]


@strawberry.input(description="Money to bring in.")
class DepositInput:
    amount: MoneyInput = strawberry.field(description="How much.")
    method: str = strawberry.field(description=f"Where it comes from: {METHOD_SAYS}")
    idempotency_key: str = strawberry.field(description=KEY_SAYS)


@strawberry.input(description="Money to take out.")
class WithdrawInput:
    amount: MoneyInput = strawberry.field(description="How much; not more than the purse has.")
    purse: Purse = strawberry.field(description="The part of the wallet to take it out of.")
    method: str = strawberry.field(description=f"Where it goes: {METHOD_SAYS}")
    idempotency_key: str = strawberry.field(description=KEY_SAYS)


def _words(amount: MoneyInput, method: str, purse: Purse) -> TransferWords:
    check = Checks()
    cents = amount.cents(check, "amount", "amount")
    return TransferWords(cents, method, amount.currency, purse, check.problems)


@strawberry.type
class TransferMutations:
    @strawberry.mutation(
        description="Bring money into your wallet. It is there once the transfer has SUCCEEDED, at once or later."
    )
    async def deposit(self, info: Info, input: DepositInput) -> DepositResult:
        words = _words(input.amount, input.method, Purse.FUNDS)
        return shown(await resolvers.transfers.deposit(info.context, words=words, key=input.idempotency_key))

    @strawberry.mutation(
        description="Take money out of your wallet. It is held at once, and free again if the transfer has FAILED."
    )
    async def withdraw(self, info: Info, input: WithdrawInput) -> WithdrawResult:
        words = _words(input.amount, input.method, input.purse)
        return shown(await resolvers.transfers.withdraw(info.context, words=words, key=input.idempotency_key))
