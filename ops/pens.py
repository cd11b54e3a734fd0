"""The connections for what is written by a single statement, which is a whole transaction."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import structlog

from models.errors import Busy, OutcomeUnknown
from ops.pipe import Answer, Connection
from ops.turns import Asked, Line, Shared
from resolvers.context import Deed, LongWay, Sequel

log = structlog.get_logger()

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # What asyncpg says of a connection that ends under a statement.
    asyncpg.ConnectionDoesNotExistError,
    # One that does not answer is a TimeoutError, which is one of these.
    OSError,
)
"""After these nobody knows whether a statement was carried out."""

EXPECTED = (
    # Something is no more as it was read.
    asyncpg.DivisionByZeroError,
    # Somebody has done the same, or is about to do something about it.
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
)
"""After these nothing was done, and it is no wonder."""

TOGETHER_MAX = 16
"""How many deeds one statement does at most: whatever holds up one of them holds up all."""

LOCK_TIMEOUT = "100ms"
"""How long a pen waits for a lock: whoever is held up for longer waits on a connection of her own, the long way."""


@dataclass(frozen=True, slots=True, eq=False)
class Errand:
    """A deed that is to be done, and whoever waits for it."""

    deed: Deed
    sequel: Sequel | None
    told: asyncio.Future[bytes]


class Pens(Shared):
    """A few connections for statements that are whole transactions.

    What is to be done while a statement runs is gathered, and done by the next one together: one transaction costs much
    less than many, and where a disk is waited for, all wait for it once. So a single pen is enough, as long as it is
    not stuck, and those who write are not in each other's way.
    """

    places = 2
    patience = 0.1
    look_seconds = 0.1

    def __init__(self, connect: Callable[[], Awaitable[Connection]], most: int) -> None:
        super().__init__(connect, most)
        self._gathered: defaultdict[Hashable, list[Errand]] = defaultdict(list)
        """Those whose deeds are of one kind, for whom a pen is on its way if there are any."""
        self._doers: set[UUID] = set()
        """Whose deeds are in hand. What one of them does besides was decided without it, and would fail with others."""

    @property
    def figures(self) -> tuple[int, int, int]:
        """How many pens are open, how many of them are idle, and how many deeds wait for one."""
        opened, idle, waiting = super().figures
        return opened, idle, max(waiting, sum(map(len, self._gathered.values())))

    @property
    def _are_enough(self) -> bool:
        at_rest = sum(not pen.pipe.asked for pen in self._idle)
        return (self._open - at_rest) // self.places > sum(map(self._is_stuck, self._lines))

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

    async def do(self, deed: Deed, sequel: Sequel | None = None) -> bytes:
        """Do one, and give the statement's value; what the sequel asks belongs to the same transaction."""
        if not self._most or deed.by in self._doers:
            raise LongWay
        self._doers.add(deed.by)
        try:
            return await self._joined(deed, sequel)
        except asyncpg.QueryCanceledError as error:
            # Whoever waited in vain would only wait once more.
            raise Busy from error
        except LOST as error:
            raise OutcomeUnknown from error
        except EXPECTED:
            raise LongWay from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # By its name alone: its words may be somebody's.
            log.warning("deed_refused", reason=type(error).__name__)
            raise LongWay from None
        finally:
            self._doers.discard(deed.by)

    def _joined(self, deed: Deed, sequel: Sequel | None) -> asyncio.Future[bytes]:
        """Have it done with the next of its kind."""
        errand = Errand(deed, sequel, asyncio.get_running_loop().create_future())
        waiting = self._gathered[deed.kind]
        waiting.append(errand)
        if len(waiting) == 1:
            self._send_for(waiting)
        return errand.told

    def _send_for(self, waiting: list[Errand]) -> None:
        """Have a pen come for those who wait; nobody of them has to stay until it is there."""
        self._see_off(asyncio.ensure_future(self._fetch(waiting)))

    async def _fetch(self, waiting: list[Errand]) -> None:
        try:
            pen = await self._take()
        except Exception as error:  # noqa: BLE001 - whoever waits has to be told, or would wait for ever
            # Nothing was asked yet, so that it can be done the long way, unless that would only be to wait once more.
            _tell(waiting, error if isinstance(error, Busy) else LongWay())
            waiting.clear()
            return
        errands = _chosen(waiting)
        if waiting:
            self._send_for(waiting)
        try:
            await self._write(pen, errands)
        except Exception as error:  # noqa: BLE001 - whoever waits has to be told, or would wait for ever
            _tell(errands, error)

    async def _write(self, pen: Line, errands: Sequence[Errand]) -> None:
        try:
            asked = _asked(errands)
        except BaseException:
            self._give_back(pen)
            raise
        if not asked:
            self._give_back(pen)
            return
        try:
            answer = await self._use(pen, *asked)
        except Exception as error:
            if len(errands) == 1 or isinstance(error, LOST):
                raise
            # Nothing was done, and it is not known whose fault it was.
            for errand in errands:
                self._send_for([errand])
        else:
            _answer(errands, answer)


def _chosen(waiting: list[Errand]) -> list[Errand]:
    """Take those who are next, and leave the others waiting."""
    errands = [errand for errand in waiting if not errand.told.done()]
    waiting[:] = errands[TOGETHER_MAX:]
    return errands[:TOGETHER_MAX]


def _asked(errands: Sequence[Errand]) -> list[Asked]:
    if not errands:
        return []
    first, *others = (errand.deed for errand in errands)
    return [
        first.together(others),
        *((errand.sequel.text, errand.sequel.arguments) for errand in errands if errand.sequel),
    ]


def _answer(errands: Sequence[Errand], answer: Answer) -> None:
    sequels = [errand.sequel for errand in errands if errand.sequel]
    value, *shown = answer
    assert value is not None
    for sequel, its in zip(sequels, shown, strict=True):
        sequel.value = its
    for errand in errands:
        if not errand.told.done():
            errand.told.set_result(value)


def _tell(errands: Sequence[Errand], error: Exception) -> None:
    for errand in errands:
        if not errand.told.done():
            errand.told.set_exception(error)
