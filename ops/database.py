"""How Postgres is reached: by a pool of sessions, used in two ways, and by bare lines for statements with one value."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, TypeAlias

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from loaders.work import UnitOfWork
from models.errors import Busy, OutcomeUnknown
from ops.pipe import SILENCE_SECONDS, Answer, Connection, Pipe, bound, forgotten, prepared
from ops.pool import LivePool
from resolvers.context import LongWay, Sequel

log = structlog.get_logger()

CHECKOUT_SECONDS = 5.0
"""How long an operation waits for a connection before it is told to come back later."""

SERVER_SETTINGS = {
    "application_name": "workup",
    "timezone": "UTC",
    "lock_timeout": "5s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "30s",
}

LINE_SETTINGS = {
    # A statement is planned once for all its values: what makes another plan of it is written into its text.
    "plan_cache_mode": "force_generic_plan",
    # It would take longer to translate a statement of many parts than to run it.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # It is planned for tables as they were when it was first asked, and they grow.
    "enable_seqscan": "off",
}

Asked: TypeAlias = tuple[str, Sequence[Any]]
"""A statement, and what is bound to it."""

PREPARED_MAX = 100
"""Statements that one line keeps prepared; the least recently used are forgotten first."""

QUICK_SECONDS = 0.001
"""What takes less is quick: of these, two lines give more answers than a process of ours can send."""

SLOWER = 1.02
"""How much longer a statement is taken to take each time that it took longer."""

PREPARED_CHARS_MAX = 1_000_000
"""What the texts of these come to at most: Postgres remembers more of a long one."""


class Line:
    """A connection, and the statements that are prepared on it."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.prepared: OrderedDict[str, bytes] = OrderedDict()
        """What each is bound by."""
        self.chars = 0
        self._made = 0
        self._forgotten = b""
        """What is still to be said of those that are not kept any more."""

    def ask(self, *asked: Asked, keep: bool = True) -> Awaitable[Answer]:
        """Ask for one value each, in one transaction; a statement that is not to be kept is forgotten at once."""
        message = b""
        for text, arguments in asked:
            name = self.prepared.get(text)
            if name is None:
                return self._ask_anew(asked, keep=keep)
            self.prepared.move_to_end(text)
            message += bound(name, arguments)
        return self.pipe.ask(message)

    async def _ask_anew(self, asked: Sequence[Asked], *, keep: bool) -> Answer:
        message, self._forgotten = self._forgotten, b""
        made: dict[str, bytes] = {}
        for text, arguments in asked:
            name = self.prepared.get(text)
            if name is None:
                # Without a name it would be parsed and planned for each of its values.
                name = made[text] = self._another_name() if keep else b""
                message += prepared(name, text)
            message += bound(name, arguments)
        try:
            found = await self.pipe.ask(message)
        except BaseException:
            self._forgotten += b"".join(map(forgotten, made.values()))
            raise
        if keep:
            for text, name in made.items():
                self._keep(text, name)
        return found

    def _another_name(self) -> bytes:
        self._made += 1
        return b"kept_%d" % self._made

    def _keep(self, text: str, name: bytes) -> None:
        if text in self.prepared:
            # Two have asked for it at once.
            self._forgotten += forgotten(name)
            return
        self.prepared[text] = name
        self.chars += len(text)
        while len(self.prepared) > PREPARED_MAX or (self.chars > PREPARED_CHARS_MAX and len(self.prepared) > 1):
            old, name = self.prepared.popitem(last=False)
            self.chars -= len(old)
            self._forgotten += forgotten(name)

    def forget(self) -> None:
        """Prepare everything anew from now on."""
        self._forgotten += b"".join(map(forgotten, self.prepared.values()))
        self.prepared.clear()
        self.chars = 0


class Turns:
    """A few connections that are opened when they are first needed, and taken in turn."""

    places = 1
    """How many may use a line at once; what they ask is done in order."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], most: int) -> None:
        self._connect = connect
        self._most = most * self.places
        self._idle: list[Line] = []
        self._open = 0
        self._waiting: deque[tuple[float, asyncio.Future[Line | None]]] = deque()
        """Until when each waits, for a line, or for nothing, which is to say that it may open one."""
        self._is_watched = False
        self._leaving: set[asyncio.Future[None]] = set()
        """What has to end before all is closed."""

    @property
    def most(self) -> int:
        """How many lines there may be."""
        return self._most // self.places

    @property
    def figures(self) -> tuple[int, int, int]:
        """How many lines are open, how many of them are idle, and how many operations wait for one."""
        waiting = sum(not turn.done() for _, turn in self._waiting)
        return -(-self._open // self.places), len(self._idle) // self.places, waiting

    async def _take(self) -> Line:
        """Have a line that is open, as soon as one is free; one may have been cut while nobody used it."""
        while True:
            line = self._at_hand() or await self._another()
            if not line.pipe.is_closed:
                return line
            self._give_back(line)

    def _at_hand(self) -> Line | None:
        return self._idle.pop() if self._idle else None

    def _may_open(self) -> bool:
        return self._open < self._most

    async def _told(self, line: Line, answer: Awaitable[Answer]) -> Answer:
        try:
            return await answer
        except asyncpg.InvalidCachedStatementError:
            line.forget()
            raise

    def resize(self, most: int) -> None:
        """Have up to so many lines from now on."""
        self._most = most * self.places
        while self._open > self._most and self._idle:
            self._drop(self._idle.pop(0))
        for _ in range(self._most - self._open):
            self._hand_on(None)

    def rest(self) -> None:
        """Hang up every line that nobody uses."""
        while self._idle:
            self._drop(self._idle.pop())

    async def close(self) -> None:
        """Hang up: the lines that nobody uses at once, the others when they are given back."""
        self._most = 0
        self.rest()
        while self._leaving:
            await asyncio.wait(self._leaving)

    def _drop(self, line: Line) -> None:
        self._open -= 1
        line.pipe.close()
        self._see_off(line.pipe.ended)

    async def _another(self) -> Line:
        """Wait for a line that is given back, or open one more."""
        while not self._may_open():
            if (line := await self._turn()) is not None:
                return line
        self._open += self.places
        try:
            line = Line(Pipe(await self._connect()))
        except BaseException:
            self._open -= self.places
            self._hand_on(None)
            raise
        for _ in range(self.places - 1):
            self._give_back(line)
        return line

    async def _turn(self) -> Line | None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Line | None] = loop.create_future()
        self._waiting.append((loop.time() + CHECKOUT_SECONDS, turn))
        if not self._is_watched:
            self._watch()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Whoever was given something and does not come passes it on.
                given = turn.result()
                self._hand_on(None) if given is None else self._give_back(given)
            raise

    def _watch(self) -> None:
        """Send those home who have waited too long: one timer for all, for each costs as much as what it guards."""
        loop = asyncio.get_running_loop()
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= loop.time()):
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(Busy())
        self._is_watched = bool(self._waiting)
        if self._is_watched:
            loop.call_at(self._waiting[0][0], self._watch)

    def _send_home(self, error: type[Exception]) -> None:
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(error())

    def _hand_on(self, line: Line | None) -> bool:
        """Give it to whoever has waited longest, if anybody waits."""
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(line)
                return True
        return False

    def _give_back(self, line: Line) -> None:
        if line.pipe.is_closed:
            self._open -= 1
            self._hand_on(None)
        elif line.pipe.asked and self.places == 1:
            # Whoever asked is gone, and nobody is to stand in line behind what she asked.
            self._see_off(asyncio.ensure_future(self._free(line)))
        elif self._open > self._most:
            self._drop(line)
        elif not self._waiting or not self._hand_on(line):
            self._idle.append(line)

    def _see_off(self, leaving: asyncio.Future[None]) -> None:
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _free(self, line: Line) -> None:
        await line.pipe.call_off()
        self._give_back(line)


class Shared(Turns):
    """Connections that several use at once.

    One statement is there already when another is answered, so that Postgres does not wait for us to hear that it is.
    """

    patience: float
    """Seconds after which one that does not answer is stuck, so that nobody is to stand in line behind it."""

    look_seconds: float
    """How often those who wait are looked after."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], most: int) -> None:
        super().__init__(connect, most)
        self._at_work: list[Line] = []
        """Once for each that uses it."""
        self._is_looked_after = False

    async def _use(self, line: Line, *asked: Asked) -> Answer:
        self._at_work.append(line)
        try:
            return await self._told(line, line.ask(*asked))
        finally:
            self._at_work.remove(line)
            self._give_back(line)

    @property
    def _lines(self) -> set[Line]:
        return {*self._idle, *self._at_work}

    def _is_stuck(self, line: Line) -> bool:
        return line.pipe.silent_for > self.patience

    def _hand_on(self, line: Line | None) -> bool:
        # Whoever was stuck may have given up, and left her place, but not what she asked.
        return not (line and self._is_stuck(line)) and super()._hand_on(line)

    def _serve(self) -> None:
        """Give those who wait what is free by now."""
        while self._waiting and (line := self._at_hand()):
            self._give_back(line)
        if self._may_open():
            self._hand_on(None)

    async def _turn(self) -> Line | None:
        if not self._is_looked_after:
            self._look_later()
        return await super()._turn()

    def _look_later(self) -> None:
        self._is_looked_after = True
        asyncio.get_running_loop().call_later(self.look_seconds, self._look)

    def _look(self) -> None:
        raise NotImplementedError


ASKED = attrgetter("pipe.asked")
"""How many on a line come before whoever joins it."""


class Elsewhere(Exception):
    """Nothing was asked here, and is to be asked on another line."""


class Quick(Shared):
    """Lines for what is known to be quick. Where one of these takes long after all, nobody waits for it."""

    places = 3
    patience = 0.02
    look_seconds = 0.02

    async def ask(self, text: str, arguments: Sequence[Any]) -> Answer:
        """Ask for one value, or raise `Elsewhere`."""
        return await self._use(await self._take(), (text, arguments))

    def _at_hand(self) -> Line | None:
        """The line with the fewest before one."""
        line = min(self._idle, key=ASKED, default=None)
        if line and self._is_stuck(line):
            line = min((one for one in self._idle if not self._is_stuck(one)), key=ASKED, default=None)
        if line is None or (line.pipe.asked and self._may_open()):
            return None
        self._idle.remove(line)
        return line

    def _look(self) -> None:
        self._is_looked_after = False
        lines = self._lines
        if lines and all(map(self._is_stuck, lines)):
            self._send_home(Elsewhere)
        elif self._waiting:
            self._serve()
            self._look_later()


class Lines(Turns):
    """Read-only connections, outside any transaction, for statements whose answer is one value.

    What is known to be quick shares two of them: that keeps a process of ours busy, and two backends that always have
    something to do take less of the processors than many that make room for each other. Anything else has a line for
    itself.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], most: int) -> None:
        super().__init__(connect, most - _quick(most))
        self._quick = Quick(connect, _quick(most))
        self._seconds: dict[str, float] = {}
        """How long statements take that are not in each other's way, of those that are asked again."""

    async def value(self, text: str, arguments: Sequence[Any], *, keep: bool) -> bytes | None:
        """Ask for one value, as soon as a line is free."""
        try:
            found = await self._answer(text, arguments, keep=keep)
        except (asyncpg.QueryCanceledError, TimeoutError) as error:
            raise Busy from error
        if keep:
            self._learn(text, found.seconds)
        return found[0] if found else None

    async def _answer(self, text: str, arguments: Sequence[Any], *, keep: bool) -> Answer:
        if self._quick.most and self._seconds.get(text, QUICK_SECONDS) < QUICK_SECONDS:
            with suppress(Elsewhere):
                return await self._quick.ask(text, arguments)
        line = await self._take()
        try:
            return await self._told(line, line.ask((text, arguments), keep=keep))
        finally:
            self._give_back(line)

    def _learn(self, text: str, seconds: float) -> None:
        known = self._seconds.get(text)
        if known is None and len(self._seconds) == PREPARED_MAX:
            del self._seconds[next(iter(self._seconds))]
        # Whatever takes longer than at another time was in somebody's way, unless it does each time.
        self._seconds[text] = seconds if known is None else min(seconds, known * SLOWER)

    @property
    def most(self) -> int:
        """How many lines there may be."""
        return super().most + self._quick.most

    @property
    def figures(self) -> tuple[int, int, int]:
        """How many lines are open, how many of them are idle, and how many operations wait for one."""
        opened, idle, waiting = map(sum, zip(super().figures, self._quick.figures, strict=True))
        return opened, idle, waiting

    def resize(self, most: int) -> None:
        """Have up to so many lines from now on."""
        self._quick.resize(_quick(most))
        super().resize(most - _quick(most))

    def rest(self) -> None:
        """Hang up every line that nobody uses."""
        self._quick.rest()
        super().rest()

    async def close(self) -> None:
        """Hang up: the lines that nobody uses at once, the others when they are given back."""
        await self._quick.close()
        await super().close()


def _quick(most: int) -> int:
    return min(2, most // 4)


class Pens(Shared):
    """A few connections for statements that are whole transactions.

    A single pen goes on as long as it keeps pace: those who write at once are in each other's way, and each takes
    longer. Where disks or locks have to be waited for it does not, and then more are taken to hand.
    """

    places = 4
    patience = 0.1
    look_seconds = 0.1

    pace = (250.0, 375.0)
    """With fewer answers a second one more pen is wanted, and with more one less: one gives so many if it waits for
    nothing but the processor."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], most: int) -> None:
        super().__init__(connect, most)
        self._wanted = 1
        self._answers = 0
        self._looked_at = 0.0

    @property
    def _are_enough(self) -> bool:
        at_rest = sum(not pen.pipe.asked for pen in self._idle)
        stuck = sum(map(self._is_stuck, self._lines))
        return (self._open - at_rest) // self.places - stuck >= self._wanted

    def _at_hand(self) -> Line | None:
        """A pen that is used, but not by as many as may, or else one that rests, if it is wanted."""
        pen = next((pen for pen in self._idle if pen.pipe.asked and not self._is_stuck(pen)), None)
        if pen is None and self._idle and not self._are_enough:
            pen = next((pen for pen in reversed(self._idle) if not pen.pipe.asked), None)
        if pen is not None:
            self._idle.remove(pen)
        return pen

    def _may_open(self) -> bool:
        return super()._may_open() and not self._are_enough

    def _look_later(self) -> None:
        self._answers, self._looked_at = 0, asyncio.get_running_loop().time()
        super()._look_later()

    def _look(self) -> None:
        """Want one more pen if those at work are slow, or one less if they are fast, or one alone if nobody waits."""
        if not self._waiting:
            self._wanted, self._is_looked_after = 1, False
            return
        pace = self._answers / (asyncio.get_running_loop().time() - self._looked_at)
        if pace < self.pace[0]:
            self._wanted = max(min(self._wanted + 1, self.most), 1)
        elif pace > self.pace[1]:
            self._wanted = max(self._wanted - 1, 1)
        self._serve()
        self._look_later()

    async def do(self, text: str, arguments: Sequence[Any], sequel: Sequel | None = None) -> bytes | None:
        """Run one, and give its single value; what the sequel asks belongs to the same transaction."""
        if not self._most:
            raise LongWay
        try:
            pen = await self._take()
        except OSError:
            raise LongWay from None
        asked = [(text, arguments)] if sequel is None else [(text, arguments), (sequel.text, sequel.arguments)]
        try:
            value, *others = await self._use(pen, *asked)
        except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError) as error:
            # Whoever waited in vain would only wait once more.
            raise Busy from error
        except (*LOST, OSError) as error:
            raise OutcomeUnknown from error
        except (asyncpg.DivisionByZeroError, asyncpg.IntegrityConstraintViolationError):
            # Something is no more as it was read: the first says so by itself, by the other somebody has done the same.
            raise LongWay from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # By its name alone: its words may be somebody's.
            log.warning("deed_refused", reason=type(error).__name__)
            raise LongWay from None
        finally:
            self._answers += 1
        if sequel is not None:
            (sequel.value,) = others
        return value


LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # What asyncpg says of a connection that ends, or does not answer, under a statement.
    asyncpg.ConnectionDoesNotExistError,
    TimeoutError,
)
"""After these nobody knows whether a statement was carried out."""


@dataclass(frozen=True, slots=True)
class Database:
    """A pool of connections. `reading` outside any transaction, each statement on its own; `writing` in one.

    `lines` are connections besides, for reading alone, and `pens` for what is written by a single statement.
    """

    engine: AsyncEngine
    reading: async_sessionmaker[AsyncSession]
    writing: async_sessionmaker[UnitOfWork]
    lines: Lines
    pens: Pens

    @classmethod
    def at(cls, url: str, *, connections: int, role: str = "none") -> "Database":
        """Open a pool of up to so many connections, when they are first needed, which work as this role.

        Half of them are lines, an eighth are pens, the others sessions; there is a line and a session at least. The
        role `none` is whoever the URL names.
        """
        options: dict[str, Any] = {"timeout": CHECKOUT_SECONDS, "command_timeout": SILENCE_SECONDS}
        settings = SERVER_SETTINGS | {"role": role}
        engine = create_async_engine(
            url,
            poolclass=LivePool,
            pool_size=_sessions(connections),
            pool_timeout=CHECKOUT_SECONDS,
            # What people wrote, and the hashes of their passwords, have no place in a log.
            hide_parameters=True,
            connect_args=options | {"server_settings": settings},
        )
        _, address = engine.dialect.create_connect_args(engine.url)

        async def connect(**more: str) -> Connection:
            # What is to be kept prepared is kept by the line, which knows what it is worth.
            bare = options | {"server_settings": settings | LINE_SETTINGS | more, "statement_cache_size": 0}
            return await asyncpg.connect(**address, **bare)

        bare = engine.execution_options(isolation_level="AUTOCOMMIT")
        return cls(
            engine,
            async_sessionmaker(bare, expire_on_commit=False),
            async_sessionmaker(engine, class_=UnitOfWork, expire_on_commit=False),
            Lines(partial(connect, default_transaction_read_only="on"), _lines(connections)),
            Pens(connect, _pens(connections)),
        )

    @property
    def pool(self) -> LivePool:
        """The sessions' connections of now; to be disposed of is to get others."""
        pool = self.engine.pool
        assert isinstance(pool, LivePool)
        return pool

    @property
    def size(self) -> int:
        """How many connections there may be."""
        return self.pool.size() + self.lines.most + self.pens.most

    async def resize(self, connections: int) -> None:
        """Have so many connections from here on; no statement is cut short for it."""
        await self.pool.resize(_sessions(connections))
        self.lines.resize(_lines(connections))
        self.pens.resize(_pens(connections))

    async def rest(self) -> None:
        """Close the connections that nobody uses; they are made again when somebody needs one."""
        self.lines.rest()
        self.pens.rest()
        await self.pool.rest()

    async def close(self) -> None:
        """Hang up."""
        await self.lines.close()
        await self.pens.close()
        await self.engine.dispose()


def _sessions(connections: int) -> int:
    return max(1, connections - _lines(connections) - _pens(connections))


def _lines(connections: int) -> int:
    return max(1, connections // 2)


def _pens(connections: int) -> int:
    return connections // 8
