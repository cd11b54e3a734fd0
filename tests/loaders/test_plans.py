"""How Postgres finds what it is asked for: through indexes, wherever it is told what to look for."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ClauseElement, Executable

import loaders.accounts
import loaders.activity
import loaders.contracts
import loaders.jobs
import loaders.payments
import loaders.proposals
import schema.root
from loaders.batch import Relation, count_statement, page_statement, rows_statement, summary_statement
from loaders.compile import statement as compiled_statement
from loaders.pages import Seal
from models.accounts import ItemKind, ItemWords, ProfileItem, Session
from models.activity import Event, EventKind, StreamHead, job_stream
from models.base import VIEWER, Audience
from models.config import Config
from models.contracts import Contract, Milestone
from models.jobs import Job, JobSkill, JobState
from models.proposals import Proposal, ProposalState
from ops import migrate
from ops.app import wall_clock
from ops.database import Database
from ops.transport.asked import Asked
from ops.transport.operations import Operations
from schema.limits import Limits
from schema.plans import Planner
from tests import make

BIG = {
    "jobs",
    "job_skills",
    "proposals",
    "proposal_milestones",
    "contracts",
    "milestones",
    "events",
    "sessions",
    "profile_items",
}
"""Tables that grow with what people do; to read a small one from end to end may well be the best way."""

CLIENTS, FREELANCERS, JOBS, OFFERS_EACH = 300, 600, 3_000, 2
KEYS = slice(5, 13)
"""Whom we ask for: a handful among many, as a page of a page is."""

PARTS = """
insert into proposal_milestones (id, proposal_id, position, description, amount_cents, currency)
select gen_random_uuid(), id, position, 'A part', 100, 'USD' from proposals, generate_series(0, 2) as position
"""

BY_KEY: dict[str, Relation[Any]] = {
    f"{module.__name__.rpartition('.')[2]}.{name}": relation
    for module in (loaders.accounts, loaders.jobs, loaders.proposals, loaders.contracts)
    for name, relation in vars(module).items()
    if isinstance(relation, Relation) and relation.on is not None
}
OF_PARTIES = [
    relation
    for module in (loaders.contracts, loaders.payments)
    for relation in vars(module).values()
    if isinstance(relation, Relation) and relation.parties
]
WHOLE: dict[str, Relation[Any]] = {
    "accounts.freelancers": loaders.accounts.freelancers,
    "jobs.newest": loaders.jobs.newest,
}


class Explain(Executable, ClauseElement):
    """A statement that is not to be answered: Postgres says how it would be."""

    inherit_cache = False

    def __init__(self, statement: sa.Select[Any]) -> None:
        self.statement = statement


@compiles(Explain)
def _(element: Explain, compiler: Any, **options: Any) -> str:
    return f"explain (format json) {compiler.process(element.statement, **options)}"


class Town:
    """A database with some thousands of everything, and who lives there."""

    def __init__(self, database: Database, viewer: UUID, keys: dict[str, list[UUID]]) -> None:
        self.database, self.viewer, self.keys = database, viewer, keys

    async def plan(self, statement: sa.Select[Any], *without: str, **bound: Any) -> dict[str, Any]:
        """How Postgres would answer a statement with these values, and without some of what it is able to do."""
        async with self.database.engine.connect() as connection:
            for ability in without:
                await connection.execute(sa.text(f"set local enable_{ability} = off"))
            times = {"now": wall_clock(), "wall": wall_clock()}
            found = await connection.scalar(Explain(statement), {"viewer_id": self.viewer} | times | bound)
        plan: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        return plan


def scans(plan: dict[str, Any]) -> Iterator[str]:
    """Every big table that is read from its beginning to its end."""
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in BIG:
        yield f"{plan['Relation Name']}: {plan.get('Filter')}"
    for part in plan.get("Plans", ()):
        yield from scans(part)


def nodes(plan: dict[str, Any]) -> Iterator[str]:
    """All that Postgres does."""
    yield plan["Node Type"]
    for part in plan.get("Plans", ()):
        yield from nodes(part)


async def settle(database: Database) -> tuple[UUID, dict[str, list[UUID]]]:
    """Let thousands come to live there."""
    clients = [make.client(f"C{at}") for at in range(CLIENTS)]
    freelancers = [make.freelancer(f"F{at}") for at in range(FREELANCERS)]
    jobs = [make.job(clients[at % CLIENTS], JobState.OPEN if at % 3 else JobState.FILLED) for at in range(JOBS)]
    for at, job in enumerate(jobs):
        job.published_at = wall_clock() - timedelta(minutes=at)
    offers = [
        make.proposal(job, freelancers[(at * 7 + number * 101) % FREELANCERS])
        for at, job in enumerate(jobs)
        for number in range(OFFERS_EACH)
    ]
    hired = offers[:: OFFERS_EACH * 3]
    for offer in hired:
        offer.state = ProposalState.ACCEPTED
    contracts = [make.contract(job, offer) for job, offer in zip(jobs[::3], hired, strict=True)]
    milestones = [make.milestone(contract, position=position) for contract in contracts for position in range(3)]
    events = [
        Event(stream=job_stream(job.id), sequence=sequence, kind=EventKind.JOB_EDITED, subject="job",
              subject_id=job.id, at=wall_clock())
        for job in jobs[:700] for sequence in range(1, 4)
    ]  # fmt: skip
    sessions = [
        Session.begin(one, address="", agent="", at=wall_clock(), config=Config())
        for one in (*clients, *freelancers)
        for _ in range(3)
    ]
    words = vars(ItemWords("Master"))
    items = [ProfileItem(freelancer_id=one.id, kind=kind, **words) for one in freelancers for kind in [*ItemKind] * 4]
    batches: list[list[Any]] = [
        [*clients, *freelancers],
        [profile for one in (*clients, *freelancers) for profile in make.profiles(one)],
        [*sessions, *items, *jobs],
        [JobSkill(job_id=job.id, skill_id=make.SKILL_IDS[at % 15]) for at, job in enumerate(jobs)],
        offers,
        contracts,
        [*milestones, *events, *(StreamHead(stream=job_stream(job.id), sequence=3) for job in jobs[:700])],
    ]
    for batch in batches:
        async with database.engine.begin() as connection:
            for kind in dict.fromkeys(type(row) for row in batch):
                rows = [vars(row) | {} for row in batch if type(row) is kind]
                columns = [column.key for column in sa.inspect(kind).columns]
                values = [{key: row.get(key) for key in columns} for row in rows]
                await connection.execute(sa.insert(kind.__table__), values)
    async with database.engine.begin() as connection:
        await connection.execute(sa.text(PARTS))
    ids = {
        "sessions": [session.id for session in sessions[KEYS]],
        "profile_items": [item.id for item in items[KEYS]],
        "jobs": [job.id for job in jobs[KEYS]],
        "proposals": [offer.id for offer in offers[KEYS]],
        "contracts": [contract.id for contract in contracts[KEYS]],
        "milestones": [milestone.id for milestone in milestones[KEYS]],
        "client_profiles": [one.id for one in clients[KEYS]],
        "freelancer_profiles": [one.id for one in freelancers[KEYS]],
        "accounts": [one.id for one in clients[KEYS]],
        "categories": [make.CATEGORY_ID],
        "skills": make.SKILL_IDS[KEYS],
    }
    return freelancers[5].id, ids


@pytest.fixture(scope="module")
async def town(new_database):
    """Made once for all the questions of this module."""
    url = await new_database("town")
    await asyncio.to_thread(migrate.to_head, url)
    database = Database.at(url, connections=2)
    viewer, keys = await settle(database)
    async with database.engine.connect() as connection:
        await connection.execute(sa.text("analyze"))
        await connection.commit()
    yield Town(database, viewer, keys)
    await database.close()


def keys_of(town: Town, relation: Relation[Any]) -> list[UUID]:
    """Ids that this relation may be asked about."""
    assert relation.on is not None
    column = relation.on.property.columns[0]
    table = next((key.column.table.name for key in column.foreign_keys), column.table.name)
    return town.keys.get(table, town.keys["jobs"])


def kinds_of_question(relation: Relation[Any], audience: Audience) -> dict[str, sa.Select[Any]]:
    found = {
        "rows": rows_statement(relation, audience),
        "count": count_statement(relation, audience, frozenset()),
    }
    # What is ordered by the table between is short, and never read a page at a time.
    if relation.order and all(place.class_ is relation.target for place in relation.order):
        for backward in (False, True):
            way = "backward" if backward else "forward"
            found[f"page {way}"] = page_statement(relation, audience, frozenset(), backward=backward, placed=False)
    return found


@pytest.mark.parametrize("audience", Audience)
@pytest.mark.parametrize("name", BY_KEY)
async def test_what_is_asked_for_by_key_is_found_through_an_index(name, audience, town):
    relation = BY_KEY[name]
    keys = keys_of(town, relation)

    found = {}
    for asked in (keys, keys[:1]):
        for kind, statement in kinds_of_question(relation, audience).items():
            plan = await town.plan(statement, keys=asked, limit=21)
            found[f"{kind} of {len(asked)}"] = list(scans(plan))

    assert {kind: read for kind, read in found.items() if read} == {}


@pytest.mark.parametrize("audience", Audience)
@pytest.mark.parametrize("name", WHOLE)
async def test_a_page_of_everything_reads_no_more_than_the_page(name, audience, town):
    for backward in (False, True):
        statement = page_statement(WHOLE[name], audience, frozenset(), backward=backward, placed=False)
        assert list(scans(await town.plan(statement, limit=21))) == []


@pytest.mark.parametrize("audience", [Audience.MEMBER, Audience.ADMIN])
async def test_ones_own_contracts_are_found_through_an_index(audience, town):
    relation = loaders.contracts.of_viewer
    for statement in (
        page_statement(relation, audience, frozenset(), backward=False, placed=False),
        count_statement(relation, audience, frozenset()),
    ):
        assert list(scans(await town.plan(statement, limit=21))) == []


@pytest.mark.parametrize("relation", OF_PARTIES, ids=lambda relation: relation.target.__tablename__)
async def test_a_page_of_ones_own_reads_no_more_than_the_page(relation, town):
    for backward in (False, True):
        statement = page_statement(relation, Audience.MEMBER, frozenset(), backward=backward, placed=False)
        # Of a few rows it would sort all.
        plan = await town.plan(statement, "sort", "bitmapscan", "seqscan", limit=21)

        parts = ["Limit", "Index Scan"] * len(relation.parties)
        assert list(nodes(plan)) == ["Limit", "Result", "Merge Append", *parts]


@pytest.mark.parametrize("relation", OF_PARTIES, ids=lambda relation: relation.target.__tablename__)
def test_nobody_is_two_parties_of_one_row(relation):
    columns = " <> ".join(party.key for party in relation.parties)
    rules = {str(rule.sqltext) for rule in relation.target.__table__.constraints if hasattr(rule, "sqltext")}

    assert columns in rules


@pytest.mark.parametrize("relation", OF_PARTIES, ids=lambda relation: relation.target.__tablename__)
def test_whoever_is_a_party_sees_the_row_unless_more_is_said(relation, monkeypatch):
    for part, party in zip(relation.parts, relation.parties, strict=True):
        assert str(part.belongs(Audience.MEMBER)) == str(party == VIEWER)
        assert str(part.belongs(Audience.PUBLIC)) == f"{sa.literal(value=False)} AND {party == VIEWER}"

    known = relation.target.seen_by
    monkeypatch.setattr(relation.target, "seen_by", lambda audience: sa.and_(known(audience), relation.target.id > "0"))
    for part in relation.parts:
        assert str(relation.target.id > "0") in str(part.belongs(Audience.MEMBER))


async def test_the_newest_of_a_category_are_found_through_an_index(town):
    names = frozenset({"category_id"})
    statement = page_statement(loaders.jobs.newest, Audience.PUBLIC, names, backward=False, placed=False)

    assert list(scans(await town.plan(statement, limit=21, category_id=make.CATEGORY_ID))) == []


async def test_bid_ranges_are_found_through_an_index(town):
    plan = await town.plan(summary_statement(loaders.proposals.bids), keys=town.keys["jobs"])

    assert list(scans(plan)) == []


async def test_what_happened_since_is_found_through_an_index(town):
    stream = job_stream(town.keys["jobs"][0])
    since = sa.select(Event).where(Event.stream == stream, Event.sequence > 1).order_by(Event.sequence).limit(100)

    assert list(scans(await town.plan(since))) == []


async def test_what_is_due_is_found_through_an_index(town):
    now = wall_clock()
    due = sa.or_(Job.expires_at <= now, (Job.expires_at <= now + timedelta(days=5)) & Job.warned_at.is_(None))
    asked = sa.select(Job).where(Job.state == JobState.OPEN, due).order_by(Job.id).limit(100)

    assert list(scans(await town.plan(asked))) == []


def test_the_town_has_the_big_tables():
    assert {kind.__tablename__ for kind in (Job, Proposal, Contract, Milestone, Event)} <= BIG


# Statements that answer a whole operation


OFFERS = """{ job(id: "%s") {
    title skills { name } client { companyName } proposalCount bidRange { low { amount } } availableActions
    proposals(first: 20) {
        totalCount edges { cursor node {
            coverLetter freelancer { fullName items { title } } milestones { description } attachments { name url }
            contract { id milestones { availableActions } } isShortlisted availableActions
        } } pageInfo { hasNextPage endCursor }
    }
} }"""
COMPILED = {
    "a job": '{ job(id: "%s") { title budget { kind } client { companyName } } }',
    "the newest jobs": "{ jobs(first: 20) { nodes { title client { companyName } skills { name } proposalCount } } }",
    "a later page": "{ jobs(last: 20) { nodes { title } pageInfo { startCursor hasPreviousPage } } }",
    "proposals and what hangs on them": OFFERS,
    "one's contracts": "{ viewer { contracts { totalCount nodes { title milestones { state } job { title } } } } }",
    "one's proposals": "{ viewer { proposals { nodes { job { title } contract { id } } } sessions { id } } }",
    "anything": '{ nodes(ids: ["%s"]) { id ... on Job { proposals { nodes { id } } } } node(id: "%s") { id } }',
}


async def explained(town: Town, text: str, audience: Audience, *without: str) -> dict[str, Any]:
    """How Postgres would answer an operation, without some of what it is able to do."""
    operations = Operations(schema.root.build(), Limits())
    job = f"job_{town.keys['jobs'][0].hex}"
    known = operations.prepare(Asked(text.replace("%s", job), {}, None, {}))
    plan = Planner(schema.root.build()).operation(known.document.ast, known.known.node, {})
    context: Any = SimpleNamespace(seal=Seal(b"a secret"), viewer=None)
    made = compiled_statement(plan.value, audience, [fill({}, context, {}) for fill in plan.slots])

    # Planned as it is when it is prepared: once, for whatever values.
    line = await town.database.lines._connect()
    for ability in without:
        await line.execute(f"set enable_{ability} = off")
    await line.execute(f"prepare asked as {made.text}")
    values = ", ".join("null" for _ in made.parameters)
    found = await line.fetchval("explain (verbose, format json) execute asked" + (f"({values})" if values else ""))
    await line.close()
    whole: dict[str, Any] = json.loads(found)[0]["Plan"]
    return whole


@pytest.mark.parametrize("audience", Audience)
@pytest.mark.parametrize("text", COMPILED.values(), ids=COMPILED.keys())
async def test_a_statement_that_answers_an_operation_reads_what_it_needs_and_no_more(text, audience, town):
    assert list(scans(await explained(town, text, audience))) == []


@pytest.mark.parametrize("name", ["contracts", "payments", "paymentRequests"])
async def test_a_statement_reads_a_page_of_ones_own_through_an_index_of_each_party(name, town):
    text = f"{{ viewer {{ {name} {{ nodes {{ id }} pageInfo {{ hasNextPage }} }} }} }}"

    done = list(nodes(await explained(town, text, Audience.MEMBER, "sort", "bitmapscan", "indexonlyscan")))

    assert done.count("Merge Append") == 1
    assert not {"Sort", "Bitmap Heap Scan", "Seq Scan"} & {*done}


async def test_to_write_a_text_calls_no_function_of_ours(town):
    planned = json.dumps(await explained(town, "{ jobs { nodes { title } } }", Audience.PUBLIC))

    assert "json_scalar(jobs.title" in planned.lower()
    assert "json_text" not in planned
