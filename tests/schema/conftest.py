"""What tests of the schema stand on: a scene with one of everything, and a stage for tables of callers."""

import pytest

from tests import make
from tests.schema import callers


@pytest.fixture
async def scene(house, keep, people) -> callers.Scene:
    return await callers.scene(house, keep, people)


@pytest.fixture
def stage(house, keep, ask) -> callers.Stage:
    async def set_up() -> callers.Scene:
        return await callers.scene(house, keep, await make.people(keep))

    return callers.Stage(set_up, ask)
