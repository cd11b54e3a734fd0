"""The transaction of a mutation, and what a broken one is called."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from sqlalchemy import ARRAY, BigInteger, Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncSession

from models.activity import Event, StreamHead
from models.errors import BY_CONSTRAINT, Busy

CONTENTION = {"55P03", "40P01", "40001", "57014"}
"""SQLSTATEs of a lock not got in time, a deadlock, a serialization failure and a statement that took too long."""

AWAY = ("08", "53300", "57P01", "57P02", "57P03")
"""How SQLSTATEs begin that tell of a lost connection, of none left, and of a server that stops, crashed or starts."""
CUT = ("08", "57P01", "57P02")
"""How SQLSTATEs begin that tell of a connection lost on the way, by a server that stops or has crashed."""

EVENTS_AT_ONCE = 5_000
"""Events written by one statement."""

CALL = text(
    "INSERT INTO queue.pgqueuer (priority, entrypoint, status) SELECT 0, chore, 'queued' FROM unnest(:chores) AS chore"
).bindparams(bindparam("chores", type_=ARRAY(Text)))

EVENT_COLUMNS = [column.key for column in Event.__table__.columns]


class UnitOfWork(AsyncSession):
    """A transaction, and the news it will leave behind if it commits."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.events: list[Event] = []
        self._called: dict[str, None] = {}

    def call(self, *chores: str) -> None:
        """Have the worker do these chores at once, if the block commits; they are `noun.verb` in `ops/worker.py`."""
        self._called |= dict.fromkeys(chores)

    async def write_calls(self) -> None:
        """Put the calls into the worker's queue, in the same transaction."""
        if self._called:
            await self.execute(CALL, {"chores": list(self._called)})

    def leave(self, *events: Event) -> None:
        """Tell what happened; it is written when the block ends, in the same transaction."""
        self.events.extend(events)

    async def number_events(self) -> None:
        """Give each event its number in its stream.

        The heads are locked in the order of their names, so that two transactions never wait for each other, and as
        the last thing before the commit, so that numbers become visible in the order in which they were given out.
        """
        if not self.events:
            return
        counts = Counter(event.stream for event in self.events)
        names = sorted(counts)
        # Two parameters, however many streams: a statement has no more than 32 767. Postgres takes them in their order.
        told = (
            bindparam("names", names, ARRAY(Text)),
            bindparam("counts", [counts[name] for name in names], ARRAY(BigInteger)),
        )
        grown = insert(StreamHead).from_select(["stream", "sequence"], select(*map(func.unnest, told)))
        grown = grown.on_conflict_do_update(
            index_elements=[StreamHead.stream], set_={"sequence": StreamHead.sequence + grown.excluded.sequence}
        )
        numbered = await self.execute(grown.returning(StreamHead.stream, StreamHead.sequence))
        last = {row.stream: row.sequence for row in numbered}
        for event in self.events:
            counts[event.stream] -= 1
            event.sequence = last[event.stream] - counts[event.stream]
        rows = [{name: getattr(event, name) for name in EVENT_COLUMNS} for event in self.events]
        for at in range(0, len(rows), EVENTS_AT_ONCE):
            await self.execute(insert(Event), rows[at : at + EVENTS_AT_ONCE])


@contextmanager
def in_our_words() -> Iterator[None]:
    """Say a broken constraint as the rule it stands for, and contention or a lost database as `Busy`."""
    try:
        yield
    except IntegrityError as error:
        refusal = BY_CONSTRAINT.get(_detail(error, "constraint_name"))
        if refusal is None:
            raise
        raise refusal from error
    except DBAPIError as error:
        if is_away(error) or _detail(error, "sqlstate") in CONTENTION:
            raise Busy from error
        raise
    except (OSError, NoConnectionFree) as error:
        raise Busy from error


def is_away(error: DBAPIError | OSError) -> bool:
    """Tell whether the database was lost or not to be found, rather than said no."""
    # A connection that was refused, reset or not made in time comes as it is, not in SQLAlchemy's words.
    if isinstance(error, OSError):
        return True
    return error.connection_invalidated or _detail(error, "sqlstate").startswith(AWAY)


Reading = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Opens a short connection outside any transaction."""

T = TypeVar("T")


async def read_steadily(reading: Reading, read: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Read, and once more if the connection was a dead one: a read does no harm twice."""
    try:
        return await _read(reading, read)
    except Busy as busy:
        # Whoever waited in vain for a connection or for an answer would only wait once more, and keep others waiting.
        if not _was_cut(busy.__cause__):
            raise
        # The pool has dropped its dead connections by now.
        return await _read(reading, read)


def _was_cut(error: BaseException | None) -> bool:
    """Tell whether a connection that was there is there no more."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _detail(error, "sqlstate").startswith(CUT)
    return isinstance(error, ConnectionError)


async def _read(reading: Reading, read: Callable[[AsyncSession], Awaitable[T]]) -> T:
    with in_our_words():
        async with reading() as session:
            return await read(session)


def _detail(error: DBAPIError, name: str) -> str:
    cause = error.orig and error.orig.__cause__
    return getattr(cause, name, None) or ""
