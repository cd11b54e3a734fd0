"""Where the stories happen: servers and a worker in processes of their own, before real databases."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops import local, migrate
from tests import servers
from tests.stories.processes import Process, Server, environment


@dataclass(frozen=True)
class Site:
    """Two web servers and, where there is one, a worker, over one database."""

    told: dict[str, str]
    a: Server
    b: Server
    worker: Process | None = None

    async def rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Look into the database, or change it, behind everybody's back."""
        connection = await asyncpg.connect(self.told["DATABASE_URL"].replace("+asyncpg", ""))
        try:
            found: list[asyncpg.Record] = await connection.fetch(query, *values)
            return found
        finally:
            await connection.close()

    async def head(self, stream: str) -> int:
        """The number of the last event of a stream; a job's and a contract's may be named by their ids."""
        (row,) = await self.rows("select sequence from stream_heads where stream = $1", stream.replace("_", ":"))
        sequence: int = row["sequence"]
        return sequence

    @property
    def processes(self) -> list[Process]:
        return [process for process in (self.a, self.b, self.worker) if process is not None]

    def start(self) -> None:
        """Start what does not run."""
        for process in self.processes:
            if process.running is None:
                process.start()

    async def ready(self) -> None:
        await asyncio.gather(self.a.ready(), self.b.ready())

    async def stop(self) -> list[int]:
        """Stop what runs, all at once, and say with which codes it ended."""
        return await asyncio.gather(*(process.stop() for process in self.processes if process.running is not None))


@pytest.fixture(scope="session")
async def site(
    addresses: servers.Addresses,
    new_database: Callable[[str], Awaitable[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Site]:
    """A site where nothing breaks: whatever is said in its logs as an error is one."""
    url = await new_database("stories")
    told = environment(url, addresses.redis_url, f"{url.rpartition('/')[2]}:", tmp_path_factory.mktemp("site"))
    async with running(told) as made:
        yield made


@pytest.fixture
async def sandbox(
    addresses: servers.Addresses, new_database: Callable[[str], Awaitable[str]], tmp_path: Path
) -> AsyncIterator[Site]:
    """A site of its own, where time may be let pass."""
    url = await new_database("sandbox")
    told = environment(url, addresses.redis_url, f"{url.rpartition('/')[2]}:", tmp_path)
    async with running({**told, "WORKUP_SANDBOX_CLOCK": "on"}) as made:
        yield made


@asynccontextmanager
async def running(told: dict[str, str]) -> AsyncIterator[Site]:
    """Two servers and a worker that say nothing wrong, and end well."""
    await asyncio.to_thread(migrate.to_head, told["DATABASE_URL"])
    logs = Path(told["WORKUP_HOME"])
    made = Site(
        told, Server(told, logs / "a.log"), Server(told, logs / "b.log"), Process("work", told, logs / "worker.log")
    )
    made.start()
    try:
        await made.ready()
        yield made
    finally:
        codes = await made.stop()
    assert codes == [0, 0, 0]
    assert [process.errors() for process in made.processes] == [[], [], []]


@pytest.fixture(scope="session")
def ground() -> Iterator[local.Local]:
    """A Postgres and a Valkey that may be broken, and that keep their word about what was committed."""
    root = Path(tempfile.mkdtemp(prefix="workup-stories-"))
    with local.start(root) as running:
        yield running
    local.remove(root)


@pytest.fixture(scope="session")
async def frail_site(ground: local.Local, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    await asyncio.to_thread(migrate.to_head, ground.database_url)
    logs = tmp_path_factory.mktemp("frail")
    told = environment(ground.database_url, ground.redis_url, "frail:", logs)
    made = Site(told, Server(told, logs / "a.log"), Server(told, logs / "b.log"))
    try:
        yield made
    finally:
        await made.stop()
    assert [process.errors() for process in made.processes] == [[], []]


@pytest.fixture
async def frail(frail_site: Site) -> Site:
    """A site whose databases and servers may be broken; whoever stops a server need not start it again."""
    frail_site.start()
    await frail_site.ready()
    return frail_site
