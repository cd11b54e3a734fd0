"""How values are written."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import models.money
from models.errors import Checks
from models.money import AMOUNT_MAX_CENTS, Currency
from schema.scalars import SCALARS, BadId, MoneyInput, id_of, key_of, money
from tests import make
from tests.models.rules import faults

HEX = "0195a1b2c3d47e5f8a9b0c1d2e3f4a5b"
ID = f"job_{HEX}"

nouns = st.sampled_from(["job", "proposal", "contract", "milestone", "account", "item", "two_words"])
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def write(kind: type, value: Any) -> Any:
    return SCALARS[kind].serialize(value)


def read(kind: type, text: Any) -> Any:
    return SCALARS[kind].parse_value(text)


# Ids


@given(nouns, st.uuids())
def test_an_id_is_read_as_it_was_written(noun, key):
    row: Any = SimpleNamespace(noun=noun, id=key)

    assert key_of(noun, id_of(row)) == key


def test_an_id_says_what_it_is_the_id_of():
    job = make.job(make.client())

    assert id_of(job) == f"job_{job.id.hex}"


@given(nouns, nouns, st.uuids())
def test_an_id_of_another_kind_is_refused(noun, other, key):
    row: Any = SimpleNamespace(noun=other, id=key)
    text = id_of(row)

    if noun == other:
        assert key_of(noun, text) == key
    else:
        assert faults(lambda: key_of(noun, text, "job_id")) == ["job_id"]


@given(st.text() | st.text("_job-{}0123456789abcdefABCDEF", max_size=45))
def test_whatever_is_no_id_is_refused(text):
    with pytest.raises(BadId):
        key_of("job", text)


@given(st.data())
def test_an_id_with_anything_put_in_is_refused(data):
    at = data.draw(st.integers(0, len(ID)))
    text = ID[:at] + data.draw(st.text("_- {}\n\0f0é\ud800", min_size=1, max_size=3)) + ID[at:]

    assert faults(lambda: key_of("job", text)) == ["id"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "job",
        "job_",
        HEX,
        "_" + HEX,
        "JOB_" + HEX,
        "job_" + HEX.upper(),
        "job_" + HEX[:-1],
        "job_" + HEX + "0",
        "job_{" + HEX + "}",
        "job_urn:uuid:" + HEX,
        "job_0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
        "job__" + HEX,
        "job_job_" + HEX,
        "job_" + "\uff11" * 32,
        "job_+" + HEX[:-1],
        "job_0x" + HEX[:-2],
        " job_" + HEX,
        "job_" + HEX + "\n",
        "job_" + "g" * 32,
        "x" * 1_000_000,
    ],
    ids=lambda text: f"{text!a:.40}",
)
def test_an_id_has_one_form_only(text):
    assert faults(lambda: key_of("job", text, "job_id")) == ["job_id"]


def test_a_refused_id_does_not_say_whether_there_is_such_a_thing():
    with pytest.raises(BadId) as refused:
        key_of("job", f"proposal_{HEX}")

    assert refused.value.code == "BAD_USER_INPUT"
    assert HEX not in refused.value.message


# Moments and days


@given(st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=zones))  # noqa: DTZ001  # hypothesis adds the zone
def test_a_moment_is_read_as_it_was_written_whatever_its_zone(moment):
    text = write(datetime, moment)

    assert read(datetime, text) == moment
    assert read(datetime, moment.isoformat()) == moment
    assert read(datetime, text).tzinfo is UTC
    assert len(text) == len("2026-11-20T19:48:00.123456Z")


@given(st.lists(st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=zones)))  # noqa: DTZ001  # hypothesis adds the zone
def test_written_moments_sort_as_moments_do(moments):
    assert sorted(write(datetime, moment) for moment in moments) == [
        write(datetime, moment) for moment in sorted(moments)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T19:48:00Z", datetime(2026, 11, 20, 19, 48, tzinfo=UTC)),
        ("2026-11-20T19:48:00.5+02:00", datetime(2026, 11, 20, 17, 48, 0, 500_000, tzinfo=UTC)),
        ("2026-11-20T23:59:59.999999-00:00", datetime(2026, 11, 20, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_in_utc(text, expected):
    assert read(datetime, text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-20", "2026-11-20T19:48:00", "2026-13-20T19:48:00Z", "2026-11-20T25:00:00Z", "1795204800",
     1795204800, 1.5, True, None, [], {}, "x" * 1_000_000, "\ud800"],
    ids=lambda text: f"{text!a:.30}",
)  # fmt: skip
def test_what_is_no_moment_is_refused_without_repeating_all_of_it(text):
    with pytest.raises(ValueError, match="moment") as refused:
        read(datetime, text)

    assert len(str(refused.value)) < 300


@given(st.dates())
def test_a_day_is_read_as_it_was_written(day):
    assert read(date, write(date, day)) == day


@pytest.mark.parametrize(
    "text",
    ["", "today", "20261120", "2026-W47-5", "2026-11-31", "2026-02-29", "2026-11-20T00:00:00Z", "2026-11-20 ",
     "26-11-20", "0000-01-01", 20261120, None, True, [], {}, "x" * 1_000_000, "\ud800"],
    ids=lambda text: f"{text!a:.30}",
)  # fmt: skip
def test_a_day_has_one_form_only(text):
    with pytest.raises(ValueError, match="Not a day") as refused:
        read(date, text)

    assert len(str(refused.value)) < 300


# Amounts


@given(st.integers(1, AMOUNT_MAX_CENTS))
def test_an_amount_goes_out_and_comes_back_without_a_float(cents):
    shown = money(cents, Currency.USD)
    text = write(Decimal, shown.amount)

    assert text == f"{cents // 100}.{cents % 100:02}"
    with Checks() as check:
        assert MoneyInput(amount=read(Decimal, text)).cents(check, "bid") == cents


@pytest.mark.parametrize(
    "value",
    [0, 1, 12.5, float("nan"), True, None, [], {}, "", "twelve", "12,50", "1.2.3", "$12", "0x10", "1/2", "\u0661\u0662",
     "12\0", "\ud800", "1" * 41, "1E+9999999999999999999999"],
    ids=lambda value: f"{value!a:.30}",
)  # fmt: skip
def test_what_is_no_amount_in_text_is_refused(value):
    with pytest.raises(ValueError, match=r"amount|number"):
        read(Decimal, value)


@pytest.mark.parametrize(
    "text",
    ["NaN", "sNaN", "Infinity", "-Infinity", "0", "-0", "-1", "0.001", "1E+30", "1E-30", "1E-999999999999999999",
     "1.0000000000000000000000000000000000001"],
)  # fmt: skip
def test_a_number_that_nobody_could_be_paid_is_a_fault_of_its_field(text):
    def cents():
        with Checks() as check:
            MoneyInput(amount=read(Decimal, text)).cents(check, "budget", "fixed", "amount")

    assert faults(cents) == ["budget.fixed.amount"]


def test_no_amount_is_shown_where_there_is_none():
    assert money(None, Currency.USD) is None
    assert money(0, Currency.USD) == models.money.Money(0)
