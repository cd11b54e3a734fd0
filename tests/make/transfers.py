"""Money brought and taken out."""

from typing import Any

from models.accounts import Account
from models.base import uuid7
from models.config import Config
from models.ledger import Hold
from models.transfers import Transfer, TransferKind, TransferWords
from ops.app import wall_clock


def transfer_words(**values: Any) -> TransferWords:
    usual: dict[str, Any] = {"cents": 100_00, "method": "sandbox-succeed"}
    return TransferWords(**usual | values)


def transfer(by: Account, kind: TransferKind = TransferKind.DEPOSIT, hold: Hold | None = None, **said: Any) -> Transfer:
    """A transfer that was asked for just now; a withdrawal needs what is held for it before it can be kept."""
    make = Transfer.deposit if kind is TransferKind.DEPOSIT else Transfer.withdraw
    made = make(by, transfer_words(**said), transfer_id=uuid7(), at=wall_clock(), config=Config())
    made.hold_id = hold.id if hold else None
    return made
