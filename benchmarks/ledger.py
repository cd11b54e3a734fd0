"""How many journals a second the ledger posts, and what that costs beside plain INSERTs of the same rows.

    .venv/bin/python -m benchmarks.ledger [seconds for each measurement] [rounds]

All ways take turns on the same servers, which are started here, so that a busy machine is unfair to all alike:

plain      the same rows into tables with the same indexes, but no triggers, locks, balances or checks
apart      `ledger_post` between two accounts that nobody else uses
hot        `ledger_post` from accounts of their own to one hot account: appended now, folded later
hot, row   the same to one account whose row everybody has to wait for
hot, 16    the same, the row split into 16 of which each posting takes one by chance
once       as `apart`, and a key of the caller's is claimed in the same transaction, so that it is done once
once, hot  as `hot`, with a key
loaders    `loaders.ledger.post` to the hot account, with all that Python adds
+ key      the same with a key, as every mutation that moves money does: two statements in a transaction
"""

import asyncio
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg

import loaders.idempotency
import loaders.ledger
from models.base import uuid7
from models.idempotency import Once
from models.ledger import AccountKind, Journal, LedgerAccount
from ops import local, migrate
from ops.database import SERVER_SETTINGS, Database

CONNECTIONS = 8
SHARDS = 16
AUDITED_ENTRIES = 100_000
FUNDS = AccountKind("funds", floor=None)
RAIL = AccountKind("rail", floor=None, hot=True)
ABOUT: Any = SimpleNamespace(noun="thing", id=uuid7())
NOW = datetime.now(UTC)

PLAIN = """
CREATE TABLE plain_journals (LIKE journals INCLUDING ALL);
CREATE TABLE plain_entries (LIKE entries INCLUDING ALL);
"""
INSERT = """
WITH journal AS (INSERT INTO plain_journals VALUES ($1, 'move', $2, 'thing', $1, null, 2))
INSERT INTO plain_entries (journal_id, position, legs, account_id, amount, balance_after)
VALUES ($1, 1, 2, $3, -5, 0), ($1, 2, 2, $4, 5, 0)
"""
POST = """
SELECT ledger_post(ARRAY[$1::uuid], '{move}', ARRAY[$2::timestamptz], '{thing}', ARRAY[$1::uuid], '{null}', '{2}', '{}',
    ARRAY[$1::uuid, $1::uuid], '{1,2}', '{2,2}', ARRAY[$3::uuid, $4::uuid], '{-5,5}')
"""

ONCE = """
WITH claimed AS (
    INSERT INTO idempotency_keys (account_id, key, fingerprint, subject_id, used_at)
    VALUES ($5, $1::uuid::text, md5($1::uuid::text), $1, $2) ON CONFLICT DO NOTHING RETURNING 1
)
SELECT ledger_post(ARRAY[$1::uuid], '{move}', ARRAY[$2::timestamptz], '{thing}', ARRAY[$1::uuid], '{null}', '{2}', '{}',
    ARRAY[$1::uuid, $1::uuid], '{1,2}', '{2,2}', ARRAY[$3::uuid, $4::uuid], '{-5,5}')
FROM claimed
"""
CALLERS = """
INSERT INTO accounts (id, email, password_hash, full_name, roles, created_at)
SELECT id, id || '@example.org', 'none', 'Somebody', '{CLIENT}', now() FROM unnest($1::uuid[]) AS id
"""

Post = Callable[[int], Awaitable[object]]


class Bench:
    """One cluster, its connections and its accounts."""

    def __init__(self, database: Database, lines: "list[asyncpg.Connection[asyncpg.Record]]") -> None:
        self.database, self.lines = database, lines
        self.own: tuple[LedgerAccount, ...] = ()
        self.shards: tuple[LedgerAccount, ...] = ()
        self.hot: LedgerAccount
        self.callers: list[UUID] = []

    async def open(self) -> None:
        """Open all accounts."""
        keys = [FUNDS.of(uuid7(), "USD") for _ in range(2 * CONNECTIONS + SHARDS)]
        async with self.database.writing() as work:
            self.hot, *rest = await loaders.ledger.accounts(work, RAIL.of(None, "USD"), *keys, at=NOW)
            await work.commit()
        self.own, self.shards = tuple(rest[: 2 * CONNECTIONS]), tuple(rest[2 * CONNECTIONS :])
        self.callers = [uuid7() for _ in range(CONNECTIONS)]
        await self.lines[0].execute(CALLERS, self.callers)

    def ways(self) -> dict[str, Post]:
        """Each way to post one journal over connection number `at`."""

        def to(statement: str, target: Callable[[int], UUID]) -> Post:
            return lambda at: self.lines[at].execute(statement, uuid7(), NOW, self.own[at].id, target(at))

        def once(target: Callable[[int], UUID]) -> Post:
            return lambda at: self.lines[at].execute(ONCE, uuid7(), NOW, self.own[at].id, target(at), self.callers[at])

        return {
            "plain": to(INSERT, lambda at: self.own[CONNECTIONS + at].id),
            "apart": to(POST, lambda at: self.own[CONNECTIONS + at].id),
            "hot": to(POST, lambda _: self.hot.id),
            "hot, row": to(POST, lambda _: self.shards[0].id),
            "hot, 16": to(POST, lambda _: random.choice(self.shards).id),
            "once": once(lambda at: self.own[CONNECTIONS + at].id),
            "once, hot": once(lambda _: self.hot.id),
            "loaders": self.through_loaders,
            "+ key": self.through_loaders_once,
        }

    async def through_loaders(self, at: int) -> None:
        """Post as a resolver would."""
        async with self.database.writing() as work:
            await loaders.ledger.post(work, Journal.of("move", ABOUT, [(self.own[at], -5), (self.hot, 5)], at=NOW))
            await work.commit()

    async def through_loaders_once(self, at: int) -> None:
        """Claim a key and post, as a mutation does."""
        once = Once(self.callers[at], str(uuid7()), "none")
        async with self.database.writing() as work:
            assert await loaders.idempotency.claim(work, once, at=NOW) is None
            await loaders.ledger.post(work, Journal.of("move", ABOUT, [(self.own[at], -5), (self.hot, 5)], at=NOW))
            await work.commit()

    async def measure(self, post: Post, seconds: float) -> tuple[float, float, float]:
        """Journals a second, and microseconds of CPU each took: here, and on the whole machine."""
        end, began = time.monotonic() + seconds, time.monotonic()
        client, machine = resource.getrusage(resource.RUSAGE_SELF), busy_seconds()

        async def run(at: int) -> int:
            done = 0
            while time.monotonic() < end:
                await post(at)
                done += 1
            return done

        done = sum(await asyncio.gather(*map(run, range(CONNECTIONS))))
        used = resource.getrusage(resource.RUSAGE_SELF)
        mine = used.ru_utime + used.ru_stime - client.ru_utime - client.ru_stime
        return done / (time.monotonic() - began), mine / done * 1e6, (busy_seconds() - machine) / done * 1e6


def busy_seconds() -> float:
    """CPU seconds that the machine has spent on anything, whoever wanted it."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


async def run(url: str, seconds: float, rounds: int) -> None:
    """Let all ways take turns, and print the median of each."""
    bare = url.replace("+asyncpg", "")
    owner = await asyncpg.connect(bare)
    await owner.execute(PLAIN)
    database = Database.at(url, connections=CONNECTIONS, role="workup_app")
    lines = [await asyncpg.connect(bare, server_settings=SERVER_SETTINGS) for _ in range(CONNECTIONS)]
    bench = Bench(database, lines)
    await bench.open()
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in bench.ways()}
    for turn in range(rounds + 1):
        for name, post in bench.ways().items():
            measured = await bench.measure(post, seconds if turn else seconds / 4)
            # The first turn only warms up.
            found[name] += [measured] if turn else []
        async with database.reading() as session:
            while await loaders.ledger.fold(session):
                continue
    plain = statistics.median(rate for rate, _, _ in found["plain"])
    print(f"{'':10}{'journals/s':>12}{'of plain':>10}{'CPU here':>12}{'CPU all':>12}   (µs a journal)")
    for name, turns in found.items():
        rate, here, everywhere = (statistics.median(values) for values in zip(*turns, strict=True))
        print(f"{name:10}{rate:12,.0f}{rate / plain:10.2f}{here:12.0f}{everywhere:12.0f}")
    await audit(database)
    for line in [owner, *lines]:
        await line.close()
    await database.engine.dispose()


async def audit(database: Database) -> None:
    """Audit all that was posted, and say how long 100 000 entries take."""
    async with database.reading() as session:
        began = time.perf_counter()
        report = await loaders.ledger.audit(session)
        seconds = time.perf_counter() - began
    assert report.wrong is None, report.wrong
    print(
        f"audit: {report.entries:,} entries in {seconds:.2f} s,"
        f" {seconds * AUDITED_ENTRIES / report.entries:.2f} s for {AUDITED_ENTRIES:,}; nothing wrong\n"
    )


def main() -> None:
    """Measure with and without fsync."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.5
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(f"{os.cpu_count()} CPUs, {CONNECTIONS} connections, {rounds} rounds of {seconds} s, medians\n")
    for durable in (True, False):
        root = Path(tempfile.mkdtemp(prefix="workup-benchmark-"))
        with local.start(root, durable=durable) as servers:
            migrate.to_head(servers.database_url)
            print("durable (fsync)" if durable else "not durable (no fsync, asynchronous commit)")
            asyncio.run(run(servers.database_url, seconds, rounds))
        local.remove(root)


if __name__ == "__main__":
    main()
