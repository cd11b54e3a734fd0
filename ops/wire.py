"""How what is asked for all the time is answered without the application being called.

uvicorn reads a request as ever. When it turns out to be a plain one for a file at hand, the answer is written at once:
no task, no scope, no messages (docs/decisions/0010-public-files.md). A plain POST that has come whole, and that whoever
answers such takes, is answered by a task of its own. Everything else goes its usual way, as an ASGI application.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast
from typing import Protocol as Form

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

STATE = "quick"
"""Where the application leaves its `Quick` in the state of its lifespan."""

SHORT = "short"
"""Where it leaves its `Short`."""

BODY_BYTES_MAX = 32_768
"""A longer body goes the usual way, which takes it in piece by piece."""

Headers: TypeAlias = list[tuple[bytes, bytes]]

Ready: TypeAlias = tuple[bytes, ...]
"""The head of an answer, but for its last lines, and the pieces of the body."""

Quick: TypeAlias = Callable[[bytes, Headers], Ready | None]
"""Given the target and the headers of a GET, the answer, if it is at hand."""


class Short(Form):
    """Answers plain POSTs to one address."""

    @property
    def target(self) -> bytes:
        """The address."""

    def answer(self, headers: Headers, body: bytes, address: str | None) -> Ready | Awaitable[Ready] | None:
        """Answer at once, or begin to, or leave it to the usual way; the address is that of whoever is connected."""


class Done(RequestResponseCycle):
    """A request that is answered already, or here, for those who look at the last one."""

    def __init__(self) -> None:
        self.response_complete = True
        self.disconnected = False
        self.keep_alive = True
        self.message_event = asyncio.Event()


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 with short ways for what is at hand and for what has come whole."""

    short: Short | None = None
    held: bytes | None = None
    """The body so far of a request that may go the short way: whether it does is known when it has come whole."""

    idle_since: float | None = None
    """When it was answered last, unless something has come since."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Know what there is."""
        super().connection_made(transport)
        self.short = self.app_state.get(SHORT)

    def data_received(self, data: bytes) -> None:
        """Take in a piece; a request that has not come whole with it goes the usual way."""
        super().data_received(data)
        if self.held is not None:
            self._go_the_usual_way()

    def on_message_begin(self) -> None:
        """Begin a request; its scope is made where one is needed."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Answer now, hold it until it is whole, or do as ever."""
        if self.short is not None and self.url == self.short.target and self._is_plain(b"POST"):
            self.held = b""
        elif not self._answered():
            self._begin_the_usual_way()

    def on_body(self, body: bytes) -> None:
        """Hold it with the rest, or do as ever."""
        if self.held is None:
            super().on_body(body)
            return
        self.held += body
        if len(self.held) > BODY_BYTES_MAX:
            self._go_the_usual_way()

    def on_message_complete(self) -> None:
        """Answer what was held, or do as ever."""
        if self.held is None:
            super().on_message_complete()
            return
        assert self.short is not None
        answer = self.short.answer(self.headers, self.held, self.client[0] if self.client else None)
        if answer is None:
            self._go_the_usual_way()
            super().on_message_complete()
            return
        self.held = None
        if isinstance(answer, tuple):
            self._answer_at_once(answer)
            return
        cycle = self.cycle = Done()
        cycle.response_complete = False
        task = self.loop.create_task(self._write(answer, cycle))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def on_response_complete(self) -> None:
        """Go on with what has come meanwhile, or wait for more."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self.idle_since = self.loop.time()
        # One timer that is moved on: one for each request would cost as much as reading it.
        if self.timeout_keep_alive_task is None:
            self._time(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Hang up, if nothing has come for so long."""
        self.timeout_keep_alive_task = None
        if self.idle_since is None:
            return
        left = self.idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._time(left)
        else:
            super().timeout_keep_alive_handler()

    def _time(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        self.idle_since = None
        if self.transport.is_closing():
            super()._unset_keepalive_if_required()

    def _begin_the_usual_way(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        # The scope has them too.
        self.headers.extend(headers)
        super().on_headers_complete()

    def _go_the_usual_way(self) -> None:
        body, self.held = self.held, None
        self._begin_the_usual_way()
        if body:
            super().on_body(body)

    async def _write(self, answer: Awaitable[Ready], cycle: Done) -> None:
        try:
            head, *body = await answer
        except Exception:
            self.logger.exception("Exception on the short way")
            self.transport.close()
            return
        if cycle.disconnected:
            return
        self._send(head if cycle.keep_alive else head + b"connection: close\r\n", *body)
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _is_plain(self, method: bytes) -> bool:
        parser, last = self.parser, cast("RequestResponseCycle | None", self.cycle)
        return (
            parser.get_method() == method
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            # One answer after the other, and only to those who take them.
            and (last is None or last.response_complete)
            and not self.expect_100_continue
            and self.limit_concurrency is None
            and not self.transport.is_closing()
            and self.transport.get_write_buffer_size() == 0
        )

    def _answered(self) -> bool:
        quick: Quick | None = self.app_state.get(STATE)
        if quick is None or not self._is_plain(b"GET"):
            return False
        answer = quick(self.url, self.headers)
        if answer is None:
            return False
        self._answer_at_once(answer)
        return True

    def _answer_at_once(self, answer: Ready) -> None:
        self._send(*answer)
        if not isinstance(self.cycle, Done):
            self.cycle = Done()
        self.on_response_complete()

    def _send(self, head: bytes, *body: bytes) -> None:
        for name, value in self.server_state.default_headers:
            head += name + b": " + value + b"\r\n"
        self.transport.writelines((head + b"\r\n", *body))


def state(quick: Quick, short: Short | None = None) -> dict[str, Any]:
    """What a lifespan yields for the short ways to be taken."""
    return {STATE: quick} if short is None else {STATE: quick, SHORT: short}
