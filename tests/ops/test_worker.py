"""What happens by itself, and what is called for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
from croniter import croniter

import loaders.calls
import resolvers.calls
from models.errors import Forbidden
from ops import worker
from ops.worker import CHORES, Chore
from tests.stories.processes import until

PATIENCE_SECONDS = 20
"""How long a busy machine may take; nothing here takes a tenth of it."""


@pytest.fixture
async def at_work(house, monkeypatch, owner) -> AsyncIterator[Callable[..., object]]:
    """Let workers do these chores instead, for as long as the block lasts."""

    async def empty() -> None:
        async with owner.begin() as connection:
            for table in ("pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics"):
                await connection.execute(sa.text(f"delete from queue.{table}"))

    @asynccontextmanager
    async def begin(*chores: Chore, workers: int = 1) -> AsyncIterator[None]:
        monkeypatch.setattr(worker, "CHORES", chores)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(worker.keep_at_it(stop, house))
            try:
                yield
            finally:
                stop.set()

    await empty()
    yield begin
    await empty()


def test_chores_have_names_of_their_own():
    assert len({chore.name for chore in CHORES}) == len(CHORES)


@pytest.mark.parametrize("chore", CHORES, ids=lambda chore: chore.name)
def test_a_chore_comes_due_as_often_as_it_says(chore):
    times = croniter(chore.expression, 0.0)

    assert [times.get_next() for _ in range(4)] == [chore.every_seconds * n for n in range(1, 5)]


async def test_what_is_due_when_a_worker_begins_is_done_until_nothing_is_left(at_work):
    left = [3, 2, 1, 0]

    async def shrink(_ctx) -> int:
        return left.pop(0)

    async with at_work(Chore(shrink, every_seconds=3_600)):
        await until(lambda: nothing(left), PATIENCE_SECONDS)


async def test_a_chore_is_done_again_when_its_time_comes(at_work):
    rounds: list[int] = []

    async def look(_ctx) -> int:
        rounds.append(1)
        return 0

    async with at_work(Chore(look, every_seconds=1)):
        await until(lambda: enough(rounds, 3), PATIENCE_SECONDS)


async def test_what_is_called_for_is_done_at_once_if_the_call_is_kept(at_work, as_, people):
    rounds: list[int] = []

    async def look(_ctx) -> int:
        rounds.append(1)
        return 0

    chore = Chore(look, every_seconds=3_600)
    async with at_work(chore):
        await until(lambda: enough(rounds, 1), PATIENCE_SECONDS)
        with pytest.raises(Forbidden):
            async with as_(people.client).writing() as work:
                work.call(chore.name)
                await work.write_calls()
                raise Forbidden
        async with as_(people.client).writing() as work:
            work.call(chore.name)
        await until(lambda: enough(rounds, 2), PATIENCE_SECONDS)
    assert len(rounds) == 2


async def test_a_chore_that_fails_keeps_no_other_from_being_done_and_is_tried_again(at_work):
    failures: list[int] = []
    rounds: list[int] = []

    async def fail(_ctx) -> int:
        failures.append(1)
        raise RuntimeError

    async def look(_ctx) -> int:
        rounds.append(1)
        return 0

    async with at_work(Chore(fail, every_seconds=1), Chore(look, every_seconds=1)):
        await until(lambda: enough(failures, 3), PATIENCE_SECONDS)
        await until(lambda: enough(rounds, 3), PATIENCE_SECONDS)


async def test_many_calls_are_shared_by_workers_and_answered_one_after_another(at_work, as_):
    busy, rounds, most = 0, 0, 0

    async def look(_ctx) -> int:
        nonlocal busy, rounds, most
        busy, rounds = busy + 1, rounds + 1
        most = max(most, busy)
        for _ in range(100):
            await asyncio.sleep(0)
        busy -= 1
        return 0

    async def done() -> bool:
        return rounds == 3 + 5

    chore = Chore(look, every_seconds=3_600)
    async with at_work(chore, workers=3):
        for _ in range(5):
            async with as_(None).writing() as work:
                work.call(chore.name)
        await until(done, PATIENCE_SECONDS)
    assert most == 1


async def test_workers_go_on_when_the_database_has_cut_them_off(at_work, owner):
    rounds: list[int] = []

    async def look(_ctx) -> int:
        rounds.append(1)
        return 0

    async with at_work(Chore(look, every_seconds=1)):
        await until(lambda: enough(rounds, 1), PATIENCE_SECONDS)
        cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'workup-worker'"
        async with owner.begin() as connection:
            assert await connection.scalar(sa.text(cut + " and datname = current_database()")) > 0
        before = len(rounds)
        await until(lambda: enough(rounds, before + 2), PATIENCE_SECONDS)


@pytest.mark.usefixtures("at_work")
async def test_what_waits_can_be_told(house, as_, people):
    async with as_(people.client).writing() as work:
        work.call("jobs.expire_due", "jobs.expire_due", "media.sweep")

    async with house.database.reading() as session:
        waiting = {line.chore: line.waiting for line in await loaders.calls.backlog(session)}
    assert waiting == {"jobs.expire_due": 1, "media.sweep": 1}


@pytest.mark.usefixtures("at_work")
async def test_old_records_of_calls_are_forgotten(as_, owner):
    insert = "insert into queue.pgqueuer_log (created, job_id, status, priority, entrypoint)"
    async with owner.begin() as connection:
        await connection.execute(
            sa.text(
                f"{insert} select now() - age * interval '1 day', 1, 'successful', 0, 'x' from unnest(array[6, 8]) age"
            )
        )

    assert await resolvers.calls.sweep(as_(None)) == 1
    assert await resolvers.calls.sweep(as_(None)) == 0


async def nothing(items: list[int]) -> bool:
    return not items


async def enough(items: list[int], count: int) -> bool:
    return len(items) >= count
