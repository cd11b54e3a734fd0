"""The launcher, as far as it comes without a web server and a worker."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ops import go, up
from ops.up import Broken, Site

ROOT = Path(__file__).parents[2]


def launch(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import sys; from ops import up; sys.exit(up.run())"],
        cwd=ROOT,
        env={**os.environ, "WORKUP_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_taken_port_is_said_before_anything_is_started(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taker:
        done = launch(tmp_path / "home", PORT=str(taker.getsockname()[1]))

    assert done.returncode == 1
    assert "Address already in use; choose with HOST and PORT" in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(Broken, match=f"PORT is {port}"):
        Site.of({"PORT": port})


def test_a_server_that_listens_everywhere_is_looked_for_here():
    assert Site("0.0.0.0", 80).address == "127.0.0.1:80"
    assert Site("::", 80).address == "[::1]:80"


def test_a_child_waits_until_it_may_go_on():
    reading, writing = os.pipe()
    environment = {go.VARIABLE: str(reading)}
    child = threading.Thread(target=go.wait, args=[environment])

    child.start()
    child.join(0.05)
    assert child.is_alive()
    os.close(writing)
    child.join(5)

    assert not child.is_alive()
    assert environment == {}


def test_a_child_without_a_launcher_goes_on_at_once():
    go.wait({})


@pytest.mark.parametrize(("ended", "shown"), [(7, 7), (0, 1), (-signal.SIGKILL, 137)])
def test_a_child_that_ends_by_itself_gives_its_exit_code(ended, shown):
    assert up._shown(ended) == shown
