"""As much is written down of each service as operators want, from one moment to the next."""

import subprocess
import sys

import orjson
import pytest
import structlog

from models.control import Service
from ops import logs
from ops.logs import LEVELS, SERVICE


@pytest.fixture(autouse=True)
def usual_levels():
    yield
    LEVELS.take({})
    SERVICE.set(Service.ALL)


def test_as_much_is_written_as_the_settings_say_until_somebody_wants_otherwise():
    assert (LEVELS.of(Service.JOBS), LEVELS.of(Service.ALL)) == (20, 20)

    LEVELS.take({"JOBS": "ERROR", "USERS": "DEBUG"})

    assert (LEVELS.of(Service.JOBS), LEVELS.of(Service.USERS), LEVELS.of(Service.MEDIA)) == (40, 10, 20)


@pytest.mark.parametrize(
    ("level", "expected"),
    [("DEBUG", {"debug", "info", "warning", "error"}), ("WARNING", {"warning", "error"}), ("ERROR", {"error"})],
)
def test_a_line_that_nobody_wants_is_dropped(level, expected):
    LEVELS.take({"JOBS": level})
    kept = set()
    SERVICE.set(Service.JOBS)
    for method in ("debug", "info", "warning", "error"):
        try:
            LEVELS.judge(None, method, {})
            kept.add(method)
        except structlog.DropEvent:
            continue

    assert kept == expected


def test_a_line_of_another_service_is_kept():
    LEVELS.take({"JOBS": "ERROR"})
    SERVICE.set(Service.USERS)

    assert LEVELS.judge(None, "info", {"event": "x"}) == {"event": "x"}


def test_the_line_about_an_operation_is_one_of_its_service(capsys):
    LEVELS.take({"JOBS": "WARNING"})
    SERVICE.set(Service.JOBS)
    logs.operation(outcome="not to be seen", kind="query", ms=1.0)
    SERVICE.set(Service.USERS)
    logs.operation(outcome="to be seen", kind="query", ms=1.0)

    said = capsys.readouterr().err
    assert "outcome=to be seen" in said
    assert "not to be seen" not in said


WARNED = """
import warnings

from ops import logs

logs.configure("INFO", as_json=True)
warnings.warn("Somebody's library is old.")
"""


def test_a_warning_of_a_library_is_a_line_like_others():
    said = subprocess.run([sys.executable, "-c", WARNED], capture_output=True, check=True, timeout=60).stderr

    [line] = map(orjson.loads, said.splitlines())
    assert line["level"] == "warning"
    assert "Somebody's library is old." in line["event"]
