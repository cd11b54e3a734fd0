"""What fails takes nothing with it that Python would complain of."""

import asyncio
import gc
import sys
from typing import Any

import pytest
import strawberry

from ops.transport.asked import Asked
from ops.transport.operations import Operations
from schema.later import begin_later
from schema.limits import Limits

TURNS_MAX = 8


@strawberry.type
class Inner:
    @strawberry.field
    async def one(self) -> int:
        return 1

    @strawberry.field
    async def two(self) -> int:
        return await asyncio.sleep(0, 2)


@strawberry.type
class Query:
    @strawberry.field
    async def failing(self) -> int:
        raise ValueError("No.")

    @strawberry.field
    async def inner(self, turns: int) -> Inner:
        for _ in range(turns):
            await asyncio.sleep(0)
        return Inner()


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Python had to complain of that could not be raised anywhere."""
    found: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", found.append)
    return found


def operations(*, later: bool) -> Operations:
    schema = strawberry.Schema(Query)
    if later:
        begin_later(schema)
    return Operations(schema, Limits(), compiled=False)


async def ask_in_each_turn(asked_of: Operations) -> None:
    """Have the field fail before what is beside it has begun, and after."""
    for turns in range(TURNS_MAX):
        asked = Asked(f"{{ failing inner(turns: {turns}) {{ one two }} }}", {}, None, {})
        answer = await asked_of.run(asked_of.prepare(asked), None)
        assert answer["data"] is None
        assert [error["path"] for error in answer["errors"]] == [["failing"]]
    gc.collect()


async def test_what_had_not_begun_when_something_failed_leaves_nothing(complaints: list[Any]) -> None:
    await ask_in_each_turn(operations(later=True))

    assert complaints == []


async def test_otherwise_it_would_leave_coroutines(complaints: list[Any]) -> None:
    await ask_in_each_turn(operations(later=False))

    assert any("never awaited" in str(complaint.exc_value) for complaint in complaints)


async def test_a_field_that_begins_later_answers_as_ever() -> None:
    asked_of = operations(later=True)

    answer = await asked_of.run(asked_of.prepare(Asked("{ inner(turns: 1) { two one } }", {}, None, {})), None)

    assert answer == {"data": {"inner": {"two": 2, "one": 1}}}
