"""One operation asked in two ways: are the answers the same, and if not, what is the least that shows it?"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import orjson

from tests.schema.authors import TYPENAME, Asked, Case, Inline

REFERENCE = re.compile(rb'"reference":"[0-9a-f]+"')
"""What finds an answer's error in the logs; no two are the same."""

SHOWN_CHARS = 4_000
SHRINKS_MAX = 1_500

Place: TypeAlias = tuple[str | int, ...]
"""The keys that lead to a value in `data`."""

Way: TypeAlias = Callable[[Case], Awaitable[bytes]]
"""Asks what a case asks, and gives the bytes that are sent."""


@dataclass
class Difference:
    """Two answers to one question."""

    case: Case
    expected: bytes
    given: bytes

    def __str__(self) -> str:
        """All that is needed to see it again."""
        case = self.case
        return "\n".join(
            (
                f"Two answers to one question (--seed {case.seed} --case {case.number}), asked by {case.viewer}:",
                case.document,
                f"variables: {json.dumps(case.values)}" + (f"  operation: {case.name}" if case.name else ""),
                f"ordinary: {_around(self.expected, self.given)}",
                f"compiled: {_around(self.given, self.expected)}",
            )
        )


def _around(text: bytes, other: bytes) -> str:
    """Show an answer, from a little before the place where it differs if it is long."""
    if len(text) <= SHOWN_CHARS:
        return text.decode(errors="replace")
    at = next((at for at, (one, two) in enumerate(zip(text, other, strict=False)) if one != two), len(other))
    start = max(0, at - SHOWN_CHARS // 2)
    return f"({len(text)} bytes, from {start}) …" + text[start : start + SHOWN_CHARS].decode(errors="replace")


def plain(answer: bytes) -> bytes:
    """An answer without what is never the same: references, and the order in which errors happened to come up."""
    text = REFERENCE.sub(b'"reference":""', answer)
    if b'"errors":[' not in text or not text.startswith(b"{"):
        return text
    said: dict[str, Any] = orjson.loads(text)
    said["errors"] = sorted(said.get("errors", ()), key=orjson.dumps)
    return orjson.dumps(said)


def alike(one: bytes, other: bytes) -> bool:
    """Whether two answers are the same, but for what is never the same.

    If several things fail that make the same value null, only the first of them is told, and the next time that may be
    another.
    """
    first, second = plain(one), plain(other)
    if first == second:
        return True
    if not (first.startswith(b"{") and second.startswith(b"{")):
        return False
    said, too = orjson.loads(first), orjson.loads(second)
    if not all(isinstance(answer.get("data", ()), dict | None) for answer in (said, too)):
        return False
    errors, others = _by_null(said), _by_null(too)
    if orjson.dumps(said) != orjson.dumps(too) or errors.keys() != others.keys():
        return False
    return all(error == others[at] or _both_beneath(at, error, others[at]) for at, error in errors.items())


def _by_null(said: dict[str, Any]) -> dict[Place, dict[str, Any]]:
    """Take the errors out of an answer: each by the place of the null that it left."""
    return {tuple(_down_to_null(said["data"], error["path"])): error for error in said.pop("errors", ())}


def _down_to_null(data: Any, path: Iterable[str | int]) -> Iterator[str | int]:
    for key in path:
        if data is None:
            return
        yield key
        data = data[key]


def _both_beneath(at: Place, error: dict[str, Any], other: dict[str, Any]) -> bool:
    return error["path"] != other["path"] and min(len(error["path"]), len(other["path"])) > len(at)


@dataclass
class Figures:
    """What the cases were like."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def note(self, answer: bytes) -> None:
        """Count one answer."""
        said = orjson.loads(answer)
        self.cases += 1
        errors = said.get("errors")
        self.outcomes["errors" if errors else "full" if _tells(said.get("data")) else "empty"] += 1

    def add(self, other: "Figures") -> None:
        """Count those as well."""
        self.cases += other.cases
        self.outcomes += other.outcomes

    @property
    def fine(self) -> int:
        """How many answers had no errors."""
        return self.cases - self.outcomes["errors"]

    def share(self, outcome: str) -> float:
        """How many of all answers were so."""
        return self.outcomes[outcome] / max(self.cases, 1)


def _tells(value: Any) -> bool:
    """Whether something is told: anything but nulls, empty lists and names of types."""
    if isinstance(value, dict):
        return any(_tells(one) for name, one in value.items() if name != TYPENAME)
    if isinstance(value, list):
        return any(map(_tells, value))
    return value is not None


@dataclass
class Differ:
    """Asks both ways."""

    ordinary: Way
    compiled: Way
    figures: Figures = field(default_factory=Figures)

    async def compare(self, case: Case) -> Difference | None:
        """Ask in both ways, and say how the answers differ."""
        expected, given = await self.ordinary(case), await self.compiled(case)
        self.figures.note(expected)
        return None if expected == given or alike(expected, given) else Difference(case, expected, given)

    async def least(self, found: Difference) -> Difference:
        """Leave out all that can be left out without the answers becoming the same."""
        tried, better = 0, True
        while better and tried < SHRINKS_MAX:
            better = False
            for smaller in smaller_ones(found.case):
                tried += 1
                if tried > SHRINKS_MAX:
                    break
                try:
                    other = await self._again(smaller)
                except Exception:  # noqa: BLE001 - what cannot be asked at all shows nothing
                    continue
                if other:
                    found, better = other, True
                    break
            await asyncio.sleep(0)
        return found

    async def _again(self, case: Case) -> Difference | None:
        expected, given = await self.ordinary(case), await self.compiled(case)
        return None if alike(expected, given) else Difference(case, expected, given)


Change: TypeAlias = Callable[[list[Any], int], Any]
"""Takes something away from the part at a place in a list."""


def smaller_ones(case: Case) -> Iterator[Case]:
    """The same case with one thing less, large things first."""
    for change_of in (_whole, _details):
        for at, parts in enumerate(case.selections()):
            for index in range(len(parts)):
                for change in change_of(parts, index):
                    yield _changed(case, at, index, change)


def _whole(parts: list[Any], _index: int) -> Iterator[Change]:
    if len(parts) > 1:
        yield list.pop


def _details(parts: list[Any], index: int) -> Iterator[Change]:
    part = parts[index]
    if part.directives:
        yield lambda parts, index: parts[index].directives.clear()
    if isinstance(part, Inline):
        yield _unwrap
    if isinstance(part, Asked):
        for name in part.arguments:
            yield partial(_without, name)
        if part.alias:
            yield lambda parts, index: setattr(parts[index], "alias", None)


def _without(name: str, parts: list[Any], index: int) -> None:
    del parts[index].arguments[name]


def _unwrap(parts: list[Any], index: int) -> None:
    parts[index : index + 1] = parts[index].parts


def _changed(case: Case, at: int, index: int, change: Change) -> Case:
    other = deepcopy(case)
    change(next(parts for number, parts in enumerate(other.selections()) if number == at), index)
    return other
