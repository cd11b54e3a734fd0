"""What somebody's money did: the entries of a part of her wallet, each with what it was about."""

import enum
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select, type_coerce
from sqlalchemy.orm import Mapped

from models.accounts import shown
from models.base import VIEWER, Audience, Base, named
from models.ledger import AccountKind, Entry, Journal, LedgerAccount
from models.money import Currency
from models.payments import EARNINGS, FUNDS, PENDING


class WalletPart(enum.Enum):
    """The parts of a wallet that have a statement each."""

    FUNDS = "FUNDS"
    AVAILABLE = "AVAILABLE"
    PENDING = "PENDING"

    @property
    def kind(self) -> AccountKind:
        """The kind of account that it is in the ledger."""
        return {WalletPart.FUNDS: FUNDS, WalletPart.AVAILABLE: EARNINGS, WalletPart.PENDING: PENDING}[self]


PARTS = frozenset(part.kind.name for part in WalletPart)


class StatementEntry(Base):
    """Something that came into a part of a wallet, or left it, and what was in it then: no table, but the ledger."""

    __tablename__ = "statement_entries"
    __table__ = (
        select(
            Entry.number.label("number"),
            Entry.account_id.label("account_id"),
            Entry.amount.label("cents"),
            Entry.balance_after.label("balance_cents"),
            Journal.kind.label("kind"),
            Journal.at.label("at"),
            Journal.subject.label("subject"),
            Journal.subject_id.label("subject_id"),
            LedgerAccount.kind.label("part"),
            LedgerAccount.owner_id.label("owner_id"),
            type_coerce(LedgerAccount.currency, named(Currency)).label("currency"),
        )
        .join_from(Entry, Journal, Entry.journal_id == Journal.id)
        .join(LedgerAccount, LedgerAccount.id == Entry.account_id)
        .subquery("statement_entries")
    )
    __mapper_args__ = {"primary_key": [__table__.c.number]}

    number: Mapped[int]
    account_id: Mapped[UUID]
    cents: Mapped[int]
    balance_cents: Mapped[int]
    kind: Mapped[str]
    at: Mapped[datetime]
    subject: Mapped[str]
    subject_id: Mapped[UUID]
    part: Mapped[str]
    owner_id: Mapped[UUID]
    currency: Mapped[Currency]

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """What somebody's money did is nobody else's business."""
        return shown(audience, (cls.owner_id == VIEWER) & cls.part.in_(PARTS))
