"""How Postgres is reached: one pool, used in two ways."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from loaders.work import UnitOfWork

CHECKOUT_SECONDS = 5.0
"""How long an operation waits for a connection before it is told to come back later."""

SILENCE_SECONDS = 20.0
"""How long a database may say nothing; it gives up on a statement itself before that, if it is still there."""

SERVER_SETTINGS = {
    "application_name": "workup",
    "timezone": "UTC",
    "lock_timeout": "5s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "30s",
}


@dataclass(frozen=True, slots=True)
class Database:
    """A pool of connections. `reading` outside any transaction, each statement on its own; `writing` in one."""

    engine: AsyncEngine
    reading: async_sessionmaker[AsyncSession]
    writing: async_sessionmaker[UnitOfWork]

    @classmethod
    def at(cls, url: str, *, connections: int, role: str = "none") -> "Database":
        """Open a pool of up to so many connections, when they are first needed, which work as this role.

        The role `none` is whoever the URL names.
        """
        engine = create_async_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=CHECKOUT_SECONDS,
            pool_use_lifo=True,
            # What people wrote, and the hashes of their passwords, have no place in a log.
            hide_parameters=True,
            connect_args={
                "server_settings": SERVER_SETTINGS | {"role": role},
                "timeout": CHECKOUT_SECONDS,
                "command_timeout": SILENCE_SECONDS,
            },
        )
        bare = engine.execution_options(isolation_level="AUTOCOMMIT")
        return cls(
            engine,
            async_sessionmaker(bare, expire_on_commit=False),
            async_sessionmaker(engine, class_=UnitOfWork, expire_on_commit=False),
        )
