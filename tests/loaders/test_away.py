"""What is said when the database is away."""

from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

import loaders.accounts
from loaders.batch import Loaders
from loaders.work import in_our_words
from models.errors import Busy, OutcomeUnknown
from tests import make


class Away:
    """A door to a database that is not there."""

    async def __aenter__(self) -> Any:
        raise ConnectionRefusedError

    async def __aexit__(self, *_: object) -> None:
        return


async def test_what_cannot_be_read_may_be_asked_again():
    me = make.client()

    with pytest.raises(Busy):
        await Loaders(Away, me).one(loaders.accounts.account, me.id)


async def test_what_cannot_be_read_after_a_write_was_kept_is_not_to_be_done_again():
    me = make.client()
    reads = Loaders(Away, me)
    reads.forget(kept=True)

    with pytest.raises(OutcomeUnknown):
        await reads.one(loaders.accounts.account, me.id)


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
