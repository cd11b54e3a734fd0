"""What time it is in a sandbox, where an operator may let time pass; elsewhere it passes by itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, false
from sqlalchemy.orm import Mapped, mapped_column

from models.accounts import Account, Role, shown
from models.base import Audience, Identified
from models.errors import Checks, Conflict

STEP_MAX_SECONDS = 366 * 86_400
AHEAD_MAX_SECONDS = 10 * STEP_MAX_SECONDS
"""How far a sandbox may be ahead of the world, all steps together."""


class ClockIsReal(Conflict):
    """Where people and their money are, time passes by itself."""

    code = "CLOCK_IS_REAL"
    message = "Time passes by itself here; only a sandbox lets it be advanced."


class ClockTooFarAhead(Conflict):
    """Even a sandbox ends somewhere."""

    code = "CLOCK_TOO_FAR_AHEAD"
    message = f"A sandbox is at most {AHEAD_MAX_SECONDS // 86_400} days ahead."


@dataclass(frozen=True, slots=True)
class Span:
    """How much time is to pass."""

    days: int
    hours: int
    seconds: int

    @property
    def in_seconds(self) -> int:
        """All of it."""
        return self.days * 86_400 + self.hours * 3_600 + self.seconds

    def check(self, check: Checks) -> None:
        """Time goes forwards, in steps that can be overlooked."""
        for name in ("days", "hours", "seconds"):
            check.require(getattr(self, name) >= 0, name, "Time only goes forwards.")
        fits = 0 < self.in_seconds <= STEP_MAX_SECONDS
        check.require(fits, "days", f"Advance by a second at least, by {STEP_MAX_SECONDS // 86_400} days at most.")


class ClockStep(Identified):
    """Somebody let time pass: since then everything is `ahead_seconds` ahead of the world."""

    __tablename__ = "clock_steps"
    __table_args__ = (CheckConstraint(f"ahead_seconds between 1 and {AHEAD_MAX_SECONDS}", name="ahead_within_bounds"),)
    noun: ClassVar[str] = "clockstep"

    ahead_seconds: Mapped[int]
    by_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    at: Mapped[datetime]
    """By the world's clock."""

    @classmethod
    def take(cls, ahead_seconds: int, span: Span, by: Account, *, at: datetime) -> "ClockStep":
        """Go on from so far ahead: an administrator may."""
        by.must_be(Role.ADMIN)
        with Checks() as check:
            span.check(check)
        ahead = ahead_seconds + span.in_seconds
        if ahead > AHEAD_MAX_SECONDS:
            raise ClockTooFarAhead
        return cls(ahead_seconds=ahead, by_id=by.id, at=at)

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Who let time pass is for administrators to know."""
        return shown(audience, false())
