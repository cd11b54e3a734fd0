"""Work agreed upon, and the milestones it is done in.

contract:   ACTIVE ──► COMPLETED | TERMINATED

milestone:  OPEN ──► IN_PROGRESS ──► IN_REVIEW ──► ACCEPTED ──► PAID
                          ▲              │ changes requested
                          └──────────────┘
"""

import enum
from collections.abc import Sequence
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, UniqueConstraint, exists, or_
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.accounts import Account, shown
from models.base import VIEWER, Audience, Base, Identified, named
from models.errors import Conflict, Forbidden, refuses
from models.jobs import BudgetKind, Job
from models.media import Upload, UploadGroup, seen_with
from models.money import BPS, Currency
from models.payments import TariffKind
from models.proposals import Proposal, ProposalDecided, ProposalMilestone
from models.states import Party, Step, possible, take

ATTACHMENTS_MAX = 50

refuses("uq_contracts_proposal_id")(ProposalDecided)


class ContractState(enum.Enum):
    """Where a contract is in its life."""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"


class MilestoneState(enum.Enum):
    """How far a part of the work is."""

    OPEN = "OPEN"
    IN_PROGRESS = "IN_PROGRESS"
    IN_REVIEW = "IN_REVIEW"
    ACCEPTED = "ACCEPTED"
    PAID = "PAID"


class MilestoneAction(enum.Enum):
    """What may be done with a milestone."""

    START = "START"


class TooManyAttachments(Conflict):
    """A contract is no archive."""

    code = "TOO_MANY_ATTACHMENTS"
    message = f"A contract has at most {ATTACHMENTS_MAX} attachments."


class ContractNotActive(Conflict):
    """A contract that is over is over."""

    code = "CONTRACT_NOT_ACTIVE"
    message = "This contract is not active."


class MilestoneNotOpen(Conflict):
    """Work on a milestone starts once."""

    code = "MILESTONE_NOT_OPEN"
    message = "Work on this milestone has started already."


STEPS: dict[MilestoneAction, Step[MilestoneState]] = {
    MilestoneAction.START: Step(
        Party.FREELANCER, frozenset({MilestoneState.OPEN}), MilestoneState.IN_PROGRESS, MilestoneNotOpen
    ),
}
"""Who may do what with a milestone of an active contract, when, and where it leads."""


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
    budget_kind: Mapped[BudgetKind] = mapped_column(named(BudgetKind))
    bid_cents: Mapped[int]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    freelancer_fee_bps: Mapped[int]
    client_fee_bps: Mapped[int]
    state: Mapped[ContractState] = mapped_column(named(ContractState))
    started_at: Mapped[datetime]
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
            budget_kind=job.budget_kind,
            bid_cents=proposal.bid_cents,
            currency=proposal.currency,
            freelancer_fee_bps=fees[TariffKind.FREELANCER_FEE],
            client_fee_bps=fees[TariffKind.CLIENT_FEE],
            state=ContractState.ACTIVE,
            started_at=at,
            version=1,
        )

    def must_be_active(self) -> None:
        """Nothing is worked, decided or paid on a contract that is over."""
        if self.state is not ContractState.ACTIVE:
            raise ContractNotActive

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
        roles = {Party.FREELANCER: self.freelancer_id == account.id, Party.CLIENT: self.client_id == account.id}
        return frozenset(party for party, holds in roles.items() if holds)

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """A contract is between its two parties."""
        return shown(audience, or_(cls.client_id == VIEWER, cls.freelancer_id == VIEWER))


class Milestone(Identified):
    """A part of the agreed work, with its price."""

    __tablename__ = "milestones"
    __table_args__ = (
        UniqueConstraint("contract_id", "position"),
        CheckConstraint("amount_cents > 0", name="amount_positive"),
    )
    noun: ClassVar[str] = "milestone"
    seen_with = "contract_id"

    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contracts.id"))
    position: Mapped[int]
    description: Mapped[str]
    amount_cents: Mapped[int]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    due_on: Mapped[date | None]
    state: Mapped[MilestoneState] = mapped_column(named(MilestoneState))
    started_at: Mapped[datetime | None]
    version: Mapped[int]

    contract: Mapped[Contract] = relationship(lazy="raise")

    @classmethod
    def of(cls, contract: Contract, proposed: Sequence[ProposalMilestone]) -> "list[Milestone]":
        """The parts of the work as they were proposed."""
        return [
            cls(
                contract_id=contract.id,
                position=part.position,
                description=part.description,
                amount_cents=part.amount_cents,
                currency=part.currency,
                due_on=part.due_on,
                state=MilestoneState.OPEN,
                version=1,
            )
            for part in proposed
        ]

    def start(self, contract: Contract, by: Account, *, at: datetime) -> None:
        """Begin to work on it: its freelancer may, once, while the contract is active."""
        step = STEPS[MilestoneAction.START]
        if step.by in contract.parties(by):
            contract.must_be_active()
        take(self, step, contract.parties(by))
        self.started_at = at
        self.version += 1

    def actions_for(self, account: Account | None, contract: Contract) -> list[MilestoneAction]:
        """What somebody may do with this milestone now."""
        if contract.state is not ContractState.ACTIVE:
            return []
        return possible(self, STEPS, contract.parties(account))

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Whoever sees the contract."""
        return shown(audience, exists().where(Contract.id == cls.contract_id, Contract.seen_by(Audience.MEMBER)))


class ContractAttachment(Base):
    """A file that one of the parties put with a contract."""

    __tablename__ = "contract_attachments"
    __table_args__ = (UniqueConstraint("upload_id"),)

    contract_id: Mapped[UUID] = mapped_column(ForeignKey("contracts.id"), primary_key=True)
    upload_id: Mapped[UUID] = mapped_column(ForeignKey("uploads.id"), primary_key=True)
    added_at: Mapped[datetime]

    contract: Mapped[Contract] = relationship(lazy="raise")


@seen_with
def _seen_with_its_contract() -> ColumnElement[bool]:
    """Both parties see what either put with the contract."""
    seen = exists().where(Contract.id == ContractAttachment.contract_id, Contract.seen_by(Audience.MEMBER))
    return (
        exists().where(ContractAttachment.upload_id == Upload.id, seen.correlate(ContractAttachment)).correlate(Upload)
    )
