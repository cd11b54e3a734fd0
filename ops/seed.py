"""How the demo comes into an empty database: made in memory by the rules of the models, and copied in at once."""

import asyncio
import enum
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
from argon2 import PasswordHasher

from models.accounts import Account, ClientProfile, FreelancerProfile, ProfileItem
from models.activity import Event, StreamHead
from models.base import Base
from models.connects import Allowance, Lot, Movement
from models.contracts import Change, Contract, Milestone, Termination
from models.jobs import Invitation, Job, JobSkill
from models.payments import Payment, PaymentRequest, TariffKind
from models.proposals import Proposal, ProposalAttachment, ProposalMilestone
from models.transfers import Transfer
from ops.demo import PASSWORD, cast, plot
from ops.demo.books import Books
from ops.demo.world import SEED, World

CONNECT_SECONDS = 30.0
TABLES: tuple[type[Base], ...] = (
    Account,
    ClientProfile,
    FreelancerProfile,
    ProfileItem,
    Job,
    JobSkill,
    Proposal,
    ProposalMilestone,
    ProposalAttachment,
    Contract,
    Milestone,
    Change,
    Termination,
    Allowance,
    Lot,
    Transfer,
    Movement,
    Invitation,
    Payment,
    PaymentRequest,
    StreamHead,
    Event,
)
"""What the demo fills, each after those it points to."""


async def seed(database_url: str, *, now: datetime | None = None) -> bool:
    """Put the demo into a database that nobody has registered in; `False`, and nothing done, if somebody has.

    The same `now` makes the same rows. Without one it is the beginning of this hour, so nothing lies in the future.
    """
    now = now or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    connection = await asyncpg.connect(database_url.replace("+asyncpg", "", 1), timeout=CONNECT_SECONDS)
    try:
        async with connection.transaction():
            # Neither another seed nor anybody who registers can come between the question and the answer.
            await connection.execute("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE")
            if await connection.fetchval("SELECT EXISTS (SELECT FROM accounts)"):
                return False
            world = await _world(connection, now)
            await _fill(world)
            await _post(connection, world.books, now)
            for table in TABLES:
                await _copy(connection, table, world.rows[table])
    finally:
        await connection.close()
    return True


async def _fill(world: World) -> None:
    """Make everything, while another thread hashes the password: that lets go of the interpreter."""
    hashing = asyncio.get_running_loop().run_in_executor(None, password_hash)
    with _nothing_collected():
        people = cast.gather(world)
        plot.play(world, people)
    hashed = await hashing
    for account in people.accounts:
        account.password_hash = hashed


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Do not look for garbage where everything made is kept: it takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def password_hash() -> str:
    """Hash the one password of everybody here, with the salt always the same: it is no secret."""
    return PasswordHasher().hash(PASSWORD, salt=Random(SEED).randbytes(16))  # noqa: S311 - it is to be the same everywhere


async def _world(connection: "asyncpg.Connection[asyncpg.Record]", now: datetime) -> World:
    """An empty world in which the words and fees are those of the database."""
    tariffs = await connection.fetch("SELECT kind, bps, effective_at FROM tariffs")
    return World(
        now,
        categories=_by_name(await connection.fetch("SELECT name, id FROM categories")),
        skills=_by_name(await connection.fetch("SELECT name, id FROM skills")),
        tariffs=[(TariffKind(kind), bps, effective_at) for kind, bps, effective_at in tariffs],
    )


def _by_name(rows: Sequence[Any]) -> dict[str, UUID]:
    return {row["name"]: row["id"] for row in rows}


async def _copy(connection: "asyncpg.Connection[asyncpg.Record]", table: type[Base], rows: Sequence[Base]) -> None:
    """Copy rows as they stand; a mapped object keeps its values under the names of its columns."""
    columns = [column.name for column in table.__table__.columns]
    records = (tuple(_plain(vars(row).get(column)) for column in columns) for row in rows)
    await connection.copy_records_to_table(table.__tablename__, records=records, columns=columns)


async def _post(connection: "asyncpg.Connection[asyncpg.Record]", books: Books, now: datetime) -> None:
    """Let the ledger write what moved, as it does for everybody."""
    for function, told in (("ledger_open", books.opening(now)), ("ledger_post", books.posting())):
        places = ", ".join(f"${place}" for place in range(1, len(told) + 1))
        await connection.execute(f"SELECT {function}({places})", *told)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value
