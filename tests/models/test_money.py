"""What an amount is."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.errors import Checks
from models.money import AMOUNT_MAX_CENTS, Currency, Money, to_cents
from tests.models.rules import faults

cents = st.integers(1, AMOUNT_MAX_CENTS)


def read(text: str | Decimal) -> int:
    with Checks() as check:
        return to_cents(Decimal(text), Currency.USD, check, ("bid", "amount"))


def refused(text: str | Decimal) -> bool:
    return faults(lambda: read(text)) == ["bid.amount"]


@given(cents)
def test_an_amount_is_read_as_it_is_shown(amount):
    assert read(Money(amount).amount) == amount
    assert read(str(Money(amount).amount)) == amount


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_amount_is_shown_with_as_many_places_as_its_currency_has(amount):
    shown = Money(amount).amount

    assert shown.as_tuple().exponent == -2
    assert shown * 100 == amount


@given(cents, st.integers(0, 30))
def test_zeros_at_the_end_do_not_matter(amount, zeros):
    assert read(f"{Money(amount).amount}{'0' * zeros}") == amount


@given(cents, st.integers(-20, 20))
def test_an_exponent_does_not_matter(amount, exponent):
    assert read(f"{amount}E-2") == amount
    with localcontext() as exact:
        exact.prec = 60
        assert read(f"{Decimal(amount).scaleb(-2 - exponent):f}E{exponent}") == amount


@given(st.integers(0, AMOUNT_MAX_CENTS - 1), st.text("0123456789", min_size=1, max_size=60))
@example(100, "0" * 50 + "1")
def test_nothing_is_finer_than_the_smallest_coin(amount, further):
    text = f"{amount // 100}.{amount % 100:02}{further}"
    if further.strip("0"):
        assert refused(text)
    elif amount:
        assert read(text) == amount


def whole_cents(number: Decimal) -> int | None:
    """How many cents a number is, from its digits and without arithmetic on decimals."""
    sign, digits, exponent = number.as_tuple()
    written = "".join(map(str, digits))
    significant = written.rstrip("0")
    if sign or not significant or not isinstance(exponent, int):
        return None
    places = exponent + len(written) - len(significant) + 2
    if not 0 <= places <= 12:
        return None
    found = int(significant) * 10**places
    return found if found <= 10**10 else None


@given(st.decimals(allow_nan=True, allow_infinity=True))
@example(Decimal("1E-999999999999999999"))
@example(Decimal("1E+999999999999999999"))
@example(Decimal("-NaN"))
@example(Decimal("sNaN"))
@example(Decimal("-Infinity"))
def test_any_number_is_read_exactly_or_refused(number):
    expected = whole_cents(number)
    if expected is None:
        assert refused(number)
    else:
        assert read(number) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.01", 1),
        (".5", 50),
        ("1.", 100),
        ("1.5", 150),
        ("1E+3", 100_000),
        ("1e-2", 1),
        ("100000000.00", 10_000_000_000),
    ],
)
def test_what_can_be_paid_is_an_amount(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "0", "0.00", "-0", "0E+10", "-0.01", "-1", "-1E+30",
        "0.001", "0.005", "0.009", "1.999", "1e-3", "1E-30", "0.01000000000000000000000000000000000001",
        "100000000.01", "100000000.001", "1E+9", "1E+400",
        "NaN", "-NaN", "sNaN", "Infinity", "-Infinity",
    ],
)  # fmt: skip
def test_what_cannot_be_paid_is_no_amount(text):
    assert refused(text)


def test_an_amount_at_fault_does_not_stop_the_other_checks():
    def both():
        with Checks() as check:
            to_cents(Decimal("NaN"), Currency.USD, check, ("low",))
            to_cents(Decimal("0.001"), Currency.USD, check, ("high",))

    assert faults(both) == ["low", "high"]


def test_amounts_are_whole_cents_and_never_floats():
    assert type(read("12.30")) is int
    assert type(Money(1230).amount) is Decimal
