"""How a database is brought to what the code expects of it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from ops.settings import BadSettings

ROOT = Path(__file__).parents[1]
CONNECT_SECONDS = 30.0


class Unusable(BadSettings):
    """The database cannot be used as it is; the message says why, in a line."""


class DatabaseIsNewer(Unusable):
    """The database was migrated by newer code than this."""


@contextmanager
def in_a_line() -> Iterator[None]:
    """Say what an operator can do something about as `Unusable`."""
    try:
        yield
    except TimeoutError:
        raise Unusable("the database does not answer") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unusable(f"the database cannot be used: {' '.join(str(error).split())}") from error


def must_be_reachable(database_url: str) -> None:
    """Find out whether there is a database before anything is begun that needs one."""
    with in_a_line():
        asyncio.run(current(database_url))


def newest() -> str | None:
    """Name the revision this code was written for."""
    numbers = (path.name.partition("_")[0] for path in (ROOT / "migrations" / "versions").glob("[0-9]*_*.py"))
    return max(numbers, default=None)


async def current(database_url: str) -> str | None:
    """Name the revision the database is at; nothing, if it was never migrated."""
    connection = await asyncpg.connect(database_url.replace("+asyncpg", "", 1), timeout=CONNECT_SECONDS)
    try:
        found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()
    return found


def to_head(database_url: str) -> bool:
    """Migrate to the newest revision and say whether there was anything to do.

    Whether the caller's thread has a running event loop does not matter; it is held up all the same.
    """
    with ThreadPoolExecutor(max_workers=1) as aside:
        at = aside.submit(asyncio.run, current(database_url)).result()
    goal = newest()
    if at == goal:
        return False
    if at is not None and (goal is None or at > goal):
        raise DatabaseIsNewer(f"the database is at revision {at}, and this code knows only {goal or 'none'}")
    _upgrade(database_url)
    return True


def _upgrade(database_url: str) -> None:
    # Late, because most starts have nothing to migrate and alembic takes its time to load.
    from alembic import command
    from alembic.config import Config

    config = Config(ROOT / "alembic.ini", attributes={"url": database_url})
    command.upgrade(config, "head")
