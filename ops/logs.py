"""What is written down: one line an event, for people at a terminal or for machines as JSON."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeAlias

import orjson
import structlog
from structlog.dev import plain_traceback
from structlog.tracebacks import ExceptionDictTransformer

from models.control import Service

SERVICE: ContextVar[Service] = ContextVar("service", default=Service.ALL)
"""Of which service is what happens now; of none in particular until somebody says so."""

WITHOUT_LOCALS = ExceptionDictTransformer(show_locals=False)
"""Variables hold tokens and passwords; where it happened is enough."""

PADDED = "operation".ljust(30)
"""What happened, as the console shows it."""

USUAL = {"cost", "kind", "ms", "operation", "outcome", "request_id"}
USUALLY = " ".join(f"{name}=%({name})s" for name in sorted(USUAL))

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
        if LEVELS.of(SERVICE.get()) > logging.INFO:
            return
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
    usually = USUALLY if line.keys() == USUAL else " ".join(f"{name}=%({name})s" for name in sorted(line))
    sys.stderr.write(f"{_stamp()} [info     ] {PADDED} {usually % line}\n")


class Levels:
    """How much is written down, service by service; may change at any moment."""

    def __init__(self) -> None:
        self._usual = logging.INFO
        self._wanted: dict[Service, int] = {}

    def configure(self, level: str) -> None:
        """Take what the settings say, for services that nobody speaks of."""
        self._usual = NUMBERS[level]

    def take(self, wanted: Mapping[str, str]) -> None:
        """Take what operators want, by service."""
        self._wanted = {Service(service): NUMBERS[level] for service, level in wanted.items()}

    def of(self, service: Service) -> int:
        """The least level that is written down about a service."""
        return self._wanted.get(service, self._usual)

    def judge(self, _logger: Any, method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Drop a line that nobody wants."""
        if NUMBERS.get(method.upper(), logging.ERROR) < self.of(SERVICE.get()):
            raise structlog.DropEvent
        return line


NUMBERS = {name: logging.getLevelName(name) for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}
LEVELS = Levels()


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
    LEVELS.configure(level)
    processors = [LEVELS.judge, *shared, *last]
    for_people = not as_json and sys.stderr.isatty()
    pen.take(processors, None if for_people else (_write_json if as_json else _write_text))
    structlog.configure(
        processors=processors,
        # What is dropped may be wanted a moment later: that is for the levels to say.
        wrapper_class=structlog.make_filtering_bound_logger("DEBUG"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last], foreign_pre_chain=shared
        )
    )
    logging.captureWarnings(True)
    logging.basicConfig(handlers=[handler], level=max(logging.getLevelName(level), logging.WARNING), force=True)


def _dumps(line: object, **_: object) -> str:
    return orjson.dumps(line, default=str).decode()
