"""Offers that freelancers make on jobs.

PENDING ──► ACCEPTED     (by the job's client: a contract begins)
   ├──────► REJECTED     (by the client, or because the job is filled, closed or removed)
   └──────► WITHDRAWN    (by the freelancer)
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, UniqueConstraint, exists, or_, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.accounts import LINE_MAX, Account, FreelancerProfile, check_text, shown, tidy
from models.base import VIEWER, Audience, Identified, named, uuid7
from models.connects import ConnectsCostChanged
from models.errors import Checks, Conflict, Problem, Stale, refuses
from models.jobs import BudgetKind, Duration, Job
from models.media import Upload, seen_with
from models.money import AMOUNT_MAX_CENTS, Currency
from models.states import Party, Step, must_be_possible, possible, take

COVER_LETTER_MAX = 5_000
MILESTONES_MIN, MILESTONES_MAX = 1, 20
MILESTONE_TEXT_MAX = 1_000
ATTACHMENTS_MAX = 10
URL_MAX = 2_000
REASON_MAX = 1_000
BID_RANGE_MIN = 3
"""How many freelancers have to propose on a job before everybody may see the range of their bids."""


class ProposalState(enum.Enum):
    """Where a proposal is in its life."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"


class ProposalAction(enum.Enum):
    """What may be done with a proposal."""

    EDIT = "EDIT"
    WITHDRAW = "WITHDRAW"
    SHORTLIST = "SHORTLIST"
    ARCHIVE = "ARCHIVE"
    REJECT = "REJECT"
    ACCEPT = "ACCEPT"


class ProposalDecided(Conflict):
    """A proposal is decided once."""

    code = "PROPOSAL_DECIDED"
    message = "This proposal is not pending any more."


@refuses("uq_proposals_live")
class AlreadyProposed(Conflict):
    """One live proposal per freelancer and job; after withdrawing, or being rejected, another may be made."""

    code = "ALREADY_PROPOSED"
    message = "You have a proposal on this job already."


_S = ProposalState
_PENDING = frozenset({_S.PENDING})
STEPS: dict[ProposalAction, Step[ProposalState]] = {
    ProposalAction.EDIT: Step(Party.FREELANCER, _PENDING, None, ProposalDecided),
    ProposalAction.WITHDRAW: Step(Party.FREELANCER, _PENDING, _S.WITHDRAWN, ProposalDecided),
    ProposalAction.SHORTLIST: Step(Party.CLIENT, _PENDING, None, ProposalDecided),
    ProposalAction.ARCHIVE: Step(Party.CLIENT, frozenset(_S), None, ProposalDecided),
    ProposalAction.REJECT: Step(Party.CLIENT, _PENDING, _S.REJECTED, ProposalDecided),
    ProposalAction.ACCEPT: Step(Party.CLIENT, _PENDING, _S.ACCEPTED, ProposalDecided),
}
"""Who may do what with a proposal, when, and where it leads. Accepting needs an open job besides."""

LOSS = Step(Party.SYSTEM, _PENDING, _S.REJECTED, ProposalDecided)
"""What becomes of a proposal when its job takes no more; nobody may do it."""


@dataclass(frozen=True)
class MilestoneWords:
    """One part of the work, as it is proposed."""

    description: str
    amount_cents: int
    due_on: date | None = None


@dataclass(frozen=True)
class AttachmentWords:
    """Something to look at: elsewhere, or a file that was brought here."""

    name: str
    url: str | None = None
    upload_id: UUID | None = None


@dataclass(frozen=True)
class ProposalWords:
    """What a freelancer offers."""

    cover_letter: str
    duration: Duration
    bid_cents: int
    milestones: Sequence[MilestoneWords]
    currency: Currency = Currency.USD
    attachments: Sequence[AttachmentWords] = ()
    misread: Sequence[Problem] = ()
    """What could not be read of it; it is said together with everything else that is wrong."""

    @property
    def upload_ids(self) -> list[UUID]:
        """The uploads among the attachments."""
        return [attachment.upload_id for attachment in self.attachments if attachment.upload_id]

    def check(self, check: Checks, job: Job, today: date) -> None:
        """Milestones are wanted, worth something, not in the past, and on fixed jobs sum to the bid."""
        check.note(self.misread)
        check_text(check, self.cover_letter, "cover_letter", COVER_LETTER_MAX, least=1)
        check.require(0 < self.bid_cents <= AMOUNT_MAX_CENTS, "bid", "A bid is more than zero.")
        check.require(self.currency is job.budget_currency, "bid", "A bid is in the currency of the job.")
        enough = check.require(
            MILESTONES_MIN <= len(self.milestones) <= MILESTONES_MAX,
            "milestones",
            f"A proposal has {MILESTONES_MIN} to {MILESTONES_MAX} milestones.",
        )
        if enough:
            self._check_milestones(check, job, today)
        self._check_attachments(check)

    def _check_milestones(self, check: Checks, job: Job, today: date) -> None:
        for index, milestone in enumerate(self.milestones):
            at = ("milestones", str(index))
            check_text(check, milestone.description, (*at, "description"), MILESTONE_TEXT_MAX, least=1)
            worth = 0 < milestone.amount_cents <= AMOUNT_MAX_CENTS
            check.require(worth, (*at, "amount"), "An amount is more than zero.")
            due = milestone.due_on is None or milestone.due_on >= today
            check.require(due, (*at, "due_on"), "A milestone cannot be due in the past.")
        total = sum(milestone.amount_cents for milestone in self.milestones)
        if job.budget_kind is BudgetKind.FIXED and not self.misread:
            check.require(total == self.bid_cents, "milestones", "The milestones do not sum to the bid.")

    def _check_attachments(self, check: Checks) -> None:
        check.require(
            len(self.attachments) <= ATTACHMENTS_MAX, "attachments", f"At most {ATTACHMENTS_MAX} attachments."
        )
        for index, attachment in enumerate(self.attachments[:ATTACHMENTS_MAX]):
            at = ("attachments", str(index))
            check_text(check, attachment.name, (*at, "name"), LINE_MAX, least=1)
            there = (attachment.url is None) is not (attachment.upload_id is None)
            check.require(there, (*at, "url"), "An attachment is at an address, or is an upload.")
            if attachment.url is not None:
                check.require(is_web_address(attachment.url), (*at, "url"), "This is not an http or https address.")
        once = len(set(self.upload_ids)) == len(self.upload_ids)
        check.require(once, "attachments", "Attach an upload once.")


def is_web_address(url: str) -> bool:
    """An absolute http(s) address with a host; no script, no control characters, nothing that hides where it leads."""
    # Browsers take a backslash for a slash, and a name before an @ for nothing: neither says which host it is.
    if len(url) > URL_MAX or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and port != 0


class Proposal(Identified):
    """A freelancer's offer to do a job."""

    __tablename__ = "proposals"
    __table_args__ = (
        Index(
            "uq_proposals_live",
            "job_id",
            "freelancer_id",
            unique=True,
            postgresql_where=text("state in ('PENDING', 'ACCEPTED')"),
        ),
        Index("ix_proposals_job_id", "job_id", "id"),
        Index("ix_proposals_freelancer_id", "freelancer_id", "id"),
        CheckConstraint("bid_cents > 0", name="bid_positive"),
        CheckConstraint("connects_cost >= 0", name="connects_cost_not_negative"),
    )
    noun: ClassVar[str] = "proposal"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    freelancer_id: Mapped[UUID] = mapped_column(ForeignKey("freelancer_profiles.id"))
    cover_letter: Mapped[str]
    duration: Mapped[Duration] = mapped_column(named(Duration))
    bid_cents: Mapped[int]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    connects_cost: Mapped[int] = mapped_column(server_default=text("0"))
    """What was paid for it; nothing by somebody who was invited."""
    state: Mapped[ProposalState] = mapped_column(named(ProposalState))
    shortlisted: Mapped[bool]
    archived: Mapped[bool]
    reason: Mapped[str | None]
    submitted_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    version: Mapped[int]

    job: Mapped[Job] = relationship(lazy="raise")

    @classmethod
    def submit(
        cls,
        job: Job,
        by: Account,
        words: ProposalWords,
        *,
        at: datetime,
        invited: bool = False,
        agreed: int | None = None,
        key: UUID | None = None,
    ) -> "Proposal":
        """Put an offer before the client of somebody else's open job.

        It costs what the job says, but not more than she has `agreed` to, if she says so; nothing if she was invited.
        """
        job.must_take_proposals(by, at=at)
        cost = 0 if invited else job.connects_cost
        if agreed is not None and agreed < cost:
            raise ConnectsCostChanged(cost)
        return cls(
            **cls._said(words, job, at),
            id=key or uuid7(),
            job_id=job.id,
            freelancer_id=by.id,
            connects_cost=cost,
            state=ProposalState.PENDING,
            shortlisted=False,
            archived=False,
            submitted_at=at,
            version=1,
        )

    def edit(self, job: Job, by: Account, words: ProposalWords, version: int | None, *, at: datetime) -> None:
        """Change an offer while it is pending."""
        take(self, STEPS[ProposalAction.EDIT], self.parties(by, job))
        if version is not None and version != self.version:
            raise Stale(self)
        for name, value in self._said(words, job, at).items():
            setattr(self, name, value)
        self.version += 1

    @staticmethod
    def _said(words: ProposalWords, job: Job, at: datetime) -> dict[str, Any]:
        with Checks() as check:
            words.check(check, job, at.date())
        return {
            "cover_letter": words.cover_letter.strip(),
            "duration": words.duration,
            "bid_cents": words.bid_cents,
            "currency": words.currency,
        }

    def withdraw(self, job: Job, by: Account, *, at: datetime) -> None:
        """Take an offer back while it is pending."""
        self._decide(ProposalAction.WITHDRAW, job, by, at)

    def accept(self, job: Job, by: Account, version: int | None, *, at: datetime) -> None:
        """Hire the freelancer on the terms that were read: only the job's client may, and only while it is open."""
        step = STEPS[ProposalAction.ACCEPT]
        must_be_possible(self, step, self.parties(by, job))
        if version is not None and version != self.version:
            raise Stale(self)
        job.hire(at=at)
        take(self, step, self.parties(by, job))
        self.decided_at = at
        self.version += 1

    def reject(self, job: Job, by: Account, reason: str | None, *, at: datetime) -> None:
        """Say no to an offer, with a reason for the freelancer if the client gives one."""
        with Checks() as check:
            check_text(check, reason, "reason", REASON_MAX)
        self._decide(ProposalAction.REJECT, job, by, at)
        self.reason = tidy(reason)

    def lose(self, reason: str, *, at: datetime) -> None:
        """Be rejected because the job takes no more; nobody in particular said no."""
        take(self, LOSS, frozenset({Party.SYSTEM}))
        self.reason = reason
        self.decided_at = at
        self.version += 1

    def _decide(self, action: ProposalAction, job: Job, by: Account, at: datetime) -> None:
        take(self, STEPS[action], self.parties(by, job))
        self.decided_at = at
        self.version += 1

    def shortlist(self, job: Job, by: Account, *, on: bool) -> None:
        """Keep an offer at hand, or no longer; the freelancer does not see it."""
        take(self, STEPS[ProposalAction.SHORTLIST], self.parties(by, job))
        self.shortlisted = on

    def archive(self, job: Job, by: Account, *, on: bool) -> None:
        """Put an offer out of sight, or back; the freelancer does not see it."""
        take(self, STEPS[ProposalAction.ARCHIVE], self.parties(by, job))
        self.archived = on

    def parties(self, account: Account | None, job: Job) -> frozenset[Party]:
        """What somebody is to this proposal."""
        if account is None:
            return frozenset()
        roles = {Party.FREELANCER: self.freelancer_id == account.id, Party.CLIENT: job.client_id == account.id}
        return frozenset(party for party, holds in roles.items() if holds)

    def actions_for(self, account: Account | None, job: Job, *, at: datetime) -> list[ProposalAction]:
        """What somebody may do with this proposal now."""
        found = possible(self, STEPS, self.parties(account, job))
        return [action for action in found if action is not ProposalAction.ACCEPT or job.is_open(at=at)]

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Offers are between the freelancer who made one and the client who got it."""
        return shown(audience, or_(cls.freelancer_id == VIEWER, cls.has_client()))

    @classmethod
    def has_client(cls) -> ColumnElement[bool]:
        """Whether the viewer is the client of the job it was made on."""
        return exists().where(Job.id == cls.job_id, Job.client_id == VIEWER)


class ProposalPart(Identified):
    """What hangs on a proposal is seen by those who see the proposal; which is why it is only read through it."""

    __abstract__ = True
    seen_with = "proposal_id"

    proposal_id: Mapped[UUID]
    position: Mapped[int]

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Whoever sees the proposal."""
        return shown(audience, exists().where(Proposal.id == cls.proposal_id, Proposal.seen_by(Audience.MEMBER)))


class ProposalMilestone(ProposalPart):
    """One part of the work, as a freelancer proposes it."""

    __tablename__ = "proposal_milestones"
    __table_args__ = (
        UniqueConstraint("proposal_id", "position"),
        CheckConstraint("amount_cents > 0", name="amount_positive"),
    )

    proposal_id: Mapped[UUID] = mapped_column(ForeignKey("proposals.id", ondelete="CASCADE"))
    description: Mapped[str]
    amount_cents: Mapped[int]
    currency: Mapped[Currency] = mapped_column(named(Currency))
    due_on: Mapped[date | None]

    proposal: Mapped[Proposal] = relationship(lazy="raise")

    @classmethod
    def of(cls, proposal: Proposal, words: ProposalWords) -> "list[ProposalMilestone]":
        """The parts of an offer in the order in which they were named."""
        return [
            cls(
                proposal_id=proposal.id,
                position=position,
                description=milestone.description.strip(),
                amount_cents=milestone.amount_cents,
                currency=words.currency,
                due_on=milestone.due_on,
            )
            for position, milestone in enumerate(words.milestones)
        ]


class ProposalAttachment(ProposalPart):
    """Something a freelancer wants the client to look at."""

    __tablename__ = "proposal_attachments"
    __table_args__ = (
        UniqueConstraint("proposal_id", "position"),
        UniqueConstraint("upload_id"),
        CheckConstraint("num_nonnulls(url, upload_id) = 1", name="address_or_upload"),
    )

    proposal_id: Mapped[UUID] = mapped_column(ForeignKey("proposals.id", ondelete="CASCADE"))
    name: Mapped[str]
    url: Mapped[str | None]
    upload_id: Mapped[UUID | None] = mapped_column(ForeignKey("uploads.id"))

    proposal: Mapped[Proposal] = relationship(lazy="raise")

    @classmethod
    def of(cls, proposal: Proposal, words: ProposalWords) -> "list[ProposalAttachment]":
        """The attachments in the order in which they were named."""
        return [
            cls(
                proposal_id=proposal.id,
                position=position,
                name=attachment.name.strip(),
                url=attachment.url,
                upload_id=attachment.upload_id,
            )
            for position, attachment in enumerate(words.attachments)
        ]


@seen_with
def _seen_with_its_proposal() -> ColumnElement[bool]:
    """Whoever sees a proposal sees its attachments."""
    seen = ProposalAttachment.seen_by(Audience.MEMBER)
    return exists().where(ProposalAttachment.upload_id == Upload.id, seen).correlate(Upload)


@seen_with
def _seen_by_whom_she_proposed_to() -> ColumnElement[bool]:
    """A freelancer's resume is read by the clients of jobs that she has a proposal on, until she withdraws it."""
    standing = exists().where(
        Proposal.freelancer_id == FreelancerProfile.id,
        Proposal.state != ProposalState.WITHDRAWN,
        Proposal.has_client(),
    )
    mine = exists().where(FreelancerProfile.resume_id == Upload.id, standing.correlate(FreelancerProfile))
    return mine.correlate(Upload)
