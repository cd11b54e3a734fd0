"""What is read, at hand: small files in memory, the digests of big ones, and what is not there."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from media.storage import Found, Storage

SMALL_BYTES = 1024 * 1024
"""Files up to this size are served from memory; bigger ones are streamed."""

ROOM_BYTES = 48 * 1024 * 1024
ITEMS_MAX = 20_000
FRESH_SECONDS = 1.0
"""How long a file is believed to be as it was; another process may have replaced or deleted it."""


@dataclass(slots=True)
class Item:
    """A file as it was when it was last looked at; a big one without its bytes."""

    key: str
    size: int
    mark: str
    sha256: str
    body: bytes | None
    seen_at: float
    head: bytes = b""
    """What is said before its bytes, where that is always the same."""


@dataclass(slots=True)
class Gap:
    """That there was no such file when it was last looked for."""

    seen_at: float
    body: None = None


class Shelf:
    """A bounded memory of what storage holds; what was asked for longest ago goes first."""

    def __init__(self, storage: Storage, clock: Callable[[], float]) -> None:
        self._storage = storage
        self._clock = clock
        self._items: OrderedDict[str, Item | Gap] = OrderedDict()
        self._looking: dict[str, asyncio.Task[Item | None]] = {}
        self._bytes = 0

    def at_hand(self, key: str) -> Item | Gap | None:
        """What is known of a key without looking; nothing if that is too little, or too long ago."""
        known = self._items.get(key)
        if known is None or self._clock() - known.seen_at > FRESH_SECONDS:
            return None
        self._items.move_to_end(key)
        return known

    async def find(self, key: str) -> Item | None:
        """The file under a key, if there is one; many who ask at once are answered by one look."""
        known = self.at_hand(key)
        if known is not None:
            return known if isinstance(known, Item) else None
        looking = self._looking.get(key)
        if looking is None:
            looking = self._looking[key] = asyncio.create_task(self._look(key))
            looking.add_done_callback(lambda _: self._looking.pop(key, None))
        # Whoever asked first may go away; the others still want to know.
        return await asyncio.shield(looking)

    async def _look(self, key: str) -> Item | None:
        seen_at = self._clock()
        found = await self._storage.head(key)
        known = self._items.get(key)
        if found is None:
            self._put(key, Gap(seen_at))
            return None
        if isinstance(known, Item) and known.mark == found.mark and known.size == found.size:
            known.seen_at = seen_at
            return known
        item = await self._read(key, found, seen_at)
        self._put(key, item or Gap(seen_at))
        return item

    async def _read(self, key: str, found: Found, seen_at: float) -> Item | None:
        body = bytearray()
        digest = hashlib.sha256()
        size = 0
        is_small = found.size <= SMALL_BYTES
        if is_small or found.sha256 is None:
            async for chunk in self._storage.read(key, 0, found.size):
                digest.update(chunk)
                size += len(chunk)
                if is_small:
                    body += chunk
            if size != found.size:
                # It was replaced or deleted between the two looks; the next one will see.
                return None
        sha256 = found.sha256 or digest.hexdigest()
        return Item(key, found.size, found.mark, sha256, bytes(body) if is_small else None, seen_at)

    def _put(self, key: str, known: Item | Gap) -> None:
        self.forget(key)
        self._items[key] = known
        self._bytes += len(known.body or b"")
        while self._bytes > ROOM_BYTES or len(self._items) > ITEMS_MAX:
            _, oldest = self._items.popitem(last=False)
            self._bytes -= len(oldest.body or b"")

    def forget(self, key: str) -> None:
        """Look anew next time: this process has just put something there."""
        known = self._items.pop(key, None)
        if known is not None:
            self._bytes -= len(known.body or b"")

    def read(self, item: Item, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes of a big file, a chunk at a time."""
        return self._storage.read(item.key, start, end)
