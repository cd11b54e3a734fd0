"""What is written down about an operation: one line, never its variables and never a token."""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeAlias

import structlog
from starlette.datastructures import Headers

from ops.transport.errors import INTERNAL
from ops.transport.operations import Operation

log = structlog.get_logger(__name__)

REQUEST_ID = "x-request-id"
REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._:-]{1,100}")
NAME_CHARS_MAX = 100


@dataclass(slots=True)
class Record:
    """How one operation went: `ok`, `refused` (the client can do something about it) or `failed` (we can)."""

    name: str | None = None
    kind: str | None = None
    outcome: str = "ok"
    cost: int = 0
    _began: float = field(default_factory=perf_counter)

    def is_of(self, operation: Operation) -> None:
        """Note which operation it is, now that this is known."""
        self.name = operation.name[:NAME_CHARS_MAX] if operation.name else None
        self.kind = operation.kind.value
        self.cost = operation.cost

    def went(self, answer: Mapping[str, Any]) -> None:
        """Note how it went; of the answers of a subscription the worst counts."""
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        if INTERNAL in codes:
            self.outcome = "failed"
        elif codes and self.outcome == "ok":
            self.outcome = "refused"

    @property
    def seconds(self) -> float:
        """Tell how long it has taken until now."""
        return perf_counter() - self._began


Observe: TypeAlias = Callable[[Record], None]
"""Told of every operation that ended, for metrics."""


@contextmanager
def recorded(observe: Observe | None) -> Iterator[Record]:
    """Write the line about an operation when it is over, however it ends."""
    record = Record()
    try:
        yield record
    except Exception:
        if record.outcome == "ok":
            record.outcome = "failed"
        raise
    finally:
        log.info(
            "operation",
            operation=record.name,
            kind=record.kind,
            outcome=record.outcome,
            ms=round(record.seconds * 1000, 2),
            cost=record.cost,
        )
        if observe:
            observe(record)


@contextmanager
def request_id(headers: Headers) -> Iterator[str]:
    """Take the caller's id for the request, if it is a decent one, or make one, and put it on every log line."""
    given = headers.get(REQUEST_ID, "")
    chosen = given if REQUEST_ID_FORM.fullmatch(given) else secrets.token_hex(8)
    with structlog.contextvars.bound_contextvars(request_id=chosen):
        yield chosen
