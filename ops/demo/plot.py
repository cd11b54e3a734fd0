"""What happens in the demo: which jobs there are, what becomes of each, and when."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from models.contracts import ContractState, Milestone, MilestoneState
from models.jobs import OPEN_DAYS, WARNING_DAYS, JobState
from models.proposals import ProposalState
from ops.demo import letters, purses, wording
from ops.demo.cast import Cast, Client, Worker
from ops.demo.story import Agreement, Offer, Story
from ops.demo.wording import FIELDS, Brief
from ops.demo.world import World

OFFERS = 1_000
STATES = {
    JobState.OPEN: 132,
    JobState.FILLED: 36,
    JobState.CLOSED: 11,
    JobState.EXPIRED: 9,
    JobState.DRAFT: 7,
    JobState.REMOVED: 5,
}
"""How many jobs end up in each state."""

OFFERS_AROUND = {
    JobState.OPEN: (1, 8),
    JobState.FILLED: (3, 9),
    JobState.CLOSED: (1, 7),
    JobState.EXPIRED: (0, 4),
    JobState.DRAFT: (0, 0),
    JobState.REMOVED: (1, 5),
}
"""About how many offers a job gets."""

DAYS_AGO = {
    JobState.FILLED: (14, 170),
    JobState.CLOSED: (12, 120),
    JobState.EXPIRED: (32, 150),
    JobState.DRAFT: (0, 14),
    JobState.REMOVED: (6, 100),
}
"""When jobs that are not open any more, or not yet, were written."""

FRESH_DAYS, STALE_DAYS = 0.02, 28.9
"""How long ago open jobs were published, at least and at most."""

RENEWED_DAYS = (31, 48)
"""How long ago those were published that were renewed before their time was over."""

WAITED_DAYS = 10
"""How long ago work was handed in, at most, that waits for an answer."""

PENDING, ACCEPTED, REJECTED, WITHDRAWN = ProposalState
ACTIVE, COMPLETED, TERMINATED = ContractState
WEB, APPS, SMART = "Web Development", "Mobile Development", "AI & Machine Learning"
CLOUD, DESIGN = "DevOps & Cloud", "Design & Creative"
Deed = tuple[datetime, Callable[[datetime], None]]


@dataclass(frozen=True)
class Plan:
    """What is to become of a job. `star` is what becomes of the offer of freelancer@demo.workup, if there is one."""

    state: JobState
    category: str
    client: Client
    offers: int
    hires: int = 0
    wanted: int = 1
    star: ProposalState | None = None
    ending: ContractState = ACTIVE
    days_ago: float | None = None


def play(world: World, cast: Cast) -> None:
    """Let everything happen."""
    plans = _balanced(world, cast, [*_own_plans(cast), *_star_plans(world, cast)])
    director = Director(world, cast)
    for plan in plans:
        director.play(plan)
    purses.fill(world, [cast.star, *cast.workers])
    world.number_events()


def _own_plans(cast: Cast) -> Iterator[Plan]:
    """What client@demo.workup has going on."""
    plan = partial(Plan, client=cast.own)
    yield plan(JobState.OPEN, WEB, offers=14, days_ago=6.2, star=PENDING)
    yield plan(JobState.OPEN, APPS, offers=11, days_ago=9.4, star=PENDING)
    yield plan(JobState.OPEN, WEB, offers=13, days_ago=15.1, hires=1, wanted=2, star=ACCEPTED)
    yield plan(JobState.OPEN, WEB, offers=9, days_ago=2.3, star=REJECTED)
    yield plan(JobState.OPEN, SMART, offers=7, days_ago=19.8, star=WITHDRAWN)
    yield plan(JobState.OPEN, DESIGN, offers=5, days_ago=1.1)
    yield plan(JobState.OPEN, "Writing", offers=4, days_ago=24.5)
    yield plan(JobState.DRAFT, APPS, offers=0, days_ago=0.4)
    yield plan(JobState.DRAFT, "Sales & Marketing", offers=0, days_ago=3.6)
    yield plan(JobState.FILLED, WEB, offers=12, days_ago=48.0, hires=1, star=ACCEPTED)
    yield plan(JobState.FILLED, CLOUD, offers=6, days_ago=62.0, hires=1)
    yield plan(JobState.FILLED, APPS, offers=9, days_ago=140.0, hires=2, wanted=2, star=ACCEPTED, ending=COMPLETED)
    yield plan(JobState.FILLED, DESIGN, offers=5, days_ago=110.0, hires=1, ending=COMPLETED)
    yield plan(JobState.FILLED, "Translation", offers=3, days_ago=95.0, hires=1, ending=TERMINATED)
    yield plan(JobState.CLOSED, "Data & Analytics", offers=4, days_ago=55.0)
    yield plan(JobState.EXPIRED, "Customer Service", offers=2, days_ago=70.0)


def _star_plans(world: World, cast: Cast) -> Iterator[Plan]:
    """What freelancer@demo.workup has going on with others."""
    open_ones = (*[PENDING] * 6, REJECTED, WITHDRAWN, WITHDRAWN)
    for fate in open_ones:
        category = world.one((WEB, WEB, APPS, CLOUD, SMART))
        yield Plan(JobState.OPEN, category, world.one(cast.clients), world.chance.randint(4, 9), star=fate)
    for fate, ending in ((ACCEPTED, ACTIVE), (ACCEPTED, COMPLETED), (ACCEPTED, COMPLETED), (ACCEPTED, TERMINATED),
                         (REJECTED, ACTIVE), (REJECTED, COMPLETED), (REJECTED, ACTIVE)):  # fmt: skip
        client = world.one(cast.clients)
        yield Plan(JobState.FILLED, world.one((WEB, APPS)), client, 7, hires=1, star=fate, ending=ending)


def _balanced(world: World, cast: Cast, scripted: list[Plan]) -> list[Plan]:
    """Add what is missing to the promised numbers, and shuffle."""
    missing = [state for state, count in STATES.items() for _ in range(count)]
    for plan in scripted:
        missing.remove(plan.state)
    categories = [name for name, field in FIELDS.items() for _ in range(field.share * len(missing) // 100 + 1)]
    world.chance.shuffle(categories)
    plans = list(scripted)
    for state, category in zip(missing, categories, strict=False):
        plans.append(_any_plan(world, cast, state, category))
    world.chance.shuffle(plans)
    return _with_all_offers(world, cast, plans)


def _any_plan(world: World, cast: Cast, state: JobState, category: str) -> Plan:
    plan = Plan(state, category, world.one(cast.clients), world.chance.randint(*OFFERS_AROUND[state]))
    if state is JobState.FILLED:
        hires = world.chance.choice((1, 1, 1, 1, 1, 2, 3))
        ending = world.chance.choice((ACTIVE, ACTIVE, ACTIVE, COMPLETED, COMPLETED, COMPLETED, TERMINATED))
        return replace(plan, hires=hires, wanted=hires, ending=ending)
    if state is JobState.OPEN and world.happens(0.15):
        return replace(plan, wanted=world.chance.randint(2, 4), hires=world.chance.randint(0, 1))
    return plan


def _with_all_offers(world: World, cast: Cast, plans: list[Plan]) -> list[Plan]:
    """Give each job as many offers as there are people to make them, and open ones the rest up to the total."""
    room = [len(_able(cast, plan)) + (plan.star is not None) for plan in plans]
    wanted = [min(max(plan.offers, plan.hires + 1), most) for plan, most in zip(plans, room, strict=True)]
    wanted = [0 if plan.state is JobState.DRAFT else count for plan, count in zip(plans, wanted, strict=True)]
    takers = [index for index, plan in enumerate(plans) if plan.state in {JobState.OPEN, JobState.FILLED}]
    while (lacking := OFFERS - sum(wanted)) != 0:
        index = world.one(takers)
        step = 1 if lacking > 0 else -1
        if plans[index].hires + 1 < wanted[index] + step <= room[index]:
            wanted[index] += step
    return [replace(plan, offers=count) for plan, count in zip(plans, wanted, strict=True)]


def _able(cast: Cast, plan: Plan) -> list[Worker]:
    """Who may make an offer."""
    return [
        worker
        for worker in cast.workers
        if plan.category in worker.trade.fields and worker.account.id != plan.client.account.id
    ]


class Director:
    """Makes each job happen as it is planned."""

    def __init__(self, world: World, cast: Cast) -> None:
        self._world = world
        self._cast = cast
        self._told: set[tuple[str, str]] = set()
        self._active = 0

    def play(self, plan: Plan) -> None:
        """Let a job live, from its first line to whatever it is now."""
        Scene(self._world, self._cast, plan, self._brief(plan), self._count).play()

    def _count(self) -> int:
        """Count contracts that are being worked on, so that each stands somewhere else."""
        self._active += 1
        return self._active

    def _brief(self, plan: Plan) -> Brief:
        """A project that its client has not asked for before, as long as there are any."""
        field, company = FIELDS[plan.category], plan.client.company
        fresh = [project for project in field.projects if (project.title, company.name) not in self._told]
        project = self._world.one(fresh or field.projects)
        self._told.add((project.title, company.name))
        return Brief(plan.category, field, project, plan.client)


class Scene:
    """One job: plans when everything is to happen, and then does it in that order."""

    def __init__(self, world: World, cast: Cast, plan: Plan, brief: Brief, count: Callable[[], int]) -> None:
        self._world = world
        self._cast = cast
        self._plan = plan
        self._brief = brief
        self._count = count
        self._deeds: list[Deed] = []
        self._is_renewed = plan.state is JobState.OPEN and plan.days_ago is None and world.happens(0.06)
        self._begins = self._publishing()
        self._ends = self._ending()

    def _publishing(self) -> datetime:
        world, plan = self._world, self._plan
        if plan.days_ago is not None:
            return world.between(world.ago(plan.days_ago), world.ago(plan.days_ago - 0.3))
        if self._is_renewed:
            return world.between(world.ago(RENEWED_DAYS[1]), world.ago(RENEWED_DAYS[0]))
        if plan.state in DAYS_AGO:
            return world.between(world.ago(DAYS_AGO[plan.state][1]), world.ago(DAYS_AGO[plan.state][0]))
        # More of the open ones are new than old.
        return world.ago(FRESH_DAYS + (STALE_DAYS - FRESH_DAYS) * world.chance.random() ** 1.5)

    def _ending(self) -> datetime:
        """When the job takes its last offer."""
        world, begins = self._world, self._begins
        if self._plan.state in {JobState.OPEN, JobState.DRAFT}:
            return world.now
        if self._plan.state is JobState.EXPIRED:
            return begins + timedelta(days=world.config[OPEN_DAYS])
        most = min(240.0, (world.now - begins) / timedelta(hours=1))
        return world.after(begins, min(60.0, most / 2), most)

    def play(self) -> None:
        """Let it happen."""
        world, plan = self._world, self._plan
        written = world.between(self._begins - timedelta(days=2), self._begins)
        self._story = Story(world, plan.client, wording.job(world, self._brief, plan.wanted), written)
        if plan.state is JobState.DRAFT:
            return
        self._at(self._begins, self._story.publish)
        self._plan_offers()
        self._plan_job()
        # Each deed may plan others, all of them later than itself.
        while self._deeds:
            self._deeds.sort(key=lambda deed: deed[0])
            at, do = self._deeds.pop(0)
            do(at)
        self._story.finish()

    def _at(self, at: datetime, do: Callable[[datetime], None]) -> None:
        self._deeds.append((at, do))

    def _plan_job(self) -> None:
        story, state, config = self._story, self._plan.state, self._world.config
        over = self._begins + timedelta(days=config[OPEN_DAYS])
        if state is JobState.CLOSED:
            self._at(self._ends, story.close)
        elif state is JobState.REMOVED:
            self._at(self._ends, lambda at: story.remove(self._cast.admin, at))
        elif state is JobState.EXPIRED:
            self._at(over, story.expire)
        elif state is JobState.OPEN and self._world.happens(0.08):
            self._at(self._between(), self._edit_job)
        warned = over - timedelta(days=config[WARNING_DAYS])
        if warned < self._ends:
            self._at(warned, story.warn)
        if self._is_renewed:
            self._at(self._world.between(warned, over), story.renew)

    def _edit_job(self, at: datetime) -> None:
        words = self._story.words
        self._story.edit(replace(words, description=wording.update(self._world, words)), at)

    def _between(self) -> datetime:
        return self._world.between(self._begins, self._ends)

    def _plan_offers(self) -> None:
        """Decide who makes offers, and what becomes of each; those to be hired write early enough."""
        world, plan = self._world, self._plan
        workers = world.chance.sample(_able(self._cast, plan), plan.offers - (plan.star is not None))
        fates: list[ProposalState | None] = [None] * len(workers)
        if plan.star is not None:
            workers.insert(0, self._cast.star)
            fates.insert(0, plan.star)
        hired = plan.hires - fates.count(ACCEPTED)
        for index in [index for index, fate in enumerate(fates) if fate is None][:hired]:
            fates[index] = ACCEPTED
        decisions = self._decisions(plan.hires)
        for worker, fate in zip(workers, fates, strict=True):
            decided = decisions.pop(0) if fate is ACCEPTED else None
            self._plan_offer(worker, fate or self._any_fate(), decided)

    def _decisions(self, hires: int) -> list[datetime]:
        """When people are hired: the last one, on a job that is filled by it, when the job ends."""
        late = self._begins + (self._ends - self._begins) / 2
        moments = sorted(self._world.between(late, self._ends) for _ in range(hires))
        if self._plan.state is JobState.FILLED:
            moments[-1] = self._ends
        return moments

    def _any_fate(self) -> ProposalState:
        """Most wait, some think better of it, some are told no."""
        chance = self._world.chance.random()
        return WITHDRAWN if chance < 0.06 else REJECTED if chance < 0.14 else PENDING

    def _plan_offer(self, worker: Worker, fate: ProposalState, decided: datetime | None) -> None:
        half = self._begins + (self._ends - self._begins) / 2
        at = self._world.between(self._begins, half if decided else self._ends)
        if self._world.happens(0.08):
            self._at(self._world.between(self._begins, at), lambda at: self._story.invite(worker, at))
        self._at(at, lambda at: self._submit(worker, fate, decided, at))

    def _submit(self, worker: Worker, fate: ProposalState, decided: datetime | None, at: datetime) -> None:
        world, story = self._world, self._story
        offer = story.submit(worker, wording.offer(world, self._brief, story.job, worker, at), at)
        later = world.between(at, self._ends)
        if fate is ACCEPTED:
            assert decided is not None
            self._at(decided, lambda at: self._accept(offer, at))
            later = world.between(at, decided)
        elif fate is WITHDRAWN:
            self._at(later, lambda at: story.withdraw(offer, at))
        elif fate is REJECTED:
            self._at(later, lambda at: story.reject(offer, world.one(letters.REJECTIONS), at))
        if world.happens(0.6 if fate is ACCEPTED else 0.1):
            self._at(world.between(at, later), lambda at: story.shortlist(offer, at))
        elif fate is REJECTED and world.happens(0.5):
            self._at(world.between(later, self._ends), lambda at: story.archive(offer, at))
        if world.happens(0.05):
            self._at(world.between(at, later), lambda at: self._edit_offer(offer, at))

    def _edit_offer(self, offer: Offer, at: datetime) -> None:
        words = wording.offer(self._world, self._brief, self._story.job, offer.worker, at)
        self._story.edit_offer(offer, words, at)

    def _accept(self, offer: Offer, at: datetime) -> None:
        self._work(self._story.accept(offer, at), at)

    def _work(self, agreement: Agreement, at: datetime) -> None:
        """Bring the milestones to where they are to stand, one after another."""
        world, ending = self._world, self._plan.ending
        goals = self._goals(len(agreement.milestones))
        ends = world.now if ending is ACTIVE else world.between(at + (world.now - at) / 3, world.now)
        share = (ends - at) / (len(goals) + 1)
        agreement.deposit(sum(milestone.gross_cents for milestone in agreement.milestones), at)
        for index, (milestone, goal) in enumerate(zip(agreement.milestones, goals, strict=True)):
            if goal is not MilestoneState.OPEN:
                self._bring(agreement, milestone, goal, at + share * index, at + share * (index + 1))
        if ending is TERMINATED:
            agreement.end_early(world.one(letters.FAREWELLS), world.between(ends - share / 2, ends), ends)

    def _bring(
        self, agreement: Agreement, milestone: Milestone, goal: MilestoneState, begins: datetime, ends: datetime
    ) -> None:
        """Bring a milestone as far as it is to get; what is owed in the end was not paid for in advance."""
        world, quarter = self._world, (ends - begins) / 4
        moments = [world.between(begins + quarter * at, begins + quarter * (at + 1)) for at in range(4)]
        if goal is not MilestoneState.ACCEPTED:
            agreement.fund(milestone, moments[0])
        agreement.start(milestone, moments[1])
        if goal is MilestoneState.IN_PROGRESS:
            return
        # Nobody waits longer for an answer than silence takes to accept.
        waiting = goal is MilestoneState.IN_REVIEW
        handed_in = world.between(max(moments[1], world.ago(WAITED_DAYS)), world.now) if waiting else moments[2]
        agreement.submit(milestone, world.one(letters.SUBMISSIONS), handed_in)
        if not waiting:
            agreement.accept(milestone, moments[3])

    def _goals(self, count: int) -> list[MilestoneState]:
        """How far each milestone gets: all are paid in the end; before that, some, one is at hand, the rest wait."""
        done, waiting = MilestoneState.PAID, MilestoneState.OPEN
        if self._plan.ending is COMPLETED:
            return [done] * count
        number = self._count()
        stands = list(MilestoneState)[number % 4]
        if self._plan.ending is TERMINATED and stands is MilestoneState.IN_REVIEW:
            stands = MilestoneState.IN_PROGRESS
        paid = number % count
        return [done] * paid + [stands] + [waiting] * (count - paid - 1)
