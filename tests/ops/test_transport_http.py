"""GraphQL over HTTP, as well and as badly as clients speak it."""

import asyncio
import gzip
import json

import httpx
import pytest
import strawberry
import structlog
from starlette.responses import HTMLResponse
from strawberry.extensions import SchemaExtension

from models.errors import Busy
from ops.transport import GraphQLApp
from ops.transport.http import GRAPHQL, JSON, acceptable
from ops.transport.operations import OpenGate
from ops.transport.record import Record
from schema.limits import Limits
from tests.ops import toy

SAFE = {"x-requested-with": "tests"}


def client_of(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://workup.test")


@pytest.fixture(scope="module")
def app():
    return GraphQLApp(toy.schema, context_for=toy.context_for)


@pytest.fixture
async def client(app):
    async with client_of(app) as client:
        yield client


async def ask(client, query, *, accept=JSON, headers=(), **params):
    return await client.post("/graphql", json={"query": query, **params}, headers={"accept": accept, **dict(headers)})


def codes(response):
    return [error["extensions"]["code"] for error in response.json()["errors"]]


# What works


async def test_a_query_is_answered_in_json(client):
    response = await ask(client, "{ ping }")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.content == b'{"data":{"ping":"pong"}}'


async def test_variables_and_the_operation_name_choose_what_runs(client):
    text = "query One($n: Int!) { echo(number: $n) } query Two { ping }"

    assert (await ask(client, text, operationName="One", variables={"n": 7})).json() == {"data": {"echo": 7}}
    assert (await ask(client, text, operationName="Two")).json() == {"data": {"ping": "pong"}}


async def test_get_answers_queries(client):
    params = {"query": "query Q($n: Int!) { echo(number: $n) }", "variables": '{"n": 7}', "operationName": "Q"}

    response = await client.get("/graphql", params=params, headers=SAFE)

    assert response.json() == {"data": {"echo": 7}}


async def test_get_refuses_mutations(client):
    toy.poked.clear()

    response = await client.get("/graphql", params={"query": "mutation { poke }"}, headers=SAFE)

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert codes(response) == ["BAD_USER_INPUT"]
    assert toy.poked == []


async def test_other_methods_are_refused(client):
    for method in ("PUT", "DELETE", "HEAD", "PATCH"):
        response = await client.request(method, "/graphql")

        assert response.status_code == 405
        assert response.headers["allow"] == "GET, POST"


async def test_what_is_open_to_all_is_open_whatever_token_comes_with_it():
    app = GraphQLApp(toy.schema, context_for=toy.context_for, open_fields=("ping", "echo"))
    async with client_of(app) as open_client:
        headers = {"authorization": "Bearer bad"}

        assert "data" in (await ask(open_client, "{ ping }", headers=headers)).json()
        assert codes(await ask(open_client, "{ ping person { name } }", headers=headers)) == ["UNAUTHENTICATED"]


async def test_the_context_knows_the_authorization(client):
    response = await ask(client, "{ token }", headers={"authorization": "Bearer x"})

    assert response.json() == {"data": {"token": "Bearer x"}}


async def test_the_request_id_comes_back(client):
    assert (await ask(client, "{ ping }", headers={"x-request-id": "mine-1"})).headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize("given", ["", "with spaces", "x" * 101, "<b>"])
async def test_an_indecent_request_id_is_replaced(client, given):
    made = (await ask(client, "{ ping }", headers={"x-request-id": given})).headers["x-request-id"]

    assert made not in ("", given)


async def test_one_line_is_written_per_operation(client):
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        text = "query Mine($n: Int!) { echo(number: $n) }"
        headers = {"x-request-id": "mine-2", "authorization": "Bearer s3cret"}
        await ask(client, text, headers=headers, variables={"n": 4711})

    (line,) = lines
    assert line.pop("ms") > 0
    assert line == {
        "event": "operation", "log_level": "info", "operation": "Mine", "kind": "query",
        "outcome": "ok", "cost": 0, "request_id": "mine-2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "outcome"),
    [("{ broken }", "failed"), ("{ refused }", "refused"), ("{ nope }", "refused"), ("{", "refused")],
)
async def test_the_line_tells_how_it_went(client, query, outcome):
    with structlog.testing.capture_logs() as lines:
        await ask(client, query)

    assert lines[-1]["outcome"] == outcome


async def test_the_line_is_told_to_whoever_observes():
    heard: list[Record] = []
    app = GraphQLApp(toy.schema, context_for=toy.context_for, observe=heard.append)
    async with client_of(app) as client:
        await ask(client, "query Mine { ping }")

    (record,) = heard
    assert (record.name, record.kind, record.outcome) == ("Mine", "query", "ok")


async def test_a_browser_gets_the_page():
    app = GraphQLApp(toy.schema, context_for=toy.context_for, page=lambda: HTMLResponse("<p>GraphiQL"))
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    async with client_of(app) as client:
        assert (await client.get("/graphql", headers={"accept": browser})).text == "<p>GraphiQL"
        assert (await client.get("/graphql", headers={"accept": "*/*"})).status_code == 400
        assert (await ask(client, "{ ping }", accept=browser)).json() == {"data": {"ping": "pong"}}


async def test_introspection_works_until_it_is_turned_off(client):
    text = "{ __schema { queryType { name } } }"
    assert (await ask(client, text)).json() == {"data": {"__schema": {"queryType": {"name": "Query"}}}}

    app = GraphQLApp(toy.schema, context_for=toy.context_for, introspection=False)
    async with client_of(app) as closed:
        assert set(codes(await ask(closed, text))) == {"GRAPHQL_VALIDATION_FAILED"}
        assert "Did you mean" not in (await ask(closed, "{ pinf }")).text


# Media types and status codes


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        ("application/graphql-response+json, application/json;q=0.9", GRAPHQL),
        ("application/json;q=0.9, application/graphql-response+json;q=0.8", JSON),
        ("application/graphql-response+json, application/json", GRAPHQL),
        ("text/event-stream, application/json", JSON),
        ("application/json;q=0, */*", GRAPHQL),
        ("APPLICATION/JSON; charset=utf-8", JSON),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=much", None),
    ],
)
def test_accept_is_chosen_by_quality(accept, chosen):
    assert acceptable(accept, (JSON, GRAPHQL)) == chosen


async def test_nothing_acceptable_is_said_so(client):
    response = await ask(client, "{ ping }", accept="image/png")

    assert response.status_code == 406
    assert codes(response) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize(
    ("query", "params", "code"),
    [
        ("{", {}, "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query A { ping } query B { ping }", {}, "BAD_USER_INPUT"),
        ("query A { ping }", {"operationName": "B"}, "BAD_USER_INPUT"),
        ("query ($n: Int!) { echo(number: $n) }", {}, "BAD_USER_INPUT"),
        ("query ($n: Int!) { echo(number: $n) }", {"variables": {"n": "x"}}, "BAD_USER_INPUT"),
        ("query ($n: Int!) { echo(number: $n) }", {"variables": {"n": 2**40}}, "BAD_USER_INPUT"),
        ("fragment F on Query { ping }", {}, "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_what_never_began_has_no_data_and_the_status_of_its_media_type(client, query, params, code):
    plain = await ask(client, query, **params)
    strict = await ask(client, query, accept=GRAPHQL, **params)

    assert (plain.status_code, strict.status_code) == (200, 400)
    assert plain.json() == strict.json()
    assert set(codes(plain)) == {code}
    assert "data" not in plain.json()
    assert strict.headers["content-type"].startswith(GRAPHQL)


async def test_what_began_is_200_even_when_nothing_came_of_it(client):
    response = await ask(client, "{ brokenForGood }", accept=GRAPHQL)

    assert response.status_code == 200
    assert response.json()["data"] is None


# Errors


@pytest.mark.parametrize("query", ["{ broken }", "{ unsayable }"])
async def test_what_went_wrong_on_our_side_is_masked_and_logged(client, query):
    with structlog.testing.capture_logs() as lines:
        response = await ask(client, query)

    (error,) = response.json()["errors"]
    assert toy.SECRET not in response.text
    assert error["message"] == "Something went wrong on our side."
    assert error["path"] == [query.strip("{ }")]
    assert error["extensions"] == {"code": "INTERNAL", "reference": lines[0]["reference"]}
    assert toy.SECRET in str(lines[0]["exc_info"])


async def test_what_json_cannot_say_is_masked_too(client):
    response = await ask(client, "{ unwritable }")

    assert response.status_code == 500
    assert codes(response) == ["INTERNAL"]


async def test_a_refusal_keeps_its_words(client):
    (error,) = (await ask(client, "{ refused }")).json()["errors"]

    assert error["message"] == "Not you."
    assert error["extensions"] == {"code": "FORBIDDEN"}


async def test_a_bad_token_is_401(client):
    response = await ask(client, "{ ping }", headers={"authorization": "Bearer bad"})

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert codes(response) == ["UNAUTHENTICATED"]


@pytest.mark.parametrize("accept", [JSON, GRAPHQL])
async def test_who_may_come_back_later_is_told_when(client, accept):
    response = await ask(client, "{ ping }", accept=accept, headers={"authorization": "Bearer busy"})

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert [error["extensions"] for error in response.json()["errors"]] == [{"code": "BUSY", "retryAfterSeconds": 1}]


async def test_a_context_that_fails_is_500_and_masked(client):
    response = await ask(client, "{ ping }", headers={"authorization": "Bearer bug"})

    assert response.status_code == 500
    assert codes(response) == ["INTERNAL"]
    assert toy.SECRET not in response.text


# What stands before operations


class Gate(OpenGate):
    """Notes who passes, and lets them in as it is told to."""

    def __init__(self, room=None):
        self.passed = []
        self.room = room

    def enter(self, commands):
        self.passed.append(("in", set(commands)))
        return self.room() if self.room else None

    def leave(self, commands):
        self.passed.append(("out", set(commands)))


async def test_the_gate_is_passed_by_every_operation_with_its_commands():
    gate = Gate()
    app = GraphQLApp(toy.schema, context_for=toy.context_for, gate=gate)
    async with client_of(app) as client:
        await ask(client, "query Mine { ...F p: person { name } } fragment F on Query { people { nodes { name } } }")
        await ask(client, "mutation { poke }")
        await ask(client, "{ ping }", headers={"authorization": "Bearer bad"})
        await ask(client, "{ nowhere }")

    both = {"people", "person"}
    passed = [*gate.passed[::2], *gate.passed[1::2]]
    assert passed == [
        ("in", both),
        ("in", {"poke"}),
        ("in", {"ping"}),
        ("out", both),
        ("out", {"poke"}),
        ("out", {"ping"}),
    ]


async def test_who_has_to_wait_at_the_gate_is_answered_afterwards():
    opened = asyncio.Event()
    app = GraphQLApp(toy.schema, context_for=toy.context_for, gate=Gate(opened.wait))
    async with client_of(app) as client:
        toy.poked.clear()
        asked = asyncio.create_task(ask(client, "mutation { poke }"))
        await asyncio.sleep(0.05)
        assert toy.poked == []
        opened.set()
        assert (await asked).json() == {"data": {"poke": 1}}


async def test_the_gate_may_refuse_before_anybody_asks_who_it_is():
    def refuse():
        raise Busy

    gate = Gate(refuse)
    app = GraphQLApp(toy.schema, context_for=toy.context_for, gate=gate)
    async with client_of(app) as client:
        response = await ask(client, "{ ping }", headers={"authorization": "Bearer bad"})

    assert response.status_code == 503
    assert codes(response) == ["BUSY"]
    assert gate.passed == [("in", {"ping"})]


def test_a_schema_with_extensions_is_refused():
    extended = strawberry.Schema(toy.Query, extensions=[SchemaExtension])

    with pytest.raises(ValueError, match="do not run here"):
        GraphQLApp(extended, context_for=toy.context_for)


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"5",
        b'"{ ping }"',
        b"null",
        b"[]",
        b'[{"query": "{ ping }"}]',
        b"{}",
        b'{"query": null}',
        b'{"query": 5}',
        b'{"query": " "}',
        b'{"query": "{ ping }", "variables": "x"}',
        b'{"query": "{ ping }", "variables": [1]}',
        b'{"query": "{ ping }", "operationName": 5}',
        b'{"query": "{ ping }", "extensions": 5}',
        b'{"query": "{ ping \xff }"}',
        b'{"query": "{ ping }", "variables": {"n": NaN}}',
        b'{"query": "{ ping }", "variables": {"n": ' + b"9" * 100_000 + b"}}",
        b'{"query": "{ ping }", "variables": {"n": ' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
        b'{"query": "{ ping }", "variables": {"n": ' + b"[" * 100 + b"]" * 100 + b"}}",
        b'{"query": "\\ud800"}',
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
async def test_a_malformed_body_is_400(client, body):
    response = await client.post("/graphql", content=body, headers={"content-type": JSON})

    assert response.status_code == 400
    assert codes(response) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("variables", ["5", "[]", "{", "[" * 5_000])
async def test_malformed_variables_by_get_are_400(client, variables):
    params = {"query": "{ ping }", "variables": variables}

    assert (await client.get("/graphql", params=params, headers=SAFE)).status_code == 400


async def test_a_body_is_counted_while_it_comes(client):
    sent = []

    async def endless():
        while True:
            sent.append(1)
            yield b" " * 65_536

    response = await client.post("/graphql", content=endless(), headers={"content-type": JSON})

    assert response.status_code == 413
    assert len(sent) == 16


async def test_a_body_that_does_not_come_is_given_up(client, monkeypatch):
    monkeypatch.setattr("ops.transport.http.BODY_SECONDS_MAX", 0.01)

    async def stalled():
        yield b"{"
        await asyncio.sleep(60)

    response = await client.post("/graphql", content=stalled(), headers={"content-type": JSON})

    assert response.status_code == 408


async def test_a_compressed_body_is_415(client):
    body = gzip.compress(b'{"query": "{ ping }"}')
    headers = {"content-type": JSON, "content-encoding": "gzip"}

    assert (await client.post("/graphql", content=body, headers=headers)).status_code == 415


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql",
        "application/json; charset=utf-16", "",
    ],
)  # fmt: skip
async def test_what_is_not_json_is_415(client, kind):
    headers = {"content-type": kind, **SAFE}

    response = await client.post("/graphql", content=b'{"query": "{ ping }"}', headers=headers)

    assert response.status_code == 415
    assert codes(response) == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("kind", ["application/json;charset=utf-8", 'Application/JSON; charset="UTF-8"'])
async def test_json_may_say_that_it_is_utf_8(client, kind):
    body = '{"query": "{ ping # 🏃 \\n }"}'.encode()

    assert (await client.post("/graphql", content=body, headers={"content-type": kind})).status_code == 200


# Forged requests


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"accept": "application/json", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-mode": "cors", "origin": "http://evil.test"},
    ],
)
async def test_a_get_that_any_page_could_cause_is_refused(client, headers):
    response = await client.get("/graphql", params={"query": "{ ping }"}, headers=headers)

    assert response.status_code == 400
    assert "forged" in response.text


@pytest.mark.parametrize(
    "headers",
    [
        {"apollo-require-preflight": "true"},
        {"graphql-require-preflight": "1"},
        {"authorization": "Bearer x"},
        {"content-type": JSON},
        {"accept": GRAPHQL},
        {"sec-fetch-mode": "cors"},
    ],
)
async def test_a_get_that_no_stranger_could_cause_is_answered(client, headers):
    response = await client.get("/graphql", params={"query": "{ ping }"}, headers=headers)

    assert response.json() == {"data": {"ping": "pong"}}


# Operations that ask for too much


def doublings(count):
    spreads = "".join(
        f" fragment F{n} on Person {{ friend {{ ...F{n + 1} }} more: friend {{ ...F{n + 1} }} }}" for n in range(count)
    )
    return "{ person { ...F0 } }" + spreads + f" fragment F{count} on Person {{ name }}"


def flat_doublings(count):
    spreads = "".join(
        f" fragment F{n} on Person {{ ...F{n + 1} ... on Person {{ ...F{n + 1} }} }}" for n in range(count)
    )
    return "{ person { ...F0 } }" + spreads + f" fragment F{count} on Person {{ name }}"


HOSTILE = {
    "doublings": (doublings(25), "TOO_COSTLY"),
    "nested": ("{ person " + "{ friend " * 16 + "{ name }" + "}" * 17, "TOO_COSTLY"),
    "cycle": ("{ person { ...F } } fragment F on Person { friend { ...F } }", "GRAPHQL_VALIDATION_FAILED"),
    "short cycle": ("{ ...F } fragment F on Query { ...F }", "GRAPHQL_VALIDATION_FAILED"),
    "deep selections": ("{ person " + "{a" * 5_000 + "}" * 5_000, "TOO_COSTLY"),
    "deep selections within tokens": ("{ person " + "{a" * 600 + "}" * 600, "TOO_COSTLY"),
    "deep lists": ("{ echo(number: " + "[" * 900 + "]" * 900 + ") }", "TOO_COSTLY"),
    "deep objects": ("{ person(filter: " + "{also:" * 400 + "null" + "}" * 400 + ") { name } }", "TOO_COSTLY"),
    "deep inline fragments": ("{" + "...{" * 450 + "ping" + "}" * 451, "TOO_COSTLY"),
    "long document": ("{ ping } # " + "x" * 20_000, "TOO_COSTLY"),
    "many tokens": ("{" + "ping " * 2_001 + "}", "TOO_COSTLY"),
    "many comments": ("#\n" * 2_001 + "{ ping }", "TOO_COSTLY"),
    "repeats": ("{ person {" + "name " * 1_900 + "} }", "TOO_COSTLY"),
    "aliases": ("{" + "".join(f"a{n}: ping " for n in range(31)) + "}", "TOO_COSTLY"),
    "long number": ("{ echo(number: " + "9" * 5_000 + ") }", "GRAPHQL_VALIDATION_FAILED"),
    "long page": ("{ people(first: " + "9" * 5_000 + ") { nodes { name } } }", "GRAPHQL_VALIDATION_FAILED"),
    "pages of pages": (
        "{ people(first: 100) { nodes { people(last: 100) { nodes { name } } } } }", "TOO_COSTLY",
    ),
    "repeats in inline fragments": ("{ person {" + "... { friend { name } } " * 270 + "} }", "TOO_COSTLY"),
    "introspection of introspection": (
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }", "TOO_COSTLY",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("query", "code"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.timeout(20)  # unfolded, or followed for ever, it would not end at all
async def test_a_hostile_document_is_refused(client, query, code):
    response = await ask(client, query, accept=GRAPHQL)

    assert response.status_code == 400
    assert code in codes(response)
    assert len(response.content) < 50_000


async def test_doublings_that_unfold_to_nothing_more_are_answered(client):
    assert (await ask(client, flat_doublings(25))).json() == {"data": {"person": {"name": "Ada"}}}


async def test_a_chain_of_fragments_is_answered_or_refused_but_never_fails(client):
    for length in (10, 100, 190, 240):
        chain = "".join(f" fragment F{n} on Person {{ ...F{n + 1} }}" for n in range(length))
        text = "{ person { ...F0 } }" + chain + f" fragment F{length} on Person {{ name }}"

        response = await ask(client, text)

        assert "INTERNAL" not in response.text


async def test_too_costly_says_the_limit_and_what_was_found(client):
    text = "query ($n: Int) { people(first: $n) { edges { node { people(first: $n) { nodes { name } } } } } }"

    (error,) = (await ask(client, text, variables={"n": 200})).json()["errors"]

    assert error["extensions"] == {"code": "TOO_COSTLY", "limit": 10_000, "found": 40_401, "cost": 40_401}
    assert "40401" in error["message"]
    assert "errors" not in (await ask(client, text, variables={"n": 5})).json()


async def test_limits_may_change_while_running():
    app = GraphQLApp(toy.schema, context_for=toy.context_for)
    async with client_of(app) as client:
        assert "data" in (await ask(client, "{ person { name } }")).json()
        app.limits = Limits(depth=1)
        assert codes(await ask(client, "{ person { name } }")) == ["TOO_COSTLY"]


async def test_a_subscription_is_sent_to_the_websocket(client):
    response = await ask(client, "subscription { count }")

    assert response.status_code == 400
    assert "websocket" in response.text


async def test_documents_are_remembered_but_not_without_end(app, client):
    documents = app._operations._documents
    texts = [f"{{ ping }} # {number} " + "x" * 19_000 for number in range(40)]
    for text in texts:
        assert (await ask(client, text)).json() == {"data": {"ping": "pong"}}

    assert documents._chars == sum(map(len, documents._kept)) <= 500_000
    assert documents.read(texts[-1]) is documents.read(texts[-1])


async def test_answers_are_json_whatever_a_client_names(client):
    response = await ask(client, 'query { ping(name: "\\u2028</script>") }')

    assert json.loads(response.content)["errors"]
