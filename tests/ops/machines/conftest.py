"""A provider of which tests can see everything, with machines that answer when they are let."""

import asyncio
from collections.abc import AsyncIterator, Collection
from uuid import UUID

import pytest

from ops.machines import Made

HOST = "127.0.0.1"
SECONDS = 10


class Yard:
    """Makes machines that are no more than an address, at which they say whether they take traffic."""

    def __init__(self, name: str = "process", *, dies_with_us: bool = False, drains_itself: bool = False) -> None:
        self.name = name
        self.dies_with_us = dies_with_us
        self.drains_itself = drains_itself
        self.look_seconds = 0.01
        self.there: dict[UUID, Made] = {}
        self.made: list[UUID] = []
        self.ended: list[tuple[UUID, float]] = []
        self.trouble: Exception | None = None
        self.is_ready = True
        self.in_time = True
        self._servers: list[asyncio.Server] = []

    async def spawn(self, machine_id: UUID) -> Made:
        self.must_be_well()
        if machine_id not in self.there:
            self.made.append(machine_id)
            server = await asyncio.start_server(self.answer, HOST, 0)
            self._servers.append(server)
            port = server.sockets[0].getsockname()[1]
            self.there[machine_id] = Made(machine_id, f"number {len(self.made)}", f"{HOST}:{port}")
        return self.there[machine_id]

    async def present(self) -> Collection[Made]:
        self.must_be_well()
        return list(self.there.values())

    async def end(self, machine_id: UUID, seconds: float) -> bool:
        self.must_be_well()
        if self.there.pop(machine_id, None) is not None:
            self.ended.append((machine_id, seconds))
        return self.in_time

    def last_words(self, _machine_id: UUID) -> str:
        return "It fell over."

    def must_be_well(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status = b"200 OK" if self.is_ready else b"503 Service Unavailable"
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    def close(self) -> None:
        for server in self._servers:
            server.close()


class Gate:
    """A balancer that notes what it is told, and lets go of machines when it is let."""

    def __init__(self) -> None:
        self.joined: list[str] = []
        self.left: list[str] = []
        self.clear = asyncio.Event()
        self.clear.set()

    def join(self, address: str) -> None:
        self.joined.append(address)

    async def leave(self, address: str) -> None:
        self.left.append(address)
        await self.clear.wait()


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    made = Yard()
    yield made
    made.close()


@pytest.fixture
async def balancer() -> Gate:
    return Gate()
