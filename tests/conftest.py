"""What tests stand on: a migrated database of their own, a house around it, and ways to put rows in and ask."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

import schema.root
from models.accounts import Account
from models.base import Base
from ops import logs, migrate
from ops.app import House, wall_clock
from ops.settings import Settings, SigningKey
from ops.transport.asked import Asked
from ops.transport.operations import Answer, Operations
from resolvers.context import Context
from schema.limits import Limits
from tests import make, servers

LASTING = {"categories", "skills", "tariffs"}
"""Tables that the migrations fill."""

Ask = Callable[..., Awaitable[Answer]]
Keep = Callable[..., Awaitable[Any]]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    servers.share(node)


def pytest_configure() -> None:
    logs.configure("WARNING", as_json=False)


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
async def settings(addresses: servers.Addresses, new_database: Callable[[str], Awaitable[str]]) -> Settings:
    url = await new_database("shared")
    await asyncio.to_thread(migrate.to_head, url)
    return Settings(
        database_url=url,
        redis_url=addresses.redis_url,
        secret=b"a secret that only the tests know",
        signing_keys=(SigningKey("test", bytes(32)),),
        password_memory_kib=32,
        channel_prefix=f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}:",
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
    assert isinstance(shared_house.clock, Clock)
    shared_house.clock.ahead = timedelta()
    return shared_house.clock


@pytest.fixture
async def house(shared_house: House, clock: Clock) -> AsyncIterator[House]:
    """A house with nobody in it, and left so."""
    yield shared_house
    clock.ahead = timedelta()
    async with shared_house.database.engine.begin() as connection:
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
    """Ask the schema something as somebody: text in, answer out."""

    async def run(viewer: Account | None, query: str, **variables: Any) -> Answer:
        operation = operations.prepare(Asked(query, variables, None, {}))
        return await operations.run(operation, house.context(viewer))

    return run


@pytest.fixture
async def people(keep: Keep) -> make.People:
    """A client, a freelancer, another of each, and an administrator."""
    return await make.people(keep)


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
