"""A connection to Postgres on which statements are asked whose answer is one value, with nothing in between.

asyncpg opens it, with all that belongs to that; from then on the messages are ours. What is bound is sent as text, and
what comes back are the bytes of one text, JSON or bytea. A statement is prepared, bound and run by one message, others
may follow in the same transaction, and more may be asked before it has answered. A pool, codecs and a timer for each
statement would cost twice as much as this (docs/decisions/0026-pipes.md).

    https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg.pgproto.pgproto import UUID as FOUND_UUID

SILENCE_SECONDS = 20.0
"""How long a database may say nothing; it gives up on a statement itself before that, if it is still there."""

HEADER = 5
"""Bytes that every message begins with: its kind, and its length without the kind."""

NULL = b"\xff\xff\xff\xff"
"""The length of what is not there."""

SYNC = b"S\0\0\0\x04"
"""Say when everything that was asked before is over; it was one transaction, which ends here."""

RUN = b"E\0\0\0\x09\0\0\0\0\0"
"""Run what was bound, to its end."""

GOODBYE = b"X\0\0\0\x04"

DATA, ERROR, READY = b"DEZ"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def _list(values: Sequence[Any]) -> bytes:
    return b"{" + b",".join([_element(value) for value in values]) + b"}"


def _element(value: Any) -> bytes:
    if value is None:
        return b"NULL"
    text = WRITTEN[type(value)](value)
    if type(value) is not str:
        # Nothing in it has a meaning in a list.
        return text
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _id(value: UUID) -> bytes:
    return value.hex.encode()


def _time(value: date) -> bytes:
    return value.isoformat().encode()


WRITTEN: dict[type, Callable[[Any], bytes]] = {
    str: str.encode,
    int: lambda value: b"%d" % value,
    bool: lambda value: b"t" if value else b"f",
    UUID: _id,
    FOUND_UUID: _id,
    datetime: _time,
    date: _time,
    Decimal: lambda value: str(value).encode(),
    list: _list,
    tuple: _list,
}
"""How values are written as Postgres reads them; lists are of one kind, and hold no lists."""


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def prepared(name: bytes, text: str) -> bytes:
    """Parse a statement, to be bound by this name from then on; what has none makes way for the next that has none."""
    return _message(b"P", name + b"\0" + text.encode() + b"\0\0\0")


def bound(name: bytes, arguments: Sequence[Any]) -> bytes:
    """Bind these to what was prepared, and run it."""
    parts = [b"\0", name, b"\0\0\0", len(arguments).to_bytes(2, "big")]
    for value in arguments:
        if value is None:
            parts.append(NULL)
        else:
            text = WRITTEN[type(value)](value)
            parts += len(text).to_bytes(4, "big"), text
    # One format for all columns: the bytes as they are.
    parts.append(b"\0\1\0\1")
    return _message(b"B", b"".join(parts)) + RUN


def forgotten(name: bytes) -> bytes:
    """Let go of what was prepared."""
    return _message(b"C", b"S" + name + b"\0")


def _lost() -> Exception:
    return asyncpg.ConnectionDoesNotExistError("the connection was closed")


class Answer(list[bytes | None]):
    """The value of each row."""

    __slots__ = ("seconds",)
    seconds: float
    """How long it took, from when everything before it was answered."""


class Pipe(asyncio.Protocol):
    """One connection."""

    def __init__(self, connection: Connection) -> None:
        # It stays asyncpg's to clean up, and to call off what runs.
        self._connection = connection
        # asyncpg lends it to nobody: the one thing of its own that is used here, with `_cancel` below.
        self._transport: asyncio.Transport = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001
        self._loop = asyncio.get_running_loop()
        self._asked: deque[tuple[float, asyncio.Future[Answer]]] = deque()
        """Until when each answer has to have come, in the order in which they come."""
        self._since = 0.0
        """When Postgres could begin with what is to be answered next."""
        self._is_watched = False
        self._to_send: list[bytes] = []
        """What was asked in this turn of the loop: whatever is sent is a call of the kernel, which wakes Postgres."""
        self._values = Answer()
        self._error: Exception | None = None
        self._pieces: list[bytes] = []
        self._missing = 0
        """How much of a message has not come yet, of which there are pieces."""
        self.is_closed = False
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Whether nothing more will be heard of it."""
        self._transport.set_protocol(self)

    @property
    def asked(self) -> int:
        """How many answers have yet to come."""
        return len(self._asked)

    @property
    def silent_for(self) -> float:
        """Seconds for which what is to be answered next has taken."""
        return self._loop.time() - self._since if self._asked else 0.0

    def ask(self, message: bytes) -> asyncio.Future[Answer]:
        """Have this run; whoever awaits the answer has the value of each row, or the error."""
        answer: asyncio.Future[Answer] = self._loop.create_future()
        if self.ended.done():
            answer.set_exception(_lost())
            return answer
        now = self._loop.time()
        if not self._asked:
            self._since = now
        self._asked.append((now + SILENCE_SECONDS, answer))
        if not self._is_watched:
            self._watch()
        if not self._to_send:
            self._loop.call_soon(self._send)
        self._to_send.append(message + SYNC)
        return answer

    async def call_off(self) -> None:
        """Have what runs broken off, and come back when everything is over, or the connection is."""
        try:
            # It comes back when Postgres has taken notice: what is asked from then on is safe.
            await self._connection._cancel(self._loop.create_future())  # type: ignore[attr-defined]  # noqa: SLF001
            await self.ask(b"")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            self.abort()

    def abort(self) -> None:
        """Cut it."""
        self.is_closed = True
        self._transport.abort()

    def close(self) -> None:
        """Hang up, as soon as everything is answered, unless that is done already."""
        self.is_closed = True
        if not self._asked and not self._transport.is_closing():
            self._transport.write(GOODBYE)
            self._transport.close()

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        """Take in whole messages, and keep what has come of the next."""
        if self._missing > 0:
            self._pieces.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        at, end = 0, len(data)
        after = HEADER
        while after <= end:
            after = at + 1 + int.from_bytes(data[at + 1 : at + HEADER], "big")
            if after > end:
                break
            self._heard(data[at], data, at + HEADER, after)
            at, after = after, after + HEADER
        self._missing = after - end if at < end else 0
        if self._missing:
            self._pieces.append(data[at:])

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody who waits."""
        self.is_closed = True
        self._connection.terminate()
        lost = self._error or error or _lost()
        while self._asked:
            _, answer = self._asked.popleft()
            if not answer.done():
                answer.set_exception(lost)
        self.ended.set_result(None)

    def _send(self) -> None:
        if len(self._asked) == len(self._to_send):
            # It waited for us until now, not for Postgres.
            self._since = self._loop.time()
        message = b"".join(self._to_send)
        self._to_send.clear()
        if not self._transport.is_closing():
            self._transport.write(message)

    def _heard(self, kind: int, data: bytes, at: int, after: int) -> None:
        if kind == DATA:
            # How many columns, how long the first is, and what it is.
            self._values.append(None if data[at + 2 : at + 6] == NULL else data[at + 6 : after])
        elif kind == READY:
            (_, answer), values, error = self._asked.popleft(), self._values, self._error
            self._values, self._error = Answer(), None
            now = self._loop.time()
            values.seconds, self._since = now - self._since, now
            if self.is_closed:
                self.close()
            if answer.done():
                return
            if error is None:
                answer.set_result(values)
            else:
                answer.set_exception(error)
        elif kind == ERROR:
            fields = {field[:1].decode(): field[1:].decode() for field in data[at:after].split(b"\0") if field}
            self._error = asyncpg.PostgresError.new(fields)

    def _watch(self) -> None:
        """Cut it if it has been silent for too long: one timer for all, for each costs as much as what it guards."""
        self._is_watched = bool(self._asked)
        if not self._asked:
            return
        until, now = self._asked[0][0], self._loop.time()
        if until > now:
            self._loop.call_at(until, self._watch)
            return
        self._error = TimeoutError(f"the database has said nothing for {SILENCE_SECONDS} s")
        self.abort()
