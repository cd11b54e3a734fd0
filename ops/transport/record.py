"""What is written down about an operation: one line, never its variables and never a token."""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from types import TracebackType
from typing import Any, TypeAlias

import structlog

from ops import logs
from ops.transport.errors import INTERNAL
from ops.transport.operations import Operation

REQUEST_ID = "x-request-id"
REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._:-]{1,100}")
NAME_CHARS_MAX = 100

OURS = secrets.token_hex(6)
"""How the ids begin that this process makes; they are numbered then, for randomness costs as much as reading a body."""

NUMBERS = count(1)


@dataclass(slots=True)
class Record:
    """How one operation went: `ok`, `refused` (the client can do something about it) or `failed` (we can)."""

    observe: "Observe | None" = None
    name: str | None = None
    kind: str | None = None
    outcome: str = "ok"
    cost: int = 0
    _began: float = field(default_factory=perf_counter)

    def is_of(self, operation: Operation) -> None:
        """Note which operation it is, now that this is known."""
        self.name = operation.name[:NAME_CHARS_MAX] if operation.name else None
        self.kind = operation.known.kind
        self.cost = operation.cost

    def went(self, answer: Mapping[str, Any]) -> None:
        """Note how it went; of the answers of a subscription the worst counts."""
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        if INTERNAL in codes:
            self.outcome = "failed"
        elif codes and self.outcome == "ok":
            self.outcome = "refused"

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, Exception) and self.outcome == "ok":
            self.outcome = "failed"
        ms = round(self.seconds * 1000, 2)
        logs.operation(operation=self.name, kind=self.kind, outcome=self.outcome, ms=ms, cost=self.cost)
        if self.observe:
            self.observe(self)

    @property
    def seconds(self) -> float:
        """Tell how long it has taken until now."""
        return perf_counter() - self._began


Observe: TypeAlias = Callable[[Record], None]
"""Told of every operation that ended, for metrics."""


def recorded(observe: Observe | None) -> Record:
    """Write the line about an operation when it is over, however it ends."""
    return Record(observe)


@contextmanager
def request_id(given: str) -> Iterator[str]:
    """Take the caller's id for the request, if it is a decent one, or make one, and put it on every log line."""
    chosen = decent_id(given)
    with structlog.contextvars.bound_contextvars(request_id=chosen):
        yield chosen


def decent_id(given: str) -> str:
    """The caller's id for the request, or one of ours."""
    return given if given and REQUEST_ID_FORM.fullmatch(given) else f"{OURS}-{next(NUMBERS):x}"
