"""A pool of connections that grows and shrinks while it is used.

SQLAlchemy's own is as large as it was made. This one gives a connection that comes back to whoever has waited longest,
makes more when it may have more, and closes what comes back when it may have fewer: nobody's statement is cut short.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

from sqlalchemy import exc
from sqlalchemy.pool import ConnectionPoolEntry, Pool
from sqlalchemy.pool.base import _AsyncConnDialect
from sqlalchemy.util import await_only, greenlet_spawn


class LivePool(Pool):
    """Up to `pool_size` connections, of which the one used last is used first."""

    _is_asyncio = True
    _dialect = _AsyncConnDialect()

    def __init__(self, creator: Any, pool_size: int = 5, timeout: float = 30.0, **options: Any) -> None:
        super().__init__(creator, **options)
        self._most = pool_size
        self._timeout = timeout
        self._open = 0
        self._is_over = False
        self._idle: deque[ConnectionPoolEntry] = deque()
        # Who is called gets a connection, or leave to make one.
        self._waiting: deque[asyncio.Future[ConnectionPoolEntry | None]] = deque()

    def size(self) -> int:
        """How many connections there may be."""
        return self._most

    def checkedin(self) -> int:
        """How many are at hand."""
        return len(self._idle)

    def checkedout(self) -> int:
        """How many are used."""
        return self._open - len(self._idle)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def status(self) -> str:
        """Say how it fares."""
        return f"{self.checkedout()} used, {self.checkedin()} idle, of {self._most}; {self.waiting} wait"

    async def resize(self, most: int) -> None:
        """Have so many from here on: at once those who wait get more, and what is idle is closed if it is too many."""
        self._most = most
        while self._waiting and self._open < most:
            self._open += 1
            self._call(None)
        await self._close_idle(most)

    async def rest(self) -> None:
        """Close what nobody uses."""
        await self._close_idle(0)

    def recreate(self) -> "LivePool":
        """Make an empty one of the same kind."""
        return type(self)(
            self._creator,
            pool_size=self._most,
            timeout=self._timeout,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            pre_ping=self._pre_ping,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def dispose(self) -> None:
        """Close what nobody uses; what is used is closed when it comes back."""
        self._is_over = True
        while self._idle:
            self._close(self._idle.popleft())

    def _do_get(self) -> ConnectionPoolEntry:
        if self._idle:
            return self._idle.pop()
        if self._open < self._most:
            self._open += 1
            return self._made()
        given: ConnectionPoolEntry | None = await_only(self._wait())
        return given or self._made()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if self._is_over or self._open > self._most:
            self._close(record)
        elif not self._call(record):
            self._idle.append(record)

    def _made(self) -> ConnectionPoolEntry:
        try:
            return self._create_connection()
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        """Let somebody else make the connection that was not made."""
        if self._open > self._most or not self._call(None):
            self._open -= 1

    def _close(self, record: ConnectionPoolEntry) -> None:
        try:
            record.close()
        finally:
            self._give_up()

    async def _close_idle(self, keep: int) -> None:
        while self._idle and self._open > keep:
            await greenlet_spawn(self._close, self._idle.popleft())

    def _call(self, given: ConnectionPoolEntry | None) -> bool:
        """Give a connection, or leave to make one, to whoever has waited longest; tell whether there was anybody."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(given)
                return True
        return False

    async def _wait(self) -> ConnectionPoolEntry | None:
        turn: asyncio.Future[ConnectionPoolEntry | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._timeout):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # Called in the moment of giving up: it is somebody else's turn.
                await self._pass_on(turn.result())
            else:
                with suppress(ValueError):
                    self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                message = f"no connection came free in {self._timeout} s: {self.status()}"
                raise exc.TimeoutError(message, code="3o7r") from None
            raise

    async def _pass_on(self, given: ConnectionPoolEntry | None) -> None:
        if given is None:
            self._give_up()
        else:
            await greenlet_spawn(self._do_return_conn, given)
