"""GraphQL over websockets: a real server on a real port, and a client that speaks it raw."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest
import structlog
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from models.errors import Busy
from ops.transport import GraphQLApp
from ops.transport.operations import OpenGate
from ops.transport.protocol import Protocol
from ops.transport.record import Record
from schema.limits import Limits
from tests.ops import toy

PROTOCOL = Subprotocol("graphql-transport-ws")


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to set
            await asyncio.sleep(0.005)


async def settled(growing):
    """Wait until something that has begun to grow grows no longer."""
    before = 0
    async with asyncio.timeout(5):
        while not before or len(growing) > before:
            before = len(growing)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def serving(app):
    """Run an application on a port of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, loop="none", ws=Protocol)
        server = uvicorn.Server(config)
        # Not `serve`, which would take the signals that are for pytest.
        task = asyncio.create_task(server._serve([listener]))
        await until(lambda: server.started)
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/graphql"
        finally:
            server.should_exit = True
            await task


@pytest.fixture(scope="module")
def app():
    return GraphQLApp(toy.schema, context_for=toy.context_for)


@pytest.fixture(scope="module")
async def url(app):
    async with serving(app) as url:
        yield url


class Client:
    """Says and hears JSON."""

    def __init__(self, socket):
        self.socket = socket

    async def say(self, kind, **message):
        await self.socket.send(json.dumps({"type": kind, **message}))

    async def hear(self):
        return json.loads(await asyncio.wait_for(self.socket.recv(decode=True), 5))

    async def greet(self, token=None):
        payload = {"payload": {"Authorization": token}} if token else {}
        await self.say("connection_init", **payload)
        assert await self.hear() == {"type": "connection_ack"}

    async def subscribe(self, query, name="1", **params):
        await self.say("subscribe", id=name, payload={"query": query, **params})

    async def all_of(self, query, name="1", **params):
        await self.subscribe(query, name, **params)
        heard = [await self.hear()]
        while heard[-1]["type"] == "next":
            heard.append(await self.hear())
        assert all(message["id"] == name for message in heard)
        return heard

    async def closed(self):
        with pytest.raises(ConnectionClosed) as closed:
            await self.hear_everything()
        assert closed.value.rcvd, "the connection was cut, not closed"
        return closed.value.rcvd.code, closed.value.rcvd.reason

    async def hear_everything(self):
        while True:
            await self.hear()


@pytest.fixture
async def client(url):
    async with connect(url, subprotocols=[PROTOCOL]) as socket:
        yield Client(socket)


@pytest.fixture
async def greeted(client):
    await client.greet()
    return client


# What works


async def test_a_subscription_is_carried_to_its_end(greeted):
    heard = await greeted.all_of("subscription ($to: Int!) { count(to: $to) }", variables={"to": 2})

    assert heard == [
        {"type": "next", "payload": {"data": {"count": 0}}, "id": "1"},
        {"type": "next", "payload": {"data": {"count": 1}}, "id": "1"},
        {"type": "complete", "id": "1"},
    ]


@pytest.mark.parametrize(
    ("query", "data"), [("{ ping }", {"ping": "pong"}), ("mutation { pokeSlowly }", {"pokeSlowly": 1})]
)
async def test_queries_and_mutations_work_too(greeted, query, data):
    toy.poked.clear()

    heard = await greeted.all_of(query)

    assert [message["type"] for message in heard] == ["next", "complete"]
    assert heard[0]["payload"] == {"data": data}


async def test_operations_run_side_by_side(greeted):
    await greeted.subscribe("subscription { forever }", "a")
    assert (await greeted.hear())["id"] == "a"

    assert (await greeted.all_of("{ ping }", "b"))[0]["payload"] == {"data": {"ping": "pong"}}


async def test_an_id_may_be_used_again(greeted):
    for _ in range(3):
        assert len(await greeted.all_of("subscription { count }", "same")) == 4


async def test_a_client_ends_a_subscription(greeted, app):
    toy.stopped.clear()
    await greeted.subscribe("subscription { forever }")
    await greeted.hear()

    await greeted.say("complete", id="1")

    await until(lambda: toy.stopped == ["forever"])
    assert app.running == 0
    assert len(await greeted.all_of("subscription { count }")) == 4


async def test_a_client_that_hangs_up_ends_its_subscriptions(url, app):
    toy.stopped.clear()
    async with connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        await client.subscribe("subscription { forever }")
        await client.hear()
        assert (app.sockets, app.running) == (1, 1)

    await until(lambda: app.sockets == 0)
    assert toy.stopped == ["forever"]


async def test_a_mutation_is_finished_whoever_hangs_up(url, app):
    toy.poked.clear()
    async with connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        await client.subscribe("mutation { pokeSlowly }", "dropped")
        await client.subscribe("mutation { pokeSlowly }", "left")
        await asyncio.sleep(0.03)
        await client.say("complete", id="dropped")

    await until(lambda: app.sockets == 0)
    assert toy.poked == ["slowly", "slowly"]


async def test_ping_is_answered_at_any_time(client):
    await client.say("ping")
    assert await client.hear() == {"type": "pong"}
    await client.greet()
    await client.say("ping", payload={"n": 1})
    assert await client.hear() == {"type": "pong", "payload": {"n": 1}}
    await client.say("pong")
    await client.say("complete", id="never heard of")
    assert await client.all_of("{ ping }")


async def test_one_line_is_written_per_operation(url):
    async with connect(url, subprotocols=[PROTOCOL], additional_headers={"x-request-id": "sock-1"}) as socket:
        client = Client(socket)
        await client.greet()
        with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
            await client.all_of("subscription Mine { count }")
            await until(lambda: lines)

    (line,) = lines
    assert line["request_id"] == "sock-1"
    assert (line["operation"], line["kind"], line["outcome"]) == ("Mine", "subscription", "ok")


# Who it is


@pytest.mark.parametrize("key", ["Authorization", "authorization", "AUTHORIZATION"])
async def test_authorization_comes_in_the_payload(client, key):
    await client.say("connection_init", payload={key: "Bearer x"})
    await client.hear()

    assert (await client.all_of("{ token }"))[0]["payload"] == {"data": {"token": "Bearer x"}}


async def test_authorization_may_come_in_the_handshake(url):
    headers = {"authorization": "Bearer y"}
    async with connect(url, subprotocols=[PROTOCOL], additional_headers=headers) as socket:
        client = Client(socket)
        await client.greet()

        assert (await client.all_of("{ token }"))[0]["payload"] == {"data": {"token": "Bearer y"}}


@pytest.mark.parametrize(
    ("token", "closed"),
    [
        ("Bearer bad", (4403, "Forbidden")),
        ("Bearer old", (4401, "Token expired")),
        ("Bearer busy", (1013, "Try again later")),
        ("Bearer bug", (1011, "Internal error")),
    ],
)
async def test_who_may_not_come_in_is_told_why(client, token, closed):
    await client.say("connection_init", payload={"Authorization": token})

    assert await client.closed() == closed


async def test_a_token_that_was_revoked_begins_nothing():
    heard: list[Record] = []
    good = True

    async def context_for(connection, authorization, _commands):
        return await toy.context_for(connection, authorization if good else "Bearer bad")

    app = GraphQLApp(toy.schema, context_for=context_for, observe=heard.append)
    async with serving(app) as url, connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        good = False
        await client.subscribe("{ ping }")

        assert await client.closed() == (4403, "Forbidden")
        await until(lambda: app.sockets == 0)

    assert [record.outcome for record in heard] == ["refused"]


async def test_what_cannot_begin_just_now_is_an_error_of_its_id_only():
    busy = False

    async def context_for(connection, authorization, _commands):
        return await toy.context_for(connection, "Bearer busy" if busy else authorization)

    heard: list[Record] = []
    app = GraphQLApp(toy.schema, context_for=context_for, observe=heard.append)
    async with serving(app) as url, connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        await client.subscribe("subscription { forever }", "other")
        await client.hear()
        busy = True
        (error,) = await client.all_of("{ ping }")
        busy = False

        assert error["type"] == "error"
        assert [each["extensions"] for each in error["payload"]] == [{"code": "BUSY", "retryAfterSeconds": 1}]
        assert [record.outcome for record in heard] == ["refused"]
        assert len(await client.all_of("{ ping }")) == 2


async def test_a_token_that_expires_ends_everything(client):
    toy.stopped.clear()
    await client.greet("Bearer short")
    await client.subscribe("subscription { forever }")

    assert await client.closed() == (4401, "Token expired")
    await until(lambda: toy.stopped == ["forever"])


# Errors


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ echo(number: $n) }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($n: Int!) { echo(number: $n) }", "BAD_USER_INPUT"),
        ("{ person " + "{ friend " * 16 + "{ name }" + "}" * 17, "TOO_COSTLY"),
        ("subscription { people { friend " + "{ friend" * 300 + "}" * 302, "TOO_COSTLY"),
        ("subscription { refuses }", "FORBIDDEN"),
    ],
)
async def test_what_cannot_begin_is_an_error_of_its_id_only(greeted, query, code):
    await greeted.subscribe("subscription { forever }", "other")
    await greeted.hear()

    (error,) = await greeted.all_of(query)

    assert error["type"] == "error"
    assert {each["extensions"]["code"] for each in error["payload"]} == {code}
    assert await greeted.all_of("{ ping }")


async def test_a_broken_subscription_ends_with_a_masked_error(greeted):
    heard = await greeted.all_of("subscription { breaks }")

    assert [message["type"] for message in heard] == ["next", "error"]
    (error,) = heard[1]["payload"]
    assert error["message"] == "Something went wrong on our side."
    assert error["extensions"]["code"] == "INTERNAL"


async def test_what_json_cannot_say_is_masked_too(greeted):
    (error,) = await greeted.all_of("{ unwritable }")

    assert error["payload"][0]["extensions"]["code"] == "INTERNAL"


async def test_a_broken_field_is_masked_in_an_event(greeted):
    (answer, end) = await greeted.all_of("{ ping broken }")

    assert toy.SECRET not in json.dumps(answer)
    assert answer["payload"]["data"] == {"ping": "pong", "broken": None}
    assert end["type"] == "complete"


async def test_a_socket_carries_a_bounded_number_of_operations():
    app = GraphQLApp(toy.schema, context_for=toy.context_for, limits=Limits(operations_per_socket=2))
    async with serving(app) as url, connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        for name in "ab":
            await client.subscribe("subscription { forever }", name)
            await client.hear()
        (error,) = await client.all_of("{ ping }", "c")
        await client.say("complete", id="a")

        assert error["payload"][0]["extensions"] == {"code": "RATE_LIMITED"}
        assert len(await client.all_of("{ ping }", "c")) == 2


async def test_a_mutation_that_was_given_up_counts_until_it_ends(monkeypatch):
    toy.poked.clear()
    app = GraphQLApp(toy.schema, context_for=toy.context_for, limits=Limits(operations_per_socket=2))
    gate = asyncio.Event()
    monkeypatch.setattr(toy, "linger", gate.wait)
    async with serving(app) as url, connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        for name in "ab":
            await client.subscribe("mutation { pokeSlowly }", name)
            # An answer to this means that the mutation has begun.
            await client.say("ping")
            await client.hear()
            await client.say("complete", id=name)

        (error,) = await client.all_of("{ ping }", "c")
        assert error["payload"][0]["extensions"] == {"code": "RATE_LIMITED"}
        assert app.running == 2

        gate.set()
        await until(lambda: app.running == 0)
        assert toy.poked == ["slowly", "slowly"]
        assert len(await client.all_of("{ ping }", "c")) == 2


# Messages that are none


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "not json",
        "5",
        "[]",
        "null",
        '"connection_init"',
        "{}",
        '{"type": 5}',
        '{"type": "start"}',
        '{"type": "' + "x" * 1_000 + '"}',
        '{"type": "ping", "payload": 5}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": {}, "payload": {"query": "{ ping }"}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ ping }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ ping }"}}',
        '{"type": "subscribe", "payload": {"query": "{ ping }"}}',
        '{"type": "subscribe", "id": "1", "payload": "{ ping }"}',
        '{"type": "subscribe", "id": "1", "payload": [{"query": "{ ping }"}]}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 5}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ ping }", "variables": []}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ ping }", "operationName": {}}}',
        '{"type": "complete"}',
        '{"type": "complete", "id": []}',
        '{"type": "ping", "payload": {"deep": ' + "[" * 5_000 + "]" * 5_000 + "}}",
        '{"type": "ping", "payload": {"long": "' + "x" * 65_536 + '"}}',
        b'{"type": "ping"}',
    ],
    ids=lambda frame: str(frame[:60]),
)
async def test_a_malformed_message_closes_with_4400(greeted, frame):
    await greeted.socket.send(frame)

    code, reason = await greeted.closed()

    assert code == 4400
    assert reason


@pytest.mark.parametrize("payload", [5, "Bearer x", [], {"Authorization": 5}])
async def test_a_malformed_greeting_closes_with_4400(client, payload):
    await client.say("connection_init", payload=payload)

    assert (await client.closed())[0] == 4400


async def test_a_null_payload_is_no_payload(client):
    await client.say("connection_init", payload=None)

    assert await client.hear() == {"type": "connection_ack"}


async def test_greeting_twice_closes_with_4429(greeted):
    await greeted.say("connection_init")

    assert await greeted.closed() == (4429, "Too many initialisation requests")


async def test_subscribing_before_greeting_closes_with_4401(client):
    await client.subscribe("{ ping }")

    assert await client.closed() == (4401, "Unauthorized")


async def test_an_id_that_is_taken_closes_with_4409(greeted):
    await greeted.subscribe("subscription { forever }", "mine")
    await greeted.subscribe("{ ping }", "mine")

    assert await greeted.closed() == (4409, "Subscriber for mine already exists")


async def test_not_greeting_closes_with_4408(url, monkeypatch):
    monkeypatch.setattr("ops.transport.websocket.GREETING_SECONDS_MAX", 0.05)
    async with connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.say("ping")

        assert await client.closed() == (4408, "Connection initialisation timeout")


@pytest.mark.parametrize("protocols", [["graphql-ws"], ["something", "else"], None])
async def test_other_protocols_close_with_4406(url, protocols):
    async with connect(url, subprotocols=protocols) as socket:
        assert (await Client(socket).closed())[0] == 4406


# Where it comes from


async def test_a_page_from_elsewhere_is_refused(url):
    for origin in ("http://evil.test", "null", "http://127.0.0.1:1"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, subprotocols=[PROTOCOL], origin=Origin(origin))
        assert refused.value.response.status_code == 403


async def test_our_own_page_is_welcome(url):
    origin = url.replace("ws:", "http:").removesuffix("/graphql")
    async with connect(url, subprotocols=[PROTOCOL], origin=Origin(origin)) as socket:
        await Client(socket).greet()


@pytest.mark.parametrize("origins", [["https://App.example:443"], ["*"]])
async def test_listed_pages_are_welcome(origins):
    app = GraphQLApp(toy.schema, context_for=toy.context_for, origins=origins)
    async with (
        serving(app) as url,
        connect(url, subprotocols=[PROTOCOL], origin=Origin("https://app.example")) as socket,
    ):
        await Client(socket).greet()


# When the server stops


async def test_closing_says_1012_and_not_that_anything_was_complete():
    app = GraphQLApp(toy.schema, context_for=toy.context_for)
    async with serving(app) as url, connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        for name in "ab":
            await client.subscribe("subscription { forever }", name)
            await client.hear()

        await app.closing()

        assert await client.closed() == (1012, "Service restart")
        await until(lambda: app.sockets == 0)
        async with connect(url, subprotocols=[PROTOCOL]) as late:
            assert (await Client(late).closed())[0] == 1012


async def test_closing_waits_for_the_answers_of_mutations(monkeypatch):
    gate = asyncio.Event()
    monkeypatch.setattr(toy, "linger", gate.wait)
    toy.poked.clear()
    app = GraphQLApp(toy.schema, context_for=toy.context_for)
    async with serving(app) as url, connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        await client.subscribe("subscription { forever }", "followed")
        await client.hear()
        await client.subscribe("mutation { pokeSlowly }", "done")
        await client.say("ping")
        await client.hear()

        closing = asyncio.create_task(app.closing())
        (late,) = await client.all_of("{ ping }", "late")
        gate.set()
        answer = [await client.hear(), await client.hear()]
        await closing

        assert late["payload"][0]["extensions"] == {"code": "GOING_AWAY", "retryAfterSeconds": 1}
        assert answer == [
            {"type": "next", "payload": {"data": {"pokeSlowly": 1}}, "id": "done"},
            {"type": "complete", "id": "done"},
        ]
        assert await client.closed() == (1012, "Service restart")


async def test_closing_does_not_wait_for_a_mutation_without_end(monkeypatch):
    gate = asyncio.Event()
    monkeypatch.setattr(toy, "linger", gate.wait)
    monkeypatch.setattr("ops.transport.websocket.FINISH_SECONDS_MAX", 0.05)
    app = GraphQLApp(toy.schema, context_for=toy.context_for)
    async with serving(app) as url, connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        await client.subscribe("mutation { pokeSlowly }")
        await client.say("ping")
        await client.hear()

        await app.closing()

        assert await client.closed() == (1012, "Service restart")
        gate.set()


async def test_a_client_that_does_not_read_delays_nothing_for_long(monkeypatch):
    monkeypatch.setattr("ops.transport.websocket.CLOSE_SECONDS_MAX", 0.05)
    monkeypatch.setattr("ops.transport.protocol.CUT_SECONDS", 0.05)
    app = GraphQLApp(toy.schema, context_for=toy.context_for)
    async with AsyncExitStack() as stack, AsyncExitStack() as server:
        url = await server.enter_async_context(serving(app))
        deaf = Client(await connect(url, subprotocols=[PROTOCOL], compression=None, max_queue=1))
        stack.callback(deaf.socket.transport.abort)
        await deaf.greet()
        toy.flooded.clear()
        await deaf.subscribe("subscription { flood }")
        await settled(toy.flooded)

        async with asyncio.timeout(10):
            await app.closing()
            # uvicorn by itself would wait for the client for good.
            await server.aclose()


# What stands before operations


class Gate(OpenGate):
    """Ends what it let begin when it is told to, and notes who left."""

    def __init__(self):
        self.revoked = asyncio.get_running_loop().create_future()
        self.left = []

    def enter(self, commands):
        if "echo" in commands:
            raise Busy

    def leave(self, commands):
        self.left.append(set(commands))

    @contextmanager
    def follow(self, commands):
        if "count" in commands:
            raise Busy
        try:
            yield self.revoked
        finally:
            self.left.append(set(commands))


async def test_a_subscription_that_is_revoked_ends_with_the_reason_and_its_socket_stays_open():
    toy.stopped.clear()
    gate = Gate()
    app = GraphQLApp(toy.schema, context_for=toy.context_for, gate=gate)
    async with serving(app) as url, connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        await client.subscribe("subscription { forever }")
        assert (await client.hear())["type"] == "next"
        assert (await client.all_of("{ ping }", "2"))[-1]["type"] == "complete"

        gate.revoked.set_result(Busy())
        ended = await client.hear()
        await until(lambda: toy.stopped == ["forever"])
        answered = await client.all_of("{ ping }", "3")

    assert (ended["type"], ended["id"]) == ("error", "1")
    assert [error["extensions"]["code"] for error in ended["payload"]] == ["BUSY"]
    assert answered[0]["payload"] == {"data": {"ping": "pong"}}
    assert gate.left == [{"ping"}, {"forever"}, {"ping"}]


@pytest.mark.parametrize("text", ["{ echo(number: 1) }", "subscription { count }"])
async def test_what_the_gate_refuses_never_begins_and_ends_nothing_else(text):
    app = GraphQLApp(toy.schema, context_for=toy.context_for, gate=Gate())
    async with serving(app) as url, connect(url, subprotocols=[PROTOCOL]) as socket:
        client = Client(socket)
        await client.greet()
        (refused,) = await client.all_of(text)
        answered = await client.all_of("{ ping }")

    assert refused["type"] == "error"
    assert [error["extensions"]["code"] for error in refused["payload"]] == ["BUSY"]
    assert answered[-1]["type"] == "complete"
