"""How a process is steered: it says that it is there, hears what is wanted, does it, and says what came of it.

The database holds what is wanted; the bell only makes a node look there, and it looks every few seconds all the same.
So a node that was stopped, or cut off, or started late does in the end what all others do. It has connections of its
own (`House.reserve`), because what steers it must not stand in the line of what is to be steered.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

import loaders.control
from loaders.work import UnitOfWork, in_our_words
from models.activity import CONTROL_NEWS_STREAM, CONTROL_STREAM, EventKind, event
from models.config import Config
from models.control import (
    DRAIN_SECONDS,
    LINE_MAX,
    STEERED,
    Acknowledgement,
    AckState,
    Code,
    ControlMessage,
    Desired,
    Kind,
    NodeKind,
    NodeState,
    ServerNode,
    Service,
    Verb,
)
from models.errors import NotFound, Refusal
from ops import logs
from ops.code import Verb as Call
from ops.figures import Figures
from resolvers.context import Context
from resolvers.hub import Bell, GoingAway

if TYPE_CHECKING:
    from ops.app import House

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
"""How long to rely on the bell."""
AGAIN_SECONDS = 0.5
"""How long to leave a database alone that is away."""
REGISTER_SECONDS = 5.0
"""How long a process that starts waits to be told what is wanted; later it is told all the same."""


Outcomes: TypeAlias = dict[tuple[Kind, str], "Outcome"]

HERE: set[UUID] = set()
"""The nodes that this process is."""


class Outcome(NamedTuple):
    """What came of one thing that was wanted."""

    state: AckState = AckState.APPLIED
    detail: str = ""
    took_ms: int = 0


class Freezing(NamedTuple):
    """What was there to be ended when services were frozen."""

    services: tuple[Service, ...]
    running: int
    sent_home: int
    followers: int
    began: float


class Agent:
    """Steers this process."""

    def __init__(self, house: "House", kind: NodeKind, *, name: str, address: str = "") -> None:
        self.house = house
        self.figures = Figures(house.gate, house.database)
        self.desired = Desired()
        self.node: ServerNode | None = None
        self._kind = kind
        self._name = name
        self._address = address
        self._own_connections = self._connections = house.settings.db_connections
        self._is_behind = False
        self._code: dict[str, Code] = {}
        self._loaded: dict[tuple[str, int], Call] = {}
        self._due: list[Freezing] = []
        self._draining: dict[asyncio.Task[None], Freezing] = {}

    @property
    def is_steered(self) -> bool:
        """Whether it knows what is wanted."""
        return self.node is not None

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Agent"]:
        """Be steered as long as the block lasts; within it what is wanted holds, if the database could be asked."""
        asked = asyncio.Event()
        task = asyncio.create_task(self._work(asked))
        try:
            async with asyncio.timeout(REGISTER_SECONDS):
                await asked.wait()
        except TimeoutError:
            log.warning("control_not_there", node=self._name)
        try:
            yield self
        finally:
            for each in (task, *self._draining):
                each.cancel()
            await asyncio.gather(task, *self._draining, return_exceptions=True)
            self.house.codebook.restore()
            await self._take_leave()

    async def _work(self, asked: asyncio.Event) -> None:
        async with AsyncExitStack() as doors:
            bell: Bell | None = None
            try:
                bell = await doors.enter_async_context(self.house.hub.listen(CONTROL_STREAM))
            except GoingAway:
                log.info("control_without_bell", node=self._name)
            while True:
                patience = AGAIN_SECONDS
                try:
                    await self.look()
                    patience = POLL_SECONDS
                except (Refusal, SQLAlchemyError, OSError) as error:
                    # Before the migrations, or without a database, there is nothing to be steered by.
                    self._is_behind = True
                    log.warning("control_not_heard", reason=str(error).partition("\n")[0])
                else:
                    asked.set()
                bell = await _wake(bell, patience)

    async def look(self) -> None:
        """Say that this node lives, and do what is wanted since it last looked."""
        if self.node is None:
            self.node = await self._register()
            return
        with in_our_words():
            async with self.house.reserve.reading() as session:
                desired = await loaders.control.desired(session, self.node.id)
        if desired.version != self.desired.version or self._is_behind:
            await self._catch_up(self.node, desired)
        else:
            async with self._context().writing() as work:
                await self._beat(work, self.node)

    async def _beat(self, work: UnitOfWork, node: ServerNode) -> None:
        said = {"state": self._state(), "seen_at": self.house.clock.wall(), "version": self.desired.version}
        await loaders.control.beat(work, node.id, **said, **self.figures.read())

    async def _register(self) -> ServerNode:
        """Take a place among the nodes of this name, that of a dead one if there is one, and do what is wanted."""
        async with self._context().writing() as work:
            await loaders.control.lock(work, self.house.clock.wall())
            node = self._placed(await loaders.control.namesakes(work, self._name))
            work.add(node)
            await work.flush()
            desired = await loaders.control.desired(work, node.id)
            missed = await loaders.control.pending(work, node.id)
            await self._do(desired)
            node.version = desired.version
            for said, _ in missed:
                said.say(AckState.APPLIED, "came up with it", took_ms=0, at=self.house.clock.wall())
        self._begin_drains()
        HERE.add(node.id)
        log.info("node", name=node.name, version=desired.version)
        return node

    def _placed(self, others: Sequence[ServerNode]) -> ServerNode:
        now = self.house.clock.wall()
        free = [node for node in others if not node.is_alive(now) or _is_dead(node)]
        taken = {node.name for node in others}
        fresh = next(name for at in range(len(others) + 1) if (name := f"{self._name}/{at}") not in taken)
        node = min(free, key=lambda one: one.name) if free else ServerNode(name=fresh)
        figures = self.figures.read()
        said = {
            "kind": self._kind,
            "state": NodeState.RUNNING,
            "host": socket.gethostname(),
            "address": self._address,
            "pid": os.getpid(),
            "machine_id": self.house.settings.machine,
            "started_at": now,
            "seen_at": now,
            "version": 0,
            **figures,
        }
        for name, value in said.items():
            setattr(node, name, value)
        return node

    def _state(self) -> NodeState:
        return NodeState.FROZEN if self.desired.is_frozen_wholly else NodeState.RUNNING

    async def _catch_up(self, node: ServerNode, desired: Desired) -> None:
        outcomes = await self._do(desired)
        async with self._context().writing() as work:
            for said, message in await loaders.control.pending(work, node.id):
                if message.version <= desired.version and not self._is_draining(message):
                    self._acknowledge(work.leave, said, message, await self._outcome(message, outcomes))
            await self._beat(work, node)
        self._begin_drains()
        self._is_behind = False

    def _acknowledge(
        self, leave: Callable[..., None], said: Acknowledgement, message: ControlMessage, outcome: Outcome
    ) -> None:
        now = self.house.clock.wall()
        said.say(outcome.state, outcome.detail, took_ms=outcome.took_ms, at=now)
        leave(event(CONTROL_NEWS_STREAM, EventKind.CONTROL_ACKNOWLEDGED, message, by=None, at=now))

    def _is_draining(self, message: ControlMessage) -> bool:
        """Whether a freezing is acknowledged later, when all has ended."""
        meant = {Service(name) for name in message.after} if message.verb is Verb.FREEZE else set()
        return any(meant & set(freezing.services) for freezing in (*self._due, *self._draining.values()))

    def _begin_drains(self) -> None:
        """Wait for what was frozen to end; not before all else is acknowledged, so that nothing is said twice."""
        seconds = self.house.tuning.config[DRAIN_SECONDS]
        for freezing in self._due:
            task = asyncio.create_task(self._drain(freezing, seconds))
            self._draining[task] = freezing
            task.add_done_callback(lambda done: self._draining.pop(done, None))
        self._due.clear()

    # What is done

    async def _do(self, desired: Desired) -> "Outcomes":
        """Do what is wanted; answers what came of each kind of thing, and of single ones that fare otherwise."""
        before, self.desired = self.desired, desired
        outcomes: Outcomes = {
            (Kind.OPTION, ""): _done(self._take_options),
            (Kind.LOG_LEVEL, ""): _done(self._take_levels),
            (Kind.THREADS, ""): _done(lambda: self._obey(before)),
        }
        outcomes[Kind.DELETED, ""] = outcomes[Kind.FROZEN, ""] = outcomes[Kind.THREADS, ""]
        began = perf_counter()
        await self._resize()
        outcomes[Kind.DB_CONNECTIONS, ""] = Outcome(took_ms=_since(began))
        return outcomes | await self._take_code()

    async def _outcome(self, message: ControlMessage, outcomes: "Outcomes") -> Outcome:
        if message.verb is Verb.STAGE_COMMAND:
            return await self._stage(message)
        return outcomes.get((message.kind, message.subject)) or outcomes.get((message.kind, ""), Outcome())

    async def _stage(self, message: ControlMessage) -> Outcome:
        """Load code that is to run soon, and let nobody run it yet."""
        began = perf_counter()
        try:
            await self._verb(message.subject, message.after[message.subject])
        except Refusal as refusal:
            return Outcome(AckState.FAILED, refusal.message, _since(began))
        return Outcome(AckState.APPLIED, "loaded", _since(began))

    async def _verb(self, command: str, number: int) -> Call | None:
        """A version of a command's code, from now on at hand; nothing is what the process started with."""
        if number and (command, number) not in self._loaded:
            with in_our_words():
                async with self.house.reserve.reading() as session:
                    given = await loaders.control.version_of(session, command, number)
            if given is None:
                raise NotFound
            # Whoever can write into the database cannot sign.
            self._loaded[command, number] = self.house.codebook.load(command, given.source, given.signature)
        return self._loaded.get((command, number))

    async def _take_code(self) -> "Outcomes":
        """Let the versions run that are wanted; where one cannot be loaded, what ran before goes on."""
        outcomes: Outcomes = {}
        for command in self.desired.of_kind(Kind.CODE):
            code, began = self.desired.code(command), perf_counter()
            if self._code.get(command) == code:
                continue
            try:
                new, beside = await self._verb(command, code.number), await self._verb(command, code.beside)
                self.house.codebook.let_run(command, new, beside, code.percent)
                self._code[command] = code
                outcomes[Kind.CODE, command] = Outcome(took_ms=_since(began))
            except Refusal as refusal:
                log.warning("code_not_loaded", command=command, number=code.number, reason=refusal.message)
                outcomes[Kind.CODE, command] = Outcome(AckState.FAILED, refusal.message, _since(began))
        return outcomes

    def _take_options(self) -> None:
        self.house.tuning.config = Config.wanted(self.desired.of_kind(Kind.OPTION))

    def _take_levels(self) -> None:
        logs.LEVELS.take(self.desired.of_kind(Kind.LOG_LEVEL))

    def _obey(self, before: Desired) -> None:
        gate = self.house.gate
        frozen = tuple(one for one in STEERED if self.desired.is_frozen(one) and not before.is_frozen(one))
        waiting = sum(gate.bulkheads[service].waiting for service in frozen)
        gate.obey(self.desired, self.house.tuning.config[LINE_MAX])
        for task, freezing in list(self._draining.items()):
            if not all(map(self.desired.is_frozen, freezing.services)):
                # Somebody has changed her mind.
                task.cancel()
                del self._draining[task]
        if frozen:
            running = sum(gate.bulkheads[service].running for service in frozen)
            followers = gate.end_followers(frozen)
            self._due.append(Freezing(frozen, running, waiting, followers, perf_counter()))

    async def _resize(self) -> None:
        wanted = self.desired.get(Kind.DB_CONNECTIONS, "POOL", self._own_connections)
        if wanted != self._connections:
            self._connections = wanted
            await self.house.database.resize(wanted)

    async def _drain(self, freezing: Freezing, seconds: int) -> None:
        """Wait until what ran of frozen services has ended, let go of what they held, and say so."""
        try:
            async with asyncio.timeout(seconds):
                await self.house.gate.drained(freezing.services)
            outcome = Outcome(AckState.APPLIED, _drained(freezing), _since(freezing.began))
        except TimeoutError:
            left = sum(self.house.gate.bulkheads[service].running for service in freezing.services)
            detail = f"frozen, but {left} of {freezing.running} operations still run after {seconds} s"
            outcome = Outcome(AckState.FAILED, detail, _since(freezing.began))
        if self.desired.is_frozen_wholly:
            await self.house.database.rest()
        await self._say_drained(freezing, outcome)

    async def _say_drained(self, freezing: Freezing, outcome: Outcome) -> None:
        assert self.node is not None
        async with self._context().writing() as work:
            for said, message in await loaders.control.pending(work, self.node.id):
                if message.verb is Verb.FREEZE and {Service(name) for name in message.after} & set(freezing.services):
                    self._acknowledge(work.leave, said, message, outcome)

    async def _take_leave(self) -> None:
        """Say that this node stops, if there is anybody to hear it."""
        if self.node is None:
            return
        HERE.discard(self.node.id)
        try:
            async with asyncio.timeout(AGAIN_SECONDS), self.house.reserve.writing.begin() as work:
                await loaders.control.beat(work, self.node.id, state=NodeState.STOPPED, seen_at=self.house.clock.wall())
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("node_left_in_silence", name=self._name, reason=str(error).partition("\n")[0])

    def _context(self) -> Context:
        return self.house.context(database=self.house.reserve)


def _is_dead(node: ServerNode) -> bool:
    """Whether the process that a node was is no more, as far as can be seen from this machine."""
    if node.host != socket.gethostname():
        return False
    if node.pid == os.getpid():
        # Numbers come again, in a container always the same: it is this process, or one that was before it.
        return node.id not in HERE
    try:
        os.kill(node.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _drained(freezing: Freezing) -> str:
    ended = f"{freezing.running} operations ended, {freezing.followers} subscriptions were told, "
    return f"{ended}{freezing.sent_home} that waited were sent home, in {_since(freezing.began)} ms"


def _done(step: Callable[[], None]) -> Outcome:
    began = perf_counter()
    step()
    return Outcome(took_ms=_since(began))


def _since(began: float) -> int:
    return round((perf_counter() - began) * 1000)


async def _wake(bell: Bell | None, patience: float) -> Bell | None:
    """Sleep until it rings, or until it is time to look all the same; answers the bell, unless it rings no more."""
    try:
        async with asyncio.timeout(patience):
            if bell is None:
                await asyncio.Event().wait()
            else:
                await anext(bell)
    except TimeoutError:
        return bell
    except GoingAway:
        return None
    return bell
