"""GraphQL over websockets: the graphql-transport-ws protocol, and no other.

    https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md

        greeting ──connection_init──► attending ──token expires──► closed 4401
           │                              │
           └──10 s──► closed 4408         └──server stops──► closed 1012

Each operation has a task and a context of its own, made from the socket's Authorization when it begins: a token
that was revoked meanwhile begins nothing. When the context cannot be made just now, the greeting closes with 1013,
and an operation that wanted to begin ends with an error of its own. A mutation that has begun is finished whoever
hangs up, as over HTTP; a server that stops waits for it and sends its answer.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import orjson
import structlog
from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.http.websocket_origin import is_same_origin, normalize_origin

from models.errors import Refusal
from ops.transport.asked import Asked, asked, read_json
from ops.transport.errors import RATE_LIMITED, Rejected, code_of, present, rejected, retry_after
from ops.transport.http import Caller, ContextFor
from ops.transport.operations import Operation, Operations
from ops.transport.record import Observe, Record, recorded
from resolvers.hub import GoingAway

log = structlog.get_logger(__name__)

PROTOCOL = "graphql-transport-ws"
GREETING_SECONDS_MAX = 10
SEND_SECONDS_MAX = 30
"""A client that does not read for so long is gone."""
CLOSE_SECONDS_MAX = 2
"""How long a client may take to hear that it is over."""
FINISH_SECONDS_MAX = 10
"""How long a server that stops waits for the mutations of a socket; uvicorn's own patience comes after it."""
ID_CHARS_MAX = 200
REASON_BYTES_MAX = 123
"""What fits into a close frame."""

RESTARTING = 1012
TRY_AGAIN_LATER = 1013
BROKEN = 1011
MALFORMED = 4400
UNAUTHORIZED = 4401
FORBIDDEN = 4403
SUBPROTOCOL_NOT_ACCEPTABLE = 4406
GREETING_TIMED_OUT = 4408
ID_TAKEN = 4409
GREETED_TWICE = 4429

Message: TypeAlias = dict[str, Any]

ExpiresAt: TypeAlias = Callable[[Any], datetime | None]
"""Reads from a context when its token ends."""


class Hangup(Exception):
    """The socket is to be closed, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def context_expires_at(context: Any) -> datetime | None:
    """Read `context.expires_at`, where there is one."""
    found = getattr(context, "expires_at", None)
    return found if isinstance(found, datetime) else None


def origin_allowed(headers: Mapping[str, str], origins: frozenset[str]) -> bool:
    """Tell whether this page may open a socket here. Only browsers say where they are, and they always do."""
    origin = headers.get("origin")
    if origin is None or "*" in origins:
        return True
    return is_same_origin(origin, headers.get("host")) or normalize_origin(origin) in origins


@dataclass(slots=True, eq=False)
class Running:
    """An operation on a socket, under the id that the client gave it."""

    name: str
    ask: Asked
    operation: Operation | None = None
    task: asyncio.Task[None] | None = None

    @property
    def must_finish(self) -> bool:
        """Whether it is a mutation: those are finished once they have begun."""
        return self.operation is not None and self.operation.kind is OperationType.MUTATION


@dataclass(slots=True, eq=False)
class Socket:
    """One client's connection, from handshake to close."""

    websocket: WebSocket
    operations: Operations
    context_for: ContextFor
    expires_at: ExpiresAt
    observe: Observe | None
    running: dict[str, Running] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """Of all that runs."""
    _abandoned: set[asyncio.Task[None]] = field(default_factory=set)
    """Of mutations that nobody waits for any more."""
    _authorization: str | None = None
    _restarting: bool = False
    _closed: bool = False

    @property
    def load(self) -> int:
        """How many operations run; to give up the id of a mutation does not end it."""
        return len(self.running) + len(self._abandoned)

    async def serve(self) -> None:
        """Accept the socket and speak the protocol until somebody hangs up."""
        if PROTOCOL not in self.websocket.scope["subprotocols"]:
            await self.websocket.accept()
            await self.websocket.close(SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
            return
        await self.websocket.accept(PROTOCOL)
        try:
            await self._attend(await self._greeted())
        except Hangup as hangup:
            await self.hang_up(hangup.code, hangup.reason)
        except WebSocketDisconnect:
            self._closed = True
        finally:
            await self._drop_all()

    async def restart(self) -> None:
        """End what can be begun again elsewhere, wait for the answers of mutations, and ask the client to come back."""
        self._restarting = True
        # What was asked for a moment ago begins, so that mutations are known from the rest.
        await asyncio.sleep(0)
        # Without a word: a client that is told `complete` believes it has heard all, and does not come back.
        for name in [name for name, running in self.running.items() if not running.must_finish]:
            self._drop(name)
        if finishing := [running.task for running in self.running.values() if running.task]:
            await asyncio.wait(finishing, timeout=FINISH_SECONDS_MAX)
        await self.hang_up(RESTARTING, "Service restart")

    async def hang_up(self, code: int, reason: str) -> None:
        """Close the socket, unless it is closed."""
        if self._closed:
            return
        self._closed = True
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self.websocket.close(code, reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore"))

    async def _greeted(self) -> datetime | None:
        """Wait for the client to introduce itself; answer until when it may stay."""
        try:
            async with asyncio.timeout(GREETING_SECONDS_MAX):
                while (message := await self._receive())["type"] != "connection_init":
                    await self._before_greeting(message)
                context = await self._introduced(message)
        except TimeoutError:
            raise Hangup(GREETING_TIMED_OUT, "Connection initialisation timeout") from None
        await self._send({"type": "connection_ack"})
        return self.expires_at(context)

    async def _before_greeting(self, message: Message) -> None:
        if message["type"] == "subscribe":
            raise Hangup(UNAUTHORIZED, "Unauthorized")
        await self._take(message)

    async def _introduced(self, message: Message) -> Any:
        """Find out who it is: Authorization comes in the payload, since browsers can set no header here."""
        payload = {key.lower(): value for key, value in (message.get("payload") or {}).items()}
        authorization = payload.get("authorization", self.websocket.headers.get("authorization"))
        if not isinstance(authorization, str | None):
            raise Hangup(MALFORMED, "Authorization must be a string")
        self._authorization = authorization
        try:
            return await self._context()
        except Exception as error:
            raise _hangup_for(error) from error

    async def _context(self, commands: frozenset[str] = frozenset()) -> Any:
        return await self.context_for(Caller.on(self.websocket), self._authorization, commands)

    async def _attend(self, until: datetime | None) -> None:
        """Take messages for as long as the client's token is good."""
        seconds = None if until is None else max(0.0, (until - datetime.now(UTC)).total_seconds())
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self._take(await self._receive())
        except TimeoutError:
            raise Hangup(UNAUTHORIZED, "Token expired") from None

    async def _receive(self) -> Message:
        """Wait for the next message, and see that it is one."""
        frame = await self.websocket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1005))
        text = frame.get("text")
        if text is None:
            raise Hangup(MALFORMED, "Messages are text")
        limits = self.operations.limits
        if len(text.encode()) > limits.frame_bytes:
            raise Hangup(MALFORMED, f"A message has at most {limits.frame_bytes} bytes")
        try:
            return _message(read_json(text, limits.json_depth))
        except Rejected as refusal:
            raise Hangup(MALFORMED, str(refusal)) from None

    async def _take(self, message: Message) -> None:
        match message["type"]:
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                self._drop(_id(message))
            case "ping":
                echo = {"payload": message["payload"]} if message.get("payload") else {}
                await self._send({"type": "pong", **echo})
            case "pong":
                pass
            case "connection_init":
                raise Hangup(GREETED_TWICE, "Too many initialisation requests")
            case unknown:
                raise Hangup(MALFORMED, f"Unknown message type {unknown[:50]!r}")

    async def _subscribe(self, message: Message) -> None:
        name = _id(message)
        try:
            ask = asked(message.get("payload"))
        except Rejected as refusal:
            raise Hangup(MALFORMED, str(refusal)) from None
        if name in self.running:
            raise Hangup(ID_TAKEN, f"Subscriber for {name} already exists")
        if refusals := self._refusals():
            await self._send({"type": "error", "id": name, "payload": present(refusals)})
            return
        running = self.running[name] = Running(name, ask)
        running.task = asyncio.create_task(self._operate(running))
        self._tasks.add(running.task)
        running.task.add_done_callback(self._forget)

    def _refusals(self) -> Sequence[Exception]:
        """Say why nothing more may begin here, if so."""
        most = self.operations.limits.operations_per_socket
        if self._restarting:
            return [GoingAway()]
        if self.load >= most:
            return rejected(f"One socket carries at most {most} operations at once.", RATE_LIMITED).errors
        return []

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._abandoned.discard(task)

    async def _operate(self, running: Running) -> None:
        """Run one operation to its end, and hang up if that is what its end calls for."""
        try:
            with recorded(self.observe) as record:
                await self._run(running, record)
        except Hangup as hangup:
            await self.hang_up(hangup.code, hangup.reason)
        except WebSocketDisconnect:
            self._closed = True
        except Exception as error:  # noqa: BLE001 - the last place where a client can be told
            await self._end(running, {"type": "error", "payload": present([error])})

    async def _run(self, running: Running, record: Record) -> None:
        try:
            operation = running.operation = self.operations.prepare(running.ask)
        except Rejected as refusal:
            record.outcome = "refused"
            await self._end(running, {"type": "error", "payload": present(refusal.errors)})
            return
        record.is_of(operation)
        gate = self.operations.gate
        try:
            if operation.kind is OperationType.SUBSCRIPTION:
                with gate.follow(operation.fields) as revoked:
                    await self._answer(running, record, operation, revoked)
                return
            if (room := gate.enter(operation.fields)) is not None:
                await room
        except Refusal as refusal:
            record.outcome = "refused"
            await self._end(running, {"type": "error", "payload": present([refusal])})
            return
        try:
            await self._answer(running, record, operation)
        finally:
            gate.leave(operation.fields)

    async def _answer(
        self,
        running: Running,
        record: Record,
        operation: Operation,
        revoked: "asyncio.Future[Exception] | None" = None,
    ) -> None:
        """Run what was let in, and tell what it answers."""
        try:
            context = await self._context(operation.fields)
        except Exception as error:
            record.outcome = "refused" if code_of(error) else "failed"
            if retry_after(error) is None:
                raise _hangup_for(error) from error
            await self._end(running, {"type": "error", "payload": present([error])})
            return
        async with aclosing(self.operations.listen(operation, context, revoked)) as answers:
            async for answer in answers:
                record.went(answer)
                if "data" not in answer:
                    await self._end(running, {"type": "error", "payload": answer["errors"]})
                    return
                await self._tell(running, {"type": "next", "payload": answer})
        await self._end(running, {"type": "complete"})

    async def _end(self, running: Running, message: Message) -> None:
        """Say the last word about an operation; its id is free as soon as the client can hear it."""
        if self._is_on(running):
            del self.running[running.name]
            await self._send({**message, "id": running.name})

    async def _tell(self, running: Running, message: Message) -> None:
        if self._is_on(running):
            await self._send({**message, "id": running.name})

    def _is_on(self, running: Running) -> bool:
        # The client may have dropped it and taken its id for another one.
        return self.running.get(running.name) is running

    async def _send(self, message: Message) -> None:
        text = orjson.dumps(message).decode()
        if self._closed:
            return
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self.websocket.send_text(text)
        except TimeoutError:
            raise Hangup(BROKEN, "You are not reading") from None

    def _drop(self, name: str) -> None:
        running = self.running.pop(name, None)
        if running is None or running.task is None:
            return
        if running.must_finish:
            self._abandoned.add(running.task)
        else:
            running.task.cancel()

    async def _drop_all(self) -> None:
        """Stop what can be stopped, and wait for the rest."""
        self._closed = True
        for name in list(self.running):
            self._drop(name)
        if self._tasks:
            await asyncio.wait(self._tasks)


def _message(value: Any) -> Message:
    """See that this has the form of every message; each kind looks at the rest itself."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise Hangup(MALFORMED, "A message is an object with a type")
    if not isinstance(value.get("payload"), dict | None):
        raise Hangup(MALFORMED, "A payload is an object")
    return value


def _id(message: Message) -> str:
    name = message.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= ID_CHARS_MAX:
        raise Hangup(MALFORMED, "An id is a string, and not empty")
    return name


def _hangup_for(error: Exception) -> Hangup:
    """Choose the code that says why there is no context: who it is, or that we failed to find out."""
    if getattr(error, "expired", False):
        return Hangup(UNAUTHORIZED, "Token expired")
    if retry_after(error) is not None:
        return Hangup(TRY_AGAIN_LATER, "Try again later")
    if code_of(error):
        return Hangup(FORBIDDEN, "Forbidden")
    present([error])  # for the log
    return Hangup(BROKEN, "Internal error")
