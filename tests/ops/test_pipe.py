"""Pipes to the database: what is bound arrives as it was, what comes back is whole, and nothing is heard by another."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops import pipe
from ops.pipe import Pipe, bound, prepared
from tests.ops.test_lines import ENDLESS, cut

PLAIN = {
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "uuid": st.uuids(),
    "timestamptz": st.datetimes(timezones=st.just(UTC)),
    "date": st.dates(),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12),
}
READ: dict[str, Callable[[Any], Any]] = {
    "text": str,
    "bigint": int,
    "boolean": bool,
    "uuid": UUID,
    "timestamptz": datetime.fromisoformat,
    "date": date.fromisoformat,
    "numeric": lambda text: Decimal(str(text)),
}


@pytest.fixture
async def opened(settings) -> AsyncIterator[Pipe]:
    """A pipe."""
    told = {"timezone": "UTC"}
    made = Pipe(await asyncpg.connect(settings.database_url.replace("+asyncpg", ""), server_settings=told))
    yield made
    made.close()
    await made.ended


async def value(opened: Pipe, text: str, *arguments):
    (found,) = await opened.ask(prepared(b"", text) + bound(b"", arguments))
    return found


@pytest.mark.parametrize("kind", PLAIN)
async def test_what_is_bound_arrives_as_it_was(opened, kind):
    said: list[list[object]] = []

    @given(st.lists(st.one_of(st.none(), PLAIN[kind])))
    def say(values):
        said.append(values)

    say()
    for values in said:
        for one in values[:3]:
            found = await value(opened, f"select jsonb_build_array($1::{kind})::text", one)
            (told,) = orjson.loads(_as_text(found, kind))
            assert (told if told is None else READ[kind](told)) == one
        found = await value(opened, f"select to_json($1::{kind}[])", values)
        told = orjson.loads(_as_text(found, kind))
        assert [one if one is None else READ[kind](one) for one in told] == values


def _as_text(found: bytes | None, kind: str) -> bytes:
    """Put numbers that no float holds between quotes."""
    assert found is not None
    if kind != "numeric":
        return found
    parts = (part.strip() for part in found.strip(b"[]").split(b","))
    return b"[" + b",".join(part if part in {b"null", b""} else b'"' + part + b'"' for part in parts) + b"]"


@pytest.mark.parametrize("size", [0, 1, 4_000, 8_190, 65_536, 300_000, 5_000_000])
async def test_a_value_of_any_size_is_whole(opened, size):
    assert await value(opened, "select repeat('x', $1)", size) == b"x" * size


async def test_messages_may_come_in_any_pieces(opened):
    heard = bytearray()
    take = opened.data_received
    opened.data_received = heard.extend
    opened._transport.set_protocol(opened)
    asked = [opened.ask(prepared(b"", "select $1::text") + bound(b"", [text])) for text in ("one", None, "a" * 50)]
    while heard.count(b"Z\0\0\0\5") < 3:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)

    for step in (1, 2, 3, 7, len(heard)):
        again = [opened._loop.create_future() for _ in asked]
        opened._asked.clear()
        opened._asked.extend((opened._loop.time() + 60, one) for one in again)
        for at in range(0, len(heard), step):
            take(bytes(heard[at : at + step]))
        assert [one.result() for one in again] == [[b"one"], [None], [b"a" * 50]]


async def test_many_may_ask_before_one_is_answered_and_each_has_its_own(opened):
    asked = [opened.ask(prepared(b"", f"select 12 / {number % 5} || 'th'") + bound(b"", [])) for number in range(50)]
    found = await asyncio.gather(*asked, return_exceptions=True)

    for number, one in enumerate(found):
        if number % 5:
            assert one == [b"%dth" % (12 // (number % 5))]
        else:
            assert isinstance(one, asyncpg.DivisionByZeroError)


async def test_what_is_asked_together_is_done_together_or_not_at_all(opened):
    keep = "with kept as (insert into stream_heads values ($1, 1) returning stream) select stream from kept"
    count = prepared(b"", "select count(*)::text from stream_heads where stream like 'both %'") + bound(b"", [])
    both = [prepared(b"", keep) + bound(b"", [name]) for name in ("both one", "both two")]

    assert await opened.ask(both[0] + both[1] + count) == [b"both one", b"both two", b"2"]
    with pytest.raises(asyncpg.UniqueViolationError):
        await opened.ask(prepared(b"", keep) + bound(b"", ["both three"]) + both[0])
    assert await opened.ask(count) == [b"2"]
    drop = "with gone as (delete from stream_heads where stream ~ '^both ' returning 1) select count(*)::text from gone"
    assert await value(opened, drop) == b"2"


async def test_an_error_says_what_postgres_said_and_the_next_is_answered(opened):
    with pytest.raises(asyncpg.NotNullViolationError) as told:
        await value(opened, "with kept as (insert into stream_heads values ('x', null) returning 1) select 'kept'")

    assert (told.value.table_name, told.value.column_name) == ("stream_heads", "sequence")
    assert await value(opened, "select 'here'") == b"here"


async def test_what_cannot_be_written_is_refused_before_anything_is_sent(opened):
    with pytest.raises(KeyError):
        await value(opened, "select $1::text", object())

    assert not opened.asked
    assert await value(opened, "select 'here'") == b"here"


async def test_whoever_waits_when_it_is_cut_is_told(opened, settings):
    asked = opened.ask(prepared(b"", ENDLESS) + bound(b"", []))
    await cut(settings, ENDLESS)

    with pytest.raises(asyncpg.AdminShutdownError):
        await asked
    await opened.ended
    assert opened.is_closed


async def test_what_is_called_off_holds_up_nobody(opened):
    asked = opened.ask(prepared(b"", "select 'late' from pg_sleep(60)") + bound(b"", []))
    asked.cancel()
    await opened.call_off()

    assert not opened.asked
    assert await value(opened, "select 'here'") == b"here"


async def test_a_database_that_says_nothing_is_given_up(opened, monkeypatch):
    monkeypatch.setattr(pipe, "SILENCE_SECONDS", 0.05)

    with pytest.raises(TimeoutError):
        await value(opened, "select 'late' from pg_sleep(60)")
    assert opened.is_closed


async def test_what_is_asked_in_one_breath_is_sent_in_one_piece(opened, monkeypatch):
    pieces: list[bytes] = []
    transport = opened._transport

    class Listening:
        def __getattr__(self, name: str):
            return getattr(transport, name)

        def write(self, piece: bytes) -> None:
            pieces.append(piece)
            transport.write(piece)

    monkeypatch.setattr(opened, "_transport", Listening())
    message = prepared(b"", "select $1::text") + bound(b"", ["x"])

    assert await asyncio.gather(*(opened.ask(message) for _ in range(3))) == [[b"x"]] * 3
    assert await opened.ask(message) == [b"x"]
    assert pieces == [(message + pipe.SYNC) * 3, message + pipe.SYNC]


async def test_it_is_not_the_statement_that_takes_long_when_we_are_busy(opened):
    asked = opened.ask(prepared(b"", "select 'here'") + bound(b"", []))
    time.sleep(0.02)  # noqa: ASYNC251 - it is the loop that is busy
    over = time.monotonic()

    assert (await asked).seconds <= time.monotonic() - over


async def test_whoever_asks_when_it_is_cut_already_is_told(opened):
    asked = opened.ask(prepared(b"", "select 'never'") + bound(b"", []))
    opened.abort()
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await asked

    async with asyncio.timeout(pipe.SILENCE_SECONDS / 2):
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await opened.ask(b"")
