"""How Postgres is reached: by a pool of sessions, used in two ways, and by bare lines for statements with one value."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from loaders.work import UnitOfWork
from ops.lines import Lines
from ops.pens import LOCK_TIMEOUT, Pens
from ops.pipe import SILENCE_SECONDS, Connection
from ops.pool import LivePool
from ops.turns import CHECKOUT_SECONDS

SERVER_SETTINGS = {
    "application_name": "workup",
    "timezone": "UTC",
    "lock_timeout": "5s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "30s",
}

LINE_SETTINGS = {
    # A statement is planned once for all its values: what makes another plan of it is written into its text.
    "plan_cache_mode": "force_generic_plan",
    # It would take longer to translate a statement of many parts than to run it.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # It is planned for tables as they were when it was first asked, and they grow.
    "enable_seqscan": "off",
}


@dataclass(frozen=True, slots=True)
class Database:
    """A pool of connections. `reading` outside any transaction, each statement on its own; `writing` in one.

    `lines` are connections besides, for reading alone, and `pens` for what is written by a single statement.
    """

    engine: AsyncEngine
    reading: async_sessionmaker[AsyncSession]
    writing: async_sessionmaker[UnitOfWork]
    lines: Lines
    pens: Pens

    @classmethod
    def at(cls, url: str, *, connections: int, role: str = "none") -> "Database":
        """Open a pool of up to so many connections, when they are first needed, which work as this role.

        Half of them are lines, an eighth are pens, the others sessions; there is a line and a session at least. The
        role `none` is whoever the URL names.
        """
        options: dict[str, Any] = {"timeout": CHECKOUT_SECONDS, "command_timeout": SILENCE_SECONDS}
        settings = SERVER_SETTINGS | {"role": role}
        engine = create_async_engine(
            url,
            poolclass=LivePool,
            pool_size=_sessions(connections),
            pool_timeout=CHECKOUT_SECONDS,
            # What people wrote, and the hashes of their passwords, have no place in a log.
            hide_parameters=True,
            connect_args=options | {"server_settings": settings},
        )
        _, address = engine.dialect.create_connect_args(engine.url)

        async def connect(**more: str) -> Connection:
            # What is to be kept prepared is kept by the line, which knows what it is worth.
            bare = options | {"server_settings": settings | LINE_SETTINGS | more, "statement_cache_size": 0}
            return await asyncpg.connect(**address, **bare)

        bare = engine.execution_options(isolation_level="AUTOCOMMIT")
        return cls(
            engine,
            async_sessionmaker(bare, expire_on_commit=False),
            async_sessionmaker(engine, class_=UnitOfWork, expire_on_commit=False),
            Lines(partial(connect, default_transaction_read_only="on"), _lines(connections)),
            Pens(partial(connect, lock_timeout=LOCK_TIMEOUT), _pens(connections)),
        )

    @property
    def pool(self) -> LivePool:
        """The sessions' connections of now; to be disposed of is to get others."""
        pool = self.engine.pool
        assert isinstance(pool, LivePool)
        return pool

    @property
    def size(self) -> int:
        """How many connections there may be."""
        return self.pool.size() + self.lines.most + self.pens.most

    async def resize(self, connections: int) -> None:
        """Have so many connections from here on; no statement is cut short for it."""
        await self.pool.resize(_sessions(connections))
        self.lines.resize(_lines(connections))
        self.pens.resize(_pens(connections))

    async def rest(self) -> None:
        """Close the connections that nobody uses; they are made again when somebody needs one."""
        self.lines.rest()
        self.pens.rest()
        await self.pool.rest()

    async def close(self) -> None:
        """Hang up."""
        await self.lines.close()
        await self.pens.close()
        await self.engine.dispose()


def _sessions(connections: int) -> int:
    return max(1, connections - _lines(connections) - _pens(connections))


def _lines(connections: int) -> int:
    return max(1, connections // 2)


def _pens(connections: int) -> int:
    return connections // 8
