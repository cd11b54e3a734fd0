"""What people in the demo say: jobs and offers put together from parts."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from models.jobs import Budget, BudgetKind, Duration, Experience, Job, JobWords
from models.proposals import AttachmentWords, MilestoneWords, ProposalWords
from ops.demo import letters
from ops.demo.cast import Client, Worker
from ops.demo.office import OFFICE
from ops.demo.software import SOFTWARE, Field, Project
from ops.demo.world import World

FIELDS: dict[str, Field] = {**SOFTWARE, **OFFICE}
DOLLAR = 100
DURATIONS = tuple(Duration)
DURATION_DAYS = {
    Duration.LESS_THAN_A_MONTH: 24,
    Duration.ONE_TO_THREE_MONTHS: 60,
    Duration.THREE_TO_SIX_MONTHS: 130,
    Duration.MORE_THAN_SIX_MONTHS: 220,
}
"""How long the work takes that is said to take so long."""


@dataclass(frozen=True)
class Brief:
    """A project as one client wants it."""

    category: str
    field: Field
    project: Project
    client: Client

    @property
    def values(self) -> dict[str, str]:
        """The client's own words for the slots in a text."""
        company = self.client.company
        return {
            "business": company.business,
            "product": company.product,
            "audience": company.audience,
            "company": company.name,
            "city": company.city.partition(",")[0],
            "people": str(company.people),
            "subject": self.project.subject,
        }


def capital(text: str) -> str:
    """Begin with a capital letter."""
    return text[:1].upper() + text[1:]


def job(world: World, brief: Brief, wanted: int) -> JobWords:
    """Describe the work."""
    project, values = brief.project, brief.values
    wishes = "\n".join(f"- {need}" for need in project.needs)
    parts = (
        capital(world.one(letters.OPENINGS).format(**values)),
        capital(project.brief.format(**values)),
        f"What matters most to us:\n{wishes}".format(**values),
        f"{world.one(letters.PRACTICAL)} {world.one(letters.CLOSINGS)}",
    )
    size = world.chance.random()
    return JobWords(
        title=capital(project.title.format(**values)),
        description="\n\n".join(parts),
        category_id=world.categories[brief.category],
        skill_ids=[world.skills[skill] for skill in project.skills],
        experience=tuple(Experience)[min(int(size * 2 + world.chance.random() * 1.2), 2)],
        duration=DURATIONS[min(int(size * 2.2 + world.chance.random()), 3)],
        budget=_budget(world, brief, size),
        location=brief.client.company.city if world.happens(0.15) else None,
        freelancers_wanted=wanted,
    )


def _budget(world: World, brief: Brief, size: float) -> Budget:
    """A price for the whole or a range for the hour, more for larger work."""
    if world.happens(0.62):
        low, high = brief.project.dollars
        return Budget(BudgetKind.FIXED, amount_cents=int(low + (high - low) * size) // 100 * 100 * DOLLAR)
    low, high = brief.field.rates
    middle = low + (high - low) * size
    return Budget(
        BudgetKind.HOURLY, minimum_cents=int(middle * 0.8) * DOLLAR, maximum_cents=int(middle * 1.25) * DOLLAR
    )


def update(world: World, words: JobWords) -> str:
    """Say something that those who propose did not know yet."""
    return f"{words.description}\n\n{world.one(letters.UPDATES)}"


def offer(world: World, brief: Brief, about: Job, worker: Worker, at: datetime) -> ProposalWords:
    """Offer to do the work, for a price within reach of the budget."""
    bid, whole = _prices(world, about, worker)
    duration = about.duration if world.happens(0.75) else world.one(DURATIONS[:3])
    steps = _steps(world, brief)
    return ProposalWords(
        cover_letter=_letter(world, brief, worker, steps, bid, hourly=about.budget_kind is BudgetKind.HOURLY),
        duration=duration,
        bid_cents=bid,
        milestones=_milestones(world, steps, whole, duration, at),
        attachments=_attachments(world, worker),
    )


def _steps(world: World, brief: Brief) -> list[str]:
    """One step for all of it, or the first of those usual in the field and some of the others, up to five."""
    first, *others = brief.field.steps
    count = world.chance.randint(0, len(others))
    return [first, *world.some(others, count)] if count else [capital(f"{brief.project.subject}, complete")]


def _prices(world: World, about: Job, worker: Worker) -> tuple[int, int]:
    """The bid, and what the milestones sum to: the bid on fixed jobs, the hours expected on hourly ones."""
    if about.budget_amount_cents is not None:
        share = world.chance.choice((80, 85, 90, 95, 100, 100, 105, 110))
        bid = about.budget_amount_cents * share // 100 // (10 * DOLLAR) * 10 * DOLLAR
        return bid, bid
    assert about.budget_minimum_cents is not None
    assert about.budget_maximum_cents is not None
    # Nobody asks far from what is offered, whatever the usual rate.
    rate = min(max(worker.rate_dollars * DOLLAR, about.budget_minimum_cents), about.budget_maximum_cents + 5 * DOLLAR)
    return rate, rate * world.chance.randint(4, 30) * 5


def _milestones(
    world: World, steps: list[str], whole: int, duration: Duration, at: datetime
) -> tuple[MilestoneWords, ...]:
    """The steps with their prices, in whole dollars, the last one taking what is left, and due one after another."""
    weights = [world.chance.randint(2, 5) for _ in steps]
    amounts = [whole * weight // sum(weights) // DOLLAR * DOLLAR for weight in weights]
    amounts[-1] += whole - sum(amounts)
    days = DURATION_DAYS[duration]
    return tuple(
        MilestoneWords(step, amount, (at + timedelta(days=days * (index + 1) // len(steps))).date())
        for index, (step, amount) in enumerate(zip(steps, amounts, strict=True))
    )


def _attachments(world: World, worker: Worker) -> tuple[AttachmentWords, ...]:
    if not world.happens(0.3):
        return ()
    home = worker.account.email.partition("@")[0].replace(".", "-")
    chosen = world.some(letters.ATTACHMENTS, world.chance.randint(1, 3))
    return tuple(AttachmentWords(name, f"https://{home}.example/{file}") for name, file in chosen)


def _letter(world: World, brief: Brief, worker: Worker, steps: list[str], bid: int, *, hourly: bool) -> str:
    """A letter that is about this job, and only this one."""
    need, other = world.chance.sample(brief.project.needs, 2)
    known = [skill for skill in brief.project.skills if skill in worker.trade.skills]
    values = {
        **brief.values,
        "client": brief.client.account.full_name.partition(" ")[0],
        "need": need.format(**brief.values),
        "Need": capital(need.format(**brief.values)),
        "other": other.format(**brief.values),
        "craft": worker.trade.craft,
        "skill": world.one(known or worker.trade.skills),
        "years": str(worker.years),
        "count": {2: "two steps", 3: "three steps", 4: "four steps", 5: "five steps"}.get(len(steps), "one step"),
        "first": steps[0][:1].lower() + steps[0][1:],
        "price": f"${bid // DOLLAR:,}",
        "name": worker.words.name,
        "city": worker.words.city,
    }
    prices = letters.PRICES_HOURLY if hourly else letters.PRICES_FIXED
    body = (
        (letters.HOOKS, letters.PROOFS),
        (letters.PLANS if len(steps) > 1 else letters.PLANS_WHOLE, letters.DOUBTS),
        (prices,),
        (letters.ENDINGS,),
    )
    paragraphs = [world.one(letters.GREETINGS).format(**values)]
    for choices in body:
        said = [capital(world.one(choice).format(**values)) for choice in choices]
        paragraphs.append(" ".join(filter(None, said)))
    return "\n\n".join(paragraphs)
