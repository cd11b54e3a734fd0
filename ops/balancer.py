"""What `up` and the front tell each other: which nodes there are, and which the front has let go of."""

import asyncio
import subprocess
from collections.abc import Iterable
from typing import Any, Protocol

import orjson


class FrontFailed(Exception):
    """The front does not do what it is there for."""


class Balancer(Protocol):
    """Whatever shares requests out among machines."""

    def join(self, address: str) -> None:
        """Send requests to a machine, too."""

    async def leave(self, address: str) -> None:
        """Send none any more; come back when no request is there whose answer has not begun."""


class Front:
    """The front in its process, from where it was started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._addresses: list[str] = []
        self._leaving: dict[str, asyncio.Event] = {}

    def must_listen(self) -> None:
        """Come back when it listens; before, nobody should call."""
        if "listening" not in self._read(self._pipes()[1].readline()):
            raise FrontFailed("the front does not listen")

    def join(self, address: str) -> None:
        """Send requests to a node, too."""
        if address not in self._addresses:
            self._tell([*self._addresses, address])

    async def leave(self, address: str) -> None:
        """Send none any more; come back when no request is there whose answer has not begun."""
        if address not in self._addresses:
            return
        clear = self._leaving.setdefault(address, asyncio.Event())
        self._tell(known for known in self._addresses if known != address)
        await clear.wait()

    async def hear(self) -> None:
        """Hear what it has to say, until it ends."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), self._pipes()[1])
        while said := self._read(await reader.readline()):
            if clear := self._leaving.pop(said["clear"], None):
                clear.set()

    def _tell(self, addresses: Iterable[str]) -> None:
        self._addresses = list(addresses)
        pipe, _ = self._pipes()
        pipe.write(orjson.dumps({"nodes": self._addresses}) + b"\n")
        pipe.flush()

    def _pipes(self) -> Any:
        return self._process.stdin, self._process.stdout

    @staticmethod
    def _read(line: bytes) -> dict[str, Any]:
        said: dict[str, Any] = orjson.loads(line) if line else {}
        return said
