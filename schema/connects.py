"""What is said of Connects."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

import loaders.connects
import loaders.proposals
import models.connects
import resolvers.connects
from models.connects import LotSource, MovementKind
from models.money import Currency
from schema.edges import Connection, Info, Node, column, known, one, page, shown, shows
from schema.errors import Refused
from schema.scalars import Money, described, money

if TYPE_CHECKING:
    from schema.proposals import Proposal

described(
    LotSource,
    "How somebody came by Connects.",
    REGISTRATION="They were given to her when she became a freelancer.",
    GRANT="They were given to her for a month.",
    BUNDLE="She bought them.",
)
described(
    MovementKind,
    "What happened to somebody's Connects.",
    ISSUED="She got a lot of them.",
    SPENT="A proposal was paid for.",
    RETURNED="What a proposal had cost went back to the lots that it came from.",
    EXPIRED="What was left of a lot was lost, for its time was over.",
)


@strawberry.type(description="Connects that you got at once, and that expire together.")
class ConnectsLot(Node):
    is_type_of = shows(models.connects.Lot, loaders.connects.lot)

    source: LotSource = column("How you came by it.")
    size: int = column("How many Connects there were in it.")
    remaining: int = column("How many are left.")
    issued_at: datetime = column("When you got it, or were to get it.")
    expires_at: datetime = column("When what is left of it expires.")


@strawberry.type(description="What one event did to your Connects.")
class ConnectsMovement(Node):
    is_type_of = shows(models.connects.Movement, loaders.connects.movement)

    kind: MovementKind = column("What happened.")
    amount: int = column("How many came, or, less than zero, how many went.")
    at: datetime = column("When it happened.")
    lot: ConnectsLot | None = one("The lot that you got, or that expired.", loaders.connects.lot, "lot_id")
    proposal: Annotated["Proposal", strawberry.lazy("schema.proposals")] | None = one(
        "The proposal that they were for.", loaders.proposals.by_id, "proposal_id"
    )


@strawberry.type(description="Your Connects: what making proposals costs.")
class Connects:
    is_type_of = shows(models.connects.Connects)

    balance: int = column("How many you may spend.")
    next_grant_at: datetime | None = column("When you are given some next, if you are a freelancer.")
    lots: Connection[ConnectsLot] = page(
        "Of what they consist, in the order in which it is spent: what expires first, first.", loaders.connects.lots
    )
    history: Connection[ConnectsMovement] = page("How they came and went, the latest first.", loaders.connects.history)


@strawberry.type(description="Connects that are sold together.")
class ConnectsBundle:
    size: int = strawberry.field(description="How many.")
    price: Money = strawberry.field(description="What they cost.")


@strawberry.input(description="Connects to buy with what you have deposited.")
class BuyConnectsInput:
    size: int = strawberry.field(description="How many: the size of one of the `connectsBundles`.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters of your own, the same when you send the same request again."
    )


BuyConnectsResult = Annotated[
    ConnectsLot | Refused, strawberry.union("BuyConnectsResult", description="What you bought, or why you did not.")
]


@strawberry.type
class ConnectsQueries:
    @known("What Connects are sold in, and for how much.")
    def connects_bundles(self, info: Info) -> list[ConnectsBundle]:
        bundles = models.connects.bundles(info.context.config)
        return [ConnectsBundle(size=one.size, price=money(one.price_cents, Currency.USD)) for one in bundles]


@strawberry.type
class ConnectsMutations:
    @strawberry.mutation(description="Freelancers: buy Connects, out of the funds in your wallet.")
    async def buy_connects(self, info: Info, input: BuyConnectsInput) -> BuyConnectsResult:
        return shown(await resolvers.connects.buy(info.context, size=input.size, key=input.idempotency_key))
