"""How machines come and go by themselves: `python -m ops autoscale` looks at the nodes, decides, and asks for it.

It asks like an operator does, and is refused like one. Any number of these may run: who has decided by what is no
longer so is refused, and after each change all of them keep the peace for a while.
"""

import asyncio
import socket
from collections import deque

import structlog
from sqlalchemy.exc import SQLAlchemyError

import resolvers.machines
from models.control import Actor, Order
from models.errors import Refusal
from models.machines import SPAWN_MAX
from models.scaling import PASS_SECONDS, Decision, Limits, Load, Reading, decide
from ops.app import House, take_options
from resolvers.context import Context

log = structlog.get_logger(__name__)

READINGS_MAX = 100


class Autoscaler:
    """One that looks, pass after pass; what it has seen is forgotten with it, what was done is not."""

    def __init__(self, house: House, provider: str) -> None:
        self._house = house
        self._provider = provider
        self._seen: deque[Reading] = deque(maxlen=READINGS_MAX)
        self._said = ""

    async def work(self, stop: asyncio.Event) -> None:
        """Look every few seconds until told to stop."""
        while not stop.is_set():
            try:
                await take_options(self._house)
                await self.look()
            except (Refusal, SQLAlchemyError, OSError) as error:
                log.warning("not_scaled", reason=str(error).partition("\n")[0])
            await _pause(stop, self._context().config[PASS_SECONDS])

    async def look(self) -> Decision:
        """Look once, and ask for what is to be done, if anything."""
        context = self._context()
        watched = await resolvers.machines.watch(context, provider=self._provider)
        loads = [Load(node.cpu_percent, node.waiting, node.p95_ms) for node in watched.nodes]
        self._seen.append(Reading.of(loads))
        decision = decide(Limits.of(context.config), watched.fleet, list(self._seen), at=context.now.wall())
        # The figures change all the time; what follows from them does not.
        if (said := decision.why.partition(":")[0]) != self._said:
            self._said = said
            log.info("scaling", change=decision.change, why=decision.why, machines=watched.fleet.machines)
        await self._do(context, decision, watched)
        return decision

    async def _do(self, context: Context, decision: Decision, watched: resolvers.machines.Watched) -> None:
        order = Order(why=decision.why, timeout_seconds=0)
        if decision.change > 0:
            count = min(decision.change, SPAWN_MAX)
            await resolvers.machines.spawn(context, order, provider=self._provider, count=count, seen=watched.fleet)
        elif decision.change < 0 and watched.spare:
            # One at a time: the next pass sees to the rest.
            await resolvers.machines.retire(context, order, machine_id=watched.spare[0].id, seen=watched.fleet)

    def _context(self) -> Context:
        actor = Actor(None, "autoscaler", socket.gethostname(), "python -m ops autoscale")
        return self._house.context(operator=actor)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
