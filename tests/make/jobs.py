"""Work on offer."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from models.accounts import Account
from models.jobs import Budget, BudgetKind, Duration, Experience, Invitation, Job, JobState, JobWords
from ops.app import wall_clock

CATEGORY_ID = UUID(int=1_767_225_600_000 << 80 | 7 << 76 | 2 << 62 | 1_000)
SKILL_IDS = [UUID(int=1_767_225_600_000 << 80 | 7 << 76 | 2 << 62 | 2_000 + at) for at in range(20)]
"""Words of the catalogue, as the migrations number them."""

FIXED = Budget(BudgetKind.FIXED, amount_cents=1_000_00)
HOURLY = Budget(BudgetKind.HOURLY, minimum_cents=20_00, maximum_cents=60_00)


def job_words(**values: Any) -> JobWords:
    usual: dict[str, Any] = {
        "title": "Build a shop",
        "description": "A small shop, with a checkout.",
        "category_id": CATEGORY_ID,
        "skill_ids": SKILL_IDS[:2],
        "experience": Experience.INTERMEDIATE,
        "duration": Duration.ONE_TO_THREE_MONTHS,
        "budget": FIXED,
    }
    return JobWords(**usual | values)


def job(by: Account, state: JobState = JobState.OPEN, *, words: JobWords | None = None, **values: Any) -> Job:
    """A job in some state, without its skills."""
    now = wall_clock()
    made = Job.draft(by, words or job_words(), at=now)
    made.state = state
    if state is not JobState.DRAFT:
        made.published_at, made.expires_at = now, now + timedelta(days=30)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def invitation(job: Job, freelancer: Account) -> Invitation:
    return Invitation(job_id=job.id, freelancer_id=freelancer.id, invited_at=wall_clock())
