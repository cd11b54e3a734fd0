"""How a file is answered: whole, in part, unchanged, or by what stands for it; everything said once is made once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from media import depot, placeholders
from media.kinds import SUFFIXES, Group
from media.shelf import Item

Headers = list[tuple[bytes, bytes]]

FOR_EVER = b"public, max-age=31536000, immutable"
FOR_A_WHILE = b"public, max-age=300"
FOR_NOBODY = b"private, no-store"
NEVER = b"no-store"
PLACEHOLDER = b"x-placeholder"
MIMES = {suffix: mime.encode() for mime, suffix in SUFFIXES.items()}

SAFE: Headers = [
    # The type is what we say, and whatever it is it runs nothing.
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"sandbox"),
]
VARY = ((b"vary", b"origin"),)
"""Said where pages of some other origins may read an answer, and those of others not."""

RANGE = re.compile(rb"bytes=(\d{0,19})-(\d{0,19})")


@dataclass(frozen=True, slots=True)
class Part:
    """Which bytes of a file are wanted: from `start` up to `end`."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """The file has no such bytes."""


def variant_of(name: str) -> str | None:
    """The variant in a file's name, if it names one."""
    _, mark, rest = name.partition(depot.VARIANT_MARK)
    return rest.partition(".")[0] if mark else None


def headers_of(item: Item, group: Group, name: str, save_as: str | None) -> Headers:
    """What is said of a file that is there."""
    stem, _, suffix = name.rpartition(".")
    if group.private:
        caching = FOR_NOBODY
    else:
        # What people bring has a name of its own for ever; a machine may bring another file under the same name.
        caching = FOR_EVER if depot.is_peoples(stem.partition(depot.VARIANT_MARK)[0]) else FOR_A_WHILE
    return [
        (b"content-type", MIMES["." + suffix]),
        (b"content-length", b"%d" % item.size),
        (b"etag", b'"%s"' % item.sha256.encode()),
        (b"cache-control", caching),
        (b"accept-ranges", b"bytes"),
        *SAFE,
        *disposition(group, save_as or name),
    ]


def disposition(group: Group, name: str) -> Headers:
    """Documents are saved rather than shown by whoever opens their address; names are plain letters."""
    return [] if group.variants else [(b"content-disposition", b'attachment; filename="%s"' % name.encode())]


def placeholder(group: Group, name: str) -> tuple[Headers, bytes]:
    """What stands for a file that is not there; it may come, so nobody is to remember that it was not."""
    found = placeholders.of(group, variant_of(name))
    headers = [
        (b"content-type", found.mime.encode()),
        (b"content-length", b"%d" % len(found.body)),
        (b"cache-control", NEVER),
        (PLACEHOLDER, b"true"),
        *SAFE,
    ]
    return headers, found.body


def is_known(etag: bytes, if_none_match: bytes) -> bool:
    """Whether the client has this very file already (RFC 9110, 13.1.2: compared weakly)."""
    if if_none_match.strip() == b"*":
        return True
    return any(one.strip().removeprefix(b"W/") == etag for one in if_none_match.split(b","))


def part_of(size: int, wanted: bytes | None, if_range: bytes | None, etag: bytes) -> Part | None:
    """Which part is wanted; all of it when that is not said in a way we answer (RFC 9110, 14.2): several parts, say."""
    if wanted is None or (if_range is not None and if_range.strip() != etag):
        return None
    found = RANGE.fullmatch(wanted.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
    else:
        start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= end:
        raise Unsatisfiable
    return Part(start, end)


def without(headers: Headers, *names: bytes) -> Headers:
    """The headers but these."""
    return [header for header in headers if header[0] not in names]


def header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of a header; of several, all of them as one list."""
    found = [value for key, value in headers if key == name]
    return b", ".join(found) if found else None
