"""GraphQL over HTTP: the request as it comes in, the response as it goes out.

    https://graphql.github.io/graphql-over-http/draft/

A body is believed in nothing: not its length, its encoding, its form or its depth.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import orjson
from graphql import OperationType
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response

from ops.transport.asked import asked_by_get
from ops.transport.errors import BUSY, INTERNAL, RETRY_AFTER, UNAUTHENTICATED, Rejected, present, rejected
from ops.transport.operations import Answer, Operation, Operations
from ops.transport.record import REQUEST_ID, Observe, recorded, request_id
from resolvers.context import LongWay

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
HTML = "text/html"
OFFERS = (JSON, GRAPHQL)
NO_HEADERS: Mapping[str, str] = MappingProxyType({})

BODY_SECONDS_MAX = 30
"""A body that takes longer to arrive is somebody holding the connection."""

HEADERS_KEPT_MAX = 100
"""Clients are of few kinds, and each says the same every time."""

PREFLIGHTED = (
    "authorization",
    "x-requested-with",
    "apollo-require-preflight",
    "graphql-require-preflight",
    "x-apollo-operation-name",
)
"""Headers that no page of a stranger can make a browser send without asking us first."""

NOT_PREFLIGHTED = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")

STATUSES = {
    UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    "FORBIDDEN": HTTPStatus.FORBIDDEN,
    BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
    "SERVICE_FROZEN": HTTPStatus.SERVICE_UNAVAILABLE,
    "OVERLOADED": HTTPStatus.SERVICE_UNAVAILABLE,
    INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""How HTTP says it when an operation never began for one of these reasons, whatever the media type."""


OPENING, CLOSING = b'{"data":', b"}"


class Caller(NamedTuple):
    """From where somebody calls, and with which program."""

    address: str
    agent: str

    @classmethod
    def on(cls, connection: HTTPConnection) -> "Caller":
        """Who is at the other end."""
        address = connection.client.host if connection.client else ""
        return cls(address, connection.headers.get("user-agent", ""))


ContextFor: TypeAlias = Callable[[Caller, str | None, frozenset[str]], Awaitable[Any]]
"""Makes the context of one operation from who calls, the Authorization and the commands, or refuses by raising."""

Recall: TypeAlias = Callable[[str | None], Any | None]
"""Gives one of whom the Authorization named before, if that is remembered, without asking anybody.

It is good for statements that see for themselves that it is so yet, and shared by many at once.
"""

RecallToWrite: TypeAlias = Callable[[Caller, str | None, frozenset[str]], Any | None]
"""Gives a context of its own for a mutation of somebody who is remembered, if it can do with that.

It raises `LongWay` where it cannot, and has done nothing.
"""

Page: TypeAlias = Callable[[], Response]


class Reply(NamedTuple):
    """What is sent back, before it has the form that its way out wants."""

    body: tuple[bytes, ...]
    """In pieces: what is large is not copied to be put between brackets."""
    media: str
    status: int = HTTPStatus.OK
    more: Mapping[str, str] = NO_HEADERS
    """Headers beside those that every answer has."""


@dataclass(frozen=True, slots=True)
class HTTP:
    """Answers requests."""

    operations: Operations
    context_for: ContextFor
    page: Page | None
    observe: Observe | None
    open_fields: frozenset[str]
    recall: Recall | None = None
    recall_to_write: RecallToWrite | None = None

    async def respond(self, request: Request) -> Response:
        """Answer one request, whatever it is."""
        with request_id(request.headers.get(REQUEST_ID, "")) as chosen:
            response = await self._respond(request)
            response.headers[REQUEST_ID] = chosen
            return response

    async def _respond(self, request: Request) -> Response:
        if request.method not in ("GET", "POST"):
            refusal = rejected("Use POST, or GET for queries.", status=HTTPStatus.METHOD_NOT_ALLOWED)
            return _response(_refused(refusal, JSON, {"allow": "GET, POST"}))
        offers = (JSON, GRAPHQL, HTML) if self.page and request.method == "GET" else OFFERS
        media = acceptable(", ".join(request.headers.getlist("accept")), offers)
        if media == HTML and self.page:
            return self.page()
        if media is None:
            refusal = rejected(f"We answer in {JSON} or {GRAPHQL}.", status=HTTPStatus.NOT_ACCEPTABLE)
            return _response(_refused(refusal, JSON))
        authorization = request.headers.get("authorization")
        return _response(
            await self.operate(
                self._asked(request), media, Caller.on(request), authorization, may_write=request.method == "POST"
            )
        )

    def at_once(self, known: tuple[Operation, bytes], media: str) -> Reply:
        """Answer what is known of the schema, without waiting for anybody; it calls on no service, so on no gate."""
        operation, data = known
        with recorded(self.observe) as record:
            record.is_of(operation)
            return Reply((OPENING, data, CLOSING), media)

    async def operate(
        self,
        asking: bytes | Awaitable[Operation],
        media: str,
        caller: Caller,
        authorization: str | None,
        *,
        may_write: bool = True,
    ) -> Reply:
        """Run what is being asked, or what a body asks, and write down how it went."""
        with recorded(self.observe) as record:
            try:
                operation = self.operations.read(asking) if isinstance(asking, bytes) else await asking
                record.is_of(operation)
                _must_suit(operation, may_write=may_write)
                answer = await self._pass(operation, caller, authorization)
                if isinstance(answer, bytes):
                    return Reply((OPENING, answer, CLOSING), media)
                body = orjson.dumps(answer)
            except Rejected as refusal:
                record.outcome = "refused"
                return _refused(refusal, media, _allowed(refusal))
            except Exception as error:  # noqa: BLE001 - the last place where a client can be told
                answer = {"errors": present([error])}
                body = orjson.dumps(answer)
            record.went(answer)
            if "errors" not in answer:
                return Reply((body,), media)
            return Reply((body,), media, _status(answer, media), _again(answer))

    async def _pass(self, operation: Operation, caller: Caller, authorization: str | None) -> Answer | bytes:
        """Give the answer, or the JSON of its `data` if that is all there is to it."""
        gate = self.operations.gate
        if (room := gate.enter(operation.fields)) is not None:
            await room
        try:
            # Who has an old token sends it along even when asking for a new one.
            if operation.fields <= self.open_fields:
                authorization = None
            if self.recall and operation.kind is OperationType.QUERY:
                recalled = self.recall(authorization)
                if recalled and (data := await self.operations.answered(operation, recalled)) is not None:
                    return data
            if self.recall_to_write and operation.kind is OperationType.MUTATION:
                remembered = self.recall_to_write(caller, authorization, operation.fields)
                if remembered is not None:
                    with suppress(LongWay):
                        return await self.operations.run(operation, remembered)
            context = await self.context_for(caller, authorization, operation.fields)
            return await self.operations.run(operation, context)
        finally:
            gate.leave(operation.fields)

    async def _asked(self, request: Request) -> Operation:
        operations = self.operations
        if request.method == "GET":
            _must_not_be_forged(request)
            return operations.prepare(asked_by_get(request.query_params, operations.limits.json_depth))
        _must_be_plain_json(request)
        return operations.read(await self._body(request))

    async def _body(self, request: Request) -> bytes:
        most = self.operations.limits.body_bytes
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > most:
                        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                        raise rejected(f"The body has more than {most} bytes.", status=status)
        except TimeoutError:
            raise rejected("The body took too long.", status=HTTPStatus.REQUEST_TIMEOUT) from None
        except ClientDisconnect:
            raise rejected("The caller hung up.", status=HTTPStatus.BAD_REQUEST) from None
        return bytes(body)


@lru_cache(maxsize=HEADERS_KEPT_MAX)
def acceptable(accept: str, offers: tuple[str, ...]) -> str | None:
    """Choose what the caller likes best of what we offer; ours is the order where they do not care."""
    ranges = [_media_range(text) for text in accept.split(",") if text.strip()] or [("*/*", 1.0)]
    named = [name for name, _ in ranges]
    best, chosen = (0.0, 0, 0), None
    for offer in offers:
        matches = [name for name in (offer, f"{offer.split('/')[0]}/*", "*/*") if name in named]
        if not matches:
            continue
        # The most exact of the ranges that match says how much this one is liked.
        name = matches[0]
        liked = (dict(ranges)[name], -name.count("*"), -named.index(name))
        if liked[0] > 0 and liked > best:
            best, chosen = liked, offer
    return chosen


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0


@lru_cache(maxsize=HEADERS_KEPT_MAX)
def is_plain_json(content_type: str) -> bool:
    """Whether a body of this type is JSON in UTF-8."""
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset=")]
    return kind == JSON and all(charset == "utf-8" for charset in charsets)


def _must_be_plain_json(request: Request) -> None:
    """Take JSON and nothing else: it also is what no browser sends for a stranger without a preflight."""
    if not is_plain_json(request.headers.get("content-type", "")):
        raise rejected(f"Send {JSON} in UTF-8.", status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise rejected("Send the body uncompressed.", status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def _must_not_be_forged(request: Request) -> None:
    """Refuse what any page could make its visitor's browser send: see Apollo Server's CSRF prevention."""
    headers = request.headers
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if any(name in headers for name in PREFLIGHTED) or (kind and kind not in NOT_PREFLIGHTED):
        return
    # A browser marks what a script fetches, and says the Origin of what is fetched from elsewhere.
    mode = headers.get("sec-fetch-mode")
    if mode == "cors" and "origin" not in headers:
        return
    # Images, forms, scripts and links cannot name our media types; only a script that wants no answer can.
    named = {name for name, _ in map(_media_range, headers.get("accept", "").split(","))}
    if named & {JSON, GRAPHQL} and mode != "no-cors":
        return
    message = (
        "This could be a forged request. Name our media type in Accept, or send one of the headers "
        f"{', '.join(PREFLIGHTED[1:])}."
    )
    raise rejected(message, status=HTTPStatus.BAD_REQUEST)


def _must_suit(operation: Operation, *, may_write: bool) -> None:
    if operation.kind is OperationType.SUBSCRIPTION:
        message = "Subscribe over the websocket at this address, by graphql-transport-ws."
        raise rejected(message, status=HTTPStatus.BAD_REQUEST)
    if operation.kind is OperationType.MUTATION and not may_write:
        raise rejected("Use POST for mutations.", status=HTTPStatus.METHOD_NOT_ALLOWED)


def _allowed(refusal: Rejected) -> dict[str, str]:
    return {"allow": "POST"} if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED else {}


def _refused(refusal: Rejected, media: str, more: Mapping[str, str] = NO_HEADERS) -> Reply:
    answer = {"errors": present(refusal.errors)}
    return Reply((orjson.dumps(answer),), media, refusal.status or _status(answer, media), more)


def _again(answer: Answer) -> dict[str, str]:
    """Say when to come back, if nothing began and one may."""
    if "data" in answer:
        return {}
    seconds = [error["extensions"][RETRY_AFTER] for error in answer["errors"] if RETRY_AFTER in error["extensions"]]
    return {"retry-after": str(max(seconds))} if seconds else {}


def headers_of(reply: Reply) -> list[tuple[str, str]]:
    """Everything but its length and the id of the request."""
    headers = [*reply.more.items(), ("content-type", f"{reply.media}; charset=utf-8"), ("cache-control", "no-store")]
    if reply.status == HTTPStatus.UNAUTHORIZED:
        headers.append(("www-authenticate", "Bearer"))
    return headers


def _response(reply: Reply) -> Response:
    return Response(b"".join(reply.body), reply.status, dict(headers_of(reply)))


def _status(answer: Answer, media: str) -> int:
    if "data" in answer:
        return HTTPStatus.OK
    for error in answer["errors"]:
        if status := STATUSES.get(error["extensions"]["code"]):
            return status
    return HTTPStatus.BAD_REQUEST if media == GRAPHQL else HTTPStatus.OK
