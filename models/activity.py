"""What happened: one row for every change that another person or process may care about.

Rows of one stream are numbered without gaps, in the order in which they were committed, so whoever has seen
number n asks for what came after n and misses nothing.
"""

import enum
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, named


class EventKind(enum.Enum):
    """What kind of change it was; the subject is the thing that changed."""

    JOB_PUBLISHED = "JOB_PUBLISHED"
    JOB_EDITED = "JOB_EDITED"
    JOB_CLOSED = "JOB_CLOSED"
    JOB_FILLED = "JOB_FILLED"
    JOB_EXPIRES_SOON = "JOB_EXPIRES_SOON"
    JOB_EXPIRED = "JOB_EXPIRED"
    JOB_RENEWED = "JOB_RENEWED"
    JOB_REMOVED = "JOB_REMOVED"
    PROPOSAL_SUBMITTED = "PROPOSAL_SUBMITTED"
    PROPOSAL_EDITED = "PROPOSAL_EDITED"
    PROPOSAL_WITHDRAWN = "PROPOSAL_WITHDRAWN"
    PROPOSAL_SHORTLISTED = "PROPOSAL_SHORTLISTED"
    PROPOSAL_ARCHIVED = "PROPOSAL_ARCHIVED"
    PROPOSAL_REJECTED = "PROPOSAL_REJECTED"
    PROPOSAL_ACCEPTED = "PROPOSAL_ACCEPTED"
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
    ATTACHMENT_ADDED = "ATTACHMENT_ADDED"
    ATTACHMENT_REMOVED = "ATTACHMENT_REMOVED"
    CLOCK_ADVANCED = "CLOCK_ADVANCED"
    WALLET_CHANGED = "WALLET_CHANGED"
    TRANSFER_SUCCEEDED = "TRANSFER_SUCCEEDED"
    TRANSFER_FAILED = "TRANSFER_FAILED"
    CONTROL_CHANGED = "CONTROL_CHANGED"
    CONTROL_ACKNOWLEDGED = "CONTROL_ACKNOWLEDGED"
    FREELANCER_INVITED = "FREELANCER_INVITED"


class StreamHead(Base):
    """The last number given out in a stream; whoever holds this row numbers the next event."""

    __tablename__ = "stream_heads"

    stream: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]


class Event(Identified):
    """One change, as one stream tells it."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("stream", "sequence"), Index(None, "subject_id"))
    noun: ClassVar[str] = "event"

    stream: Mapped[str]
    sequence: Mapped[int]
    kind: Mapped[EventKind] = mapped_column(named(EventKind))
    subject: Mapped[str]
    subject_id: Mapped[UUID]
    actor_id: Mapped[UUID | None]
    at: Mapped[datetime]


def event(stream: str, kind: EventKind, subject: Identified, *, by: UUID | None, at: datetime) -> Event:
    """Tell a stream that something happened to the subject; `by` is nobody when the house itself did it."""
    return Event(stream=stream, kind=kind, subject=subject.noun, subject_id=subject.id, actor_id=by, at=at)


def job_stream(job_id: UUID) -> str:
    """What the job's client follows, and nobody else: proposals arriving, changing and being sorted, and the job."""
    return f"job:{job_id.hex}"


def proposal_stream(job_id: UUID, freelancer_id: UUID) -> str:
    """What happens to one freelancer's proposals on a job, as far as she is to know: she follows it."""
    return f"proposal:{job_id.hex}:{freelancer_id.hex}"


def contract_stream(contract_id: UUID) -> str:
    """What the two parties of a contract follow."""
    return f"contract:{contract_id.hex}"


def account_stream(account_id: UUID) -> str:
    """What one person is told."""
    return f"account:{account_id.hex}"


def wallet_stream(account_id: UUID) -> str:
    """What moves somebody's money; she follows it."""
    return f"wallet:{account_id.hex}"


CONTROL_STREAM = "control"
"""What operators say to every node."""

CONTROL_NEWS_STREAM = "control:news"
"""The same, and what the nodes make of it, for operators who follow it."""

JOBS_STREAM = "jobs"
"""Jobs being published, for everyone."""

CLOCK_STREAM = "clock"
"""Time that was let pass in a sandbox; every process follows it."""
