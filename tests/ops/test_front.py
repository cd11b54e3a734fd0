"""The front, before nodes that do exactly what a test wants of them."""

import asyncio
import json
from contextlib import asynccontextmanager
from hashlib import sha256

import pytest

from ops import front, relay
from ops.relay import Fleet, Inbound

HOST = "127.0.0.1"
GET = b"GET / HTTP/1.1\r\nhost: workup\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: workup\r\ncontent-length: 5\r\n\r\nhello"
SECONDS = 10


def answer(body, head=b"HTTP/1.1 200 OK"):
    return b"%b\r\ncontent-length: %d\r\n\r\n%b" % (head, len(body), body)


class Toy:
    """A node that hears requests and does with each what `does` says; by default it says its name."""

    def __init__(self, name):
        self.name = name
        self.heard = []
        self.does = self.says_its_name
        self.open = set()
        self.changed = asyncio.Event()

    async def says_its_name(self, _head, _reader, writer):
        writer.write(answer(self.name.encode()))

    async def start(self):
        self.server = await asyncio.start_server(self.attend, HOST, 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def attend(self, reader, writer):
        self.open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heard.append(head)
                self.changed.set()
                await self.does(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open.discard(writer)
            self.changed.set()
            writer.close()

    async def until(self, holds):
        async with asyncio.timeout(SECONDS):
            while not holds(self):
                self.changed.clear()
                await self.changed.wait()

    async def die(self):
        self.server.close()
        for writer in list(self.open):
            writer.transport.abort()


class Desk:
    """A front and its nodes."""

    def __init__(self):
        self.cleared: list[str] = []
        self.fleet = Fleet(cleared=lambda node: self.cleared.append(node.address))

    async def start(self, *toys):
        self.have(*toys)
        server = await asyncio.get_running_loop().create_server(lambda: Inbound(self.fleet), HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def have(self, *toys):
        self.fleet.have([(HOST, toy.port) for toy in toys])


@asynccontextmanager
async def calling(port):
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def read_answer(reader):
    """The status, the headers and the body of one answer."""
    async with asyncio.timeout(SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(head[0].split()[1]), headers, body


async def ask(desk, request=GET):
    async with calling(desk.port) as (reader, writer):
        writer.write(request)
        return await read_answer(reader)


async def until(holds):
    """Let everybody go on until something is so."""
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 - it is nobody's event
            await asyncio.sleep(0)


@pytest.fixture
async def toys():
    made = [Toy("one"), Toy("two")]
    for toy in made:
        await toy.start()
    yield made
    for toy in made:
        await toy.die()


@pytest.fixture
async def desk(toys):
    made = Desk()
    server = await made.start(*toys)
    yield made
    server.close()
    made.fleet.close()
    for client in list(made.fleet.clients):
        client.close()
    made.fleet.have([])


# What goes through


async def test_the_requests_of_one_connection_take_turns_among_the_nodes(desk):
    async with calling(desk.port) as (reader, writer):
        names = []
        for _ in range(4):
            writer.write(GET)
            names.append((await read_answer(reader))[2])

    assert names[:2] == names[2:]
    assert set(names) == {b"one", b"two"}


async def test_connections_to_nodes_are_used_again(desk, toys):
    for _ in range(10):
        await ask(desk)

    assert [len(toy.open) for toy in toys] == [1, 1]


async def test_a_node_learns_from_where_a_request_came(desk, toys):
    desk.have(toys[0])

    await ask(desk, b"GET /there?a=b HTTP/1.1\r\nHost: workup\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")

    assert toys[0].heard == [
        b"GET /there?a=b HTTP/1.1\r\nHost: workup\r\nX-Forwarded-For: 192.0.2.7\r\nx-forwarded-for: 127.0.0.1\r\n\r\n"
    ]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_long_body_arrives_whole_however_slowly_it_is_read(desk, toys, is_chunked):
    body = bytes(range(256)) * 20_000
    heard = sha256()

    async def read(_head, reader, writer):
        left = len(body)
        while left:
            if is_chunked:
                size = int(await reader.readline(), 16)
                heard.update(await reader.readexactly(size))
                await reader.readexactly(2)
                left -= size
            else:
                piece = await reader.read(100_000)
                heard.update(piece)
                left -= len(piece)
            await asyncio.sleep(0)
        if is_chunked:
            assert await reader.readexactly(5) == b"0\r\n\r\n"
        writer.write(answer(b"thanks"))

    for toy in toys:
        toy.does = read
    async with calling(desk.port) as (reader, writer):
        if is_chunked:
            writer.write(b"POST / HTTP/1.1\r\nhost: workup\r\ntransfer-encoding: chunked\r\n\r\n")
            for at in range(0, len(body), 80_000):
                piece = body[at : at + 80_000]
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        else:
            writer.write(b"POST / HTTP/1.1\r\nhost: workup\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        assert (await read_answer(reader))[2] == b"thanks"

    assert heard.digest() == sha256(body).digest()


async def test_a_node_that_does_not_read_keeps_its_client_from_sending(desk, toys):
    go_on = asyncio.Event()

    async def hesitate(_head, _reader, writer):
        await go_on.wait()
        writer.write(answer(b"at last"))

    desk.have(toys[0])
    toys[0].does = hesitate
    async with calling(desk.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: workup\r\ncontent-length: 100000000\r\n\r\n")
        writer.write(bytes(50_000_000))
        await toys[0].until(lambda toy: toy.heard)
        (client,) = desk.fleet.clients
        outbound = client._current.outbound
        await until(lambda: outbound._transport.get_write_buffer_size() > 0)
        for _ in range(1_000):
            await asyncio.sleep(0)

        assert outbound._transport.get_write_buffer_size() < 2_000_000
        assert writer.transport.get_write_buffer_size() > 10_000_000
        go_on.set()
        # It is answered before it was read: the rest is of no use to anybody.
        assert (await read_answer(reader))[2] == b"at last"


async def test_a_client_that_does_not_read_keeps_its_node_from_sending(desk, toys):
    written = []

    async def pour(_head, _reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n")
        for _ in range(50):
            writer.write(bytes(1_000_000))
            await writer.drain()
            written.append(1_000_000)

    desk.have(toys[0])
    toys[0].does = pour
    async with calling(desk.port) as (reader, writer):
        writer.write(GET)
        await toys[0].until(lambda toy: toy.heard)
        for _ in range(2_000):
            await asyncio.sleep(0)
        assert len(written) < 40

        _, _, body = await read_answer(reader)
        assert len(body) == 50_000_000


@pytest.mark.parametrize(
    ("request_", "given"),
    [
        (b"HEAD / HTTP/1.1\r\nhost: workup\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, b'HTTP/1.1 304 Not Modified\r\netag: "a"\r\ncontent-length: 99\r\n\r\n'),
    ],
)
async def test_an_answer_without_a_body_is_the_whole_of_it(desk, toys, request_, given):
    async def say(_head, _reader, writer):
        writer.write(given)

    for toy in toys:
        toy.does = say
    async with calling(desk.port) as (reader, writer):
        for _ in range(3):
            writer.write(request_)
            assert await reader.readexactly(len(given)) == given


async def test_a_chunked_answer_goes_through_as_it_comes(desk, toys):
    go_on = asyncio.Event()

    async def dribble(_head, _reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await go_on.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    for toy in toys:
        toy.does = dribble
    async with calling(desk.port) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"3\r\none\r\n")
        go_on.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"
        writer.write(GET)
        assert await reader.readuntil(b"0\r\n\r\n")


async def test_who_waits_to_be_told_to_continue_is_told(desk, toys):
    async def take(_head, reader, writer):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        writer.write(answer(await reader.readexactly(5)))

    for toy in toys:
        toy.does = take
    async with calling(desk.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: workup\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await read_answer(reader))[2] == b"hello"


async def test_requests_sent_ahead_are_answered_in_their_order(desk, toys):
    async def echo(head, reader, writer):
        length = 5 if head.startswith(b"POST") else 0
        writer.write(answer(head.split()[1] + await reader.readexactly(length)))

    for toy in toys:
        toy.does = echo
    async with calling(desk.port) as (reader, writer):
        writer.write(b"".join(request.replace(b" / ", b" /%d " % n) for n, request in enumerate([GET, POST] * 20)))
        bodies = [(await read_answer(reader))[2] for _ in range(40)]

    assert bodies == [b"/%d" % n + (b"hello" if n % 2 else b"") for n in range(40)]


async def test_a_client_that_wants_no_more_is_hung_up_on(desk):
    async with calling(desk.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: workup\r\nconnection: close\r\n\r\n")
        await read_answer(reader)
        assert await reader.read() == b""


async def test_a_websocket_is_carried_both_ways_until_either_side_ends_it(desk, toys):
    async def upgrade(_head, reader, writer):
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n")
        while (frame := await reader.readexactly(4)) != b"stop":
            writer.write(frame.upper())
        raise ConnectionError

    for toy in toys:
        toy.does = upgrade
    async with calling(desk.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: workup\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n")
        assert (await read_answer(reader))[0] == 101
        for frame in (b"frst", b"scnd"):
            writer.write(frame)
            assert await reader.readexactly(4) == frame.upper()
        assert [node.unanswered for node in desk.fleet.nodes.values()] == [0, 0]
        writer.write(b"stop")
        assert await reader.read() == b""


async def test_a_client_that_hangs_up_is_not_worked_for_any_longer(desk, toys):
    async def wait(_head, reader, _writer):
        assert await reader.read() == b""
        raise ConnectionError

    for toy in toys:
        toy.does = wait
    async with calling(desk.port) as (_, writer):
        writer.write(GET)
        await until(lambda: any(toy.heard for toy in toys))
    await until(lambda: not any(toy.open for toy in toys))

    assert [node.unanswered for node in desk.fleet.nodes.values()] == [0, 0]


# What does not


@pytest.mark.parametrize("request_", [GET, POST])
async def test_a_node_that_is_gone_is_skipped_and_nothing_is_lost(desk, toys, request_):
    await toys[0].die()

    for _ in range(4):
        assert (await ask(desk, request_))[2] == b"two"
    assert not desk.fleet.nodes[f"{HOST}:{toys[0].port}"].is_able


async def test_a_kept_connection_that_the_node_has_closed_is_not_used_again(desk, toys):
    async def answer_and_hang_up(_head, _reader, writer):
        writer.write(answer(b"bye"))
        await writer.drain()
        raise ConnectionError

    for toy in toys:
        toy.does = answer_and_hang_up

    # It is closed by the time the next request comes, and the front may not have heard of that.
    assert [(await ask(desk, POST))[2] for _ in range(20)] == [b"bye"] * 20


async def test_a_read_whose_node_dies_is_asked_of_another(desk, toys):
    async def die(_head, _reader, writer):
        writer.transport.abort()
        raise ConnectionError

    toys[0].does = die

    assert {(await ask(desk))[2] for _ in range(4)} == {b"two"}
    assert toys[0].heard


async def test_a_write_whose_node_dies_is_not_done_twice_and_its_outcome_is_not_known(desk, toys):
    async def die(_head, _reader, writer):
        writer.transport.abort()
        raise ConnectionError

    for toy in toys:
        toy.does = die

    status, _, body = await ask(desk, POST)

    assert status == 502
    assert json.loads(body)["errors"][0]["extensions"] == {"code": "OUTCOME_UNKNOWN"}
    assert sum(len(toy.heard) for toy in toys) == 1


async def test_half_an_answer_stays_a_half(desk, toys):
    async def begin(_head, _reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        await writer.drain()
        raise ConnectionError

    for toy in toys:
        toy.does = begin

    with pytest.raises(asyncio.IncompleteReadError):
        await ask(desk)
    assert sum(len(toy.heard) for toy in toys) == 1


@pytest.mark.parametrize("request_", [GET, POST])
async def test_where_no_node_is_there_one_is_asked_to_come_back(desk, request_):
    desk.have()

    status, headers, body = await ask(desk, request_)

    assert (status, headers["retry-after"]) == (503, "1")
    assert json.loads(body)["errors"][0]["extensions"] == {"code": "BUSY", "retryAfterSeconds": 1}


async def test_a_node_that_takes_no_traffic_gets_none_as_long_as_there_is_another(desk, toys):
    unable = desk.fleet.nodes[f"{HOST}:{toys[0].port}"]
    unable.is_able = False
    assert {(await ask(desk))[2] for _ in range(4)} == {b"two"}

    desk.fleet.nodes[f"{HOST}:{toys[1].port}"].is_able = False
    assert {(await ask(desk))[2] for _ in range(4)} == {b"one", b"two"}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + bytes([120]) * 70_000, 431),
        (b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ],
)
async def test_what_the_nodes_might_understand_otherwise_does_not_reach_them(desk, toys, request_, status):
    found, _, body = await ask(desk, request_)

    assert found == status
    assert json.loads(body)["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}
    assert not any(toy.heard for toy in toys)


async def test_a_client_that_never_finishes_its_head_is_hung_up_on(desk, monkeypatch):
    monkeypatch.setattr(relay, "NEXT_SECONDS", 0.05)

    async with calling(desk.port) as (reader, writer), asyncio.timeout(SECONDS):
        writer.write(b"GET / HTTP/1.1\r\nhost")
        assert await reader.read() == b""


# Nodes that go


async def test_a_retired_node_is_clear_when_its_last_answer_has_begun(desk, toys):
    go_on = asyncio.Event()

    async def hesitate(_head, _reader, writer):
        await go_on.wait()
        writer.write(answer(b"done"))

    desk.have(toys[0])
    toys[0].does = hesitate
    async with calling(desk.port) as (reader, writer):
        writer.write(POST)
        await toys[0].until(lambda toy: toy.heard)
        desk.cleared.clear()
        desk.have(toys[1])
        assert desk.cleared == []
        assert (await ask(desk))[2] == b"two"

        go_on.set()
        assert (await read_answer(reader))[2] == b"done"
        assert desk.cleared == [f"{HOST}:{toys[0].port}"]
        writer.write(GET)
        assert (await read_answer(reader))[2] == b"two"


async def test_an_idle_retired_node_is_clear_at_once(desk, toys):
    await ask(desk)
    await ask(desk)

    desk.have(toys[1])

    assert desk.cleared == [f"{HOST}:{toys[0].port}"]
    await toys[0].until(lambda toy: not toy.open)


async def test_a_front_that_closes_finishes_what_has_begun(desk, toys):
    go_on = asyncio.Event()

    async def hesitate(_head, _reader, writer):
        await go_on.wait()
        writer.write(answer(b"done"))

    for toy in toys:
        toy.does = hesitate
    async with calling(desk.port) as (reader, writer), calling(desk.port) as (idle, _):
        writer.write(GET)
        await until(lambda: any(toy.heard for toy in toys))
        desk.fleet.close()
        assert await idle.read() == b""
        go_on.set()
        assert (await read_answer(reader))[2] == b"done"
        assert await reader.read() == b""
    assert not desk.fleet.clients


async def test_a_node_says_whether_it_takes_traffic(toys):
    async def refuse(_head, _reader, writer):
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")

    toys[1].does = refuse

    assert await front.is_ready(HOST, toys[0].port)
    assert not await front.is_ready(HOST, toys[1].port)
    await toys[0].die()
    assert not await front.is_ready(HOST, toys[0].port)
