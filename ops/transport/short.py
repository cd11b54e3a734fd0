"""The short way of a POST that has come whole: its headers are looked at once, and the answer is a few pieces of bytes.

What is answered, and how, is `HTTP`'s business here as on the usual way, through Starlette; whatever has more to say of
itself than this understands goes there. A test asks both ways the same, and compares what comes back.
"""

from collections.abc import Awaitable, Iterable
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

import structlog
from starlette.datastructures import Headers as StarletteHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ops.transport.http import HEADERS_KEPT_MAX, HTTP, OFFERS, Caller, Reply, acceptable, headers_of, is_plain_json
from ops.transport.record import REQUEST_ID, decent_id
from ops.wire import Headers, Ready

UNUSUAL = b"content-encoding"
"""Whoever says this goes the usual way."""

KNOWN = {
    name: at
    for at, name in enumerate(
        (
            b"content-type",
            b"accept",
            b"authorization",
            REQUEST_ID.encode(),
            b"user-agent",
            b"origin",
            b"x-forwarded-for",
        )
    )
}
"""What is looked at."""

NOTHING_KNOWN = (None,) * len(KNOWN)

SAID_KEPT_MAX = 500
"""Whoever asks again says the same of herself, but for how long her body is."""


class _Said(NamedTuple):
    """What the headers of a request come to."""

    media: str
    caller: Caller
    authorization: str | None
    given: str
    """The caller's id for the request, if there is one."""
    more: bytes
    """Headers that an answer to a page of this origin has."""


class Short:
    """Answers POSTs to the address of the API."""

    def __init__(self, http: HTTP, target: str, cors: CORSMiddleware | None, trusted_proxies: str) -> None:
        self.target = target.encode()
        self._http = http
        self._cors = cors
        self._trusted = ProxyHeadersMiddleware(_nobody, trusted_proxies).trusted_hosts
        self._allowing = lru_cache(HEADERS_KEPT_MAX)(self._allowing_now)
        self._said = lru_cache(SAID_KEPT_MAX)(self._said_now)

    def answer(self, headers: Headers, body: bytes, address: str | None) -> Ready | Awaitable[Ready] | None:
        """Answer at once, or begin to, or leave it to the usual way."""
        said = self._said(address, tuple(headers))
        if said is None:
            return None
        media, caller, authorization, given, more = said
        chosen = decent_id(given)
        if authorization is None and (known := self._http.operations.known(body)) is not None:
            # It stays bound to the connection, whose next request binds its own.
            structlog.contextvars.bind_contextvars(request_id=chosen)
            return _ready(self._http.at_once(known, media), chosen, more)
        return self._answer(body, media, caller, authorization, chosen, more)

    def _said_now(self, address: str | None, headers: tuple[tuple[bytes, bytes], ...]) -> "_Said | None":
        """What headers say, if there is nothing unusual among them."""
        said: list[bytes | None] = [*NOTHING_KNOWN]
        for name, value in headers:
            at = KNOWN.get(name)
            if at is None:
                if name == UNUSUAL:
                    return None
            elif said[at] is not None:
                return None
            else:
                said[at] = value
        kind, accept, authorization, given, agent, origin, forwarded = said
        media = _media(kind or b"", accept or b"")
        if media is None:
            return None
        more = self._allowing(origin) if self._cors else b""
        if forwarded is not None and address is not None:
            address = self._beyond(address, forwarded)
        caller = Caller(address or "", (agent or b"").decode("latin-1"))
        told = None if authorization is None else authorization.decode("latin-1")
        return _Said(media, caller, told, (given or b"").decode("latin-1"), more)

    async def _answer(
        self, body: bytes, media: str, caller: Caller, authorization: str | None, chosen: str, more: bytes
    ) -> Ready:
        # In a task of its own, so there is nobody to take it back for.
        structlog.contextvars.bind_contextvars(request_id=chosen)
        return _ready(await self._http.operate(body, media, caller, authorization), chosen, more)

    def _allowing_now(self, origin: bytes | None) -> bytes:
        """What the middleware adds to an answer for a page of this origin."""
        assert self._cors is not None
        message: Message = {"type": "http.response.start", "headers": []}
        asked = StarletteHeaders(raw=[] if origin is None else [(b"origin", origin)])
        with suppress(StopIteration):
            # It waits for nothing.
            self._cors.send(message, _nobody, asked).send(None)
        return b"".join(b"%s: %s\r\n" % line for line in message["headers"])

    def _beyond(self, address: str, forwarded: bytes) -> str:
        """Who is behind a proxy, if it is one that is believed."""
        if address not in self._trusted:
            return address
        return self._trusted.get_trusted_client_address(forwarded.decode("latin-1"))[0] or address


async def _nobody(*_: object) -> None:
    """Stand where an application would."""


@lru_cache(maxsize=HEADERS_KEPT_MAX)
def _media(kind: bytes, accept: bytes) -> str | None:
    """How to answer a body of this type; nothing if there is something to be refused."""
    if not is_plain_json(kind.decode("latin-1")):
        return None
    return acceptable(accept.decode("latin-1"), OFFERS)


def _lines(headers: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name.lower()}: {value}\r\n" for name, value in headers).encode("latin-1")


def _ready(reply: Reply, chosen: str, more: bytes) -> Ready:
    head = b"%scontent-length: %d\r\nx-request-id: %s\r\n%s"
    return head % (_head(reply), sum(map(len, reply.body)), chosen.encode(), more), *reply.body


def _head(reply: Reply) -> bytes:
    if reply.status == HTTPStatus.OK and not reply.more:
        return _usual_head(reply.media)
    status = HTTPStatus(reply.status)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() + _lines(headers_of(reply))


@lru_cache(maxsize=len(OFFERS))
def _usual_head(media: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + _lines(headers_of(Reply((), media)))
