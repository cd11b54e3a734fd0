"""What many ask at the same moment is read once for all of them.

A hundred windows that follow the same thing hear of an event in the same breath, and each asks what came of it. Whoever
asks first waits until the others who were woken with her have asked too; only then is it read, and all have the answer.
So nobody is given what was read before she asked, and nothing is remembered once it is told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Round:
    """Those who wait for the same answer."""

    asked_for: set[Any] = field(default_factory=set)
    answer: "asyncio.Task[Any] | None" = None


class Together:
    """Asks for all who ask the same at once. What makes two questions the same is theirs to say, by the key."""

    def __init__(self) -> None:
        self._rounds: dict[Hashable, _Round] = {}

    async def ask(self, question: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Read an answer, unless it is about to be read for somebody else."""
        return await self.ask_for(question, None, lambda _: read())

    async def ask_for(self, question: Hashable, which: Hashable, read: Callable[[set[Any]], Awaitable[T]]) -> T:
        """Read an answer about several things together, of which this caller is interested in one."""
        coming = self._rounds.get(question)
        if coming is None:
            coming = self._rounds[question] = _Round()
            coming.answer = asyncio.create_task(self._answer(question, read))
            # Those who asked may all have left by then.
            coming.answer.add_done_callback(_heard)
        coming.asked_for.add(which)
        assert coming.answer is not None
        # Whoever leaves takes the answer from nobody else.
        found: T = await asyncio.shield(coming.answer)
        return found

    async def _answer(self, question: Hashable, read: Callable[[set[Any]], Awaitable[T]]) -> T:
        # By the next turn of the loop everybody has asked who was woken at the same time.
        await asyncio.sleep(0)
        return await read(self._rounds.pop(question).asked_for)


def _heard(answer: "asyncio.Task[Any]") -> None:
    if not answer.cancelled():
        answer.exception()
