"""Where bytes are kept: a directory, or a bucket that speaks S3, behind one object-store library."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from models.errors import Busy

KEY = re.compile(r"[a-z]{1,40}/[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,99}(?:@[a-z]{1,20}\.[a-z]{1,5})?")
"""The only form of a name that is ever handed on: one folder, one file, nothing that leads anywhere."""

CHUNK_BYTES = 256 * 1024
PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 2
"""How much of a big file is on its way to a bucket at a time, which is what a put takes of memory."""

LIST_MAX = 1_000
S3_TIMEOUT, S3_CONNECT_TIMEOUT = timedelta(seconds=60), timedelta(seconds=3)
S3_RETRIES_MAX, S3_RETRYING = 2, timedelta(seconds=10)
DIGEST = "sha256"

Store: TypeAlias = LocalStore | S3Store


class BadAddress(Exception):
    """This is not an address that files can be kept at."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is there. `mark` changes whenever its bytes do; the digest is known where storage remembers it."""

    size: int
    mark: str
    sha256: str | None


@contextmanager
def _reaching() -> Iterator[None]:
    """Say that what keeps the files is away as everything that is away for a moment is said."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise Busy from error


class Storage:
    """Files by key, `group/name`. A put replaces a file whole or not at all; what has no right key is not there."""

    def __init__(self, store: Store, *, remembers: bool) -> None:
        self._store = store
        self._remembers = remembers

    @classmethod
    def at(cls, url: str, *, endpoint: str | None = None) -> "Storage":
        """Open a directory by its `file:` address, or `s3://bucket/prefix`.

        Keys and region of S3 are whatever AWS's own variables in the environment say.
        """
        parts = urlsplit(url)
        if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
            return Directory(Path(unquote(parts.path)))
        if parts.scheme != "s3" or not parts.netloc:
            raise BadAddress(
                f"files are kept at the file: address of a directory, or at s3://bucket/prefix, not at {url!r}"
            )
        config = {"endpoint": endpoint, "virtual_hosted_style_request": False} if endpoint else {}
        allow_http = bool(endpoint and endpoint.startswith("http:"))
        store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            config=config,  # type: ignore[arg-type]  # a TypedDict of forty optional keys
            client_options={"allow_http": allow_http, "timeout": S3_TIMEOUT, "connect_timeout": S3_CONNECT_TIMEOUT},
            retry_config={"max_retries": S3_RETRIES_MAX, "retry_timeout": S3_RETRYING},
        )
        return cls(store, remembers=True)

    async def put(self, key: str, path: Path, *, mime_type: str, sha256: str) -> None:
        """Keep a local file under a key, in the place of whatever was there."""
        assert KEY.fullmatch(key), key
        facts = {"Content-Type": mime_type, DIGEST: sha256} if self._remembers else None
        with _reaching():
            await obstore.put_async(
                self._store, key, path, attributes=facts, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            )

    async def head(self, key: str) -> Found | None:
        """What is under a key, if anything is."""
        if not self._leads_here(key):
            return None
        try:
            with _reaching():
                got = await obstore.get_async(self._store, key, options={"head": True})
        except FileNotFoundError:
            return None
        mark = got.meta["e_tag"] or got.meta["last_modified"].isoformat()
        return Found(got.meta["size"], mark, got.attributes.get(DIGEST))

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`, a chunk at a time; nothing at all if the file has gone meanwhile."""
        if not self._leads_here(key) or start >= end:
            return
        try:
            with _reaching():
                got = await obstore.get_async(self._store, key, options={"range": (start, end)})
                async for chunk in got.stream(min_chunk_size=CHUNK_BYTES):
                    yield bytes(chunk)
        except FileNotFoundError:
            return

    async def delete(self, *keys: str) -> None:
        """Let files go; one that is not there is as good as gone."""
        for key in keys:
            if self._leads_here(key):
                with suppress(FileNotFoundError), _reaching():
                    await obstore.delete_async(self._store, key)

    async def names(self, group: str) -> list[str]:
        """The names of the first files of a group, in some order."""
        assert KEY.fullmatch(f"{group}/a"), group
        found: list[str] = []
        with _reaching():
            async for batch in self._store.list(group, chunk_size=LIST_MAX):
                found += (entry["path"].removeprefix(f"{group}/") for entry in batch)
                if len(found) >= LIST_MAX:
                    break
        return [name for name in found[:LIST_MAX] if KEY.fullmatch(f"{group}/{name}")]

    @property
    def is_at_hand(self) -> bool:
        """Whether files can be kept here just now, as far as that can be told without asking over a network."""
        return True

    def _leads_here(self, key: str) -> bool:
        return KEY.fullmatch(key) is not None


class Directory(Storage):
    """Files in a local directory. The library would follow symbolic links out of it; this does not."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        super().__init__(LocalStore(self.root, mkdir=True), remembers=False)

    def _leads_here(self, key: str) -> bool:
        if not super()._leads_here(key):
            return False
        path = self.root / key
        return not path.is_symlink() and not path.parent.is_symlink()

    async def put(self, key: str, path: Path, *, mime_type: str, sha256: str) -> None:  # noqa: ARG002 - a file has neither
        """Keep a local file under a key; it is on the disk when this returns, and moved rather than copied."""
        assert KEY.fullmatch(key), key
        with _reaching():
            await asyncio.to_thread(self._move, path, self.root / key)

    def _move(self, path: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A link in the place of the file is replaced, and not followed; one in the place of its folder would be.
        if target.parent.is_symlink():
            raise NotADirectoryError(target.parent)
        _settle(path)
        path.replace(target)
        _settle(target.parent)

    @property
    def is_at_hand(self) -> bool:
        """Whether the directory is there and can be written to."""
        return os.access(self.root, os.R_OK | os.W_OK | os.X_OK)

    async def names(self, group: str) -> list[str]:
        """The names of the first files of a group; links are not among them."""
        return await asyncio.to_thread(self._names, group)

    def _names(self, group: str) -> list[str]:
        found: list[str] = []
        try:
            with os.scandir(self.root / group) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False) and self._leads_here(f"{group}/{entry.name}"):
                        found.append(entry.name)
                    if len(found) == LIST_MAX:
                        break
        except FileNotFoundError:
            return []
        return sorted(found)


def _settle(path: Path) -> None:
    """Have what was written survive a power cut."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
