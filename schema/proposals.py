"""What is said of offers."""

from collections.abc import AsyncGenerator
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

import loaders.accounts
import loaders.contracts
import loaders.jobs
import loaders.media
import loaders.proposals
import models.proposals
import resolvers.proposals
from models.errors import Checks
from models.jobs import Duration
from models.proposals import AttachmentWords, MilestoneWords, ProposalAction, ProposalState, ProposalWords
from schema.accounts import Freelancer
from schema.activity import Happened, cursor_of
from schema.edges import Info, Node, actions, column, computed, either, found, many, one, priced, shown, shows
from schema.errors import Refused
from schema.jobs import Job, JobIdArgument
from schema.media import ADDRESS, Upload
from schema.scalars import Money, MoneyInput, described, key_in, key_of

if TYPE_CHECKING:
    from schema.contracts import Contract

described(
    ProposalState,
    "Where a proposal is in its life.",
    PENDING="It waits for the client.",
    ACCEPTED="A contract came of it.",
    REJECTED="The client said no, or the job takes no more.",
    WITHDRAWN="The freelancer took it back.",
)
described(
    ProposalAction,
    "What may be done with a proposal.",
    EDIT="`editProposal`.",
    WITHDRAW="`withdrawProposal`.",
    SHORTLIST="`shortlistProposal`.",
    ARCHIVE="`archiveProposal`.",
    REJECT="`rejectProposal`.",
    ACCEPT="`acceptProposal`.",
)


@strawberry.type(description="One part of the work, as a freelancer proposes it.")
class ProposalMilestone:
    position: int = column("Its place among the parts, from 0.")
    description: str = column("What is done in it.")
    amount: Money = priced("What it costs.", "amount_cents")
    due_on: date | None = column("The day by which it is done.")


@strawberry.type(description="Something the freelancer wants the client to look at.")
class ProposalAttachment:
    name: str = column("What it is called.")
    upload: Upload | None = one("The file, if it was brought here.", loaders.media.by_id, "upload_id")

    url: str | None = either(
        "Where it is: an http or https address, as the freelancer gave it, or the address of the file, "
        "which is good for some minutes.",
        "url",
        loaders.media.by_id,
        "upload_id",
        ADDRESS,
    )


@strawberry.type(description="A freelancer's offer to do a job; seen by her and by the job's client.")
class Proposal(Node):
    is_type_of = shows(models.proposals.Proposal, loaders.proposals.by_id)

    cover_letter: str = column("What the freelancer says.")
    duration: Duration = column("How long she will take.")
    bid: Money = priced("What she asks: for the whole work, or for an hour, as the job pays.", "bid_cents")
    connects_cost: int = column("What she paid for it in Connects; nothing if she was invited.")
    state: ProposalState = column("Where it is in its life.")
    reason: str | None = column("Why it was rejected, if anybody said.")
    submitted_at: datetime = column("When it was made.")
    decided_at: datetime | None = column("When it was accepted, rejected or withdrawn.")
    version: int = column("Counts the changes; send it with an edit, so as not to overwrite another.")
    job: Job | None = one("The job; nothing once it was removed.", loaders.jobs.by_id, "job_id")
    freelancer: Freelancer = one("Who made it.", loaders.accounts.freelancer, "freelancer_id")
    milestones: list[ProposalMilestone] = many(
        "The parts of the work, in order.", loaders.proposals.milestones, at_most=models.proposals.MILESTONES_MAX
    )
    attachments: list[ProposalAttachment] = many(
        "What there is to look at.", loaders.proposals.attachments, at_most=models.proposals.ATTACHMENTS_MAX
    )
    contract: Annotated["Contract", strawberry.lazy("schema.contracts")] | None = one(
        "What came of it.", loaders.contracts.of_proposal, "id"
    )

    @computed("Whether the client keeps it at hand; only the client knows.", loaders.proposals.is_shortlisted)
    async def is_shortlisted(root: Any, info: Info) -> bool | None:
        return await _for_client(root, info, root.shortlisted)

    @computed("Whether the client put it out of sight; only the client knows.", loaders.proposals.is_archived)
    async def is_archived(root: Any, info: Info) -> bool | None:
        return await _for_client(root, info, root.archived)

    @actions("What you may do with it now.", loaders.proposals.actions)
    async def available_actions(root: Any, info: Info) -> list[ProposalAction]:
        job = await info.context.loaders.one(loaders.jobs.by_id, root.job_id)
        return root.actions_for(info.context.viewer, job, at=info.context.now()) if job else []


async def _for_client(root: Any, info: Info, value: bool) -> bool | None:
    job = await info.context.loaders.one(loaders.jobs.by_id, root.job_id)
    viewer = info.context.viewer
    return value if job and viewer and job.client_id == viewer.id else None


SubmitProposalResult = Annotated[
    Proposal | Refused, strawberry.union("SubmitProposalResult", description="The proposal, or why there is none.")
]
EditProposalResult = Annotated[
    Proposal | Refused, strawberry.union("EditProposalResult", description="The proposal as it is now, or why not.")
]
WithdrawProposalResult = Annotated[
    Proposal | Refused,
    strawberry.union("WithdrawProposalResult", description="The proposal as it is now, or why not."),
]
ShortlistProposalResult = Annotated[
    Proposal | Refused,
    strawberry.union("ShortlistProposalResult", description="The proposal as it is now, or why not."),
]
ArchiveProposalResult = Annotated[
    Proposal | Refused, strawberry.union("ArchiveProposalResult", description="The proposal as it is now, or why not.")
]
RejectProposalResult = Annotated[
    Proposal | Refused, strawberry.union("RejectProposalResult", description="The proposal as it is now, or why not.")
]
AcceptProposalResult = Annotated[
    Annotated["Contract", strawberry.lazy("schema.contracts")] | Refused,
    strawberry.union("AcceptProposalResult", description="The contract that begins, or why there is none."),
]


@strawberry.input(description="One part of the work.")
class MilestoneInput:
    description: str = strawberry.field(description="1 to 1000 characters.")
    amount: MoneyInput = strawberry.field(description="What it costs.")
    due_on: date | None = strawberry.field(default=None, description="The day by which it is done; not in the past.")

    def read(self, check: Checks, index: int) -> MilestoneWords:
        """Read the input as the house speaks."""
        cents = self.amount.cents(check, "milestones", str(index), "amount", "amount")
        return MilestoneWords(self.description, cents, self.due_on)


@strawberry.input(description="Something the client is to look at.")
class AttachmentInput:
    name: str = strawberry.field(description="1 to 200 characters.")
    url: str | None = strawberry.field(default=None, description="An http or https address; or else an upload.")
    upload_id: strawberry.ID | None = strawberry.field(
        default=None, description="An attachment of yours that has arrived; or else an address."
    )

    def read(self, check: Checks, index: int) -> AttachmentWords:
        """Read the input as the house speaks."""
        path = ("attachments", str(index), "upload_id")
        upload_id = key_in(check, "upload", self.upload_id, path) if self.upload_id else None
        return AttachmentWords(self.name, self.url, upload_id)


@strawberry.input(description="What a freelancer offers.")
class ProposalWordsInput:
    cover_letter: str = strawberry.field(description="1 to 5000 characters.")
    duration: Duration = strawberry.field(description="How long you will take.")
    bid: MoneyInput = strawberry.field(description="What you ask, in the currency of the job.")
    milestones: list[MilestoneInput] = strawberry.field(
        description="1 to 20 parts of the work; on FIXED jobs they sum to the bid."
    )
    attachments: list[AttachmentInput] = strawberry.field(default_factory=list, description="Up to 10.")

    def words(self) -> ProposalWords:
        """Read the input as the house speaks; what cannot be read is said with whatever else is wrong."""
        check = Checks()
        currencies = {self.bid.currency, *(milestone.amount.currency for milestone in self.milestones)}
        check.require(len(currencies) == 1, "milestones", "Milestones are in the currency of the bid.")
        return ProposalWords(
            cover_letter=self.cover_letter,
            duration=self.duration,
            bid_cents=self.bid.cents(check, "bid", "amount"),
            currency=self.bid.currency,
            milestones=[part.read(check, index) for index, part in enumerate(self.milestones)],
            attachments=[given.read(check, index) for index, given in enumerate(self.attachments)],
            misread=check.problems,
        )


@strawberry.input(description="A proposal on a job.")
class SubmitProposalInput(ProposalWordsInput):
    job_id: strawberry.ID = strawberry.field(description="The job.")
    idempotency_key: str = strawberry.field(
        description="1 to 255 characters of your own, the same when you send the same request again."
    )
    connects_cost: int | None = strawberry.field(
        default=None, description="The `connectsCost` that you read; if it costs more now, CONNECTS_COST_CHANGED."
    )


@strawberry.input(description="Everything a proposal says, anew.")
class EditProposalInput(ProposalWordsInput):
    proposal_id: strawberry.ID = strawberry.field(description="The proposal.")
    version: int | None = strawberry.field(
        default=None, description="The version you read; the edit is refused as STALE if there is a newer one."
    )


@strawberry.input(description="A proposal to take back.")
class WithdrawProposalInput:
    proposal_id: strawberry.ID = strawberry.field(description="The proposal.")


@strawberry.input(description="A proposal to keep at hand, or no longer.")
class ShortlistProposalInput:
    proposal_id: strawberry.ID = strawberry.field(description="The proposal.")
    on: bool = strawberry.field(default=True, description="Whether to keep it at hand.")


@strawberry.input(description="A proposal to put out of sight, or back.")
class ArchiveProposalInput:
    proposal_id: strawberry.ID = strawberry.field(description="The proposal.")
    on: bool = strawberry.field(default=True, description="Whether to put it out of sight.")


@strawberry.input(description="A proposal to say no to.")
class RejectProposalInput:
    proposal_id: strawberry.ID = strawberry.field(description="The proposal.")
    reason: str | None = strawberry.field(default=None, description="Up to 1000 characters, for the freelancer.")


@strawberry.input(description="A proposal to accept.")
class AcceptProposalInput:
    proposal_id: strawberry.ID = strawberry.field(description="The proposal.")
    version: int | None = strawberry.field(
        default=None, description="The version you read; if the freelancer has changed it since, this is STALE."
    )


@strawberry.type(description="Something happened to a proposal.")
class ProposalChanged(Happened):
    proposal: Proposal = strawberry.field(description="The proposal as it is now.")


@strawberry.type
class ProposalQueries:
    proposal: Proposal | None = found(
        "A proposal; nothing if there is none that you may see.", loaders.proposals.by_id, "The proposal."
    )


@strawberry.type
class ProposalMutations:
    @strawberry.mutation(description="Make a proposal on a job. It costs Connects, unless you are invited.")
    async def submit_proposal(self, info: Info, input: SubmitProposalInput) -> SubmitProposalResult:
        job_id = key_of("job", input.job_id, "job_id")
        words, key = input.words(), input.idempotency_key
        return shown(
            await resolvers.proposals.submit(
                info.context, job_id=job_id, words=words, key=key, agreed_cost=input.connects_cost
            )
        )

    @strawberry.mutation(description="Change your proposal while it is pending.")
    async def edit_proposal(self, info: Info, input: EditProposalInput) -> EditProposalResult:
        proposal_id = key_of("proposal", input.proposal_id, "proposal_id")
        words = input.words()
        return shown(
            await resolvers.proposals.edit(info.context, proposal_id=proposal_id, words=words, version=input.version)
        )

    @strawberry.mutation(description="Take your proposal back while it is pending.")
    async def withdraw_proposal(self, info: Info, input: WithdrawProposalInput) -> WithdrawProposalResult:
        proposal_id = key_of("proposal", input.proposal_id, "proposal_id")
        return shown(await resolvers.proposals.withdraw(info.context, proposal_id=proposal_id))

    @strawberry.mutation(description="Keep a proposal on your job at hand, or no longer. The freelancer is not told.")
    async def shortlist_proposal(self, info: Info, input: ShortlistProposalInput) -> ShortlistProposalResult:
        proposal_id = key_of("proposal", input.proposal_id, "proposal_id")
        return shown(await resolvers.proposals.shortlist(info.context, proposal_id=proposal_id, on=input.on))

    @strawberry.mutation(description="Put a proposal on your job out of sight, or back. The freelancer is not told.")
    async def archive_proposal(self, info: Info, input: ArchiveProposalInput) -> ArchiveProposalResult:
        proposal_id = key_of("proposal", input.proposal_id, "proposal_id")
        return shown(await resolvers.proposals.archive(info.context, proposal_id=proposal_id, on=input.on))

    @strawberry.mutation(description="Say no to a proposal on your job.")
    async def reject_proposal(self, info: Info, input: RejectProposalInput) -> RejectProposalResult:
        proposal_id = key_of("proposal", input.proposal_id, "proposal_id")
        return shown(await resolvers.proposals.reject(info.context, proposal_id=proposal_id, reason=input.reason))

    @strawberry.mutation(
        description="Hire a freelancer: a contract begins. The last one wanted fills the job, which rejects the rest."
    )
    async def accept_proposal(self, info: Info, input: AcceptProposalInput) -> AcceptProposalResult:
        proposal_id = key_of("proposal", input.proposal_id, "proposal_id")
        return shown(await resolvers.proposals.accept(info.context, proposal_id=proposal_id, version=input.version))


@strawberry.type
class ProposalSubscriptions:
    @strawberry.subscription(
        description="What happens to the proposals of a job: all of them on your own job, only yours on another's."
    )
    async def proposal_changed(self, info: Info, job_id: JobIdArgument) -> AsyncGenerator[ProposalChanged, None]:
        key = key_of("job", job_id, "job_id")
        async for event, proposal in resolvers.proposals.changes(info.context, job_id=key):
            yield ProposalChanged(cursor=cursor_of(event, info), at=event.at, kind=event.kind, proposal=shown(proposal))
