"""The connections for what is read by a single statement: some for what is quick, shared, and one each for the rest."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any

import asyncpg

from models.errors import Busy
from ops.pipe import Answer, Connection
from ops.turns import PREPARED_MAX, Line, Shared, Turns

QUICK_SECONDS = 0.001
"""What takes less is quick: of these, three lines give more answers than a process of ours can send."""

SLOWER = 1.02
"""How much longer a statement is taken to take each time that it took longer."""

ASKED = attrgetter("pipe.asked")
"""How many on a line come before whoever joins it."""


class Elsewhere(Exception):
    """Nothing was asked here, and is to be asked on another line."""


class Quick(Shared):
    """Lines for what is known to be quick. Where one of these takes long after all, nobody waits for it."""

    places = 5
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

    def _serve(self) -> None:
        lines = self._lines
        if lines and all(map(self._is_stuck, lines)):
            self._send_home(Elsewhere)
        else:
            super()._serve()


class Lines(Turns):
    """Read-only connections, outside any transaction, for statements whose answer is one value.

    What is known to be quick shares three of them: that keeps a process of ours busy, and few backends that always have
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
    return min(3, most * 3 // 10)
