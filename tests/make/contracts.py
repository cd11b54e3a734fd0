"""Work agreed upon."""

from models.contracts import Contract, ContractState, Milestone, MilestoneState
from models.jobs import Job
from models.payments import TariffKind
from models.proposals import Proposal
from ops.app import wall_clock

FEES = {TariffKind.FREELANCER_FEE: 1_000, TariffKind.CLIENT_FEE: 500}


def contract(job: Job, proposal: Proposal, state: ContractState = ContractState.ACTIVE) -> Contract:
    made = Contract.begin(job, proposal, FEES, at=wall_clock())
    made.state = state
    return made


def milestone(
    contract: Contract, state: MilestoneState = MilestoneState.OPEN, *, position: int = 0, cents: int = 1_000_00
) -> Milestone:
    return Milestone(
        contract_id=contract.id,
        position=position,
        description="Everything",
        amount_cents=cents,
        currency=contract.currency,
        state=state,
        version=1,
    )
