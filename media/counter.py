"""What is handed over at once: the answers to plain requests for what is at hand, ready to be written.

`MediaServer` answers the same requests with the same bytes, and takes ten times as long to find out that it can.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from media import answers
from media.answers import Headers
from media.kinds import GROUPS, Group
from media.shelf import Gap, Item, Shelf
from media.tickets import Addresses
from models.errors import Refusal

STATIC = b"/static/"
NOT_PLAIN = {
    *(b"authorization", b"content-length", b"expect", b"origin", b"transfer-encoding"),
    *(b"if-none-match", b"if-range", b"range"),
}
"""Headers that make a request one that has to be thought about."""

GAPS_MAX = 100
LINKS_MAX = 10_000

Asked = Sequence[tuple[bytes, bytes]]
Ready = tuple[bytes, bytes]
"""The head of an answer, but for the lines that the server adds, and its body."""


@dataclass(slots=True)
class Known:
    """A link that was looked into and is good, with what is said before the file it was last used for."""

    expires_at: datetime
    save_as: str
    item: Item | None = None
    head: bytes = b""


class Counter:
    """Everything is looked into once; then it is remembered for as long as it holds."""

    def __init__(
        self,
        shelf: Shelf,
        addresses: Addresses,
        clock: Callable[[], datetime],
        more: Sequence[tuple[bytes, bytes]],
        *,
        is_shut: Callable[[], bool],
    ) -> None:
        self._is_shut = is_shut
        self._shelf = shelf
        self._addresses = addresses
        self._clock = clock
        self._more = more
        self._gaps: dict[tuple[str, str | None], Ready] = {}
        self._links: dict[bytes, Known] = {}

    def __call__(self, target: bytes, headers: Asked) -> Ready | None:
        """Answer a GET, or nothing if it takes more than that."""
        if not target.startswith(STATIC) or self._is_shut():
            return None
        for name, _ in headers:
            if name in NOT_PLAIN:
                return None
        path, _, query = target.partition(b"?")
        # Only keys in the one right form are ever on the shelf, so whatever is found there may be looked up.
        key = path[len(STATIC) :].decode("ascii", "replace")
        known = self._shelf.at_hand(key)
        if known is None or (isinstance(known, Item) and known.body is None):
            return None
        return self._ready(known, key, target, query)

    def _ready(self, known: Item | Gap, key: str, target: bytes, query: bytes) -> Ready | None:
        folder, _, name = key.partition("/")
        group = GROUPS[folder]
        link = self._link(target, group, name, query) if group.private else None
        if group.private and link is None:
            return None
        if isinstance(known, Gap):
            return self._gap(group, name)
        if link is None:
            known.head = known.head or self._head(answers.headers_of(known, group, name, None))
            return known.head, known.body or b""
        if link.item is not known:
            link.item = known
            link.head = self._head(answers.headers_of(known, group, name, link.save_as))
        return link.head, known.body or b""

    def _link(self, target: bytes, group: Group, name: str, query: bytes) -> Known | None:
        now = self._clock()
        known = self._links.get(target)
        if known is not None:
            return known if now < known.expires_at else None
        if not query.startswith(b"link=") or b"&" in query or b"%" in query:
            return None
        try:
            link = self._addresses.link(group.name, name, query[5:].decode("ascii", "replace"), now)
        except Refusal:
            return None
        if len(self._links) >= LINKS_MAX:
            self._links.clear()
        known = self._links[target] = Known(link.expires_at, link.save_as)
        return known

    def _gap(self, group: Group, name: str) -> Ready:
        variant = answers.variant_of(name)
        ready = self._gaps.get((group.name, variant))
        if ready is None:
            headers, body = answers.placeholder(group, name)
            ready = self._head(headers), body
            if len(self._gaps) < GAPS_MAX:
                self._gaps[group.name, variant] = ready
        return ready

    def _head(self, headers: Headers) -> bytes:
        lines = b"".join(b"%s: %s\r\n" % line for line in [*headers, *self._more])
        return b"HTTP/1.1 200 OK\r\n" + lines
