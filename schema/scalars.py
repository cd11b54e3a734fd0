"""How values are written: ids, moments, days, amounts."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from typing import Any, NewType
from uuid import UUID

import strawberry
from strawberry.schema.config import StrawberryConfig

import models.money
from models.base import Base
from models.errors import Checks, Invalid, Problem
from models.money import Currency, to_cents

MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")
KEY = re.compile(r"[0-9a-f]{32}")
NUMBER = re.compile(r"[-+.0-9A-Za-z]+")
"""What a decimal number is written with; NaN and Infinity too, which the rules of money refuse with a reason."""

ID_MAX = 80
"""Characters of an id; a longer text is none."""

KEYS_KEPT_MAX = 4_096
"""Ids whose keys are remembered: to read one takes longer than to look it up."""

DECIMAL_MAX = 40
"""Characters of an amount as text; a longer one is no amount."""

Cursor = NewType("Cursor", str)


class BadId(Invalid):
    """An id of another kind, or none at all; only what has the right form can be missing."""

    def __init__(self, noun: str, path: str) -> None:
        super().__init__((Problem((path,), f"This is not the id of a {noun}."),))


def id_of(row: Base) -> strawberry.ID:
    """Write the public id of a row: its noun and 32 hexadecimal digits."""
    key: UUID = row.id  # type: ignore[attr-defined]  # whatever has a noun has an id
    return strawberry.ID(f"{row.noun}_{key.hex}")


def noun_and_key(text: str) -> tuple[str, UUID | None]:
    """Read an id, in the one form in which it is written; there is no key where it is not in that form."""
    return _noun_and_key(text) if len(text) <= ID_MAX else ("", None)


@lru_cache(maxsize=KEYS_KEPT_MAX)
def _noun_and_key(text: str) -> tuple[str, UUID | None]:
    noun, _, digits = text.rpartition("_")
    return noun, UUID(hex=digits) if KEY.fullmatch(digits) else None


def key_of(noun: str, text: str, path: str = "id") -> UUID:
    """Read the id of a row of this noun."""
    prefix, key = noun_and_key(text)
    if prefix != noun or key is None:
        raise BadId(noun, path)
    return key


def key_in(check: Checks, noun: str, text: str, path: str | tuple[str, ...]) -> UUID:
    """Read an id among other fields: what is wrong with it is noted, to be said with the rest."""
    try:
        return key_of(noun, text)
    except BadId as bad:
        check.require(False, path, bad.message)
        return UUID(int=0)


def _write_moment(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _read_moment(text: Any) -> datetime:
    if isinstance(text, str) and MOMENT.fullmatch(text):
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(text).astimezone(UTC)
    raise ValueError(f"Not a moment in RFC 3339 form, with a time zone: {str(text)[:DECIMAL_MAX]!r}")


def _read_day(text: Any) -> date:
    try:
        value = date.fromisoformat(text)
    except (TypeError, ValueError):
        value = None
    if value is None or value.isoformat() != text:
        raise ValueError(f"Not a day in the form 2026-11-20: {str(text)[:DECIMAL_MAX]!r}")
    return value


def _read_decimal(text: Any) -> Decimal:
    # A JSON number has been through a float somewhere; an amount is written as a string.
    if not isinstance(text, str) or len(text) > DECIMAL_MAX or not NUMBER.fullmatch(text):
        raise ValueError('An amount is a short decimal string, such as "12.50".')
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"Not a decimal number: {text!r}") from None


SCALARS: dict[object, Any] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment in UTC, to the microsecond: `2026-11-20T19:48:00.123456Z` (RFC 3339).",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=_write_moment,
        parse_value=_read_moment,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A day: `2026-11-20` (RFC 3339, full-date).",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=date.isoformat,
        parse_value=_read_day,
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description='A decimal number as a string, never a float: `"1234.50"`.',
        serialize=str,
        parse_value=_read_decimal,
    ),
    Cursor: strawberry.scalar(
        name="Cursor",
        description="A place in a list or a stream. Opaque and signed: keep it, send it back, do not look inside.",
        serialize=str,
        parse_value=str,
    ),
}

CONFIG = StrawberryConfig(scalar_map=SCALARS)


def described(kind: type[Enum], means: str, **each: str) -> None:
    """Put an enum of the house into the schema; every value has to be explained."""
    strawberry.enum(kind, description=means)
    for value in kind.__strawberry_definition__.values:  # type: ignore[attr-defined]  # strawberry put it there
        value.description = each.pop(value.name)
    assert not each, each


described(Currency, "A currency, by its ISO 4217 code.", USD="United States dollars.")


@strawberry.type(description="An amount of money.")
class Money:
    amount: Decimal = strawberry.field(description="The amount, with as many decimal places as its currency has.")
    currency: Currency = strawberry.field(description="What it is an amount of.")


@strawberry.input(description="An amount of money.")
class MoneyInput:
    amount: Decimal = strawberry.field(description="More than zero, no finer than the smallest coin.")
    currency: Currency = strawberry.field(default=Currency.USD, description="What it is an amount of.")

    def cents(self, check: Checks, *path: str) -> int:
        """Read the amount in minor units; what is wrong with it is noted under `path`."""
        return to_cents(self.amount, self.currency, check, path)


def money(cents: int | None, currency: Currency) -> Any:
    """Show an amount, if there is one."""
    return None if cents is None else models.money.Money(cents, currency)
