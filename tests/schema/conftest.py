"""What tests of the schema stand on: a scene with one of everything, and a stage for tables of callers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest

from ops import migrate
from ops.settings import Settings
from tests import make
from tests.conftest import contents
from tests.schema import callers
from tests.schema.town import Town, settled

NewTown = Callable[..., AbstractAsyncContextManager[Town]]


@pytest.fixture
async def scene(house, keep, people) -> callers.Scene:
    return await callers.scene(house, keep, people)


@pytest.fixture
def stage(house, keep, ask) -> callers.Stage:
    async def set_up() -> callers.Scene:
        return await callers.scene(house, keep, await make.people(keep))

    return callers.Stage(set_up, ask, lambda: contents(house))


@pytest.fixture(scope="session")
async def new_town(
    new_database: Callable[[str], Awaitable[str]], settings: Settings, pytestconfig: pytest.Config
) -> NewTown:
    """Found a town of some name: everybody moves in."""

    @asynccontextmanager
    async def found(name: str, like: Town | None = None) -> AsyncIterator[Town]:
        url = await new_database(name)
        await asyncio.to_thread(migrate.to_head, url)
        async with settled(replace(settings, database_url=url), pytestconfig.getoption("--seed"), like) as town:
            yield town

    return found


@pytest.fixture(scope="session")
async def town(new_town: NewTown) -> AsyncIterator[Town]:
    """A town full of people, for those who only look."""
    async with new_town("town") as found:
        yield found


@pytest.fixture(scope="session")
async def busy_town(new_town: NewTown, town: Town) -> AsyncIterator[Town]:
    """Its twin, for those who do things."""
    async with new_town("busy_town", town) as found:
        yield found
