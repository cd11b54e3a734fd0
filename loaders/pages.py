"""Keyset pages: a cursor is the place of a row in its order, sealed so that nobody can make one up."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from models.base import Base
from models.errors import Invalid, Problem

PAGE_DEFAULT = 20
PAGE_MAX = 100
SEAL_BYTES = 12
CURSOR_MAX = 400

Row = TypeVar("Row", bound=Base)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadCursor(Invalid):
    """A cursor comes from a page of the same list, unchanged."""

    def __init__(self, path: str) -> None:
        super().__init__((Problem((path,), "This is not a cursor of this list."),))


class Seal:
    """Signs short texts (HMAC-SHA-256, cut to 96 bits) so that they come back unchanged or not at all."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def _mark(self, purpose: str, text: str) -> bytes:
        message = f"{purpose}\n{text}".encode()
        return hmac.digest(self._secret, message, hashlib.sha256)[:SEAL_BYTES]

    def close(self, purpose: str, text: str) -> str:
        """Seal a text for one purpose."""
        return base64.urlsafe_b64encode(self._mark(purpose, text) + text.encode()).decode().rstrip("=")

    def open(self, purpose: str, sealed: str) -> str | None:
        """Give the text back, or nothing when it was not sealed here, for this, in just these characters."""
        if len(sealed) > CURSOR_MAX or not sealed.isascii():
            return None
        try:
            raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            text = raw[SEAL_BYTES:].decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        return text if hmac.compare_digest(self.close(purpose, text), sealed) else None


def written(values: Sequence[Any]) -> str:
    """Write a row's place in an order: numbers, microseconds since 1970 for moments, hexadecimal for ids and texts."""
    return ":".join(map(_written, values))


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return str((value - EPOCH) // timedelta(microseconds=1))
    if isinstance(value, int):
        return str(value)
    return value.encode().hex() if isinstance(value, str) else value.hex


def read(text: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    """Read back what `written` wrote; the seal vouches for the text."""
    return tuple(_read(part, kind) for part, kind in zip(text.split(":"), kinds, strict=True))


def _read(part: str, kind: type) -> Any:
    if kind is datetime:
        return EPOCH + timedelta(microseconds=int(part))
    if kind is int:
        return int(part)
    return bytes.fromhex(part).decode() if kind is str else UUID(hex=part)


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of a list: `limit` rows after or before a place, from its end when `backward`."""

    limit: int
    place: tuple[Any, ...] | None = None
    backward: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list, in its order, and whether there are more on either side."""

    rows: list[Row]
    has_next: bool
    has_previous: bool

    @classmethod
    def cut(cls, found: list[Row], part: Slice) -> "Page[Row]":
        """Make a page of the `limit + 1` rows that were read in the slice's direction; the last only tells of more."""
        more, passed = len(found) > part.limit, part.place is not None
        rows = found[: part.limit]
        if part.backward:
            return cls(rows[::-1], has_next=passed, has_previous=more)
        return cls(rows, has_next=more, has_previous=passed)
