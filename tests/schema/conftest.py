"""What tests of the schema stand on: a scene with one of everything, and a stage for tables of callers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from ops import migrate
from ops.settings import Settings
from tests import make
from tests.schema import callers
from tests.schema.town import Town, settled


@pytest.fixture
async def scene(house, keep, people) -> callers.Scene:
    return await callers.scene(house, keep, people)


@pytest.fixture
def stage(house, keep, ask) -> callers.Stage:
    async def set_up() -> callers.Scene:
        return await callers.scene(house, keep, await make.people(keep))

    return callers.Stage(set_up, ask)


@pytest.fixture(scope="session")
async def town(
    new_database: Callable[[str], Awaitable[str]], settings: Settings, pytestconfig: pytest.Config
) -> AsyncIterator[Town]:
    """A town full of people, for those who only look."""
    url = await new_database("town")
    await asyncio.to_thread(migrate.to_head, url)
    async with settled(replace(settings, database_url=url), pytestconfig.getoption("--seed")) as found:
        yield found
