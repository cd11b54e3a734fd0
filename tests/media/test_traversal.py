"""Names that lead elsewhere, in every spelling, on the way in and on the way out."""

import asyncio
import random
import string
from pathlib import Path
from urllib.parse import quote

import pytest

from media.depot import delivered_name
from media.kinds import GROUPS, is_safe
from media.storage import KEY
from media.workshop import Made, Piece
from models.media import UploadGroup
from tests.media import files
from tests.media.site import heard

NAMES = 10_000
WRITTEN = 400
TOGETHER = 40
Told = tuple[bytes, int, bytes, dict[str, str]]
SECRET = b"root:x:0:0: this is nobody's business"

STEPS = [
    "..",
    ".",
    "...",
    "....",
    "../",
    "..\\",
    ".%2e",
    "%2e%2e",
    "%2E%2e",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "\uff0e\uff0e",
    "\u2025",
    "..;",
]
SLASHES = [
    "/",
    "//",
    "\\",
    "%2f",
    "%2F",
    "%5c",
    "%252f",
    "%255c",
    "%c0%af",
    "\uff0f",
    "\u2215",
    "\u29f5",
    "%00/",
    "/./",
    ":",
    "%3a",
]
STARTS = [
    "",
    "/",
    "\\",
    "//",
    "C:\\",
    "C:/",
    "file:",
    "file:///",
    "~",
    "~root/",
    "\\\\host\\share\\",
    "./",
    "%00",
    "@",
    "-",
]
ENDS = [
    "",
    "\0",
    "%00",
    "%00.png",
    "\0.png",
    ".png",
    ".PDF",
    " ",
    ".",
    "/",
    "/.",
    "%0a",
    "\n",
    "?",
    "#",
    ";.png",
    "::$DATA",
    "@icon",
]
TARGETS = [
    "secret",
    "passwd",
    "etc/passwd",
    "etc%2fpasswd",
    "etc\\passwd",
    ".env",
    ".ssh/id_rsa",
    ".incoming",
    "link.png",
    "deep/link",
]


def names(seed: int, count: int) -> list[str]:
    """Ways to somewhere else, no two alike."""
    chance = random.Random(seed)
    found: set[str] = set()
    while len(found) < count:
        way = "".join(chance.choice(STEPS) + chance.choice(SLASHES) for _ in range(chance.randrange(9)))
        noise = "".join(chance.choices(string.printable + "äß\u202e\ufeff\u2024", k=chance.randrange(4)))
        name = chance.choice(STARTS) + way + noise + chance.choice(TARGETS) + chance.choice(ENDS)
        if chance.random() < 0.3:
            name = quote(name, safe="")
        if chance.random() < 0.15:
            name = quote(name, safe="")
        found.add(name)
    return sorted(found)


def as_target(name: str) -> bytes:
    """A name as a client without manners would send it: every byte as it is, but for those that end the line."""
    raw = name.encode("utf-8", "surrogatepass")
    return b"".join(b"%%%02x" % byte if byte in b" \r\n\t\v\f" or byte > 126 else bytes([byte]) for byte in raw)


@pytest.fixture
def traps(site):
    """Secrets around and links among the files."""
    around = [site.root.parent / "secret", site.root / "secret", site.root.parent / "passwd"]
    for path in around:
        path.write_bytes(SECRET)
    for group in GROUPS:
        folder = site.root / group
        folder.mkdir(exist_ok=True)
        (folder / "link.png").symlink_to(around[0])
        (folder / "link.pdf").symlink_to("/etc/passwd")
        (folder / "deep").symlink_to("/etc")
        (folder / "up.png").symlink_to("../secret")
        (folder / ".env").write_bytes(SECRET)
    (site.root / "linked").symlink_to("/etc")
    yield around
    for path in around:
        path.unlink()
    (site.root / "linked").unlink()


async def ask(site, requests: list[bytes]) -> list[Told]:
    """Send them many at a time; some are not even requests, and when the server hangs up the rest is sent again."""
    found: list[Told] = []
    while len(found) < len(requests):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        sent = requests[len(found) : len(found) + TOGETHER]
        writer.write(b"".join(sent))
        try:
            for request in sent:
                answer = await heard(reader)
                found.append((request, answer.status, answer.body, answer.headers))
                if answer.headers.get("connection") == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            # What came before the bad one is asked again, so that every answer is seen.
            found += await ask_singly(site, requests[len(found) : len(found) + 1])
        finally:
            writer.close()
    return found


async def ask_singly(site, requests: list[bytes]) -> list[Told]:
    """Send them one by one."""
    answers = [(request, await site.says(request)) for request in requests]
    return [(request, answer.status, answer.body, answer.headers) for request, answer in answers]


async def shared(site, requests: list[bytes]) -> list[Told]:
    """Ask over a few connections."""
    parts = await asyncio.gather(*(ask(site, requests[at::4]) for at in range(4)))
    return [answer for part in parts for answer in part]


@pytest.mark.usefixtures("traps")
async def test_no_name_in_any_spelling_reads_anything_that_is_no_file_of_ours(site):
    requests = [
        b"GET /static/%s/%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n"
        % (group.encode(), as_target(name), site.basic.encode())
        for at, name in enumerate(names(1, NAMES))
        for group in [list(GROUPS)[at % len(GROUPS)]]
    ]

    answers = await shared(site, requests)

    assert len(answers) == NAMES
    for sent, status, body, headers in answers:
        assert SECRET not in body, sent
        assert b"root:" not in body, sent
        assert status in {200, 400, 404}, sent
        assert status != 200 or headers["x-placeholder"] == "true", sent


@pytest.mark.usefixtures("traps")
async def test_no_group_in_any_spelling_reads_anything_either(site):
    requests = [
        b"GET %s%s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n" % (prefix, as_target(name), site.basic.encode())
        for name in names(2, 400)
        for prefix in (b"/static/", b"/static/../", b"/describe/", b"/static/linked/", b"//static/icons/")
    ]

    for sent, status, body, headers in await shared(site, requests):
        assert SECRET not in body, sent
        assert b"root:" not in body, sent
        assert status in {400, 404} or headers.get("x-placeholder") == "true", sent


@pytest.mark.usefixtures("traps")
@pytest.mark.parametrize("group", ["icons", "resume"])
async def test_links_among_the_files_lead_nowhere(site, group):
    for name in ("link.png", "link.pdf", "up.png", "deep", "deep/passwd", ".env"):
        answer = await site.get(f"/static/{group}/{name}", Authorization=site.basic)
        assert answer.status_code == 404 or "x-placeholder" in answer.headers
    assert (await site.get(f"/describe/{group}", Authorization=site.basic)).json()["files"] == []


@pytest.mark.usefixtures("traps")
async def test_a_group_that_is_a_link_has_no_files(site):
    for entry in (site.root / "icons").iterdir():
        entry.unlink()
    (site.root / "icons").rmdir()
    (site.root / "icons").symlink_to(site.root.parent)

    answer = await site.get("/static/icons/secret", Authorization=site.basic)
    (site.root / "icons").unlink()

    assert SECRET not in answer.content


@pytest.mark.usefixtures("traps")
async def test_no_name_in_any_spelling_is_written_anywhere_but_in_its_group(site, monkeypatch):
    def everything() -> dict[Path, bytes]:
        top = site.root.parent
        return {path: path.read_bytes() for path in top.rglob("*") if path.is_file() and not path.is_symlink()}

    async def believed(source, _, into):
        del into
        piece = Piece(source, "application/pdf", len(body), "0" * 64, None, None)
        return Made(source, piece.mime, piece.size_bytes, piece.sha256, None, None, {"document": piece})

    # To judge that many files would take its time, and is another's business.
    monkeypatch.setattr(site.house.depot.workshop, "make", believed)
    before, body = everything(), files.pdf()
    wanted = names(3, WRITTEN)

    async def deliver(some: list[str]) -> None:
        for name in some:
            answer = await site.deliver("resume", name, body)
            assert answer.status_code in {201, 400, 409}, name
            if answer.status_code == 201:
                assert answer.json()["path"].startswith("/static/resume/"), name
                assert "/" not in answer.json()["path"].removeprefix("/static/resume/"), name

    await asyncio.gather(*(deliver(wanted[at::4]) for at in range(4)))

    new = {path for path in everything() if path not in before}
    assert new
    assert {path.parent for path in new} == {site.root / "resume"}
    assert {path: body for path, body in everything().items() if path in before} == before


def test_ten_thousand_names_of_files_stay_in_their_folders():
    for name in names(4, NAMES):
        safe = delivered_name(name, UploadGroup.RESUME)
        assert is_safe(safe), name
        assert KEY.fullmatch(f"resume/{safe}"), name


@pytest.mark.usefixtures("traps")
async def test_no_key_but_one_of_the_right_form_is_handed_on(site):
    storage = site.house.depot.storage
    for name in names(5, NAMES):
        for key in (name, f"icons/{name}"):
            if not KEY.fullmatch(key):
                assert await storage.head(key) is None
                assert [chunk async for chunk in storage.read(key, 0, 100)] == []
    for key in ("icons/link.png", "icons/link.pdf", "icons/up.png", "icons/deep", "linked/passwd"):
        assert await storage.head(key) is None
        assert [chunk async for chunk in storage.read(key, 0, 100)] == []
        await storage.delete(key)
    assert (site.root / "icons" / "link.png").is_symlink()
