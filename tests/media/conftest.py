"""Where files are carried."""

import shutil
from collections.abc import AsyncIterator

import pytest

from ops.app import House
from tests.media.site import Site, listening


@pytest.fixture(scope="session")
async def listener(shared_house: House) -> AsyncIterator[Site]:
    async with listening(shared_house) as site:
        yield site


@pytest.fixture
async def site(listener: Site, house: House) -> AsyncIterator[Site]:
    """A media server with nothing on it, and left so."""
    assert listener.house is house
    yield listener
    for entry in listener.root.iterdir():
        if not entry.name.startswith("."):
            shutil.rmtree(entry, ignore_errors=True)
    listener.media._shelf._items.clear()
