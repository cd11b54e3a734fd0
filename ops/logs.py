"""What is written down: one line an event, for people at a terminal or for machines as JSON."""

import logging
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import orjson
import structlog
from structlog.dev import plain_traceback
from structlog.tracebacks import ExceptionDictTransformer

WITHOUT_LOCALS = ExceptionDictTransformer(show_locals=False)
"""Variables hold tokens and passwords; where it happened is enough."""

PADDED = "operation".ljust(30)
"""What happened, as the console shows it."""

Write: TypeAlias = Callable[[dict[str, Any]], None]


class Pen:
    """Writes the line about an operation: it is written for each, and structlog takes fifty microseconds for it.

    It writes what structlog would write, as long as that is configured as it was here; else structlog does.
    """

    def __init__(self) -> None:
        self._processors: list[Any] = []
        self._usual: list[Any] = []
        self._write: Write | None = None

    def take(self, processors: list[Any], write: Write | None) -> None:
        """Write so from now on, for as long as these are what structlog does."""
        self._processors, self._usual, self._write = processors, list(processors), write

    def operation(self, **said: Any) -> None:
        """Write that an operation is over, and how it went."""
        if self._write is None or self._processors != self._usual:
            structlog.get_logger().info("operation", **said)
        else:
            self._write(structlog.contextvars.get_contextvars() | said)


pen = Pen()
operation = pen.operation


def _stamp() -> str:
    seconds, micros = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_second(seconds)}.{micros:06}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _write_json(line: dict[str, Any]) -> None:
    line |= {"level": "info", "timestamp": _stamp(), "event": "operation"}
    sys.stderr.write(_dumps(line) + "\n")


def _write_text(line: dict[str, Any]) -> None:
    told = " ".join(f"{name}={line[name]}" for name in sorted(line))
    sys.stderr.write(f"{_stamp()} [info     ] {PADDED} {told}\n")


def configure(level: str, *, as_json: bool) -> None:
    """Send everything to standard error, our own lines and those of libraries, in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.processors.ExceptionRenderer(WITHOUT_LOCALS), structlog.processors.JSONRenderer(_dumps)]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback)]
    )
    processors = [*shared, *last]
    for_people = not as_json and sys.stderr.isatty()
    is_written = logging.getLevelName(level) <= logging.INFO and not for_people
    pen.take(processors, (_write_json if as_json else _write_text) if is_written else None)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last], foreign_pre_chain=shared
        )
    )
    logging.basicConfig(handlers=[handler], level=max(logging.getLevelName(level), logging.WARNING), force=True)


def _dumps(line: object, **_: object) -> str:
    return orjson.dumps(line, default=str).decode()
