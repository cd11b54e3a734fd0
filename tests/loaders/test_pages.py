"""Cursors nobody can make up, and pages cut where they end."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.pages import CURSOR_MAX, BadCursor, Page, Seal, Slice, read, written
from tests.models.rules import faults

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

SEAL = Seal(b"a secret that only the tests know")
PLACE = "1795204800000000:0195a1b2c3d47e5f8a9b0c1d2e3f4a5b"

purposes = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
moments = st.datetimes(timezones=st.sampled_from([UTC])) | st.datetimes().map(lambda moment: moment.replace(tzinfo=UTC))
places = st.lists(moments | st.uuids(), min_size=1, max_size=4)


def raw(sealed: str) -> bytes:
    return base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))


# Seals


@given(purposes, texts)
def test_what_was_sealed_is_opened(purpose, text):
    assert SEAL.open(purpose, SEAL.close(purpose, text)) == text


@given(purposes, texts)
def test_a_sealed_text_can_stand_in_an_address(purpose, text):
    assert set(SEAL.close(purpose, text)) <= set(ALPHABET)


@given(purposes, purposes, texts)
def test_what_was_sealed_for_one_purpose_is_not_opened_for_another(one, other, text):
    assert (SEAL.open(other, SEAL.close(one, text)) is None) is (one != other)


@given(st.binary(min_size=1, max_size=64), st.binary(min_size=1, max_size=64), texts)
def test_what_was_sealed_with_one_secret_is_not_opened_with_another(one, other, text):
    # HMAC fills a short key up with zeros, so secrets that differ only in those are one.
    same = one.rstrip(b"\0") == other.rstrip(b"\0")

    assert (Seal(other).open("jobs", Seal(one).close("jobs", text)) is None) is not same


@given(texts, st.data())
def test_a_sealed_text_with_another_character_in_it_comes_back_unchanged_or_not_at_all(text, data):
    sealed = SEAL.close("jobs", text)
    at = data.draw(st.integers(0, len(sealed) - 1))
    other = sealed[:at] + data.draw(st.sampled_from(ALPHABET)) + sealed[at + 1 :]

    opened = SEAL.open("jobs", other)

    # Also the last character, which may hold bits that belong to no byte.
    assert opened == (text if other == sealed else None)


@given(texts, st.data())
def test_a_sealed_text_with_a_changed_bit_is_refused(text, data):
    spoilt = bytearray(raw(SEAL.close("jobs", text)))
    spoilt[data.draw(st.integers(0, len(spoilt) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    assert SEAL.open("jobs", base64.urlsafe_b64encode(spoilt).decode().rstrip("=")) is None


@given(texts, st.data())
def test_a_sealed_text_that_was_cut_or_lengthened_is_refused(text, data):
    sealed = raw(SEAL.close("jobs", text))
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    longer = sealed + data.draw(st.binary(min_size=1, max_size=9))

    for other in (cut, longer, sealed[1:]):
        assert SEAL.open("jobs", base64.urlsafe_b64encode(other).decode().rstrip("=")) is None


@given(st.text())
def test_a_text_somebody_made_up_is_refused(text):
    assert SEAL.open("jobs", text) is None


@pytest.mark.parametrize(
    "sealed",
    ["", "=", "====", "A", "AAAAA", "é" * 20, "\ud800" * 20, "\0" * 20, "A B C D" * 5, "+/" * 12, "A" * 1_000_000],
    ids=lambda text: f"{text!a:.20}",
)
def test_garbage_is_refused(sealed):
    assert SEAL.open("jobs", sealed) is None


def test_a_text_that_is_too_long_is_not_even_looked_at():
    longest = "x" * (CURSOR_MAX * 3 // 4 - 12)

    assert SEAL.open("jobs", SEAL.close("jobs", longest)) == longest
    assert SEAL.open("jobs", SEAL.close("jobs", longest + "x")) is None


def test_a_bad_cursor_is_a_fault_of_the_argument_it_came_in():
    def refuse():
        raise BadCursor("after")

    assert faults(refuse) == ["after"]


# Places


@given(places)
def test_a_place_is_read_as_it_was_written(place):
    kinds = [type(value) for value in place]

    assert read(written(place), kinds) == tuple(place)


@given(places)
def test_a_place_survives_its_cursor(place):
    opened = SEAL.open("jobs", SEAL.close("jobs", written(place)))

    assert opened is not None
    assert read(opened, [type(value) for value in place]) == tuple(place)


def test_a_place_is_microseconds_and_hexadecimal():
    moment = datetime(2026, 11, 20, 16, tzinfo=UTC)

    assert (
        written([moment, UUID("0195a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")])
        == f"{int(moment.timestamp())}000000:{PLACE[17:]}"
    )
    assert written([datetime(1970, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)]) == "-1"


@pytest.mark.parametrize("kinds", [[datetime], [datetime, UUID, UUID], []])
def test_a_place_of_another_order_is_not_read(kinds):
    with pytest.raises(ValueError, match="zip"):
        read(PLACE, kinds)


# Pages


def found_in(rows: list[int], part: Slice) -> list[Any]:
    """What a statement finds: the rows beyond a place, from there on, and one more than fit."""
    (place,) = part.place or (None,)
    if part.backward:
        beyond = [row for row in reversed(rows) if place is None or row < place]
    else:
        beyond = [row for row in rows if place is None or row > place]
    return beyond[: part.limit + 1]


lists = st.integers(0, 30).map(lambda length: list(range(length)))
limits = st.integers(1, 12)


@given(lists, limits, st.none() | st.integers(-1, 31), st.booleans())
def test_a_page_says_what_is_beyond_it(rows, limit, place, backward):
    part = Slice(limit, None if place is None else (place,), backward)

    page = Page.cut(found_in(rows, part), part)

    side = rows if place is None else [row for row in rows if (row < place if backward else row > place)]
    expected: list[Any] = side[-limit:] if backward else side[:limit]
    more = len(side) > limit
    assert page.rows == expected
    assert (page.has_previous if backward else page.has_next) is more
    assert (page.has_next if backward else page.has_previous) is (place is not None)


@given(lists, limits, st.booleans())
def test_walking_from_page_to_page_meets_every_row_once(rows, limit, backward):
    part, steps = Slice(limit, None, backward), 0
    met: list[Any] = []
    while True:
        page = Page.cut(found_in(rows, part), part)
        met = page.rows + met if backward else met + page.rows
        steps += 1
        if not (page.has_previous if backward else page.has_next):
            break
        edge: Any = page.rows[0] if backward else page.rows[-1]
        part = Slice(limit, (edge,), backward)

    assert met == rows
    assert steps == max(-(-len(rows) // limit), 1)


def test_a_page_of_nothing_is_empty_and_alone():
    page: Page[Any] = Page.cut([], Slice(20))

    assert (page.rows, page.has_next, page.has_previous) == ([], False, False)
