"""How a request gets to a node and its answer back: HTTP/1.1 request by request, websockets as they come.

What comes in is parsed by the very parser that the nodes use, so both mean the same by it, and is sent on as it is,
with the address of whoever asks. What comes back goes out byte by byte; it is parsed only to know where it ends.
"""

import asyncio
import select
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import orjson
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

HEAD_BYTES_MAX = 65_536
NEXT_SECONDS = 60.0
"""How long a client may take until the head of its next request is in."""
CONNECT_SECONDS = 2.0
IDLE_SECONDS = 2.0
"""How long a connection to a node is kept for the next request: well below the time after which the node closes it,
so that no request is sent into a connection that is just being closed."""
IDLE_MAX = 64
REPEATABLE = {b"GET", b"HEAD", b"OPTIONS"}
REASONS = {400: "Bad Request", 431: "Request Header Fields Too Large", 501: "Not Implemented"} | {
    502: "Bad Gateway",
    503: "Service Unavailable",
}


@dataclass(eq=False)
class Node:
    """A server that requests may go to; retired ones finish what they have."""

    host: str
    port: int
    is_able: bool = True
    """Whether it took traffic when it was last tried."""
    is_retired: bool = False
    unanswered: int = 0
    """Requests that went there and whose answers have not begun to come back."""
    idle: "list[Outbound]" = field(default_factory=list)

    @property
    def address(self) -> str:
        """Host and port, which tell it from the others."""
        return f"{self.host}:{self.port}"

    def take_idle(self) -> "Outbound | None":
        """A connection that is open and has nothing to do, the last that had."""
        while self.idle:
            outbound = self.idle.pop()
            if outbound.is_usable:
                return outbound
            outbound.close()
        return None


class Fleet:
    """The nodes that take turns."""

    def __init__(self, cleared: Callable[[Node], None] = lambda _: None) -> None:
        self.nodes: dict[str, Node] = {}
        self.clients: set[Inbound] = set()
        self.is_closing = False
        self._turn = 0
        self._cleared = cleared

    def take_turn(self, but: "set[Node]") -> Node | None:
        """Whose turn it is: of those that are able, or else of all, who may know best why they are not."""
        on_duty = [node for node in self.nodes.values() if not node.is_retired and node not in but]
        candidates = [node for node in on_duty if node.is_able] or on_duty
        if not candidates:
            return None
        self._turn += 1
        return candidates[self._turn % len(candidates)]

    def have(self, places: "list[tuple[str, int]]") -> None:
        """Take exactly these nodes from now on; the others get no new requests, and it is told when they are clear."""
        wanted = {f"{host}:{port}": (host, port) for host, port in places}
        for address, (host, port) in wanted.items():
            if address not in self.nodes or self.nodes[address].is_retired:
                self.nodes[address] = Node(host, port)
        for address in self.nodes.keys() - wanted.keys():
            node = self.nodes[address]
            if not node.is_retired:
                node.is_retired = True
                self.settle(node)

    def settle(self, node: Node) -> None:
        """Let go of a retired node as soon as nothing waits for it."""
        if node.is_retired and not node.unanswered and self.nodes.get(node.address) is node:
            del self.nodes[node.address]
            for outbound in list(node.idle):
                outbound.close()
            self._cleared(node)

    def close(self) -> None:
        """Take no further requests; what has begun is finished."""
        self.is_closing = True
        for client in list(self.clients):
            client.close_if_idle()


@dataclass(eq=False)
class Exchange:
    """One request, what has not been sent of it yet, and how far its answer is."""

    method: bytes
    head: bytes
    is_chunked: bool
    is_upgrade: bool
    is_last: bool
    """Whether the client wants the connection closed afterwards."""
    is_whole: bool = False
    pieces: list[bytes] = field(default_factory=list)
    has_body: bool = False
    tried: set[Node] = field(default_factory=set)
    node: Node | None = None
    outbound: "Outbound | None" = None
    is_answered: bool = False
    times_sent: int = 0

    @property
    def may_be_sent(self) -> bool:
        """Whether to ask another node can do no harm: nothing was sent, or once what may be asked twice."""
        if not self.times_sent:
            return True
        return self.times_sent == 1 and self.method in REPEATABLE and not self.has_body and not self.is_answered


class Outbound(asyncio.Protocol):
    """A connection to a node, for one exchange after the other."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.client: Inbound | None = None
        self.exchange: Exchange | None = None
        self._transport: asyncio.Transport
        self._parser: HttpResponseParser
        self._is_complete = False
        self._is_kept = False
        self._expiry: asyncio.TimerHandle | None = None

    @property
    def is_usable(self) -> bool:
        """Whether it is open and silent; a node that has just ended has closed it, before we have heard of that."""
        if self._transport.is_closing():
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLHUP)
        return not poll.poll(0)

    def carry(self, client: "Inbound", exchange: Exchange) -> None:
        """Send a request, as far as it is there."""
        if self._expiry is not None:
            self._expiry.cancel()
        self.client, self.exchange = client, exchange
        self._parser = HttpResponseParser(self)
        self._is_complete = self._is_kept = False
        exchange.outbound = self
        exchange.times_sent += 1
        pieces, exchange.pieces = exchange.pieces, []
        self._transport.writelines([exchange.head, *pieces])

    def write(self, data: bytes) -> None:
        """Send more of the request."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close it; of an exchange that has not ended nobody wants to hear."""
        self.client = self.exchange = None
        self._transport.close()

    def pause(self) -> None:
        """Read no further until the client has read what there is."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what it is written to."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass it on, and notice where the answer ends."""
        client, exchange = self.client, self.exchange
        if client is None or exchange is None:
            # Nobody asked.
            self._transport.close()
            return
        if exchange.is_upgrade:
            self.client_hears(client, exchange, data)
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            client.lost(exchange)
            self._transport.abort()
            return
        self.client_hears(client, exchange, data)
        if self._is_complete:
            self.client = self.exchange = None
            exchange.is_last = exchange.is_last or not self._is_kept
            self._rest()
            client.answered(exchange)

    def client_hears(self, client: "Inbound", exchange: Exchange, data: bytes) -> None:
        """Let the client have a part of the answer."""
        if not exchange.is_answered and exchange.node is not None:
            exchange.is_answered = True
            client.release(exchange)
        client.write(data)

    def on_headers_complete(self) -> None:
        """Learn whether the connection will be of use again; an answer to HEAD ends here."""
        if self._parser.get_status_code() >= 200:
            self._is_kept = self._parser.should_keep_alive()
            self._is_complete = self.exchange is not None and self.exchange.method == b"HEAD"

    def on_message_complete(self) -> None:
        """Learn that this was all, unless it was `100 Continue`."""
        self._is_complete = self._is_complete or self._parser.get_status_code() >= 200

    def _rest(self) -> None:
        node = self.node
        if not self._is_kept or node.is_retired or len(node.idle) >= IDLE_MAX:
            self._transport.close()
            return
        node.idle.append(self)
        self._expiry = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._transport.close)

    def pause_writing(self) -> None:
        """Do not let the client send faster than the node reads."""
        if self.client is not None:
            self.client.pause()

    def resume_writing(self) -> None:
        """Let it go on."""
        if self.client is not None:
            self.client.resume()

    def connection_lost(self, _: Exception | None) -> None:
        """Tell whoever waits for an answer."""
        if self in self.node.idle:
            self.node.idle.remove(self)
        client, exchange = self.client, self.exchange
        self.client = self.exchange = None
        if client is not None and exchange is not None:
            client.lost(exchange)


class Inbound(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = HttpRequestParser(self)
        self._forwarded = b""
        self._head_bytes = 0
        self._is_in_head = False
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._incoming: Exchange | None = None
        """What is being read."""
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        """What is being answered."""
        self._connecting: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._is_over = False

    # From the client.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where it comes from, and wait for its first request."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._forwarded = b"x-forwarded-for: " + (peer[0] if peer else "unknown").encode() + b"\r\n"
        self._fleet.clients.add(self)
        self._await_next()

    def data_received(self, data: bytes) -> None:
        """Read requests, or pass on what is none of ours."""
        current = self._current
        if current is not None and current.is_upgrade:
            current.has_body = True
            self._pass(current, data)
            return
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if rest and self._waiting:
                self._pass(self._waiting[-1], rest)
            elif rest and self._current is not None:
                self._pass(self._current, rest)
        except HttpParserError:
            self._refuse(400, "BAD_REQUEST", "This is not HTTP/1.1.")
        if self._is_in_head:
            # Of a header that does not end, the parser says nothing.
            self._head_bytes += len(data)
            self._must_be_short()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url, self._headers = b"", []
        self._head_bytes, self._is_in_head = 0, True

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes after a body is left out."""
        if self._incoming is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Send it on its way as soon as its turn has come."""
        self._is_in_head = False
        self._head_bytes = len(self._url) + sum(len(name) + len(value) for name, value in self._headers)
        self._must_be_short()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        exchange = self._incoming = self._exchange()
        if exchange is None or self._is_over:
            return
        if self._current is None:
            self._begin(exchange)
        else:
            # Those who send ahead wait.
            self._waiting.append(exchange)
            self._transport.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body."""
        exchange = self._incoming
        if exchange is None or self._is_over:
            return
        exchange.has_body = True
        self._pass(exchange, b"%x\r\n%b\r\n" % (len(body), body) if exchange.is_chunked else body)

    def on_message_complete(self) -> None:
        """Finish the body."""
        exchange, self._incoming = self._incoming, None
        if exchange is None or self._is_over:
            return
        exchange.is_whole = True
        if exchange.is_chunked:
            self._pass(exchange, b"0\r\n\r\n")

    def pause_writing(self) -> None:
        """Do not let the node send faster than the client reads."""
        if self._current is not None and self._current.outbound is not None:
            self._current.outbound.pause()

    def resume_writing(self) -> None:
        """Let it go on."""
        if self._current is not None and self._current.outbound is not None:
            self._current.outbound.resume()

    def connection_lost(self, _: Exception | None) -> None:
        """Let the node know that nobody waits any more."""
        self._is_over = True
        self._fleet.clients.discard(self)
        if self._patience is not None:
            self._patience.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        current, self._current = self._current, None
        self._waiting.clear()
        if current is not None:
            self.release(current)
            if current.outbound is not None:
                current.outbound.close()

    # From the node.

    def write(self, data: bytes) -> None:
        """Let the client have a part of its answer."""
        self._transport.write(data)

    def pause(self) -> None:
        """Read nothing more for now."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def release(self, exchange: Exchange) -> None:
        """Note that the node owes nothing more for this request."""
        node, exchange.node = exchange.node, None
        if node is not None:
            node.unanswered -= 1
            self._fleet.settle(node)

    def answered(self, exchange: Exchange) -> None:
        """Go on with the next request, if the client may send one."""
        self._current = None
        # An answer that comes before the whole request was read leaves nothing to go on from.
        if exchange.is_last or not exchange.is_whole or self._fleet.is_closing:
            self.close()
        elif self._waiting:
            self._begin(self._waiting.popleft())
            if not self._waiting:
                self.resume()
        else:
            self.resume()
            self._await_next()

    def lost(self, exchange: Exchange) -> None:
        """Ask another node, where that is possible, or say that the answer was lost."""
        node = exchange.node
        if node is not None:
            # Whether it lives will be seen when it is looked at next.
            node.is_able = False
        self.release(exchange)
        if exchange.may_be_sent:
            self._begin(exchange)
        elif exchange.is_answered or exchange.is_upgrade:
            self.close()
        else:
            message = "The server was lost while it was at this. Look whether this was done before you try again."
            self._refuse(502, "OUTCOME_UNKNOWN", message)

    def close_if_idle(self) -> None:
        """Close it, if nothing is being asked."""
        if self._current is None and self._incoming is None:
            self.close()

    def close(self) -> None:
        """Close it when everything is written."""
        self._is_over = True
        self._transport.close()

    # Between the two.

    def _exchange(self) -> Exchange | None:
        parser, method = self._parser, self._parser.get_method()
        codings = [value.lower() for name, value in self._headers if name.lower() == b"transfer-encoding"]
        if method == b"CONNECT" or codings not in ([], [b"chunked"]):
            self._refuse(501, "BAD_REQUEST", "This is not done here.")
            return None
        start = b"%b %b HTTP/%b\r\n" % (method, self._url, parser.get_http_version().encode())
        lines = [b"%b: %b\r\n" % header for header in self._headers]
        is_upgrade = parser.should_upgrade() and any(
            name.lower() == b"upgrade" and value.lower() == b"websocket" for name, value in self._headers
        )
        return Exchange(
            method,
            b"".join((start, *lines, self._forwarded, b"\r\n")),
            is_chunked=bool(codings),
            is_upgrade=is_upgrade,
            is_last=not parser.should_keep_alive() or parser.should_upgrade(),
        )

    def _must_be_short(self) -> None:
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(431, "BAD_REQUEST", "The head of the request is too long.")

    def _begin(self, exchange: Exchange) -> None:
        """Give it to the node whose turn it is."""
        self._current = exchange
        node = self._fleet.take_turn(exchange.tried)
        if node is None:
            self._refuse(503, "BUSY", "No server is there just now. Try again in a moment.")
            return
        exchange.tried.add(node)
        exchange.node = node
        node.unanswered += 1
        exchange.outbound = None
        idle = node.take_idle()
        if idle is not None:
            idle.carry(self, exchange)
        else:
            self._connecting = self._loop.create_task(self._connect(node, exchange))

    async def _connect(self, node: Node, exchange: Exchange) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, outbound = await self._loop.create_connection(lambda: Outbound(node), node.host, node.port)
        except OSError:
            self.lost(exchange)
            return
        outbound.carry(self, exchange)
        if not self._waiting:
            self.resume()

    def _pass(self, exchange: Exchange, data: bytes) -> None:
        if exchange.outbound is not None:
            exchange.outbound.write(data)
        else:
            exchange.pieces.append(data)
            # Not more than what has been read already waits here for the node.
            self.pause()

    def _await_next(self) -> None:
        self._patience = self._loop.call_later(NEXT_SECONDS, self.close)

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Answer in the form in which the nodes do, and hang up."""
        if self._is_over:
            return
        if self._current is not None and self._current.outbound is not None and self._current.is_answered:
            # Another answer is on its way, and nothing may be put into its middle.
            self.close()
            return
        extensions = {"code": code} | ({"retryAfterSeconds": 1} if status == 503 else {})
        body = orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-type: application/json\r\nconnection: close\r\n"
        head += "retry-after: 1\r\n" if status == 503 else ""
        head += f"content-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + (b"" if self._parser.get_method() == b"HEAD" else body))
        self.close()
