"""What time it is for a whole house: the world's, or in a sandbox so much later as somebody has let pass."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

import loaders.clock
from loaders.work import Reading, read_steadily
from models.activity import CLOCK_STREAM
from models.errors import Busy
from resolvers.hub import Bell, Hub

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
"""How long to rely on the bell before looking all the same."""


class HouseClock:
    """The one clock that a process asks."""

    def __init__(self, world: Callable[[], datetime], reading: Reading, *, is_sandbox: bool) -> None:
        self.is_sandbox = is_sandbox
        self.moved = asyncio.Event()
        """Set whenever time was let pass; whoever waits for it clears it."""
        self.world = world
        self._reading = reading
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        """The time by which everything in the marketplace comes due."""
        return self.world() + self._ahead

    def wall(self) -> datetime:
        """The world's time."""
        return self.world()

    async def catch_up(self) -> None:
        """Take notice of all the time that was let pass until now."""
        if not self.is_sandbox:
            return
        ahead = timedelta(seconds=await read_steadily(self._reading, loaders.clock.ahead))
        if ahead != self._ahead:
            self._ahead = ahead
            self.moved.set()

    async def follow(self, hub: Hub) -> None:
        """Go on taking notice, until cancelled."""
        async with hub.listen(CLOCK_STREAM) as bell:
            while True:
                try:
                    await self.catch_up()
                except Busy:
                    log.warning("the clock could not be read")
                await _wake(bell)


async def _wake(bell: Bell) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_SECONDS):
            await anext(bell)
