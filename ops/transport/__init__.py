"""How a schema is spoken to: GraphQL over HTTP and over websockets, at one address."""

import asyncio
from collections.abc import Sequence

import strawberry
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.http.websocket_origin import normalize_allowed_origins

from ops.transport.http import HTTP, ContextFor, Page, Recall, RecallToWrite
from ops.transport.operations import Gate, Operations
from ops.transport.record import REQUEST_ID, Observe, request_id
from ops.transport.short import Short
from ops.transport.websocket import RESTARTING, ExpiresAt, Socket, context_expires_at, origin_allowed
from schema.limits import Limits


class GraphQLApp:
    """An ASGI application around a schema; `ops.app` supplies everything it does not know.

    `context_for` makes the context of one operation, or refuses by raising something with `extensions["code"]`
    (and `expired` if a token was good once). `gate` stands before every operation. `observe` hears how each
    went. `page` is for people who come with a browser. Over HTTP, an operation that selects nothing but `open_fields`
    is nobody's, whatever token comes with it. `recall` makes a context of what is remembered, for reads that see for
    themselves whether it is true.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        context_for: ContextFor,
        page: Page | None = None,
        limits: Limits | None = None,
        origins: Sequence[str] = (),
        introspection: bool = True,
        compiled: bool = True,
        gate: Gate | None = None,
        observe: Observe | None = None,
        expires_at: ExpiresAt = context_expires_at,
        open_fields: Sequence[str] = (),
        recall: Recall | None = None,
        recall_to_write: RecallToWrite | None = None,
    ) -> None:
        self._operations = Operations(
            schema, limits or Limits(), introspection=introspection, gate=gate, compiled=compiled
        )
        self._http = HTTP(self._operations, context_for, page, observe, frozenset(open_fields), recall, recall_to_write)
        self._context_for = context_for
        self._observe = observe
        self._expires_at = expires_at
        self._origins = normalize_allowed_origins(origins)
        self._sockets: set[Socket] = set()
        self._closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request or one websocket."""
        if scope["type"] == "http":
            response = await self._http.respond(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await self._attend(WebSocket(scope, receive, send))

    def short(self, target: str, *, cors: CORSMiddleware | None = None, trusted_proxies: str = "") -> Short:
        """What answers the plain requests to this address, where uvicorn lets it; to the same effect."""
        return Short(self._http, target, cors, trusted_proxies)

    @property
    def limits(self) -> Limits:
        """What one operation may ask for; may be set while running."""
        return self._operations.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._operations.limit(limits)

    @property
    def sockets(self) -> int:
        """How many websockets are open."""
        return len(self._sockets)

    @property
    def running(self) -> int:
        """How many operations run on them."""
        return sum(socket.load for socket in self._sockets)

    async def closing(self) -> None:
        """Take no new websockets, end the operations on those there are, and close them with 1012.

        Mutations are waited for, and one client that does not read delays nothing for long.
        """
        self._closing = True
        await asyncio.gather(*(socket.restart() for socket in self._sockets), return_exceptions=True)

    async def _attend(self, websocket: WebSocket) -> None:
        if not origin_allowed(websocket.headers, self._origins):
            # Closed before it was accepted: the handshake is answered with 403.
            await websocket.close()
            return
        if self._closing:
            await websocket.accept()
            await websocket.close(RESTARTING, "Service restart")
            return
        socket = Socket(websocket, self._operations, self._context_for, self._expires_at, self._observe)
        self._sockets.add(socket)
        try:
            with request_id(websocket.headers.get(REQUEST_ID, "")):
                await socket.serve()
        finally:
            self._sockets.discard(socket)
