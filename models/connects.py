"""Connects, a currency of the marketplace's own: what a proposal costs, given and bought in lots that expire.

    the house ──issue──► lot ──spend──► spent ──return──► the lot it came from
                          └───expire──► expired

A lot is some Connects that somebody got at once. Each has an account in the ledger; `remaining` says the same as its
balance, so that lots can be found and held without it. What expires soonest is spent first. What is returned goes back
where it came from, and if that has expired meanwhile, it expires once more.
"""

import enum
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    UniqueConstraint,
    Uuid,
    func,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.accounts import Account, Role, shown
from models.base import NOW, VIEWER, Audience, Base, Identified, named
from models.config import Config, option
from models.errors import Checks, Conflict
from models.ledger import AccountKind, Journal, LedgerAccount

CURRENCY = "CNX"
"""The code of Connects; they have no smaller unit."""

LOT = AccountKind("LOT")
"""What is left of a lot; the owner is the lot."""
ISSUED = AccountKind("CONNECTS_ISSUED", floor=None, hot=True)
"""Minus all that was ever given or sold."""
SPENT = AccountKind("CONNECTS_SPENT", floor=None, hot=True)
"""What was paid for proposals, and not returned."""
EXPIRED = AccountKind("CONNECTS_EXPIRED", floor=None, hot=True)
"""What nobody used in time."""
SALES = AccountKind("CONNECTS_SALES", floor=None, hot=True)
"""The money that Connects were sold for."""

WELCOME = option(
    "connects.welcome", default=20, least=1, most=10_000, means="Connects that a new freelancer is given, once."
)
MONTHLY = option(
    "connects.monthly", default=10, least=1, most=10_000, means="Connects that a freelancer is given every month."
)
LOT_MONTHS = option(
    "connects.lot_months", default=12, least=1, most=120, means="Months after which Connects expire that are left."
)
PRICE_CENTS = option(
    "connects.price_cents", default=15, least=1, most=10_000, means="What one Connect costs, in cents."
)

BUNDLES = (10, 20, 40, 60, 80)
"""How many are sold at once. They are for the next proposals, not for years: what is left expires."""

BANDS = (
    (100_00, 2),
    (250_00, 4),
    (500_00, 6),
    (1_000_00, 8),
    (2_500_00, 10),
    (5_000_00, 12),
    (10_000_00, 14),
)
"""Up to which size of a job, in cents, a proposal costs how many Connects.

Enough that nobody proposes on everything, and at the usual price less than a hundredth of what a job pays from a
hundred dollars up. The bands widen: the more there is to win, the less it takes off to think twice.
"""
COST_MAX = 16
"""What a proposal on anything larger costs."""


def cost_of(size_cents: int) -> int:
    """How many Connects a proposal on a job of this size costs."""
    return next((cost for most, cost in BANDS if size_cents <= most), COST_MAX)


class NotEnoughConnects(Conflict):
    """A proposal is paid for when it is made."""

    code = "NOT_ENOUGH_CONNECTS"
    message = "You do not have enough Connects for this."

    def __init__(self, *, cost: int, have: int) -> None:
        super().__init__(f"This costs {cost} Connects, and you have {have}.")
        self.cost = cost
        self.have = have


class ConnectsCostChanged(Conflict):
    """Nobody pays more than she was shown."""

    code = "CONNECTS_COST_CHANGED"
    message = "A proposal on this job costs more than you were shown."

    def __init__(self, cost: int) -> None:
        super().__init__(f"A proposal on this job costs {cost} Connects now.", path=("connects_cost",))


class LotSource(enum.Enum):
    """How somebody came by a lot."""

    REGISTRATION = "REGISTRATION"
    GRANT = "GRANT"
    BUNDLE = "BUNDLE"


class Lot(Identified):
    """Connects that somebody got at once, and that expire together."""

    __tablename__ = "lots"
    __table_args__ = (
        CheckConstraint("size > 0", name="size_positive"),
        CheckConstraint("remaining between 0 and size", name="remaining_within_size"),
        CheckConstraint("issued_at < expires_at", name="lasts"),
        CheckConstraint("(source = 'GRANT') = (month is not null)", name="month_of_its_grant"),
        # However many workers come at once, and however often: one grant a month, and one welcome.
        UniqueConstraint("account_id", "month"),
        Index("uq_lots_welcome", "account_id", unique=True, postgresql_where=text("source = 'REGISTRATION'")),
        UniqueConstraint("purse_id"),
        Index("ix_lots_account_id", "account_id", "expires_at", "id"),
        Index("ix_lots_due", "expires_at", postgresql_where=text("remaining > 0")),
    )
    noun: ClassVar[str] = "lot"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    source: Mapped[LotSource] = mapped_column(named(LotSource))
    size: Mapped[int]
    remaining: Mapped[int]
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    month: Mapped[date | None]
    """The first day of the month that it is the grant of."""
    purse_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_accounts.id"))

    purse: Mapped[LedgerAccount] = relationship(lazy="raise")

    @classmethod
    def of(cls, account_id: UUID, source: LotSource, size: int, *, at: datetime, config: Config) -> "Lot":
        """A lot that has nothing in it yet: what it is to have is posted to its account."""
        expires_at = months_after(at, config[LOT_MONTHS])
        return cls(
            account_id=account_id,
            source=source,
            size=size,
            remaining=0,
            issued_at=at,
            expires_at=expires_at,
            month=None,
        )

    @classmethod
    def bundle(cls, by: Account, size: int, *, at: datetime, config: Config) -> "Lot":
        """Buy Connects, as many as there are in a bundle."""
        by.must_be(Role.FREELANCER)
        with Checks() as check:
            sold = f"Connects are sold in bundles of {', '.join(map(str, BUNDLES))}."
            check.require(size in BUNDLES, "size", sold)
        return cls.of(by.id, LotSource.BUNDLE, size, at=at, config=config)

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """What somebody has is nobody else's business."""
        return shown(audience, cls.account_id == VIEWER)


class Allowance(Base):
    """What a freelancer is given: a welcome, and then some Connects on the same day of every month.

    A month that has no such day gives on its last one. Whatever was not given in time is given later, as of its day.
    """

    __tablename__ = "allowances"
    __table_args__ = (CheckConstraint("given >= 0", name="given_not_negative"),)

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    since: Mapped[datetime]
    given: Mapped[int]
    """How many lots were given, the welcome among them."""
    next_at: Mapped[datetime] = mapped_column(index=True)

    @classmethod
    def begin(cls, account: Account, *, at: datetime) -> "Allowance":
        """Become a freelancer: today is the day, in every month."""
        return cls(account_id=account.id, since=at, given=0, next_at=at)

    def give(self, *, config: Config) -> Lot:
        """Give what is due next: the welcome, or the grant of a month."""
        if self.given == 0:
            lot = Lot.of(self.account_id, LotSource.REGISTRATION, config[WELCOME], at=self.next_at, config=config)
        else:
            lot = Lot.of(self.account_id, LotSource.GRANT, config[MONTHLY], at=self.next_at, config=config)
            lot.month = self.next_at.date().replace(day=1)
        self.given += 1
        # Reckoned from the first day each time: after the 28th of February comes the 31st of March.
        day = months_after(self.since, self.given)
        self.next_at = datetime.combine(day.date(), time(), day.tzinfo)
        return lot


def months_after(at: datetime, months: int) -> datetime:
    """The same day and time so many months later, or the last day of a shorter month."""
    years, month = divmod(at.month - 1 + months, 12)
    year = at.year + years
    return at.replace(year=year, month=month + 1, day=min(at.day, monthrange(year, month + 1)[1]))


class MovementKind(enum.Enum):
    """What happened to somebody's Connects."""

    ISSUED = "ISSUED"
    SPENT = "SPENT"
    RETURNED = "RETURNED"
    EXPIRED = "EXPIRED"


class Movement(Identified):
    """What one journal did to somebody's Connects, and why: she reads it as her history."""

    __tablename__ = "connects_movements"
    __table_args__ = (
        CheckConstraint("(kind in ('ISSUED', 'RETURNED')) = (amount > 0) and amount <> 0", name="amount_of_its_kind"),
        CheckConstraint("(kind in ('ISSUED', 'EXPIRED')) = (lot_id is not null)", name="lot_of_its_kind"),
        CheckConstraint("(kind in ('SPENT', 'RETURNED')) = (proposal_id is not null)", name="proposal_of_its_kind"),
        UniqueConstraint("journal_id"),
        # A proposal is paid for once, and what it cost is returned once.
        UniqueConstraint("proposal_id", "kind"),
        Index("ix_connects_movements_account_id", "account_id", "id"),
    )
    noun: ClassVar[str] = "movement"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    kind: Mapped[MovementKind] = mapped_column(named(MovementKind))
    amount: Mapped[int]
    at: Mapped[datetime]
    journal_id: Mapped[UUID] = mapped_column(ForeignKey("journals.id"))
    lot_id: Mapped[UUID | None] = mapped_column(ForeignKey("lots.id"))
    # Its type is said, for its table is not there yet: proposals know of Connects, and not the other way round.
    proposal_id: Mapped[UUID | None] = mapped_column(Uuid(), ForeignKey("proposals.id"))

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """What somebody did with her Connects is nobody else's business."""
        return shown(audience, cls.account_id == VIEWER)


@dataclass(frozen=True, slots=True)
class Moving:
    """A journal that is to be posted, and the movement that it is; `sale` is what was paid for it at the same time."""

    journal: Journal
    movement: Movement
    sale: Journal | None = None


def issue(
    lot: Lot, *, issued: LedgerAccount, purse: LedgerAccount, at: datetime, sale: Journal | None = None
) -> Moving:
    """Fill a new lot."""
    journal = Journal.of("CONNECTS_ISSUE", lot, [(issued, -lot.size), (purse, lot.size)], at=at)
    return Moving(journal, _movement(MovementKind.ISSUED, lot.account_id, lot.size, journal, lot_id=lot.id), sale)


def sell(lot: Lot, *, funds: LedgerAccount, sales: LedgerAccount, at: datetime, config: Config) -> Journal:
    """Be paid for a bundle."""
    price = lot.size * config[PRICE_CENTS]
    return Journal.of("CONNECTS_SALE", lot, [(funds, -price), (sales, price)], at=at)


def spend(about: Identified, by: UUID, cost: int, lots: Sequence[Lot], *, spent: LedgerAccount, at: datetime) -> Moving:
    """Pay for a proposal with what expires soonest; `lots` are all that she has, held, each with its account."""
    taken, left = [], cost
    for lot in sorted(lots, key=lambda lot: (lot.expires_at, lot.id)):
        part = min(lot.remaining, left) if at < lot.expires_at else 0
        if part:
            taken.append((lot.purse, -part))
            left -= part
    if left:
        raise NotEnoughConnects(cost=cost, have=cost - left)
    journal = Journal.of("CONNECTS_SPEND", about, [*taken, (spent, cost)], at=at)
    return Moving(journal, _movement(MovementKind.SPENT, by, -cost, journal, proposal_id=about.id))


def give_back(spending: Journal, to: UUID, *, at: datetime) -> Moving:
    """Return what a proposal cost, to the lots that it came from."""
    journal = spending.reversal("CONNECTS_RETURN", at=at)
    cost = max(entry.amount for entry in spending.entries)
    return Moving(journal, _movement(MovementKind.RETURNED, to, cost, journal, proposal_id=spending.subject_id))


def expire(lot: Lot, *, expired: LedgerAccount, at: datetime) -> Moving:
    """Take away what is left of a lot whose time is over."""
    journal = Journal.of("CONNECTS_EXPIRE", lot, [(lot.purse, -lot.remaining), (expired, lot.remaining)], at=at)
    return Moving(journal, _movement(MovementKind.EXPIRED, lot.account_id, -lot.remaining, journal, lot_id=lot.id))


def _movement(
    kind: MovementKind,
    account_id: UUID,
    amount: int,
    journal: Journal,
    *,
    lot_id: UUID | None = None,
    proposal_id: UUID | None = None,
) -> Movement:
    return Movement(
        account_id=account_id,
        kind=kind,
        amount=amount,
        at=journal.at,
        journal_id=journal.id,
        lot_id=lot_id,
        proposal_id=proposal_id,
    )


def _left() -> ColumnElement[int]:
    """What somebody may spend by now."""
    hers = (Lot.account_id == Account.id, Lot.expires_at > NOW)
    total = select(func.coalesce(func.sum(Lot.remaining), 0)).where(*hers)
    return total.correlate(Account).scalar_subquery().cast(BigInteger)


class Connects(Base):
    """What somebody has of Connects: no table, but what her lots say."""

    __table__ = select(
        Account.id.label("id"),
        _left().label("balance"),
        select(Allowance.next_at)
        .where(Allowance.account_id == Account.id)
        .correlate(Account)
        .scalar_subquery()
        .label("next_grant_at"),
    ).subquery("connects")
    noun: ClassVar[str] = "connects"

    id: Mapped[UUID]
    balance: Mapped[int]
    next_grant_at: Mapped[datetime | None]

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """What somebody has is nobody else's business."""
        return shown(audience, cls.id == VIEWER)


def bundles(config: Config) -> "list[Bundle]":
    """What is sold, and for how much."""
    return [Bundle(size, size * config[PRICE_CENTS]) for size in BUNDLES]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Connects that are sold together."""

    size: int
    price_cents: int
