"""One address for several nodes of this host: `python -m ops.front HOST PORT`, as `up` runs it.

It is told on its standard input, a line of JSON each time, which nodes there are (`{"nodes": ["127.0.0.1:20001"]}`),
and says on its standard output which it has let go of (`{"clear": "127.0.0.1:20001"}`): no request is there any more
whose answer has not begun. When nobody can tell it anything any longer, it ends.
"""

import asyncio
import gc
import resource
import signal
import sys
from contextlib import suppress

import orjson
import structlog
import uvloop

from ops.relay import Fleet, Inbound, Node

LOOK_SECONDS = 0.5
LOOK_PATIENCE_SECONDS = 3.5
"""A little longer than a node waits for a database that does not answer."""
FINISH_SECONDS = 42.0
"""Longer than the nodes give themselves to finish."""
BACKLOG = 2_048

log = structlog.get_logger(__name__)


async def front(host: str, port: int) -> None:
    """Stand before the nodes until told to stop, or until there is nobody left to tell; what has begun is finished."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    fleet = Fleet(cleared=lambda node: _say({"clear": node.address}))
    server = await loop.create_server(lambda: Inbound(fleet), host, port, backlog=BACKLOG)
    _say({"listening": port})
    tasks = [loop.create_task(_hear(fleet, stop)), loop.create_task(_look(fleet))]
    await stop.wait()
    server.close()
    fleet.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(FINISH_SECONDS):
            while fleet.clients:  # noqa: ASYNC110 - connections end one by one, and nobody is in a hurry
                await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()


async def _hear(fleet: Fleet, stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        places = (address.rpartition(":") for address in orjson.loads(line)["nodes"])
        fleet.have([(host, int(port)) for host, _, port in places])
    stop.set()


def _say(what: dict[str, object]) -> None:
    print(orjson.dumps(what).decode(), flush=True)


async def _look(fleet: Fleet) -> None:
    """Ask every node again and again whether it takes traffic."""
    looking: dict[Node, asyncio.Task[None]] = {}
    while True:
        # One that takes its time keeps nobody from looking at the others.
        looking = {node: task for node, task in looking.items() if not task.done()}
        for node in fleet.nodes.values():
            if not node.is_retired and node not in looking:
                looking[node] = asyncio.create_task(_look_at(node))
        await asyncio.sleep(LOOK_SECONDS)


async def _look_at(node: Node) -> None:
    was_able = node.is_able
    node.is_able = await is_ready(node.host, node.port)
    if node.is_able != was_able:
        log.info("node is back" if node.is_able else "node takes no traffic", node=node.address)


async def is_ready(host: str, port: int) -> bool:
    """Whether a node says that it takes traffic."""
    try:
        async with asyncio.timeout(LOOK_PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET /readyz HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n".encode())
                return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            finally:
                writer.close()
    except OSError:
        return False


def _open_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    _open_many_files()
    gc.freeze()
    uvloop.run(front(sys.argv[1], int(sys.argv[2])))
