"""Connects."""

from datetime import date
from itertools import count
from typing import Any

import loaders.connects
import loaders.ledger
from models.accounts import Account
from models.config import Config
from models.connects import CURRENCY, ISSUED, LOT, Lot, LotSource, issue
from ops.app import House

KEYS, MONTHS = count(), count()
PLENTY = 1_000_000


def key() -> str:
    """An idempotency key that nobody has used."""
    return f"key {next(KEYS)}"


async def connects(house: House, *owners: Account, size: int = PLENTY, **values: Any) -> list[Lot]:
    """Let people have a lot each, as the grant of a month long ago, and tell nobody."""
    now, month = house.clock(), next(MONTHS)
    lots = [Lot.of(one.id, LotSource.GRANT, size, at=now, config=Config()) for one in owners]
    async with house.context().writing() as work:
        keys = [ISSUED.of(None, CURRENCY), *(LOT.of(lot.id, CURRENCY) for lot in lots)]
        issued, *purses = await loaders.ledger.accounts(work, *keys, at=now)
        for lot, purse in zip(lots, purses, strict=True):
            lot.purse_id, lot.month = purse.id, date(1 + month // 12, 1 + month % 12, 1)
            for name, value in values.items():
                setattr(lot, name, value)
            work.add(lot)
        await work.flush()
        pairs = zip(lots, purses, strict=True)
        await loaders.connects.move(work, *(issue(lot, issued=issued, purse=purse, at=now) for lot, purse in pairs))
    return lots
