"""What the payment provider meets over HTTP, and what the sandbox says and sends."""

import asyncio
from datetime import timedelta

import httpx
import orjson
import pytest
import uvicorn
from starlette.applications import Starlette

import resolvers.transfers
from models.base import uuid7
from models.money import Money
from models.transfers import Answer, Order, Outcome, TransferKind, TransferState
from ops.app import wall_clock
from ops.payments import BODY_BYTES_MAX, SIGNATURE, BadNews, News, Till, must_be_signed, signed
from ops.sandbox import STORIES, Sandbox
from tests import make

SECRET = b"a secret that the provider knows"
PATH = "/payments/webhook"
SECONDS = 10.0


@pytest.fixture
def till(house):
    return Starlette(routes=Till(house.context, house.clock, SECRET).routes())


@pytest.fixture
async def send(till, clock):
    """Send a webhook as the provider does, unless said otherwise; the status, and what was said."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(till), base_url="http://till") as client:

        async def run(body, *, signature=None, secret=SECRET, ago=timedelta()):
            given = signed(secret, body, at=clock() - ago) if signature is None else signature
            answer = await client.post(PATH, content=body, headers={SIGNATURE: given} if given else {})
            return answer.status_code, answer.json()

        yield run


@pytest.fixture
async def transfer(as_, people):
    """A deposit that the provider has, and that is not decided."""
    words = make.transfer_words(method="sandbox-delay")
    return await resolvers.transfers.deposit(as_(people.client), words=words, key="k")


def body(about, said=Outcome.SUCCEEDED, **more):
    news = News(about.id, Answer(said, about.reference, None, about.order.money))
    return orjson.dumps(news.written() | more)


async def test_a_webhook_is_taken_once_and_answered_the_same_the_second_time(send, transfer, stored, count_rows):
    assert await send(body(transfer)) == (200, {"success": True})
    before = await count_rows()

    assert await send(body(transfer)) == (200, {"success": True})
    assert await send(body(transfer, Outcome.PENDING)) == (200, {"success": True})
    assert await count_rows() == before
    assert (await stored(transfer)).state is TransferState.SUCCEEDED


async def test_many_webhooks_at_once_are_one(send, transfer, count_rows):
    before = (await count_rows())["journals"]

    answers = await asyncio.gather(*(send(body(transfer)) for _ in range(20)))

    assert answers == [(200, {"success": True})] * 20
    assert (await count_rows())["journals"] == before + 1


@pytest.mark.parametrize(
    "signature",
    ["", "x", "t=1", "v1=" + "0" * 64, "t=1,v1=" + "0" * 64, "t=-1,v1=" + "0" * 64, "t=1,v1=" + "G" * 64],
)
async def test_what_is_not_signed_is_not_believed(signature, send, transfer, stored):
    status, said = await send(body(transfer), signature=signature)

    assert (status, said["success"]) == (400, False)
    assert (await stored(transfer)).state is TransferState.SUBMITTED


async def test_a_signature_is_of_one_body_by_one_secret(send, transfer, stored, clock):
    other = signed(SECRET, body(transfer, Outcome.FAILED), at=clock())

    assert (await send(body(transfer), signature=other))[0] == 400
    assert (await send(body(transfer), secret=SECRET + b"!"))[0] == 400
    assert (await stored(transfer)).state is TransferState.SUBMITTED


@pytest.mark.parametrize("minutes", [-6, -5.1, 5.1, 6, 1_000_000])
async def test_what_was_signed_long_ago_or_is_of_the_future_is_refused(minutes, send, transfer, stored):
    assert (await send(body(transfer), ago=timedelta(minutes=minutes)))[0] == 400
    assert (await stored(transfer)).state is TransferState.SUBMITTED


@pytest.mark.parametrize("minutes", [-4, 0, 4])
async def test_clocks_need_not_agree_to_the_second(minutes, send, transfer):
    assert (await send(body(transfer), ago=timedelta(minutes=minutes)))[0] == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"transfer": "0"},
        {"transfer": None},
        {"transfer": 5},
        {"outcome": "UNKNOWN"},
        {"outcome": "DONE"},
        {"outcome": None},
        {"cents": "10000"},
        {"cents": 100.0},
        {"cents": None},
        {"cents": True},
        {"currency": "EUR"},
        {"reference": 5},
        {"reference": ""},
        {"reference": "x" * 501},
        {"reason": ["x"]},
        {"reason": "a\u0000b"},
    ],
)
async def test_what_is_no_webhook_is_refused_although_it_is_signed(wrong, send, transfer, stored):
    assert (await send(body(transfer, **wrong)))[0] == 400
    assert (await stored(transfer)).state is TransferState.SUBMITTED


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"5", b"null", b'"x"', b"{}", b"\xff", b"[" * 5_000])
async def test_what_is_no_object_is_refused(text, send):
    assert (await send(text))[0] == 400


async def test_a_long_body_is_refused_before_it_is_read(send):
    status, said = await send(b" " * (BODY_BYTES_MAX + 1))

    assert (status, said["reason"]) == (400, "This is too long for a webhook.")


@pytest.mark.usefixtures("house")
async def test_a_transfer_that_is_not_there_is_said_so(send):
    unknown = make.transfer(make.client())

    assert (await send(body(unknown)))[0] == 404


async def test_another_amount_or_reference_changes_nothing(send, transfer, stored):
    for wrong in ({"cents": 1}, {"reference": "another"}):
        assert (await send(body(transfer, **wrong)))[0] == 409
    assert (await stored(transfer)).state is TransferState.SUBMITTED


async def test_webhooks_are_posted(till):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(till), base_url="http://till") as client:
        assert (await client.get(PATH)).status_code == 405


def test_the_time_is_no_secret_to_be_found_out_without_the_key():
    now = wall_clock()
    late = signed(b"another secret", b"{}", at=now - timedelta(days=1))

    with pytest.raises(BadNews, match="not right"):
        must_be_signed(SECRET, late, b"{}", at=now)


class Still:
    """A clock that stands."""

    def __init__(self):
        self.now = wall_clock()

    def __call__(self):
        return self.now


def order(method, at, kind=TransferKind.DEPOSIT):
    return Order(uuid7(), kind, Money(100_00), method, at, None)


def sandbox(clock, otherwise="succeed", webhook="http://nowhere.invalid", seconds=60.0):
    return Sandbox(otherwise, timedelta(seconds=seconds), clock, wall_clock, webhook, SECRET)


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("kind", TransferKind)
async def test_the_sandbox_does_as_it_is_told_and_every_sandbox_alike(name, kind):
    clock = Still()
    one, other = sandbox(clock), sandbox(clock, otherwise=name)
    orders = [order(f"sandbox-{name}", clock.now, kind), order("card", clock.now, kind)]

    first = [(await one.submit(orders[0])).outcome, (await other.submit(orders[1])).outcome]
    again = [(await other.submit(orders[0])).outcome, (await other.ask(orders[0])).outcome]
    clock.now += timedelta(seconds=60)
    last = [(await one.ask(orders[0])).outcome, (await other.ask(orders[1])).outcome]
    for each in (one, other):
        await each.close()

    assert first == again == [STORIES[name].first] * 2
    assert last == [STORIES[name].last] * 2


async def test_an_answer_names_the_amount_and_always_the_same_reference():
    clock = Still()
    made = order("sandbox-succeed", clock.now)

    answers = [await sandbox(clock).submit(made), await sandbox(clock).ask(made)]

    assert answers[0] == answers[1]
    assert (answers[0].money, answers[0].reference) == (made.money, f"sandbox-{made.id.hex}")


@pytest.fixture
async def site(till):
    """The till on a real port."""
    server = uvicorn.Server(uvicorn.Config(till, port=0, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(SECONDS):
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}{PATH}"
    server.should_exit = True
    await task


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("delay", TransferState.SUCCEEDED),
        ("delayed-failure", TransferState.FAILED),
        ("repeat", TransferState.SUCCEEDED),
    ],
)
async def test_the_sandbox_tells_over_http_what_has_become_of_an_order(name, state, site, house, as_, people, stored):
    made = await resolvers.transfers.deposit(
        as_(people.client), words=make.transfer_words(method=f"sandbox-{name}"), key="k"
    )
    assert made.state is TransferState.SUBMITTED

    teller = sandbox(house.clock, webhook=site, seconds=0.01)
    await teller.submit(Order(**{**vars_of(made.order), "requested_at": house.clock()}))
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*teller._telling)

    assert (await stored(made)).state is state


def vars_of(order):
    return {name: getattr(order, name) for name in order.__slots__}


async def test_a_sandbox_that_is_closed_tells_nobody_anything(site, house, transfer, stored):
    teller = sandbox(house.clock, webhook=site, seconds=3_600)
    await teller.submit(Order(**{**vars_of(transfer.order), "requested_at": house.clock()}))
    (task,) = teller._telling

    await teller.close()

    assert task.cancelled()
    assert (await stored(transfer)).state is TransferState.SUBMITTED
