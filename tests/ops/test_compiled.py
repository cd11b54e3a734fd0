"""What is kept of what was planned, and how few lines serve many."""

import asyncio
from typing import Any

import asyncpg
import orjson
import pytest

from loaders.compile import Statement
from models.base import Audience
from models.errors import Busy
from ops.lines import Lines
from ops.transport.asked import Asked
from ops.transport.compiled import KEPT_BYTES_MAX, NEW_BYTES_MAX, STATEMENTS_MAX, Planned, Shelf
from ops.transport.operations import Operations
from ops.turns import PREPARED_CHARS_MAX, PREPARED_MAX
from schema.limits import Limits
from schema.root import build


def planned(name: Any, size: int = 100) -> Planned:
    return Planned((name,), "undeclared", size)


def kept(shelf: Shelf, name: Any) -> Planned:
    """Put something on the shelf and ask for it once more."""
    shelf.put(planned(name))
    found = shelf.get((name,))
    assert found is not None
    return found


def test_what_was_asked_twice_outlives_a_flood_of_what_is_asked_once():
    shelf = Shelf(most=10_000, most_new=2_000)
    known = [kept(shelf, number) for number in range(50)]

    for number in range(10_000):
        shelf.put(planned(("flood", number)))

    assert [shelf.get((number,)) for number in range(50)] == known
    assert shelf.bytes <= 10_000


def test_what_is_kept_is_bounded_in_bytes_on_both_boards():
    shelf = Shelf(most=10_000, most_new=2_000)

    for number in range(500):
        kept(shelf, number)
        shelf.put(planned(("once", number)))

    assert shelf.bytes <= 10_000
    assert len(shelf) <= 100
    assert shelf.get((499,)) is not None
    assert shelf.get((0,)) is None


def test_what_grows_counts_and_what_has_left_does_not():
    shelf = Shelf(most=10_000, most_new=2_000)
    found = kept(shelf, "grows")

    for number in range(100):
        shelf.add(found, (Audience.PUBLIC, (frozenset([str(number)]),), False), Statement("x" * 200, ()))

    assert len(found.statements) <= STATEMENTS_MAX
    assert shelf.bytes == found.bytes <= 100 + 200 * STATEMENTS_MAX
    for number in range(200):
        kept(shelf, number)
    assert shelf.get(("grows",)) is None
    before = shelf.bytes
    shelf.add(found, (Audience.ADMIN, (), False), Statement("x" * 200, ()))
    assert shelf.bytes == before


async def test_hostile_documents_do_not_fill_it(house):
    operations = Operations(build(), Limits())
    shelf = operations._compiler.shelf
    ask = Asked("{ jobs { totalCount } }", {}, None, {})
    for _ in range(2):
        await operations.run(operations.prepare(ask), house.context())

    for number in range(300):
        text = f"{{ a{number}: jobs {{ totalCount }} }} # {'x' * 5_000}"
        await operations.run(operations.prepare(Asked(text, {}, None, {})), house.context())

    assert shelf.bytes <= NEW_BYTES_MAX + 100_000 < KEPT_BYTES_MAX
    assert operations.taken["compiled"] == 302
    assert shelf.get((ask.query, None)) is not None


# Lines


@pytest.fixture
async def lines(house):
    """Two lines to the database of the tests."""
    made = Lines(house.database.lines._connect, 2)
    yield made
    await made.close()


async def test_many_are_served_by_few(lines):
    numbers = await asyncio.gather(*(lines.value("select $1::int::text", [number], keep=True) for number in range(50)))

    assert numbers == [b"%d" % number for number in range(50)]
    assert lines.figures == (2, 2, 0)


async def test_a_line_is_read_only(lines):
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await lines.value("delete from categories", [], keep=False)

    assert await lines.value("select 'one'", [], keep=False) == b"one"


async def test_a_line_that_was_cut_is_made_anew(lines):
    assert await lines.value("select 'one'", [], keep=True) == b"one"
    (line,) = lines._idle
    line.pipe.abort()

    assert await lines.value("select 'one'", [], keep=True) == b"one"
    assert lines.figures == (1, 1, 0)


async def test_what_is_prepared_is_bounded(lines):
    for number in range(PREPARED_MAX + 20):
        await lines.value(f"select {number}", [], keep=True)
    for number in range(20):
        await lines.value(f"select 'once', {number}", [], keep=False)

    (line,) = lines._idle
    assert len(line.prepared) == PREPARED_MAX
    counted = await lines.value("select count(*)::text from pg_prepared_statements", [], keep=False)
    assert PREPARED_MAX <= int(counted) <= PREPARED_MAX + 1


async def test_what_is_prepared_is_bounded_in_length_too(lines):
    for number in range(30):
        await lines.value(f"select {number} /* {'x' * 100_000} */", [], keep=True)

    (line,) = lines._idle
    assert line.chars == sum(map(len, line.prepared)) <= PREPARED_CHARS_MAX
    assert 5 < len(line.prepared) < 10


async def test_whoever_does_not_wait_any_longer_takes_nobodys_turn(lines):
    lines.resize(1)
    holding = asyncio.create_task(lines.value("select pg_sleep(0.2)", [], keep=False))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(lines.value("select 1", [], keep=False))
    staying = asyncio.create_task(lines.value("select 'two'", [], keep=False))
    await asyncio.sleep(0)
    leaving.cancel()

    assert await staying == b"two"
    await holding
    assert lines.figures == (1, 1, 0)


async def test_lines_become_more_and_fewer_while_they_are_used(lines):
    await asyncio.gather(*(lines.value("select 1", [], keep=False) for _ in range(10)))
    lines.resize(1)
    assert lines.figures == (1, 1, 0)

    lines.resize(3)
    await asyncio.gather(*(lines.value("select 1", [], keep=False) for _ in range(10)))

    assert lines.figures == (3, 3, 0)


async def test_whoever_waits_in_vain_is_told_to_come_back(lines, monkeypatch):
    lines.resize(0)
    monkeypatch.setattr("ops.turns.CHECKOUT_SECONDS", 0.01)

    with pytest.raises(Busy):
        await lines.value("select 1", [], keep=False)

    assert lines.figures == (0, 0, 0)


async def test_a_statement_that_takes_too_long_is_busy_and_not_asked_twice(lines):
    text = "select set_config('statement_timeout', '20ms', false)"
    await lines.value(text, [], keep=False)

    with pytest.raises(Busy):
        await lines.value("select pg_sleep(30)", [], keep=False)


async def test_a_broken_statement_falls_back_to_the_ordinary_way(house, monkeypatch):
    operations = Operations(build(), Limits())

    async def broken(*_: Any, **__: Any) -> Any:
        raise asyncpg.UndefinedColumnError

    monkeypatch.setattr(Lines, "value", broken)

    ask = Asked("{ jobs { totalCount } }", {}, None, {})
    answer = await operations.run(operations.prepare(ask), house.context())

    assert orjson.dumps(answer) == b'{"data":{"jobs":{"totalCount":0}}}'
    assert operations.taken == {"failed": 1}
