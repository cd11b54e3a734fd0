"""How soon what is wanted holds on every server, and whether anybody's request fails for it.

    python -m benchmarks.control [--changes 100] [--servers 4] [--readers 2] [--pause-ms 5]

Starts databases and so many web servers of one process each, lets clients read and write at all of them without
pause, and changes every setting so many times, each time with the answer of the last one in hand. A change holds when
the last node has acknowledged it: the time is from the moment it was given to that acknowledgement. Every request
that fails is looked at: only what the setting itself explains (`SERVICE_FROZEN` while a service is frozen,
`COMMAND_DISABLED` while a command is deleted) is no failure.

Then one server is stopped in its tracks and goes on later, one is killed and started again, and what cannot be is asked
for. It ends with 1 if anything was not as it should be.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from ops import admins, code, local, logs, migrate
from ops.bound import bound
from ops.local import free_port
from ops.settings import Settings

ROOT = Path(__file__).parents[1]
SEED = bytes(range(32))
PASSWORD = "correct horse battery"
ADMIN = "admin@example.org"
START_SECONDS = 90.0
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.02
HELD_SECONDS_MAX = 1.0
"""How soon 99 of 100 changes are to hold on every node."""

MESSAGE = """__typename
  ... on ControlMessage { id version missing at acknowledgements { nodeName state detail at } }
  ... on Refused { code message }"""
JOBS = "{ jobs(first: 10) { totalCount nodes { id title client { id companyName } } } }"
ME = "{ viewer { account { id } } }"
CATALOGUE = "{ catalogue { categories(first: 1) { nodes { id } } skills(first: 1) { nodes { id } } } }"
CLOSE = '''"""Version {number} of how a job is closed: as ever."""

from uuid import UUID

import loaders.jobs
from models.activity import EventKind, event, job_stream
from models.jobs import Job
from resolvers.context import Context
from resolvers.jobs import reject_pending


async def close(ctx: Context, *, job_id: UUID) -> Job:
    """Take no more proposals."""
    me = ctx.me
    async with ctx.writing() as work:
        job = await loaders.jobs.lock(work, job_id, *ctx.eyes)
        job.close(me)
        work.leave(event(job_stream(job.id), EventKind.JOB_CLOSED, job, by=me.id, at=ctx.now()))
        await reject_pending(ctx, work, job, "The job was closed.")
    return job
'''

IMPOSSIBLE: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("setMaxThreads", {"service": "JOBS", "maxThreads": 0}, "BAD_USER_INPUT"),
    ("setMaxThreads", {"service": "JOBS", "maxThreads": -1}, "BAD_USER_INPUT"),
    ("setMaxThreads", {"service": "JOBS", "maxThreads": 2_000_000}, "BAD_USER_INPUT"),
    ("setMaxThreads", {"service": "CAKES", "maxThreads": 5}, "BAD_USER_INPUT"),
    ("setMaxDbConnections", {"connections": 0}, "BAD_USER_INPUT"),
    ("setMaxDbConnections", {"connections": 100}, "TOO_MANY_CONNECTIONS"),
    ("start", {"service": "JOBS"}, "NOT_FROZEN"),
    ("freeze", {"service": "CONTROL"}, "COMMAND_STAYS"),
    ("deleteCommand", {"command": "signIn"}, "COMMAND_STAYS"),
    ("deleteCommand", {"command": "freeze"}, "COMMAND_STAYS"),
    ("deleteCommand", {"command": "cakes"}, "COMMAND_UNKNOWN"),
    ("setOption", {"name": "jobs.open_days", "value": "100000"}, "BAD_USER_INPUT"),
    ("setOption", {"name": "cakes", "value": "1"}, "BAD_USER_INPUT"),
    ("updateCommand", {"command": "closeJob", "source": "x = 1", "signature": "none"}, "BAD_SIGNATURE"),
    ("updateCommand", {"command": "closeJob", "source": "async def", "signature": "sign"}, "BAD_CODE"),
    ("updateCommand", {"command": "closeJob", "source": "async def close(): ...", "signature": "sign"}, "BAD_CODE"),
    ("rollbackCommand", {"command": "publishJob"}, "NO_EARLIER_CODE"),
)


class Wrong(Exception):
    """Something is not as it should be."""


@dataclass
class Server:
    """One web server in a process of its own."""

    told: dict[str, str]
    log: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}/graphql"

    def start(self) -> None:
        """Start it, bound to the life of this program."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                bound([sys.executable, "-m", "ops", "serve"], ending=signal.SIGTERM),
                cwd=ROOT,
                env={**self.told, "PORT": str(self.port), "WORKUP_NODE": f"server-{self.port}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        """Send its process a signal."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """Wait until it takes traffic."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            assert self.process is not None
            if self.process.poll() is not None:
                raise Wrong(f"a server ended:\n{self.log.read_text()[-2000:]}")
            try:
                async with session.get(self.url.replace("graphql", "readyz")) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(POLL_SECONDS)
        raise Wrong("a server was not ready in time")


@dataclass
class Caller:
    """Somebody who asks."""

    session: aiohttp.ClientSession
    token: str = ""

    async def ask(self, url: str, text: str, **variables: Any) -> dict[str, Any]:
        """Ask, and give the answer as it is."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.session.post(url, json={"query": text, "variables": variables}, headers=headers) as answer:
            said: dict[str, Any] = await answer.json()
            return said

    async def do(self, url: str, command: str, shown: str, /, **said: Any) -> dict[str, Any]:
        """Give a command, and give what was answered, or its code."""
        kind = command[0].upper() + command[1:]
        text = f"mutation ($input: {kind}Input!) {{ {command}(input: $input) {{ {shown} }} }}"
        answer = await self.ask(url, text, input=said)
        if answer.get("errors"):
            return {"code": answer["errors"][0]["extensions"]["code"], "message": answer["errors"][0]["message"]}
        data: dict[str, Any] = answer["data"][command]
        return data


@dataclass
class Load:
    """Clients that read and write at every server, without pause."""

    servers: list[Server]
    client: Caller
    readers: int
    pause: float
    catalogue: dict[str, str] = field(default_factory=dict)
    explained: frozenset[str] = frozenset()
    """Codes that what is wanted at the moment explains."""
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    resting: set[int] = field(default_factory=set)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask as long as the block lasts."""
        tasks = [
            asyncio.create_task(one(server))
            for server in self.servers
            for one in (*(self._read for _ in range(self.readers)), self._write)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def _read(self, server: Server) -> None:
        while True:
            for text in (JOBS, ME):
                await self._count(server, partial(self.client.ask, server.url, text))

    async def _write(self, server: Server) -> None:
        words = {
            "title": "Work under load",
            "description": "Something to do.",
            "categoryId": self.catalogue["category"],
            "skillIds": [self.catalogue["skill"]],
            "experience": "EXPERT",
            "duration": "LESS_THAN_A_MONTH",
            "budget": {"fixed": {"amount": "100.00"}},
        }
        shown = "__typename ... on Job { id } ... on Refused { code message }"
        while True:
            made = await self._count(server, partial(self.client.do, server.url, "createJob", shown, **words))
            for name in ("publishJob", "closeJob"):
                if "id" in made:
                    job_id = made["id"]
                    made = await self._count(server, partial(self.client.do, server.url, name, shown, jobId=job_id))

    async def _count(self, server: Server, ask: Callable[[], Any]) -> dict[str, Any]:
        """Ask, and note how it went; what was explained when it began or when it ended is no failure."""
        while server.port in self.resting:  # noqa: ASYNC110 - it lasts for seconds
            await asyncio.sleep(POLL_SECONDS)
        explained = self.explained
        try:
            answer: dict[str, Any] = await ask()
        except (aiohttp.ClientError, TimeoutError) as error:
            answer = {"code": type(error).__name__}
        errors = answer.get("errors")
        failed = errors[0]["extensions"]["code"] if errors else answer.get("code")
        self.outcomes["answered" if failed is None else failed] += 1
        if failed is not None and failed not in explained | self.explained and server.port not in self.resting:
            self.failures.append(failed)
        await asyncio.sleep(self.pause)
        return answer


@dataclass(frozen=True)
class Setting:
    """Something to change again and again: how, and which failures it explains."""

    name: str
    change: Callable[[int], tuple[str, dict[str, Any]]]
    explains: frozenset[str] = frozenset()


CHANCE = random.Random(4)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def _given(number: int) -> tuple[str, dict[str, Any]]:
    if number % 2:
        return "rollbackCommand", {"command": "closeJob"}
    source = CLOSE.replace("{number}", str(number))
    signature = code.sign(SEED, "closeJob", source)
    percent = CHANCE.choice([10, 50, 100])
    return "updateCommand", {"command": "closeJob", "source": source, "signature": signature, "percent": percent}


SETTINGS = (
    Setting("setMaxThreads", lambda _: ("setMaxThreads", {"service": "ALL", "maxThreads": CHANCE.randint(1, 50)})),
    Setting("setMaxDbConnections", lambda _: ("setMaxDbConnections", {"connections": CHANCE.randint(2, 12)})),
    Setting("setLoggingLevel", lambda n: ("setLoggingLevel", {"service": "JOBS", "level": LEVELS[n % 4]})),
    Setting("setOption", lambda n: ("setOption", {"name": "jobs.open_days", "value": str(1 + n % 300)})),
    Setting(
        "freeze, start",
        lambda n: ("start" if n % 2 else "freeze", {"service": "JOBS"}),
        frozenset({"SERVICE_FROZEN"}),
    ),
    Setting(
        "freeze, start ALL",
        lambda n: ("start" if n % 2 else "freeze", {"service": "ALL"}),
        frozenset({"SERVICE_FROZEN"}),
    ),
    Setting(
        "deleteCommand, addCommand",
        lambda n: ("addCommand" if n % 2 else "deleteCommand", {"command": "createJob"}),
        frozenset({"COMMAND_DISABLED"}),
    ),
    Setting("updateCommand, rollbackCommand", _given),
)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass
class Trial:
    """The whole of it."""

    servers: list[Server]
    admin: Caller
    load: Load
    numbers: Iterator[int] = field(default_factory=count)
    changes: int = 0
    """Messages that were given, each of which the audit log has."""

    @property
    def url(self) -> str:
        """Steer at one server after the other."""
        return self.servers[next(self.numbers) % len(self.servers)].url

    async def say(self, name: str, said: dict[str, Any]) -> dict[str, Any]:
        """Want something, which has to be done by all."""
        message = await self.admin.do(self.url, name, MESSAGE, **said)
        if "code" in message:
            raise Wrong(f"{name} was refused: {message}")
        self.changes += 2 if name == "updateCommand" else 1
        return message

    async def change(self, setting: Setting, times: int) -> list[float]:
        """Change a setting so many times, and give the seconds in which each change held everywhere."""
        self.load.explained = setting.explains
        seconds = []
        for number in range(times + times % 2):
            message = await self.say(*setting.change(number))
            acknowledged = message["acknowledgements"]
            if message["missing"] or len(acknowledged) != len(self.servers):
                raise Wrong(f"{setting.name} did not reach {message['missing']}")
            if any(one["state"] != "APPLIED" for one in acknowledged):
                raise Wrong(f"{setting.name}: {acknowledged}")
            last = max(_moment(one["at"]) for one in acknowledged)
            seconds.append((last - _moment(message["at"])).total_seconds())
        return seconds

    async def control(self, shown: str) -> dict[str, Any]:
        """Look at the whole."""
        answer = await self.admin.ask(self.url, f"{{ control {{ {shown} }} }}")
        found: dict[str, Any] = answer["data"]["control"]
        return found

    async def pause_one(self) -> float:
        """Stop a server in its tracks while something is wanted; give the seconds in which it caught up."""
        stopped, *others = self.servers
        self.load.resting.add(stopped.port)
        stopped.signal(signal.SIGSTOP)
        try:
            said = {"name": "jobs.open_days", "value": "77", "timeoutSeconds": 1}
            message = await self.admin.do(others[0].url, "setOption", MESSAGE, **said)
            self.changes += 1
        finally:
            stopped.signal(signal.SIGCONT)
        began = time.monotonic()
        if message["missing"] != [f"server-{stopped.port}/0"]:
            raise Wrong(f"the stopped server should be missing, not {message['missing']}")
        while not await self._is_acknowledged(message["id"]):
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise Wrong("the stopped server did not catch up")
            await asyncio.sleep(POLL_SECONDS)
        self.load.resting.clear()
        return time.monotonic() - began

    async def _is_acknowledged(self, message_id: str) -> bool:
        text = "query ($id: ID!) { node(id: $id) { ... on ControlMessage { missing } } }"
        answer = await self.admin.ask(self.servers[-1].url, text, id=message_id)
        missing: list[str] = answer["data"]["node"]["missing"]
        return not missing

    async def restart_one(self) -> int:
        """Kill a server, want something, start it again; give the version with which it takes traffic."""
        killed, *others = self.servers
        self.load.resting.add(killed.port)
        killed.signal(signal.SIGKILL)
        assert killed.process is not None
        await asyncio.to_thread(killed.process.wait)
        said = {"name": "jobs.open_days", "value": "78", "timeoutSeconds": 0}
        message = await self.admin.do(others[0].url, "setOption", MESSAGE, **said)
        self.changes += 1
        killed.start()
        await killed.ready(self.admin.session)
        nodes = (await self.control("nodes { name version state }"))["nodes"]
        (node,) = [one for one in nodes if one["name"] == f"server-{killed.port}/0"]
        self.load.resting.clear()
        if (node["version"], node["state"]) != (message["version"], "RUNNING"):
            raise Wrong(f"the restarted server is {node}, and {message['version']} was wanted")
        found: int = node["version"]
        return found

    async def want_the_impossible(self) -> int:
        """Ask for what cannot be; nothing may change."""
        before = (await self.control("version"))["version"]
        for name, said, expected in IMPOSSIBLE:
            signed = said.get("signature") == "sign" and code.sign(SEED, said["command"], said["source"])
            wanted = said | {"signature": signed} if signed else said
            answer = await self.admin.do(self.url, name, MESSAGE, **wanted)
            if answer.get("code") != expected or not answer.get("message"):
                raise Wrong(f"{name} {said} was answered with {answer}, not {expected}")
        if (await self.control("version"))["version"] != before:
            raise Wrong("something that was refused has changed something")
        return len(IMPOSSIBLE)

    async def must_be_audited(self) -> int:
        """See that every change is in the audit log, with who, from where, before and after."""
        shown = "auditLog(first: 100) { totalCount nodes { actor address deed before { value } after { value } } }"
        log = (await self.control(shown))["auditLog"]
        if log["totalCount"] != self.changes:
            raise Wrong(f"{self.changes} changes, and {log['totalCount']} in the audit log")
        for entry in log["nodes"]:
            if entry["actor"] != ADMIN or entry["address"] != "127.0.0.1" or not entry["after"]:
                raise Wrong(f"an entry of the audit log is {entry}")
        return self.changes


def _environment(running: local.Local, home: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "DATABASE_URL": running.database_url,
        "REDIS_URL": running.redis_url,
        "WORKUP_SECRET": "a secret that only this program knows",
        "WORKUP_SIGNING_KEYS": f"one:{'A' * 43}",
        "WORKUP_PASSWORD_MEMORY_KIB": "32",
        "WORKUP_LOG_LEVEL": "ERROR",
        "WORKUP_CODE_KEY": code.public_key(SEED),
        "WORKUP_HOME": str(home),
        "HOST": "127.0.0.1",
    }


async def _prepared(told: dict[str, str], servers: list[Server], arguments: argparse.Namespace) -> Trial:
    """Sign an administrator and a client in, and find what jobs are described with."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))
    try:
        await admins.appoint(Settings.of(told), ADMIN, lambda: PASSWORD)
        await asyncio.gather(*(server.ready(session) for server in servers))
        admin, client = Caller(session), Caller(session)
        url, tokens = servers[0].url, "... on SignedIn { accessToken } ... on Refused { code message }"
        admin.token = (await admin.do(url, "signIn", tokens, email=ADMIN, password=PASSWORD))["accessToken"]
        words = {"email": "client@example.org", "password": PASSWORD, "fullName": "Clara", "roles": ["CLIENT"]}
        client.token = (await client.do(url, "register", tokens, **words))["accessToken"]
        found = (await client.ask(url, CATALOGUE))["data"]["catalogue"]
        load = Load(servers, client, arguments.readers, arguments.pause_ms / 1000)
        load.catalogue = {
            "category": found["categories"]["nodes"][0]["id"],
            "skill": found["skills"]["nodes"][0]["id"],
        }
        return Trial(servers, admin, load)
    except BaseException:
        await session.close()
        raise


async def _try(told: dict[str, str], servers: list[Server], arguments: argparse.Namespace) -> bool:
    trial = await _prepared(told, servers, arguments)
    load, is_good = trial.load, True
    try:
        with load.running():
            print("| setting | changes | held everywhere after, p50 | p99 | most | requests | explained | failed |")
            print("|---|---|---|---|---|---|---|---|")
            for setting in SETTINGS:
                load.outcomes.clear()
                seconds = sorted(await trial.change(setting, arguments.changes))
                p99 = seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)]
                explained = sum(load.outcomes[name] for name in setting.explains)
                shown = [f"{value * 1000:.0f} ms" for value in (statistics.median(seconds), p99, seconds[-1])]
                total, failed = load.outcomes.total(), len(load.failures)
                print(f"| {setting.name} | {len(seconds)} | {' | '.join(shown)} | {total} | {explained} | {failed} |")
                is_good &= not failed and (p99 <= HELD_SECONDS_MAX or arguments.changes < 10)
                print(*Counter(load.failures).items(), sep="\n", end="\n" if failed else "")
                load.failures.clear()
            load.explained = frozenset()
            caught_up = await trial.pause_one()
            print(f"A server that was stopped and went on caught up {caught_up * 1000:.0f} ms later.")
            print(f"A server that was killed and started again began with version {await trial.restart_one()}.")
            print(f"{await trial.want_the_impossible()} things that cannot be were refused, with the reason.")
            print(f"{await trial.must_be_audited()} changes are in the audit log.")
            is_good &= not load.failures
            print(f"{len(load.failures)} requests failed without a reason.")
    finally:
        await trial.admin.session.close()
    return is_good


def main() -> int:
    """Read the command line, and try."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--readers", type=int, default=2, help="at each server, beside one who writes")
    parser.add_argument("--pause-ms", type=float, default=5, help="what a client waits before it asks again")
    arguments = parser.parse_args()
    logs.configure("ERROR", as_json=False)
    root = Path(tempfile.mkdtemp(prefix="workup-control-"))
    try:
        with local.start(root, durable=False) as running:
            migrate.to_head(running.database_url)
            is_good = _run(_environment(running, root), root, arguments)
    except Wrong as wrong:
        print(f"Wrong: {wrong}")
        is_good = False
    finally:
        local.remove(root)
    return 0 if is_good else 1


def _run(told: dict[str, str], root: Path, arguments: argparse.Namespace) -> bool:
    servers = [Server(told, root / f"{number}.log") for number in range(arguments.servers)]
    for server in servers:
        server.start()
    try:
        return asyncio.run(_try(told, servers, arguments))
    finally:
        for server in servers:
            server.signal(signal.SIGTERM)
        for server in servers:
            assert server.process is not None
            server.process.wait(START_SECONDS)
            lines = server.log.read_text().splitlines()
            # What is written of jobs was among what was changed.
            for line in (line for line in lines if "[info" not in line and "[debug" not in line):
                print(f"A server wrote: {line}")


if __name__ == "__main__":
    sys.exit(main())
