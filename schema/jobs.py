"""What is said of work on offer."""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

import loaders.accounts
import loaders.jobs
import loaders.proposals
import models.jobs
import resolvers.jobs
from loaders.batch import Filters
from models.accounts import Role
from models.errors import Checks
from models.jobs import BudgetKind, Duration, Experience, JobAction, JobState, JobWords
from schema.accounts import Client, Freelancer
from schema.edges import (
    Connection,
    Info,
    Node,
    actions,
    column,
    count,
    figures,
    found,
    group,
    many,
    one,
    page,
    part,
    priced,
    shown,
    shows,
)
from schema.errors import Refused
from schema.media import Upload
from schema.scalars import Money, MoneyInput, described, key_in, key_of

if TYPE_CHECKING:
    from schema.proposals import Proposal

described(
    JobState,
    "Where a job is in its life.",
    DRAFT="Only its client sees it.",
    OPEN="Everybody sees it, and freelancers may propose.",
    FILLED="Everybody who was wanted is hired.",
    CLOSED="Its client takes no more proposals.",
    EXPIRED="Its time is over; it can be renewed.",
    REMOVED="An administrator took it away.",
)
described(
    JobAction,
    "What may be done with a job.",
    EDIT="`editJob`.",
    PUBLISH="`publishJob`.",
    RENEW="`renewJob`.",
    CLOSE="`closeJob`.",
    REMOVE="`removeJob`.",
    PROPOSE="`submitProposal`.",
    INVITE="`inviteFreelancer`.",
)
described(
    Experience,
    "How much experience a job asks for.",
    ENTRY_LEVEL="A beginner can do it.",
    INTERMEDIATE="It takes some experience.",
    EXPERT="It takes much experience.",
)
described(
    Duration,
    "How long the work will take.",
    LESS_THAN_A_MONTH="Up to a month.",
    ONE_TO_THREE_MONTHS="One to three months.",
    THREE_TO_SIX_MONTHS="Three to six months.",
    MORE_THAN_SIX_MONTHS="More than six months.",
)
described(
    BudgetKind,
    "Whether the whole work has a price, or each hour.",
    FIXED="One amount for the whole work.",
    HOURLY="An amount for each hour.",
)


@strawberry.type(description="A field of work in the catalogue.")
class Category(Node):
    is_type_of = shows(models.jobs.Category, loaders.jobs.category)

    name: str = column("Its name.")


@strawberry.type(description="Something a job can ask for, from the catalogue.")
class Skill(Node):
    is_type_of = shows(models.jobs.Skill, loaders.jobs.skill)

    name: str = column("Its name.")


@strawberry.type(description="What a job pays.")
class Budget:
    kind: BudgetKind = column("Whether the whole work has a price, or each hour.", "budget_kind")
    amount: Money | None = priced(
        "For a FIXED budget: what the whole work pays.", "budget_amount_cents", "budget_currency"
    )
    minimum: Money | None = priced(
        "For an HOURLY budget: what an hour pays at least.", "budget_minimum_cents", "budget_currency"
    )
    maximum: Money | None = priced(
        "For an HOURLY budget: what an hour pays at most.", "budget_maximum_cents", "budget_currency"
    )


@strawberry.type(description="The lowest and the highest bid of a job's proposals.")
class BidRange:
    low: Money = priced("The lowest bid.", "low_cents")
    high: Money = priced("The highest bid.", "high_cents")


@strawberry.type(description="Work that a client offers.")
class Job(Node):
    is_type_of = shows(models.jobs.Job, loaders.jobs.by_id)

    title: str = column("What it is, in a line.")
    description: str = column("What there is to do.")
    location: str | None = column("Where it is to be done, if that matters.")
    state: JobState = column("Where it is in its life.")
    experience: Experience = column("How much experience it asks for.")
    duration: Duration = column("How long it will take.")
    freelancers_wanted: int = column("How many are to be hired.")
    hired_count: int = column("How many are hired.")
    created_at: datetime = column("When it was written down.")
    published_at: datetime | None = column("When it was published.")
    expires_at: datetime | None = column("When it expires, unless it is renewed.")
    version: int = column("Counts the changes; send it with an edit, so as not to overwrite somebody else's.")
    budget: Budget = part("What it pays.")
    client: Client = one("Who offers it.", loaders.accounts.client, "client_id")
    category: Category = one("The field of work.", loaders.jobs.category, "category_id")
    skills: list[Skill] = many("What it asks for.", loaders.jobs.skills, at_most=models.jobs.SKILLS_MAX)
    attachments: list[Upload] = many(
        "The files that belong to it, for whoever is signed in and sees it.",
        loaders.jobs.attachments,
        at_most=models.jobs.ATTACHMENTS_MAX,
    )
    connects_cost: int = column("What a proposal on it costs in Connects; nothing if you are invited.")
    proposal_count: int = count(
        "How many proposals there are, but for withdrawn ones; everybody may know.", loaders.proposals.standing
    )
    bid_range: BidRange | None = figures(
        "The range of the bids; everybody may know it once three freelancers have proposed.", loaders.proposals.bids
    )
    proposals: Connection[Annotated["Proposal", strawberry.lazy("schema.proposals")]] = page(
        "The proposals you may see: all of them on your own job, only yours on another's.", loaders.proposals.of_job
    )

    invitations: Connection[Annotated["Invitation", strawberry.lazy("schema.jobs")]] = page(
        "Whom its client has invited: everybody on your own job, only yourself on another's.", loaders.jobs.invitations
    )

    @actions("What you may do with it now.", loaders.jobs.actions)
    async def available_actions(root: Any, info: Info) -> list[JobAction]:
        ctx = info.context
        is_freelancer = ctx.viewer is not None and ctx.viewer.has(Role.FREELANCER)
        live = await ctx.loaders.count(loaders.proposals.live_of_viewer, root.id) if is_freelancer else 0
        return root.actions_for(ctx.viewer, has_proposed=live > 0, at=ctx.now())


@strawberry.type(description="A client asks a freelancer for a proposal, which costs her nothing; the two see it.")
class Invitation(Node):
    is_type_of = shows(models.jobs.Invitation, loaders.jobs.invitation)

    invited_at: datetime = column("When it was sent.")
    job: Job | None = one("The job; nothing once it was removed.", loaders.jobs.by_id, "job_id")
    freelancer: Freelancer = one("Who is invited.", loaders.accounts.freelancer, "freelancer_id")


CreateJobResult = Annotated[
    Job | Refused, strawberry.union("CreateJobResult", description="The draft, or why there is none.")
]
EditJobResult = Annotated[
    Job | Refused, strawberry.union("EditJobResult", description="The job as it is now, or why not.")
]
PublishJobResult = Annotated[
    Job | Refused, strawberry.union("PublishJobResult", description="The job as it is now, or why not.")
]
RenewJobResult = Annotated[
    Job | Refused, strawberry.union("RenewJobResult", description="The job as it is now, or why not.")
]
CloseJobResult = Annotated[
    Job | Refused, strawberry.union("CloseJobResult", description="The job as it is now, or why not.")
]
RemoveJobResult = Annotated[
    Job | Refused, strawberry.union("RemoveJobResult", description="The job as it is now, or why not.")
]
InviteFreelancerResult = Annotated[
    Invitation | Refused,
    strawberry.union("InviteFreelancerResult", description="The invitation, or why there is none."),
]


@strawberry.input(description="What an hour pays.")
class HourlyBudgetInput:
    minimum: MoneyInput = strawberry.field(description="At least.")
    maximum: MoneyInput = strawberry.field(description="At most, in the same currency.")


@strawberry.input(one_of=True, description="What a job pays: one of the two.")
class BudgetInput:
    fixed: MoneyInput | None = strawberry.field(default=strawberry.UNSET, description="For the whole work.")
    hourly: HourlyBudgetInput | None = strawberry.field(default=strawberry.UNSET, description="For each hour.")

    def read(self, check: Checks) -> models.jobs.Budget:
        """Read the input as the house speaks."""
        if self.fixed:
            cents = self.fixed.cents(check, "budget", "fixed", "amount")
            return models.jobs.Budget(BudgetKind.FIXED, self.fixed.currency, amount_cents=cents)
        assert self.hourly, "one of the two is there, as the schema promises"
        low, high = self.hourly.minimum, self.hourly.maximum
        check.require(
            low.currency is high.currency, ("budget", "hourly", "maximum", "currency"), "The currencies differ."
        )
        return models.jobs.Budget(
            BudgetKind.HOURLY,
            low.currency,
            minimum_cents=low.cents(check, "budget", "hourly", "minimum", "amount"),
            maximum_cents=high.cents(check, "budget", "hourly", "maximum", "amount"),
        )


@strawberry.input(description="What a client says of a job.")
class CreateJobInput:
    title: str = strawberry.field(description="3 to 120 characters.")
    description: str = strawberry.field(description="1 to 20 000 characters.")
    category_id: strawberry.ID = strawberry.field(description="A category of the catalogue.")
    skill_ids: list[strawberry.ID] = strawberry.field(description="1 to 15 skills of the catalogue.")
    experience: Experience = strawberry.field(description="How much experience it asks for.")
    duration: Duration = strawberry.field(description="How long it will take.")
    budget: BudgetInput = strawberry.field(description="What it pays.")
    location: str | None = strawberry.field(default=None, description="Where it is to be done, if that matters.")
    freelancers_wanted: int = strawberry.field(default=1, description="1 to 100.")
    attachment_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="Up to 10 attachments of yours that have arrived."
    )

    def words(self) -> JobWords:
        """Read the input as the house speaks; what cannot be read is noted, to be said with the rest."""
        check = Checks()
        words = JobWords(
            title=self.title,
            description=self.description,
            category_id=key_in(check, "category", self.category_id, "category_id"),
            skill_ids=[key_in(check, "skill", skill_id, "skill_ids") for skill_id in self.skill_ids],
            experience=self.experience,
            duration=self.duration,
            budget=self.budget.read(check),
            location=self.location,
            freelancers_wanted=self.freelancers_wanted,
            attachment_ids=[key_in(check, "upload", one, "attachment_ids") for one in self.attachment_ids],
        )
        return replace(words, misread=check.problems)


@strawberry.input(description="Everything a client says of a job; what is left out is emptied.")
class EditJobInput(CreateJobInput):
    job_id: strawberry.ID = strawberry.field(description="The job.")
    version: int | None = strawberry.field(
        default=None, description="The version you read; the edit is refused as STALE if there is a newer one."
    )


@strawberry.input(description="A draft to publish.")
class PublishJobInput:
    job_id: strawberry.ID = strawberry.field(description="The job.")


@strawberry.input(description="A job to keep open, or to open again.")
class RenewJobInput:
    job_id: strawberry.ID = strawberry.field(description="The job.")


@strawberry.input(description="A job to close.")
class CloseJobInput:
    job_id: strawberry.ID = strawberry.field(description="The job.")


@strawberry.input(description="A job to take away.")
class RemoveJobInput:
    job_id: strawberry.ID = strawberry.field(description="The job.")


@strawberry.input(description="A freelancer to invite to a job.")
class InviteFreelancerInput:
    job_id: strawberry.ID = strawberry.field(description="The job, which is yours and open.")
    freelancer_id: strawberry.ID = strawberry.field(description="The freelancer.")


@strawberry.input(description="Which jobs; what is left out does not matter, what is there has to hold.")
class JobFilter:
    category_id: strawberry.ID | None = strawberry.field(default=None, description="In this category.")
    skill_ids: list[strawberry.ID] | None = strawberry.field(default=None, description="Asking for any of these.")
    experience: list[Experience] | None = strawberry.field(default=None, description="For any of these.")
    duration: list[Duration] | None = strawberry.field(default=None, description="Of any of these.")
    budget_kind: BudgetKind | None = strawberry.field(default=None, description="Paid in this way.")

    def read(self) -> Filters:
        """Read the filter as the relation of open jobs knows it."""
        found: dict[str, Any] = {}
        if self.category_id is not None:
            found["category_id"] = key_of("category", self.category_id, "category_id")
        if self.skill_ids is not None:
            found["skill_ids"] = tuple(key_of("skill", skill_id, "skill_ids") for skill_id in self.skill_ids)
        for name in ("experience", "duration"):
            if (wanted := getattr(self, name)) is not None:
                found[name] = tuple(value.value for value in wanted)
        if self.budget_kind is not None:
            found["budget_kind"] = self.budget_kind.value
        return frozenset(found.items())


@strawberry.type(description="The words that jobs are described with.")
class Catalogue:
    categories: Connection[Category] = page("The fields of work, by name.", loaders.jobs.categories, None)
    skills: Connection[Skill] = page("What jobs can ask for, by name.", loaders.jobs.all_skills, None)


JobIdArgument = Annotated[strawberry.ID, strawberry.argument(description="The job.")]


@strawberry.type
class JobQueries:
    job: Job | None = found("A job; nothing if there is none that you may see.", loaders.jobs.by_id, "The job.")
    jobs: Connection[Job] = page("The open jobs, the newest first.", loaders.jobs.newest, None, only=JobFilter)
    catalogue: Catalogue = group("The words that jobs are described with.")


@strawberry.type
class JobMutations:
    @strawberry.mutation(description="Write a job down; nobody else sees it until it is published.")
    async def create_job(self, info: Info, input: CreateJobInput) -> CreateJobResult:
        return shown(await resolvers.jobs.draft(info.context, words=input.words()))

    @strawberry.mutation(description="Change a draft or an open job; those who proposed are told.")
    async def edit_job(self, info: Info, input: EditJobInput) -> EditJobResult:
        job_id = key_of("job", input.job_id, "job_id")
        words = input.words()
        return shown(await resolvers.jobs.edit(info.context, job_id=job_id, words=words, version=input.version))

    @strawberry.mutation(description="Show a draft to everybody, for 30 days.")
    async def publish_job(self, info: Info, input: PublishJobInput) -> PublishJobResult:
        return shown(await resolvers.jobs.publish(info.context, job_id=key_of("job", input.job_id, "job_id")))

    @strawberry.mutation(description="Keep a job open, or open an expired one again, for 30 days from now.")
    async def renew_job(self, info: Info, input: RenewJobInput) -> RenewJobResult:
        return shown(await resolvers.jobs.renew(info.context, job_id=key_of("job", input.job_id, "job_id")))

    @strawberry.mutation(
        description="Take no more proposals; pending ones are rejected. If nobody was hired, their Connects go back."
    )
    async def close_job(self, info: Info, input: CloseJobInput) -> CloseJobResult:
        return shown(await resolvers.jobs.close(info.context, job_id=key_of("job", input.job_id, "job_id")))

    @strawberry.mutation(description="Administrators: take a job away that breaks the rules of the place.")
    async def remove_job(self, info: Info, input: RemoveJobInput) -> RemoveJobResult:
        return shown(await resolvers.jobs.remove(info.context, job_id=key_of("job", input.job_id, "job_id")))

    @strawberry.mutation(description="Invite a freelancer to your open job: her proposal costs her nothing.")
    async def invite_freelancer(self, info: Info, input: InviteFreelancerInput) -> InviteFreelancerResult:
        job_id = key_of("job", input.job_id, "job_id")
        freelancer_id = key_of("freelancer", input.freelancer_id, "freelancer_id")
        return shown(await resolvers.jobs.invite(info.context, job_id=job_id, freelancer_id=freelancer_id))
