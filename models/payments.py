"""What the marketplace charges, and the money words: to deposit, fund, release, refund, settle, withdraw.

payment request:  PENDING ──► PAID
                     └──────► CANCELLED

A money word is a function that returns the journal of what moves between the ledger's accounts; it is posted by
`loaders/ledger.py`, and refused there if somebody has not enough.

    the world ──deposit──► funds ──fund──► escrow ──release──► pending ──settle──► earnings ──withdraw──► the world
                             ▲                │                   └── fees go to the house
                             └─────refund─────┘
"""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    UniqueConstraint,
    column,
    func,
    literal,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.sql.elements import SQLCoreOperations

from models.accounts import Account, shown
from models.base import VIEWER, Audience, Base, Identified, named
from models.config import option
from models.errors import Conflict
from models.ledger import AccountKind, Journal, LedgerAccount
from models.money import BPS, Currency
from models.states import Party, Step, must_be_possible, possible, take

PENDING_DAYS = option(
    "payments.pending_days",
    default=5,
    least=0,
    most=60,
    means="Days for which earnings are pending before they may be withdrawn.",
)

FUNDS = AccountKind("FUNDS")
"""What somebody deposited, or got back, and may spend; the owner is the account."""
ESCROW = AccountKind("ESCROW")
"""What lies aside for the work of a contract, the client's fee included; the owner is the contract."""
PENDING = AccountKind("PENDING")
"""What a freelancer earned and may not withdraw yet."""
EARNINGS = AccountKind("EARNINGS")
"""What a freelancer may withdraw."""
FEES = AccountKind("FEES", floor=None, hot=True)
"""What the house keeps."""
RAIL = AccountKind("RAIL", floor=None, hot=True)
"""The world outside: minus what came from it and has not gone back."""


class TariffKind(enum.Enum):
    """Who pays a fee."""

    FREELANCER_FEE = "FREELANCER_FEE"
    CLIENT_FEE = "CLIENT_FEE"


class Tariff(Identified):
    """A fee, in basis points of the amount, from a moment on until a later tariff of its kind."""

    __tablename__ = "tariffs"
    __table_args__ = (
        UniqueConstraint("kind", "effective_at"),
        CheckConstraint(f"bps between 0 and {BPS}", name="bps_within_whole"),
    )

    kind: Mapped[TariffKind] = mapped_column(named(TariffKind))
    bps: Mapped[int]
    effective_at: Mapped[datetime]


def fee(cents: int, bps: int) -> int:
    """So many basis points of an amount, rounded half to even."""
    whole, rest = divmod(cents * bps, BPS)
    return whole + (rest * 2 > BPS or (rest * 2 == BPS and whole % 2 == 1))


@dataclass(frozen=True, slots=True)
class Charge:
    """What becomes of an agreed amount: the client pays `gross`, the freelancer gets `net`, the house keeps `fees`."""

    amount: int
    client_fee: int
    freelancer_fee: int

    @classmethod
    def of(cls, cents: int, *, client_fee_bps: int, freelancer_fee_bps: int) -> "Charge":
        """Reckon both fees on an amount, each rounded once."""
        return cls(cents, fee(cents, client_fee_bps), fee(cents, freelancer_fee_bps))

    @property
    def gross(self) -> int:
        """What the client pays."""
        return self.amount + self.client_fee

    @property
    def net(self) -> int:
        """What the freelancer gets."""
        return self.amount - self.freelancer_fee

    @property
    def fees(self) -> int:
        """What the house keeps: gross = net + fees."""
        return self.client_fee + self.freelancer_fee


class PaymentKind(enum.Enum):
    """What was paid for."""

    MILESTONE = "MILESTONE"
    BONUS = "BONUS"


class Payment(Identified):
    """Work that was paid for, or thanked for: what it cost, what was kept of it, and since when it may be withdrawn."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("client_id <> freelancer_id", name="two_parties"),
        CheckConstraint("amount_cents > 0", name="amount_positive"),
        CheckConstraint("client_fee_cents >= 0", name="client_fee_not_negative"),
        CheckConstraint("freelancer_fee_cents between 0 and amount_cents", name="freelancer_fee_within_amount"),
        CheckConstraint("(kind = 'MILESTONE') = (milestone_id is not null)", name="milestone_of_its_kind"),
        UniqueConstraint("journal_id"),
        Index("ix_payments_contract_id", "contract_id", "id"),
        Index("ix_payments_milestone_id", "milestone_id", "id"),
        Index("ix_payments_client_id", "client_id", "id"),
        Index("ix_payments_freelancer_id", "freelancer_id", "id"),
        Index("ix_payments_due", "available_at", postgresql_where=text("settled_at is null")),
    )
    noun: ClassVar[str] = "payment"

    kind: Mapped[PaymentKind] = mapped_column(named(PaymentKind))
    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contracts.id"))
    milestone_id: Mapped[UUID | None] = mapped_column(ForeignKey("milestones.id"))
    client_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    freelancer_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    amount_cents: Mapped[int]
    client_fee_cents: Mapped[int]
    freelancer_fee_cents: Mapped[int]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    note: Mapped[str | None]
    journal_id: Mapped[UUID] = mapped_column(ForeignKey("journals.id"))
    paid_at: Mapped[datetime]
    available_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]

    @property
    def charge(self) -> Charge:
        """The amounts of it."""
        return Charge(self.amount_cents, self.client_fee_cents, self.freelancer_fee_cents)

    def come_due(self, *, at: datetime) -> int:
        """Be pending no longer, and say how much there is to settle: nothing, if the fee was all of it."""
        assert self.settled_at is None, self.id
        assert at >= self.available_at, self.id
        self.settled_at = at
        return self.charge.net

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """A payment is between who paid and who was paid."""
        return shown(audience, or_(cls.client_id == VIEWER, cls.freelancer_id == VIEWER))


class PaymentRequestState(enum.Enum):
    """What became of a request."""

    PENDING = "PENDING"
    PAID = "PAID"
    CANCELLED = "CANCELLED"


class PaymentRequestAction(enum.Enum):
    """What may be done with a payment request."""

    PAY = "PAY"
    CANCEL = "CANCEL"


class PaymentRequestDecided(Conflict):
    """What is owed is paid once, or waived."""

    code = "PAYMENT_REQUEST_DECIDED"
    message = "This payment request was paid or cancelled already."


_PENDING = frozenset({PaymentRequestState.PENDING})
REQUEST_STEPS: dict[PaymentRequestAction, Step[PaymentRequestState]] = {
    PaymentRequestAction.PAY: Step(Party.CLIENT, _PENDING, PaymentRequestState.PAID, PaymentRequestDecided),
    PaymentRequestAction.CANCEL: Step(Party.FREELANCER, _PENDING, PaymentRequestState.CANCELLED, PaymentRequestDecided),
}
"""Who may do what with a payment request; also when the contract was terminated, for what is owed is owed."""


class PaymentRequest(Identified):
    """Accepted work that was not paid for in advance: the client owes this."""

    __tablename__ = "payment_requests"
    __table_args__ = (
        UniqueConstraint("milestone_id"),
        UniqueConstraint("payment_id"),
        CheckConstraint("client_id <> freelancer_id", name="two_parties"),
        CheckConstraint("amount_cents > 0", name="amount_positive"),
        CheckConstraint("(state = 'PENDING') = (decided_at is null)", name="decided_at_some_time"),
        CheckConstraint("(state = 'PAID') = (payment_id is not null)", name="paid_by_a_payment"),
        Index("ix_payment_requests_contract_id", "contract_id", "id"),
        Index("ix_payment_requests_client_id", "client_id", "id"),
        Index("ix_payment_requests_freelancer_id", "freelancer_id", "id"),
    )
    noun: ClassVar[str] = "paymentrequest"

    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contracts.id"))
    milestone_id: Mapped[UUID] = mapped_column(ForeignKey("milestones.id"))
    client_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    freelancer_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    amount_cents: Mapped[int]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    state: Mapped[PaymentRequestState] = mapped_column(named(PaymentRequestState))
    made_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("payments.id"))

    payment: Mapped[Payment | None] = relationship(lazy="raise")

    def pay(self, by: Account, payment: Payment, *, at: datetime) -> None:
        """Be paid: the client may, once."""
        self._decide(PaymentRequestAction.PAY, by, at)
        self.payment_id = payment.id

    def cancel(self, by: Account, *, at: datetime) -> None:
        """Be done without: the freelancer may."""
        self._decide(PaymentRequestAction.CANCEL, by, at)

    def must_allow(self, action: PaymentRequestAction, by: Account) -> None:
        """Refuse what somebody may not do with it now."""
        must_be_possible(self, REQUEST_STEPS[action], self.parties(by))

    def _decide(self, action: PaymentRequestAction, by: Account, at: datetime) -> None:
        take(self, REQUEST_STEPS[action], self.parties(by))
        self.decided_at = at

    def parties(self, account: Account | None) -> frozenset[Party]:
        """What somebody is to this request."""
        if account is None:
            return frozenset()
        roles = {Party.FREELANCER: self.freelancer_id == account.id, Party.CLIENT: self.client_id == account.id}
        return frozenset(party for party, holds in roles.items() if holds)

    def actions_for(self, account: Account | None) -> list[PaymentRequestAction]:
        """What somebody may do with it now."""
        return possible(self, REQUEST_STEPS, self.parties(account))

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """A request is between who owes and who is owed."""
        return shown(audience, or_(cls.client_id == VIEWER, cls.freelancer_id == VIEWER))


_CONTRACTS = table("contracts", column("id"), column("client_id"))


def _in(kind: AccountKind, amount: SQLCoreOperations[int]) -> ColumnElement[int]:
    """What the ledger says of somebody's account of this kind; nothing before it is opened."""
    of_hers = (LedgerAccount.kind == kind.name, LedgerAccount.owner_id == Account.id, LedgerAccount.currency == "USD")
    return func.coalesce(select(amount).where(*of_hers).scalar_subquery(), 0).cast(BigInteger)


def _aside() -> ColumnElement[int]:
    """What lies aside for the work that somebody pays for."""
    hers = select(_CONTRACTS.c.id).where(_CONTRACTS.c.client_id == Account.id).correlate(Account)
    lies = select(func.coalesce(func.sum(LedgerAccount.balance), 0)).where(
        LedgerAccount.kind == ESCROW.name, LedgerAccount.owner_id.in_(hers), LedgerAccount.currency == "USD"
    )
    return lies.scalar_subquery().cast(BigInteger)


class Wallet(Base):
    """Somebody's money by what may be done with it, all of one moment: no table, but what the ledger says of her."""

    __tablename__ = "wallets"
    __table__ = select(
        Account.id.label("id"),
        literal(Currency.USD, named(Currency)).label("currency"),
        _in(FUNDS, LedgerAccount.balance - LedgerAccount.held).label("funds_cents"),
        _in(EARNINGS, LedgerAccount.balance - LedgerAccount.held).label("available_cents"),
        _in(PENDING, LedgerAccount.balance).label("pending_cents"),
        _aside().label("escrowed_cents"),
        (_in(FUNDS, LedgerAccount.held) + _in(EARNINGS, LedgerAccount.held)).label("leaving_cents"),
    ).subquery("wallets")
    noun: ClassVar[str] = "wallet"

    id: Mapped[UUID]
    currency: Mapped[Currency]
    funds_cents: Mapped[int]
    available_cents: Mapped[int]
    pending_cents: Mapped[int]
    escrowed_cents: Mapped[int]
    leaving_cents: Mapped[int]

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """What somebody has is nobody else's business."""
        return shown(audience, cls.id == VIEWER)


def deposit(about: Identified, cents: int, *, rail: LedgerAccount, funds: LedgerAccount, at: datetime) -> Journal:
    """Money came in from outside."""
    return Journal.of("DEPOSIT", about, [(rail, -cents), (funds, cents)], at=at)


def withdraw(about: Identified, cents: int, *, purse: LedgerAccount, rail: LedgerAccount, at: datetime) -> Journal:
    """Money went out; it was held in the purse until then."""
    return Journal.of("WITHDRAWAL", about, [(purse, -cents), (rail, cents)], at=at)


def fund(about: Identified, cents: int, *, funds: LedgerAccount, escrow: LedgerAccount, at: datetime) -> Journal:
    """A client puts money aside for work."""
    return Journal.of("FUND", about, [(funds, -cents), (escrow, cents)], at=at)


def refund(about: Identified, cents: int, *, escrow: LedgerAccount, funds: LedgerAccount, at: datetime) -> Journal:
    """Money that lay aside for work goes back to the client."""
    return Journal.of("REFUND", about, [(escrow, -cents), (funds, cents)], at=at)


def pay(
    kind: str,
    about: Identified,
    charge: Charge,
    *,
    sources: list[tuple[LedgerAccount, int]],
    pending: LedgerAccount,
    fees: LedgerAccount,
    at: datetime,
) -> Journal:
    """A freelancer is paid, and the house keeps its fees; the sources, each with its part, make up the gross."""
    assert sum(cents for _, cents in sources) == charge.gross, (sources, charge)
    taken = [(account, -cents) for account, cents in sources if cents]
    kept = [(account, cents) for account, cents in ((pending, charge.net), (fees, charge.fees)) if cents]
    return Journal.of(kind, about, taken + kept, at=at)


def settle(payment: Payment, *, pending: LedgerAccount, earnings: LedgerAccount, at: datetime) -> Journal:
    """What was earned may be withdrawn from now on."""
    net = payment.charge.net
    return Journal.of("SETTLE", payment, [(pending, -net), (earnings, net)], at=at)
