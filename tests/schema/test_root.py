"""What holds of everything that can be asked: nodes, pages, errors."""

import asyncio
import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from loaders.batch import Loaders
from loaders.pages import Seal
from models.accounts import Session
from models.config import Config
from models.jobs import Job
from ops.database import Database
from schema.edges import BY_NOUN
from tests import make
from tests.schema.callers import Ask, query, rows

TABLE = """
               nobody     rival   stranger  client      freelancer  admin
viewer         null       Viewer  =         =           =           =
node           null       =       =         null        Account     Account
node/job       Job        =       =         =           =           =
node/draft     null       =       =         Job         null        =
node/proposal  null       =       =         Proposal    =           =
node/contract  null       =       =         Contract    =           =
node/milestone null       =       =         Milestone   =           =
node/change    null       =       =         Change      =           =
node/termination null     =       =         Termination =           =
node/request   null       =       =         PaymentRequest =        =
node/payment   null       =       =         Payment     =           =
node/session   null       =       =         Session     null        =
node/item      ProfileItem =      =         =           =           =
node/transfer  null       =       =         Transfer    null        Transfer
node/upload    null       =       =         null        Upload      =
node/control   null       =       =         =           =           Control
node/message   null       =       =         =           =           ControlMessage
node/server    null       =       =         =           =           ServerNode
node/machine   null       =       =         =           =           Machine
node/lot       null       =       =         null        ConnectsLot =
node/movement  null       =       =         null        ConnectsMovement =
node/invitation null      =       =         Invitation  =           =
node/client    Client     =       =         =           =           =
node/freelancer Freelancer =      =         =           =           =
node/category  Category   =       =         =           =           =
node/skill     Skill      =       =         =           =           =
nodes          null       =       =         Proposal    =           =
"""

ASKS: dict[str, Ask] = {
    "viewer": query("viewer"),
    "node": query("node", "id", "account"),
    "nodes": query("nodes", "ids", "proposal"),
} | {row: query("node", "id", row.partition("/")[2]) for row in rows(TABLE) if "/" in row}

ROWS = 57


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


# Nodes


def test_every_kind_of_node_is_in_the_table(operations):
    kinds = {kind.name for kind in operations._core.get_implementations(operations._core.type_map["Node"]).objects}

    assert kinds == {answer for row in rows(TABLE).values() for answer in row.values()} - {"null", "Viewer"}


async def test_nodes_come_in_the_order_of_their_ids(scene, ask):
    ids = scene.ids()
    wanted = [ids[name] for name in ("skill", "proposal", "job", "draft", "job", "contract")]

    answer = await ask(
        scene.as_("freelancer"), "query ($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }", ids=wanted
    )

    unseen = {ids["draft"]}
    assert [node and node["id"] for node in answer["data"]["nodes"]] == [
        None if one in unseen else one for one in wanted
    ]


async def test_at_most_a_hundred_nodes_are_given_at_once(scene, ask):
    text = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"

    hundred = await ask(None, text, ids=[scene.ids()["job"]] * 100)
    more = await ask(None, text, ids=[scene.ids()["job"]] * 101)

    assert hundred["data"]["nodes"] == [{"id": scene.ids()["job"]}] * 100
    assert [error["extensions"] for error in more["errors"]] == [{"code": "BAD_USER_INPUT"}]


@pytest.mark.parametrize("wrong", ["", "job_", "job_" + "0" * 31 + "g", "event_" + "0" * 32, "throttle_" + "0" * 32])
async def test_what_is_no_id_of_anything_is_bad_input(wrong, ask):
    for text in ("query ($id: ID!) { node(id: $id) { id } }", "query ($id: ID!) { nodes(ids: [$id]) { id } }"):
        answer = await ask(None, text, id=wrong)
        assert [error["extensions"] for error in answer["errors"]] == [{"code": "BAD_USER_INPUT"}]


async def test_of_many_ids_the_bad_one_is_named(scene, ask):
    ids = [scene.ids()["job"], "job_", scene.ids()["skill"]]

    answer = await ask(None, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)

    assert [error["message"] for error in answer["errors"]] == ["ids.1 is not an id."]


async def test_many_ids_with_long_pages_under_them_are_too_costly(scene, ask):
    text = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Job { proposals(first: 100) { nodes { id } } } } }"

    answer = await ask(None, text, ids=[scene.ids()["job"]] * 100)

    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "TOO_COSTLY", "limit": 10_000, "found": 10_200, "cost": 10_200}


def test_ids_name_kinds_that_do_not_begin_alike():
    assert all("_" not in noun for noun in BY_NOUN)


# Pages

PAGED = {
    "freelancers": "{{ list: freelancers({0}) {1} }}",
    "jobs": "{{ list: jobs({0}) {1} }}",
    "proposals": "{{ viewer {{ list: proposals({0}) {1} }} }}",
    "own jobs": "{{ viewer {{ list: jobs({0}) {1} }} }}",
    "contracts": "{{ viewer {{ list: contracts({0}) {1} }} }}",
    "of a job": "{{ job(id: {job}) {{ list: proposals({0}) {1} }} }}",
    "skills": "{{ catalogue {{ list: skills({0}) {1} }} }}",
    "categories": "{{ catalogue {{ list: categories({0}) {1} }} }}",
}
WHOLE = """{
  totalCount nodes { id } edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
}"""


class Lists:
    """Lists of some length, and ways to walk through them."""

    def __init__(self, ask: Any, client: Any, freelancer: Any, job: Any) -> None:
        self.ask, self.client, self.freelancer, self.job = ask, client, freelancer, job

    async def page(self, name: str, arguments: str) -> Any:
        """One page of a list."""
        asker = self.client if name in {"own jobs", "of a job"} else self.freelancer
        text = PAGED[name].format(arguments, WHOLE, job=f'"job_{self.job.id.hex}"')
        answer = await self.ask(asker, text)
        assert "errors" not in answer, answer
        data = answer["data"]
        while "list" not in data:
            (data,) = data.values()
        found = data["list"]
        assert [edge["node"] for edge in found["edges"]] == found["nodes"]
        ends = [edge["cursor"] for edge in found["edges"]]
        info = found["pageInfo"]
        assert (info["startCursor"], info["endCursor"]) == ((ends[0], ends[-1]) if ends else (None, None))
        return found

    async def walk(self, name: str, size: int, *, forward: bool, between: Any = None) -> list[str]:
        """Every id of a list, page by page, in the list's order."""
        ids: list[str] = []
        argument, has_more, end, place = (
            ("first", "hasNextPage", "endCursor", "after")
            if forward
            else ("last", "hasPreviousPage", "startCursor", "before")
        )
        arguments, more = f"{argument}: {size}", True
        while more:
            found = await self.page(name, arguments)
            page = [node["id"] for node in found["nodes"]]
            ids = ids + page if forward else page + ids
            more = found["pageInfo"][has_more]
            assert len(page) == size or not more
            arguments = f'{argument}: {size}, {place}: "{found["pageInfo"][end]}"'
            if between:
                await between()
        return ids


@pytest.fixture
async def lists(ask, keep, people):
    others = [make.freelancer(f"F{number}") for number in range(ROWS - 2)]
    await keep(*others, *(profile for one in others for profile in make.profiles(one)))
    jobs = [make.job(people.client) for _ in range(ROWS)]
    # Many were published in the same moment: the id decides then.
    for at, job in enumerate(jobs):
        job.published_at = job.created_at.replace(microsecond=0) + timedelta(seconds=at // 10)
    popular = jobs[0]
    offers = [make.proposal(popular, one) for one in (*others, people.other_freelancer)]
    mine = [make.proposal(job, people.freelancer) for job in jobs]
    await keep(*jobs, *offers, *mine)
    await keep(*(make.contract(job, offer) for job, offer in zip(jobs, mine, strict=True)))
    return Lists(ask, people.client, people.freelancer, popular)


LENGTHS = {"skills": 80, "categories": 15}


@pytest.mark.parametrize("name", PAGED)
async def test_a_walk_gives_each_row_once_in_order_and_back_again(name, lists):
    length = LENGTHS.get(name, ROWS)
    whole = [node["id"] for node in (await lists.page(name, "first: 100"))["nodes"]]

    assert len(set(whole)) == len(whole) == length
    for size in (1, 10, length) if name == "jobs" else (10, length):
        assert await lists.walk(name, size, forward=True) == whole
        assert await lists.walk(name, size, forward=False) == whole
    assert (await lists.page(name, "first: 2"))["totalCount"] == length


async def test_pages_have_twenty_rows_if_nobody_says(lists):
    found = await lists.page("jobs", "after: null")

    assert len(found["nodes"]) == 20
    assert (found["pageInfo"]["hasNextPage"], found["pageInfo"]["hasPreviousPage"]) == (True, False)


async def test_before_alone_is_the_last_twenty_before(lists):
    whole = [node["id"] for node in (await lists.page("jobs", "first: 100"))["nodes"]]
    cursor = (await lists.page("jobs", "first: 31"))["pageInfo"]["endCursor"]

    found = await lists.page("jobs", f'before: "{cursor}"')

    assert [node["id"] for node in found["nodes"]] == whole[10:30]


async def test_an_empty_page_is_a_page(lists):
    end = (await lists.page("jobs", "last: 1"))["pageInfo"]["endCursor"]

    found = await lists.page("jobs", f'first: 5, after: "{end}"')

    assert found["nodes"] == []
    assert found["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "startCursor": None,
        "endCursor": None,
    }


@pytest.mark.parametrize("name", ["jobs", "of a job", "freelancers"])
async def test_rows_that_come_meanwhile_neither_repeat_nor_hide_others(name, lists, keep, people):
    before = [node["id"] for node in (await lists.page(name, "first: 100"))["nodes"]]

    async def somebody_comes():
        new = make.freelancer()
        await keep(new, *make.profiles(new), make.job(people.client))
        await keep(make.proposal(lists.job, new))

    for forward in (True, False):
        seen = await lists.walk(name, 10, forward=forward, between=somebody_comes)
        assert len(set(seen)) == len(seen)
        assert [one for one in seen if one in set(before)] == before


async def test_a_walk_among_writers_at_work_misses_nothing(lists, keep, people):
    before = {node["id"] for node in (await lists.page("jobs", "first: 100"))["nodes"]}
    done = asyncio.Event()

    async def write():
        while not done.is_set():
            await keep(make.job(people.client))

    writer = asyncio.create_task(write())
    for size in (3, 7):
        seen = await lists.walk("jobs", size, forward=True)
        assert len(set(seen)) == len(seen)
        assert before <= set(seen)
    done.set()
    await writer


WINDOWS_REFUSED = [
    "first: 0",
    "first: -1",
    "first: 101",
    "last: 0",
    "last: 101",
    "first: 1, last: 1",
    "first: -2147483648",
]


@pytest.mark.parametrize("window", WINDOWS_REFUSED)
async def test_windows_that_make_no_sense_are_bad_input(window, ask):
    answer = await ask(None, f"{{ jobs({window}) {{ totalCount }} }}")

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


async def test_after_goes_with_first_and_before_with_last(lists, ask):
    cursor = (await lists.page("jobs", "first: 1"))["pageInfo"]["endCursor"]

    for window in (f'last: 1, after: "{cursor}"', f'first: 1, before: "{cursor}"'):
        answer = await ask(None, f"{{ jobs({window}) {{ totalCount }} }}")
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


async def test_cursors_that_are_not_of_this_list_are_bad_input(lists, ask):
    good = (await lists.page("jobs", "first: 1"))["pageInfo"]["endCursor"]
    other = (await lists.page("freelancers", "first: 1"))["pageInfo"]["endCursor"]
    raw = bytearray(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)))
    raw[-1] ^= 1
    tampered = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    stranger = Seal(b"the secret of somebody else").close("jobs.all.published_at-id", "0:" + "0" * 32)
    bad = [other, tampered, stranger, good[:-2], good + "AA", good.swapcase(), "", "x", "\0", "é", "A" * 1_000, "=" * 7]

    for cursor in bad:
        for window in ("first: 1, after: $cursor", "last: 1, before: $cursor"):
            answer = await ask(None, f"query ($cursor: Cursor) {{ jobs({window}) {{ totalCount }} }}", cursor=cursor)
            assert [error["extensions"] for error in answer["errors"]] == [{"code": "BAD_USER_INPUT"}], cursor


# Errors


@pytest.fixture
async def broken(owner: AsyncEngine, scene):
    """A house whose database has lost what profiles are made of."""
    async with owner.begin() as connection:
        await connection.execute(sa.text("alter table profile_items rename to gone"))
    yield scene
    async with owner.begin() as connection:
        await connection.execute(sa.text("alter table gone rename to profile_items"))


def must_be_masked(answer: Mapping[str, Any], path: list[str]) -> None:
    (error,) = answer["errors"]
    assert (error["message"], error["path"]) == ("Something went wrong on our side.", path)
    assert set(error) == {"message", "locations", "path", "extensions"}
    assert set(error["extensions"]) == {"code", "reference"}
    assert error["extensions"]["code"] == "INTERNAL"
    assert re.fullmatch("[0-9a-f]{10}", error["extensions"]["reference"])


async def test_what_goes_wrong_inside_is_said_without_saying_what(broken, ask):
    text = "query ($id: ID!) { freelancer(id: $id) { fullName items { title } } }"

    answer = await ask(None, text, id=broken.ids()["freelancer"])

    must_be_masked(answer, ["freelancer", "items"])
    assert "profile_items" not in str(answer)


async def test_what_goes_wrong_inside_a_mutation_is_said_without_saying_what(broken, ask):
    text = 'mutation { addProfileItem(input: {kind: EDUCATION, title: "Master"}) { __typename } }'

    must_be_masked(await ask(broken.as_("freelancer"), text), ["addProfileItem"])


async def test_a_seal_that_cannot_seal_is_nobodys_business(scene, ask):
    ctx = replace(scene.as_("client"), seal=Seal("not bytes"))  # type: ignore[arg-type]

    must_be_masked(await ask(ctx, "{ jobs { pageInfo { endCursor } } }"), ["jobs", "pageInfo", "endCursor"])


async def test_a_database_that_is_away_is_busy_and_says_that_it_passes(scene, ask):
    # Port 1 is nobody's.
    nowhere = scene.house.database.engine.url.set(port=1).render_as_string(hide_password=False)
    database = Database.at(nowhere, connections=2)
    here = scene.as_("client")
    loaders = Loaders(database.reading, here.viewer, here.now)
    away = replace(here, reading=database.reading, loaders=loaders, answers=database.lines)

    answer = await ask(away, "query ($id: ID!) { job(id: $id) { id } }", id=scene.ids()["job"])

    assert answer["data"] == {"job": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BUSY"]
    await database.close()


async def test_a_mutation_without_its_database_may_be_tried_again(scene, ask):
    engine = create_async_engine(scene.house.database.engine.url.set(port=1))
    here = scene.as_("client")
    away = replace(here, transactions=async_sessionmaker(engine, class_=here.transactions.class_))
    text = (
        "mutation ($id: ID!) { closeJob(input: {jobId: $id}) { ... on Refused { code retryable retryAfterSeconds } } }"
    )

    answer = await ask(away, text, id=scene.ids()["job"])

    assert answer == {"data": {"closeJob": {"code": "BUSY", "retryable": True, "retryAfterSeconds": 1}}}
    await engine.dispose()


async def test_what_one_mutation_changes_the_next_one_in_the_document_sees(scene, ask):
    text = """
    mutation ($id: ID!) {
      first: closeJob(input: {jobId: $id}) { ... on Job { state proposals { nodes { state } } } }
      second: closeJob(input: {jobId: $id}) { ... on Refused { code } }
      third: renewJob(input: {jobId: $id}) { ... on Refused { code } }
    }
    """

    answer = await ask(scene.as_("client"), text, id=scene.ids()["job"])

    assert answer["data"] == {
        "first": {"state": "CLOSED", "proposals": {"nodes": [{"state": "REJECTED"}]}},
        "second": {"code": "JOB_CLOSED"},
        "third": {"code": "JOB_NOT_RENEWABLE"},
    }


async def test_a_session_that_has_ended_is_not_listed(scene, ask, keep, house):
    gone = Session.begin(scene.account("client"), address="", agent="", at=house.clock(), config=Config())
    gone.end(house.clock())
    await keep(gone)

    answer = await ask(scene.as_("client"), "{ viewer { sessions { id } } }")

    assert answer["data"]["viewer"]["sessions"] == [{"id": scene.ids()["session"]}]


def test_rows_of_jobs_are_shown_by_one_type():
    assert BY_NOUN[Job.noun].target is Job
