"""The benchmarks still measure what they say: all servers answer alike, and the figures come out; nothing is lost."""

import asyncio
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from benchmarks import reads
from benchmarks.load import Said, ask
from benchmarks.plans import LARGE, Heard, Plans
from benchmarks.reads import Asker, Bench, Measured, Server
from ops import local

ROOT = Path(__file__).parents[1]
WORKLOADS = ("Job", "Newest", "Offers", "Contracts", "IntrospectionQuery", "Submit")


@pytest.mark.timeout(600)
def test_reads_are_measured_beside_the_limit() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reads", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("|")]
    measured = [row[1].strip() for row in rows if row[2].strip() == "limit"]
    assert measured == list(WORKLOADS)
    assert [row[2].strip() for row in rows if row[2].strip() in {"compiled", "ordinary"}] == [
        "compiled",
        "ordinary",
    ] * 6
    *_, plans, tables = done.stdout.splitlines()
    assert plans.startswith(f"Tables of {LARGE:,} rows and more that were read from end to end, in ")
    assert tables == "none"


class Alone(Bench):
    """A bench without anybody to ask: it measures how often it has measured."""

    times = 0

    def measure(self, *_: object) -> Measured:
        self.times += 1
        return Measured(Said(self.times, 1.0, 0.0, 0.0, 0), 0.0, 0.0)


@pytest.mark.parametrize(
    ("quiet", "loops", "measured", "disturbed"),
    [
        (50.0, [90.0, 40.0, 90.0, 40.0, 50.0], 2, 1),
        (50.0, [50.0, 50.0], 1, 0),
        (math.inf, [], 1, 0),
    ],
    ids=["busy before, and then meanwhile", "quiet", "whatever others do"],
)
def test_what_others_disturb_is_measured_again(
    monkeypatch: pytest.MonkeyPatch, quiet: float, loops: list[float], measured: int, disturbed: int
) -> None:
    nobody: Any = None
    bench = Alone([Server("limit", nobody, 0)], 0, nobody, 16, nobody, quiet)
    took = iter(loops)
    monkeypatch.setattr(reads, "loop_ms", lambda: next(took))
    monkeypatch.setattr(reads, "UNREST_SECONDS", 0)

    found = bench.turns(Asker.job, 20, 1, 1)

    # One turn more comes first, which is not counted in any case.
    assert [one.said.requests for one in found["limit"]] == [1 + measured]
    assert bench.disturbed == disturbed
    assert list(took) == []


def test_a_loop_takes_some_time_on_each_processor() -> None:
    assert 0 < reads.loop_ms() < math.inf
    assert 1 <= reads.cpus() <= (os.cpu_count() or 1)


@pytest.fixture(scope="module")
def plans() -> Iterator[Plans]:
    root = Path(tempfile.mkdtemp(prefix="workup-tests-"))
    with local.start(root, durable=False, wanted=["postgres"]) as servers:
        yield Plans(servers.database_url, servers.postgres.log)
    local.remove(root)


SHELVES = f"""
create table shelves (id int primary key, height int not null);
insert into shelves select n, n % 7 from generate_series(1, {LARGE}) n;
create table books (id int primary key, shelf_id int references shelves on delete cascade);
insert into books select n, n from generate_series(1, {LARGE}) n;
create table stools (id int);
insert into stools select generate_series(1, {LARGE} - 1);
vacuum analyze
"""


async def told(plans: Plans, *statements: str) -> Heard:
    """What is heard of statements that somebody runs who has been there before."""
    line = await asyncpg.connect(plans.url)
    await line.execute("drop table if exists books, shelves, stools")
    for step in SHELVES.split(";"):
        await line.execute(step)
    loop = asyncio.get_running_loop()

    async def run() -> None:
        for statement in statements:
            await line.fetch(statement)

    def listen() -> Heard:
        with plans.told():
            return plans.of(lambda: asyncio.run_coroutine_threadsafe(run(), loop).result())

    heard = await asyncio.to_thread(listen)
    await line.close()
    return heard


async def test_a_large_table_that_is_read_from_end_to_end_is_told(plans: Plans) -> None:
    heard = await told(plans, "select 1", "select id from shelves where height = 3", "select * from stools")

    assert heard.plans == 3
    assert heard.tables == [f"shelves ({LARGE:,} rows)"]
    assert heard.scans[0].statement == "select id from shelves where height = 3"


async def test_what_stops_early_in_a_large_table_that_it_has_not_looked_up_is_told_too(plans: Plans) -> None:
    heard = await told(plans, "select id from shelves where height = 3 limit 1")

    assert heard.tables == ["shelves (3 rows)"]


async def test_looking_for_a_row_through_the_whole_of_an_index_is_told(plans: Plans) -> None:
    heard = await told(plans, "select id from shelves where height = 9 order by id limit 1")

    assert heard.tables == [f"shelves ({LARGE:,} rows)"]


async def test_what_the_database_does_for_a_statement_is_told_too(plans: Plans) -> None:
    heard = await told(plans, "delete from shelves where id = 4")

    assert heard.tables == [f"books ({LARGE:,} rows)"]


async def test_what_is_looked_up_is_not_told(plans: Plans) -> None:
    heard = await told(plans, "select * from shelves where id = 4", "select * from shelves order by id limit 20")

    assert heard.plans == 2
    assert heard.scans == []


Answer = Callable[[bytes], bytes]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[int]:
    """Somebody who answers each request, or hangs up when there is nothing to say, as long as the block lasts."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                told = answer(head + await reader.readexactly(length))
                if not told:
                    break
                # In two parts, as large answers come.
                writer.write(told[:20])
                await writer.drain()
                writer.write(told[20:])
        except (asyncio.IncompleteReadError, ConnectionError):
            # Whoever asked has had enough.
            return
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Answer) -> Said:
    """What the client of our own has to tell, where there is no wrk, after asking two things in turn for a second."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(ROOT)
    requests = tmp_path / "requests"
    requests.write_text('\t{"query": 1}\na.b.c\t{"query": 22}\n')
    async with answering(answer) as port:
        return await asyncio.to_thread(ask, port, requests, seconds=1, connections=3)


async def test_where_there_is_no_wrk_our_own_client_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heard: Counter[tuple[bytes, bool]] = Counter()

    def answer(request: bytes) -> bytes:
        assert request.startswith(b"POST /graphql HTTP/1.1\r\n")
        heard[request.partition(b"\r\n\r\n")[2], b"authorization: Bearer a.b.c\r\n" in request] += 1
        return b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{} is it"

    said = await asked(monkeypatch, tmp_path, answer)

    assert heard.keys() == {(b'{"query": 1}', False), (b'{"query": 22}', True)}
    assert abs(heard[b'{"query": 1}', False] - heard[b'{"query": 22}', True]) <= 1
    assert said.requests == heard.total() > 3
    assert said.errors == 0
    assert 0 < said.p50_ms <= said.p99_ms
    assert said.rate == said.requests / said.seconds


async def test_our_own_client_counts_what_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
    taken = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    said = await asked(monkeypatch, tmp_path, lambda request: taken if b"Bearer" in request else refused)

    assert abs(said.requests - 2 * said.errors) <= 1


async def test_our_own_client_counts_whoever_hangs_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = await asked(monkeypatch, tmp_path, lambda _: b"")

    assert (said.requests, said.errors) == (0, 3)


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_done_twice_however_often_a_server_or_postgres_is_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.crash", "--rounds", "10"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "0 lost, 0 doubled, 0 wrong."
    # Somebody was cut off in the middle, or nothing was tried.
    sent_again = int(done.stdout.splitlines()[-2].split()[0])
    assert sent_again > 0


@pytest.mark.timeout(300)
def test_what_is_wanted_holds_on_every_server_and_nobodys_request_fails_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.control", "--changes", "2", "--servers", "3", "--readers", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("|")][2:]
    assert [int(row[2]) for row in rows] == [2] * 8
    assert all(int(row[6]) > 0 for row in rows)
    assert [int(row[8]) for row in rows] == [0] * 8
    assert done.stdout.splitlines()[-1] == "0 requests failed without a reason."


def test_the_gate_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gate", "--times", "1000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("|") == 3 * 7


def test_the_audit_is_measured_with_all_that_refers_to_the_ledger() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.books", "2000", "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "The ledger is right: " in done.stdout.splitlines()[-1]
