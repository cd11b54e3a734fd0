"""What happens by itself: time passing over jobs, sessions and uploads."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog

import resolvers.accounts
import resolvers.jobs
import resolvers.media
from ops.app import House
from resolvers.context import Context

log = structlog.get_logger(__name__)

ROUND_SECONDS = 15.0

Chore = Callable[[Context], Awaitable[int]]
CHORES: tuple[Chore, ...] = (resolvers.jobs.expire_due, resolvers.accounts.sweep, resolvers.media.sweep)
"""Each does a bounded amount, says how much, and may be run twice, at once, and by several workers."""


async def work(house: House) -> None:
    """Do all chores, every few seconds, until told to stop; what has begun is finished."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with house.open():
        while not stop.is_set():
            await do_chores(house, stop)
            await _pause(stop)


async def do_chores(house: House, stop: asyncio.Event) -> None:
    """Do each chore until there is nothing left of it; one that fails is tried again in the next round."""
    for chore in CHORES:
        try:
            while not stop.is_set() and await chore(house.context()):
                continue
        except Exception:
            log.exception("chore failed", chore=chore.__name__)


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(ROUND_SECONDS):
            await stop.wait()
    except TimeoutError:
        return
