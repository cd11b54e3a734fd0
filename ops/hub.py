"""How the bell rings: one subscription for each channel and process, an ear for each subscriber, an outbox for all.

The database holds every event; a ring only makes subscribers look there. So a ring may come twice, and many may
become one RESYNC, but none may vanish without a RESYNC after it:

- The outbox keeps what Redis has not taken yet. When it is full, all it holds becomes a single ring for everyone
  everywhere; so a process that alone lost its way to Redis still reaches those who noticed no outage.
- A lost connection is replaced, and every channel RESYNCs when Redis has confirmed it again.
- A full ear holds a single RESYNC instead. To end its subscriber would be no safer: it would come back and read
  the same table from the same place, at a higher price.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import structlog
from broadcaster import Broadcast
from redis.exceptions import RedisError

from ops.bell import CONNECT_SECONDS, Line, Wire
from resolvers.hub import RESYNC, Bell, GoingAway, Ring

BACKOFF_LEAST_SECONDS = 0.05
BACKOFF_MOST_SECONDS = 1.0
FLUSH_SECONDS = 1.0
SENT_AT_ONCE = 100
"""Rings in one round trip to Redis: each of its own takes longer than all of these together."""
PAUSE_SECONDS = 0.01
"""How long rings wait for others after some were sent."""
OUTBOX_RINGS_MAX = 1_000
EAR_RINGS_MAX = 64
PAYLOAD_BYTES_MAX = 1024
REOPEN_AT_ONCE = 50
# What Redis carries for RESYNC: an empty message.
LOOK = b""

log = structlog.get_logger()


class Ear:
    """One subscriber's rings, from being heard here until being listened to there."""

    def __init__(self) -> None:
        self._unheard: asyncio.Queue[Ring | GoingAway] = asyncio.Queue(EAR_RINGS_MAX)

    def hear(self, ring: Ring | GoingAway) -> None:
        """Keep a ring; what is more than a ring makes up for all that waits, and takes its place."""
        if self._unheard.full():
            ring = RESYNC
        if not isinstance(ring, str):
            while not self._unheard.empty():
                self._unheard.get_nowait()
        self._unheard.put_nowait(ring)

    def __aiter__(self) -> Bell:
        return self

    async def __anext__(self) -> Ring:
        ring = await self._unheard.get()
        if isinstance(ring, GoingAway):
            self._unheard.put_nowait(ring)
            raise ring
        return ring


class Room:
    """Everyone in this process who listens to one channel."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.ears: set[Ear] = set()
        # Nobody need wait at the door: Redis has confirmed the channel, or it is away and RESYNC will follow.
        self.settled = asyncio.Event()
        self._missing = False
        self._subscription: asyncio.Task[None] | None = None

    def connect(self, line: Line) -> None:
        """Subscribe, now that it is possible."""
        self._subscription = line.subscribe(self.channel, opened=self._opened, heard=self.hear)

    def disconnect(self) -> None:
        """Note that from here on rings are missed."""
        self._missing = True
        self._subscription = None
        self.settled.set()

    def hear(self, message: str) -> None:
        """Pass a ring on."""
        for ear in self.ears:
            ear.hear(message or RESYNC)

    def close(self) -> None:
        """Unsubscribe, and end whoever is left."""
        for ear in self.ears:
            ear.hear(GoingAway())
        self.ears.clear()
        self.settled.set()
        if self._subscription is not None:
            self._subscription.cancel()

    def _opened(self) -> None:
        if self._missing:
            self.hear("")
        self._missing = False
        self.settled.set()


class RedisHub:
    """The bell of this process; its plain attributes are for the metrics."""

    def __init__(self, url: str, *, prefix: str = "workup:") -> None:
        self.subscribers = 0
        self.rung = 0
        self.dropped = 0
        self.reconnects = 0
        self._url = url
        # The prefix alone is a channel too: a ring on it is a RESYNC for everyone.
        self._prefix = prefix
        self._rooms: dict[str, Room] = {}
        self._outbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(OUTBOX_RINGS_MAX)
        self._leaving: list[tuple[str, bytes]] = []
        self._line: Line | None = None
        self._up = asyncio.Event()
        self._was_up = False
        self._dismissed = False
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether rings are heard at the moment."""
        return self._up.is_set()

    async def start(self) -> None:
        """Connect; when Redis is not there yet, come back all the same and go on trying."""
        self._dismissed = False
        self._supervisor = asyncio.create_task(self._supervise())
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._up.wait()

    def dismiss(self) -> None:
        """End every subscriber and take no more; what is being finished here may still ring."""
        self._dismissed = True
        for room in self._rooms.values():
            room.close()
        self._rooms.clear()

    async def stop(self) -> None:
        """End every subscriber, send what waits if that is soon done, and let go of Redis."""
        self.dismiss()
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._outbox.join()
        finally:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
        if unsent := self._outbox.qsize() + len(self._leaving):
            self.dropped += unsent
            log.warning("hub_rings_unsent", rings=unsent)

    @asynccontextmanager
    async def listen(self, channel: str) -> AsyncIterator[Bell]:
        """Hear every ring of a channel from the moment the block is entered."""
        if self._dismissed:
            raise GoingAway
        ear, room = Ear(), self._room(self._name(channel))
        room.ears.add(ear)
        self.subscribers += 1
        try:
            await room.settled.wait()
            yield ear
        finally:
            self.subscribers -= 1
            room.ears.discard(ear)
            if not room.ears and self._rooms.get(room.channel) is room:
                self._rooms.pop(room.channel).close()

    async def ring(self, channel: str, payload: str) -> None:
        """Tell everyone who listens to the channel, without waiting for it to happen."""
        if self._outbox.full():
            self._collapse()
        data = payload.encode(errors="replace")
        self._outbox.put_nowait((self._name(channel), data if len(data) <= PAYLOAD_BYTES_MAX else LOOK))

    def _name(self, channel: str) -> str:
        # What cannot be encoded would break the connection, which is everyone's.
        return (self._prefix + channel).encode(errors="replace").decode()

    def _room(self, channel: str) -> Room:
        if channel not in self._rooms:
            room = self._rooms[channel] = Room(channel)
            room.connect(self._line) if self._line else room.disconnect()
        return self._rooms[channel]

    def _collapse(self) -> None:
        """Let one ring for everyone stand for all that wait."""
        log.warning("hub_outbox_full", rings=self._outbox.qsize())
        while not self._outbox.empty():
            self._outbox.get_nowait()
            self._outbox.task_done()
            self.dropped += 1
        self._outbox.put_nowait((self._prefix, LOOK))

    async def _supervise(self) -> None:
        """Hold one connection after another; one that opens but does not last is as good as one that does not open."""
        clock, pause = asyncio.get_running_loop().time, BACKOFF_LEAST_SECONDS
        while True:
            began = clock()
            try:
                await self._hold()
            except* (RedisError, OSError) as lost:
                log.warning("hub_connection_lost", reason=str(lost.exceptions[0]))
            except* Exception:
                log.exception("hub_failed")
            lasted = clock() - began > BACKOFF_MOST_SECONDS
            pause = BACKOFF_LEAST_SECONDS if lasted else min(2 * pause, BACKOFF_MOST_SECONDS)
            # Never in step with the other processes, which lost theirs at the same moment.
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - spreads load, guards nothing

    async def _hold(self) -> None:
        """Live one connection's life, and raise what ended it."""
        wire = Wire(self._url)
        async with Broadcast(backend=wire) as broadcast, asyncio.TaskGroup() as tasks:
            line = Line(wire, broadcast, tasks)
            line.subscribe(self._prefix, opened=partial(self._opened, line), heard=self._resync)
            try:
                raise await wire.lost
            finally:
                # Before the group closes: a subscriber who comes meanwhile would ask it for a task.
                self._closed()

    def _opened(self, line: Line) -> None:
        self._line = line
        self._up.set()
        self.reconnects += self._was_up
        self._was_up = True
        line.tasks.create_task(self._reopen(line, list(self._rooms.values())))
        line.tasks.create_task(self._post(line))

    async def _reopen(self, line: Line, rooms: list[Room]) -> None:
        """Subscribe for those who were here before, some at a time: thousands at once would hold up everything."""
        for start in range(0, len(rooms), REOPEN_AT_ONCE):
            for room in rooms[start : start + REOPEN_AT_ONCE]:
                if room.ears:
                    room.connect(line)
            await asyncio.sleep(0)

    def _closed(self) -> None:
        self._line = None
        self._up.clear()
        for room in self._rooms.values():
            room.disconnect()

    def _resync(self, _: str) -> None:
        for room in self._rooms.values():
            room.hear("")

    async def _post(self, line: Line) -> None:
        """Send what waits, oldest first; what was under way when a connection broke is sent again."""
        clock = asyncio.get_running_loop().time
        with line.wire.fatal():
            while True:
                self._leaving = self._leaving or [await self._outbox.get()]
                while len(self._leaving) < SENT_AT_ONCE and not self._outbox.empty():
                    self._leaving.append(self._outbox.get_nowait())
                began = clock()
                await line.wire.publish_all(self._leaving)
                for _ in self._leaving:
                    self._outbox.task_done()
                self.rung += len(self._leaving)
                self._leaving = []
                # A single ring goes at once; where they never end, many go together.
                await asyncio.sleep(began + PAUSE_SECONDS - clock())
