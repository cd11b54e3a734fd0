"""What tests stand on: a migrated database of their own, a house around it, and ways to put rows in and ask."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest
import sqlalchemy as sa
from graphql import OperationType
from hypothesis import settings as examples
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import schema.root
from models.accounts import Account
from models.activity import Event, EventKind, StreamHead
from models.base import Base
from models.errors import Refusal
from ops import logs, migrate
from ops.app import House, wall_clock
from ops.settings import Settings, SigningKey
from ops.transport.asked import Asked
from ops.transport.errors import Rejected, present
from ops.transport.operations import Answer, Operations
from resolvers.context import Context
from schema.limits import Limits
from tests import make, servers

# How long an example takes says something of the machine.
examples.register_profile("untimed", deadline=None)
examples.load_profile("untimed")

LASTING = {"categories", "skills", "tariffs"}
"""Tables that the migrations fill."""

Ask = Callable[..., Awaitable[Answer]]
Keep = Callable[..., Awaitable[Any]]
Stored = Callable[[Any], Awaitable[Any]]
Told = Callable[[], Awaitable[dict[str, list[EventKind]]]]
Refuses = Callable[[type[Refusal]], AbstractAsyncContextManager[pytest.ExceptionInfo[Refusal]]]
Hears = Callable[..., AbstractAsyncContextManager[None]]

HEARD_SECONDS = 10.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """What may be said of the generated operations (`tests/schema/test_two_paths.py`)."""
    group = parser.getgroup("two paths")
    group.addoption("--cases", type=int, default=2_000, help="how many operations are asked in both ways")
    group.addoption("--seed", type=int, default=1, help="what the operations and the rows are made of")
    group.addoption("--case", type=int, default=None, help="the number of the one operation to ask")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    servers.share(node)


def pytest_configure() -> None:
    logs.configure("INFO", as_json=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares something dear: the stories their servers, the plans their town."""
    for item in items:
        for name in ("stories", "test_plans.py"):
            if name in item.path.parts:
                item.add_marker(pytest.mark.xdist_group(name))


def pytest_unconfigure(config: pytest.Config) -> None:
    servers.stop(config)


@pytest.fixture(scope="session")
def addresses(pytestconfig: pytest.Config) -> servers.Addresses:
    return servers.of(pytestconfig)


@pytest.fixture(scope="session")
async def new_database(addresses: servers.Addresses) -> Callable[[str], Awaitable[str]]:
    """Make an empty database for this process of the run, and say where it is."""

    async def create(name: str) -> str:
        name = f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
        connection = await asyncpg.connect(addresses.database_url.replace("+asyncpg", ""))
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.execute(f"create database {name}")
        await connection.close()
        return addresses.database_url.rpartition("/")[0] + f"/{name}"

    return create


@pytest.fixture
async def database_url(new_database: Callable[[str], Awaitable[str]]) -> str:
    """A migrated database without anybody in it, for those who cannot share one."""
    url = await new_database("own")
    await asyncio.to_thread(migrate.to_head, url)
    return url


@pytest.fixture(scope="session")
async def settings(
    addresses: servers.Addresses,
    new_database: Callable[[str], Awaitable[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    url = await new_database("shared")
    await asyncio.to_thread(migrate.to_head, url)
    return Settings(
        database_url=url,
        redis_url=addresses.redis_url,
        secret=b"a secret that only the tests know",
        signing_keys=(SigningKey("test", bytes(32)),),
        password_memory_kib=32,
        channel_prefix=f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}:",
        media_url=tmp_path_factory.mktemp("media").as_uri(),
        upload_user="machine",
        upload_password="a password that only the tests know",
        payments_provider="sandbox",
        payments_secret=b"a secret that the tests share with the provider",
        # Later than any test: what is late is late by the clock of the house, which tests may move.
        sandbox_seconds=3_600,
    )


class Clock:
    """The time of the house, which tests may move."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return wall_clock() + self.ahead

    def advance(self, **by: float) -> None:
        self.ahead += timedelta(**by)


@pytest.fixture(scope="session")
async def shared_house(settings: Settings) -> AsyncIterator[House]:
    house = House.of(settings, Clock())
    async with house.open():
        yield house


@pytest.fixture
def clock(shared_house: House) -> Clock:
    """The clock of this test's house."""
    world = shared_house.clock.world
    assert isinstance(world, Clock)
    world.ahead = timedelta()
    return world


@pytest.fixture(scope="session")
async def owner(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Whom the tables belong to, with their triggers switched off: what the house itself may never do."""
    unbound = {"server_settings": {"session_replication_role": "replica"}}
    engine = create_async_engine(settings.database_url, connect_args=unbound)
    yield engine
    await engine.dispose()


@pytest.fixture
async def house(shared_house: House, clock: Clock, owner: AsyncEngine) -> AsyncIterator[House]:
    """A house with nobody in it, and left so."""
    yield shared_house
    clock.ahead = timedelta()
    async with owner.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name not in LASTING:
                await connection.execute(sa.delete(table))


@pytest.fixture
def keep(house: House) -> Keep:
    """Put rows into the database, and give them back: one alone, several as a list."""

    async def add(*rows: Any) -> Any:
        async with house.database.writing.begin() as work:
            work.add_all(rows)
        return rows[0] if len(rows) == 1 else list(rows)

    return add


@pytest.fixture
def as_(house: House) -> Callable[[Account | None], Context]:
    """The surroundings of an operation of somebody's."""
    return house.context


@pytest.fixture(scope="session")
def operations() -> Operations:
    return Operations(schema.root.build(), Limits())


@pytest.fixture
def ask(house: House, operations: Operations) -> Ask:
    """Ask the schema something as somebody, or in some surroundings: text in, answer out.

    A query is asked in both ways, and has to be answered alike.
    """

    async def run(asker: Account | Context | None, query: str, **variables: Any) -> Answer:
        ctx = asker if isinstance(asker, Context) else house.context(asker)
        try:
            operation = operations.prepare(Asked(query, variables, None, {}))
        except Rejected as rejection:
            return {"errors": present(rejection.errors)}
        answer = orjson.dumps(await operations.run(operation, ctx))
        if operation.kind is OperationType.QUERY and b'"errors"' not in answer:
            ctx.loaders.forget()
            ordinary = orjson.dumps(await operations.run(operation, ctx, compiled=False))
            if ordinary != answer:
                # While others write, or a second ends, nobody can tell.
                assert orjson.dumps(await operations.run(operation, ctx)) != answer, (query, ordinary, answer)
        found: Answer = orjson.loads(answer)
        return found

    return run


@pytest.fixture
async def people(house: House, keep: Keep) -> make.People:
    """A client, a freelancer, another of each, and an administrator; the freelancers have plenty of Connects."""
    found = await make.people(keep)
    await make.connects(house, found.freelancer, found.other_freelancer)
    return found


@pytest.fixture
async def count_rows(house: House) -> Callable[[], Awaitable[dict[str, int]]]:
    """Count the rows of every table, to show that nothing was written."""

    async def count() -> dict[str, int]:
        async with house.database.reading() as session:
            return {
                table.name: await session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in Base.metadata.sorted_tables
            }

    return count


@pytest.fixture
def stored(house: House) -> Stored:
    """Read a row anew, as it is in the database now; nothing if it is gone."""

    async def read(row: Any) -> Any:
        async with house.database.reading() as session:
            return await session.get(type(row), sa.inspect(type(row)).primary_key_from_instance(row))

    return read


@pytest.fixture
def told(house: House) -> Told:
    """What every stream tells, in order, by streams; no number is missing in any."""

    async def read() -> dict[str, list[EventKind]]:
        async with house.database.reading() as session:
            heads = {head.stream: head.sequence for head in await session.scalars(sa.select(StreamHead))}
            events = (await session.scalars(sa.select(Event).order_by(Event.stream, Event.sequence))).all()
        streams: dict[str, list[EventKind]] = {}
        for event in events:
            streams.setdefault(event.stream, []).append(event.kind)
            assert event.sequence == len(streams[event.stream]), f"{event.stream} has a gap"
        assert heads == {stream: len(kinds) for stream, kinds in streams.items()}
        return streams

    return read


async def contents(house: House) -> dict[str, str | None]:
    """A print of every table, which tells whether anything in it was added, changed or deleted."""
    of_table = "select '{0}' as name, md5(string_agg(t::text, '|' order by t::text)) as print from {0} t"
    prints = " union all ".join(of_table.format(table.name) for table in Base.metadata.sorted_tables)
    async with house.database.reading() as session:
        return {row.name: row.print for row in await session.execute(sa.text(prints))}


@pytest.fixture
def refuses(house: House) -> Refuses:
    """Expect this very refusal of the block, and a database in which not a letter has changed."""

    @asynccontextmanager
    async def watch(refusal: type[Refusal]) -> AsyncIterator[pytest.ExceptionInfo[Refusal]]:
        before = await contents(house)
        with pytest.raises(refusal) as caught:
            yield caught
        assert caught.type is refusal
        assert await contents(house) == before

    return watch


@pytest.fixture
def hears(house: House) -> Hears:
    """Expect that each of these streams rings during the block, and that the others do not."""

    @asynccontextmanager
    async def listen(*streams: str, silent: tuple[str, ...] = ()) -> AsyncIterator[None]:
        async with AsyncExitStack() as doors:
            bells = {name: await doors.enter_async_context(house.hub.listen(name)) for name in (*streams, *silent)}
            # What an earlier test rang may still be on its way; it comes before what is rung now.
            for name, bell in bells.items():
                await house.hub.ring(name, "the beginning")
                async with asyncio.timeout(HEARD_SECONDS):
                    while await anext(bell) != "the beginning":
                        continue
            yield
            for name in silent:
                await house.hub.ring(name, "the end")
            async with asyncio.timeout(HEARD_SECONDS):
                for name, bell in bells.items():
                    heard = await anext(bell)
                    assert (heard == "the end") == (name in silent), name

    return listen
