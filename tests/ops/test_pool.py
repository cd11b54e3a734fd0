"""The pool grows and shrinks under those who use it, and nobody's statement fails for it."""

import asyncio
import random

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from ops.database import Database

NAP = text("select pg_sleep(0.02)")


@pytest.fixture
async def database(settings):
    made = Database.at(settings.database_url, connections=6)
    yield made
    await made.engine.dispose()


async def use(database, statement=NAP):
    async with database.reading() as session:
        await session.execute(statement)


async def both(database, count):
    await asyncio.gather(*(use(database) for _ in range(count)))


async def waits(database, count):
    async with asyncio.timeout(5):
        while database.pool.waiting < count:  # noqa: ASYNC110 - a pool tells nobody who waits
            await asyncio.sleep(0)


async def test_there_are_as_many_connections_as_are_needed_and_no_more_than_may_be(database):
    await both(database, 2)
    assert (database.pool.checkedin(), database.pool.checkedout()) == (2, 0)

    await both(database, 20)
    assert (database.pool.checkedin(), database.pool.checkedout()) == (3, 0)


async def test_a_smaller_pool_closes_what_is_idle_at_once_and_what_is_used_when_it_comes_back(database):
    await both(database, 3)
    async with database.reading() as kept, database.reading() as other:
        await kept.execute(NAP)
        await other.execute(NAP)
        await database.pool.resize(1)
        assert (database.pool.checkedin(), database.pool.checkedout()) == (0, 2)
        assert await kept.scalar(text("select 1")) == 1
    assert (database.pool.checkedin(), database.pool.checkedout()) == (1, 0)


async def test_those_who_wait_get_the_connections_that_a_larger_pool_may_have(database):
    await database.pool.resize(1)
    async with database.reading() as kept:
        await kept.execute(NAP)
        waiting = [asyncio.create_task(use(database)) for _ in range(3)]
        await waits(database, 3)
        await database.pool.resize(4)
        await asyncio.gather(*waiting)
        assert (database.pool.checkedin(), database.pool.checkedout()) == (3, 1)


async def test_who_has_waited_longest_is_first(database):
    await database.pool.resize(1)
    order: list[int] = []

    async def take(number):
        await use(database)
        order.append(number)

    tasks = []
    for number in range(5):
        tasks.append(asyncio.create_task(take(number)))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == list(range(5))


async def test_who_waits_too_long_is_told_and_leaves_her_turn_to_others(database):
    database.pool._timeout = 0.05
    await database.pool.resize(1)
    async with database.reading() as kept:
        await kept.execute(NAP)
        with pytest.raises(NoConnectionFree, match="no connection came free"):
            await use(database)
        assert database.pool.waiting == 0
    await use(database)


async def test_who_gives_up_in_the_moment_of_being_called_passes_it_on(database):
    await database.pool.resize(1)
    async with database.reading() as kept:
        await kept.execute(NAP)
        first, second = asyncio.create_task(use(database)), asyncio.create_task(use(database))
        await waits(database, 2)
    first.cancel()
    await asyncio.gather(second)
    assert (database.pool.checkedin(), database.pool.checkedout()) == (1, 0)


async def test_a_connection_that_cannot_be_made_leaves_room_for_others(settings):
    database = Database.at(settings.database_url.rpartition("/")[0] + "/nowhere", connections=1)
    for _ in range(3):
        with pytest.raises(Exception, match="does not exist"):
            await use(database)
    assert database.pool.checkedout() == 0
    await database.engine.dispose()


async def test_a_pool_at_rest_has_no_connections_and_makes_them_again_when_asked(database):
    await both(database, 3)
    await database.rest()
    assert (database.pool.checkedin(), database.pool.checkedout()) == (0, 0)
    await both(database, 3)
    assert database.pool.checkedin() == 3


async def test_no_statement_fails_while_the_pool_is_resized_again_and_again(database):
    done = 0
    stop = asyncio.Event()

    async def work():
        nonlocal done
        while not stop.is_set():
            await use(database, text("select 1"))
            done += 1

    workers = [asyncio.create_task(work()) for _ in range(20)]
    chance = random.Random(1)
    for _ in range(100):
        before, size = done, chance.randint(1, 12)
        await database.pool.resize(size)
        while done < before + 20:  # noqa: ASYNC110 - the workers tell nobody how far they are
            await asyncio.sleep(0)
        assert database.pool.size() == size
    stop.set()
    await asyncio.gather(*workers)
    assert database.pool.checkedout() == 0
    assert database.pool.checkedin() <= database.pool.size()


async def test_what_is_passed_on_when_the_pool_is_closed_is_closed(settings, monkeypatch):
    made = Database.at(settings.database_url, connections=2)
    pool = made.pool
    call, waiter = pool._call, asyncio.create_task(asyncio.sleep(0))

    def call_and_leave(given):
        """Close the pool, and have who is called give up, in the moment in which she is."""
        called = call(given)
        if called:
            pool.dispose()
            waiter.cancel()
        return called

    async with made.reading() as session:
        await session.execute(NAP)
        waiter = asyncio.create_task(use(made))
        await waits(made, 1)
        monkeypatch.setattr(pool, "_call", call_and_leave)

    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert (pool.checkedin(), pool.checkedout()) == (0, 0)
    await made.close()
