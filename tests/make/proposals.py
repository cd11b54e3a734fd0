"""Offers."""

from typing import Any

from models.accounts import Account
from models.jobs import Duration, Job
from models.proposals import MilestoneWords, Proposal, ProposalState, ProposalWords
from ops.app import wall_clock

MILESTONES = (MilestoneWords("Design", 300_00), MilestoneWords("Build", 700_00))


def proposal_words(**values: Any) -> ProposalWords:
    usual: dict[str, Any] = {
        "cover_letter": "I have done this before.",
        "duration": Duration.LESS_THAN_A_MONTH,
        "bid_cents": 1_000_00,
        "milestones": MILESTONES,
    }
    return ProposalWords(**usual | values)


def proposal(job: Job, by: Account, state: ProposalState = ProposalState.PENDING, **values: Any) -> Proposal:
    """An offer in some state, without its milestones."""
    made = Proposal(
        job_id=job.id,
        freelancer_id=by.id,
        cover_letter="I have done this before.",
        duration=Duration.LESS_THAN_A_MONTH,
        bid_cents=1_000_00,
        currency=job.budget_currency,
        connects_cost=0,
        state=state,
        shortlisted=False,
        archived=False,
        submitted_at=wall_clock(),
        version=1,
    )
    for name, value in values.items():
        setattr(made, name, value)
    return made
