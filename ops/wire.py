"""How the few bytes that are asked for all the time leave without an application being called.

uvicorn reads a request as ever. When it turns out to be a plain one for something at hand, the answer is written at
once: no task, no scope, no messages. Everything else goes its usual way. See docs/decisions/0010-public-files.md.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

STATE = "quick"
"""Where the application leaves its `Quick` in the state of its lifespan."""

Quick: TypeAlias = Callable[[bytes, list[tuple[bytes, bytes]]], tuple[bytes, bytes] | None]
"""Given the target and the headers of a GET, the head of the answer, but for its last lines, and the body, if any."""


class Done(RequestResponseCycle):
    """A request that is answered already, for those who look at the last one."""

    def __init__(self) -> None:
        self.response_complete = True
        self.disconnected = False
        self.keep_alive = True
        self.message_event = asyncio.Event()


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 with a short way for what is at hand."""

    def on_headers_complete(self) -> None:
        """Answer now, or do as ever."""
        if not self._answered():
            super().on_headers_complete()

    def _answered(self) -> bool:
        quick: Quick | None = self.app_state.get(STATE)
        parser, last = self.parser, cast("RequestResponseCycle | None", self.cycle)
        if (
            quick is None
            or parser.get_method() != b"GET"
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or parser.should_upgrade()
            # One answer after the other, and only to those who take them.
            or (last is not None and not last.response_complete)
            or self.transport.is_closing()
            or self.transport.get_write_buffer_size() > 0
        ):
            return False
        answer = quick(self.url, self.headers)
        if answer is None:
            return False
        head, body = answer
        for name, value in self.server_state.default_headers:
            head += name + b": " + value + b"\r\n"
        self.transport.writelines((head + b"\r\n", body))
        if not isinstance(self.cycle, Done):
            self.cycle = Done()
        self.on_response_complete()
        return True


def state(quick: Quick) -> dict[str, Any]:
    """What a lifespan yields for the short way to be taken."""
    return {STATE: quick}
