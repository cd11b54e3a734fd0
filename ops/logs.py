"""What is written down: one line an event, for people at a terminal or for machines as JSON."""

import logging
import sys

import orjson
import structlog
from structlog.dev import plain_traceback
from structlog.tracebacks import ExceptionDictTransformer

WITHOUT_LOCALS = ExceptionDictTransformer(show_locals=False)
"""Variables hold tokens and passwords; where it happened is enough."""


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
    structlog.configure(
        processors=[*shared, *last],
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
