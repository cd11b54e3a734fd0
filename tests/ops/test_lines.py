"""Lines to the database: prepared once, handed from one to the next, and never lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from models.errors import Busy
from ops.database import Database
from ops.lines import Lines, Quick
from ops.turns import PREPARED_MAX

ALONE = "select pg_backend_pid()::text"
ENDLESS = "select pg_sleep(60)"
LOCK = 20_261_121
LOCKED = f"select $1::text from pg_advisory_xact_lock_shared({LOCK})"
COUNTED = "select count(*)::text from pg_prepared_statements"


@pytest.fixture
async def lines(settings) -> AsyncIterator[Lines]:
    """Two lines."""
    base = Database.at(settings.database_url, connections=4)
    yield base.lines
    await base.lines.close()
    await base.engine.dispose()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - lines tell nobody how they are
            await asyncio.sleep(0)


async def cut(settings, query: str) -> None:
    """Cut whoever runs this, as soon as somebody does, in this test's database: others belong to tests beside it."""
    cutter = await asyncpg.connect(settings.database_url.replace("+asyncpg", ""))
    running = "select pg_terminate_backend(pid) from pg_stat_activity where query = $1 and datname = current_database()"
    while not await cutter.fetch(running, query):
        continue
    await cutter.close()


async def held(lines: Lines, count: int) -> list[asyncio.Task[bytes | None]]:
    """Somebody on each line who stays until she is cancelled."""
    tasks = [asyncio.create_task(lines.value(ENDLESS, [], keep=False)) for _ in range(count)]
    await until(lambda: lines.figures[0] == count)
    return tasks


@asynccontextmanager
async def locked(settings) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Have whoever asks `LOCKED` wait, until the function given is called, or to the end."""
    holder = await asyncpg.connect(settings.database_url.replace("+asyncpg", ""))
    await holder.execute(f"select pg_advisory_lock({LOCK})")

    async def unlock() -> None:
        await holder.execute("select pg_advisory_unlock_all()")

    try:
        yield unlock
    finally:
        await holder.close()


async def ended(*tasks: asyncio.Task[bytes | None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_asked_again_is_planned_once_for_all_its_values(lines):
    for number in range(8):
        assert await lines.value("select ($1::int + 1)::text", [number], keep=True) == b"%d" % (number + 1)

    seen = "select string_agg(generic_plans || '/' || custom_plans, ',') from pg_prepared_statements"
    assert await lines.value(seen, [], keep=False) == b"8/0"


async def test_no_more_is_kept_prepared_than_there_is_room_for(lines):
    for number in range(PREPARED_MAX + 5):
        await lines.value(f"select '{number}'", [], keep=True)

    # What was forgotten last is closed when the next is prepared.
    assert int(await lines.value(COUNTED, [], keep=False)) <= PREPARED_MAX + 1


async def test_what_is_not_asked_again_is_not_kept(lines):
    assert await lines.value("select 'once'", [], keep=False) == b"once"
    assert await lines.value(COUNTED, [], keep=False) == b"0"


async def test_many_share_a_few_lines_in_the_order_in_which_they_came(lines):
    came: list[int] = []

    async def ask(number: int) -> None:
        assert await lines.value("select $1::int::text", [number], keep=True) == b"%d" % number
        came.append(number)

    await asyncio.gather(*map(ask, range(50)))

    assert sorted(came) == list(range(50))
    assert lines.figures == (2, 2, 0)


async def test_who_gives_up_passes_a_line_on(lines):
    holders = await held(lines, 2)
    first, second = (asyncio.create_task(lines.value(ALONE, [], keep=False)) for _ in range(2))
    await until(lambda: lines.figures[2] == 2)
    await ended(holders[0], first)

    assert await second
    await ended(*holders)
    assert lines.figures[2] == 0
    assert await asyncio.gather(*(lines.value("select 'one'", [], keep=False) for _ in range(5))) == [b"one"] * 5


async def test_who_waits_too_long_is_told_to_come_back(lines, monkeypatch):
    monkeypatch.setattr("ops.turns.CHECKOUT_SECONDS", 0.05)
    holders = await held(lines, 2)

    with pytest.raises(Busy):
        await lines.value(ALONE, [], keep=False)

    await ended(*holders)


async def test_a_line_that_was_cut_makes_room_for_another(lines, settings):
    holders = await held(lines, 2)
    waiting = asyncio.create_task(lines.value("select 'here'", [], keep=False))
    await until(lambda: lines.figures[2] == 1)
    await cut(settings, ENDLESS)

    assert await waiting == b"here"
    await asyncio.gather(*holders, return_exceptions=True)
    assert lines.figures[2] == 0


async def test_more_lines_are_opened_for_those_who_wait_already(lines):
    holders = await held(lines, 2)
    waiting = asyncio.create_task(lines.value(ALONE, [], keep=False))
    await until(lambda: lines.figures[2] == 1)

    lines.resize(3)

    assert await waiting
    await ended(*holders)


async def test_a_line_that_is_used_when_all_are_closed_is_closed_when_it_is_given_back(lines, settings):
    async with locked(settings) as unlock:
        asked = asyncio.create_task(lines.value(LOCKED, ["at last"], keep=False))
        await until(lambda: lines.figures == (1, 0, 0))
        await lines.close()
        assert lines.figures == (1, 0, 0)
        await unlock()

    assert await asked == b"at last"
    assert lines.figures == (0, 0, 0)


async def test_lines_that_rest_are_opened_again(lines):
    before = await lines.value(ALONE, [], keep=False)
    lines.rest()
    assert lines.figures == (0, 0, 0)

    assert await lines.value(ALONE, [], keep=False) != before
    assert lines.figures == (1, 1, 0)


# Quick ones


@pytest.fixture
async def many(settings, monkeypatch) -> AsyncIterator[Lines]:
    """Eight lines, two of them for what is quick; whatever is asked a second time is."""
    monkeypatch.setattr("ops.lines.QUICK_SECONDS", 10.0)
    monkeypatch.setattr(Quick, "patience", 20.0)
    base = Database.at(settings.database_url, connections=16)
    yield base.lines
    await base.close()


PLACES = 2 * Quick.places
"""How much can be asked on the two at once."""

ECHO = "select $1::text || ' of ' || pg_backend_pid()"


async def backends(lines: Lines, many: int) -> set[bytes]:
    """Ask for so much at the same time: who answered."""
    said = await asyncio.gather(*(lines.value(ECHO, [f"{number}"], keep=True) for number in range(many)))
    assert [answer.partition(b" of ")[0] for answer in said if answer] == [b"%d" % number for number in range(many)]
    return {answer.partition(b" of ")[2] for answer in said if answer}


async def test_what_is_known_to_be_quick_shares_two_lines(many):
    await lines_learn(many, ECHO)

    assert len(await backends(many, 50)) == 2
    assert many.figures == (3, 3, 0)


async def lines_learn(lines: Lines, *texts: str) -> None:
    for text in texts:
        await lines.value(text, ["x"], keep=True)


async def test_what_is_not_known_yet_or_takes_long_has_a_line_for_itself(many, monkeypatch):
    assert len(await backends(many, 30)) == 6

    monkeypatch.setattr("ops.lines.QUICK_SECONDS", 0.0)
    assert len(await backends(many, 30)) == 6
    assert many.figures == (6, 6, 0)


@pytest.mark.parametrize("they_give_up", [False, True])
async def test_nobody_waits_behind_what_is_quick_at_other_times(many, settings, monkeypatch, they_give_up):
    await lines_learn(many, LOCKED, ECHO)
    async with locked(settings) as unlock:
        stuck = [asyncio.create_task(many.value(LOCKED, ["at last"], keep=True)) for _ in range(PLACES)]
        await until(lambda: len(many._quick._at_work) == PLACES)
        monkeypatch.setattr(Quick, "patience", 0.01)
        if they_give_up:
            await ended(*stuck)
        await until(lambda: all(map(many._quick._is_stuck, many._quick._lines)))
        await backends(many, 12)
        await backends(many, 12)
        assert they_give_up or not any(one.done() for one in stuck)
        await unlock()

        if not they_give_up:
            assert await asyncio.gather(*stuck) == [b"at last"] * PLACES
    assert await backends(many, 12)
    assert many.figures[2] == 0


async def test_whoever_gives_up_breaks_off_nothing_of_those_who_share_a_line_with_her(many, settings):
    await lines_learn(many, LOCKED)
    async with locked(settings) as unlock:
        asked = [asyncio.create_task(many.value(LOCKED, [f"{number}"], keep=True)) for number in range(4)]
        await until(lambda: len(many._quick._at_work) == 4)
        await ended(asked[0])
        await unlock()

        assert await asyncio.gather(*asked[1:]) == [b"1", b"2", b"3"]
    assert many.figures[2] == 0


async def test_what_fails_on_a_shared_line_fails_for_whoever_asked_it_alone(many):
    failing = "select (1 / $1::int)::text"
    await many.value(failing, [1], keep=True)

    said = await asyncio.gather(
        *(many.value(failing, [number % 2], keep=True) for number in range(12)), return_exceptions=True
    )

    assert [type(one) for one in said] == [asyncpg.DivisionByZeroError, bytes] * 6


async def test_a_statement_is_as_quick_as_it_is_at_its_best_and_slow_when_it_always_is(many):
    for seconds in (0.5, 0.001, 0.5, 0.5):
        many._learn("select", seconds)
    assert 0.001 < many._seconds["select"] < 0.0011

    for _ in range(400):
        many._learn("select", 0.5)
    assert many._seconds["select"] == 0.5


async def test_no_more_is_known_of_statements_than_of_those_that_are_prepared(many):
    for number in range(PREPARED_MAX + 5):
        many._learn(f"select {number}", 0.1)

    assert list(many._seconds) == [f"select {number}" for number in range(5, PREPARED_MAX + 5)]


async def test_shared_lines_are_cut_rested_resized_and_closed_like_others(many, settings):
    await lines_learn(many, ECHO)
    before = await backends(many, 6)
    cutter = await asyncpg.connect(settings.database_url.replace("+asyncpg", ""))
    for pid in before:
        await cutter.execute("select pg_terminate_backend($1)", int(pid))
    await cutter.close()
    await until(lambda: all(line.pipe.is_closed for line in many._quick._idle))

    assert not await backends(many, 6) & before
    many.rest()
    assert many.figures == (0, 0, 0)
    assert len(await backends(many, 6)) == 2
    many.resize(3)
    assert many.most == 3
    assert len(await backends(many, 9)) == 3
    many.resize(16)
    assert len(await backends(many, 9)) == 3
    assert many.most == 16
