"""What is said of what somebody's money did."""

from datetime import datetime
from typing import Annotated, Any

import strawberry

import models.statements
from models.statements import WalletPart
from schema.edges import BY_NOUN, Info, Node, column, priced, shown, shows
from schema.scalars import Money, described

described(
    WalletPart,
    "The parts of a wallet that have a statement each.",
    FUNDS="What you deposited or got back: `Wallet.funds`, and what of it is `leaving`.",
    AVAILABLE="What you earned and may withdraw: `Wallet.available`, and what of it is `leaving`.",
    PENDING="What you earned and may withdraw in a few days: `Wallet.pending`.",
)

PartArgument = Annotated[WalletPart, strawberry.argument(description="Which part of the wallet.")]


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

    @strawberry.field(description="What it was about; nothing if there is nothing to be shown of it.")
    async def about(root: Any, info: Info) -> Node | None:  # noqa: N805 - the parent
        relation = BY_NOUN.get(root.subject)
        return shown(await info.context.loaders.one(relation, root.subject_id)) if relation else None
