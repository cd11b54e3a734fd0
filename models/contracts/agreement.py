"""The contract itself: between whom, on which terms, how it ends, and what has changed."""

import enum
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, UniqueConstraint, exists, or_
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.accounts import Account, check_text, shown, tidy
from models.base import VIEWER, Audience, Base, Identified, named
from models.config import Config
from models.errors import Checks, Conflict, Forbidden, refuses
from models.jobs import BudgetKind, Job
from models.media import Upload, UploadGroup, seen_with
from models.money import AMOUNT_MAX_CENTS, BPS, Currency
from models.payments import PENDING_DAYS, Charge, Payment, PaymentKind, TariffKind
from models.proposals import Proposal, ProposalDecided
from models.states import Party, Step, must_be_possible, possible, take

ATTACHMENTS_MAX = 50
MILESTONES_MAX = 40
"""Milestones of a contract, those that were added later too."""
TEXT_MAX = 5_000
"""Characters of what the parties say to each other when they hand in, ask for changes or end the work."""

refuses("uq_contracts_proposal_id")(ProposalDecided)


class ContractState(enum.Enum):
    """Where a contract is in its life."""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"


class ContractAction(enum.Enum):
    """What may be done with a contract."""

    ADD_MILESTONE = "ADD_MILESTONE"
    PAY_BONUS = "PAY_BONUS"
    REQUEST_TERMINATION = "REQUEST_TERMINATION"
    COMPLETE = "COMPLETE"


class Actor(enum.Enum):
    """Who changed something of a contract."""

    CLIENT = "CLIENT"
    FREELANCER = "FREELANCER"
    ADMIN = "ADMIN"
    SYSTEM = "SYSTEM"


class ChangeKind(enum.Enum):
    """What changed; the same is told to those who follow the contract, under the same name."""

    CONTRACT_STARTED = "CONTRACT_STARTED"
    MILESTONE_ADDED = "MILESTONE_ADDED"
    MILESTONE_EDITED = "MILESTONE_EDITED"
    MILESTONE_FUNDED = "MILESTONE_FUNDED"
    MILESTONE_STARTED = "MILESTONE_STARTED"
    MILESTONE_SUBMITTED = "MILESTONE_SUBMITTED"
    CHANGES_REQUESTED = "CHANGES_REQUESTED"
    MILESTONE_DECLINED = "MILESTONE_DECLINED"
    MILESTONE_ACCEPTED = "MILESTONE_ACCEPTED"
    MILESTONE_REFUNDED = "MILESTONE_REFUNDED"
    PAYMENT_REQUESTED = "PAYMENT_REQUESTED"
    PAYMENT_WAIVED = "PAYMENT_WAIVED"
    MILESTONE_PAID = "MILESTONE_PAID"
    BONUS_PAID = "BONUS_PAID"
    TERMINATION_REQUESTED = "TERMINATION_REQUESTED"
    TERMINATION_WITHDRAWN = "TERMINATION_WITHDRAWN"
    TERMINATION_REJECTED = "TERMINATION_REJECTED"
    TERMINATION_ACCEPTED = "TERMINATION_ACCEPTED"
    TERMINATION_LAPSED = "TERMINATION_LAPSED"
    COMPLETION_AGREED = "COMPLETION_AGREED"
    CONTRACT_COMPLETED = "CONTRACT_COMPLETED"
    CONTRACT_TERMINATED = "CONTRACT_TERMINATED"


class TooManyAttachments(Conflict):
    """A contract is no archive."""

    code = "TOO_MANY_ATTACHMENTS"
    message = f"A contract has at most {ATTACHMENTS_MAX} attachments."


class ContractNotActive(Conflict):
    """A contract that is over is over."""

    code = "CONTRACT_NOT_ACTIVE"
    message = "This contract is not active."


class WorkUndecided(Conflict):
    """Nobody is done as long as work waits to be looked at, or accepted work to be paid."""

    code = "WORK_UNDECIDED"
    message = "A milestone is in review, or accepted and not paid yet."


class AlreadyAgreed(Conflict):
    """Each party says once that it is done; going on with the work takes it back."""

    code = "ALREADY_AGREED"
    message = "You have said so; the other party has not yet."


_ACTIVE = frozenset({ContractState.ACTIVE})
CONTRACT_STEPS: dict[ContractAction, Step[ContractState]] = {
    ContractAction.ADD_MILESTONE: Step(Party.CLIENT, _ACTIVE, None, ContractNotActive),
    ContractAction.PAY_BONUS: Step(Party.CLIENT, _ACTIVE, None, ContractNotActive),
    ContractAction.REQUEST_TERMINATION: Step(Party.EITHER, _ACTIVE, None, ContractNotActive),
    ContractAction.COMPLETE: Step(Party.EITHER, _ACTIVE, None, ContractNotActive),
}
"""Who may do what with a contract, and when. Completing needs everything decided besides, and leads to COMPLETED when
the other party has said so too."""

COMPLETION = Step(Party.SYSTEM, _ACTIVE, ContractState.COMPLETED, ContractNotActive)
TERMINATION = Step(Party.SYSTEM, _ACTIVE, ContractState.TERMINATED, ContractNotActive)
"""How a contract ends when everything for it is there; nobody may do it."""


class Contract(Identified):
    """What a client and a freelancer agreed upon when a proposal was accepted."""

    __tablename__ = "contracts"
    __table_args__ = (
        UniqueConstraint("proposal_id"),
        CheckConstraint("client_id <> freelancer_id", name="two_parties"),
        CheckConstraint(f"freelancer_fee_bps between 0 and {BPS}", name="freelancer_fee_within_whole"),
        CheckConstraint(f"client_fee_bps between 0 and {BPS}", name="client_fee_within_whole"),
        Index("ix_contracts_job_id", "job_id", "id"),
        Index("ix_contracts_client_id", "client_id", "id"),
        Index("ix_contracts_freelancer_id", "freelancer_id", "id"),
    )
    noun: ClassVar[str] = "contract"

    proposal_id: Mapped[UUID] = mapped_column(ForeignKey("proposals.id"))
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    client_id: Mapped[UUID] = mapped_column(ForeignKey("client_profiles.id"))
    freelancer_id: Mapped[UUID] = mapped_column(ForeignKey("freelancer_profiles.id"))
    title: Mapped[str]
    description: Mapped[str]
    budget_kind: Mapped[BudgetKind] = mapped_column(named(BudgetKind))
    bid_cents: Mapped[int]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    freelancer_fee_bps: Mapped[int]
    client_fee_bps: Mapped[int]
    state: Mapped[ContractState] = mapped_column(named(ContractState))
    started_at: Mapped[datetime]
    client_done_at: Mapped[datetime | None]
    freelancer_done_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    version: Mapped[int]

    proposal: Mapped[Proposal] = relationship(lazy="raise")

    @classmethod
    def begin(cls, job: Job, proposal: Proposal, fees: dict[TariffKind, int], *, at: datetime) -> "Contract":
        """Agree on a proposal as it stands; the fees of this day hold for the whole contract."""
        return cls(
            proposal_id=proposal.id,
            job_id=job.id,
            client_id=job.client_id,
            freelancer_id=proposal.freelancer_id,
            title=job.title,
            description=job.description,
            budget_kind=job.budget_kind,
            bid_cents=proposal.bid_cents,
            currency=proposal.currency,
            freelancer_fee_bps=fees[TariffKind.FREELANCER_FEE],
            client_fee_bps=fees[TariffKind.CLIENT_FEE],
            state=ContractState.ACTIVE,
            started_at=at,
            version=1,
        )

    def begun(self, by: Account) -> "Change":
        """The first of its changes."""
        return self.changed(ChangeKind.CONTRACT_STARTED, by, at=self.started_at, to=self.state)

    def must_be_active(self) -> None:
        """Nothing is worked, decided or paid on a contract that is over."""
        if self.state is not ContractState.ACTIVE:
            raise ContractNotActive

    def charge(self, cents: int) -> Charge:
        """What becomes of an amount under the fees of this contract."""
        return Charge.of(cents, client_fee_bps=self.client_fee_bps, freelancer_fee_bps=self.freelancer_fee_bps)

    def must_allow(self, action: ContractAction, by: Account) -> None:
        """Refuse what somebody may not do with it now."""
        must_be_possible(self, CONTRACT_STEPS[action], self.parties(by))

    def bonus(self, by: Account, cents: int, currency: Currency, note: str | None) -> Charge:
        """Thank the freelancer with money; it is charged like work."""
        self.must_allow(ContractAction.PAY_BONUS, by)
        with Checks() as check:
            check.require(0 < cents <= AMOUNT_MAX_CENTS, "amount", "An amount is more than zero.")
            check.require(currency is self.currency, "amount", "A bonus is in the currency of the contract.")
            check_text(check, note, "note", TEXT_MAX)
        return self.charge(cents)

    def payment(
        self, charge: Charge, *, milestone_id: UUID | None = None, note: str | None = None, at: datetime, config: Config
    ) -> Payment:
        """Pay the freelancer, for a milestone or as a bonus; the journal that does it is still to be named."""
        return Payment(
            kind=PaymentKind.BONUS if milestone_id is None else PaymentKind.MILESTONE,
            contract_id=self.id,
            milestone_id=milestone_id,
            client_id=self.client_id,
            freelancer_id=self.freelancer_id,
            amount_cents=charge.amount,
            client_fee_cents=charge.client_fee,
            freelancer_fee_cents=charge.freelancer_fee,
            currency=self.currency,
            note=tidy(note),
            paid_at=at,
            available_at=at + timedelta(days=config[PENDING_DAYS]),
        )

    def thanked(self, payment: Payment, by: Account) -> "Change":
        """Write down that a bonus was paid."""
        kind = ChangeKind.BONUS_PAID
        return self.changed(kind, by, at=payment.paid_at, cents=payment.amount_cents, reason=payment.note)

    def go_on(self) -> None:
        """Work that goes on takes back what either party said about being done."""
        self.client_done_at = self.freelancer_done_at = None

    def agree_to_end(self, by: Account, *, undecided: bool, at: datetime) -> "Change":
        """Say that one is done with it: not while anything is `undecided`. When both have said so, it is over."""
        self.must_allow(ContractAction.COMPLETE, by)
        if undecided:
            raise WorkUndecided
        if self.has_agreed(by):
            raise AlreadyAgreed
        if by.id == self.client_id:
            self.client_done_at = at
        else:
            self.freelancer_done_at = at
        self.version += 1
        return self.changed(ChangeKind.COMPLETION_AGREED, by, at=at)

    def has_agreed(self, by: Account) -> bool:
        """Whether this party has said that it is done."""
        said = {self.client_id: self.client_done_at, self.freelancer_id: self.freelancer_done_at}
        return said.get(by.id) is not None

    @property
    def is_agreed_to_end(self) -> bool:
        """Whether both parties have said that they are done."""
        return self.client_done_at is not None and self.freelancer_done_at is not None

    def complete(self, by: Account | None, *, at: datetime) -> "Change":
        """Be over, because all is done."""
        return self._end(COMPLETION, ChangeKind.CONTRACT_COMPLETED, by, at)

    def terminate(self, by: Account, *, at: datetime) -> "Change":
        """Be over, whatever is done."""
        return self._end(TERMINATION, ChangeKind.CONTRACT_TERMINATED, by, at)

    def _end(self, step: Step[ContractState], kind: ChangeKind, by: Account | None, at: datetime) -> "Change":
        before = self.state
        take(self, step, frozenset({Party.SYSTEM}))
        self.ended_at = at
        self.version += 1
        return self.changed(kind, by, at=at, before=before, to=self.state)

    def changed(
        self,
        kind: ChangeKind,
        by: Account | None,
        *,
        at: datetime,
        before: enum.Enum | None = None,
        to: enum.Enum | None = None,
        milestone_id: UUID | None = None,
        reason: str | None = None,
        cents: int | None = None,
    ) -> "Change":
        """Write down what changed; nobody did what time did."""
        return Change(
            contract_id=self.id,
            milestone_id=milestone_id,
            kind=kind,
            actor=self._actor(by),
            actor_id=by.id if by else None,
            from_state=before.value if before else None,
            to_state=to.value if to else None,
            reason=tidy(reason),
            amount_cents=cents,
            currency=self.currency,
            at=at,
        )

    def _actor(self, by: Account | None) -> Actor:
        if by is None:
            return Actor.SYSTEM
        return {self.client_id: Actor.CLIENT, self.freelancer_id: Actor.FREELANCER}.get(by.id, Actor.ADMIN)

    def attach(self, upload: Upload, by: Account, *, count: int, at: datetime) -> "ContractAttachment":
        """Put a file with an active contract, which has `count` already; each party may, from its own uploads."""
        self._must_be_partys(by)
        self.must_be_active()
        if count >= ATTACHMENTS_MAX:
            raise TooManyAttachments
        upload.keep(by, UploadGroup.ATTACHMENTS, at=at)
        return ContractAttachment(contract_id=self.id, upload_id=upload.id, added_at=at)

    def detach(self, upload: Upload, by: Account, *, at: datetime) -> None:
        """Take a file off an active contract: whoever put it there may."""
        self._must_be_partys(by)
        self.must_be_active()
        if upload.owner_id != by.id:
            raise Forbidden
        upload.let_go(at=at)

    def _must_be_partys(self, account: Account) -> None:
        if not self.parties(account):
            raise Forbidden

    def parties(self, account: Account | None) -> frozenset[Party]:
        """What somebody is to this contract."""
        if account is None:
            return frozenset()
        roles = {
            Party.FREELANCER: self.freelancer_id == account.id,
            Party.CLIENT: self.client_id == account.id,
            Party.EITHER: account.id in {self.client_id, self.freelancer_id},
        }
        return frozenset(party for party, holds in roles.items() if holds)

    def actions_for(self, account: Account | None, *, undecided: bool, has_requested: bool) -> list[ContractAction]:
        """What somebody may do with it now; `has_requested` is whether an open request to end it is hers."""
        if account is None:
            return []
        hindered = {
            ContractAction.REQUEST_TERMINATION: has_requested,
            ContractAction.COMPLETE: undecided or self.has_agreed(account),
        }
        found = possible(self, CONTRACT_STEPS, self.parties(account))
        return [action for action in found if not hindered.get(action, False)]

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """A contract is between its two parties."""
        return shown(audience, or_(cls.client_id == VIEWER, cls.freelancer_id == VIEWER))


class ContractPart(Identified):
    """What is seen by those who see the contract."""

    __abstract__ = True
    seen_with = "contract_id"

    contract_id: Mapped[UUID]

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Whoever sees the contract."""
        return shown(audience, exists().where(Contract.id == cls.contract_id, Contract.seen_by(Audience.MEMBER)))


class Change(ContractPart):
    """One thing that happened to a contract: who did it, when, why, and what was moved by it."""

    __tablename__ = "contract_changes"
    __table_args__ = (
        Index("ix_contract_changes_contract_id", "contract_id", "id"),
        Index("ix_contract_changes_milestone_id", "milestone_id", "id"),
    )
    noun: ClassVar[str] = "change"

    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contracts.id"))
    milestone_id: Mapped[UUID | None] = mapped_column(ForeignKey("milestones.id"))
    kind: Mapped[ChangeKind] = mapped_column(named(ChangeKind))
    actor: Mapped[Actor] = mapped_column(named(Actor))
    actor_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"))
    from_state: Mapped[str | None]
    to_state: Mapped[str | None]
    reason: Mapped[str | None]
    amount_cents: Mapped[int | None]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    at: Mapped[datetime]

    contract: Mapped[Contract] = relationship(lazy="raise")


class ContractAttachment(Base):
    """A file that one of the parties put with a contract."""

    __tablename__ = "contract_attachments"
    __table_args__ = (UniqueConstraint("upload_id"),)

    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contracts.id"), primary_key=True)
    upload_id: Mapped[UUID] = mapped_column(ForeignKey("uploads.id"), primary_key=True)
    added_at: Mapped[datetime]

    contract: Mapped[Contract] = relationship(lazy="raise")


class ChangeAttachment(Base):
    """A file that was handed in with work; it stays with the contract for good."""

    __tablename__ = "change_attachments"
    __table_args__ = (UniqueConstraint("upload_id"),)

    change_id: Mapped[UUID] = mapped_column(ForeignKey("contract_changes.id"), primary_key=True)
    upload_id: Mapped[UUID] = mapped_column(ForeignKey("uploads.id"), primary_key=True)

    change: Mapped[Change] = relationship(lazy="raise")


@seen_with
def _seen_with_its_contract() -> ColumnElement[bool]:
    """Both parties see what either put with the contract."""
    seen = exists().where(Contract.id == ContractAttachment.contract_id, Contract.seen_by(Audience.MEMBER))
    return (
        exists().where(ContractAttachment.upload_id == Upload.id, seen.correlate(ContractAttachment)).correlate(Upload)
    )


@seen_with
def _seen_with_the_work() -> ColumnElement[bool]:
    """Both parties see what was handed in."""
    change = exists().where(Change.id == ChangeAttachment.change_id, Change.seen_by(Audience.MEMBER))
    return exists().where(ChangeAttachment.upload_id == Upload.id, change.correlate(ChangeAttachment)).correlate(Upload)
