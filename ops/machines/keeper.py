"""Who makes machines: finds in the database what is wanted, makes it, watches over it and ends it.

Nobody sends a keeper anything. Requests, machines and keepers are rows; the bell only makes it look sooner. So a server
that took a request may die, and so may a keeper: machines of a cloud are found by the next one, by the ids they were
given before they were made, and processes of a host end with their keeper.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

import resolvers.machines
from models.base import uuid7
from models.errors import Refusal
from models.machines import DRAIN_SECONDS, ENDED, START_SECONDS, Keeper, Machine, MachineState
from ops.app import House, take_options
from ops.balancer import Balancer
from ops.front import is_ready
from ops.machines import Away, CannotSpawn, Made, Provider
from resolvers.context import Context
from resolvers.hub import Bell, GoingAway

log = structlog.get_logger(__name__)

ROUND_SECONDS = 2.0
"""How long to rely on the bell."""
END_SECONDS_MIN = 1.0
"""What a machine gets to end even when its time is over."""
GOODBYE_SECONDS = 2.0
TROUBLES = (Refusal, SQLAlchemyError, OSError, Away)
"""What passes: the database, or a provider, is away for a while."""


class MachineKeeper:
    """Keeps the machines of some providers; `balancer` is told of them, where there is one that has to be."""

    def __init__(
        self,
        house: House,
        providers: Sequence[Provider],
        balancer: Balancer | None = None,
        *,
        keeper_id: UUID | None = None,
    ) -> None:
        self._house = house
        self._providers = {provider.name: provider for provider in providers}
        self._balancer = balancer
        self._keeper = self._fresh(keeper_id)
        self._is_enlisted = False
        self._making: dict[UUID, asyncio.Task[None]] = {}
        self._ending: dict[UUID, asyncio.Task[None]] = {}
        self._looks: dict[str, float] = {}
        self.is_busy = False
        """Whether a machine is being made or ended."""

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["MachineKeeper"]:
        """Keep machines as long as the block lasts."""
        task = asyncio.create_task(self._work())
        try:
            yield self
        finally:
            tasks = [task, *self._making.values(), *self._ending.values()]
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._say_goodbye()

    async def _work(self) -> None:
        async with self._bell() as bell:
            while True:
                try:
                    await self._round()
                except TROUBLES as error:
                    log.warning("machines_not_attended", reason=_first_line(error))
                except Exception:
                    log.exception("machines_not_attended")
                await _wake(bell)

    @asynccontextmanager
    async def _bell(self) -> AsyncIterator[Bell | None]:
        try:
            async with self._house.hub.listen(resolvers.machines.CHANNEL) as bell:
                yield bell
        except GoingAway:
            yield None

    async def _round(self) -> None:
        await self._enlist()
        await take_options(self._house)
        bound = {name: provider.dies_with_us for name, provider in self._providers.items()}
        duties = await resolvers.machines.attend(self._context(), self._keeper, bound)
        if not duties.is_known:
            await self._come_back()
            return
        for machine in duties.kept:
            if machine.state is MachineState.STARTING and machine.id not in self._making:
                self._begin(self._making, machine, self._make(machine))
            elif machine.state is MachineState.RETIRING and machine.id not in self._ending:
                self._begin(self._ending, machine, self._end(machine))
        await self._watch(duties.kept)

    async def _come_back(self) -> None:
        """Others took this one for dead, and what is bound to it as well; what they took over is theirs now."""
        self._keeper = self._fresh()
        bound = [provider for provider in self._providers.values() if provider.dies_with_us]
        alive = [made.machine_id for provider in bound for made in await provider.present()]
        await resolvers.machines.come_back(self._context(), self._keeper, machine_ids=alive)

    async def _enlist(self) -> None:
        if not self._is_enlisted:
            await resolvers.machines.enlist(self._context(), self._keeper)
            self._is_enlisted = True

    def _fresh(self, keeper_id: UUID | None = None) -> Keeper:
        now = self._house.clock.wall()
        return Keeper(
            id=keeper_id or uuid7(),
            host=socket.gethostname(),
            providers=sorted(self._providers),
            started_at=now,
            seen_at=now,
        )

    def _begin(self, tasks: dict[UUID, asyncio.Task[None]], machine: Machine, work: Coroutine[Any, Any, None]) -> None:
        task = tasks[machine.id] = asyncio.create_task(_in_peace(work, machine))
        task.add_done_callback(lambda _: tasks.pop(machine.id, None))
        self.is_busy = True
        task.add_done_callback(lambda _: setattr(self, "is_busy", bool(self._making or self._ending)))

    # Making

    async def _make(self, machine: Machine) -> None:
        """Make a machine and wait until it takes traffic; what does not come to that leaves nothing behind."""
        provider = self._providers[machine.provider]
        context = self._context()
        seconds = context.config[START_SECONDS]
        until = (machine.began_at or context.now.wall()) + timedelta(seconds=seconds)
        try:
            async with asyncio.timeout((until - context.now.wall()).total_seconds()):
                made = await self._ready(provider, machine.id)
        except (CannotSpawn, TimeoutError) as error:
            why = str(error) or f"It took no traffic after {seconds} s."
            log.warning("machine_failed", machine=str(machine.id), provider=provider.name, reason=why)
            await provider.end(machine.id, 0)
            await resolvers.machines.fail(self._context(), machine_id=machine.id, why=why)
            return
        if self._balancer is not None and made.address:
            self._balancer.join(made.address)
        if await resolvers.machines.stand(self._context(), machine_id=machine.id):
            log.info("machine_ready", machine=str(machine.id), provider=provider.name, address=made.address)

    async def _ready(self, provider: Provider, machine_id: UUID) -> Made:
        noted: Made | None = None
        made = await provider.spawn(machine_id)
        while True:
            if made != noted:
                await resolvers.machines.made(
                    self._context(), machine_id=machine_id, handle=made.handle, address=made.address
                )
                noted = made
            if made.address and await _answers(made.address):
                return made
            await asyncio.sleep(provider.look_seconds)
            made = await self._found(provider, machine_id)

    async def _found(self, provider: Provider, machine_id: UUID) -> Made:
        while True:
            try:
                present = await provider.present()
            except Away as error:
                log.warning("provider_away", provider=provider.name, reason=_first_line(error))
                await asyncio.sleep(provider.look_seconds)
                continue
            found = next((made for made in present if made.machine_id == machine_id), None)
            if found is None:
                raise CannotSpawn(provider.last_words(machine_id))
            return found

    # Watching

    async def _watch(self, kept: Sequence[Machine]) -> None:
        """Take note of machines that ended by themselves, and end those that nobody knows any more."""
        now = asyncio.get_running_loop().time()
        for name, provider in self._providers.items():
            if now < self._looks.get(name, now):
                continue
            self._looks[name] = now + provider.look_seconds
            present = {made.machine_id for made in await provider.present()}
            for machine in kept:
                if machine.provider == name and machine.state is MachineState.READY and machine.id not in present:
                    await self._lost(provider, machine)
            for stray in present - {machine.id for machine in kept}:
                await self._end_if_forgotten(provider, stray)

    async def _lost(self, provider: Provider, machine: Machine) -> None:
        why = provider.last_words(machine.id)
        log.warning("machine_lost", machine=str(machine.id), provider=provider.name, reason=why)
        # Of one that only stands still, something is left.
        await provider.end(machine.id, 0)
        await resolvers.machines.gone(self._context(), machine_id=machine.id, why=why)
        if self._balancer is not None and machine.address:
            await self._balancer.leave(machine.address)

    async def _end_if_forgotten(self, provider: Provider, machine_id: UUID) -> None:
        """A machine that was made although it had been given up: its keeper died while it was being made."""
        found = await resolvers.machines.find(self._context(), machine_id=machine_id)
        if found is not None and found.state in ENDED:
            log.warning("machine_forgotten", machine=str(machine_id), provider=provider.name)
            await provider.end(machine_id, END_SECONDS_MIN)

    # Ending

    async def _end(self, machine: Machine) -> None:
        """Let a machine finish, and end it; when its time is over, it is ended all the same."""
        if making := self._making.get(machine.id):
            making.cancel()
            await asyncio.wait([making])
        provider = self._providers[machine.provider]
        context = self._context()
        seconds = context.config[DRAIN_SECONDS]
        until = (machine.retired_at or context.now.wall()) + timedelta(seconds=seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, (until - context.now.wall()).total_seconds())):
                await self._drained(provider, machine)
        left = (until - context.now.wall()).total_seconds()
        finished = await provider.end(machine.id, max(END_SECONDS_MIN, left))
        why = None if finished and left > 0 else f"It had not finished after {seconds} s, and was ended."
        await resolvers.machines.gone(self._context(), machine_id=machine.id, why=why)
        log.info("machine_retired", machine=str(machine.id), provider=provider.name, finished=why is None)

    async def _drained(self, provider: Provider, machine: Machine) -> None:
        """Wait until nothing new comes to it, and what it began is done, where it sees to that itself."""
        if self._balancer is not None and machine.address:
            await self._balancer.leave(machine.address)
        while provider.drains_itself and not await resolvers.machines.has_finished(  # noqa: ASYNC110 - nor the database
            self._context(), machine_id=machine.id
        ):
            await asyncio.sleep(provider.look_seconds)

    async def _say_goodbye(self) -> None:
        if not self._is_enlisted:
            return
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await resolvers.machines.leave(
                    self._context(), self._keeper, "It was stopped with the process that kept it."
                )
        except (*TROUBLES, TimeoutError) as error:
            log.warning("keeper_left_in_silence", reason=_first_line(error))

    def _context(self) -> Context:
        return self._house.context()


async def keep(house: House, providers: Sequence[Provider], stop: asyncio.Event) -> None:
    """Keep machines until told to stop; those that outlive this process are found by the next keeper."""
    async with MachineKeeper(house, providers).at_work():
        await stop.wait()


async def _in_peace(work: Coroutine[Any, Any, None], machine: Machine) -> None:
    """Do something for a machine; what fails is begun again in a later round."""
    try:
        await work
    except TROUBLES as error:
        log.warning("machine_left_for_later", machine=str(machine.id), reason=_first_line(error))
    except Exception:
        log.exception("machine_left_for_later", machine=str(machine.id))


async def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return await is_ready(host, int(port))


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


async def _wake(bell: Bell | None) -> None:
    """Sleep until it rings, or until it is time to look all the same."""
    try:
        async with asyncio.timeout(ROUND_SECONDS):
            if bell is None:
                await asyncio.Event().wait()
            else:
                await anext(bell)
    except TimeoutError:
        return
