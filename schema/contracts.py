"""What is said of work agreed upon."""

from collections.abc import AsyncGenerator
from datetime import date, datetime
from typing import Annotated, Any

import strawberry

import loaders.accounts
import loaders.contracts
import loaders.jobs
import loaders.payments
import loaders.proposals
import models.contracts
import resolvers.contracts
from models.contracts import (
    Acceptance,
    Actor,
    ChangeKind,
    ContractAction,
    ContractState,
    MilestoneAction,
    MilestoneState,
    MilestoneWords,
    Rest,
    Submission,
    TerminationAction,
    TerminationDecision,
    TerminationState,
)
from models.errors import Checks
from models.jobs import BudgetKind
from schema.accounts import Client, Freelancer
from schema.activity import CHANGES, Happened, cursor_of
from schema.edges import (
    Connection,
    Info,
    Node,
    actions,
    column,
    figures,
    found,
    made,
    many,
    one,
    page,
    priced,
    shown,
    shows,
)
from schema.errors import Refused
from schema.jobs import Job
from schema.media import Upload
from schema.payments import Payment, PaymentRequest
from schema.proposals import Proposal
from schema.scalars import Money, MoneyInput, described, key_in, key_of

described(
    ContractState,
    "Where a contract is in its life.",
    ACTIVE="The work goes on.",
    COMPLETED="The work is done and paid, or both agreed that it is over.",
    TERMINATED="It was ended before the work was done.",
)
described(
    ContractAction,
    "What may be done with a contract.",
    ADD_MILESTONE="`addMilestone`.",
    PAY_BONUS="`payBonus`.",
    REQUEST_TERMINATION="`requestTermination`.",
    COMPLETE="`completeContract`.",
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
described(
    MilestoneAction,
    "What may be done with a milestone.",
    EDIT="`editMilestone`.",
    FUND="`fundMilestone`.",
    START="`startMilestone`.",
    SUBMIT="`submitMilestone`.",
    REQUEST_CHANGES="`requestChanges`.",
    ACCEPT="`acceptMilestone`.",
)
described(
    Rest,
    "What becomes of the rest of a milestone, when a part of it is accepted.",
    REFUND="It is not owed; what lies in escrow for it goes back to the client.",
    ROLL="It is added to the next milestone that was not handed in yet, with what lies in escrow for it.",
)
described(
    TerminationState,
    "What became of a request to end a contract.",
    REQUESTED="It is not decided yet.",
    ACCEPTED="The contract was ended.",
    REJECTED="The contract goes on.",
    WITHDRAWN="It was taken back.",
    LAPSED="The contract was over before it was decided.",
)
described(
    TerminationAction,
    "What may be done with a request to end a contract.",
    ACCEPT="`decideTermination` with ACCEPT.",
    REJECT="`decideTermination` with REJECT.",
    WITHDRAW="`withdrawTermination`.",
)
described(
    TerminationDecision,
    "How a request to end a contract is decided.",
    ACCEPT="The contract is ended.",
    REJECT="The contract goes on.",
)
described(
    Actor,
    "Who changed something of a contract.",
    CLIENT="Its client.",
    FREELANCER="Its freelancer.",
    ADMIN="An administrator.",
    SYSTEM="Time.",
)
described(ChangeKind, "What changed of a contract.", **CHANGES)


@strawberry.type(description="One thing that happened to a contract: what, who did it, when, and why.")
class Change(Node):
    is_type_of = shows(models.contracts.Change, loaders.contracts.change)

    kind: ChangeKind = column("What changed.")
    by: Actor = column("Who did it.", "actor")
    at: datetime = column("When.")
    reason: str | None = column("Why, in the words of whoever did it: a message, a reason, an answer, a note.")
    from_state: str | None = column("The state before, of whatever changed it.")
    to_state: str | None = column("The state after, of whatever changed it.")
    amount: Money | None = priced("How much was moved, or is owed, by it.", "amount_cents")
    milestone: Annotated["Milestone", strawberry.lazy("schema.contracts")] | None = one(
        "The milestone, if it is about one.", loaders.contracts.milestone, "milestone_id"
    )
    attachments: list[Upload] = many(
        "The files that were handed in.",
        loaders.contracts.handed_in,
        at_most=models.contracts.SUBMISSION_ATTACHMENTS_MAX,
    )


@strawberry.type(
    description="A party's wish to end a contract before its time; the other party or an administrator decides."
)
class Termination(Node):
    is_type_of = shows(models.contracts.Termination, loaders.contracts.termination)

    requested_by: Actor = column("Who asked for it.")
    reason: str = column("Why.")
    state: TerminationState = column("What became of it.")
    answer: str | None = column("What was said to it.")
    requested_at: datetime = column("When it was asked for.")
    decided_at: datetime | None = column("When it was decided, withdrawn, or of no use any more.")
    contract: Annotated["Contract", strawberry.lazy("schema.contracts")] = one(
        "The contract.", loaders.contracts.by_id, "contract_id"
    )

    @actions("What you may do with it now.", loaders.contracts.termination_actions)
    def available_actions(root: Any, info: Info) -> list[TerminationAction]:
        return root.actions_for(info.context.viewer)


@strawberry.type(description="Amounts of a contract's milestones, without fees unless it is said.")
class ContractTotals:
    agreed: Money = priced("What all milestones cost.", "agreed_cents")
    escrowed: Money = priced("What lies in escrow, the client's fee included.", "escrow_cents")
    owed: Money = priced("What was accepted and is to be paid.", "owed_cents")
    paid: Money = priced("What was paid for milestones; bonuses are not in it.", "paid_cents")


@strawberry.type(description="A part of the agreed work, with its price.")
class Milestone(Node):
    is_type_of = shows(models.contracts.Milestone, loaders.contracts.milestone)

    position: int = column("Its place among the parts, from 0.")
    description: str = column("What is done in it.")
    amount: Money = priced("What it costs.", "amount_cents")
    cost: Money = priced("What the client pays for it: the amount, and her fee.", "gross_cents")
    escrow: Money = priced("What lies in escrow for it.", "escrow_cents")
    accepted: Money | None = priced("What was accepted of it.", "accepted_cents")
    due_on: date | None = column("The day by which it is done.")
    state: MilestoneState = column("How far it is.")
    started_at: datetime | None = column("When work on it began.")
    submitted_at: datetime | None = column("When it was last handed in.")
    review_ends_at: datetime | None = column("When it is accepted by itself, unless the client says something before.")
    accepted_at: datetime | None = column("When it was accepted.")
    paid_at: datetime | None = column("When it was paid.")
    waived_at: datetime | None = column("When the freelancer did without payment.")
    version: int = column("Counts the changes; send it with an edit, so as not to overwrite another.")
    contract: Annotated["Contract", strawberry.lazy("schema.contracts")] = one(
        "The contract it is part of.", loaders.contracts.by_id, "contract_id"
    )
    payment_request: PaymentRequest | None = one(
        "What is, or was, owed for it.", loaders.payments.request_of_milestone, "id"
    )
    payments: Connection[Payment] = page("What was paid for it, the latest first.", loaders.payments.of_milestone)
    history: Connection[Change] = page("What happened to it, the latest first.", loaders.contracts.of_milestone)

    @actions("What you may do with it now.", loaders.contracts.milestone_actions)
    async def available_actions(root: Any, info: Info) -> list[MilestoneAction]:
        contract = await info.context.loaders.one(loaders.contracts.by_id, root.contract_id)
        return root.actions_for(info.context.viewer, contract) if contract else []


@strawberry.type(description="What a client and a freelancer agreed upon; seen by the two of them.")
class Contract(Node):
    is_type_of = shows(models.contracts.Contract, loaders.contracts.by_id)

    title: str = column("The title of the job when the contract began.")
    description: str = column("The description of the job when the contract began.")
    state: ContractState = column("Where it is in its life.")
    budget_kind: BudgetKind = column("Whether the whole work has a price, or each hour.")
    bid: Money = priced("What was agreed: for the whole work, or for an hour.", "bid_cents")
    freelancer_fee_bps: int = column("What the freelancer pays of what she earns, in hundredths of a percent.")
    client_fee_bps: int = column("What the client pays on top, in hundredths of a percent.")
    started_at: datetime = column("When it began.")
    client_done_at: datetime | None = column("When the client said that it is done; work that goes on takes it back.")
    freelancer_done_at: datetime | None = column("When the freelancer said so.")
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
        "The parts of the work, in order.", loaders.contracts.milestones, at_most=models.contracts.MILESTONES_MAX
    )
    totals: ContractTotals | None = figures("What its milestones come to.", loaders.contracts.totals)
    payments: Connection[Payment] = page(
        "What was paid under it, bonuses too, the latest first.", loaders.payments.of_contract
    )
    payment_requests: Connection[PaymentRequest] = page(
        "What is, or was, owed under it, the latest first.", loaders.payments.requests_of_contract
    )
    terminations: Connection[Termination] = page(
        "The requests to end it before its time, the latest first.", loaders.contracts.terminations
    )
    history: Connection[Change] = page("What happened to it, the latest first.", loaders.contracts.history)

    @made(
        "Where to read the contract as a PDF for some minutes, relative to this server. Whoever has the address may: "
        "keep it to yourself.",
        models.contracts.Contract,
        "id",
    )
    def document_url(root: Any, info: Info) -> str:
        return resolvers.contracts.address(info.context, root.id)

    @strawberry.field(
        description="The SHA-256 of what was agreed, in hexadecimal: whoever reads the same one reads the same terms."
    )
    async def terms_hash(root: Any, info: Info) -> str:
        milestones = await info.context.loaders.many(loaders.contracts.milestones, root.id)
        return models.contracts.terms_hash(root, milestones)

    @actions("What you may do with it now.", loaders.contracts.actions)
    async def available_actions(root: Any, info: Info) -> list[ContractAction]:
        read, viewer = info.context.loaders, info.context.viewer
        milestones = await read.many(loaders.contracts.milestones, root.id)
        waiting = await read.many(loaders.contracts.open_terminations, root.id)
        return root.actions_for(
            viewer,
            undecided=any(milestone.is_undecided for milestone in milestones),
            has_requested=any(viewer is not None and one.requester_id == viewer.id for one in waiting),
        )


AddMilestoneResult = Annotated[
    Milestone | Refused, strawberry.union("AddMilestoneResult", description="The new milestone, or why there is none.")
]
EditMilestoneResult = Annotated[
    Milestone | Refused, strawberry.union("EditMilestoneResult", description="The milestone as it is now, or why not.")
]
FundMilestoneResult = Annotated[
    Milestone | Refused, strawberry.union("FundMilestoneResult", description="The milestone as it is now, or why not.")
]
StartMilestoneResult = Annotated[
    Milestone | Refused, strawberry.union("StartMilestoneResult", description="The milestone as it is now, or why not.")
]
SubmitMilestoneResult = Annotated[
    Milestone | Refused,
    strawberry.union("SubmitMilestoneResult", description="The milestone as it is now, or why not."),
]
RequestChangesResult = Annotated[
    Milestone | Refused, strawberry.union("RequestChangesResult", description="The milestone as it is now, or why not.")
]
AcceptMilestoneResult = Annotated[
    Milestone | Refused,
    strawberry.union("AcceptMilestoneResult", description="The milestone as it is now, or why not."),
]
PayPaymentRequestResult = Annotated[
    PaymentRequest | Refused,
    strawberry.union("PayPaymentRequestResult", description="The payment request as it is now, or why not."),
]
CancelPaymentRequestResult = Annotated[
    PaymentRequest | Refused,
    strawberry.union("CancelPaymentRequestResult", description="The payment request as it is now, or why not."),
]
PayBonusResult = Annotated[
    Payment | Refused, strawberry.union("PayBonusResult", description="The payment, or why there is none.")
]
CompleteContractResult = Annotated[
    Contract | Refused, strawberry.union("CompleteContractResult", description="The contract as it is now, or why not.")
]
RequestTerminationResult = Annotated[
    Termination | Refused,
    strawberry.union("RequestTerminationResult", description="The request, or why there is none."),
]
WithdrawTerminationResult = Annotated[
    Termination | Refused,
    strawberry.union("WithdrawTerminationResult", description="The request as it is now, or why not."),
]
DecideTerminationResult = Annotated[
    Termination | Refused,
    strawberry.union("DecideTerminationResult", description="The request as it is now, or why not."),
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


KEY = "Your own name for this request, 1 to 255 characters: sent again, it is done once."


@strawberry.input(description="A part of the work, as the client words it.")
class MilestoneWordsInput:
    description: str = strawberry.field(description="1 to 1000 characters.")
    amount: MoneyInput = strawberry.field(description="What it costs, in the currency of the contract.")
    due_on: date | None = strawberry.field(default=None, description="The day by which it is done; not in the past.")

    def words(self) -> MilestoneWords:
        """Read the input as the house speaks; what cannot be read is said with whatever else is wrong."""
        check = Checks()
        cents = self.amount.cents(check, "amount", "amount")
        return MilestoneWords(self.description, cents, self.due_on, self.amount.currency, check.problems)


@strawberry.input(description="Another part of the work.")
class AddMilestoneInput(MilestoneWordsInput):
    contract_id: strawberry.ID = strawberry.field(description="The contract.")


@strawberry.input(description="A part of the work, said anew.")
class EditMilestoneInput(MilestoneWordsInput):
    milestone_id: strawberry.ID = strawberry.field(description="The milestone.")
    version: int | None = strawberry.field(default=None, description="The version you read; a later one is `STALE`.")


@strawberry.input(description="A milestone to put money aside for.")
class FundMilestoneInput:
    milestone_id: strawberry.ID = strawberry.field(description="The milestone.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A milestone to begin to work on.")
class StartMilestoneInput:
    milestone_id: strawberry.ID = strawberry.field(description="The milestone.")


@strawberry.input(description="Work that is done.")
class SubmitMilestoneInput:
    milestone_id: strawberry.ID = strawberry.field(description="The milestone.")
    message: str = strawberry.field(description="What the client is to know; 1 to 5000 characters.")
    upload_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="Up to 10 attachments of yours that have arrived."
    )

    def words(self) -> Submission:
        """Read the input as the house speaks."""
        check = Checks()
        ids = [key_in(check, "upload", text, ("upload_ids", str(at))) for at, text in enumerate(self.upload_ids)]
        return Submission(self.message, ids, check.problems)


@strawberry.input(description="Work that is not as it should be.")
class RequestChangesInput:
    milestone_id: strawberry.ID = strawberry.field(description="The milestone.")
    message: str = strawberry.field(description="What is to be changed; 1 to 5000 characters.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="Work that is as it should be, or a part of it is.")
class AcceptMilestoneInput:
    milestone_id: strawberry.ID = strawberry.field(description="The milestone.")
    amount: MoneyInput | None = strawberry.field(
        default=None, description="How much of it is accepted, without fees; all of it if not said."
    )
    rest: Rest | None = strawberry.field(
        default=None, description="What becomes of the rest; to be said when only a part is accepted."
    )
    idempotency_key: str = strawberry.field(description=KEY)

    def words(self) -> Acceptance:
        """Read the input as the house speaks."""
        if self.amount is None:
            return Acceptance(rest=self.rest)
        check = Checks()
        cents = self.amount.cents(check, "amount", "amount")
        return Acceptance(cents, self.rest, self.amount.currency, check.problems)


@strawberry.input(description="Something owed, to be paid.")
class PayPaymentRequestInput:
    payment_request_id: strawberry.ID = strawberry.field(description="The payment request.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="Something owed, to be done without.")
class CancelPaymentRequestInput:
    payment_request_id: strawberry.ID = strawberry.field(description="The payment request.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="Thanks, with money.")
class PayBonusInput:
    contract_id: strawberry.ID = strawberry.field(description="The contract.")
    amount: MoneyInput = strawberry.field(description="How much, without your fee, in the currency of the contract.")
    note: str | None = strawberry.field(default=None, description="What for; up to 5000 characters.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A contract that is done.")
class CompleteContractInput:
    contract_id: strawberry.ID = strawberry.field(description="The contract.")
    idempotency_key: str = strawberry.field(description=KEY)


@strawberry.input(description="A wish to end a contract before its time.")
class RequestTerminationInput:
    contract_id: strawberry.ID = strawberry.field(description="The contract.")
    reason: str = strawberry.field(description="Why; 1 to 5000 characters.")


@strawberry.input(description="A wish to take back.")
class WithdrawTerminationInput:
    termination_id: strawberry.ID = strawberry.field(description="Your request to end a contract.")


@strawberry.input(description="A wish to decide upon.")
class DecideTerminationInput:
    termination_id: strawberry.ID = strawberry.field(description="The request to end a contract.")
    decision: TerminationDecision = strawberry.field(description="Whether the contract is ended.")
    answer: str | None = strawberry.field(default=None, description="What you say to it; up to 5000 characters.")
    idempotency_key: str = strawberry.field(description=KEY)


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

    @strawberry.mutation(description="Put another milestone behind the others of an active contract, as its client.")
    async def add_milestone(self, info: Info, input: AddMilestoneInput) -> AddMilestoneResult:
        contract_id = key_of("contract", input.contract_id, "contract_id")
        return shown(await resolvers.contracts.add(info.context, contract_id=contract_id, words=input.words()))

    @strawberry.mutation(description="Word a milestone anew that nobody works on yet, as the client.")
    async def edit_milestone(self, info: Info, input: EditMilestoneInput) -> EditMilestoneResult:
        milestone_id = key_of("milestone", input.milestone_id, "milestone_id")
        words, version = input.words(), input.version
        return shown(
            await resolvers.contracts.edit(info.context, milestone_id=milestone_id, words=words, version=version)
        )

    @strawberry.mutation(
        description="Put aside what a milestone costs, your fee included, until it is accepted: as much as is missing."
    )
    async def fund_milestone(self, info: Info, input: FundMilestoneInput) -> FundMilestoneResult:
        milestone_id = key_of("milestone", input.milestone_id, "milestone_id")
        return shown(await resolvers.contracts.fund(info.context, milestone_id=milestone_id, key=input.idempotency_key))

    @strawberry.mutation(description="Begin to work on a milestone of your contract.")
    async def start_milestone(self, info: Info, input: StartMilestoneInput) -> StartMilestoneResult:
        milestone_id = key_of("milestone", input.milestone_id, "milestone_id")
        return shown(await resolvers.contracts.start(info.context, milestone_id=milestone_id))

    @strawberry.mutation(
        description="Hand in the work of a milestone. Silence for some days accepts it: see `reviewEndsAt`."
    )
    async def submit_milestone(self, info: Info, input: SubmitMilestoneInput) -> SubmitMilestoneResult:
        milestone_id = key_of("milestone", input.milestone_id, "milestone_id")
        return shown(await resolvers.contracts.submit(info.context, milestone_id=milestone_id, words=input.words()))

    @strawberry.mutation(
        description="Have a milestone in review worked on again, which stops its clock. On a terminated contract this "
        "declines it: what lies in escrow for it comes back to you."
    )
    async def request_changes(self, info: Info, input: RequestChangesInput) -> RequestChangesResult:
        milestone_id = key_of("milestone", input.milestone_id, "milestone_id")
        message, key = input.message, input.idempotency_key
        return shown(
            await resolvers.contracts.request_changes(info.context, milestone_id=milestone_id, message=message, key=key)
        )

    @strawberry.mutation(
        description="Accept a milestone in review, or a part of it. If enough lies in escrow it is paid at once, else "
        "you are asked to pay."
    )
    async def accept_milestone(self, info: Info, input: AcceptMilestoneInput) -> AcceptMilestoneResult:
        milestone_id = key_of("milestone", input.milestone_id, "milestone_id")
        words, key = input.words(), input.idempotency_key
        return shown(await resolvers.contracts.accept(info.context, milestone_id=milestone_id, words=words, key=key))

    @strawberry.mutation(description="Pay for accepted work: out of its escrow, and the rest out of your funds.")
    async def pay_payment_request(self, info: Info, input: PayPaymentRequestInput) -> PayPaymentRequestResult:
        request_id = key_of("paymentrequest", input.payment_request_id, "payment_request_id")
        return shown(
            await resolvers.contracts.pay_request(info.context, request_id=request_id, key=input.idempotency_key)
        )

    @strawberry.mutation(description="Do without the payment for work of yours that was accepted.")
    async def cancel_payment_request(self, info: Info, input: CancelPaymentRequestInput) -> CancelPaymentRequestResult:
        request_id = key_of("paymentrequest", input.payment_request_id, "payment_request_id")
        return shown(
            await resolvers.contracts.cancel_request(info.context, request_id=request_id, key=input.idempotency_key)
        )

    @strawberry.mutation(description="Thank your freelancer with money; fees are as for work.")
    async def pay_bonus(self, info: Info, input: PayBonusInput) -> PayBonusResult:
        contract_id = key_of("contract", input.contract_id, "contract_id")
        with Checks() as check:
            cents = input.amount.cents(check, "amount", "amount")
        return shown(
            await resolvers.contracts.bonus(
                info.context,
                contract_id=contract_id,
                cents=cents,
                currency=input.amount.currency,
                note=input.note,
                key=input.idempotency_key,
            )
        )

    @strawberry.mutation(
        description="Say that a contract is done. When both parties have said so it is over, and what lies in escrow "
        "goes back to the client; not while anything is in review or to be paid."
    )
    async def complete_contract(self, info: Info, input: CompleteContractInput) -> CompleteContractResult:
        contract_id = key_of("contract", input.contract_id, "contract_id")
        return shown(
            await resolvers.contracts.complete(info.context, contract_id=contract_id, key=input.idempotency_key)
        )

    @strawberry.mutation(description="Ask for a contract to be ended before its time; once, until it is decided.")
    async def request_termination(self, info: Info, input: RequestTerminationInput) -> RequestTerminationResult:
        contract_id = key_of("contract", input.contract_id, "contract_id")
        return shown(
            await resolvers.contracts.request_termination(info.context, contract_id=contract_id, reason=input.reason)
        )

    @strawberry.mutation(description="Take back your wish to end a contract.")
    async def withdraw_termination(self, info: Info, input: WithdrawTerminationInput) -> WithdrawTerminationResult:
        termination_id = key_of("termination", input.termination_id, "termination_id")
        return shown(await resolvers.contracts.withdraw_termination(info.context, termination_id=termination_id))

    @strawberry.mutation(
        description="Agree to end a contract, or not, as the other party or an administrator. What lies in escrow for "
        "work that was not handed in goes back to the client; what is in review is still decided, and what is owed is "
        "still paid."
    )
    async def decide_termination(self, info: Info, input: DecideTerminationInput) -> DecideTerminationResult:
        termination_id = key_of("termination", input.termination_id, "termination_id")
        return shown(
            await resolvers.contracts.decide(
                info.context,
                termination_id=termination_id,
                decision=input.decision,
                answer=input.answer,
                key=input.idempotency_key,
            )
        )


@strawberry.type
class ContractSubscriptions:
    @strawberry.subscription(description="What happens to a contract and its milestones, for its two parties.")
    async def contract_changed(self, info: Info, id: ContractIdArgument) -> AsyncGenerator[ContractChanged, None]:
        key = key_of("contract", id)
        async for event, contract in resolvers.contracts.changes(info.context, contract_id=key):
            yield ContractChanged(cursor=cursor_of(event, info), at=event.at, kind=event.kind, contract=shown(contract))
