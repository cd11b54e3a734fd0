"""The demo: as much as promised, the same everywhere, and nothing in it that the rules would not allow."""

import asyncio
import re
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

import loaders.audit
import resolvers.contracts
import resolvers.jobs
import resolvers.proposals
from models.activity import Event
from models.base import Identified
from models.connects import COST_MAX, LotSource, MovementKind
from models.contracts import Acceptance, ContractState, Milestone, MilestoneState, Submission
from models.jobs import BudgetKind, JobState
from models.payments import FUNDS, TariffKind
from models.proposals import ProposalState
from ops import books, migrate, seed
from ops.database import Database
from ops.demo import PASSWORD, PEOPLE
from ops.demo.cast import Client, Worker
from ops.demo.people import OWN_COMPANY, STAR, TRADES
from ops.demo.story import Story
from ops.demo.world import World
from tests import make

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
CLIENT, FREELANCER, _ = PEOPLE


@asynccontextmanager
async def connected(url):
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def demo_url(new_database):
    url = await new_database("demo")
    await asyncio.to_thread(migrate.to_head, url)
    assert await seed.seed(url, now=NOW)
    return url


@pytest.fixture(scope="module")
async def demo(demo_url):
    """The demo, to be asked in SQL."""
    async with connected(demo_url) as connection:
        yield connection


async def everything(url):
    async with connected(url) as connection:
        return {
            table.__tablename__: await connection.fetch(f"select t::text from {table.__tablename__} t order by 1")
            for table in seed.TABLES
        }


async def test_the_same_moment_makes_the_same_demo(demo_url, database_url):
    assert await seed.seed(database_url, now=NOW)

    assert await everything(database_url) == await everything(demo_url)


async def test_a_second_seed_does_nothing(demo_url):
    before = await everything(demo_url)

    assert not await seed.seed(demo_url, now=NOW)

    assert await everything(demo_url) == before


async def test_of_two_seeds_at_once_one_does_nothing(database_url):
    done = await asyncio.gather(*(seed.seed(database_url) for _ in range(2)))

    assert sorted(done) == [False, True]


async def test_where_somebody_lives_nothing_is_put(database_url):
    async with connected(database_url) as connection:
        await connection.execute(
            "insert into accounts (id, email, password_hash, full_name, roles, created_at)"
            " values ($1, 'ada@example.org', '', 'Ada', '{CLIENT}', $2)",
            UUID(int=1),
            NOW,
        )

        assert not await seed.seed(database_url, now=NOW)
        assert await connection.fetchval("select count(*) from accounts") == 1
        assert await connection.fetchval("select count(*) from jobs") == 0


@pytest.mark.parametrize(("table", "count"), [("accounts", 50), ("jobs", 200), ("proposals", 1_000)])
async def test_there_is_as_much_as_promised(demo, table, count):
    assert await demo.fetchval(f"select count(*) from {table}") == count


@pytest.mark.parametrize(("role", "least"), [("CLIENT", 15), ("FREELANCER", 33), ("ADMIN", 1)])
async def test_there_is_somebody_for_every_role(demo, role, least):
    assert await demo.fetchval("select count(*) from accounts where $1 = any (roles)", role) >= least


@pytest.mark.parametrize(
    ("table", "states"),
    [
        ("jobs", JobState),
        ("proposals", ProposalState),
        ("contracts", ContractState),
        ("milestones", MilestoneState),
    ],
)
async def test_everything_is_in_every_state(demo, table, states):
    found = await demo.fetch(f"select distinct state from {table}")

    assert {state for (state,) in found} == {state.value for state in states}


async def test_everybody_signs_in_with_the_one_password(demo):
    (row,) = await demo.fetch("select distinct password_hash from accounts")

    assert PasswordHasher().verify(row["password_hash"], PASSWORD)
    assert not PasswordHasher().check_needs_rehash(row["password_hash"])
    assert await demo.fetchval("select count(*) from accounts where email = any ($1)", list(PEOPLE)) == 3


@pytest.mark.parametrize(
    ("what", "query"),
    [
        (
            "a fixed job's milestones do not sum to the bid",
            "select p.id from proposals p join jobs j on j.id = p.job_id"
            " where j.budget_kind = 'FIXED' and p.bid_cents <>"
            " (select coalesce(sum(amount_cents), 0) from proposal_milestones m where m.proposal_id = p.id)",
        ),
        (
            "a proposal has no milestones, or more than five",
            "select p.id from proposals p where"
            " (select count(*) from proposal_milestones m where m.proposal_id = p.id) not between 1 and 5",
        ),
        (
            "a milestone was due before it was proposed",
            "select m.id from proposal_milestones m join proposals p on p.id = m.proposal_id"
            " where m.due_on < p.submitted_at::date",
        ),
        (
            "a job counts other hires than it has contracts",
            "select j.id from jobs j where hired_count <> (select count(*) from contracts c where c.job_id = j.id)",
        ),
        (
            "a job is filled before all are hired, or open after",
            "select id from jobs where (state = 'FILLED') <> (hired_count = freelancers_wanted)",
        ),
        (
            "an accepted proposal has no contract, or another has one",
            "select p.id from proposals p left join contracts c on c.proposal_id = p.id"
            " where (p.state = 'ACCEPTED') <> (c.id is not null)",
        ),
        (
            "somebody waits for a job that takes no more",
            "select p.id from proposals p join jobs j on j.id = p.job_id"
            " where p.state = 'PENDING' and j.state not in ('OPEN', 'EXPIRED')",
        ),
        (
            "somebody proposes to herself",
            "select p.id from proposals p join jobs j on j.id = p.job_id where j.client_id = p.freelancer_id",
        ),
        (
            "a contract says other things than its proposal",
            "select c.id from contracts c join proposals p on p.id = c.proposal_id join jobs j on j.id = c.job_id"
            " where (c.job_id, c.freelancer_id, c.bid_cents, c.client_id, c.title, c.freelancer_fee_bps,"
            " c.client_fee_bps)"
            " is distinct from (p.job_id, p.freelancer_id, p.bid_cents, j.client_id, j.title, 1000, 500)",
        ),
        (
            "a contract has other milestones than its proposal",
            "(select c.proposal_id, m.position, m.description, m.amount_cents, m.due_on"
            "  from milestones m join contracts c on c.id = m.contract_id"
            "  except select proposal_id, position, description, amount_cents, due_on from proposal_milestones)"
            " union all"
            " (select m.proposal_id, m.position, m.description, m.amount_cents, m.due_on"
            "  from proposal_milestones m join contracts c on c.proposal_id = m.proposal_id"
            "  except select c.proposal_id, m.position, m.description, m.amount_cents, m.due_on"
            "  from milestones m join contracts c on c.id = m.contract_id)",
        ),
        (
            "a completed contract is not paid, or one that is over has no end",
            "select c.id from contracts c join milestones m on m.contract_id = c.id"
            " where (c.state = 'COMPLETED' and m.state <> 'PAID') or (c.state = 'ACTIVE') <> (c.ended_at is null)",
        ),
        (
            "work was done that was never started",
            "select id from milestones where (state = 'OPEN') <> (started_at is null)",
        ),
        (
            "a bid is out of reach of the budget",
            "select p.id from proposals p join jobs j on j.id = p.job_id where bid_cents not between"
            " coalesce(budget_amount_cents, budget_minimum_cents) * 0.7"
            " and coalesce(budget_amount_cents, budget_maximum_cents) * 1.5",
        ),
        (
            "a job has more skills than it may, or none",
            "select j.id from jobs j where"
            " (select count(*) from job_skills s where s.job_id = j.id) not between 1 and 15",
        ),
        (
            "something was published without a date, or the other way round",
            "select id from jobs where (state = 'DRAFT') <> (published_at is null)"
            " or (state = 'DRAFT') <> (expires_at is null) or published_at < created_at",
        ),
        (
            "somebody proposed before the job was published, or after it ended",
            "select p.id from proposals p join jobs j on j.id = p.job_id"
            " where p.submitted_at not between j.published_at and j.expires_at or p.decided_at < p.submitted_at",
        ),
        (
            "an offer was invited and paid for, or neither",
            "select p.id from proposals p join jobs j on j.id = p.job_id where p.connects_cost <> case when exists"
            " (select from invitations i where i.job_id = p.job_id and i.freelancer_id = p.freelancer_id)"
            " then 0 else j.connects_cost end",
        ),
        (
            "a text has a hole in it",
            "select title from jobs where title || description ~ '[{}]'"
            " union all select cover_letter from proposals where cover_letter ~ '[{}]'"
            " union all select description from freelancer_profiles where description ~ '[{}]'"
            " union all select description from client_profiles where description ~ '[{}]'",
        ),
    ],
)
async def test_it_is_never_so_that(demo, what, query):
    assert await demo.fetch(query) == [], what


async def test_those_who_lose_are_told_why(demo):
    reasons = await demo.fetch(
        "select distinct p.reason from proposals p join jobs j on j.id = p.job_id"
        " where p.state = 'REJECTED' and j.state = 'FILLED' and p.decided_at = (select max(started_at)"
        " from contracts c where c.job_id = j.id)"
    )

    assert [reason for (reason,) in reasons] == ["Somebody else was hired."]


async def test_streams_are_numbered_without_gaps_and_in_the_order_of_time(demo):
    heads = dict(await demo.fetch("select stream, sequence from stream_heads"))
    seen: Counter[str] = Counter()
    last: dict[str, datetime] = {}
    for stream, sequence, at in await demo.fetch("select stream, sequence, at from events order by stream, sequence"):
        seen[stream] += 1
        assert sequence == seen[stream]
        assert at >= last.get(stream, at)
        last[stream] = at

    assert heads == dict(seen)


async def test_what_streams_tell_is_how_things_are(demo):
    """The last event that decides a proposal or a job is the state it is in."""
    deciding = {"PROPOSAL_SUBMITTED": "PENDING"} | {
        f"PROPOSAL_{state.value}": state.value for state in ProposalState if state is not ProposalState.PENDING
    }
    told = await demo.fetch(
        "select distinct on (p.id) p.state, e.kind from proposals p join events e on e.subject_id = p.id"
        " and e.stream = 'proposal:' || replace(p.job_id || ':' || p.freelancer_id, '-', '') where e.kind = any ($1)"
        " order by p.id, e.sequence desc",
        list(deciding),
    )

    assert len(told) == 1_000
    assert all(deciding[kind] == state for state, kind in told)


async def test_ids_sort_by_the_moment_that_rows_are_from(demo):
    moments = {"accounts": "created_at", "jobs": "created_at", "proposals": "submitted_at", "events": "at"}
    for table, column in moments.items():
        for id_, at in await demo.fetch(f"select id, {column} from {table}"):
            assert (id_.version, id_.variant) == (7, "specified in RFC 4122")
            assert id_.int >> 80 == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


async def test_nothing_lies_in_the_future(demo):
    for table in seed.TABLES:
        if issubclass(table, Identified):
            latest = await demo.fetchval(f"select max(id::text) from {table.__tablename__}")
            assert UUID(latest).int >> 80 <= NOW.timestamp() * 1000


async def test_the_books_of_the_demo_are_right(demo_url):
    right, said = await books.check(demo_url)

    assert right, said
    counted = re.search(r"(\d+) journals", said)
    assert counted
    assert int(counted[1]) > 200


async def test_the_worker_finds_nothing_that_it_should_have_done_before(demo):
    due = await demo.fetch(
        "select id from jobs where state = 'OPEN'"
        " and (expires_at <= $1 or (warned_at is null and expires_at <= $1 + interval '5 days'))",
        NOW,
    )
    overdue = await demo.fetch("select id from milestones where state = 'IN_REVIEW' and review_ends_at <= $1", NOW)
    unsettled = await demo.fetch("select id from payments where settled_at is null and available_at <= $1", NOW)

    assert due == overdue == unsettled == []


async def test_the_worker_finds_nothing_to_give_or_to_take_away(demo):
    assert await demo.fetch("select id from lots where remaining > 0 and expires_at <= $1", NOW) == []
    assert await demo.fetch("select account_id from allowances where next_at <= $1", NOW) == []


async def test_the_books_are_right(demo_url):
    database = Database.at(demo_url, connections=1)
    async with database.reading() as session:
        report = await loaders.audit.audit(session)
    assert report.wrong is None, str(report.wrong)
    assert report.journals > 1_000
    await database.engine.dispose()


async def test_freelancers_have_come_by_connects_in_every_way_and_have_some_left(demo):
    sources = await demo.fetch("select distinct source from lots")
    kinds = await demo.fetch("select distinct kind from connects_movements")
    left = await demo.fetchval(
        "select sum(remaining) from lots l join accounts a on a.id = l.account_id where a.email = $1", FREELANCER
    )

    assert {source for (source,) in sources} == {source.value for source in LotSource}
    # Whoever proposes as often as they do here has nothing left to expire.
    assert {kind for (kind,) in kinds} == {kind.value for kind in MovementKind} - {"EXPIRED"}
    assert left >= COST_MAX
    assert await demo.fetchval("select count(*) from proposals where connects_cost = 0") > 20


async def test_most_jobs_are_open_and_some_of_them_new(demo):
    assert await demo.fetchval("select count(*) from jobs where state = 'OPEN'") > 100
    assert await demo.fetchval("select max(published_at) from jobs") > NOW - timedelta(days=1)


async def test_hardly_anything_is_said_twice(demo):
    assert await demo.fetchval("select count(distinct title) from jobs") > 195
    assert await demo.fetchval("select count(distinct cover_letter) from proposals") > 995


async def test_the_demo_client_has_something_of_everything(demo):
    jobs = await demo.fetch(
        "select j.state, (select count(*) from proposals p where p.job_id = j.id) as offers from jobs j"
        " join accounts a on a.id = j.client_id where a.email = $1",
        CLIENT,
    )
    contracts = await demo.fetch(
        "select distinct c.state from contracts c join accounts a on a.id = c.client_id where a.email = $1", CLIENT
    )

    assert len([job for job in jobs if job["state"] == "OPEN" and job["offers"] >= 8]) >= 3
    assert "DRAFT" in {job["state"] for job in jobs}
    assert {state for (state,) in contracts} == {"ACTIVE", "COMPLETED", "TERMINATED"}


async def test_the_demo_freelancer_has_something_of_everything(demo):
    states = await demo.fetch(
        "select distinct p.state from proposals p join accounts a on a.id = p.freelancer_id where a.email = $1",
        FREELANCER,
    )
    with_client = await demo.fetchval(
        "select count(*) from contracts c join accounts f on f.id = c.freelancer_id"
        " join accounts k on k.id = c.client_id where f.email = $1 and k.email = $2 and c.state = 'ACTIVE'",
        FREELANCER,
        CLIENT,
    )

    assert {state for (state,) in states} == {state.value for state in ProposalState}
    assert with_client >= 1


@pytest.mark.parametrize("kind", BudgetKind)
async def test_both_kinds_of_budget_have_contracts(demo, kind):
    assert await demo.fetchval("select count(*) from contracts where budget_kind = $1", kind.value) > 3


class Told:
    """What was told of one job, with names for ids: by stream, in order."""

    def __init__(self, people_):
        self._names = {one.id: one.full_name for one in vars(people_).values()} | {None: "the house"}

    def name(self, row, name):
        self._names[row.id] = name

    def streams(self, events):
        found: dict[tuple[str, str], list[tuple[str, ...]]] = {}
        for event in sorted(events, key=lambda event: (event.stream, event.sequence)):
            kind, *ids = event.stream.split(":")
            stream = (kind, *(self._names[UUID(id_)] for id_ in ids))
            news = (event.kind.value, event.subject, self._names[event.subject_id], self._names[event.actor_id])
            found.setdefault(stream, []).append(news)
        return found


@pytest.fixture
def story(people):
    """A job of the same client as in the house, in a world of the demo's."""
    tariffs = [(kind, 500, NOW - timedelta(days=9)) for kind in TariffKind]
    world = World(NOW, categories={}, skills={}, tariffs=tariffs)
    story = Story(world, Client(people.client, OWN_COMPANY), make.job_words(), NOW)
    story.publish(NOW + timedelta(minutes=1))
    return story


@pytest.fixture
async def job(as_, people):
    """The same job, in the house."""
    job = await resolvers.jobs.draft(as_(people.client), words=make.job_words())
    return await resolvers.jobs.publish(as_(people.client), job_id=job.id)


class Comparison:
    """Compares what the story told with what the house did."""

    def __init__(self, people, house, story):
        self._ours, self._theirs = Told(people), Told(people)
        self._house = house
        self._story = story

    def name(self, name, ours, real):
        self._ours.name(ours, name)
        self._theirs.name(real, name)

    async def __call__(self):
        """Both have told the same in the same order; which kinds of news that was."""
        self._story.world.number_events()
        async with self._house.database.reading() as session:
            events = (await session.scalars(select(Event))).all()
        told = self._ours.streams(self._story.world.rows[Event])
        assert told == self._theirs.streams(events)
        return {kind for news in told.values() for kind, *_ in news}


@pytest.fixture
def compare(people, house, story, job):
    comparison = Comparison(people, house, story)
    comparison.name("job", story.job, job)
    return comparison


@pytest.fixture
def submit(as_, story, job, compare):
    """Make an offer in both."""

    async def run(account, minutes):
        worker = Worker(account, STAR, TRADES[STAR.trade], 50, 5)
        ours = story.submit(worker, make.proposal_words(), NOW + timedelta(minutes=minutes))
        real = await resolvers.proposals.submit(
            as_(account), job_id=job.id, words=make.proposal_words(), key=make.key()
        )
        compare.name(f"offer of {account.full_name}", ours.proposal, real)
        return ours, real

    return run


async def test_hiring_and_paying_is_told_as_the_resolvers_tell_it(house, as_, people, story, job, submit, compare):
    client, at = as_(people.client), NOW + timedelta(minutes=9)
    ours, real = await submit(people.freelancer, 2)
    other_ours, other_real = await submit(people.other_freelancer, 3)
    words = make.job_words(title="Build two shops")

    story.edit(words, at)
    story.edit_offer(ours, make.proposal_words(cover_letter="Better."), at)
    story.shortlist(ours, at)
    story.archive(other_ours, at)
    story.renew(at)
    agreement = story.accept(ours, at)
    first = agreement.milestones[0]
    agreement.fund(first, at)
    agreement.start(first, at)
    agreement.submit(first, "Here it is.", at)
    agreement.accept(first, at)

    await resolvers.jobs.edit(client, job_id=job.id, words=words, version=None)
    changed = make.proposal_words(cover_letter="Better.")
    await resolvers.proposals.edit(as_(people.freelancer), proposal_id=real.id, words=changed, version=None)
    await resolvers.proposals.shortlist(client, proposal_id=real.id, on=True)
    await resolvers.proposals.archive(client, proposal_id=other_real.id, on=True)
    await resolvers.jobs.renew(client, job_id=job.id)
    contract = await resolvers.proposals.accept(client, proposal_id=real.id)
    milestone = await first_milestone(client, contract)
    await make.give(house, FUNDS, people.client.id, 1_000_00)
    await resolvers.contracts.fund(client, milestone_id=milestone.id, key="fund")
    await resolvers.contracts.start(as_(people.freelancer), milestone_id=milestone.id)
    handed_in = Submission("Here it is.")
    await resolvers.contracts.submit(as_(people.freelancer), milestone_id=milestone.id, words=handed_in)
    await resolvers.contracts.accept(client, milestone_id=milestone.id, words=Acceptance(), key="accept")

    compare.name("contract", agreement.contract, contract)
    compare.name("milestone", agreement.milestones[0], milestone)
    assert {
        "JOB_FILLED",
        "PROPOSAL_REJECTED",
        "MILESTONE_STARTED",
        "MILESTONE_PAID",
        "WALLET_CHANGED",
    } <= await compare()


async def first_milestone(ctx, contract):
    async with ctx.reading() as session:
        return await session.scalar(
            select(Milestone).where(Milestone.contract_id == contract.id, Milestone.position == 0)
        )


@pytest.mark.parametrize("end", ["close", "remove"])
async def test_ending_is_told_as_the_resolvers_tell_it(as_, people, story, job, submit, compare, end):
    at = NOW + timedelta(minutes=9)
    ours, real = await submit(people.freelancer, 2)
    other_ours, other_real = await submit(people.other_freelancer, 3)

    story.withdraw(ours, at)
    story.reject(other_ours, "No.", at)
    await resolvers.proposals.withdraw(as_(people.freelancer), proposal_id=real.id)
    await resolvers.proposals.reject(as_(people.client), proposal_id=other_real.id, reason="No.")
    await submit(people.freelancer, 10)
    if end == "close":
        story.close(at + timedelta(minutes=9))
        await resolvers.jobs.close(as_(people.client), job_id=job.id)
    else:
        story.remove(people.admin, at + timedelta(minutes=9))
        await resolvers.jobs.remove(as_(people.admin), job_id=job.id)

    assert {"PROPOSAL_WITHDRAWN", "PROPOSAL_REJECTED"} <= await compare()


async def test_time_is_told_as_the_worker_tells_it(as_, clock, story, compare):
    story.warn(NOW + timedelta(days=26))
    story.expire(NOW + timedelta(days=31))
    for days in (26, 5):
        clock.advance(days=days)
        assert await resolvers.jobs.expire_due(as_(None)) == 1

    assert {"JOB_EXPIRES_SOON", "JOB_EXPIRED"} <= await compare()
