"""What everybody has: accounts, the journals that move amounts between them, and holds; why is for others to say.

hold:   HELD ──► POSTED      (a journal took all of it, or a part; the rest is free again)
          ├────► VOIDED
          └────► EXPIRED

A positive amount credits an account, a negative one debits it, and a balance is credits minus debits, so the
balances of a currency sum to zero at any moment. What is owed to people is positive; the world outside is negative.

Rows of these tables are written by functions of the database alone (`migrations/`), which the application may call;
it may not write them itself. What is journalled is never changed or deleted, only reversed, once.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, Identified, named
from models.errors import Conflict, refuses

AMOUNT_MAX = 2**63 - 1
"""The largest amount of an entry, and of all credits of a journal together: what a 64-bit integer can say."""

LEGS_MAX = 1_000
"""Entries of one journal."""


class NotAJournal(AssertionError):
    """Somebody made a journal, an entry or a hold that no ledger has: a bug of the caller's, never a refusal."""


@refuses("ck_ledger_accounts_within_floor")
class InsufficientFunds(Conflict):
    """What is not held of a balance is never below the account's floor."""

    code = "INSUFFICIENT_FUNDS"
    message = "There is not enough on the account for this."


@refuses("uq_journals_reverses")
class AlreadyReversed(Conflict):
    """A journal is undone once."""

    code = "ALREADY_REVERSED"
    message = "This has been reversed already."


@refuses("holds_resolved_once")
class HoldResolved(Conflict):
    """Of those who post, void or expire a hold, one does; and none posts it from its last moment on."""

    code = "HOLD_RESOLVED"
    message = "What was held is not held any longer."


@refuses("holds_not_exceeded")
class HoldExceeded(Conflict):
    """A hold is posted by a journal that debits its account, by no more than was held."""

    code = "HOLD_EXCEEDED"
    message = "This is not within what was held."


class HoldState(enum.Enum):
    """What became of a hold."""

    HELD = "HELD"
    POSTED = "POSTED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class AccountKind:
    """A kind of account, declared once by whoever keeps accounts of it.

    `floor` is what a balance, minus what is held of it, may not be below; without one it may fall to any depth. A
    `hot` kind is one that everybody posts to: it has no floor and no holds, nobody waits for it, and its entries tell
    no running balance.
    """

    name: str
    floor: int | None = 0
    hot: bool = False

    def __post_init__(self) -> None:
        if self.hot and self.floor is not None:
            raise NotAJournal(f"{self.name} is hot, so nobody would keep its floor")

    def of(self, owner_id: UUID | None, currency: str) -> "AccountKey":
        """Whose account of this kind, in which currency (ISO 4217, or a code of our own); nobody's is the house's."""
        return AccountKey(self, owner_id, currency)


@dataclass(frozen=True, slots=True)
class AccountKey:
    """What an account is known by: there is one for each kind, owner and currency."""

    kind: AccountKind
    owner_id: UUID | None
    currency: str


class LedgerAccount(Identified):
    """What somebody has of one kind in one currency, in its smallest unit.

    `balance` is all entries together, unless the account is hot: then those in `unfolded_entries` are to be added.
    """

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        UniqueConstraint("kind", "owner_id", "currency", postgresql_nulls_not_distinct=True),
        CheckConstraint("balance - held >= floor", name="within_floor"),
        CheckConstraint("held >= 0", name="held_not_negative"),
        CheckConstraint("not hot or (floor is null and held = 0)", name="hot_without_floor"),
        # Room for the next versions of a row beside it, so that no index has to be told of a new balance.
        {"postgresql_with": {"fillfactor": 50}},
    )

    kind: Mapped[str]
    owner_id: Mapped[UUID | None]
    currency: Mapped[str]
    floor: Mapped[int | None]
    hot: Mapped[bool]
    balance: Mapped[int]
    held: Mapped[int]
    opened_at: Mapped[datetime]


class Journal(Identified):
    """Amounts that moved between accounts of one currency at one moment, and what it was about."""

    __tablename__ = "journals"
    __table_args__ = (
        UniqueConstraint("reverses"),
        UniqueConstraint("id", "legs"),
        CheckConstraint(f"legs between 2 and {LEGS_MAX}", name="two_legs"),
        Index("ix_journals_subject_id", "subject_id"),
    )

    kind: Mapped[str]
    at: Mapped[datetime]
    subject: Mapped[str]
    subject_id: Mapped[UUID]
    reverses: Mapped[UUID | None] = mapped_column(ForeignKey("journals.id"))
    legs: Mapped[int] = mapped_column(SmallInteger())
    """How many entries it has, so that none can be added later."""

    entries: Mapped[list["Entry"]] = relationship(lazy="raise", back_populates="journal", order_by="Entry.position")

    @classmethod
    def of(
        cls, kind: str, about: Identified, entries: Sequence[tuple[LedgerAccount, int]], *, at: datetime
    ) -> "Journal":
        """Write down what moves; `NotAJournal` unless it is integers of one currency that sum to zero, none of them 0.

        Floors are for the database to keep: for the journal as a whole, and for all that are posted together.
        """
        _must_balance([amount for _, amount in entries])
        if len({account.currency for account, _ in entries}) != 1:
            raise NotAJournal(f"{kind} mixes currencies")
        moved = [(account.id, amount) for account, amount in entries]
        return cls._of(kind, (about.noun, about.id), moved, at=at)

    @classmethod
    def _of(
        cls, kind: str, subject: tuple[str, UUID], entries: Sequence[tuple[UUID, int]], *, at: datetime
    ) -> "Journal":
        if at.tzinfo is None:
            raise NotAJournal(f"{kind} happened at no known moment")
        legs = len(entries)
        journal = cls(kind=kind, at=at, subject=subject[0], subject_id=subject[1], reverses=None, legs=legs)
        parts = [
            Entry(journal_id=journal.id, position=position, legs=legs, account_id=account_id, amount=amount)
            for position, (account_id, amount) in enumerate(entries, start=1)
        ]
        # It is posted by a function of the database, and by no session that would have to follow what changes.
        vars(journal)["entries"] = parts
        return journal

    def reversal(self, kind: str, *, at: datetime) -> "Journal":
        """Write down the opposite of this journal, which can be posted once; needs its entries."""
        back = [(entry.account_id, -entry.amount) for entry in self.entries]
        reversal = self._of(kind, (self.subject, self.subject_id), back, at=at)
        reversal.reverses = self.id
        return reversal


def _must_balance(amounts: Sequence[int]) -> None:
    if not 2 <= len(amounts) <= LEGS_MAX:
        raise NotAJournal(f"a journal has 2 to {LEGS_MAX} entries, not {len(amounts)}")
    for amount in amounts:
        _must_be_amount(amount)
    if sum(amounts) != 0:
        raise NotAJournal(f"{amounts} sum to {sum(amounts)}")
    if sum(amount for amount in amounts if amount > 0) > AMOUNT_MAX:
        raise NotAJournal(f"{amounts} are more than can be counted")


def _must_be_amount(amount: int) -> None:
    # True is an integer to Python, and nothing that moves.
    if type(amount) is not int:
        raise NotAJournal(f"{amount!r} is not an integer")
    if amount == 0 or abs(amount) > AMOUNT_MAX:
        raise NotAJournal(f"{amount} is not an amount that can move")


class Entry(Base):
    """One account's part of a journal: credited if the amount is positive, debited if negative.

    `number` grows from entry to entry of an account in the order in which they took effect, and `balance_after` is
    the account's balance then; a hot account's entries are only roughly in order, and tell no balance.
    """

    __tablename__ = "entries"
    __table_args__ = (
        # A journal has all its legs when it is committed, so their positions are taken for good.
        ForeignKeyConstraint(["journal_id", "legs"], ["journals.id", "journals.legs"]),
        CheckConstraint("position between 1 and legs", name="position_within_legs"),
        CheckConstraint("amount <> 0", name="amount_moves"),
        Index("ix_entries_account_id_number", "account_id", "number"),
    )

    journal_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger(), primary_key=True)
    legs: Mapped[int] = mapped_column(SmallInteger())
    # No foreign key: its lock would have everybody write to the row of a hot account. The trigger that weighs a
    # journal misses the accounts that are not there, and no account is ever deleted.
    account_id: Mapped[UUID]
    amount: Mapped[int]
    number: Mapped[int] = mapped_column(BigInteger(), Identity(always=True))
    balance_after: Mapped[int | None]

    journal: Mapped[Journal] = relationship(lazy="raise", back_populates="entries")


class UnfoldedEntry(Base):
    """An entry of a hot account that is not in its `balance` yet; whoever folds moves it there, by deleting it here."""

    __tablename__ = "unfolded_entries"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    journal_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger(), primary_key=True)
    amount: Mapped[int]


class Hold(Identified):
    """A part of a balance set aside for one later debit; it counts as spent until it is resolved, once."""

    __tablename__ = "holds"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("(state = 'HELD') = (resolved_at is null)", name="resolved_at_some_time"),
        CheckConstraint("(state = 'POSTED') = (journal_id is not null)", name="posted_by_a_journal"),
        UniqueConstraint("journal_id"),
        Index("ix_holds_account_id", "account_id", "id"),
        Index("ix_holds_expires_at", "expires_at", postgresql_where=text("state = 'HELD'")),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_accounts.id"))
    amount: Mapped[int]
    state: Mapped[HoldState] = mapped_column(named(HoldState))
    placed_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    journal_id: Mapped[UUID | None] = mapped_column(ForeignKey("journals.id"))

    @classmethod
    def of(cls, account: LedgerAccount, amount: int, *, at: datetime, expires_at: datetime | None = None) -> "Hold":
        """Set an amount aside, until a moment or until somebody decides."""
        _must_be_amount(amount)
        if amount < 0:
            raise NotAJournal(f"{amount} cannot be held")
        if expires_at is not None and expires_at <= at:
            raise NotAJournal("a hold lasts for some time")
        if account.hot:
            raise NotAJournal(f"{account.kind} is hot, and nothing can be held of it")
        return cls(account_id=account.id, amount=amount, state=HoldState.HELD, placed_at=at, expires_at=expires_at)


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has, in the smallest unit of its currency, and how much of it is held."""

    balance: int
    held: int

    @property
    def available(self) -> int:
        """What is not held; how much of it may be spent is a matter of the floor."""
        return self.balance - self.held
