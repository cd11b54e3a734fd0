"""Pens: what is to be done at the same moment is done by one statement, and nobody pays for another's failure."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

import ops.pens
import ops.turns
from models.errors import Busy, OutcomeUnknown
from ops.database import Database
from ops.pens import TOGETHER_MAX, Pens
from ops.pipe import Pipe
from resolvers.context import LongWay, Sequel
from tests.ops.test_lines import LOCK, ended, locked, until

SAID = "select array_to_string($1::text[], ',')"
KEPT = """with kept as (
    insert into stream_heads select word, 1 from unnest($1::text[]) word returning stream
) select string_agg(stream, ',') from kept"""
GONE = """with gone as (
    delete from stream_heads where stream = any ($1::text[]) returning stream
) select coalesce(string_agg(stream, ',' order by stream), '') from gone"""
STUCK = f"""set_config('lock_timeout', '20s', true) said,
    lateral (select pg_advisory_xact_lock_shared({LOCK}) where said <> '') stuck"""
LOCKED = f"{SAID} from {STUCK}"
ALONE = "select pg_backend_pid()::text from unnest($1::text[])"
ECHO = "select $1"


@dataclass(frozen=True)
class Wanted:
    """A deed whose statement is given everybody's words."""

    kind: str
    word: str = "x"
    by: UUID = field(default_factory=uuid4)

    def together(self, others: Sequence["Wanted"]) -> tuple[str, list[list[str]]]:
        return self.kind, [[one.word for one in (self, *others)]]


@pytest.fixture
async def pens(settings) -> AsyncIterator[Pens]:
    """A pen."""
    base = Database.at(settings.database_url, connections=8)
    yield base.pens
    await base.close()


@asynccontextmanager
async def many_pens(settings) -> AsyncIterator[Pens]:
    """Three pens."""
    base = Database.at(settings.database_url, connections=24)
    try:
        yield base.pens
    finally:
        await base.close()


def started(pens: Pens, *wanted: Wanted) -> list[asyncio.Task[bytes]]:
    return [asyncio.create_task(pens.do(one)) for one in wanted]


async def done(pens: Pens, text: str, *words: str) -> list[bytes | BaseException]:
    """Have something done for as many people at once."""
    return await asyncio.gather(*started(pens, *(Wanted(text, word) for word in words)), return_exceptions=True)


@pytest.mark.parametrize("turns", [1, 3])
async def test_a_sequel_is_answered_with_what_is_done(pens, turns):
    for turn in range(turns):
        sequel = Sequel(ECHO, [f"{turn}"])
        assert await pens.do(Wanted(SAID, "first"), sequel) == b"first"
        assert sequel.value == b"%d" % turn

    assert pens.figures == (1, 1, 0)


async def test_what_is_wanted_at_once_is_done_by_one_statement_and_each_has_the_sequel_of_her_own(pens):
    sequels = [Sequel(ECHO, [word]) if word != "b" else None for word in "abc"]

    told = await asyncio.gather(
        *(pens.do(Wanted(SAID, word), sequel) for word, sequel in zip("abc", sequels, strict=True))
    )

    assert told == [b"a,b,c"] * 3
    assert [sequel.value for sequel in sequels if sequel] == [b"a", b"c"]


async def test_what_is_wanted_meanwhile_is_gathered_and_done_by_the_next_as_many_as_may(settings, monkeypatch):
    monkeypatch.setattr(Pens, "patience", 20.0)
    async with many_pens(settings) as pens, locked(settings) as unlock:
        first = started(pens, Wanted(LOCKED, "first"))
        await until(lambda: len(pens._at_work) == 1)
        second = started(pens, Wanted(LOCKED, "second"))
        await until(lambda: len(pens._at_work) == 2)
        others = started(pens, *(Wanted(LOCKED) for _ in range(TOGETHER_MAX + 4)))
        await until(lambda: pens.figures == (1, 0, TOGETHER_MAX + 4))
        await unlock()

        assert await asyncio.gather(*first, *second) == [b"first", b"second"]
        told = [one.decode().count("x") for one in await asyncio.gather(*others)]
        assert told == [TOGETHER_MAX] * TOGETHER_MAX + [4] * 4
        assert pens.figures == (1, 1, 0)


async def test_what_is_of_another_kind_is_done_by_another_statement(pens):
    assert await asyncio.gather(*started(pens, Wanted(SAID), Wanted(LOCKED), Wanted(SAID))) == [b"x,x", b"x", b"x,x"]


async def test_what_somebody_does_while_she_does_something_else_is_for_the_long_way(pens):
    her = uuid4()
    two = started(pens, Wanted(SAID, "a", her), Wanted(SAID, "b"), Wanted(SAID, "c", her))

    first, other, second = await asyncio.gather(*two, return_exceptions=True)

    assert (first, other) == (b"a,b", b"a,b")
    assert isinstance(second, LongWay)
    assert await pens.do(Wanted(SAID, "d", her)) == b"d"


async def test_of_those_who_are_refused_together_each_is_told_what_becomes_of_her_alone(pens):
    assert await done(pens, KEPT, "b") == [b"b"]

    a, b, c = await done(pens, KEPT, "a", "b", "c")

    assert (a, c) == (b"a", b"c")
    assert isinstance(b, LongWay)
    assert await done(pens, GONE, "a", "b", "c") == [b"a,b,c"] * 3
    assert pens.figures == (1, 1, 0)


async def test_whose_sequel_fails_keeps_nobody_else_from_anything(pens):
    failing = Sequel("select (1 / $1::int)::text", [0])

    with pytest.raises(LongWay):
        await asyncio.gather(pens.do(Wanted(KEPT, "a")), pens.do(Wanted(KEPT, "b"), failing))
    await until(lambda: pens.figures == (1, 1, 0))

    assert await done(pens, GONE, "a", "b") == [b"a"] * 2


async def test_whoever_is_held_up_goes_the_long_way_and_nobody_else(pens, settings):
    holder = await asyncpg.connect(settings.database_url.replace("+asyncpg", ""))
    async with holder.transaction():
        await holder.execute("insert into stream_heads values ('b', 1)")
        with capture_logs() as lines:
            a, b, c = await done(pens, KEPT, "a", "b", "c")
    await holder.close()

    assert (a, c) == (b"a", b"c")
    assert isinstance(b, LongWay)
    assert lines == []
    assert await done(pens, GONE, "a", "b", "c") == [b"a,b,c"] * 3


async def test_who_takes_too_long_is_told_to_come_back(pens, settings):
    await pens.do(Wanted(SAID))
    (pen,) = pens._lines
    await pen.ask(("select set_config('statement_timeout', '20ms', false)", []))
    async with locked(settings):
        with pytest.raises(Busy):
            await pens.do(Wanted(LOCKED))


@pytest.mark.parametrize("is_known", [False, True])
async def test_where_a_sequel_fails_nothing_was_done(pens, is_known):
    failing = "select (1 / $1::int)::text"
    if is_known:
        await pens.do(Wanted(KEPT), Sequel(failing, [1]))
        await pens.do(Wanted(GONE))

    with pytest.raises(LongWay):
        await pens.do(Wanted(KEPT), Sequel(failing, [0]))

    assert await pens.do(Wanted(KEPT), Sequel(failing, [1])) == b"x"
    assert await pens.do(Wanted(GONE)) == b"x"


@pytest.mark.parametrize("is_known", [False, True])
async def test_what_is_refused_is_for_the_long_way_whatever_its_sequel(pens, is_known):
    failing = "select (1 / ($1::text[])[1]::int)::text"
    if is_known:
        await pens.do(Wanted(failing, "1"), Sequel(ECHO, ["x"]))

    with pytest.raises(LongWay):
        await pens.do(Wanted(failing, "0"), Sequel(ECHO, ["x"]))

    assert await pens.do(Wanted(SAID)) == b"x"
    assert pens.figures == (1, 1, 0)


async def test_whoever_gives_up_while_it_is_done_has_it_done(pens, settings):
    await pens.do(Wanted(SAID))
    slow = KEPT.replace("unnest($1::text[]) word", f"{STUCK}, unnest($1::text[]) word")
    async with locked(settings) as unlock:
        (leaving,) = started(pens, Wanted(slow))
        await until(lambda: pens.figures == (1, 0, 0))
        await ended(leaving)
        await unlock()

    assert await pens.do(Wanted(GONE)) == b"x"
    assert pens.figures == (1, 1, 0)


async def test_whoever_gives_up_before_has_nothing_done_and_keeps_nobody_from_anything(pens, settings, monkeypatch):
    monkeypatch.setattr(Pens, "patience", 20.0)
    async with locked(settings) as unlock:
        stuck = started(pens, Wanted(LOCKED))
        await until(lambda: len(pens._at_work) == 1)
        stuck += started(pens, Wanted(LOCKED))
        await until(lambda: len(pens._at_work) == 2)
        leaving, staying = started(pens, Wanted(KEPT, "a"), Wanted(KEPT, "b"))
        only = started(pens, Wanted(GONE, "c"))
        await until(lambda: pens.figures == (1, 0, 3))
        await ended(leaving, *only)
        await unlock()
        await asyncio.gather(*stuck)

        assert await staying == b"b"
    assert await done(pens, GONE, "a", "b") == [b"b"] * 2
    assert pens.figures == (1, 1, 0)


@pytest.mark.parametrize(("failing", "told"), [("1 / 0", []), ("$1::text::int", ["InvalidTextRepresentationError"])])
async def test_a_deed_that_fails_as_none_should_is_told_by_its_name_alone(pens, failing, told):
    with capture_logs() as lines, pytest.raises(LongWay):
        await pens.do(Wanted(f"select ({failing})::text from unnest($1::text[])", "their words"))

    assert [line["reason"] for line in lines] == told
    assert "their words" not in str(lines)


async def test_a_deed_that_somebody_else_has_done_before_is_no_news(pens):
    assert await pens.do(Wanted(KEPT)) == b"x"
    with capture_logs() as lines, pytest.raises(LongWay):
        await pens.do(Wanted(KEPT))

    assert lines == []
    assert await pens.do(Wanted(GONE)) == b"x"


async def test_what_cannot_be_written_down_is_told_and_takes_no_pen_along(pens):
    class Odd(Wanted):
        def together(self, others):
            raise ValueError(f"one of {len(others) + 1}")

    told = await asyncio.gather(*started(pens, Odd(SAID), Odd(SAID)), return_exceptions=True)

    assert list(map(str, told)) == ["one of 2"] * 2
    assert await pens.do(Wanted(SAID)) == b"x"
    assert pens.figures == (1, 1, 0)


async def test_who_loses_the_connection_knows_nothing_and_whoever_comes_later_has_another(pens, settings):
    pid = await pens.do(Wanted(ALONE))
    cutter = await asyncpg.connect(settings.database_url.replace("+asyncpg", ""))
    async with locked(settings):
        asked = started(pens, Wanted(LOCKED), Wanted(LOCKED))
        await until(lambda: len(pens._at_work) == 1)
        await cutter.execute("select pg_terminate_backend($1)", int(pid))
        told = await asyncio.gather(*asked, return_exceptions=True)
    await cutter.close()

    assert [type(one) for one in told] == [OutcomeUnknown] * 2
    assert await pens.do(Wanted(SAID)) == b"x"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError,
        asyncpg.CannotConnectNowError,
        asyncpg.ConnectionDoesNotExistError,
        asyncpg.InterfaceError,
    ],
)
async def test_without_a_database_nothing_was_done(pens, monkeypatch, error):
    async def refused():
        raise error("not now")

    monkeypatch.setattr(pens, "_connect", refused)

    told = await done(pens, SAID, "a", "b")

    assert [type(one) for one in told] == [LongWay] * 2
    assert pens.figures == (0, 0, 0)


async def test_who_waits_too_long_for_a_pen_is_told_to_come_back(pens, settings, monkeypatch):
    monkeypatch.setattr(ops.turns, "CHECKOUT_SECONDS", 0.05)
    monkeypatch.setattr(Pipe, "silent_for", 20.0)
    async with locked(settings) as unlock:
        stuck = started(pens, Wanted(LOCKED))
        await until(lambda: len(pens._at_work) == 1)

        told = await done(pens, SAID, "a", "b")

        await unlock()
        assert [type(one) for one in told] == [Busy] * 2
        assert await asyncio.gather(*stuck) == [b"x"]


async def test_a_pen_that_goes_on_writes_alone(settings, monkeypatch):
    monkeypatch.setattr(Pens, "patience", 20.0)
    slow = f"{SAID} from pg_sleep(0.005)"
    async with many_pens(settings) as pens:
        told = await done(pens, slow, *map(str, range(80)))

        assert not any(isinstance(one, BaseException) for one in told)
        assert pens.figures == (1, 1, 0)


async def test_pens_that_are_stuck_are_joined_by_others_and_by_no_more_than_there_are(settings, monkeypatch):
    monkeypatch.setattr(Pens, "look_seconds", 0.01)
    monkeypatch.setattr(Pens, "patience", 0.01)
    monkeypatch.setattr(ops.pens, "TOGETHER_MAX", 1)
    async with many_pens(settings) as pens, locked(settings) as unlock:
        asked = started(pens, *(Wanted(LOCKED, "done") for _ in range(20)))
        await until(lambda: pens.figures[0] == pens.most and len(pens._at_work) >= pens.most)
        await unlock()

        assert await asyncio.gather(*asked) == [b"done"] * 20
        assert pens.figures == (pens.most, pens.most, 0)
        assert pens.most > 1


async def test_nobody_gets_in_line_behind_a_statement_that_is_stuck(settings, monkeypatch):
    monkeypatch.setattr(Pens, "look_seconds", 0.01)
    monkeypatch.setattr(Pens, "patience", 0.01)
    async with many_pens(settings) as pens, locked(settings) as unlock:
        waiting = started(pens, Wanted(LOCKED, "at last"))
        await until(lambda: any(map(pens._is_stuck, pens._at_work)))
        told = [await pens.do(Wanted(SAID)) for _ in range(20)]

        assert told == [b"x"] * 20
        assert not any(one.done() for one in waiting)
        await unlock()
        assert await asyncio.gather(*waiting) == [b"at last"]


async def test_they_are_one_again_when_none_is_stuck(settings, monkeypatch):
    monkeypatch.setattr(Pens, "look_seconds", 0.01)
    monkeypatch.setattr(Pens, "patience", 0.01)
    monkeypatch.setattr(ops.pens, "TOGETHER_MAX", 1)
    async with many_pens(settings) as pens, locked(settings) as unlock:
        stuck = started(pens, *(Wanted(LOCKED) for _ in range(20)))
        await until(lambda: pens.figures[0] == pens.most)
        await unlock()
        await asyncio.gather(*stuck)
        monkeypatch.setattr(Pens, "patience", 20.0)
        pids = {await pens.do(Wanted(ALONE)) for _ in range(10)}

        assert len(pids) == 1
