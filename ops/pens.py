"""The connections for what is written by a single statement, which is a whole transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import structlog

from models.errors import Busy, OutcomeUnknown
from ops.pipe import Connection
from ops.turns import Line, Shared
from resolvers.context import LongWay, Sequel

log = structlog.get_logger()

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # What asyncpg says of a connection that ends, or does not answer, under a statement.
    asyncpg.ConnectionDoesNotExistError,
    TimeoutError,
)
"""After these nobody knows whether a statement was carried out."""


class Pens(Shared):
    """A few connections for statements that are whole transactions.

    A single pen goes on as long as it keeps pace: those who write at once are in each other's way, and each takes
    longer. Where disks or locks have to be waited for it does not, and then more are taken to hand.
    """

    places = 4
    patience = 0.1
    look_seconds = 0.1

    pace = (250.0, 375.0)
    """With fewer answers a second one more pen is wanted, and with more one less: one gives so many if it waits for
    nothing but the processor."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], most: int) -> None:
        super().__init__(connect, most)
        self._wanted = 1
        self._answers = 0
        self._looked_at = 0.0

    @property
    def _are_enough(self) -> bool:
        at_rest = sum(not pen.pipe.asked for pen in self._idle)
        stuck = sum(map(self._is_stuck, self._lines))
        return (self._open - at_rest) // self.places - stuck >= self._wanted

    def _at_hand(self) -> Line | None:
        """A pen that is used, but not by as many as may, or else one that rests, if it is wanted."""
        pen = next((pen for pen in self._idle if pen.pipe.asked and not self._is_stuck(pen)), None)
        if pen is None and self._idle and not self._are_enough:
            pen = next((pen for pen in reversed(self._idle) if not pen.pipe.asked), None)
        if pen is not None:
            self._idle.remove(pen)
        return pen

    def _may_open(self) -> bool:
        return super()._may_open() and not self._are_enough

    def _look_later(self) -> None:
        self._answers, self._looked_at = 0, asyncio.get_running_loop().time()
        super()._look_later()

    def _consider(self) -> None:
        """Want one more pen if those at work are slow, or one less if they are fast, or one alone if nobody waits."""
        pace = self._answers / (asyncio.get_running_loop().time() - self._looked_at)
        if not self._waiting:
            self._wanted = 1
        elif pace < self.pace[0]:
            self._wanted = max(min(self._wanted + 1, self.most), 1)
        elif pace > self.pace[1]:
            self._wanted = max(self._wanted - 1, 1)

    async def do(self, text: str, arguments: Sequence[Any], sequel: Sequel | None = None) -> bytes | None:
        """Run one, and give its single value; what the sequel asks belongs to the same transaction."""
        if not self._most:
            raise LongWay
        try:
            pen = await self._take()
        except OSError:
            raise LongWay from None
        asked = [(text, arguments)] if sequel is None else [(text, arguments), (sequel.text, sequel.arguments)]
        try:
            value, *others = await self._use(pen, *asked)
        except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError) as error:
            # Whoever waited in vain would only wait once more.
            raise Busy from error
        except (*LOST, OSError) as error:
            raise OutcomeUnknown from error
        except (asyncpg.DivisionByZeroError, asyncpg.IntegrityConstraintViolationError):
            # Something is no more as it was read: the first says so by itself, by the other somebody has done the same.
            raise LongWay from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # By its name alone: its words may be somebody's.
            log.warning("deed_refused", reason=type(error).__name__)
            raise LongWay from None
        finally:
            self._answers += 1
        if sequel is not None:
            (sequel.value,) = others
        return value
