"""The short way of plain requests: it answers as the usual way does, and leaves to that what is not plain."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from ops import wire
from ops.transport import GraphQLApp
from ops.transport.http import GRAPHQL
from ops.transport.operations import BODIES_KEPT_BYTES_MAX, OpenGate
from tests.media.site import SECONDS, START_SECONDS, Heard, heard
from tests.ops import toy

CORS = {"allow_origins": ["https://good.example"], "allow_methods": ["POST"], "expose_headers": ["x-request-id"]}
USUAL = {"content-encoding": "identity"}
"""Says nothing, but too much for the short way."""


class Site:
    """A server, and which of its requests went the usual way."""

    def __init__(self, app, server, port):
        self.app, self.server, self.port = app, server, port
        self.usual = 0

    async def says(self, *pieces: bytes, answers: int = 1) -> list[Heard]:
        """Send bytes piece by piece over one connection, and read what comes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                # The server has read a piece before it answers something else.
                await self.ask("{ ping }") if len(pieces) > 1 else None
            async with asyncio.timeout(SECONDS):
                return [await heard(reader) for _ in range(answers)]
        finally:
            writer.close()

    async def ask(self, query: str, **headers: str) -> Heard:
        (answer,) = await self.says(post(json.dumps({"query": query}), **headers))
        return answer


def post(body: str | bytes, **headers: str | None) -> bytes:
    content = body.encode() if isinstance(body, str) else body
    usual = {"host": "workup.test", "content-type": "application/json", "content-length": str(len(content))}
    named = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}\r\n" for name, value in named.items() if value is not None]
    return ("POST /graphql HTTP/1.1\r\n" + "".join(lines) + "\r\n").encode() + content


@asynccontextmanager
async def serving(gate=None, cors=CORS) -> AsyncIterator[Site]:
    async def context_for(caller, authorization, _commands):
        context = await toy.context_for(caller, authorization)
        context.authorization = context.authorization and f"{context.authorization} {caller.address} {caller.agent}"
        return context

    graphql = GraphQLApp(toy.schema, context_for=context_for, gate=gate)
    short = graphql.short("/graphql", cors=CORSMiddleware(graphql, **cors), trusted_proxies="127.0.0.1,10.0.0.0/8")

    @asynccontextmanager
    async def lifespan(_):
        yield wire.state(lambda *_: None, short)

    async def count(scope, receive, send):
        site.usual += scope["type"] == "http"
        await app(scope, receive, send)

    app = Starlette(
        routes=[Route("/graphql", graphql)], lifespan=lifespan, middleware=[Middleware(CORSMiddleware, **cors)]
    )
    config = uvicorn.Config(
        count, http=wire.Protocol, log_config=None, server_header=False, forwarded_allow_ips="127.0.0.1,10.0.0.0/8"
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    site = Site(graphql, server, listener.getsockname()[1])
    task = asyncio.create_task(server._serve([listener]))
    while not server.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(START_SECONDS)
    yield site
    server.should_exit = True
    await task


@pytest.fixture
async def site():
    async with serving() as site:
        yield site


def told(answer: Heard) -> tuple[object, ...]:
    """All that an answer says, but for what is another each time."""
    body = json.loads(answer.body) if answer.body else None
    for error in (body or {}).get("errors", ()):
        error["extensions"].pop("reference", None)
    dropped = {"date", "x-request-id", "content-length"}
    return answer.status, {name: value for name, value in answer.headers.items() if name not in dropped}, body


PING = json.dumps({"query": "{ ping }"})


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PING, {}),
        (PING, {"accept": GRAPHQL}),
        (PING, {"accept": "*/*", "content_type": "application/json; charset=utf-8"}),
        (PING, {"x_request_id": "mine-1"}),
        (PING, {"x_request_id": "<b>"}),
        (PING, {"origin": "https://good.example"}),
        (PING, {"origin": "https://good.example", "cookie": "a=b"}),
        (PING, {"origin": "https://bad.example"}),
        (json.dumps({"query": "mutation { __typename }"}), {}),
        (json.dumps({"query": "query One($n: Int!) { echo(number: $n) }", "variables": {"n": 7}}), {}),
        (json.dumps({"query": "query One($n: Int!) { echo(number: $n) }"}), {"accept": GRAPHQL}),
        (json.dumps({"query": "{ token }"}), {"authorization": "Bearer x", "user_agent": "tests"}),
        (json.dumps({"query": "{ token }"}), {"authorization": "Bearer x", "x_forwarded_for": "1.2.3.4, 10.0.0.7"}),
        (json.dumps({"query": "{ token }"}), {"authorization": "Bearer x", "x_forwarded_for": "1.2.3.4, 5.6.7.8"}),
        (PING, {"authorization": "Bearer bad"}),
        (PING, {"authorization": "Bearer busy", "accept": GRAPHQL}),
        (PING, {"authorization": "Bearer bug"}),
        (json.dumps({"query": "{ broken }"}), {}),
        (json.dumps({"query": "{ refused }"}), {}),
        (json.dumps({"query": "{"}), {"accept": GRAPHQL}),
        (json.dumps({"query": "subscription { count(to: 1) }"}), {}),
        ("", {}),
        ("5", {}),
        ("[]", {}),
        ("{", {}),
        ("[" * 100 + "]" * 100, {}),
        (b"\xff\xfe", {}),
    ],
)
async def test_both_ways_answer_alike(site, body, headers):
    (short,) = await site.says(post(body, **headers))
    assert site.usual == 0
    (usual,) = await site.says(post(body, **headers, **USUAL))
    assert site.usual == 1

    assert told(short) == told(usual)
    given = headers.get("x_request_id", "<b>") != "<b>"
    assert (short.headers["x-request-id"] == usual.headers["x-request-id"]) == given
    assert int(short.headers["content-length"]) == len(short.body)


@pytest.mark.parametrize(
    "request_",
    [
        post(PING, content_type="text/plain"),
        post(PING, content_type=None),
        post(PING, accept="text/csv"),
        post(PING, content_encoding="gzip"),
        post(PING, connection="close"),
        post(PING).replace(b"HTTP/1.1", b"HTTP/1.0"),
        post(PING).replace(b"/graphql", b"/graphql?a=b"),
        post(PING).replace(b"host:", b"authorization: Bearer x\r\nauthorization: Bearer y\r\nhost:"),
        post(json.dumps({"query": "{ ping }" + " " * wire.BODY_BYTES_MAX})),
        b"GET /graphql HTTP/1.1\r\nhost: workup.test\r\n\r\n",
    ],
)
async def test_what_is_not_plain_goes_the_usual_way(site, request_):
    assert len(await site.says(request_)) == 1
    assert site.usual == 1


async def test_what_comes_in_pieces_goes_the_usual_way(site):
    whole = post(PING)
    for at in (10, len(whole) - len(PING), len(whole) - 5):
        before = site.usual
        (answer,) = await site.says(whole[:at], whole[at:])

        assert answer.body == b'{"data":{"ping":"pong"}}'
        assert site.usual - before == (at > len(whole) - len(PING) - 1)


async def test_one_connection_carries_one_after_the_other(site):
    three = [post(json.dumps({"query": f"{{ echo(number: {number}) }}"})) for number in range(3)]

    answers = await site.says(b"".join(three), answers=3)

    assert [json.loads(answer.body)["data"]["echo"] for answer in answers] == [0, 1, 2]


async def test_what_is_known_of_the_schema_is_answered_at_once_and_written_down(site, capsys):
    query = "query Known { __schema { queryType { name } } }"
    first = await site.ask(query)
    capsys.readouterr()

    again = await site.ask(query, x_request_id="mine-2")
    written = capsys.readouterr().err
    hers = await site.ask(query, authorization="Bearer x")

    assert told(first) == told(again) == told(hers)
    assert again.headers["x-request-id"] == "mine-2"
    assert written.count("operation=Known") == 1
    assert "request_id=mine-2" in written


async def test_a_bad_token_is_refused_whatever_is_asked(site):
    query = "{ __schema { queryType { name } } }"
    await site.ask(query)

    assert (await site.ask(query, authorization="Bearer bad")).status == 401


async def test_bodies_are_remembered_up_to_a_bound_and_judged_by_the_limits_of_now(site):
    long = " " * 10_000
    for number in range(100):
        await site.ask(f"{{ echo(number: {number}) }}{long}")
    operations = site.app._operations
    assert sum(map(len, operations._bodies)) == operations._bodies_bytes <= BODIES_KEPT_BYTES_MAX

    site.app.limits = replace(site.app.limits, document_bytes=10)
    (refused,) = json.loads((await site.ask("{ echo(number: 99) }" + long)).body)["errors"]

    assert refused["extensions"]["code"] == "TOO_COSTLY"


async def test_a_mutation_is_read_anew_each_time(site):
    await site.ask("mutation { __typename }")

    assert not site.app._operations._bodies


async def test_a_gate_stands_on_the_short_way_too():
    class Gate(OpenGate):
        inside = 0

        def enter(self, _commands):
            self.inside += 1

        def leave(self, _commands):
            self.inside -= 1
            self.passed = True

    async with serving(gate := Gate()) as site:
        await site.ask("{ ping }")

    assert site.usual == 0
    assert gate.passed
    assert gate.inside == 0


class SlowGate(OpenGate):
    """Lets in whoever it is, when it is told to."""

    def __init__(self):
        self.entered, self.go, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def enter(self, _commands):
        self.entered.set()
        return self.go.wait()

    def leave(self, _commands):
        self.left.set()


async def test_a_server_that_stops_answers_what_it_began():
    async with serving(gate := SlowGate()) as site:
        asking = asyncio.create_task(site.ask("{ ping }"))
        await gate.entered.wait()
        site.server.should_exit = True
        gate.go.set()
        answer = await asking

    assert answer.body == b'{"data":{"ping":"pong"}}'


async def test_who_hangs_up_does_not_end_a_mutation():
    toy.poked.clear()
    async with serving(gate := SlowGate()) as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(post(json.dumps({"query": "mutation { poke }"})))
        await gate.entered.wait()
        writer.close()
        await writer.wait_closed()
        gate.go.set()
        async with asyncio.timeout(SECONDS):
            await gate.left.wait()

    assert len(toy.poked) == 1
