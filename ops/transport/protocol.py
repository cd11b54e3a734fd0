"""Websockets as uvicorn carries them, except that one which does not end by itself is cut."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

CUT_SECONDS = 2.0
"""How long a server that stops lets what was written go out; a client that does not read would hold it for good."""


class Protocol(WebSocketsSansIOProtocol):
    """A websocket that is gone a moment after the server stops."""

    def shutdown(self) -> None:
        """Close it in good order, and cut it if the other side does not take part."""
        super().shutdown()
        self.loop.call_later(CUT_SECONDS, self.transport.abort)
