"""Work that clients offer.

DRAFT ──► OPEN ──► FILLED      (the last wanted freelancer was hired)
           ├─────► CLOSED      (by its client)
           ├─────► REMOVED     (by an administrator; also from FILLED, CLOSED and EXPIRED)
           └─────► EXPIRED     (30 days after publishing) ──► OPEN (renewed)
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, UniqueConstraint, exists, or_, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.accounts import LINE_MAX, Account, Role, check_text, shown, tidy
from models.base import VIEWER, Audience, Base, Identified, named
from models.config import Config, option
from models.connects import cost_of
from models.errors import Checks, Conflict, Forbidden, Problem, Stale, refuses
from models.media import Upload, seen_with
from models.money import AMOUNT_MAX_CENTS, Currency
from models.states import Party, Step, must_be_possible, possible, take

TITLE_MIN, TITLE_MAX = 3, 120
DESCRIPTION_MAX = 20_000
SKILLS_MIN, SKILLS_MAX = 1, 15
WANTED_MAX = 100
ATTACHMENTS_MAX = 10
INVITATIONS_MAX = 50
"""Freelancers whom a client may invite to one job: an invited proposal costs nothing, so that they are not for all."""

OPEN_DAYS = option(
    "jobs.open_days", default=30, least=1, most=365, means="Days a job stays open after it is published or renewed."
)
WARNING_DAYS = option(
    "jobs.warning_days", default=5, least=1, most=30, means="Days before a job expires that its client is told."
)


class JobState(enum.Enum):
    """Where a job is in its life."""

    DRAFT = "DRAFT"
    OPEN = "OPEN"
    FILLED = "FILLED"
    CLOSED = "CLOSED"
    EXPIRED = "EXPIRED"
    REMOVED = "REMOVED"


class JobAction(enum.Enum):
    """What may be done with a job."""

    EDIT = "EDIT"
    PUBLISH = "PUBLISH"
    RENEW = "RENEW"
    CLOSE = "CLOSE"
    REMOVE = "REMOVE"
    PROPOSE = "PROPOSE"
    INVITE = "INVITE"


class Experience(enum.Enum):
    """How much experience a job asks for."""

    ENTRY_LEVEL = "ENTRY_LEVEL"
    INTERMEDIATE = "INTERMEDIATE"
    EXPERT = "EXPERT"


class Duration(enum.Enum):
    """How long the work will take."""

    LESS_THAN_A_MONTH = "LESS_THAN_A_MONTH"
    ONE_TO_THREE_MONTHS = "ONE_TO_THREE_MONTHS"
    THREE_TO_SIX_MONTHS = "THREE_TO_SIX_MONTHS"
    MORE_THAN_SIX_MONTHS = "MORE_THAN_SIX_MONTHS"


class BudgetKind(enum.Enum):
    """Whether the whole work has a price, or each hour."""

    FIXED = "FIXED"
    HOURLY = "HOURLY"


class JobClosed(Conflict):
    """The job does not take this any more, or not yet."""

    code = "JOB_CLOSED"
    message = "This job is not open."


class JobNotDraft(Conflict):
    """A job is published once."""

    code = "JOB_NOT_DRAFT"
    message = "This job was published already."


class JobNotRenewable(Conflict):
    """Only jobs that are open or have expired are renewed."""

    code = "JOB_NOT_RENEWABLE"
    message = "Only open and expired jobs can be renewed."


class OwnJob(Forbidden):
    """Nobody hires herself."""

    code = "OWN_JOB"
    message = "You cannot make a proposal on your own job."


class BudgetKindInUse(Conflict):
    """A bid means what the budget meant when it was made: an amount for the whole work, or for an hour."""

    code = "BUDGET_KIND_IN_USE"
    message = "Freelancers have made proposals on these terms. Decide on those that are pending first."


class TooFewWanted(Conflict):
    """As many as were hired already are wanted at least, and one more while the job is open."""

    code = "TOO_FEW_WANTED"
    message = "As many freelancers were hired already. Close the job to hire no more."


@refuses("uq_invitations_job_id_freelancer_id")
class AlreadyInvited(Conflict):
    """A freelancer is invited to a job once."""

    code = "ALREADY_INVITED"
    message = "This freelancer is invited already."


class TooManyInvitations(Conflict):
    """Whoever is invited is meant."""

    code = "TOO_MANY_INVITATIONS"
    message = f"At most {INVITATIONS_MAX} freelancers are invited to a job."


_S = JobState
STEPS: dict[JobAction, Step[JobState]] = {
    JobAction.EDIT: Step(Party.CLIENT, frozenset({_S.DRAFT, _S.OPEN}), None, JobClosed),
    JobAction.PUBLISH: Step(Party.CLIENT, frozenset({_S.DRAFT}), _S.OPEN, JobNotDraft),
    JobAction.RENEW: Step(Party.CLIENT, frozenset({_S.OPEN, _S.EXPIRED}), _S.OPEN, JobNotRenewable),
    JobAction.CLOSE: Step(Party.CLIENT, frozenset({_S.OPEN}), _S.CLOSED, JobClosed),
    JobAction.REMOVE: Step(Party.ADMIN, frozenset({_S.OPEN, _S.FILLED, _S.CLOSED, _S.EXPIRED}), _S.REMOVED, JobClosed),
    JobAction.PROPOSE: Step(Party.FREELANCER, frozenset({_S.OPEN}), None, JobClosed),
    JobAction.INVITE: Step(Party.CLIENT, frozenset({_S.OPEN}), None, JobClosed),
}
"""Who may do what with a job, when, and where it leads. Filling is `hire`'s, when the last place is taken."""

FILLING = Step(Party.SYSTEM, frozenset({_S.OPEN}), _S.FILLED, JobClosed)
"""What the last hire does to a job; nobody may do it otherwise."""

EXPIRY = Step(Party.SYSTEM, frozenset({_S.OPEN}), _S.EXPIRED, JobClosed)
"""What time does to a job; nobody may do it."""


HOURS = {
    Duration.LESS_THAN_A_MONTH: 20,
    Duration.ONE_TO_THREE_MONTHS: 80,
    Duration.THREE_TO_SIX_MONTHS: 180,
    Duration.MORE_THAN_SIX_MONTHS: 260,
}
"""For how many hours an hourly job is reckoned to pay its minimum: ten a week, for a short job of its duration."""


class Category(Identified):
    """A field of work in the catalogue."""

    __tablename__ = "categories"
    noun: ClassVar[str] = "category"

    name: Mapped[str] = mapped_column(unique=True)

    @classmethod
    def seen_by(cls, _audience: Audience) -> ColumnElement[bool]:
        """The catalogue is public."""
        return true()


class Skill(Identified):
    """Something a job can ask for, from the catalogue."""

    __tablename__ = "skills"
    noun: ClassVar[str] = "skill"

    name: Mapped[str] = mapped_column(unique=True)

    @classmethod
    def seen_by(cls, _audience: Audience) -> ColumnElement[bool]:
        """The catalogue is public."""
        return true()


@dataclass(frozen=True)
class Budget:
    """What a job pays: one amount, or a range for an hour; in minor units."""

    kind: BudgetKind
    currency: Currency = Currency.USD
    amount_cents: int | None = None
    minimum_cents: int | None = None
    maximum_cents: int | None = None

    def check(self, check: Checks) -> None:
        """A fixed budget is an amount; an hourly one is a range the right way round."""
        amount, span = [self.amount_cents], [self.minimum_cents, self.maximum_cents]
        named_cents, others = (amount, span) if self.kind is BudgetKind.FIXED else (span, amount)
        known = [cents for cents in named_cents if cents is not None]
        said = len(known) == len(named_cents) and not any(others)
        if check.require(said, "budget", "Say what the work pays: one amount, or a range for an hour."):
            check.require(
                all(0 < cents <= AMOUNT_MAX_CENTS for cents in known), "budget", "An amount is more than zero."
            )
            check.require(known == sorted(known), "budget", "The minimum is more than the maximum.")


@dataclass(frozen=True)
class JobWords:
    """What a client says of a job."""

    title: str
    description: str
    category_id: UUID
    skill_ids: Sequence[UUID]
    experience: Experience
    duration: Duration
    budget: Budget
    location: str | None = None
    freelancers_wanted: int = 1
    attachment_ids: Sequence[UUID] = ()
    misread: Sequence[Problem] = ()
    """What of it could not be read, or names nothing."""

    @property
    def size_cents(self) -> int:
        """About what the whole work pays, at the least."""
        return self.budget.amount_cents or (self.budget.minimum_cents or 0) * HOURS[self.duration]

    def check(self, check: Checks) -> None:
        """Everything that can be told from the words alone, after what could not be read of them."""
        check.note(self.misread)
        check_text(check, self.title, "title", TITLE_MAX, least=TITLE_MIN)
        check_text(check, self.description, "description", DESCRIPTION_MAX, least=1)
        check_text(check, self.location, "location", LINE_MAX)
        check.require(
            SKILLS_MIN <= len(set(self.skill_ids)) <= SKILLS_MAX,
            "skill_ids",
            f"A job asks for {SKILLS_MIN} to {SKILLS_MAX} skills.",
        )
        check.require(
            1 <= self.freelancers_wanted <= WANTED_MAX,
            "freelancers_wanted",
            f"A job wants 1 to {WANTED_MAX} freelancers.",
        )
        check.require(
            len(set(self.attachment_ids)) <= ATTACHMENTS_MAX,
            "attachment_ids",
            f"A job has at most {ATTACHMENTS_MAX} attachments.",
        )
        self.budget.check(check)


class Job(Identified):
    """Work that a client offers."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("hired_count <= freelancers_wanted", name="hired_within_wanted"),
        CheckConstraint("connects_cost > 0", name="connects_cost_positive"),
        Index("ix_jobs_newest_open", "published_at", "id", postgresql_where=text("state = 'OPEN'")),
        Index(
            "ix_jobs_category_newest_open", "category_id", "published_at", "id", postgresql_where=text("state = 'OPEN'")
        ),
        Index("ix_jobs_client_id", "client_id", "id"),
        Index("ix_jobs_expires_at", "expires_at", postgresql_where=text("state = 'OPEN'")),
    )
    noun: ClassVar[str] = "job"

    client_id: Mapped[UUID] = mapped_column(ForeignKey("client_profiles.id"))
    category_id: Mapped[UUID] = mapped_column(ForeignKey("categories.id"))
    title: Mapped[str]
    description: Mapped[str]
    location: Mapped[str | None]
    experience: Mapped[Experience] = mapped_column(named(Experience))
    duration: Mapped[Duration] = mapped_column(named(Duration))
    budget_kind: Mapped[BudgetKind] = mapped_column(named(BudgetKind))
    budget_currency: Mapped[Currency] = mapped_column(named(Currency))
    budget_amount_cents: Mapped[int | None]
    budget_minimum_cents: Mapped[int | None]
    budget_maximum_cents: Mapped[int | None]
    freelancers_wanted: Mapped[int]
    hired_count: Mapped[int]
    connects_cost: Mapped[int] = mapped_column(server_default=text("2"))
    """What a proposal costs; those that were made before an edit have cost what it was then."""
    state: Mapped[JobState] = mapped_column(named(JobState))
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    warned_at: Mapped[datetime | None]
    version: Mapped[int]

    @classmethod
    def draft(cls, by: Account, words: JobWords, *, at: datetime) -> "Job":
        """Write a job down; only its client sees it until it is published."""
        by.must_be(Role.CLIENT)
        job = cls(client_id=by.id, state=JobState.DRAFT, hired_count=0, created_at=at, version=1)
        job._say(words)
        return job

    def edit(self, by: Account, words: JobWords, version: int | None, *, pending: int) -> None:
        """Change a draft or an open job; those who proposed see the change, and `pending` bids keep their meaning."""
        take(self, STEPS[JobAction.EDIT], self.parties(by))
        if version is not None and version != self.version:
            raise Stale(self)
        said, known = (words.budget.kind, words.budget.currency), (self.budget_kind, self.budget_currency)
        if pending and said != known:
            raise BudgetKindInUse(path=("budget",))
        self._say(words)
        if words.freelancers_wanted < max(self.hired_count + (self.state is JobState.OPEN), 1):
            raise TooFewWanted(path=("freelancers_wanted",))
        self.version += 1

    def _say(self, words: JobWords) -> None:
        with Checks() as check:
            words.check(check)
        self.title = words.title.strip()
        self.description = words.description.strip()
        self.location = tidy(words.location)
        self.category_id = words.category_id
        self.experience = words.experience
        self.duration = words.duration
        self.freelancers_wanted = words.freelancers_wanted
        self.budget_kind = words.budget.kind
        self.budget_currency = words.budget.currency
        self.budget_amount_cents = words.budget.amount_cents
        self.budget_minimum_cents = words.budget.minimum_cents
        self.budget_maximum_cents = words.budget.maximum_cents
        self.connects_cost = cost_of(words.size_cents)

    def publish(self, by: Account, *, at: datetime, config: Config) -> None:
        """Show a draft to everybody, for 30 days."""
        take(self, STEPS[JobAction.PUBLISH], self.parties(by))
        self.published_at = at
        self._stay_open(at, config)

    def renew(self, by: Account, *, at: datetime, config: Config) -> None:
        """Keep a job open, or open it again, for another 30 days from now."""
        take(self, STEPS[JobAction.RENEW], self.parties(by))
        self._stay_open(at, config)

    def _stay_open(self, at: datetime, config: Config) -> None:
        self.expires_at = at + timedelta(days=config[OPEN_DAYS])
        self.warned_at = None
        self.version += 1

    def close(self, by: Account) -> None:
        """Take no more proposals."""
        take(self, STEPS[JobAction.CLOSE], self.parties(by))
        self.version += 1

    def remove(self, by: Account) -> None:
        """Take a job away that breaks the rules of the place."""
        take(self, STEPS[JobAction.REMOVE], self.parties(by))
        self.version += 1

    def expire(self, *, at: datetime) -> bool:
        """End a job whose time is over; `False` when it was renewed or ended meanwhile."""
        if self.state is not JobState.OPEN or self.expires_at is None or at < self.expires_at:
            return False
        take(self, EXPIRY, frozenset({Party.SYSTEM}))
        self.version += 1
        return True

    def warn(self, *, at: datetime, config: Config) -> bool:
        """Note that its client is told, once for each term, that the job expires soon; `False` when it is not due."""
        if self.state is not JobState.OPEN or self.expires_at is None or self.warned_at is not None:
            return False
        if at < self.expires_at - timedelta(days=config[WARNING_DAYS]):
            return False
        self.warned_at = at
        return True

    def is_open(self, *, at: datetime) -> bool:
        """A job whose time is over is not open any more, though nobody has noted it yet."""
        return self.state is JobState.OPEN and (self.expires_at is None or at < self.expires_at)

    def must_be_open(self, *, at: datetime) -> None:
        """Proposals are made and accepted while the job is open."""
        if not self.is_open(at=at):
            raise JobClosed

    def must_take_proposals(self, by: Account, *, at: datetime) -> None:
        """Proposals are made by freelancers, on open jobs, and not on their own."""
        by.must_be(Role.FREELANCER)
        if self.client_id == by.id:
            raise OwnJob
        self.must_be_open(at=at)

    def hire(self, *, at: datetime) -> None:
        """Fill one of the wanted places; the last one fills the job."""
        self.must_be_open(at=at)
        self.hired_count += 1
        self.version += 1
        if self.hired_count == self.freelancers_wanted:
            take(self, FILLING, frozenset({Party.SYSTEM}))

    @property
    def returns_connects(self) -> bool:
        """Whether those who wait in vain get their Connects back: nobody had a chance, or nobody should have tried."""
        return self.state is JobState.REMOVED or (self.state is JobState.CLOSED and self.hired_count == 0)

    @property
    def is_filled(self) -> bool:
        """Whether everybody who was wanted is hired."""
        return self.state is JobState.FILLED

    def parties(self, account: Account | None) -> frozenset[Party]:
        """What somebody is to this job."""
        if account is None:
            return frozenset()
        mine = self.client_id == account.id
        roles = {
            Party.CLIENT: mine,
            Party.FREELANCER: account.has(Role.FREELANCER) and not mine,
            Party.ADMIN: account.has(Role.ADMIN),
        }
        return frozenset(party for party, holds in roles.items() if holds)

    def actions_for(self, account: Account | None, *, has_proposed: bool, at: datetime) -> list[JobAction]:
        """What somebody may do with this job now; `has_proposed` says whether she has a live proposal on it."""
        found = possible(self, STEPS, self.parties(account))
        is_open = self.is_open(at=at)
        besides = {JobAction.PROPOSE: is_open and not has_proposed, JobAction.INVITE: is_open}
        return [action for action in found if besides.get(action, True)]

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Everybody may see a job that was published; drafts are their client's, and removed ones."""
        published = cls.state.not_in([JobState.DRAFT, JobState.REMOVED])
        if audience is Audience.PUBLIC:
            return published
        mine = or_(published, cls.client_id == VIEWER)
        return mine if audience is Audience.MEMBER else or_(cls.state != JobState.DRAFT, mine)


class Invitation(Identified):
    """A client's wish that a freelancer makes an offer; one that is made then costs nothing."""

    __tablename__ = "invitations"
    __table_args__ = (
        UniqueConstraint("job_id", "freelancer_id"),
        Index("ix_invitations_job_id", "job_id", "id"),
        Index("ix_invitations_freelancer_id", "freelancer_id", "id"),
    )
    noun: ClassVar[str] = "invitation"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    freelancer_id: Mapped[UUID] = mapped_column(ForeignKey("freelancer_profiles.id"))
    invited_at: Mapped[datetime]

    job: Mapped[Job] = relationship(lazy="raise")

    @classmethod
    def send(cls, job: Job, by: Account, freelancer: Account, *, count: int, at: datetime) -> "Invitation":
        """Ask a freelancer for an offer, on one's own open job, to which `count` others are invited already."""
        must_be_possible(job, STEPS[JobAction.INVITE], job.parties(by))
        job.must_be_open(at=at)
        if freelancer.id == by.id:
            raise OwnJob("You cannot invite yourself.")
        freelancer.must_be_available()
        if count >= INVITATIONS_MAX:
            raise TooManyInvitations
        return cls(job_id=job.id, freelancer_id=freelancer.id, invited_at=at)

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """An invitation is between the client who sent it and the freelancer who got it."""
        sent = exists().where(Job.id == cls.job_id, Job.client_id == VIEWER)
        return shown(audience, or_(cls.freelancer_id == VIEWER, sent))


class JobSkill(Base):
    """A skill that a job asks for."""

    __tablename__ = "job_skills"
    __table_args__ = (Index(None, "skill_id", "job_id"),)

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    skill_id: Mapped[UUID] = mapped_column(ForeignKey("skills.id"), primary_key=True)

    job: Mapped[Job] = relationship(lazy="raise")


class JobAttachment(Base):
    """A file that belongs to a job."""

    __tablename__ = "job_attachments"
    __table_args__ = (UniqueConstraint("upload_id"),)

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    upload_id: Mapped[UUID] = mapped_column(ForeignKey("uploads.id"), primary_key=True)
    position: Mapped[int]

    job: Mapped[Job] = relationship(lazy="raise")

    @classmethod
    def of(cls, job: Job, upload_ids: Sequence[UUID]) -> "list[JobAttachment]":
        """The files in the order in which they were named, each once."""
        return [
            cls(job_id=job.id, upload_id=upload_id, position=position)
            for position, upload_id in enumerate(dict.fromkeys(upload_ids))
        ]


@seen_with
def _seen_with_its_job() -> ColumnElement[bool]:
    """Whoever is signed in and sees a job sees its attachments."""
    seen = exists().where(Job.id == JobAttachment.job_id, Job.seen_by(Audience.MEMBER)).correlate(JobAttachment)
    return exists().where(JobAttachment.upload_id == Upload.id, seen).correlate(Upload)


def looked_up(words: JobWords, *, category_known: bool, skills_known: int) -> JobWords:
    """The same words, with a note if the catalogue lacks the category or one of the skills."""
    check = Checks()
    check.note(words.misread)
    check.require(category_known, "category_id", "The catalogue has no such category.")
    check.require(skills_known == len(set(words.skill_ids)), "skill_ids", "The catalogue has no such skill.")
    return replace(words, misread=check.problems)
