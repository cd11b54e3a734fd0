"""The line about an operation is written in a shorter way than others, and reads as if it were not."""

import json
import logging
import re
import sys
from typing import Any

import pytest
import structlog

from ops import logs

LINES: list[dict[str, Any]] = [
    {"operation": "Mine", "kind": "query", "outcome": "ok", "ms": 1.25, "cost": 12},
    {"operation": None, "kind": None, "outcome": "refused", "ms": 0.0, "cost": 0},
]
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Everybody else goes on writing as before: loggers that were used keep what they were made with."""
    config, pen = structlog.get_config(), vars(logs.pen).copy()
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    yield
    structlog.configure(**config)
    vars(logs.pen).update(pen)


def written(capsys, write, line, **more):
    with structlog.contextvars.bound_contextvars(request_id="mine-1", **more):
        write(**line)
    return capsys.readouterr().err


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("more", [{}, {"trace_id": "a1"}])
def test_the_line_is_what_structlog_writes(capsys, as_json, line, more):
    logs.configure("INFO", as_json=as_json)
    log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))

    short, usual = (
        written(capsys, logs.operation, line, **more),
        written(capsys, lambda **it: log.info("operation", **it), line, **more),
    )

    if as_json:
        short, usual = json.loads(short), json.loads(usual)
        assert STAMP.fullmatch(short.pop("timestamp"))
        assert STAMP.fullmatch(usual.pop("timestamp"))
        assert short == usual == line | more | {"request_id": "mine-1", "event": "operation", "level": "info"}
    else:
        assert STAMP.match(short)
        assert STAMP.sub("", short, count=1) == STAMP.sub("", usual, count=1)


def test_nothing_is_written_below_the_level(capsys):
    logs.configure("WARNING", as_json=True)

    assert written(capsys, logs.operation, LINES[0]) == ""


def test_whoever_captures_lines_captures_this_one(capsys):
    logs.configure("INFO", as_json=True)

    with structlog.testing.capture_logs() as lines:
        assert written(capsys, logs.operation, LINES[0]) == ""

    assert lines == [LINES[0] | {"event": "operation", "log_level": "info"}]
