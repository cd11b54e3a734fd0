"""Where migrations meet a database: one process at a time, and never for long in anybody's way."""

import asyncio
import importlib
import os
import pkgutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from alembic import context
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import models
from models.base import Base

# Any number will do that no other advisory lock of ours has: "WORKUP" on a telephone's keys.
LOCK = 967587
# For those that start while another migrates: they wait for it to finish, then find nothing left to do.
WAIT_TIMEOUT = "10min"
# What a migration gets that sets no timeouts of its own, as the template does.
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "60s"


def url() -> URL:
    """Where the database is: as the caller says, or else the environment."""
    given = context.config.attributes.get("url") or os.environ["DATABASE_URL"]
    return make_url(given).set(drivername="postgresql+asyncpg")


def number(_: MigrationContext, __: Any, scripts: Iterable[MigrationScript]) -> None:
    """Give a new revision the next number, so that `ls` is the history."""
    newest = context.script.get_current_head()
    for script in scripts:
        script.rev_id = f"{int(newest or 0) + 1:04}"


def migrate(connection: Connection) -> None:
    """Run what was asked for; each migration is a transaction, so a failure costs only the one that failed."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        compare_server_default=True,
        process_revision_directives=number,
    )
    with context.begin_transaction():
        context.run_migrations()


async def online() -> None:
    """Migrate over a connection of our own, whose end gives the lock back however it comes."""
    # Statements prepared before a migration may not fit the tables after it.
    engine = create_async_engine(url(), poolclass=NullPool, connect_args={"prepared_statement_cache_size": 0})
    async with engine.connect() as connection:
        await connection.execute(text(f"SET lock_timeout = '{WAIT_TIMEOUT}'"))
        await connection.execute(text(f"SELECT pg_advisory_lock({LOCK})"))
        await connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        await connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
        # Or alembic would take ours for the transaction of the whole.
        await connection.commit()
        await connection.run_sync(migrate)
    await engine.dispose()


def offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(dialect_name="postgresql", literal_binds=True, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


for module in pkgutil.iter_modules(models.__path__):
    importlib.import_module(f"models.{module.name}")

if context.is_offline_mode():
    offline()
else:
    # In a thread of its own, because the caller's may already have a running event loop.
    with ThreadPoolExecutor(max_workers=1) as aside:
        aside.submit(asyncio.run, online()).result()
