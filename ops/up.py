"""How all of it runs on one machine: databases, migrations, demo data, web server and worker, until Ctrl-C."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn, Self

from ops import go, local, settings
from ops.bound import bound
from ops.demo import PASSWORD, PEOPLE

ROOT = Path(__file__).parents[1]
CHILDREN = {"web server": "serve", "worker": "work"}
READY_SECONDS = 60.0
# Longer than the children give themselves.
DRAIN_SECONDS = 45.0
POLL_SECONDS = 0.02
WATCH_SECONDS = 0.2
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ToldToStop(BaseException):
    """Somebody wants all of this to stop."""


class Broken(Exception):
    """It cannot run, or not any longer; the message says why."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Site:
    """Where the web server listens, and where one looks for it."""

    host: str
    port: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Take it from HOST and PORT."""
        port = environment.get("PORT") or "8000"
        if not port.isdecimal() or not 0 < int(port) < 65_536:
            raise Broken(f"PORT is {port}, which is not a port")
        return cls(environment.get("HOST") or "127.0.0.1", int(port))

    @property
    def visible_host(self) -> str:
        """The host to look at; to listen everywhere is not to be anywhere."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - it is the question

    @property
    def address(self) -> str:
        """Host and port as they stand in a URL."""
        host = f"[{self.visible_host}]" if ":" in self.visible_host else self.visible_host
        return f"{host}:{self.port}"

    def must_be_free(self) -> None:
        """Find out before anything is started that would have to be stopped again."""
        try:
            family, _, _, _, place = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
                probe.listen()
        except OSError as error:
            message = f"cannot listen at {self.host}:{self.port}, {error.strerror}; choose with HOST and PORT"
            raise Broken(message) from error

    def is_ready(self) -> bool:
        """Whether the web server takes traffic."""
        line = HTTPConnection(self.visible_host, self.port, timeout=5)
        try:
            line.request("GET", "/readyz")
            return line.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            line.close()


class Children:
    """The web server and the worker, which load at once and go on when they are told to."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        reading, self._gate = os.pipe()
        told = {**environment, go.VARIABLE: str(reading)}
        self._running = {name: _spawn(verb, told, reading) for name, verb in CHILDREN.items()}
        os.close(reading)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def let_go(self) -> None:
        """Tell them that what they need is there."""
        os.close(self._gate)
        self._gate = -1

    def must_live(self) -> None:
        """Everything ends when one of them does."""
        for name, child in self._running.items():
            if (code := child.poll()) is not None:
                raise Broken(f"the {name} ended by itself, with exit code {code}", _shown(code))

    def stop(self) -> None:
        """Let them finish what they are at, within a deadline; another Ctrl-C cuts it short."""
        for number in STOPPING:
            signal.signal(number, lambda *_: self.kill())
        for child in self._running.values():
            child.terminate()
        deadline = time.monotonic() + DRAIN_SECONDS
        for name, child in self._running.items():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                print(f"The {name} did not finish in {DRAIN_SECONDS:.0f} s and is made to.", file=sys.stderr)
                self.kill()
        if self._gate != -1:
            self.let_go()

    def kill(self) -> None:
        """End them and whatever they started, without waiting for anything."""
        for child in self._running.values():
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)


def run(environment: Mapping[str, str] = os.environ) -> int:
    """Run all of it until somebody asks it to stop; what it answers is the exit code."""
    began = time.monotonic()
    _listen_for_signals()
    try:
        with suppress(ToldToStop), ExitStack() as stack:
            _run(environment, stack, began)
    except (Broken, local.CannotStart) as error:
        print(f"WorkUp stopped: {error}", file=sys.stderr)
        return error.code if isinstance(error, Broken) else 1
    return 0


def _run(environment: Mapping[str, str], stack: ExitStack, began: float) -> None:
    site = Site.of(environment)
    site.must_be_free()
    servers = _servers(environment, stack)
    secrets = settings.local_secrets(settings.home_of(environment))
    told = {
        "WORKUP_DEMO": "on",
        **secrets,
        **environment,
        # As seen from here; the children run elsewhere.
        "WORKUP_HOME": str(settings.home_of(environment).absolute()),
        "HOST": site.host,
        "PORT": str(site.port),
        **_addresses(servers, environment),
    }
    # They need longer to load than we to migrate.
    children = stack.enter_context(Children(told))
    with _step("Migrations"):
        _migrate(told["DATABASE_URL"])
    with _step("Demo data"):
        has_demo = told["WORKUP_DEMO"] == "on" and (_seed(told["DATABASE_URL"]) or servers is not None)
    children.let_go()
    with _step("Web server and worker"):
        _wait_for(site, children)
    _greet(site, time.monotonic() - began, has_demo=has_demo)
    _watch(children, servers)


def _listen_for_signals() -> None:
    """Make the first signal to stop an exception, wherever we are; what has been started is stopped on its way."""

    def ask(_: int, __: FrameType | None) -> None:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
        raise ToldToStop

    for number in STOPPING:
        # Under nohup, a closed terminal is no reason to stop.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, ask)


def _servers(environment: Mapping[str, str], stack: ExitStack) -> local.Local | None:
    """Start the servers whose addresses nobody gave us."""
    kinds = {local.Postgres.name: "DATABASE_URL", local.Valkey.name: "REDIS_URL"}
    wanted = [name for name, variable in kinds.items() if not environment.get(variable)]
    if not wanted:
        return None
    with _step(" and ".join(name.capitalize() for name in wanted)):
        return stack.enter_context(local.start(settings.home_of(environment), wanted=wanted))


def _addresses(servers: local.Local | None, environment: Mapping[str, str]) -> dict[str, str]:
    ours = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url} if servers else {}
    return {name: environment.get(name) or ours[name] for name in ("DATABASE_URL", "REDIS_URL")}


def _migrate(database_url: str) -> None:
    # Late, so that the children load while we do.
    from ops import migrate

    try:
        with migrate.in_a_line():
            migrate.to_head(database_url)
    except migrate.Unusable as error:
        raise Broken(f"cannot migrate: {error}") from error


def _seed(database_url: str) -> bool:
    """Put the demo in if there is nobody yet; say whether it was."""
    if asyncio.run(_is_inhabited(database_url)):
        return False
    # Late, because it loads the whole house and is needed once.
    from ops import seed

    return asyncio.run(seed.seed(database_url))


async def _is_inhabited(database_url: str) -> bool:
    import asyncpg

    connection = await asyncpg.connect(database_url.replace("+asyncpg", "", 1))
    try:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM accounts)"))
    finally:
        await connection.close()


def _spawn(verb: str, environment: Mapping[str, str], pipe: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own command line
        bound([sys.executable, "-m", "ops", verb], ending=signal.SIGTERM),
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        pass_fds=[pipe],
        # Ctrl-C is for us: we stop them in order.
        start_new_session=True,
    )


def _shown(code: int) -> int:
    """Turn how a child ended into an exit code of ours: as shells do for a signal, and never 0."""
    return 128 - code if code < 0 else code or 1


def _wait_for(site: Site, children: Children) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not site.is_ready():
        children.must_live()
        if time.monotonic() > deadline:
            raise Broken(f"the web server was not ready after {READY_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _watch(children: Children, servers: local.Local | None) -> NoReturn:
    while True:
        children.must_live()
        if servers is not None and (name := servers.ended()):
            raise Broken(f"{name} ended by itself; its last words are in {servers.home.path}")
        time.sleep(WATCH_SECONDS)


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Say what was done and how long it took."""
    began = time.monotonic()
    yield
    print(f"  {what:<24}{time.monotonic() - began:5.1f} s", flush=True)


def _greet(site: Site, seconds: float, *, has_demo: bool) -> None:
    print(
        f"\nWorkUp is ready, after {seconds:.1f} s. Ctrl-C stops all of it.\n\n"
        f"  GraphQL        http://{site.address}/graphql\n"
        f"  Subscriptions  ws://{site.address}/graphql"
    )
    if has_demo:
        print(f"  Sign in as     {', '.join(PEOPLE)}\n  Password       {PASSWORD}")
    print(flush=True)
