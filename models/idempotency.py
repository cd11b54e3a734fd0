"""What was asked once: a caller's keys, and what became of each."""

import enum
import hashlib
from dataclasses import dataclass, field, is_dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.accounts import Account
from models.base import Base, uuid7
from models.config import option
from models.errors import Checks, Conflict

KEY_MAX = 255

KEPT_DAYS = option(
    "idempotency.kept_days",
    default=30,
    least=1,
    most=365,
    means="Days for which an idempotency key is remembered.",
)


class IdempotencyKeyReused(Conflict):
    """A key stands for one request; the same one with other words is a mistake of the caller's, and nothing is done."""

    code = "IDEMPOTENCY_KEY_REUSED"
    message = "This idempotency key was used for a different request."


class IdempotencyKey(Base):
    """A key that somebody used, written in the same transaction as what it was used for."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (CheckConstraint(f"length(key) between 1 and {KEY_MAX}", name="key_length"),)

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    subject_id: Mapped[UUID]
    used_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True, slots=True)
class Once:
    """Something that a caller wants done once, however often it is asked for.

    `subject_id` is the id of what is answered: of the thing it is done to, or of the new thing that it makes.
    """

    account_id: UUID
    key: str
    fingerprint: str
    subject_id: UUID = field(default_factory=uuid7)

    @classmethod
    def of(cls, by: Account, key: str, verb: str, *said: Any, about: UUID | None = None) -> "Once":
        """Read the key of a request; `said` is all that the caller said, so that other words are told apart."""
        with Checks() as check:
            fits = 1 <= len(key) <= KEY_MAX and key.isprintable()
            check.require(fits, "idempotency_key", f"A key has 1 to {KEY_MAX} printable characters.")
        fingerprint = hashlib.sha256(repr((verb, about, _plain(said))).encode()).hexdigest()
        return cls(by.id, key, fingerprint, about or uuid7())

    def must_be(self, fingerprint: str) -> None:
        """Refuse to take one request for another."""
        if fingerprint != self.fingerprint:
            raise IdempotencyKeyReused


LEAVES = frozenset({str, int, bool, type(None), UUID, date, datetime})
"""What Python writes in a way that tells each from every other."""


def _plain(said: Any) -> Any:
    """What was said as Python writes it quickest: data classes and enums would write themselves, word by word."""
    kind = type(said)
    if kind in LEAVES:
        return said
    if kind is list or kind is tuple:
        return [one if type(one) in LEAVES else _plain(one) for one in said]
    if isinstance(said, enum.Enum):
        return said.value
    if is_dataclass(said):
        return kind.__name__, _plain([getattr(said, name) for name in kind.__dataclass_fields__])
    return said
