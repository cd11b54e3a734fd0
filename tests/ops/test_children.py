"""Processes that end with the one that started them, in order."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from ops.children import ROOT, Children

SLEEPS = ("-c", "import time; time.sleep(60)")
STUBBORN = (
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)",
)


@pytest.fixture
def children(monkeypatch):
    # Whoever stops them listens to signals from then on; tests go on as before.
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    made = Children()
    yield made
    made.kill()
    made.stop()


def test_one_that_ends_by_itself_is_named_with_its_exit_code(children):
    children.start("sleeper", SLEEPS, os.environ)
    quitter = children.start("quitter", ("-c", "raise SystemExit(7)"), os.environ)
    quitter.wait(30)

    assert children.ended() == ("quitter", 7)


@pytest.mark.parametrize("is_released", [False, True])
def test_one_that_may_end_is_somebody_elses_business(children, is_released):
    child = children.start("quitter", ("-c", ""), os.environ, may_end=not is_released)
    if is_released:
        assert children.release("quitter") is child
    child.wait(30)

    assert children.ended() is None
    children.forget("quitter")


def test_all_are_asked_to_stop_and_waited_for(children):
    running = [children.start(name, SLEEPS, os.environ) for name in ("one", "other")]

    children.stop()

    assert [child.returncode for child in running] == [-signal.SIGTERM] * 2


def test_one_that_does_not_stop_is_made_to(children, monkeypatch, capsys):
    monkeypatch.setattr("ops.children.DRAIN_SECONDS", 0.05)
    stubborn = children.start("mule", STUBBORN, os.environ, is_spoken_to=True)
    assert stubborn.stdout is not None
    stubborn.stdout.readline()

    children.stop()

    assert stubborn.wait(30) == -signal.SIGKILL
    assert "The mule did not finish" in capsys.readouterr().err


def test_they_end_with_their_starter_however_that_ends():
    program = """
        import os, time
        from ops.children import Children
        print(Children().start("sleeper", ("-c", "import time; time.sleep(60)"), os.environ).pid, flush=True)
        time.sleep(60)
    """
    starter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()

    deadline = time.monotonic() + 30
    while _is_there(pid):
        assert time.monotonic() < deadline


def _is_there(pid):
    try:
        # Somebody else's child by now: it is there until that one has taken note of its end.
        with open(f"/proc/{pid}/stat") as told:  # noqa: PTH123
            return told.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
