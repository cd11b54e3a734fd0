"""One operation is one statement, and its bytes are those of the ordinary way."""

from contextlib import aclosing
from typing import Any

import orjson
import pytest
from sqlalchemy import ColumnElement

import resolvers.proposals
from loaders.accounts import IS_STILL_SIGNED_IN
from loaders.compile import Statement, statement
from models.accounts import ItemKind, ItemWords, ProfileItem
from models.base import Audience
from models.jobs import JobSkill, JobState
from models.proposals import ProposalMilestone
from ops.transport.asked import Asked
from ops.transport.operations import Operations
from schema.limits import Limits
from schema.plans import Planner
from schema.root import build
from schema.scalars import id_of, key_of
from tests import make
from tests.loaders.counting import statements
from tests.resolvers.test_activity import Following

LONG = "a" * 70
NASTY = "".join(map(chr, range(1, 33))) + '"\\/\x7f\u00e9\u2028\u2029\ufeff\U0001f600 end'


@pytest.fixture
def both(house):
    """Ask in both ways; answer with what is said, in which the ways agree, and how the first one went."""

    async def run(viewer: Any, text: str, **variables: Any) -> tuple[Any, str]:
        operations = Operations(build(), Limits())
        ask = Asked(text, variables, None, {})
        compiled = orjson.dumps(await operations.run(operations.prepare(ask), house.context(viewer)))
        ordinary = await operations.run(operations.prepare(ask), house.context(viewer), compiled=False)
        assert compiled == orjson.dumps(ordinary), (compiled, ordinary)
        ((went, _),) = operations.taken.items()
        return orjson.loads(compiled), went

    return run


@pytest.fixture
async def scene(keep, people):
    """A job with a proposal, a contract that came of another, and what hangs on them."""
    job, filled = make.job(people.client), make.job(people.client, JobState.FILLED, hired_count=1)
    proposal, accepted = make.proposal(job, people.freelancer), make.proposal(filled, people.freelancer)
    contract = make.contract(filled, accepted)
    await keep(job, filled)
    await keep(*(JobSkill(job_id=job.id, skill_id=skill) for skill in make.SKILL_IDS[:3]))
    await keep(proposal, accepted)
    parts = [part for one in (proposal, accepted) for part in ProposalMilestone.of(one, make.proposal_words())]
    await keep(contract, *parts)
    await keep(make.milestone(contract), make.milestone(contract, position=1))
    return {"job": id_of(job), "proposal": id_of(proposal), "contract": id_of(contract), "filled": id_of(filled)}


OPERATIONS = {
    "names longer than an identifier of Postgres may be": f"""
        query ($job: ID!) {{
            {LONG}: job(id: $job) {{ {LONG}1: title {LONG}2: title b: budget {{ {LONG}: kind }} }}
        }}""",
    "fields that are merged": """
        query ($job: ID!) {
            job(id: $job) { client { companyName } ...Named client { ...Who } title }
            job(id: $job) { client { joinedAt } proposals { nodes { id } } }
        }
        fragment Named on Job { id client { id } proposals { totalCount } }
        fragment Who on Client { city version companyName }""",
    "fragments on an interface": """
        query ($job: ID!, $proposal: ID!) {
            node(id: $job) { __typename ...Any ... on Node { again: id } ... on Proposal { coverLetter } }
            other: node(id: $proposal) { ...Any ... on Job { title } }
        }
        fragment Any on Node { id ... on Job { title state } ... on Proposal { bid { amount } job { id } } }""",
    "things of many kinds, known and unknown": """
        query ($job: ID!, $proposal: ID!, $contract: ID!) {
            nodes(ids: [$contract, $job, "job_00000000000000000000000000000000", $proposal, $job]) {
                __typename id ... on Contract { milestones { position } } ... on Job { title }
            }
            none: nodes(ids: []) { id }
        }""",
    "nothing but the names of types": """
        query ($job: ID!) {
            __typename
            job(id: $job) {
                __typename budget { __typename } bidRange { __typename } skills { __typename }
                proposals { __typename edges { __typename node { __typename } } pageInfo { __typename } }
            }
        }""",
    "pages from both ends": """
        query ($job: ID!) {
            jobs(last: 1) { edges { cursor node { id } } pageInfo { ...All } totalCount }
            job(id: $job) { proposals(last: 5) { nodes { id } pageInfo { ...All } } }
            freelancers(first: 1) { pageInfo { ...All } nodes { items { title } } }
            catalogue { categories(first: 2) { pageInfo { endCursor } } skills { totalCount } }
        }
        fragment All on PageInfo { hasNextPage hasPreviousPage startCursor endCursor }""",
    "filters of every kind": """
        {
            jobs(filter: {experience: [EXPERT, INTERMEDIATE, ENTRY_LEVEL], budgetKind: FIXED, duration: []}) {
                totalCount nodes { id }
            }
            some: jobs(filter: {duration: null}, first: null) { totalCount }
        }""",
    "what only some may know": """
        query ($proposal: ID!, $job: ID!, $contract: ID!) {
            proposal(id: $proposal) {
                isShortlisted isArchived availableActions attachments { name url } contract { id }
            }
            job(id: $job) { availableActions attachments { url } }
            contract(id: $contract) { milestones { availableActions contract { id } } proposal { id } }
            viewer { account { birthDate roles } sessions { isCurrent } uploads { nodes { url availableActions } } }
        }""",
}


@pytest.mark.parametrize("caller", ["nobody", "client", "freelancer", "other_freelancer", "admin"])
@pytest.mark.parametrize("text", OPERATIONS.values(), ids=OPERATIONS.keys())
async def test_a_statement_says_what_the_ordinary_way_says(text, caller, both, scene, people):
    viewer = getattr(people, caller, None)
    named = {name: key for name, key in scene.items() if f"${name}: " in text}

    answer, went = await both(viewer, text, **named)

    assert "errors" not in answer
    assert went == "compiled"


@pytest.mark.parametrize("skills", [True, False])
@pytest.mark.parametrize("client", [True, False])
async def test_parts_are_included_as_variables_say(skills, client, both, scene):
    text = """
    query ($id: ID!, $skills: Boolean!, $client: Boolean! = true) {
        job(id: $id) {
            id skills @include(if: $skills) { name }
            ... @skip(if: $client) { title } ...C @include(if: $client)
        }
    }
    fragment C on Job { client { id @skip(if: $skills) city } }"""

    answer, went = await both(None, text, id=scene["job"], skills=skills, client=client)

    assert ("skills" in answer["data"]["job"], "client" in answer["data"]["job"]) == (skills, client)
    assert went == "compiled"


async def test_texts_are_written_alike_whatever_is_in_them(both, keep, people):
    job = make.job(people.client)
    job.title, job.description, job.location = NASTY, NASTY * 200, ""
    await keep(job)

    answer, went = await both(None, "query ($id: ID!) { job(id: $id) { title description location } }", id=id_of(job))

    assert answer["data"]["job"] == {"title": NASTY, "description": NASTY * 200, "location": ""}
    assert went == "compiled"


async def test_a_number_that_no_int_holds_is_the_error_that_it_was(both, keep, people, house):
    job = make.job(people.client)
    job.version = 2**31
    await keep(job)
    operations = Operations(build(), Limits())
    ask = Asked("query ($id: ID!) { job(id: $id) { title version } }", {"id": id_of(job)}, None, {})

    answer = await operations.run(operations.prepare(ask), house.context())

    assert [error["path"] for error in answer["errors"]] == [["job", "version"]]
    assert operations.taken == {"unsaid": 1}
    job_below = make.job(people.client)
    job_below.version = 2**31 - 1
    await keep(job_below)
    _, went = await both(None, "query ($id: ID!) { job(id: $id) { title version } }", id=id_of(job_below))
    assert went == "compiled"


REFUSED = {
    "an id of another kind": ('{ job(id: "client_00000000000000000000000000000000") { id } }', {}),
    "no id": ("query ($id: ID!) { node(id: $id) { id } }", {"id": "x"}),
    "a page of nothing": ("query ($first: Int) { jobs(first: $first) { totalCount } }", {"first": 0}),
    "a made up cursor": ("query ($after: Cursor) { jobs(after: $after) { totalCount } }", {"after": "AAAA"}),
    "both ends at once": ("{ jobs(first: 1, last: 1) { totalCount } }", {}),
    "too many ids": ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["x"] * 101}),
    "a filter by no id": ('{ jobs(filter: {categoryId: "x"}) { totalCount } }', {}),
}


@pytest.mark.parametrize(("text", "variables"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_refused_is_refused_in_the_ordinary_way(text, variables, both):
    answer, went = await both(None, text, **variables)

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]
    assert went == "refused"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{ __schema { queryType { name } } }", "introspection"),
        ('{ __type(name: "Job") { name } jobs { totalCount } }', "introspection"),
        ("{ control { version } }", "undeclared"),
    ],
)
async def test_what_no_statement_says_is_said_in_the_ordinary_way(text, reason, house, people):
    operations = Operations(build(), Limits())
    ask = Asked(text, {}, None, {})

    answer = await operations.run(operations.prepare(ask), house.context(people.client))

    assert "data" in answer
    assert operations.taken == {reason: 1}


async def test_what_is_asked_of_the_schema_alone_is_remembered(house):
    operations = Operations(build(), Limits())
    ask = Asked("{ __schema { queryType { name } } __typename }", {}, None, {})

    once = await operations.run(operations.prepare(ask), house.context())
    again = await operations.run(operations.prepare(ask), house.context())

    assert orjson.dumps(once) == orjson.dumps(again)
    assert operations.taken == {"introspection": 1, "compiled": 1}


async def test_variables_of_every_kind_mean_the_same(both, scene):
    text = """
    query (
        $first: Int, $filter: JobFilter, $kind: BudgetKind = FIXED, $id: ID = "job_00000000000000000000000000000000"
    ) {
        jobs(first: $first, filter: $filter) { nodes { id } pageInfo { hasNextPage } }
        fixed: jobs(filter: {budgetKind: $kind}) { totalCount }
        node(id: $id) { id }
    }"""
    for variables in (
        {},
        {"first": None, "filter": None},
        {"first": 1, "filter": {"budgetKind": "FIXED", "skillIds": [f"skill_{make.SKILL_IDS[0].hex}"]}},
        {"first": 100, "kind": "HOURLY", "id": scene["job"], "nobody": "asks for this"},
    ):
        answer, went = await both(None, text, **variables)
        assert "errors" not in answer
        assert went == "compiled"


# Whoever looks


async def test_nobody_sees_more_through_a_statement(both, scene, people):
    text = "query ($id: ID!) { contract(id: $id) { id } node(id: $id) { id } nodes(ids: [$id]) { id } }"
    seen = {}
    for caller in ("nobody", "client", "freelancer", "other_client", "admin"):
        answer, went = await both(getattr(people, caller, None), text, id=scene["contract"])
        assert went == "compiled"
        seen[caller] = answer["data"]["contract"] is not None

    assert seen == {"nobody": False, "client": True, "freelancer": True, "other_client": False, "admin": True}


def compiled(
    text: str, audience: Audience = Audience.MEMBER, signed_in: ColumnElement[bool] | None = None
) -> Statement:
    """The statement of an operation without variables."""
    operations = Operations(build(), Limits())
    document = operations.prepare(Asked(text, {}, None, {})).document
    plan = Planner(build()).operation(document.ast, document.operations[None].node, {})
    unsealed: Any = type("Unsealed", (), {"seal": None, "viewer": None})()
    return statement(plan.value, audience, [fill({}, unsealed, {}) for fill in plan.slots], signed_in)


def test_what_hangs_on_a_row_is_not_asked_whether_it_is_seen_once_more():
    through = compiled('{ proposal(id: "proposal_00000000000000000000000000000000") { id milestones { position } } }')
    alone = compiled('{ proposal(id: "proposal_00000000000000000000000000000000") { id } }')

    assert through.text.count("EXISTS") == alone.text.count("EXISTS") == 1


@pytest.mark.parametrize(("asked", "read"), [("__typename", 0), ("account { email }", 1), ("sessions { id }", 1)])
def test_of_whoever_is_seen_to_be_signed_in_no_more_is_read_than_is_asked_for(asked, read):
    text = f"{{ viewer {{ {asked} contracts {{ totalCount }} }} }}"

    seen, unseen = (compiled(text, signed_in=one).text for one in (IS_STILL_SIGNED_IN, None))

    assert seen.partition(" then ")[2].count("FROM accounts") == read
    assert unseen.count("FROM accounts") == 1


def test_a_sum_that_is_nought_for_nothing_is_not_asked_whether_it_is_null():
    sums = "totals { agreed { amount } paid { amount } }"
    text = f'{{ node(id: "contract_00000000000000000000000000000000") {{ ... on Contract {{ {sums} }} }} }}'

    assert "is null" not in compiled(text).text


def test_a_milestone_by_its_id_is_asked_whether_it_is_seen():
    alone = compiled('{ node(id: "milestone_00000000000000000000000000000000") { id } }')

    assert "contracts.freelancer_id = $" in alone.text


def test_no_value_that_a_request_says_is_written_into_a_statement():
    text = (
        '{ job(id: "job_0123456789abcdef0123456789abcdef") { id } jobs(filter: {experience: [EXPERT]}) { totalCount } }'
    )

    found = compiled(text)

    assert "0123456789abcdef" not in found.text
    assert "EXPERT" not in found.text
    assert found.parameters == ("viewer_id", "0.key", "1.experience", "now")


# Rows that were changed


TOTALS = "agreed { amount currency } escrowed { amount } owed { amount } paid { amount }"


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize(
    ("asked", "reads"),
    [
        ("totals { %s } milestones { position amount { amount } state dueOn }", 1),
        ("milestones { position description } title totals { %s __typename } id", 1),
        ("milestones { position } again: milestones { id } totals { %s }", 2),
        ("milestones { position availableActions } totals { %s }", 2),
    ],
)
async def test_a_list_and_its_figures_are_read_together(both, house, people, keep, count, asked, reads):
    filled = await keep(make.job(people.client, JobState.FILLED, hired_count=1))
    proposal = await keep(make.proposal(filled, people.freelancer))
    contract = await keep(make.contract(filled, proposal))
    await keep(*(make.milestone(contract, position=at) for at in range(count)))
    text = "query ($id: ID!) { contract(id: $id) { %s } }" % (asked % TOTALS)

    for viewer in (people.client, people.freelancer, people.other_client, people.admin):
        found, went = await both(viewer, text, id=id_of(contract))
        assert went == "compiled"
        assert (found["data"]["contract"] is None) is (viewer is people.other_client)
    operations = Operations(build(), Limits())
    with statements(house) as sent:
        asking = operations.prepare(Asked(text, {"id": id_of(contract)}, None, {}))
        await operations.run(asking, house.context(people.client))
    assert sent[-1].count("FROM milestones") == reads


CLOSE = """
mutation ($id: ID!) {
    closeJob(input: {jobId: $id}) {
        ... on Job { id state client { companyName } skills { name } proposalCount availableActions }
        ... on Refused { code message }
    }
}"""


async def test_what_is_asked_of_a_changed_row_is_one_statement(house, people, scene, as_):
    operations = Operations(build(), Limits())
    ask = Asked(CLOSE, {"id": scene["job"]}, None, {})

    with statements(house) as sent:
        answer = orjson.loads(orjson.dumps(await operations.run(operations.prepare(ask), as_(people.client))))

    assert answer["data"]["closeJob"]["state"] == "CLOSED"
    assert answer["data"]["closeJob"]["client"] == {"companyName": "Clara"}
    assert operations.taken == {"row": 1}
    assert sum("convert_to" in text for text in sent) == 1
    # After the transaction nothing else is read.
    assert "convert_to" in sent[-1]


async def test_a_changed_row_looks_the_same_in_both_ways(people, keep, as_):
    found = []
    for way in (True, False):
        operations = Operations(build(), Limits(), compiled=way)
        job = await keep(make.job(people.client))
        ask = Asked(CLOSE, {"id": id_of(job)}, None, {})
        answer = orjson.dumps(await operations.run(operations.prepare(ask), as_(people.client)))
        found.append(answer.replace(id_of(job).encode(), b"the job"))

    assert found[0] == found[1]


async def test_a_refusal_is_said_in_the_ordinary_way(people, scene, as_):
    operations = Operations(build(), Limits())
    ask = Asked(CLOSE, {"id": scene["job"]}, None, {})

    answer = orjson.loads(orjson.dumps(await operations.run(operations.prepare(ask), as_(people.other_client))))

    assert answer["data"]["closeJob"]["code"] == "FORBIDDEN"
    assert operations.taken == {}


async def test_of_what_is_known_already_nothing_is_read(people, scene, as_):
    operations = Operations(build(), Limits())
    text = "mutation ($id: ID!) { closeJob(input: {jobId: $id}) { ... on Job { id state budget { kind } } } }"

    answer = await operations.run(operations.prepare(Asked(text, {"id": scene["job"]}, None, {})), as_(people.client))

    assert orjson.loads(orjson.dumps(answer))["data"]["closeJob"]["state"] == "CLOSED"
    assert operations.taken == {"row known": 1}


async def test_lists_on_a_profile_keep_their_order(both, keep, people):
    items = [
        ProfileItem(freelancer_id=people.freelancer.id, kind=kind, **vars(ItemWords(f"{kind.value} {at}")))
        for at in range(3)
        for kind in (ItemKind.EXPERIENCE, ItemKind.ACHIEVEMENT, ItemKind.EDUCATION)
    ]
    await keep(*items)

    answer, went = await both(None, "{ freelancers { nodes { items { kind title startsOn } } } }")

    assert went == "compiled"
    assert sum(len(node["items"]) for node in answer["data"]["freelancers"]["nodes"]) == 9


async def test_what_is_asked_of_a_row_that_an_event_shows_is_one_statement(house, people, scene, as_):
    operations = Operations(build(), Limits())
    text = """subscription ($id: ID!) {
        proposalChanged(jobId: $id) { kind proposal { id state freelancer { fullName } milestones { position } } }
    }"""
    operation = operations.prepare(Asked(text, {"id": scene["job"]}, None, {}))

    async with aclosing(operations.listen(operation, as_(people.client))) as news:
        following = Following(house, news)
        await following.begun()
        with statements(house) as sent:
            withdrawn = key_of("proposal", scene["proposal"])
            await resolvers.proposals.withdraw(as_(people.freelancer), proposal_id=withdrawn)
            answer = orjson.loads(orjson.dumps(await following.heard()))

    told = answer["data"]["proposalChanged"]
    assert (told["kind"], told["proposal"]["state"]) == ("PROPOSAL_WITHDRAWN", "WITHDRAWN")
    assert len(told["proposal"]["milestones"]) == 2
    assert operations.taken == {"row": 1}
    assert sum("convert_to" in one for one in sent) == 1
