"""What is said of the time, and to whom."""

from datetime import timedelta

import pytest

from tests import make
from tests.schema.callers import Ask, mutation, query, rows

TABLE = """
              nobody           rival      stranger   client     freelancer  admin
clock         Clock            =          =          =          =           =
advanceClock  UNAUTHENTICATED  FORBIDDEN  FORBIDDEN  FORBIDDEN  FORBIDDEN   CLOCK_IS_REAL
"""

ASKS: dict[str, Ask] = {
    "clock": query("clock"),
    "advanceClock": mutation("advanceClock", lambda _: {"days": 1}),
}


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


async def test_the_time_is_told(ask, house):
    answer = await ask(None, "{ clock { now aheadSeconds isSandbox } }")

    assert answer["data"]["clock"]["aheadSeconds"] == 0
    assert answer["data"]["clock"]["isSandbox"] is False
    assert answer["data"]["clock"]["now"][:10] in {str(house.clock().date()), str(house.clock.wall().date())}


@pytest.fixture
async def later(house, ask, people, monkeypatch):
    """Let days pass, as an administrator does in a sandbox; it is the present again afterwards."""
    monkeypatch.setattr(house.clock, "is_sandbox", True)

    async def days(count):
        text = "mutation ($input: AdvanceClockInput!) { advanceClock(input: $input) { __typename } }"
        answer = await ask(people.admin, text, input={"days": count})
        assert answer["data"]["advanceClock"] == {"__typename": "Clock"}

    yield days
    house.clock._ahead = timedelta()
    house.clock.moved.clear()


MINE = "{ viewer { wallet { connects { balance } } connects { balance lots { totalCount nodes { size } } } } }"


async def test_connects_are_gone_by_the_clock_of_the_house_though_nobody_has_taken_them_yet(ask, people, later):
    (lot,) = (await ask(people.freelancer, MINE))["data"]["viewer"]["connects"]["lots"]["nodes"]
    left = {"balance": lot["size"]}

    await later(364)
    assert (await ask(people.freelancer, MINE))["data"]["viewer"] == {
        "wallet": {"connects": left},
        "connects": left | {"lots": {"totalCount": 1, "nodes": [lot]}},
    }

    await later(2)
    assert (await ask(people.freelancer, MINE))["data"]["viewer"] == {
        "wallet": {"connects": {"balance": 0}},
        "connects": {"balance": 0, "lots": {"totalCount": 0, "nodes": []}},
    }


async def test_jobs_are_over_by_the_clock_of_the_house(ask, keep, people, later):
    job = await keep(make.job(people.client))
    text = "{ jobs { totalCount nodes { title } } }"
    assert (await ask(None, text))["data"]["jobs"] == {"totalCount": 1, "nodes": [{"title": job.title}]}

    await later(60)

    assert (await ask(None, text))["data"]["jobs"] == {"totalCount": 0, "nodes": []}


async def test_sessions_last_by_the_time_of_the_world(scene, ask, clock, later):
    text = "{ viewer { sessions { id } } }"
    mine = {"viewer": {"sessions": [{"id": scene.ids()["session"]}]}}

    await later(60)
    assert (await ask(scene.as_("client"), text))["data"] == mine

    clock.advance(days=31)
    assert (await ask(scene.as_("client"), text))["data"] == {"viewer": {"sessions": []}}
