"""How files come and go between people, and what is left of them when something breaks."""

import asyncio
import os
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

import resolvers.media
from media.depot import SPOOL
from models.media import UploadState
from ops.app import House
from ops.settings import Settings
from tests.media import files
from tests.stories.conftest import Site
from tests.stories.people import Person
from tests.stories.processes import MACHINE, Server, until

PDF = files.pdf()
BIG_BYTES = 299_999_000
MEMORY_MAX_KIB = 50_000
UPLOADS = "{ viewer { uploads { totalCount nodes { id name state url } } } }"


class MediaServer(Server):
    """A server of files alone."""

    def __init__(self, told: dict[str, str], log: Path) -> None:
        super().__init__(told, log)
        self.verb = "serve --only media"

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def memory_kib(self) -> int:
        """The most that its process has ever held in memory."""
        assert self.running is not None
        status = Path(f"/proc/{self.running.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.fixture
async def alone(site: Site, tmp_path: Path) -> AsyncIterator[MediaServer]:
    """A server of files alone, with files of its own, beside servers of everything."""
    server = MediaServer({**site.told, "WORKUP_HOME": str(tmp_path)}, tmp_path / "media.log")
    server.start()
    await server.ready()
    yield server
    if server.running is not None:
        assert await server.stop() == 0
    assert server.errors() == []


def left(home: Path) -> list[str]:
    """Every file, also where uploads wait."""
    root = home / "media"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


async def put(url: str, ticket: dict[str, Any], body: Any) -> tuple[int, Any]:
    """Do what a ticket says."""
    headers = {header["name"]: header["value"] for header in ticket["headers"]}
    async with aiohttp.ClientSession() as session:
        request = session.request(ticket["method"], url, headers=headers, data=body)
        async with request as answer:
            return answer.status, await answer.json()


async def read(url: str, **headers: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_a_freelancer_brings_her_photo_and_her_resume_and_lets_go_of_what_she_does_not_need(site: Site):
    ada = await Person.registered(site.a, "FREELANCER")
    at = site.a.url.removesuffix("/graphql")
    photo = files.noise(300, 200)

    for name, group, body in (("me.jpg", "PHOTOS", photo), ("cv.pdf", "RESUME", PDF), ("no.pdf", "ATTACHMENTS", PDF)):
        ticket = await ada.does("requestUpload", group=group, name=name, size=len(body))
        status, said = await put(at + ticket["url"], ticket, body)
        assert (status, said["success"]) == (201, True)
    uploads = {node["name"]: node for node in (await ada.ask(UPLOADS))["viewer"]["uploads"]["nodes"]}
    assert {node["state"] for node in uploads.values()} == {"ARRIVED"}

    # Files are read where they are kept, from every server.
    for server in (site.a, site.b):
        status, found = await read(server.url.removesuffix("/graphql") + uploads["cv.pdf"]["url"])
        assert (status, found) == (200, PDF)
    assert (await read(at + uploads["me.jpg"]["url"]))[0] == 200
    assert (await ada.does("deleteUpload", uploadId=uploads["no.pdf"]["id"]))["state"] == "SWEPT"
    assert await ada.code("deleteUpload", uploadId=uploads["no.pdf"]["id"]) == "UPLOAD_GONE"
    assert (await ada.ask(UPLOADS))["viewer"]["uploads"]["totalCount"] == 2
    stranger = await Person.registered(site.b, "FREELANCER")
    assert await stranger.code("deleteUpload", uploadId=uploads["cv.pdf"]["id"]) == "NOT_FOUND"
    assert (await stranger.ask("query ($id: ID!) { node(id: $id) { id } }", id=uploads["cv.pdf"]["id"]))["node"] is None


async def test_a_server_of_files_alone_takes_the_tickets_of_the_others(site: Site, alone: MediaServer, tmp_path: Path):
    ada = await Person.registered(site.a, "FREELANCER")
    ticket = await ada.does("requestUpload", group="RESUME", name="cv.pdf", size=len(PDF))

    status, said = await put(alone.address(ticket["url"]), ticket, PDF)

    assert status == 201
    (upload,) = (await ada.ask(UPLOADS))["viewer"]["uploads"]["nodes"]
    assert await read(alone.address(upload["url"])) == (200, PDF)
    assert said["path"].removeprefix("/static/") in left(tmp_path)
    assert (await read(alone.address("/graphql")))[0] == 404
    assert (await alone.readiness()) == (200, [])
    basic = {"Authorization": aiohttp.encode_basic_auth(*MACHINE)}
    async with aiohttp.ClientSession(headers=basic) as session:
        form = aiohttp.FormData({"filename": "Logo"})
        form.add_field("resource", files.png(), filename="logo.png")
        async with session.post(alone.address("/upload/icons"), data=form) as answer:
            assert (await answer.json())["path"] == "/static/icons/logo.png"


def big_pdf() -> tuple[bytes, bytes]:
    """What comes before and after the many bytes of a stream in a document of this size."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Big 4 0 R >>",
    ]
    head, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(head))
        head += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    places.append(len(head))
    head += b"4 0 obj\n<< /Length %d >>\nstream\n" % BIG_BYTES
    tail = b"\nendstream\nendobj\n"
    start = len(head) + BIG_BYTES + len(tail)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail += b"xref\n0 5\n0000000000 65535 f \n" + table
    return head, tail + b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start


async def test_three_hundred_megabytes_come_and_go_in_less_than_fifty_of_memory(
    site: Site, alone: MediaServer, tmp_path: Path
):
    ada = await Person.registered(site.a, "FREELANCER")
    head, tail = big_pdf()
    size = len(head) + BIG_BYTES + len(tail)
    filler = os.urandom(1_000_000)
    digest = sha256()

    async def body() -> AsyncIterator[bytes]:
        for piece in (
            head,
            *(filler[: min(len(filler), BIG_BYTES - at)] for at in range(0, BIG_BYTES, len(filler))),
            tail,
        ):
            digest.update(piece)
            yield piece

    # Whatever is needed for any upload at all is there already.
    small = await ada.does("requestUpload", group="RESUME", name="small.pdf", size=len(PDF))
    assert (await put(alone.address(small["url"]), small, PDF))[0] == 201
    before = alone.memory_kib
    ticket = await ada.does("requestUpload", group="ATTACHMENTS", name="big.pdf", size=size)
    status, said = await put(alone.address(ticket["url"]), ticket, body())
    assert (status, said.get("sha256")) == (201, digest.hexdigest())

    upload = (await ada.ask(UPLOADS))["viewer"]["uploads"]["nodes"][0]
    received, found = 0, sha256()
    async with aiohttp.ClientSession() as session, session.get(alone.address(upload["url"])) as answer:
        assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
        async for piece in answer.content.iter_chunked(1_000_000):
            received += len(piece)
            found.update(piece)

    assert (received, found.hexdigest()) == (size, digest.hexdigest())
    assert alone.memory_kib - before < MEMORY_MAX_KIB
    assert [name for name in left(tmp_path) if name.startswith(SPOOL)] == []


async def test_what_a_power_cut_leaves_behind_is_swept(site: Site, alone: MediaServer, tmp_path: Path):
    ada = await Person.registered(site.a, "FREELANCER")
    half, whole = [
        await ada.does("requestUpload", group="RESUME", name="cv.pdf", size=len(PDF) * 1_000) for _ in range(2)
    ]
    for ticket, sent in ((half, PDF * 500), (whole, PDF * 1_000)):
        _, writer = await asyncio.open_connection("127.0.0.1", alone.port)
        head = f"PUT {ticket['url']} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PDF) * 1_000}\r\n\r\n"
        writer.write(head.encode() + sent)
        await until(lambda: asyncio.sleep(0, [name for name in left(tmp_path) if name.startswith(SPOOL)]))
        await alone.kill()
        writer.close()
        alone.start()
        await alone.ready()

    # Nobody can use the tickets while the attempts might go on, and time passes.
    assert (await put(alone.address(half["url"]), half, PDF * 1_000))[0] == 409
    await site.rows(
        "update uploads set taken_until = now(), due_at = now() where owner_id = $1",
        UUID(ada.id),
    )
    for entry in (tmp_path / "media" / SPOOL).iterdir():
        os.utime(entry, (0, 0))
    house = House.of(Settings.of({**site.told, "WORKUP_HOME": str(tmp_path)}))
    try:
        while await resolvers.media.sweep(house.context()):
            continue
    finally:
        await house.depot.close()
        await house.database.close()

    rows = await site.rows("select state, stored_name from uploads where owner_id = $1", UUID(ada.id))
    assert [tuple(row) for row in rows] == [(UploadState.SWEPT.value, None)] * 2
    assert left(tmp_path) == []
    # The server goes on, and takes what comes next.
    again = await ada.does("requestUpload", group="RESUME", name="cv.pdf", size=len(PDF))
    assert (await put(alone.address(again["url"]), again, PDF))[0] == 201
