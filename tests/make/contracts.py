"""Work agreed upon."""

from datetime import timedelta

from models.accounts import Account
from models.contracts import Contract, ContractState, Milestone, MilestoneState, Termination
from models.jobs import Job
from models.payments import PaymentRequest, TariffKind
from models.proposals import Proposal
from ops.app import wall_clock

FEES = {TariffKind.FREELANCER_FEE: 1_000, TariffKind.CLIENT_FEE: 500}


def contract(job: Job, proposal: Proposal, state: ContractState = ContractState.ACTIVE) -> Contract:
    made = Contract.begin(job, proposal, FEES, at=wall_clock())
    made.state = state
    return made


def milestone(
    contract: Contract,
    state: MilestoneState = MilestoneState.OPEN,
    *,
    position: int = 0,
    cents: int = 1_000_00,
    escrow: int = 0,
) -> Milestone:
    """A milestone in some state, with what that state needs; there is no money behind it."""
    now = wall_clock()
    order = list(MilestoneState)
    made = Milestone(
        contract_id=contract.id,
        position=position,
        description="Everything",
        amount_cents=cents,
        gross_cents=contract.charge(cents).gross,
        escrow_cents=escrow,
        currency=contract.currency,
        state=state,
        version=1,
    )
    if order.index(state) >= order.index(MilestoneState.IN_REVIEW):
        made.submitted_at = now
    if state is MilestoneState.IN_REVIEW:
        made.review_ends_at = now + timedelta(days=14)
    if state in {MilestoneState.ACCEPTED, MilestoneState.PAID}:
        made.accepted_cents, made.accepted_at = cents, now
    if state is MilestoneState.PAID:
        made.paid_at = now
    return made


def request(milestone: Milestone, contract: Contract) -> PaymentRequest:
    """What is owed for an accepted milestone."""
    made, _ = milestone.request_payment(contract, None, at=wall_clock())
    return made


def termination(contract: Contract, by: Account) -> Termination:
    """A wish to end a contract."""
    made, _ = Termination.request(contract, by, "It leads nowhere.", has_requested=False, at=wall_clock())
    return made
