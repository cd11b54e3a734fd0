"""What an amount is: an integer of minor units in a currency, and never a float."""

import enum
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from models.errors import Checks

AMOUNT_MAX_CENTS = 100_000_000_00
"""The largest amount anybody may name: a hundred million, far from the edge of a 64-bit integer even when summed."""

BPS = 10_000
"""Basis points in a whole: fees are counted in hundredths of a percent."""


class Currency(enum.Enum):
    """ISO 4217 codes that the marketplace trades in."""

    USD = "USD"


MINOR_DIGITS = {Currency.USD: 2}
"""Decimal places of each currency (ISO 4217)."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (cents) of a currency."""

    cents: int
    currency: Currency = Currency.USD

    @property
    def amount(self) -> Decimal:
        """The amount in whole units, with exactly the currency's decimal places."""
        return Decimal(self.cents).scaleb(-MINOR_DIGITS[self.currency])


@cache
def _largest(digits: int) -> Decimal:
    return Decimal(AMOUNT_MAX_CENTS).scaleb(-digits)


def to_cents(amount: Decimal, currency: Currency, check: Checks, path: tuple[str, ...]) -> int:
    """Read an amount that somebody typed: more than zero, within bounds, no finer than the currency's smallest coin."""
    digits = MINOR_DIGITS[currency]
    if not check.require(amount.is_finite(), path, "An amount is a finite number."):
        return 0
    if not check.require(amount > 0, path, "An amount is more than zero."):
        return 0
    largest = _largest(digits)
    if amount > largest:
        check.require(False, path, f"An amount is at most {largest}.")
        return 0
    cents = int(amount.scaleb(digits))
    # Arithmetic rounds to 28 digits, comparison does not round at all.
    if Decimal(cents).scaleb(-digits) == amount:
        return cents
    check.require(False, path, f"An amount in {currency.value} has at most {digits} decimal places.")
    return 0
