"""The transaction of a mutation, and what a broken one is called."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from sqlalchemy import ARRAY, BigInteger, DateTime, Text, Uuid, bindparam, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncSession

from models.activity import Event
from models.errors import BY_CONSTRAINT, Busy

CONTENTION = {"55P03", "40P01", "40001", "57014"}
"""SQLSTATEs of a lock not got in time, a deadlock, a serialization failure and a statement that took too long."""

AWAY = ("08", "53300", "57P01", "57P02", "57P03")
"""How SQLSTATEs begin that tell of a lost connection, of none left, and of a server that stops, crashed or starts."""
CUT = ("08", "57P01", "57P02")
"""How SQLSTATEs begin that tell of a connection lost on the way, by a server that stops or has crashed."""

CALL = text(
    "INSERT INTO queue.pgqueuer (priority, entrypoint, status) SELECT 0, chore, 'queued' FROM unnest(:chores) AS chore"
).bindparams(bindparam("chores", type_=ARRAY(Text)))

# Of the events told, `sequence` says how many of the same stream come after each.
HEADS = """
    INSERT INTO stream_heads (stream, sequence)
    SELECT stream, more FROM {grown} WHERE {only_if}
    ON CONFLICT (stream) DO UPDATE SET sequence = stream_heads.sequence + excluded.sequence
    RETURNING stream, sequence
"""
EVENTS = """
    INSERT INTO events (id, stream, sequence, kind, subject, subject_id, actor_id, at)
    SELECT told.id, stream, heads.sequence - told.sequence,
        told.kind, told.subject, told.subject_id, told.actor_id, told.at
    FROM {told} JOIN heads USING (stream)
    RETURNING id, sequence
"""
TELL = text(
    "WITH heads AS ("
    + HEADS.format(grown="unnest(:names, :counts) AS grown (stream, more)", only_if=True)
    + ")"
    + EVENTS.format(
        told="unnest(:ids, :streams, :later, :kinds, :subjects, :subject_ids, :actor_ids, :ats)"
        " AS told (id, stream, sequence, kind, subject, subject_id, actor_id, at)"
    )
).bindparams(
    *(bindparam(name, type_=ARRAY(Text)) for name in ("names", "streams", "kinds", "subjects")),
    *(bindparam(name, type_=ARRAY(BigInteger)) for name in ("counts", "later")),
    *(bindparam(name, type_=ARRAY(Uuid)) for name in ("ids", "subject_ids", "actor_ids")),
    bindparam("ats", type_=ARRAY(DateTime(timezone=True))),
)
"""Numbers events and writes them, `later` saying how many of the same stream come after each.

It has ten parameters, however many they are: a statement has no more than 32 767. The heads are taken in the order of
`names`.
"""


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
        numbers = {row.id: row.sequence for row in await self.execute(TELL, _telling(self.events))}
        for event in self.events:
            event.sequence = numbers[event.id]


def counted(events: Sequence[Event]) -> tuple[dict[str, int], list[int]]:
    """How many events come in each stream, by name in order, and how many come after each in its own."""
    counts = Counter(event.stream for event in events)
    left, later = dict(counts), []
    for event in events:
        left[event.stream] -= 1
        later.append(left[event.stream])
    return dict(sorted(counts.items())), later


def _telling(events: Sequence[Event]) -> dict[str, list[Any]]:
    counts, later = counted(events)
    return {
        "names": list(counts),
        "counts": list(counts.values()),
        "later": later,
        "ids": [event.id for event in events],
        "streams": [event.stream for event in events],
        "kinds": [event.kind.value for event in events],
        "subjects": [event.subject for event in events],
        "subject_ids": [event.subject_id for event in events],
        "actor_ids": [event.actor_id for event in events],
        "ats": [event.at for event in events],
    }


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


async def at_one_moment(session: AsyncSession) -> None:
    """Let all that a session reads from here on, until it is closed, be of one moment; it has read nothing before."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})


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
