"""How all of it runs on one machine: databases, migrations, demo data, web servers and worker, until Ctrl-C.

Requests come to the front, which shares them out among the web servers; at first there is one of these.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from types import FrameType
from typing import NamedTuple, Self
from uuid import UUID, uuid4

from ops import go, local, settings
from ops.balancer import Front, FrontFailed
from ops.children import STOPPING, Children
from ops.demo import PASSWORD, PEOPLE

FRONT, WEB_SERVER, WORKER = "front", "web server", "worker"
SERVE = ["-m", "ops", "serve"]
HERE = "127.0.0.1"
PROVIDER = "process"
KEEPER = "INSERT INTO keepers (id, host, providers, started_at, seen_at) VALUES ($1, $2, $3, now(), now())"
MACHINE = """
    INSERT INTO machines (id, provider, state, keeper_id, dies_with_keeper, wanted_by, wanted_at, began_at)
    VALUES ($1, $2, 'STARTING', $3, true, 'launcher', now(), now())
"""
READY_SECONDS = 60.0
POLL_SECONDS = 0.02
WATCH_SECONDS = 0.2


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
        "WORKUP_SANDBOX_CLOCK": environment.get("WORKUP_DEMO") or "on",
        "WORKUP_PAYMENTS_PROVIDER": "sandbox",
        **secrets,
        **environment,
        # As seen from here; the children run elsewhere.
        "WORKUP_HOME": str(settings.home_of(environment).absolute()),
        "WORKUP_TRUSTED_PROXIES": ",".join(filter(None, [environment.get("WORKUP_TRUSTED_PROXIES"), HERE])),
        **_addresses(servers, environment),
    }
    node = Site(HERE, local.free_port())
    children = stack.enter_context(Children())
    # They need longer to load than we to migrate.
    machine_id = uuid4()
    front, let_go = _load(children, told, site, node, machine_id)
    with _step("Migrations"):
        _migrate(told["DATABASE_URL"])
    with _step("Demo data"):
        has_demo = told["WORKUP_DEMO"] == "on" and (_seed(told["DATABASE_URL"]) or servers is not None)
    let_go()
    # Whoever asks for a machine in the first moment is heard in the second one.
    keeper_id = asyncio.run(_enlist(told["DATABASE_URL"], machine_id))
    with _step("Web server and worker"):
        _wait_for(node, children)
        _open(front, node)
    _greet(site, time.monotonic() - began, has_demo=has_demo)
    asyncio.run(_attend(Crew(children, servers, front, node, machine_id, keeper_id, told)))
    raise ToldToStop


def _load(
    children: Children, told: Mapping[str, str], site: Site, node: Site, machine_id: UUID
) -> tuple[Front, Callable[[], None]]:
    """Start all of them; web server and worker load, and go on when they are let."""
    reading, writing = os.pipe()
    waiting = {**told, go.VARIABLE: str(reading)}
    served = {**waiting, "HOST": node.host, "PORT": str(node.port), "WORKUP_MACHINE": str(machine_id)}
    # The front is the first to be told to stop, too.
    front = children.start(FRONT, ["-m", "ops.front", site.host, str(site.port)], told, is_spoken_to=True)
    children.start(WEB_SERVER, SERVE, served, gate=reading)
    children.start(WORKER, ["-m", "ops", "work"], waiting, gate=reading)
    os.close(reading)
    return Front(front), lambda: os.close(writing)


def _open(front: Front, node: Site) -> None:
    try:
        front.must_listen()
        front.join(node.address)
    except (FrontFailed, OSError) as error:
        raise Broken(f"the {FRONT} cannot be reached: {error}") from error


def _must_live(children: Children) -> None:
    """Everything ends when one of them does."""
    if ended := children.ended():
        name, code = ended
        raise Broken(f"the {name} ended by itself, with exit code {code}", _shown(code))


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


async def _enlist(database_url: str, machine_id: UUID) -> UUID:
    """Say that there is going to be somebody who keeps machines, and that there is one; the house is loaded later."""
    import asyncpg

    keeper_id = uuid4()
    connection = await asyncpg.connect(database_url.replace("+asyncpg", "", 1))
    try:
        await connection.execute(KEEPER, keeper_id, socket.gethostname(), [PROVIDER])
        await connection.execute(MACHINE, machine_id, PROVIDER, keeper_id)
    finally:
        await connection.close()
    return keeper_id


def _shown(code: int) -> int:
    """Turn how a child ended into an exit code of ours: as shells do for a signal, and never 0."""
    return 128 - code if code < 0 else code or 1


def _wait_for(site: Site, children: Children) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not site.is_ready():
        _must_live(children)
        if time.monotonic() > deadline:
            raise Broken(f"the web server was not ready after {READY_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


class Crew(NamedTuple):
    """Everything that runs."""

    children: Children
    servers: local.Local | None
    front: Front
    node: Site
    machine_id: UUID
    keeper_id: UUID
    told: Mapping[str, str]


async def _attend(crew: Crew) -> None:
    """See that everything runs, and make and retire machines as it is wanted, until somebody asks all of it to stop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    keeping = loop.create_task(_keep(crew))
    try:
        while not stop.is_set():
            _must_run(crew)
            if keeping.done():
                code = keeping.result()
                raise Broken(f"the last {WEB_SERVER} ended by itself, with exit code {code}", _shown(code))
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await stop.wait()
    finally:
        for number in STOPPING:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        keeping.cancel()
        await asyncio.wait([keeping])


def _must_run(crew: Crew) -> None:
    _must_live(crew.children)
    if crew.servers is not None and (name := crew.servers.ended()):
        raise Broken(f"{name} ended by itself; its last words are in {crew.servers.home.path}")


async def _keep(crew: Crew) -> int:
    """Keep machines, the web server that runs already and those that are asked for, until none is left."""
    # Late, when nobody waits for us any more: it loads the whole house.
    from ops.machines import local as machines
    from ops.machines.processes import Processes

    processes = Processes(crew.children, crew.told)
    processes.adopt(crew.machine_id, WEB_SERVER, crew.node.address)
    return await machines.keep(processes, crew.front, crew.told, keeper_id=crew.keeper_id)


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
