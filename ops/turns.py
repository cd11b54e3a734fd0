"""How a few connections to Postgres are used by many: each in turn, or several at once.

Statements stay prepared on them, and each answers with one value.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import asyncpg

from models.errors import Busy
from ops.pipe import Answer, Connection, Pipe, bound, forgotten, prepared

CHECKOUT_SECONDS = 5.0
"""How long an operation waits for a connection before it is told to come back later."""

Asked: TypeAlias = tuple[str, Sequence[Any]]
"""A statement, and what is bound to it."""

PREPARED_MAX = 100
"""Statements that one line keeps prepared; the least recently used are forgotten first."""

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
        """Look after those who wait, until nobody does."""
        self._is_looked_after = False
        if self._waiting:
            self._serve()
            self._look_later()
