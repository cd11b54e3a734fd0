"""How Postgres comes to what it is asked for: the plans of statements as they run, told by Postgres itself.

What it counts of its tables would tell less: a session says what it has read up to ten seconds later, when somebody
else has the turn, and a count has no name. So sessions load `auto_explain` when they connect, which costs nothing until
they are told to speak; then each writes to the log how it ran each statement, those of functions and triggers too.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.town import Line

LARGE = 5_000
"""A table of so many rows is not to be read from end to end, and nobody needs so many rows of any."""

HOW = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_parameter_max_length": "0",
    "auto_explain.log_format": "json",
}
SPEAK, SILENT = "0", "-1"
SETTLE_SECONDS, POLL_SECONDS = 30, 0.02

IS_QUIET = """
select not exists (
    select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
        and (state <> 'idle' or state_change > clock_timestamp() - interval '100 ms')
)
"""
"""Nobody asks for anything, or did a moment ago: whoever measured may have left before the last answers came."""

PLAN = re.compile(r" plan:\n((?:\t.*\n)+)")


@dataclass(frozen=True, slots=True)
class Scan:
    """A table that one step of a plan has read, and how much of it."""

    table: str
    rows: int
    is_whole: bool
    statement: str


@dataclass(frozen=True)
class Heard:
    """How many plans were told, and which large tables were read by them as nobody should: all of it, or too much."""

    plans: int
    scans: list[Scan]

    @property
    def tables(self) -> list[str]:
        """The tables, and how many rows were read of each at most."""
        most: dict[str, int] = {}
        for scan in self.scans:
            most[scan.table] = max(scan.rows, most.get(scan.table, 0))
        return [f"{table} ({rows:,} rows)" for table, rows in sorted(most.items())]


class Plans:
    """Listens to a Postgres of ours, to all who connect to it after that."""

    def __init__(self, url: str, log: Path) -> None:
        self.url, self.log = url.replace("+asyncpg", ""), log
        asyncio.run(self._prepare())

    @contextmanager
    def told(self) -> Iterator[None]:
        """Let every session say how it runs its statements, until the block ends."""
        asyncio.run(self._let(SPEAK))
        try:
            yield
        finally:
            asyncio.run(self._let(SILENT))

    def of(self, happen: Callable[[], object]) -> Heard:
        """Let something happen when all else has ended, and hear how."""
        asyncio.run(self._quiet())
        place = self.log.stat().st_size
        happen()
        with self.log.open("rb") as log:
            log.seek(place)
            plans = [json.loads(plan) for plan in PLAN.findall(log.read().decode())]
        scans = {scan for plan in plans for scan in _scans(plan["Plan"], plan["Query Text"])}
        wide = asyncio.run(self._large({scan.table for scan in scans if scan.is_whole}))
        return Heard(len(plans), [one for one in scans if one.rows >= LARGE or (one.is_whole and one.table in wide)])

    async def _prepare(self) -> None:
        line = await asyncpg.connect(self.url)
        await line.execute("load 'auto_explain'")
        for name, value in HOW.items():
            await line.execute(f"alter system set {name} = '{value}'")
        await line.execute("select pg_reload_conf()")
        await line.close()
        # Whoever connects is given what the first of the processes has read.
        await _until(self._is_loaded)

    async def _is_loaded(self) -> bool:
        line = await asyncpg.connect(self.url)
        found: str = await line.fetchval("show session_preload_libraries")
        await line.close()
        return found == HOW["session_preload_libraries"]

    async def _let(self, how: str) -> None:
        line = await asyncpg.connect(self.url)
        await line.execute(f"alter system set auto_explain.log_min_duration = {how}")
        await line.execute("select pg_reload_conf()")

        async def is_heard() -> bool:
            return bool(await line.fetchval("show auto_explain.log_min_duration") == how)

        # All sessions are told in one go, this one among them.
        await _until(is_heard)
        await line.close()

    async def _quiet(self) -> None:
        line = await asyncpg.connect(self.url)

        async def is_quiet() -> bool:
            return bool(await line.fetchval(IS_QUIET))

        await _until(is_quiet)
        await line.close()

    async def _large(self, tables: Iterable[str]) -> set[str]:
        line = await asyncpg.connect(self.url)
        found = {table for table in tables if await _is_large(line, table)}
        await line.close()
        return found


async def _is_large(line: Line, table: str) -> bool:
    return bool(await line.fetchval(f'select count(*) >= {LARGE} from "{table}"'))


async def _until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError("Postgres does not do as it was told")
        await asyncio.sleep(POLL_SECONDS)


def _scans(step: dict[str, Any], statement: str) -> Iterator[Scan]:
    """What a step has read of a table, what its conditions did away with included, and what the steps below it have."""
    kind = step["Node Type"]
    if kind.endswith("Scan") and "Relation Name" in step:
        read = step["Actual Rows"] + sum(rows for name, rows in step.items() if name.startswith("Rows Removed by"))
        yield Scan(step["Relation Name"], round(read * step["Actual Loops"]), kind == "Seq Scan", statement)
    for below in step.get("Plans", ()):
        yield from _scans(below, statement)
