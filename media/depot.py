"""Where what comes in waits until it is whole and judged, and how it is put away."""

import asyncio
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path

from media.kinds import GROUPS, HEAD_BYTES, PNG, PREVIEW, SUFFIXES, Group, TooLarge, Unacceptable, safe_name
from media.storage import Directory, Storage
from media.tickets import Addresses
from media.workshop import Made, Workshop
from models.errors import Busy, Refusal
from models.media import PUTTING_AWAY, Stored, Upload, UploadDiffers, UploadGroup, UploadState

WRITE_BYTES = 1024 * 1024
"""How much of a body is in memory before it is written down."""

IDLE_SECONDS = 30.0
"""How long a body may stop coming in."""

AT_ONCE_MAX = 8
"""Bodies that one process takes in at a time; more are told to come back."""

FRESH_SECONDS = 60.0
SPOOL = ".incoming"
PEOPLES = re.compile(r"[0-9a-f]{32}")
"""What files that people bring are called, but for how their names end."""

VARIANT_MARK = "@"
"""Parts a name from its variant; `safe_name` never lets it into a name."""


class TooSlow(Refusal):
    """A body has to come in in reasonable time."""

    code = "UPLOAD_TOO_SLOW"
    message = "The body took too long to come in."


def is_peoples(stem: str) -> bool:
    """Whether a file of this name was brought by a person; nothing else ever is called so."""
    return PEOPLES.fullmatch(stem) is not None


def kind_of(group: UploadGroup) -> Group:
    """What files of a group have to be."""
    return GROUPS[group.value]


def name_of(stored_name: str, variant: str, suffix: str) -> str:
    """What a variant of a file is called."""
    return f"{stored_name.rpartition('.')[0]}{VARIANT_MARK}{variant}{suffix}"


def names_of(upload: Upload) -> dict[str, str]:
    """What everything that was made of an upload is called, by variant, the main piece first; not all need be there."""
    stored_name = upload.stored_name
    if stored_name is None:
        return {}
    kind = kind_of(upload.group)
    if not kind.variants:
        return {Group.DOCUMENT: stored_name, PREVIEW.name: name_of(stored_name, PREVIEW.name, SUFFIXES[PNG])}
    first, *others = (variant.name for variant in kind.variants)
    return {first: stored_name} | {name: name_of(stored_name, name, kind.suffix) for name in others}


class Depot:
    """Takes files in, has them judged, and puts them away; makes the addresses under which they come and go."""

    def __init__(self, storage: Storage, workshop: Workshop, addresses: Addresses, spool: Path | None = None) -> None:
        self.storage = storage
        self.workshop = workshop
        self.addresses = addresses
        # In the same file system as the directory they end in, so that they are moved and not copied.
        inside = storage.root / SPOOL if isinstance(storage, Directory) else None
        self._spool = inside or spool or Path(tempfile.gettempdir()) / "workup-media"
        self._own: Path | None = None
        self._hold = -1
        self._places = 0

    async def close(self) -> None:
        """End what is being made, and leave nothing half done."""
        await self.workshop.close()
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            os.close(self._hold)
            self._own = None

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A directory for one file on its way, which is gone afterwards, whatever happens; `Busy` if all are taken."""
        if self._places >= AT_ONCE_MAX:
            raise Busy
        self._places += 1
        place = Path(tempfile.mkdtemp(dir=self._mine()))
        try:
            yield place
        finally:
            self._places -= 1
            shutil.rmtree(place, ignore_errors=True)

    def _mine(self) -> Path:
        """This process's part of the spool: as long as the process lives, the kernel keeps a lock on it for us."""
        if self._own is None:
            self._spool.mkdir(parents=True, exist_ok=True)
            self._own = Path(tempfile.mkdtemp(dir=self._spool))
            self._hold = os.open(self._own, os.O_RDONLY)
            fcntl.flock(self._hold, fcntl.LOCK_EX)
        return self._own

    def clean(self, at: datetime) -> int:
        """Remove what processes of this machine left behind that are gone; say of how many."""
        if not self._spool.is_dir():
            return 0
        return sum(self._clean(left, at.timestamp()) for left in self._spool.iterdir() if left != self._own)

    @staticmethod
    def _clean(left: Path, now: float) -> bool:
        try:
            hold = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            # One that is just being made may not be locked yet.
            if now - os.fstat(hold).st_mtime < FRESH_SECONDS:
                return False
            fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            return False
        finally:
            os.close(hold)
        return True

    async def put_away(self, made: Made, group: UploadGroup, stored_name: str) -> Stored:
        """Put everything that was made of a file into storage, the main piece last: once it is there, all is."""
        try:
            async with asyncio.timeout(PUTTING_AWAY.total_seconds()):
                for variant, piece in reversed(made.files.items()):
                    is_main = piece.path == made.path
                    name = stored_name if is_main else name_of(stored_name, variant, SUFFIXES[piece.mime])
                    key = f"{group.value}/{name}"
                    await self.storage.put(key, piece.path, mime_type=piece.mime, sha256=piece.sha256)
        except TimeoutError:
            raise Busy from None
        return Stored(stored_name, made.size_bytes, made.mime, made.sha256)

    async def remove(self, upload: Upload) -> None:
        """Delete everything that was made of an upload."""
        await self.storage.delete(*(f"{upload.group.value}/{name}" for name in names_of(upload).values()))

    def address(self, upload: Upload, variant: str | None = None, *, expires_at: datetime) -> str | None:
        """Where a variant of an upload can be read: for ever in a public group, until a moment in a private one."""
        names = names_of(upload)
        name = names.get(variant) if variant else upload.stored_name
        if name is None or upload.state not in {UploadState.ARRIVED, UploadState.KEPT}:
            return None
        if upload.group.is_public:
            return self.addresses.public(upload.group.value, name)
        suffix = "." + name.rpartition(".")[2]
        return self.addresses.private(
            upload.group.value, name, save_as=safe_name(upload.name, suffix), expires_at=expires_at
        )


async def gather(body: AsyncIterator[bytes], target: Path, kind: Group, *, exactly: int) -> None:
    """Write a body down as it comes, never holding much of it; refuse it at the first sign that it is not right."""
    intake = Intake(target, kind, exactly, UploadDiffers)
    try:
        async for chunk in body:
            await intake.take(chunk)
        await intake.finish()
    finally:
        intake.close()
    if intake.size != exactly:
        raise UploadDiffers(f"{exactly} bytes were announced, and {intake.size} came.")


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Refuse a body that takes longer than that to come in."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TooSlow from None


class Intake:
    """A file that grows as a body comes in, looked at when its first bytes are there and measured all the time."""

    def __init__(self, target: Path, kind: Group, most: int, too_much: type[Refusal] = TooLarge) -> None:
        self._too_much = too_much
        self._file = target.open("wb", buffering=0)
        self._kind = kind
        self._most = most
        self._waiting = bytearray()
        self._looked = False
        self.size = 0

    async def take(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.size += len(chunk)
        if self.size > self._most:
            raise self._too_much(f"This file has more than {self._most} bytes.")
        self._waiting += chunk
        if not self._looked and self.size >= HEAD_BYTES:
            self._kind.must_take(bytes(self._waiting[:HEAD_BYTES]))
            self._looked = True
        if len(self._waiting) >= WRITE_BYTES:
            await self._write()

    async def finish(self) -> None:
        """Write the rest."""
        if not self._looked:
            self._kind.must_hold(self.size)
            self._kind.must_take(bytes(self._waiting))
        await self._write()

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, bytearray()
        await asyncio.to_thread(_write_all, self._file.fileno(), waiting)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _write_all(number: int, data: bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]


def delivered_name(filename: str, group: UploadGroup) -> str:
    """What a file that a machine brings is called: as the machine says, as far as that is harmless."""
    suffix = kind_of(group).suffix
    name = safe_name(filename, suffix)
    if is_peoples(name.removesuffix(suffix)):
        raise Unacceptable("Names of 32 hexadecimal digits are for what people bring.")
    return name
