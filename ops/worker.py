"""What happens by itself: chores that come due with time, and those that somebody calls for at once.

The clock of the chores and the calls are kept in Postgres by pgqueuer, so that any number of workers share the
work: each chore is run by one of them at a time, and by another one if that one dies.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from pgqueuer import AsyncpgDriver, PgQueuer, Queries
from pgqueuer.adapters.persistence.qb import (
    DBSettings,
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)

import resolvers.accounts
import resolvers.calls
import resolvers.connects
import resolvers.contracts
import resolvers.idempotency
import resolvers.jobs
import resolvers.media
import resolvers.payments
import resolvers.transfers
from models.control import NodeKind
from ops.app import House
from ops.database import SERVER_SETTINGS
from resolvers.context import Context

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 1.0
"""How long to leave a database alone that is away."""

SILENT_SECONDS = 30.0
"""After how long another worker takes over from one that says nothing any more."""

LOOK_SECONDS = 5.0
"""How long to rely on Postgres to say that somebody calls, before looking all the same."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every so many seconds, which divide a minute or are minutes.

    It does a bounded amount, says how much, and is done again at once until there is nothing left of it. It may be
    run twice, and by several workers at once, without doing anything twice.
    """

    do: Callable[[Context], Awaitable[int]]
    every_seconds: int = 15

    @property
    def name(self) -> str:
        """What it is called for by: its noun and its verb."""
        return f"{self.do.__module__.rpartition('.')[2]}.{self.do.__name__}"

    @property
    def expression(self) -> str:
        """When it comes due, as cron says it; the sixth field is for seconds."""
        minutes, seconds = divmod(self.every_seconds, 60)
        return f"*/{minutes} * * * *" if minutes else f"* * * * * */{seconds}"


CHORES = (
    Chore(resolvers.jobs.expire_due),
    Chore(resolvers.contracts.accept_overdue),
    Chore(resolvers.accounts.sweep, every_seconds=60),
    Chore(resolvers.media.sweep, every_seconds=60),
    Chore(resolvers.idempotency.sweep, every_seconds=300),
    Chore(resolvers.calls.sweep, every_seconds=300),
    Chore(resolvers.transfers.ask_due),
    Chore(resolvers.payments.settle_due),
    Chore(resolvers.payments.fold, every_seconds=60),
    Chore(resolvers.payments.expire_holds, every_seconds=60),
    Chore(resolvers.connects.expire_due, every_seconds=60),
    Chore(resolvers.connects.grant_due, every_seconds=60),
)
"""Everything that happens by itself."""


async def work(house: House) -> None:
    """Do all chores, whenever they come due, until told to stop; what has begun is finished."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with house.open(), house.agent(NodeKind.WORKER).at_work():
        await keep_at_it(stop, house)


async def keep_at_it(stop: asyncio.Event, house: House) -> None:
    """Work in a house that is open, until told to stop, whatever becomes of the database meanwhile."""
    while not stop.is_set():
        try:
            await _until(stop, house)
        except Exception:
            log.exception("the worker lost its queue, and goes on")
            await _pause(stop, AGAIN_SECONDS)


async def _until(stop: asyncio.Event, house: House) -> None:
    """Share the work with the other workers until told to stop, or until the database is lost."""
    async with _connection(house) as connection:
        queue = _queue(connection)
        for chore in CHORES:
            _undertake(queue, chore, house, stop)
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(_stop_with(queue, stop)), group.create_task(_call_when_time_passes(house))]
            await _call_all(house)
            await queue.run(
                dequeue_timeout=timedelta(seconds=LOOK_SECONDS),
                heartbeat_timeout=timedelta(seconds=SILENT_SECONDS),
                shutdown_on_listener_failure=True,
            )
            for task in beside:
                task.cancel()


@asynccontextmanager
async def _connection(house: House) -> AsyncIterator[Any]:
    """One connection that hears calls and keeps the book; a pool would look for a listener before there is one."""
    settings = house.settings
    url = settings.database_url.replace("+asyncpg", "", 1)
    told = SERVER_SETTINGS | {"application_name": "workup-worker", "role": settings.db_role}
    connection = await asyncpg.connect(url, server_settings=told)
    try:
        yield connection
    finally:
        # Lost or not, nothing that matters is left in it.
        connection.terminate()


def _queue(connection: Any) -> PgQueuer:
    driver, place = AsyncpgDriver(connection), DBSettings(db_schema="queue")
    builders = QueryBuilderEnvironment(place), QueryQueueBuilder(place), QuerySchedulerBuilder(place)
    return PgQueuer(driver, queries=Queries(driver, *builders))


def _undertake(queue: PgQueuer, chore: Chore, house: House, stop: asyncio.Event) -> None:
    async def do(_: object) -> None:
        # What is left undone while the house is frozen comes due again.
        while not house.gate.is_shut and await chore.do(house.context()) and not stop.is_set():
            continue

    queue.schedule(chore.name, chore.expression)(do)
    queue.entrypoint(chore.name, concurrency_limit=1)(do)


async def _call_all(house: House) -> None:
    """Begin with everything that came due while nobody worked."""
    async with house.context().writing() as work:
        work.call(*(chore.name for chore in CHORES))


async def _call_when_time_passes(house: House) -> None:
    """Do in a sandbox what has come due by a step of its clock."""
    while True:
        await house.clock.moved.wait()
        house.clock.moved.clear()
        await _call_all(house)


async def _stop_with(queue: PgQueuer, stop: asyncio.Event) -> None:
    await stop.wait()
    queue.shutdown.set()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
