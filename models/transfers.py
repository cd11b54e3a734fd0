"""Money that people bring from outside or take out, through a payment provider.

transfer:   REQUESTED ──► SUBMITTED ──► SUCCEEDED
                │             └───────► FAILED
                ├─────────────────────► SUCCEEDED
                └─────────────────────► FAILED

It is REQUESTED when we wrote it down, SUBMITTED when the provider said that it has it, and decided when the provider
said what came of it: in its answer, in a webhook, or when it is asked again. Until then it is asked again and again,
ever more slowly: nobody but the provider knows, so nothing here ever gives up or guesses.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

import models.payments
from models.accounts import Account, shown
from models.base import VIEWER, Audience, Identified, named
from models.config import Config, option
from models.errors import Checks, Conflict, Problem
from models.ledger import AccountKind, Hold, Journal, LedgerAccount
from models.money import AMOUNT_MAX_CENTS, Currency, Money
from models.payments import EARNINGS, FUNDS
from models.states import Party, Step, take

METHOD_MAX = 200
REASON_MAX = 500

DEPOSIT_LEAST = option(
    "transfers.deposit_least_cents",
    default=1_00,
    least=1,
    most=1_000_00,
    means="The smallest deposit, in cents.",
)
DEPOSIT_MOST = option(
    "transfers.deposit_most_cents",
    default=100_000_00,
    least=1_000_00,
    most=AMOUNT_MAX_CENTS,
    means="The largest deposit, in cents.",
)
WITHDRAWAL_LEAST = option(
    "transfers.withdrawal_least_cents",
    default=1_00,
    least=1,
    most=1_000_00,
    means="The smallest withdrawal, in cents.",
)
WITHDRAWAL_MOST = option(
    "transfers.withdrawal_most_cents",
    default=100_000_00,
    least=1_000_00,
    most=AMOUNT_MAX_CENTS,
    means="The largest withdrawal, in cents.",
)
ASK_SECONDS = option(
    "transfers.ask_seconds",
    default=15,
    least=1,
    most=3_600,
    means="Seconds until the payment provider is first asked again what became of a transfer; the wait doubles.",
)
ASK_SECONDS_MAX = option(
    "transfers.ask_seconds_max",
    default=3_600,
    least=1,
    most=86_400,
    means="The longest wait, in seconds, before the payment provider is asked again.",
)


class TransferKind(enum.Enum):
    """Which way the money goes."""

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"


class TransferState(enum.Enum):
    """How far a transfer is."""

    REQUESTED = "REQUESTED"
    SUBMITTED = "SUBMITTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class Purse(enum.Enum):
    """The parts of a wallet that money is taken out of."""

    FUNDS = "FUNDS"
    EARNINGS = "EARNINGS"

    @property
    def kind(self) -> AccountKind:
        """The kind of account that it is in the ledger."""
        return {Purse.FUNDS: FUNDS, Purse.EARNINGS: EARNINGS}[self]


class Outcome(enum.Enum):
    """What a provider says of a transfer; UNKNOWN is that it says nothing."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


class TransferDecided(Conflict):
    """What was decided stays so, whatever is said later."""

    code = "TRANSFER_DECIDED"
    message = "This transfer is through, or has failed."


class TransferMismatch(Conflict):
    """A provider that speaks of another amount, or under another reference, does not speak of this transfer."""

    code = "TRANSFER_MISMATCH"
    message = "This is not what the transfer was about."


class PaymentsUnavailable(Conflict):
    """Nobody carries money to or from this installation."""

    code = "PAYMENTS_UNAVAILABLE"
    message = "Deposits and withdrawals are not available here."


class TransferAction(enum.Enum):
    """What a provider's word does to a transfer."""

    SUBMIT = "SUBMIT"
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"


OPEN = frozenset({TransferState.REQUESTED, TransferState.SUBMITTED})
STEPS: dict[TransferAction, Step[TransferState]] = {
    TransferAction.SUBMIT: Step(Party.SYSTEM, OPEN, TransferState.SUBMITTED, TransferDecided),
    TransferAction.SUCCEED: Step(Party.SYSTEM, OPEN, TransferState.SUCCEEDED, TransferDecided),
    TransferAction.FAIL: Step(Party.SYSTEM, OPEN, TransferState.FAILED, TransferDecided),
}
"""What may become of a transfer, and when."""

HEARD = {
    Outcome.PENDING: TransferAction.SUBMIT,
    Outcome.SUCCEEDED: TransferAction.SUCCEED,
    Outcome.FAILED: TransferAction.FAIL,
}


@dataclass(frozen=True, slots=True)
class Order:
    """What a provider is asked to do; the id is its idempotency key, so that asking twice is asking once."""

    id: UUID
    kind: TransferKind
    money: Money
    method: str
    requested_at: datetime
    reference: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider says of a transfer, in answer to an order or by itself."""

    outcome: Outcome
    reference: str | None = None
    reason: str | None = None
    money: Money | None = None
    """The amount it speaks of, if it names one."""


UNKNOWN = Answer(Outcome.UNKNOWN)


@dataclass(frozen=True, slots=True)
class TransferWords:
    """What somebody wants to bring or to take out; `method` is whatever the provider calls the other end."""

    cents: int
    method: str
    currency: Currency = Currency.USD
    purse: Purse = Purse.FUNDS
    misread: Sequence[Problem] = ()

    def check(self, least: int, most: int) -> None:
        """An amount within bounds, and a method that can be told to a provider."""
        with Checks() as check:
            check.note(self.misread)
            bounds = f"{Money(least, self.currency).amount} to {Money(most, self.currency).amount}"
            check.require(least <= self.cents <= most, ("amount", "amount"), f"This may be {bounds}.")
            fits = 1 <= len(self.method) <= METHOD_MAX and self.method.isascii() and self.method.isprintable()
            check.require(fits, "method", f"A method has 1 to {METHOD_MAX} printable ASCII characters.")


class Transfer(Identified):
    """A deposit or a withdrawal; while it is undecided there is a moment at which the provider is asked again."""

    __tablename__ = "transfers"
    __table_args__ = (
        UniqueConstraint("hold_id"),
        UniqueConstraint("journal_id"),
        UniqueConstraint("reference"),
        CheckConstraint("amount_cents > 0", name="amount_positive"),
        CheckConstraint("kind = 'WITHDRAWAL' or purse = 'FUNDS'", name="deposited_into_funds"),
        CheckConstraint("(kind = 'WITHDRAWAL') = (hold_id is not null)", name="held_until_withdrawn"),
        CheckConstraint("(state = 'SUCCEEDED') = (journal_id is not null)", name="succeeded_by_a_journal"),
        CheckConstraint("(state in ('SUCCEEDED', 'FAILED')) = (decided_at is not null)", name="decided_at_some_time"),
        CheckConstraint("(decided_at is null) = (next_attempt_at is not null)", name="asked_until_decided"),
        Index("ix_transfers_account_id", "account_id", "id"),
        Index("ix_transfers_due", "next_attempt_at", postgresql_where=text("decided_at is null")),
    )
    noun: ClassVar[str] = "transfer"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    kind: Mapped[TransferKind] = mapped_column(named(TransferKind))
    purse: Mapped[Purse] = mapped_column(named(Purse))
    amount_cents: Mapped[int]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    method: Mapped[str]
    state: Mapped[TransferState] = mapped_column(named(TransferState))
    reference: Mapped[str | None]
    reason: Mapped[str | None]
    attempts: Mapped[int]
    requested_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    hold_id: Mapped[UUID | None] = mapped_column(ForeignKey("holds.id"))
    journal_id: Mapped[UUID | None] = mapped_column(ForeignKey("journals.id"))

    @classmethod
    def deposit(cls, by: Account, words: TransferWords, *, transfer_id: UUID, at: datetime, config: Config) -> Self:
        """Want to bring money in; it is there when the provider says so."""
        words.check(config[DEPOSIT_LEAST], config[DEPOSIT_MOST])
        return cls._of(TransferKind.DEPOSIT, by, words, transfer_id=transfer_id, at=at, config=config)

    @classmethod
    def withdraw(cls, by: Account, words: TransferWords, *, transfer_id: UUID, at: datetime, config: Config) -> Self:
        """Want to take money out, which is to be held until it is out, or has turned out not to go."""
        words.check(config[WITHDRAWAL_LEAST], config[WITHDRAWAL_MOST])
        return cls._of(TransferKind.WITHDRAWAL, by, words, transfer_id=transfer_id, at=at, config=config)

    def hold(self, purse: LedgerAccount, *, at: datetime) -> Hold:
        """Set aside what is to go out; it never expires, because money that may be gone is not to be spent again."""
        hold = Hold.of(purse, self.amount_cents, at=at)
        self.hold_id = hold.id
        return hold

    @classmethod
    def _of(
        cls,
        kind: TransferKind,
        by: Account,
        words: TransferWords,
        *,
        transfer_id: UUID,
        at: datetime,
        config: Config,
    ) -> Self:
        return cls(
            id=transfer_id,
            account_id=by.id,
            kind=kind,
            purse=words.purse,
            amount_cents=words.cents,
            currency=words.currency,
            method=words.method,
            state=TransferState.REQUESTED,
            attempts=1,
            requested_at=at,
            next_attempt_at=at + timedelta(seconds=config[ASK_SECONDS]),
        )

    @property
    def is_decided(self) -> bool:
        """Whether it is through, or has failed."""
        return self.state not in OPEN

    @property
    def order(self) -> Order:
        """What to tell the provider of it, each time alike."""
        money = Money(self.amount_cents, self.currency)
        return Order(self.id, self.kind, money, self.method, self.requested_at, self.reference)

    def try_again(self, *, at: datetime, config: Config) -> None:
        """Note that the provider is asked once more, and when to ask the next time."""
        # No wait is longer than the longest one; a large exponent would only take time to reckon.
        wait = min(config[ASK_SECONDS] * 2 ** min(self.attempts, 20), config[ASK_SECONDS_MAX])
        self.attempts += 1
        self.next_attempt_at = at + timedelta(seconds=wait)

    def hear(self, answer: Answer, *, at: datetime) -> bool:
        """Take note of what the provider says, and tell whether anything has changed.

        What is said of a decided transfer changes nothing: it is said twice, or late. `TransferMismatch` when it is
        about something else.
        """
        self._must_be_about_this(answer)
        if self.is_decided or answer.outcome is Outcome.UNKNOWN:
            return False
        before = self.state, self.reference
        take(self, STEPS[HEARD[answer.outcome]], frozenset({Party.SYSTEM}))
        self.reference = self.reference or answer.reference
        if answer.outcome is not Outcome.PENDING:
            self.decided_at, self.next_attempt_at = at, None
        if answer.outcome is Outcome.FAILED:
            self.reason = (answer.reason or "The provider gave no reason.")[:REASON_MAX]
        return before != (self.state, self.reference)

    def _must_be_about_this(self, answer: Answer) -> None:
        money = Money(self.amount_cents, self.currency)
        if answer.money not in {None, money}:
            raise TransferMismatch
        if self.reference is not None and answer.reference not in {None, self.reference}:
            raise TransferMismatch

    def contradicts(self, answer: Answer) -> bool:
        """Tell whether a provider that said one thing now says the other: somebody has to talk to it."""
        return self.is_decided and {answer.outcome.value, self.state.value} == {"SUCCEEDED", "FAILED"}

    def journal(self, *, purse: LedgerAccount, rail: LedgerAccount, at: datetime) -> Journal:
        """What moves when it succeeds."""
        if self.kind is TransferKind.DEPOSIT:
            journal = models.payments.deposit(self, self.amount_cents, rail=rail, funds=purse, at=at)
        else:
            journal = models.payments.withdraw(self, self.amount_cents, purse=purse, rail=rail, at=at)
        self.journal_id = journal.id
        return journal

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """What somebody brings or takes out is nobody else's business."""
        return shown(audience, cls.account_id == VIEWER)
