"""A media server that listens, and ways to speak to it: as it should be spoken to, and as it should not."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import uvicorn
from starlette.applications import Starlette

import resolvers.media
from media.server import MediaServer
from models.accounts import Account
from models.media import Upload, UploadGroup, UploadWords
from ops import wire
from ops.app import Front, House, media_of

SECONDS = 10.0
START_SECONDS = 0.01


@dataclass(frozen=True)
class Heard:
    """What a server said to bytes that no client library would send."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Site:
    """The server of a house, and its directory."""

    house: House
    media: MediaServer
    port: int
    client: httpx.AsyncClient

    @property
    def root(self) -> Path:
        return Path(unquote(urlsplit(self.house.settings.media_url).path))

    @property
    def machine(self) -> tuple[str, str]:
        settings = self.house.settings
        assert settings.upload_user
        assert settings.upload_password
        return settings.upload_user, settings.upload_password

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(":".join(self.machine).encode()).decode()

    def files(self) -> list[str]:
        """Everything that is in the directory, whoever put it there."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir())

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def deliver(self, group: str, filename: str, body: bytes, **more: Any) -> httpx.Response:
        """Upload as a machine does."""
        form: dict[str, Any] = {
            "files": {"resource": ("x", body)},
            "data": {"filename": filename},
            "auth": self.machine,
        }
        return await self.client.post(f"/upload/{group}", **form | more)

    async def requested(self, by: Account, group: UploadGroup, size: int, name: str = "file") -> resolvers.media.Ticket:
        return await resolvers.media.request(self.house.context(by), words=UploadWords(group, name, size))

    async def put(self, ticket: resolvers.media.Ticket, body: Any, **more: Any) -> httpx.Response:
        return await self.client.put(ticket.url, content=body, **more)

    async def brought(self, by: Account, group: UploadGroup, body: bytes, name: str = "file") -> Upload:
        """An upload of somebody's that has arrived."""
        ticket = await self.requested(by, group, len(body), name)
        answer = await self.put(ticket, body)
        assert answer.status_code == 201, answer.text
        async with self.house.database.reading() as session:
            return await session.get_one(Upload, ticket.upload.id)

    def address(self, of: Upload, variant: str | None = None) -> str:
        address = resolvers.media.address(self.house.context(), of, variant)
        assert address is not None
        return address

    async def says(self, sent: bytes) -> Heard:
        """Send bytes, hang up for sending, and read what comes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(sent)
            async with asyncio.timeout(SECONDS):
                return await heard(reader)
        finally:
            writer.close()


async def heard(reader: asyncio.StreamReader) -> Heard:
    """Read one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Heard(int(line.split()[1]), headers, body)


@asynccontextmanager
async def listening(house: House) -> AsyncIterator[Site]:
    """A server for a house that is open already."""
    media = media_of(house)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield wire.state(media.counter)

    config = uvicorn.Config(
        Front(Starlette(lifespan=lifespan), media), http=wire.Protocol, log_config=None, server_header=False
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server._serve([listener]))
    while not server.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(START_SECONDS)
    port = listener.getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
        yield Site(house, media, port, client)
    server.should_exit = True
    await serving
