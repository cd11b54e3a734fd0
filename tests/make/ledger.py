"""Money."""

from typing import Any
from uuid import UUID

import loaders.ledger
from models.base import uuid7
from models.ledger import AccountKind, Journal
from models.payments import RAIL
from ops.app import House

CURRENCY = "USD"


class Gift:
    """What money is about that tests bring from outside."""

    noun = "gift"

    def __init__(self) -> None:
        self.id = uuid7()


async def give(house: House, kind: AccountKind, owner_id: UUID, cents: int) -> None:
    """Let somebody have money of some kind, out of nowhere."""
    about: Any = Gift()
    async with house.context().writing() as work:
        keys = RAIL.of(None, CURRENCY), kind.of(owner_id, CURRENCY)
        rail, account = await loaders.ledger.accounts(work, *keys, at=house.clock())
        moved = [(rail, -cents), (account, cents)]
        await loaders.ledger.post(work, Journal.of("GIFT", about, moved, at=house.clock()))
