"""Where bytes are kept: the same in a directory and in a bucket."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from media.storage import LIST_MAX, BadAddress, Directory, Storage
from models.errors import Busy

FACTS = {"mime_type": "application/pdf", "sha256": "0" * 64}
KEY = "resume/cv.pdf"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Somebody who speaks as S3 does."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    with urlopen(Request(f"{endpoint}/files", method="PUT")) as made:
        assert made.status == 200
    yield endpoint
    server.stop()


@pytest.fixture(params=["directory", "bucket"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Storage]:
    if request.param == "directory":
        yield Storage.at((tmp_path / "files").as_uri())
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "anything")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    made = Storage.at(f"s3://files/{tmp_path.name}", endpoint=request.getfixturevalue("bucket"))
    yield made
    for group in ("icons", "resume"):
        await made.delete(*(f"{group}/{name}" for name in await made.names(group)))


@pytest.fixture
def local(tmp_path: Path):
    """A file with these bytes that may be taken away."""

    def write(body: bytes) -> Path:
        path = tmp_path / "files" / ".incoming" / sha256(body).hexdigest()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    return write


async def everything(storage: Storage, key: str, start: int = 0, end: int = 10**9) -> bytes:
    return b"".join([chunk async for chunk in storage.read(key, start, end)])


async def test_what_was_put_is_there(storage, local):
    await storage.put(KEY, local(b"bytes"), **FACTS)

    found = await storage.head(KEY)
    assert found
    assert found.size == 5
    assert found.sha256 in {None, FACTS["sha256"]}
    assert await everything(storage, KEY) == b"bytes"


async def test_what_was_not_put_is_not_there(storage):
    assert await storage.head(KEY) is None
    assert await everything(storage, KEY) == b""
    await storage.delete(KEY)


async def test_a_bucket_remembers_the_digest_and_a_directory_need_not(storage, local):
    await storage.put(KEY, local(b"bytes"), **FACTS)

    found = await storage.head(KEY)

    assert found.sha256 == (None if isinstance(storage, Directory) else FACTS["sha256"])


async def test_what_is_put_again_is_replaced_and_known_to_be_another(storage, local):
    await storage.put(KEY, local(b"first"), **FACTS)
    first = await storage.head(KEY)
    await storage.put(KEY, local(b"other"), **FACTS)

    other = await storage.head(KEY)

    assert first.mark != other.mark
    assert await everything(storage, KEY) == b"other"


async def test_a_part_is_read_without_the_rest(storage, local):
    await storage.put(KEY, local(bytes(range(200))), **FACTS)

    assert await everything(storage, KEY, 10, 20) == bytes(range(10, 20))
    assert await everything(storage, KEY, 190, 200) == bytes(range(190, 200))
    assert await everything(storage, KEY, 5, 5) == b""


async def test_what_was_deleted_is_gone_and_may_be_deleted_again(storage, local):
    await storage.put(KEY, local(b"bytes"), **FACTS)

    for _ in range(2):
        await storage.delete(KEY, "resume/other.pdf")

    assert await storage.head(KEY) is None


async def test_the_names_of_a_group_are_its_own(storage, local):
    for key in ("resume/a.pdf", "resume/b.pdf", "resume/b@preview.png", "icons/a.png"):
        await storage.put(key, local(key.encode()), **FACTS)

    assert sorted(await storage.names("resume")) == ["a.pdf", "b.pdf", "b@preview.png"]
    assert await storage.names("attachments") == []


async def test_no_more_names_are_told_than_anybody_reads(tmp_path):
    storage = Storage.at((tmp_path / "files").as_uri())
    folder = tmp_path / "files" / "icons"
    folder.mkdir()
    for number in range(LIST_MAX + 10):
        (folder / f"{number}.png").touch()

    assert len(await storage.names("icons")) == LIST_MAX


async def test_of_many_puts_at_once_one_is_there_whole(storage, local):
    bodies = [bytes([number]) * 300_000 for number in range(8)]

    await asyncio.gather(*(storage.put(KEY, local(body), **FACTS) for body in bodies))

    assert await everything(storage, KEY) in bodies


async def test_a_reader_sees_the_file_it_began_with_or_none_of_it_mixed(storage, local):
    old, new = b"a" * 2_000_000, b"b" * 2_000_000
    await storage.put(KEY, local(old), **FACTS)

    reading = storage.read(KEY, 0, len(old))
    first = await anext(reading)
    await storage.put(KEY, local(new), **FACTS)
    rest = b"".join([chunk async for chunk in reading])

    assert first + rest == old


async def test_a_big_file_is_read_in_pieces(storage, local):
    body = b"x" * 30_000_000
    await storage.put(KEY, local(body), **FACTS)

    tracemalloc.start()
    size = 0
    async for chunk in storage.read(KEY, 0, len(body)):
        size += len(chunk)
        assert len(chunk) < 2_000_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size == len(body)
    # The bucket is in this process too, and does not spare its memory.
    assert most < 10_000_000 or not isinstance(storage, Directory)


async def test_a_bucket_that_is_away_is_away_for_a_moment(local, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "anything")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    storage = Storage.at("s3://nothing/x", endpoint="http://127.0.0.1:9")
    path = local(b"bytes")

    with pytest.raises(Busy):
        await storage.head(KEY)
    with pytest.raises(Busy):
        await storage.put(KEY, path, **FACTS)
    with pytest.raises(Busy):
        await everything(storage, KEY)
    with pytest.raises(Busy):
        await storage.delete(KEY)
    with pytest.raises(Busy):
        await storage.names("resume")
    assert storage.is_at_hand


def test_a_directory_that_cannot_be_written_to_is_not_at_hand(tmp_path):
    storage = Storage.at((tmp_path / "files").as_uri())
    assert storage.is_at_hand

    (tmp_path / "files").rmdir()

    assert not storage.is_at_hand


async def test_nothing_is_put_through_a_link(local, tmp_path):
    storage = Storage.at((tmp_path / "files").as_uri())
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "files" / "icons").symlink_to(outside)
    (tmp_path / "files" / "resume").mkdir()
    (tmp_path / "files" / "resume" / "cv.pdf").symlink_to(outside / "target")

    with pytest.raises(Busy):
        await storage.put("icons/a.png", local(b"icon"), **FACTS)
    await storage.put(KEY, local(b"resume"), **FACTS)

    assert list(outside.iterdir()) == []
    assert await everything(storage, KEY) == b"resume"


@pytest.mark.parametrize("url", ["", "/files", "ftp://x/y", "s3://", "s3:/x", "file://host/x", "http://x", "memory://"])
def test_what_is_no_place_to_keep_files_is_refused(url):
    with pytest.raises(BadAddress):
        Storage.at(url)


def test_a_directory_may_have_any_name(tmp_path):
    wanted = tmp_path / "with space & ümlaut%41"

    storage = Storage.at(wanted.as_uri())

    assert isinstance(storage, Directory)
    assert storage.root == wanted
