"""What is said of work agreed upon."""

from collections.abc import AsyncGenerator
from datetime import date, datetime
from typing import Annotated, Any

import strawberry

import loaders.accounts
import loaders.contracts
import loaders.jobs
import loaders.proposals
import models.contracts
import models.proposals
import resolvers.contracts
from models.contracts import ContractState, MilestoneAction, MilestoneState
from models.jobs import BudgetKind
from schema.accounts import Client, Freelancer
from schema.activity import Happened, cursor_of
from schema.edges import Info, Node, actions, column, found, many, one, priced, shown, shows
from schema.errors import Refused
from schema.jobs import Job
from schema.media import Upload
from schema.proposals import Proposal
from schema.scalars import Money, described, key_of

described(
    ContractState,
    "Where a contract is in its life.",
    ACTIVE="The work goes on.",
    COMPLETED="The work is done and paid, or both agreed that it is over.",
    TERMINATED="It was ended before the work was done.",
)
described(
    MilestoneState,
    "How far a part of the work is.",
    OPEN="Nobody works on it yet.",
    IN_PROGRESS="The freelancer works on it.",
    IN_REVIEW="It was handed in, and the client has to look at it.",
    ACCEPTED="The client accepted it, and has to pay.",
    PAID="It is paid.",
)
described(MilestoneAction, "What may be done with a milestone.", START="`startMilestone`.")


@strawberry.type(description="A part of the agreed work, with its price.")
class Milestone(Node):
    is_type_of = shows(models.contracts.Milestone, loaders.contracts.milestone)

    position: int = column("Its place among the parts, from 0.")
    description: str = column("What is done in it.")
    amount: Money = priced("What it costs.", "amount_cents")
    due_on: date | None = column("The day by which it is done.")
    state: MilestoneState = column("How far it is.")
    started_at: datetime | None = column("When work on it began.")
    version: int = column("Counts the changes.")
    contract: Annotated["Contract", strawberry.lazy("schema.contracts")] = one(
        "The contract it is part of.", loaders.contracts.by_id, "contract_id"
    )

    @actions("What you may do with it now.", loaders.contracts.milestone_actions)
    async def available_actions(root: Any, info: Info) -> list[MilestoneAction]:  # noqa: N805 - the parent
        contract = await info.context.loaders.one(loaders.contracts.by_id, root.contract_id)
        return root.actions_for(info.context.viewer, contract) if contract else []


@strawberry.type(description="What a client and a freelancer agreed upon; seen by the two of them.")
class Contract(Node):
    is_type_of = shows(models.contracts.Contract, loaders.contracts.by_id)

    title: str = column("The title of the job when the contract began.")
    state: ContractState = column("Where it is in its life.")
    budget_kind: BudgetKind = column("Whether the whole work has a price, or each hour.")
    bid: Money = priced("What was agreed: for the whole work, or for an hour.", "bid_cents")
    freelancer_fee_bps: int = column("What the freelancer pays of what she earns, in hundredths of a percent.")
    client_fee_bps: int = column("What the client pays on top, in hundredths of a percent.")
    started_at: datetime = column("When it began.")
    ended_at: datetime | None = column("When it was completed or terminated.")
    version: int = column("Counts the changes.")
    client: Client = one("Who pays.", loaders.accounts.client, "client_id")
    freelancer: Freelancer = one("Who works.", loaders.accounts.freelancer, "freelancer_id")
    job: Job | None = one("The job it came from; nothing once it was removed.", loaders.jobs.by_id, "job_id")
    proposal: Proposal = one("The proposal it came from.", loaders.proposals.by_id, "proposal_id")
    attachments: list[Upload] = many(
        "The files that either party put with it.",
        loaders.contracts.attachments,
        at_most=models.contracts.ATTACHMENTS_MAX,
    )
    milestones: list[Milestone] = many(
        "The parts of the work, in order.", loaders.contracts.milestones, at_most=models.proposals.MILESTONES_MAX
    )


StartMilestoneResult = Annotated[
    Milestone | Refused, strawberry.union("StartMilestoneResult", description="The milestone as it is now, or why not.")
]


AttachToContractResult = Annotated[
    Contract | Refused, strawberry.union("AttachToContractResult", description="The contract as it is now, or why not.")
]
DetachFromContractResult = Annotated[
    Contract | Refused,
    strawberry.union("DetachFromContractResult", description="The contract as it is now, or why not."),
]


@strawberry.input(description="A file to put with a contract.")
class AttachToContractInput:
    contract_id: strawberry.ID = strawberry.field(description="The contract.")
    upload_id: strawberry.ID = strawberry.field(description="An attachment of yours that has arrived.")


@strawberry.input(description="A file to take off a contract.")
class DetachFromContractInput:
    contract_id: strawberry.ID = strawberry.field(description="The contract.")
    upload_id: strawberry.ID = strawberry.field(description="An upload that you put with it.")


@strawberry.input(description="A milestone to begin to work on.")
class StartMilestoneInput:
    milestone_id: strawberry.ID = strawberry.field(description="The milestone.")


@strawberry.type(description="Something happened to a contract or its milestones.")
class ContractChanged(Happened):
    contract: Contract = strawberry.field(description="The contract as it is now.")


ContractIdArgument = Annotated[strawberry.ID, strawberry.argument(description="The contract.")]


@strawberry.type
class ContractQueries:
    contract: Contract | None = found(
        "A contract; nothing if there is none that you may see.", loaders.contracts.by_id, "The contract."
    )


@strawberry.type
class ContractMutations:
    @strawberry.mutation(description="Put a file of yours with an active contract, for both parties to read.")
    async def attach_to_contract(self, info: Info, input: AttachToContractInput) -> AttachToContractResult:
        contract_id = key_of("contract", input.contract_id, "contract_id")
        upload_id = key_of("upload", input.upload_id, "upload_id")
        return shown(await resolvers.contracts.attach(info.context, contract_id=contract_id, upload_id=upload_id))

    @strawberry.mutation(description="Take a file that you put with an active contract off it; it is deleted.")
    async def detach_from_contract(self, info: Info, input: DetachFromContractInput) -> DetachFromContractResult:
        contract_id = key_of("contract", input.contract_id, "contract_id")
        upload_id = key_of("upload", input.upload_id, "upload_id")
        return shown(await resolvers.contracts.detach(info.context, contract_id=contract_id, upload_id=upload_id))

    @strawberry.mutation(description="Begin to work on a milestone of your contract.")
    async def start_milestone(self, info: Info, input: StartMilestoneInput) -> StartMilestoneResult:
        milestone_id = key_of("milestone", input.milestone_id, "milestone_id")
        return shown(await resolvers.contracts.start(info.context, milestone_id=milestone_id))


@strawberry.type
class ContractSubscriptions:
    @strawberry.subscription(description="What happens to a contract and its milestones, for its two parties.")
    async def contract_changed(self, info: Info, id: ContractIdArgument) -> AsyncGenerator[ContractChanged, None]:
        key = key_of("contract", id)
        async for event, contract in resolvers.contracts.changes(info.context, contract_id=key):
            yield ContractChanged(cursor=cursor_of(event, info), at=event.at, kind=event.kind, contract=shown(contract))
