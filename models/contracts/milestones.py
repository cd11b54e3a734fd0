"""The parts that work is done in: how far each is, what lies in escrow for it, and what it is worth in the end."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.accounts import Account, check_text
from models.base import named
from models.config import Config, option
from models.contracts.agreement import (
    MILESTONES_MAX,
    TEXT_MAX,
    Change,
    ChangeKind,
    Contract,
    ContractAction,
    ContractNotActive,
    ContractPart,
    ContractState,
)
from models.errors import Checks, Conflict, Problem, Stale
from models.money import AMOUNT_MAX_CENTS, Currency
from models.payments import PaymentRequest, PaymentRequestState
from models.proposals import MILESTONE_TEXT_MAX, ProposalMilestone
from models.states import Party, Step, must_be_possible, possible, take

SUBMISSION_ATTACHMENTS_MAX = 10

REVIEW_DAYS = option(
    "contracts.review_days",
    default=14,
    least=1,
    most=90,
    means="Days after which work that was handed in, and that nobody looked at, is accepted.",
)


class MilestoneState(enum.Enum):
    """How far a part of the work is."""

    OPEN = "OPEN"
    IN_PROGRESS = "IN_PROGRESS"
    IN_REVIEW = "IN_REVIEW"
    ACCEPTED = "ACCEPTED"
    PAID = "PAID"


class MilestoneAction(enum.Enum):
    """What may be done with a milestone."""

    EDIT = "EDIT"
    FUND = "FUND"
    START = "START"
    SUBMIT = "SUBMIT"
    REQUEST_CHANGES = "REQUEST_CHANGES"
    ACCEPT = "ACCEPT"


class Rest(enum.Enum):
    """What becomes of the rest when a part of a milestone is accepted."""

    REFUND = "REFUND"
    ROLL = "ROLL"


class MilestoneNotOpen(Conflict):
    """Work on a milestone starts once, and from then on its words are kept."""

    code = "MILESTONE_NOT_OPEN"
    message = "Work on this milestone has started already."


class MilestoneNotInProgress(Conflict):
    """What nobody works on cannot be handed in."""

    code = "MILESTONE_NOT_IN_PROGRESS"
    message = "This milestone is not being worked on."


class MilestoneNotInReview(Conflict):
    """Only what was handed in is looked at, and once."""

    code = "MILESTONE_NOT_IN_REVIEW"
    message = "This milestone is not in review."


class NotFundable(Conflict):
    """Money is put aside for work that is still to come."""

    code = "NOT_FUNDABLE"
    message = "This milestone was handed in already; it is paid when you accept it."


class MilestoneFunded(Conflict):
    """A milestone is funded as a whole, and is not to cost less than what lies aside for it."""

    code = "MILESTONE_FUNDED"
    message = "As much as this milestone costs, or more, lies in escrow for it already."


class NothingToRollTo(Conflict):
    """The rest of a milestone rolls into the next one that is not handed in yet."""

    code = "NOTHING_TO_ROLL_TO"
    message = "There is no later milestone that the rest could be added to."


class TooManyMilestones(Conflict):
    """A contract is read at a glance."""

    code = "TOO_MANY_MILESTONES"
    message = f"A contract has at most {MILESTONES_MAX} milestones."


_S = MilestoneState
_COMING = frozenset({_S.OPEN, _S.IN_PROGRESS})
_REVIEWED = frozenset({_S.IN_REVIEW})
STEPS: dict[MilestoneAction, Step[MilestoneState]] = {
    MilestoneAction.EDIT: Step(Party.CLIENT, frozenset({_S.OPEN}), None, MilestoneNotOpen),
    MilestoneAction.FUND: Step(Party.CLIENT, _COMING, None, NotFundable),
    MilestoneAction.START: Step(Party.FREELANCER, frozenset({_S.OPEN}), _S.IN_PROGRESS, MilestoneNotOpen),
    MilestoneAction.SUBMIT: Step(Party.FREELANCER, frozenset({_S.IN_PROGRESS}), _S.IN_REVIEW, MilestoneNotInProgress),
    MilestoneAction.REQUEST_CHANGES: Step(Party.CLIENT, _REVIEWED, _S.IN_PROGRESS, MilestoneNotInReview),
    MilestoneAction.ACCEPT: Step(Party.CLIENT, _REVIEWED, _S.ACCEPTED, MilestoneNotInReview),
}
"""Who may do what with a milestone, when, and where it leads. Funding needs something missing in escrow besides."""

_ACTIVE = frozenset({ContractState.ACTIVE})
_UNDECIDED = frozenset({ContractState.ACTIVE, ContractState.TERMINATED})
WHILE: dict[MilestoneAction, frozenset[ContractState]] = {
    MilestoneAction.EDIT: _ACTIVE,
    MilestoneAction.FUND: _ACTIVE,
    MilestoneAction.START: _ACTIVE,
    MilestoneAction.SUBMIT: _ACTIVE,
    MilestoneAction.REQUEST_CHANGES: _UNDECIDED,
    MilestoneAction.ACCEPT: _UNDECIDED,
}
"""The states of the contract in which each may be done: what was handed in before a termination is still decided."""

SILENCE = Step(Party.SYSTEM, _REVIEWED, _S.ACCEPTED, MilestoneNotInReview)
PAYMENT = Step(Party.SYSTEM, frozenset({_S.ACCEPTED}), _S.PAID, MilestoneNotInReview)
"""What becomes of a milestone when nobody says anything, and when money has moved."""

_ALONE = frozenset({Party.SYSTEM})


@dataclass(frozen=True)
class MilestoneWords:
    """A part of the work, as the client words it."""

    description: str
    amount_cents: int
    due_on: date | None = None
    currency: Currency = Currency.USD
    misread: Sequence[Problem] = ()
    """What could not be read of it; it is said together with everything else that is wrong."""

    def check(self, check: Checks, contract: Contract, today: date) -> None:
        """A milestone has words and a price in the currency of the contract, and is not due in the past."""
        check.note(self.misread)
        check_text(check, self.description, "description", MILESTONE_TEXT_MAX, least=1)
        check.require(0 < self.amount_cents <= AMOUNT_MAX_CENTS, "amount", "An amount is more than zero.")
        check.require(self.currency is contract.currency, "amount", "A milestone is in the currency of the contract.")
        check.require(self.due_on is None or self.due_on >= today, "due_on", "A milestone cannot be due in the past.")


@dataclass(frozen=True)
class Submission:
    """What a freelancer says and shows when work is handed in."""

    message: str
    upload_ids: Sequence[UUID] = ()
    misread: Sequence[Problem] = ()

    def check(self, check: Checks) -> None:
        """A message is wanted, files are not."""
        check.note(self.misread)
        check_text(check, self.message, "message", TEXT_MAX, least=1)
        few = len(self.upload_ids) <= SUBMISSION_ATTACHMENTS_MAX
        check.require(few, "upload_ids", f"At most {SUBMISSION_ATTACHMENTS_MAX} attachments.")
        once = len(set(self.upload_ids)) == len(self.upload_ids)
        check.require(once, "upload_ids", "Attach an upload once.")


@dataclass(frozen=True)
class Acceptance:
    """How much of a milestone is accepted, all of it if nothing is said, and what becomes of the rest."""

    cents: int | None = None
    rest: Rest | None = None
    currency: Currency = Currency.USD
    misread: Sequence[Problem] = ()

    def check(self, check: Checks, milestone: "Milestone") -> None:
        """A part is more than nothing and no more than the whole, and of a rest it is said what becomes of it."""
        check.note(self.misread)
        if self.cents is None:
            return
        fits = 0 < self.cents <= milestone.amount_cents
        check.require(fits, "amount", "A part is more than zero, and no more than the milestone costs.")
        check.require(self.currency is milestone.currency, "amount", "It is in the currency of the contract.")
        said = self.cents == milestone.amount_cents or self.rest is not None
        check.require(said, "rest", "Say what becomes of the rest.")


class Milestone(ContractPart):
    """A part of the agreed work, with its price.

    `gross_cents` is the price with the client's fee, and `escrow_cents` what lies in the contract's escrow for it: the
    escrow of a contract is that of its milestones together.
    """

    __tablename__ = "milestones"
    __table_args__ = (
        UniqueConstraint("contract_id", "position"),
        CheckConstraint("amount_cents > 0", name="amount_positive"),
        CheckConstraint("gross_cents >= amount_cents", name="gross_with_fee"),
        CheckConstraint("escrow_cents between 0 and gross_cents", name="escrow_within_gross"),
        CheckConstraint("accepted_cents between 1 and amount_cents", name="accepted_within_amount"),
        CheckConstraint("(state in ('ACCEPTED', 'PAID')) = (accepted_cents is not null)", name="accepted_amount"),
        CheckConstraint("(state = 'PAID') = (paid_at is not null)", name="paid_at_some_time"),
        CheckConstraint("state <> 'PAID' or escrow_cents = 0", name="paid_from_escrow"),
        CheckConstraint("(state = 'IN_REVIEW') = (review_ends_at is not null)", name="review_ends"),
        Index("ix_milestones_review_ends_at", "review_ends_at", postgresql_where=text("state = 'IN_REVIEW'")),
    )
    noun: ClassVar[str] = "milestone"

    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contracts.id"))
    position: Mapped[int]
    description: Mapped[str]
    amount_cents: Mapped[int]
    gross_cents: Mapped[int]
    escrow_cents: Mapped[int]
    accepted_cents: Mapped[int | None]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    due_on: Mapped[date | None]
    state: Mapped[MilestoneState] = mapped_column(named(MilestoneState))
    started_at: Mapped[datetime | None]
    submitted_at: Mapped[datetime | None]
    review_ends_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    waived_at: Mapped[datetime | None]
    version: Mapped[int]

    contract: Mapped[Contract] = relationship(lazy="raise")
    changes: Mapped[list[Change]] = relationship(lazy="raise")

    @classmethod
    def of(cls, contract: Contract, proposed: Sequence[ProposalMilestone]) -> "list[Milestone]":
        """The parts of the work as they were proposed."""
        return [
            cls._new(contract, part.position, part.description, part.amount_cents, part.due_on) for part in proposed
        ]

    @classmethod
    def add(
        cls,
        contract: Contract,
        by: Account,
        words: MilestoneWords,
        others: "Sequence[Milestone]",
        *,
        at: datetime,
    ) -> "tuple[Milestone, Change]":
        """Put another part behind the `others` of an active contract: its client may."""
        contract.must_allow(ContractAction.ADD_MILESTONE, by)
        if len(others) >= MILESTONES_MAX:
            raise TooManyMilestones
        with Checks() as check:
            words.check(check, contract, at.date())
        position = max(other.position for other in others) + 1 if others else 0
        added = cls._new(contract, position, words.description.strip(), words.amount_cents, words.due_on)
        contract.go_on()
        return added, added.changed(contract, ChangeKind.MILESTONE_ADDED, by, at, to=added.state)

    @classmethod
    def _new(cls, contract: Contract, position: int, description: str, cents: int, due_on: date | None) -> "Milestone":
        return cls(
            contract_id=contract.id,
            position=position,
            description=description,
            amount_cents=cents,
            gross_cents=contract.charge(cents).gross,
            escrow_cents=0,
            currency=contract.currency,
            due_on=due_on,
            state=MilestoneState.OPEN,
            version=1,
        )

    def edit(
        self, contract: Contract, by: Account, words: MilestoneWords, version: int | None, *, at: datetime
    ) -> Change:
        """Word it anew as long as nobody works on it, for no less than lies in escrow for it."""
        self._must_allow(MilestoneAction.EDIT, contract, by)
        if version is not None and version != self.version:
            raise Stale(self)
        with Checks() as check:
            words.check(check, contract, at.date())
        gross = contract.charge(words.amount_cents).gross
        if gross < self.escrow_cents:
            raise MilestoneFunded
        self.description = words.description.strip()
        self.amount_cents, self.gross_cents = words.amount_cents, gross
        self.due_on = words.due_on
        return self._do(MilestoneAction.EDIT, ChangeKind.MILESTONE_EDITED, contract, by, at)

    def fund(self, contract: Contract, by: Account, *, at: datetime) -> tuple[int, Change]:
        """Put aside what is missing in escrow, the fee included; that is the amount that is given."""
        self._must_allow(MilestoneAction.FUND, contract, by)
        missing = self.gross_cents - self.escrow_cents
        if missing == 0:
            raise MilestoneFunded
        self.escrow_cents = self.gross_cents
        return missing, self._do(MilestoneAction.FUND, ChangeKind.MILESTONE_FUNDED, contract, by, at, cents=missing)

    def start(self, contract: Contract, by: Account, *, at: datetime) -> Change:
        """Begin to work on it: its freelancer may, once, while the contract is active."""
        change = self._do(MilestoneAction.START, ChangeKind.MILESTONE_STARTED, contract, by, at)
        self.started_at = at
        return change

    def submit(self, contract: Contract, by: Account, words: Submission, *, at: datetime, config: Config) -> Change:
        """Hand it in. If nobody says anything to it for some days, it is accepted."""
        self._must_allow(MilestoneAction.SUBMIT, contract, by)
        with Checks() as check:
            words.check(check)
        self.submitted_at = at
        self.review_ends_at = at + timedelta(days=config[REVIEW_DAYS])
        return self._do(MilestoneAction.SUBMIT, ChangeKind.MILESTONE_SUBMITTED, contract, by, at, reason=words.message)

    def request_changes(self, contract: Contract, by: Account, message: str, *, at: datetime) -> Change:
        """Have it worked on again, which stops the clock; on a terminated contract nobody will, so it is declined."""
        self._must_allow(MilestoneAction.REQUEST_CHANGES, contract, by)
        with Checks() as check:
            check_text(check, message, "message", TEXT_MAX, least=1)
        self.review_ends_at = None
        is_over = contract.state is ContractState.TERMINATED
        kind = ChangeKind.MILESTONE_DECLINED if is_over else ChangeKind.CHANGES_REQUESTED
        return self._do(MilestoneAction.REQUEST_CHANGES, kind, contract, by, at, reason=message)

    def accept(
        self, contract: Contract, by: Account, words: Acceptance, others: "Sequence[Milestone]", *, at: datetime
    ) -> list[Change]:
        """Say that it is done, or that a part of it is; the rest of the price is not owed, or rolls to the next one.

        What lies in escrow beyond the accepted part stays noted here; `give_back` takes it.
        """
        self._must_allow(MilestoneAction.ACCEPT, contract, by)
        with Checks() as check:
            words.check(check, self)
        part = words.cents or self.amount_cents
        rolls = part < self.amount_cents and words.rest is Rest.ROLL
        following = self._next_of(contract, others) if rolls else None
        changes = [self._accepted(contract, by, STEPS[MilestoneAction.ACCEPT], part, at)]
        if following is not None:
            changes.append(self._roll(contract, following, by, at))
        return changes

    def lapse(self, contract: Contract, *, at: datetime) -> Change | None:
        """Be accepted as a whole when nobody has looked at it in time; nothing before that."""
        if self.review_ends_at is None or at < self.review_ends_at:
            return None
        return self._accepted(contract, None, SILENCE, self.amount_cents, at)

    def _accepted(
        self, contract: Contract, by: Account | None, step: Step[MilestoneState], part: int, at: datetime
    ) -> Change:
        before = self.state
        take(self, step, contract.parties(by) if by else _ALONE)
        self.accepted_cents = part
        self.accepted_at = at
        self.review_ends_at = None
        self.version += 1
        return self.changed(contract, ChangeKind.MILESTONE_ACCEPTED, by, at, before=before, to=self.state, cents=part)

    def _next_of(self, contract: Contract, others: "Sequence[Milestone]") -> "Milestone":
        """The next milestone that is not handed in yet; on a contract that is over there is none."""
        later = [other for other in others if other.position > self.position and other.state in _COMING]
        if not later or contract.state is not ContractState.ACTIVE:
            raise NothingToRollTo
        return min(later, key=lambda other: other.position)

    def _roll(self, contract: Contract, following: "Milestone", by: Account, at: datetime) -> Change:
        """Let the next one grow by the rest: its price, and what lies in escrow for it as far as that has room."""
        assert self.accepted_cents is not None
        rest = self.amount_cents - self.accepted_cents
        following.amount_cents += rest
        following.gross_cents = contract.charge(following.amount_cents).gross
        moved = min(self._spare(contract), following.gross_cents - following.escrow_cents)
        self.escrow_cents -= moved
        following.escrow_cents += moved
        following.version += 1
        return following.changed(contract, ChangeKind.MILESTONE_EDITED, by, at, cents=rest, reason=_ROLLED)

    def _spare(self, contract: Contract) -> int:
        """What lies in escrow beyond what the accepted part costs."""
        assert self.accepted_cents is not None
        return max(0, self.escrow_cents - contract.charge(self.accepted_cents).gross)

    def give_back(self, contract: Contract, by: Account | None, *, at: datetime) -> tuple[int, Change | None]:
        """Let go of what lies in escrow and is not owed: of all of it, unless it was accepted and is to be paid."""
        spare = self._spare(contract) if self.is_owed else self.escrow_cents
        if spare == 0:
            return 0, None
        self.escrow_cents -= spare
        return spare, self.changed(contract, ChangeKind.MILESTONE_REFUNDED, by, at, cents=spare)

    def request_payment(self, contract: Contract, by: Account | None, *, at: datetime) -> tuple[PaymentRequest, Change]:
        """Ask the client for what was accepted and does not lie in escrow."""
        assert self.accepted_cents is not None
        request = PaymentRequest(
            contract_id=contract.id,
            milestone_id=self.id,
            client_id=contract.client_id,
            freelancer_id=contract.freelancer_id,
            amount_cents=self.accepted_cents,
            currency=self.currency,
            state=PaymentRequestState.PENDING,
            made_at=at,
        )
        kind = ChangeKind.PAYMENT_REQUESTED
        return request, self.changed(contract, kind, by, at, cents=self.accepted_cents, to=request.state)

    def pay(self, contract: Contract, by: Account | None, *, at: datetime) -> tuple[int, Change]:
        """Be paid for what was accepted; what of it comes out of escrow is given, the rest comes from elsewhere."""
        before = self.state
        take(self, PAYMENT, _ALONE)
        used, self.escrow_cents = self.escrow_cents, 0
        self.paid_at = at
        self.version += 1
        kind = ChangeKind.MILESTONE_PAID
        return used, self.changed(contract, kind, by, at, before=before, to=self.state, cents=self.accepted_cents)

    def waive(self, contract: Contract, by: Account, *, at: datetime) -> Change:
        """Do without the payment of accepted work: the freelancer said so."""
        self.waived_at = at
        self.version += 1
        kind, cents = ChangeKind.PAYMENT_WAIVED, self.accepted_cents
        pending, cancelled = PaymentRequestState.PENDING, PaymentRequestState.CANCELLED
        return self.changed(contract, kind, by, at, before=pending, to=cancelled, cents=cents)

    def is_covered(self, contract: Contract) -> bool:
        """Whether what lies in escrow is enough for what was accepted."""
        return self.accepted_cents is not None and self.escrow_cents >= contract.charge(self.accepted_cents).gross

    @property
    def is_owed(self) -> bool:
        """Whether it was accepted, and is to be paid."""
        return self.state is MilestoneState.ACCEPTED and self.waived_at is None

    @property
    def is_undecided(self) -> bool:
        """Whether somebody has to look at it, or to pay it, before all can be over."""
        return self.state is MilestoneState.IN_REVIEW or self.is_owed

    @property
    def is_settled(self) -> bool:
        """Whether it is done and nothing more is to be paid for it."""
        return self.state is MilestoneState.PAID or self.waived_at is not None

    def _must_allow(self, action: MilestoneAction, contract: Contract, by: Account) -> None:
        step, parties = STEPS[action], contract.parties(by)
        if step.by in parties and contract.state not in WHILE[action]:
            raise ContractNotActive
        must_be_possible(self, step, parties)

    def _do(
        self,
        action: MilestoneAction,
        kind: ChangeKind,
        contract: Contract,
        by: Account,
        at: datetime,
        *,
        reason: str | None = None,
        cents: int | None = None,
    ) -> Change:
        self._must_allow(action, contract, by)
        before = self.state
        take(self, STEPS[action], contract.parties(by))
        self.version += 1
        contract.go_on()
        to = None if STEPS[action].target is None else self.state
        return self.changed(contract, kind, by, at, before=before if to else None, to=to, reason=reason, cents=cents)

    def changed(
        self,
        contract: Contract,
        kind: ChangeKind,
        by: Account | None,
        at: datetime,
        *,
        before: enum.Enum | None = None,
        to: enum.Enum | None = None,
        reason: str | None = None,
        cents: int | None = None,
    ) -> Change:
        """Write down what changed of it."""
        return contract.changed(kind, by, at=at, before=before, to=to, milestone_id=self.id, reason=reason, cents=cents)

    def actions_for(self, account: Account | None, contract: Contract) -> list[MilestoneAction]:
        """What somebody may do with this milestone now."""
        found = possible(self, STEPS, contract.parties(account))
        is_funded = self.escrow_cents >= self.gross_cents
        return [
            action
            for action in found
            if contract.state in WHILE[action] and not (action is MilestoneAction.FUND and is_funded)
        ]


_ROLLED = "The rest of a milestone was added to this one."
