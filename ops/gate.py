"""What stands before every operation of this process, and knows whether it is there and whether there is room for it.

A service is a bulkhead: so many of its operations run at once, so many wait, and more are refused at once, so that one
service that is slow does not take the whole process with it. Whoever is let in costs one look into a dictionary and
two additions; a line forms only where there is no room.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from models.control import (
    ESSENTIAL,
    EVERY,
    LINE_MAX,
    THREADS_DEFAULT,
    CommandDisabled,
    Desired,
    Overloaded,
    Service,
    ServiceFrozen,
)
from models.errors import Refusal
from ops.logs import SERVICE

ROUTES_MAX = 1_000
"""Combinations of commands that are remembered; an operation may combine them as it likes."""


class Bulkhead:
    """The operations of one service that run and wait here."""

    __slots__ = ("_idle", "followers", "line", "line_most", "most", "name", "running")

    def __init__(self, name: str) -> None:
        self.name = name
        self.most = THREADS_DEFAULT
        self.line_most = LINE_MAX.default
        self.running = 0
        self.followers: set[asyncio.Future[Exception]] = set()
        self.line: deque[asyncio.Future[None]] = deque()
        self._idle: asyncio.Event | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self.line)

    async def take(self) -> None:
        """Come in, or stand in line, or be refused because the line is full."""
        if not self.line and self.running < self.most:
            self.running += 1
            return
        if len(self.line) >= self.line_most:
            raise Overloaded
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line.append(turn)
        try:
            await turn
        except BaseException:
            # Who was called in the same moment in which she left has a place to give back.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.give()
            else:
                with suppress(ValueError):
                    self.line.remove(turn)
            raise

    def give(self) -> None:
        """Let go of a place; whoever is first in line gets it."""
        self.running -= 1
        if self.line or not self.running:
            self.settle()

    def settle(self) -> None:
        """See to those who wait: for a place, or for everybody to have left."""
        self._call()
        if not self.running and self._idle is not None:
            self._idle.set()

    def resize(self, most: int, line_most: int) -> None:
        """Let more in, or fewer from here on; those who are in stay."""
        self.most, self.line_most = most, line_most
        self._call()

    def refuse_line(self, refusal: Callable[[], Refusal]) -> int:
        """Send everybody home who waits."""
        sent = 0
        while self.line:
            turn = self.line.popleft()
            if not turn.done():
                turn.set_exception(refusal())
                sent += 1
        return sent

    def end_followers(self, refusal: Callable[[], Refusal]) -> int:
        """End every subscription, with the reason."""
        ended = [follower for follower in self.followers if not follower.done()]
        for follower in ended:
            follower.set_result(refusal())
        return len(ended)

    async def drained(self) -> None:
        """Wait until nothing runs."""
        while self.running:
            self._idle = self._idle or asyncio.Event()
            self._idle.clear()
            await self._idle.wait()

    def _call(self) -> None:
        while self.line and self.running < self.most:
            turn = self.line.popleft()
            if not turn.done():
                self.running += 1
                turn.set_result(None)


class Route:
    """Where an operation passes: one bulkhead for each service that it calls on, or a refusal."""

    __slots__ = ("alone", "bulkheads", "refusal", "service")

    def __init__(
        self, bulkheads: tuple[Bulkhead, ...], service: Service, refusal: Callable[[], Refusal] | None
    ) -> None:
        self.bulkheads = bulkheads
        self.service = service
        self.alone = bulkheads[0] if len(bulkheads) == 1 else None
        self.refusal = refusal


class HouseGate:
    """The gate of this process. What it does not know is no command: introspection, and a toy's fields, just pass."""

    def __init__(self, commands: Mapping[str, Service]) -> None:
        self.commands = commands
        self.bulkheads: dict[Service, Bulkhead] = {service: Bulkhead(service.value) for service in EVERY}
        # Sign-in has a place of its own: it goes on when its service is frozen, and does not hold up its draining.
        self._essential = Bulkhead(Service.USERS.value)
        self._desired = Desired()
        self.is_shut = False
        """Whether it is frozen wholly: it lets nothing in but sign-in and control."""
        self._routes: dict[frozenset[str], Route] = {}

    def enter(self, commands: frozenset[str]) -> Awaitable[None] | None:
        """Let a query or a mutation in, at once if there is room."""
        route = self._routes.get(commands) or self._route(commands)
        SERVICE.set(route.service)
        if route.refusal is not None:
            raise route.refusal()
        alone = route.alone
        if alone is None:
            return self._enter_each(route.bulkheads) if route.bulkheads else None
        if alone.running < alone.most and not alone.line:
            alone.running += 1
            return None
        return alone.take()

    def leave(self, commands: frozenset[str]) -> None:
        """Let go of what `enter` took."""
        route = self._routes.get(commands) or self._route(commands)
        alone = route.alone
        if alone is None:
            for bulkhead in route.bulkheads:
                bulkhead.give()
            return
        alone.running -= 1
        if alone.line or not alone.running:
            alone.settle()

    @contextmanager
    def follow(self, commands: frozenset[str]) -> Iterator["asyncio.Future[Exception]"]:
        """Let a subscription begin. It takes nobody's place, and ends when its service is frozen."""
        route = self._routes.get(commands) or self._route(commands)
        SERVICE.set(route.service)
        if route.refusal is not None:
            raise route.refusal()
        ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        for bulkhead in route.bulkheads:
            bulkhead.followers.add(ended)
        try:
            yield ended
        finally:
            for bulkhead in route.bulkheads:
                bulkhead.followers.discard(ended)

    def refuses(self, commands: frozenset[str]) -> bool:
        """Whether it would not let this in."""
        return (self._routes.get(commands) or self._route(commands)).refusal is not None

    def is_open(self, service: Service) -> bool:
        """Whether a service takes anything new."""
        return not self._desired.is_frozen(service)

    def obey(self, desired: Desired, line_most: int) -> None:
        """Stand as is wanted from here on; who has been let in stays, who waits for what is frozen is sent home."""
        self._desired, self.is_shut = desired, desired.is_frozen_wholly
        self._routes.clear()
        for service, bulkhead in self.bulkheads.items():
            bulkhead.resize(desired.threads(service), line_most)
            if desired.is_frozen(service):
                bulkhead.refuse_line(ServiceFrozen)
        self._essential.resize(desired.threads(Service.USERS), line_most)

    def end_followers(self, services: Iterable[Service]) -> int:
        """End the subscriptions of services that were frozen; their sockets stay open."""
        return sum(self.bulkheads[service].end_followers(ServiceFrozen) for service in services)

    async def drained(self, services: Iterable[Service]) -> None:
        """Wait until nothing of these services runs."""
        for service in services:
            await self.bulkheads[service].drained()

    @property
    def running(self) -> int:
        """How many operations run."""
        return self._essential.running + sum(bulkhead.running for bulkhead in self.bulkheads.values())

    @property
    def waiting(self) -> int:
        """How many operations wait."""
        return self._essential.waiting + sum(bulkhead.waiting for bulkhead in self.bulkheads.values())

    async def _enter_each(self, bulkheads: tuple[Bulkhead, ...]) -> None:
        """Take a place in one after the other, always in the same order, so that no two wait for each other."""
        taken: list[Bulkhead] = []
        try:
            for bulkhead in bulkheads:
                await bulkhead.take()
                taken.append(bulkhead)
        except BaseException:
            for bulkhead in taken:
                bulkhead.give()
            raise

    def _route(self, commands: frozenset[str]) -> Route:
        known = {command: self.commands[command] for command in commands if command in self.commands}
        steered = {command: service for command, service in known.items() if command not in ESSENTIAL}
        services = sorted(set(steered.values()), key=EVERY.index)
        essential = () if len(steered) == len(known) else (self._essential,)
        first = next(iter(known.values()), Service.ALL)
        places = (*essential, *(self.bulkheads[service] for service in services))
        route = Route(places, services[0] if services else first, self._refusal(steered))
        if len(self._routes) >= ROUTES_MAX:
            self._routes.clear()
        self._routes[commands] = route
        return route

    def _refusal(self, commands: Mapping[str, Service]) -> Callable[[], Refusal] | None:
        if any(self._desired.is_deleted(command) for command in commands):
            return CommandDisabled
        if any(self._desired.is_frozen(service) for service in commands.values()):
            return ServiceFrozen
        return None
