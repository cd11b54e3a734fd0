"""What is given up, because something beside it failed, leaves nothing that Python would complain of."""

import asyncio
import gc
import sys
from typing import Any

import pytest
import strawberry
from graphql.execution import executor
from graphql.pyutils import gather_with_cancel

from ops.transport.asked import Asked
from ops.transport.operations import Operations
from ops.transport.waiting import wait_for_all
from schema.limits import Limits

TURNS_MAX = 8

SELECTIONS = (
    "one two",
    "it { one two }",
    "a: it { one two } b: it { two one }",
    "many { two }",
    "many { one two many { it { two one } two } }",
    "one later { one two many { one two } }",
)


@strawberry.type
class Inner:
    @strawberry.field
    async def one(self) -> int:
        return 1

    @strawberry.field
    async def two(self) -> int:
        return await asyncio.sleep(0, 2)

    @strawberry.field
    def it(self) -> "Inner":
        return Inner()

    @strawberry.field
    async def later(self) -> "Inner":
        return await asyncio.sleep(0, Inner())

    @strawberry.field
    def many(self) -> "list[Inner]":
        return [Inner(), Inner()]


@strawberry.type
class Query:
    @strawberry.field
    async def failing(self, turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise ValueError("No.")

    @strawberry.field
    async def inner(self, turns: int) -> Inner:
        for _ in range(turns):
            await asyncio.sleep(0)
        return Inner()


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Python had to complain of that could not be raised anywhere."""
    found: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda complaint: found.append(str(complaint.exc_value)))
    return found


OPERATIONS = Operations(strawberry.Schema(Query), Limits(), compiled=False)


async def answered(text: str) -> dict[str, Any]:
    return await OPERATIONS.run(OPERATIONS.prepare(Asked(text, {}, None, {})), None)


async def fail_in_each_turn(selection: str) -> None:
    """Have a field fail before what is beside it has begun, in each of its turns, and after."""
    for turns in range(TURNS_MAX):
        answer = await answered(f"{{ failing(turns: {turns}) inner(turns: 1) {{ {selection} }} }}")
        assert answer["data"] is None
        assert [error["path"] for error in answer["errors"]] == [["failing"]]
    gc.collect()


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_what_has_not_begun_when_something_fails_leaves_nothing(complaints: list[str], selection: str) -> None:
    await fail_in_each_turn(selection)

    assert complaints == []


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_what_has_not_begun_when_the_operation_is_given_up_leaves_nothing(
    complaints: list[str], selection: str
) -> None:
    text = f"{{ inner(turns: 0) {{ {selection} }} other: inner(turns: 99) {{ one }} }}"
    for turns in range(TURNS_MAX):
        operation = asyncio.create_task(answered(text))
        for _ in range(turns):
            await asyncio.sleep(0)
        operation.cancel()
        with pytest.raises(asyncio.CancelledError):
            await operation
    gc.collect()

    assert complaints == []


async def test_with_the_gather_of_graphql_core_there_would_be_complaints(
    complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "gather_with_cancel", gather_with_cancel)

    await fail_in_each_turn(SELECTIONS[-1])

    assert any("never awaited" in complaint for complaint in complaints)


async def test_all_answer_in_the_order_in_which_they_were_asked_for() -> None:
    is_later = asyncio.Event()

    async def first() -> int:
        await is_later.wait()
        return 1

    async def second() -> int:
        is_later.set()
        return 2

    assert await wait_for_all(first(), second()) == [1, 2]


async def wait_until_given_up(ended: list[str], error: str = "") -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        ended.append("given up")
        if error:
            raise ValueError(error)


async def fail() -> None:
    raise ValueError("first")


async def test_a_failure_is_raised_when_what_was_beside_it_has_ended() -> None:
    ended: list[str] = []

    with pytest.raises(ValueError, match="first"):
        await wait_for_all(wait_until_given_up(ended), fail())
    assert ended == ["given up"]


async def test_whoever_is_cancelled_ends_when_what_she_waits_for_has_ended() -> None:
    ended: list[str] = []
    waiting = asyncio.create_task(wait_for_all(wait_until_given_up(ended), wait_until_given_up(ended)))
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["given up", "given up"]


async def test_what_fails_when_it_is_given_up_is_not_complained_of(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="first"):
        await wait_for_all(wait_until_given_up([], "second"), fail())
    for _ in range(TURNS_MAX):
        await asyncio.sleep(0)
    gc.collect()

    assert caplog.records == []
