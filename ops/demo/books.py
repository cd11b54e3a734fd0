"""The money of the demo: moved by the same words as everybody's, and posted all at once, in the order of time."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import loaders.ledger
from models.ledger import AccountKey, Journal, LedgerAccount

Values = list[Any]


class Books:
    """Accounts and journals that are still to be written into the ledger."""

    def __init__(self, make_id: Callable[[datetime], UUID]) -> None:
        self._make_id = make_id
        self._accounts: dict[AccountKey, LedgerAccount] = {}
        self._journals: list[Journal] = []

    def account(self, key: AccountKey, at: datetime) -> LedgerAccount:
        """The account known by this key; one that is not there yet is opened."""
        if key not in self._accounts:
            kind = key.kind
            self._accounts[key] = LedgerAccount(
                id=self._make_id(at),
                kind=kind.name,
                owner_id=key.owner_id,
                currency=key.currency,
                floor=kind.floor,
                hot=kind.hot,
            )
        return self._accounts[key]

    def post(self, journal: Journal) -> Journal:
        """Take a journal in, with an id of the moment it is from."""
        journal.id = self._make_id(journal.at)
        for entry in journal.entries:
            entry.journal_id = journal.id
        self._journals.append(journal)
        return journal

    def opening(self, at: datetime) -> Values:
        """What the ledger is told to open the accounts."""
        names = ("id", "kind", "owner_id", "currency", "floor", "hot")
        rows = list(self._accounts.values())
        return [*([getattr(row, name) for row in rows] for name in names), at]

    def posting(self) -> Values:
        """What it is told to post the journals."""
        journals: Sequence[Journal] = sorted(self._journals, key=lambda journal: journal.at)
        return list(loaders.ledger.posting(*journals).values())
