"""Postgres and Valkey of our own: there when asked for, and gone when not."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ops import local
from ops.local import AlreadyRunning, CannotStart, Local

ROOT = Path(__file__).parents[2]


class Pair:
    """The servers most tests here use, in one directory; a test that stops them starts them again."""

    def __init__(self, root: Path):
        self.root = root
        self.start()

    def start(self) -> None:
        self.now: Local = local.start(self.root, durable=False)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    pair = Pair(tmp_path_factory.mktemp("local") / "home")
    yield pair
    pair.now.stop()
    local.remove(pair.root)


@pytest.fixture
def running(pair):
    return pair.now


async def ask(running: Local, sql: str):
    connection = await asyncpg.connect(running.database_url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def ping(running: Local) -> bool:
    async with redis.asyncio.from_url(running.redis_url) as client:
        return await client.ping()


def pids_of(running: Local) -> list[int]:
    return local._processes(running.home.mark)


def gone(pids: list[int], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def launcher(root: Path) -> subprocess.Popen[str]:
    """Another process, which starts servers in `root` and says when they are up."""
    program = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from ops import local

        started = local.start(Path({str(root)!r}), durable=False)
        print(started.home.mark, flush=True)
        time.sleep(600)
        """
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def test_both_answer_and_ask_for_a_password(running):
    assert await ask(running, "SELECT current_database()") == "workup"
    assert await ping(running)

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=running.postgres.port, user="workup", password="guess")
    with pytest.raises(redis.exceptions.AuthenticationError):
        await redis.asyncio.Redis(port=running.valkey.port, retry=Retry(NoBackoff(), 0)).ping()


def test_the_password_is_for_one_user_only(running):
    for secret in ("password", "valkey.conf"):
        assert (running.home.path / secret).stat().st_mode & 0o077 == 0


def test_nothing_listens_to_the_outside_or_in_tmp(running):
    told = running.postgres.command()

    assert "listen_addresses=127.0.0.1" in told
    assert "unix_socket_directories=" in told


async def test_a_second_start_finds_its_data_where_it_was(pair):
    await ask(pair.now, "CREATE TABLE kept AS SELECT 7 AS number")
    addresses = pair.now.database_url, pair.now.redis_url

    pair.now.stop()
    pair.start()

    assert (pair.now.database_url, pair.now.redis_url) == addresses
    assert await ask(pair.now, "SELECT number FROM kept") == 7


def test_a_second_start_meanwhile_is_refused(pair):
    with pytest.raises(AlreadyRunning, match=f"already running in .* pid {os.getpid()}"):
        local.start(pair.root, durable=False)


async def test_a_port_taken_meanwhile_is_left_to_its_taker(pair):
    port = pair.now.postgres.port

    pair.now.stop()
    with socket.create_server((local.HOST, port)):
        pair.start()

    assert pair.now.postgres.port != port
    assert await ask(pair.now, "SELECT 1") == 1


async def test_a_port_taken_at_the_last_moment_is_left_too(pair, monkeypatch):
    pair.now.stop()
    with socket.create_server((local.HOST, 0)) as taker:
        monkeypatch.setattr(local.Server, "settle", lambda server: setattr(server, "port", taker.getsockname()[1]))
        pair.start()

    assert await ask(pair.now, "SELECT 1") == 1
    assert await ping(pair.now)


async def test_committed_rows_survive_a_kill_of_the_whole_tree(running, monkeypatch):
    monkeypatch.setitem(local.POSTGRES_FORGETFUL, "synchronous_commit", "on")
    running.restart_postgres()
    await ask(running, "CREATE TABLE survivors AS SELECT 7 AS number")
    port = running.postgres.port

    running.kill()
    assert local._processes(running.postgres.mark) == []
    running.restart_postgres()

    assert running.postgres.port == port
    assert await ask(running, "SELECT number FROM survivors") == 7


async def test_it_comes_back_after_its_parent_process_alone_was_killed(running):
    running.postgres.process.kill()
    running.postgres.process.wait()
    assert running.ended() == "postgres"

    running.restart_postgres()

    assert running.ended() is None
    assert await ask(running, "SELECT 1") == 1


async def test_a_stale_pid_that_now_belongs_to_another_is_not_believed(running):
    running.kill()
    pid_file = running.postgres.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    running.restart_postgres()

    assert await ask(running, "SELECT 1") == 1


async def test_valkey_comes_back_on_its_port(running):
    port = running.valkey.port

    running.restart_valkey()

    assert running.valkey.port == port
    assert await ping(running)


async def test_nothing_outlives_a_killed_launcher_and_the_next_start_finds_all_well(pair):
    pair.now.stop()
    with launcher(pair.root) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == pair.now.home.mark
        pids = pids_of(pair.now)
        assert len(pids) > 2
        other.send_signal(signal.SIGKILL)

    assert gone(pids)
    pair.start()

    assert await ask(pair.now, "SELECT 1") == 1


def test_nothing_is_left_after_stopping(pair):
    pids = pids_of(pair.now)

    pair.now.stop()
    pair.now.stop()

    assert gone(pids, seconds=0)
    assert pids_of(pair.now) == []
    pair.start()


@pytest.mark.parametrize("name", local.BOTH)
def test_one_starts_alone_in_a_fresh_directory(name, tmp_path):
    with local.start(tmp_path / "home", durable=False, wanted=[name]) as alone:
        assert alone.ended() is None


async def test_an_interrupted_first_start_leaves_no_half_of_a_database(monkeypatch, tmp_path):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    root = tmp_path / "home"
    with monkeypatch.context() as patch:
        patch.setattr(local.Postgres, "_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            local.start(root, durable=False)

    with local.start(root, durable=False) as started:
        assert await ask(started, "SELECT 1") == 1
        assert list(started.home.path.glob("initdb-*")) == []
    local.remove(root)


def test_a_server_that_cannot_start_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(local, "POSTGRES_SETTINGS", {"max_connections": "many"})
    monkeypatch.setattr(local.Postgres, "_initialise", lambda server: server.data.mkdir())

    with pytest.raises(CannotStart, match="max_connections"):
        local.start(tmp_path / "home", durable=False)

    local.remove(tmp_path / "home")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps data elsewhere")
def test_a_directory_closed_to_nobody_keeps_its_data_elsewhere(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    home = local._home(closed)

    assert home.path != closed
    assert local._is_open_to_all(home.path)
    assert local._home(closed) == home
    local.remove(closed)
    assert not home.path.exists()
