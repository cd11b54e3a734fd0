"""How fast reads and a write are, beside the limit: what a bare server gives that sends what one statement returns.

    python -m benchmarks.reads [--quick] [--workers 2] [--rounds 3] [--seconds 4] [--jobs 20000] [--only Job,Newest]
                               [--growth] [--durable] [--quiet 50]

Three servers answer the same requests over the same database, in turns, so that a busy machine is unfair to all alike:

limit      benchmarks/limit.py: uvicorn, asyncpg, one statement by hand for each workload, no GraphQL
compiled   our server as it is
ordinary   our server without the compiled path

Before anything is measured, all three have answered with the same bytes. In the end Postgres says how it runs what they
ask it for, and it is an error if ours reads a large table from end to end. `--growth` asks for pages of 1, 10, 50 and
100 rows, and of a database ten times as large. CPU is that of the processes themselves, from /proc.

Python suffers more than Postgres from others who use the same processors. How much is said first, as what a loop takes;
with `--quiet 50`, what was measured while it took more than 50 ms is measured again.
"""

import argparse
import asyncio
import base64
import json
import math
import os
import re
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import asyncpg
from graphql import get_introspection_query

from benchmarks import limit
from benchmarks.load import Said, ask
from benchmarks.plans import LARGE, Heard, Plans
from benchmarks.town import POPULAR, Town
from ops import local, migrate
from ops.auth import KeyRing
from ops.local import free_port
from ops.settings import SigningKey

ROOT = Path(__file__).parents[1]
CONNECTIONS = 16
TICKS = os.sysconf("SC_CLK_TCK")
WAIT_SECONDS = 60
SAMPLES = 10
"""How many requests of each kind are compared, byte by byte."""
DIFFERENT = 500
"""How many different requests of each kind are asked in turn."""
VIEWERS = 50
"""How many people read what is theirs, again and again."""
LINES_EACH = 4
"""How many requests of each connection are looked at: how Postgres answers them."""
WRITES_A_SECOND_MAX = 8_000
ADDITIONS = 1_000_000
LOOP_TRIES = 3
LOOP = "import timeit; print(min(timeit.repeat('sum(n for n in range({additions}))', number=1, repeat={tries})))"
"""What is done at once on all processors: two of them may be halves of one, for as long as it pleases the machine."""
UNREST_SECONDS = 2
"""How long to wait when others are busy."""
PAGES = (1, 10, 50, 100)

JOB = """query Job($id: ID!) { job(id: $id) {
    id title description state experience duration freelancersWanted hiredCount publishedAt expiresAt version
    budget { kind amount { amount currency } }
} }"""
NEWEST = """query Newest($first: Int) { jobs(first: $first) {
    nodes { id title state publishedAt client { id companyName } proposalCount } pageInfo { hasNextPage }
} }"""
OFFERS = """query Offers($id: ID!, $first: Int) { job(id: $id) { id title proposals(first: $first) {
    nodes {
        id coverLetter state bid { amount currency } submittedAt freelancer { id fullName title }
        milestones { position description amount { amount currency } dueOn }
    }
    pageInfo { hasNextPage }
} } }"""
CONTRACTS = """query Contracts($first: Int) { viewer { contracts(first: $first) {
    totalCount
    nodes {
        id title state bid { amount currency } startedAt
        milestones { id position description amount { amount currency } state dueOn }
        totals {
            agreed { amount currency } escrowed { amount currency } owed { amount currency } paid { amount currency }
        }
    }
    pageInfo { hasNextPage }
} } }"""
SUBMIT = """mutation Submit($input: SubmitProposalInput!) { submitProposal(input: $input) {
    __typename
    ... on Proposal {
        id state bid { amount currency } submittedAt milestones { position description amount { amount currency } }
    }
    ... on Refused { code message field problems { field message } }
} }"""

TWO: dict[str, str] = {"WORKUP_WORKERS": "2"}
OTHERS = {"doubled": TWO, "ordinary": {"WORKUP_COMPILED": "off"}}
"""Ours in other ways: with two processes, and with nothing compiled."""

LIMITS: dict[str, dict[str, str]] = {"limit": {}, "limit-doubled": TWO}
"""The limit, and what two processes of it do."""

EFFECTS = (
    "proposals",
    "proposal_milestones",
    "events",
    "idempotency_keys",
    "journals",
    "entries",
    "unfolded_entries",
    "connects_movements",
)
"""What a submitted proposal leaves behind."""


@dataclass(frozen=True)
class Asker:
    """Makes requests in the names of those who live in the town."""

    town: Town
    keys: KeyRing
    random: Random = field(default_factory=lambda: Random(1))
    _tokens: dict[int, str] = field(default_factory=dict)
    _written: list[int] = field(default_factory=lambda: [0])

    def token(self, account: int) -> str:
        """An access token that outlives the benchmark."""
        if account not in self._tokens:
            person: Any = SimpleNamespace(id=self.town.account(account), roles=[])
            session: Any = SimpleNamespace(id=self.town.session(account))
            self._tokens[account] = self.keys.issue(person, session, at=datetime.now(UTC), seconds=86_400)
        return self._tokens[account]

    def job(self, _: int) -> str:
        """A job by its id; anybody may."""
        return self._line("", "Job", JOB, id=f"job_{self._any_job().hex}")

    def newest(self, first: int) -> str:
        """The newest jobs, with their clients and how many proposals each has; anybody may."""
        return self._line("", "Newest", NEWEST, first=first)

    def offers(self, first: int) -> str:
        """A job's proposals, those who made them and what they are made of, for its client."""
        job = self._viewer() * POPULAR
        token = self.token(self.town.client_of(job))
        return self._line(token, "Offers", OFFERS, id=f"job_{self.town.job(job).hex}", first=first)

    def contracts(self, first: int) -> str:
        """One's contracts with their milestones and what these come to, and how many they are."""
        return self._line(self.token(self._viewer()), "Contracts", CONTRACTS, first=first)

    def introspection(self, _: int) -> str:
        """What a development tool asks first."""
        return self._line("", "IntrospectionQuery", get_introspection_query())

    def submit(self, _: int) -> str:
        """A proposal with three milestones, each by somebody else on another job than the last."""
        self._written[0] += 1
        turn, at = divmod(self._written[0], self.town.jobs)
        job = self.town.job(at * 7_919 % self.town.jobs)
        parts = [
            {"description": f"Part {number}", "amount": {"amount": amount}}
            for number, amount in enumerate(("100.00", "250.50", "49.50"))
        ]
        said = {
            "idempotencyKey": f"{turn} {at}",
            "jobId": f"job_{job.hex}",
            "coverLetter": "I have done this before and would gladly do it again.",
            "duration": "ONE_TO_THREE_MONTHS",
            "bid": {"amount": "400.00"},
            "milestones": parts,
        }
        return self._line(self.token(self.town.writer((turn * 31 + at) % 100)), "Submit", SUBMIT, input=said)

    def _viewer(self) -> int:
        return self.random.randrange(min(VIEWERS, self.town.clients))

    def _any_job(self) -> Any:
        return self.town.job(self.random.randrange(self.town.jobs))

    @staticmethod
    def _line(token: str, name: str, query: str, **variables: Any) -> str:
        return f"{token}\t{json.dumps({'query': query, 'operationName': name, 'variables': variables})}"


Make = Callable[[Asker, int], str]
WORKLOADS: dict[str, Make] = {
    "Job": Asker.job,
    "Newest": Asker.newest,
    "Offers": Asker.offers,
    "Contracts": Asker.contracts,
    "IntrospectionQuery": Asker.introspection,
    "Submit": Asker.submit,
}
PAGED = ("Newest", "Offers", "Contracts")


@dataclass
class Server:
    """One of the three, and what was measured of it."""

    name: str
    process: subprocess.Popen[bytes]
    port: int

    def post(self, line: str) -> tuple[int, bytes]:
        """Ask one thing."""
        token, _, body = line.partition("\t")
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        connection.request("POST", "/graphql", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def cpu(root: int) -> float:
    """Processor seconds of a process and of all that descend from it, those that ended included."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                stat = (path / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(stat[1]), []).append(int(path.name))
            used[int(path.name)] = sum(map(int, stat[11:15])) / TICKS
    line, total = [root], 0.0
    while line:
        total += used.get(line[-1], 0.0)
        line += children.get(line.pop(), [])
    return total


def cpus() -> int:
    """How many processors there are for us."""
    return len(os.sched_getaffinity(0))


def loop_ms() -> float:
    """How many milliseconds a loop takes in Python while all processors are at it: the slowest, at its best."""
    loop = [sys.executable, "-c", LOOP.format(tries=LOOP_TRIES, additions=ADDITIONS)]
    running = [subprocess.Popen(loop, stdout=subprocess.PIPE, text=True) for _ in range(cpus())]
    return max(float(one.communicate()[0]) for one in running) * 1e3


@dataclass(frozen=True, slots=True)
class Measured:
    """One turn: what the one who asked said, and what it cost those who answered, in ms of CPU a request."""

    said: Said
    server_ms: float
    postgres_ms: float


class Bench:
    """The servers, the town, and those who ask."""

    def __init__(
        self, servers: Sequence[Server], postgres: int, asker: Asker, connections: int, plans: Plans, quiet: float
    ) -> None:
        self.servers, self.postgres, self.asker, self.connections = servers, postgres, asker, connections
        self.plans = plans
        self.quiet = quiet
        """How many milliseconds the loop may take for a turn to count."""
        self.disturbed = 0
        """How many turns did not."""

    def measure(self, server: Server, make: Make, page: int, seconds: int) -> Measured:
        """Let one server answer one workload."""
        count = WRITES_A_SECOND_MAX * seconds if make is Asker.submit else DIFFERENT
        with tempfile.NamedTemporaryFile("w", suffix=".requests") as requests:
            requests.writelines(make(self.asker, page) + "\n" for _ in range(count))
            requests.flush()
            before = cpu(server.process.pid), cpu(self.postgres)
            said = ask(server.port, Path(requests.name), seconds=seconds, connections=self.connections)
            after = cpu(server.process.pid), cpu(self.postgres)
        assert said.errors == 0, f"{server.name}: {said.errors} of {said.requests} failed"
        assert make is not Asker.submit or said.requests < count, "more was written than there was to write"
        mine, theirs = ((now - then) / max(1, said.requests) * 1e3 for now, then in zip(after, before, strict=True))
        return Measured(said, mine, theirs)

    def turns(self, make: Make, page: int, seconds: int, rounds: int) -> dict[str, list[Measured]]:
        """Let them take turns, after one that only warms up; or once, cold, when there are to be no rounds."""
        found: dict[str, list[Measured]] = {server.name: [] for server in self.servers}
        for server in self.servers if rounds else ():
            self.measure(server, make, page, seconds)
        for _ in range(max(1, rounds)):
            for server in self.servers:
                found[server.name].append(self._turn(server, make, page, seconds))
        return found

    def _turn(self, server: Server, make: Make, page: int, seconds: int) -> Measured:
        """Measure one, again if others were busy meanwhile."""
        while True:
            while self._is_disturbed():
                time.sleep(UNREST_SECONDS)
            measured = self.measure(server, make, page, seconds)
            if not self._is_disturbed():
                return measured
            self.disturbed += 1

    def _is_disturbed(self) -> bool:
        return self.quiet < math.inf and loop_ms() > self.quiet

    def must_be_equal(self, name: str, make: Make, page: int) -> int:
        """Ask all of them the same, and see the same bytes; tell how many."""
        size = 0
        for _ in range(SAMPLES):
            line = make(self.asker, page)
            lines = [make(self.asker, page) if make is Asker.submit else line for _ in self.servers]
            answers = [_masked(server.post(asked)) for server, asked in zip(self.servers, lines, strict=True)]
            for server, answer in zip(self.servers, answers, strict=True):
                assert answer == answers[0], f"{name}, {server.name}:\n{answers[0][:2000]!r}\n{answer[:2000]!r}"
            size = len(answers[0][1])
            assert b'"errors"' not in answers[0][1], answers[0][1]
            assert b'"Refused"' not in answers[0][1][:100], answers[0][1]
        return size

    def heard(self, server: Server, make: Make) -> Heard:
        """Ask one server many things at once, over all its lines to Postgres, and hear what was read for them."""
        lines = [make(self.asker, 20) for _ in range(self.connections * LINES_EACH)]

        def happen() -> None:
            with ThreadPoolExecutor(self.connections) as askers:
                assert all(status == 200 for status, _ in askers.map(server.post, lines))

        heard = self.plans.of(happen)
        assert heard.plans or make is Asker.introspection, f"{server.name}: Postgres told nothing"
        return heard


def _masked(answer: tuple[int, bytes]) -> tuple[int, bytes]:
    """Leave out what can not be the same: ids and moments of what was written just now."""
    status, body = answer
    if b'"submitProposal"' not in body[:40]:
        return answer
    return status, re.sub(rb'("id":"proposal_|"submittedAt":")[^"]*', rb"\1", body)


async def _effects(url: str) -> dict[str, int]:
    line = await asyncpg.connect(url.replace("+asyncpg", ""))
    found = {table: await line.fetchval(f"select count(*) from {table}") for table in EFFECTS}
    found["numbers"] = int(await line.fetchval("select sum(sequence) from stream_heads") or 0)
    found["Connects left"] = int(await line.fetchval("select sum(remaining) from lots") or 0)
    await line.close()
    return found


def must_leave_the_same(bench: Bench, url: str) -> None:
    """See that each server keeps the same rows for a submitted proposal."""
    left = []
    for server in bench.servers:
        before = asyncio.run(_effects(url))
        server.post(bench.asker.submit(0))
        after = asyncio.run(_effects(url))
        left.append({name: after[name] - before[name] for name in before})
    assert all(found == left[0] for found in left), left
    print(f"Each submitted proposal leaves {left[0]}.\n")


def ours_must_look_up(bench: Bench, wanted: dict[str, Make]) -> None:
    """Print which large tables are read from end to end for each workload by each server, as the plans say."""
    found, told, guilty = list[str](), 0, False
    with bench.plans.told():
        for name, make in wanted.items():
            for server in bench.servers:
                heard = bench.heard(server, make)
                told += heard.plans
                if heard.scans:
                    found.append(f"{name}, {server.name}: {', '.join(heard.tables)}")
                    guilty |= server.name not in LIMITS
    print(f"\nTables of {LARGE:,} rows and more that were read from end to end, in {told:,} plans:")
    print("\n".join(found) or "none")
    if guilty:
        sys.exit("Ours looks for what it should look up.")


@contextmanager
def running(name: str, command: list[str], port: int, path: str, **told: str) -> Iterator[Server]:
    """Let a server run until the block ends."""
    environment = {**os.environ, **told, "PORT": str(port)}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        # What our server logs is written, as in life, but nobody reads it.
        stderr=subprocess.DEVNULL,
        # The kernel shares processors out among sessions first: with whoever asks it would have half of its own.
        start_new_session=True,
    )
    try:
        _wait(port, path)
        yield Server(name, process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_SECONDS)


def _wait(port: int, path: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"nothing answers at {port}")


async def settled(url: str, town: Town) -> float:
    """Let everybody move in; say how long it took."""
    began = time.monotonic()
    line = await asyncpg.connect(url.replace("+asyncpg", ""))
    await town.settle(line)
    await line.close()
    return time.monotonic() - began


@contextmanager
def bench_of(options: argparse.Namespace, jobs: int) -> Iterator[tuple[Bench, str]]:
    """Start everything over a town of so many jobs."""
    town = Town(jobs)
    seed = secrets.token_bytes(32)
    root = Path(tempfile.mkdtemp(prefix="workup-benchmark-"))
    with ExitStack() as stack:
        stack.callback(local.remove, root)
        databases = stack.enter_context(local.start(root, durable=options.durable))
        migrate.to_head(databases.database_url)
        took = asyncio.run(settled(databases.database_url, town))
        print(f"{town.accounts:,} accounts, {jobs:,} jobs and what belongs to them, settled in {took:.0f} s\n")
        plans = Plans(databases.database_url, databases.postgres.log)
        introspection = root / "introspection.json"
        introspection.touch()
        told = {
            "DATABASE_URL": databases.database_url,
            "REDIS_URL": databases.redis_url,
            "WORKUP_SECRET": "a secret for the time of a benchmark",
            "WORKUP_SIGNING_KEYS": "bench:" + base64.urlsafe_b64encode(seed).decode().rstrip("="),
            "WORKUP_MEDIA_URL": (root / "media").as_uri(),
            "WORKUP_WORKERS": str(options.workers),
            limit.INTROSPECTION: str(introspection),
        }
        asker = Asker(town, KeyRing([SigningKey("bench", seed)]))
        serve = [sys.executable, "-m", "ops", "serve"]
        compiled = stack.enter_context(running("compiled", serve, free_port(), "/readyz", **told))
        introspection.write_bytes(compiled.post(asker.introspection(0))[1])
        wanted = options.servers.split(",")
        servers = [compiled] if "compiled" in wanted else []
        bare = [sys.executable, "-m", "benchmarks.limit"]
        for name, more in reversed(LIMITS.items()):
            if name in wanted:
                servers.insert(0, stack.enter_context(running(name, bare, free_port(), "/", **(told | more))))
        for name, more in OTHERS.items():
            if name in wanted:
                servers.append(stack.enter_context(running(name, serve, free_port(), "/readyz", **(told | more))))
        assert databases.postgres.process is not None
        bench = Bench(servers, databases.postgres.process.pid, asker, options.connections, plans, options.quiet)
        yield bench, databases.database_url
        if bench.disturbed:
            print(f"\n{bench.disturbed} turns were disturbed, and do not count.")


def report(title: str, found: dict[str, list[Measured]]) -> None:
    """Print the median of each server's turns."""
    rates = {name: statistics.median(one.said.rate for one in turns) for name, turns in found.items()}
    for name, turns in found.items():
        p50, p99, mine, theirs = (
            statistics.median(values)
            for values in zip(*((o.said.p50_ms, o.said.p99_ms, o.server_ms, o.postgres_ms) for o in turns), strict=True)
        )
        ratio = "" if name == "limit" or not rates.get("limit") else f"{rates[name] / rates['limit']:.2f}"
        print(
            f"| {title} | {name} | {rates[name]:,.0f} | {p50:.2f} | {p99:.2f} | {mine:.3f} | {theirs:.3f} | {ratio} |"
        )
        title = ""
    sys.stdout.flush()


HEAD = """| workload | server | requests/s | p50 ms | p99 ms | server CPU ms | Postgres CPU ms | of the limit |
|---|---|---|---|---|---|---|---|"""


def run(options: argparse.Namespace) -> None:
    """Measure everything that was asked for."""
    wanted = {name: make for name, make in WORKLOADS.items() if not options.only or name in options.only.split(",")}
    with bench_of(options, options.jobs) as (bench, url):
        for name, make in wanted.items():
            size = bench.must_be_equal(name, make, 20)
            print(f"{name}: {size:,} bytes, the same from all")
        if "Submit" in wanted:
            must_leave_the_same(bench, url)
        compare(bench, options, wanted)
        if options.growth:
            grow(bench, options, wanted)
        ours_must_look_up(bench, wanted)
    if options.growth:
        with bench_of(options, options.jobs * 10) as (bench, _):
            print(HEAD)
            for name, make in wanted.items():
                if name != "IntrospectionQuery":
                    report(f"{name}, ten times the rows", bench.turns(make, 20, options.seconds, options.rounds))
            ours_must_look_up(bench, wanted)


def compare(bench: Bench, options: argparse.Namespace, wanted: dict[str, Make]) -> None:
    """Print how the servers do beside each other."""
    turns = f"{options.rounds} rounds of {options.seconds} s"
    print(f"\n{cpus()} CPU(s), {options.workers} worker(s), {options.connections} connections, {turns}")
    print(f"On all of them at once, {ADDITIONS:,} additions take {loop_ms():.0f} ms.\n")
    print(HEAD)
    for name, make in wanted.items():
        report(name, bench.turns(make, 20, options.seconds, options.rounds))


def grow(bench: Bench, options: argparse.Namespace, wanted: dict[str, Make]) -> None:
    """Print how the cost grows with the page."""
    print("\n" + HEAD)
    for name in PAGED:
        for page in PAGES:
            if name in wanted:
                report(f"{name}, {page}", bench.turns(wanted[name], page, options.seconds, 1))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reads", description="Measures reads and a write.")
    parser.add_argument("--quick", action="store_true", help="a small town, a second for each: does it work at all?")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--only", default="", help="names of workloads, by commas")
    parser.add_argument("--servers", default="limit,compiled,ordinary", help="by commas; also doubled, limit-doubled")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--durable", action="store_true", help="with fsync")
    parser.add_argument("--quiet", type=float, default=math.inf, help="ms that a loop may take for a turn to count")
    options = parser.parse_args()
    if options.quick:
        options.jobs, options.rounds, options.seconds = 400, 0, 1
    run(options)


if __name__ == "__main__":
    main()
