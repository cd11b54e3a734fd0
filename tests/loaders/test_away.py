"""What is said when the database is away, or slow."""

import asyncio
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

import loaders.accounts
import loaders.proposals
from loaders.batch import Loaders
from loaders.work import in_our_words, read_steadily
from models.base import uuid7
from models.errors import Busy, OutcomeUnknown
from ops.app import wall_clock
from tests import make


class World:
    """Where time passes."""

    def __call__(self) -> datetime:
        return wall_clock()

    wall = __call__


class Away:
    """A door to a database that is not there."""

    async def __aenter__(self) -> Any:
        raise ConnectionRefusedError

    async def __aexit__(self, *_: object) -> None:
        return


async def test_what_cannot_be_read_may_be_asked_again():
    me = make.client()

    with pytest.raises(Busy):
        await Loaders(Away, me, World()).one(loaders.accounts.account, me.id)


async def test_what_cannot_be_read_after_a_write_was_kept_is_not_to_be_done_again():
    me = make.client()
    reads = Loaders(Away, me, World())
    reads.forget(kept=True)

    with pytest.raises(OutcomeUnknown):
        await reads.one(loaders.accounts.account, me.id)


class Slow(Away):
    """A door to a database that says three, in its own time."""

    def __init__(self) -> None:
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    def __call__(self) -> Any:
        return self

    async def __aenter__(self) -> Any:
        return self

    async def execute(self, _: Any, values: dict[str, Any]) -> Any:
        self.is_asked.set()
        await self.may_answer.wait()
        return [(key, 3) for key in values["keys"]]


async def test_whoever_gives_up_takes_the_answer_from_nobody_else():
    slow, job = Slow(), uuid7()
    reads = Loaders(slow, make.client(), World())
    leaving, staying = (asyncio.create_task(reads.count(loaders.proposals.of_job, job)) for _ in range(2))
    await slow.is_asked.wait()
    leaving.cancel()
    slow.may_answer.set()

    assert await staying == 3
    assert leaving.cancelled()


class Said(Exception):
    """What asyncpg passes on of Postgres' answer."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


def said(sqlstate: str) -> DBAPIError:
    error = DBAPIError("select", {}, Exception())
    assert error.orig is not None
    error.orig.__cause__ = Said(sqlstate)
    return error


@pytest.mark.parametrize("sqlstate", ["08006", "53300", "57P01", "57P02", "57P03", "40001", "55P03"])
def test_a_server_that_stops_starts_or_is_full_is_busy(sqlstate):
    with pytest.raises(Busy), in_our_words():
        raise said(sqlstate)


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), OSError("No route to host")])
def test_a_server_that_is_not_to_be_reached_is_busy(error):
    with pytest.raises(Busy), in_our_words():
        raise error


@pytest.mark.parametrize("sqlstate", ["42601", "42501", "22003", "57P04"])
def test_a_statement_that_is_wrong_is_not_to_be_tried_again(sqlstate):
    with pytest.raises(DBAPIError), in_our_words():
        raise said(sqlstate)


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (said("57P01"), 2),
        (said("08006"), 2),
        (ConnectionResetError(), 2),
        (said("57014"), 1),
        (said("55P03"), 1),
        (said("53300"), 1),
        (NoConnectionFree(), 1),
        (TimeoutError(), 1),
    ],
    ids=lambda value: str(getattr(getattr(value, "orig", None), "__cause__", None) or type(value).__name__),
)
async def test_a_read_is_tried_again_only_when_its_connection_was_cut(error, tries):
    tried = []

    class Cut:
        async def __aenter__(self) -> Any:
            tried.append(1)
            raise error

        async def __aexit__(self, *_: object) -> None:
            return

    async def read(_: Any) -> None:
        return

    with pytest.raises(Busy):
        await read_steadily(Cut, read)

    assert len(tried) == tries
