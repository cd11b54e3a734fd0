"""How one connection of the bell to Redis lives: it confirms, it is pinged, and it says when it is over.

`broadcaster` would go on after a loss as if nothing had happened, deaf. So its `Broadcast` gets a backend that lives
once: whatever fails, in whichever task, ends up in `Wire.lost`, and whoever awaits that begins again with another.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple

from broadcaster import Broadcast, BroadcastBackend, Event
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

CONNECT_SECONDS = 2.0
PUBLISH_SECONDS = 1.0
# A connection that was silent for so long is asked whether it lives, and then has so long to answer.
PING_SECONDS = 1.0
PONG_SECONDS = 2.0

PUBLISH_ALL = "for at = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[at], ARGV[at + 1]) end"
"""One command and one answer: each of its own takes redis-py longer than Redis."""


class Wire(BroadcastBackend):
    """broadcaster's Redis backend, for one connection's life.

    Broadcast loses its bearings when `subscribe` or `unsubscribe` raises or waits: these two only send.
    """

    def __init__(self, url: str) -> None:
        # No retries: redis-py would reconnect silently, and what was missed meanwhile would never be known.
        # RESP2 is all a bell needs; over the newer protocol redis-py negotiates maintenance notices.
        self._redis = Redis.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=CONNECT_SECONDS,
        )
        self._pubsub = self._redis.pubsub()
        # Nobody else asks on it, and nothing is asked again: a pool and retries would be most of the work.
        self._caller = self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py does not annotate it
        self._unanswered: deque[asyncio.Event] = deque()
        self._reader: asyncio.Task[Any] | None = None
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    @contextmanager
    def fatal(self) -> Iterator[None]:
        """Whatever fails in here ends this connection."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - told to whoever awaits it
            if not self.lost.done():
                self.lost.set_result(_in_its_own_words(error))

    async def connect(self) -> None:
        """Connect, or leave nothing open."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._pubsub.connect()  # type: ignore[no-untyped-call]  # redis-py does not annotate it
        except BaseException:
            await self.disconnect()
            raise

    async def disconnect(self) -> None:
        """Close, and see the reader end: Broadcast has cancelled it, but not waited for it."""
        try:
            if self._reader is not None:
                await asyncio.wait([self._reader])
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py does not annotate it
            await self._caller.disconnect()
        finally:
            await self._redis.aclose()

    async def publish(self, channel: str, message: Any) -> None:
        """Come back when Redis has taken it."""
        await self.publish_all([(channel, message)])

    async def publish_all(self, messages: Sequence[tuple[str, Any]]) -> None:
        """Come back when Redis has taken all of them, in this order."""
        async with asyncio.timeout(PUBLISH_SECONDS):
            await self._caller.send_command("EVAL", PUBLISH_ALL, 0, *chain.from_iterable(messages))
            await self._caller.read_response()

    async def subscribe(self, channel: str) -> None:
        """Ask for a channel; `answered` comes back when it is ours."""
        with self.fatal():
            self._unanswered.append(asyncio.Event())
            await self._pubsub.subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Give up a channel, unless all is given up already: redis-py would connect again for it."""
        with self.fatal():
            if not self.lost.done():
                await self._pubsub.unsubscribe(channel)

    async def answered(self) -> None:
        """Come back when Redis has confirmed every channel asked for so far; it does so in order."""
        if self._unanswered:
            await self._unanswered[-1].wait()

    async def next_published(self) -> Event:
        """Give Broadcast the next message; after a loss, wait for its only way to end, being cancelled."""
        self._reader = asyncio.current_task()
        event: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        with self.fatal():
            event.set_result(await self._published())
        return await event

    async def _published(self) -> Event:
        while True:
            message = await self._heard()
            if message["type"] == "message":
                return Event(message["channel"].decode(), message["data"].decode(errors="replace"))
            if message["type"] == "subscribe":
                self._unanswered.popleft().set()

    async def _heard(self) -> dict[str, Any]:
        message: dict[str, Any] | None = await self._pubsub.get_message(timeout=PING_SECONDS)
        if message is None:
            await self._pubsub.ping()
            message = await self._pubsub.get_message(timeout=PONG_SECONDS)
        if message is None:
            raise TimeoutError(f"Redis has been silent for {PING_SECONDS + PONG_SECONDS} s")
        return message


def _in_its_own_words(error: Exception) -> Exception:
    """Call a lost connection one.

    To write to a socket that was closed is a RuntimeError to uvloop; and redis-py, when it has just lost a connection,
    makes a new one under the reader's hands, which is a RuntimeError to asyncio.
    """
    if not isinstance(error, RuntimeError):
        return error
    if isinstance(error.__context__, RedisError | OSError):
        return error.__context__
    return ConnectionResetError(str(error)) if "the handler is closed" in str(error) else error


class Line(NamedTuple):
    """A connection and the tasks that live and die with it."""

    wire: Wire
    broadcast: Broadcast
    tasks: asyncio.TaskGroup

    def subscribe(
        self, channel: str, *, opened: Callable[[], None], heard: Callable[[str], None]
    ) -> asyncio.Task[None]:
        """Subscribe until the task is cancelled; `opened` is called once nothing is missed any more."""
        return self.tasks.create_task(self._pump(channel, opened, heard))

    async def _pump(self, channel: str, opened: Callable[[], None], heard: Callable[[str], None]) -> None:
        with self.wire.fatal():
            async with self.broadcast.subscribe(channel) as subscriber:
                await self.wire.answered()
                opened()
                # Broadcast's queue has no bound, but what is read from it here never waits.
                while True:
                    event = await subscriber.get()
                    heard(event.message)
