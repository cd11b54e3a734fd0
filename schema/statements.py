"""What is said of what somebody's money did."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

import loaders.statements
import models.statements
import resolvers.statements
from models.statements import WalletPart
from resolvers.context import Context
from schema.edges import By, Node, about, column, priced, shows
from schema.scalars import Money, described

described(
    WalletPart,
    "The parts of a wallet that have a statement each.",
    FUNDS="What you deposited or got back: `Wallet.funds`, and what of it is `leaving`.",
    AVAILABLE="What you earned and may withdraw: `Wallet.available`, and what of it is `leaving`.",
    PENDING="What you earned and may withdraw in a few days: `Wallet.pending`.",
)

PartArgument = Annotated[WalletPart, strawberry.argument(description="Which part of the wallet.")]
WhichArgument = Annotated[WalletPart, strawberry.argument(name="part", description="Which part of the wallet.")]


async def _account(ctx: Context, wallet: Any, part: WalletPart) -> UUID | None:
    return await resolvers.statements.account(ctx, wallet.id, part, wallet.currency)


PART = By(_account, loaders.statements.account_in, lambda part: part.kind.name)
"""The account that a part of a wallet is."""


@strawberry.type(description="Something that came into a part of your wallet, or left it.")
class StatementEntry:
    is_type_of = shows(models.statements.StatementEntry)

    at: datetime = column("When it happened.")
    kind: str = column(
        "What happened, in a word: DEPOSIT, WITHDRAWAL, FUND, REFUND, RELEASE, BONUS, SETTLE, CONNECTS_SALE; "
        "there may be more."
    )
    amount: Money = priced("What came; less than zero for what went.", "cents")
    balance: Money = priced("What was in this part of the wallet then, with what is held of it.", "balance_cents")

    about: Node | None = about(
        "What it was about; nothing if there is nothing to be shown of it.", "subject", "subject_id"
    )
