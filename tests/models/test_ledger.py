"""What can be written down in a ledger, before any database is asked."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import uuid7
from models.errors import BY_CONSTRAINT, Conflict
from models.ledger import (
    AMOUNT_MAX,
    LEGS_MAX,
    AccountKind,
    AlreadyReversed,
    Balance,
    Hold,
    HoldExceeded,
    HoldResolved,
    HoldState,
    InsufficientFunds,
    Journal,
    LedgerAccount,
    NotAJournal,
)

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
ABOUT: Any = SimpleNamespace(noun="thing", id=uuid7())


def account(currency="USD", *, hot=False):
    return LedgerAccount(kind="any", currency=currency, floor=None, hot=hot, balance=0, held=0, opened_at=NOW)


A, B, C = account(), account(), account()
EUROS = account("EUR")


def journal(*entries, at=NOW):
    return Journal.of("move", ABOUT, entries, at=at)


def amounts(found):
    return [entry.amount for entry in found.entries]


def test_a_journal_says_what_moved_when_and_what_it_was_about():
    found = journal((A, -5), (B, 3), (C, 2))

    assert (found.kind, found.subject, found.subject_id, found.at) == ("move", "thing", ABOUT.id, NOW)
    assert [(e.journal_id, e.position, e.legs, e.account_id, e.amount) for e in found.entries] == [
        (found.id, 1, 3, A.id, -5),
        (found.id, 2, 3, B.id, 3),
        (found.id, 3, 3, C.id, 2),
    ]
    assert found.reverses is None


@given(st.lists(st.integers(-AMOUNT_MAX // LEGS_MAX, AMOUNT_MAX // LEGS_MAX).filter(bool), min_size=1, max_size=20))
def test_every_journal_sums_to_zero(given_amounts):
    rest = -sum(given_amounts)
    legs = [(A, amount) for amount in given_amounts] + ([(B, rest)] if rest else [])

    if len(legs) < 2:
        with pytest.raises(NotAJournal):
            journal(*legs)
    else:
        assert sum(amounts(journal(*legs))) == 0


@given(st.lists(st.integers(-100, 100).filter(bool), min_size=2, max_size=6))
def test_what_does_not_sum_to_zero_is_no_journal(given_amounts):
    legs = [(A, amount) for amount in given_amounts]

    if sum(given_amounts) == 0:
        assert amounts(journal(*legs)) == given_amounts
    else:
        with pytest.raises(NotAJournal):
            journal(*legs)


@pytest.mark.parametrize(
    "legs",
    [
        [],
        [(A, 5)],
        [(A, 0), (B, 0)],
        [(A, 5), (B, -5), (C, 0)],
        [(A, 5.0), (B, -5.0)],
        [(A, True), (B, -1)],
        [(A, "5"), (B, -5)],
        [(A, float("nan")), (B, -5)],
        [(A, 5), (EUROS, -5)],
        [(A, 5), (B, -5), (EUROS, 5), (EUROS, -5)],
        [(A, AMOUNT_MAX + 1), (B, -AMOUNT_MAX - 1)],
        [(A, AMOUNT_MAX), (A, 1), (B, -AMOUNT_MAX), (B, -1)],
        [(A, 1), (B, -1)] * (LEGS_MAX // 2 + 1),
    ],
    ids=[
        "empty", "one leg", "zeros", "a zero", "floats", "a truth", "a text", "nan", "two currencies",
        "two balanced currencies", "too large", "too large together", "too many",
    ],
)  # fmt: skip
def test_what_no_ledger_has_is_no_journal(legs):
    with pytest.raises(NotAJournal):
        journal(*legs)


def test_a_journal_happens_at_a_known_moment():
    with pytest.raises(NotAJournal):
        journal((A, 5), (B, -5), at=NOW.replace(tzinfo=None))


@given(st.lists(st.integers(1, AMOUNT_MAX // LEGS_MAX), min_size=1, max_size=20))
def test_a_reversal_is_the_opposite(given_amounts):
    made = journal((A, -sum(given_amounts)), *((B, amount) for amount in given_amounts))

    back = made.reversal("undo", at=NOW)

    assert back.reverses == made.id
    assert amounts(back) == [-amount for amount in amounts(made)]
    assert [entry.account_id for entry in back.entries] == [entry.account_id for entry in made.entries]
    assert (back.subject, back.subject_id) == (made.subject, made.subject_id)


def test_a_hold_is_held_until_it_ends():
    held = Hold.of(A, 5, at=NOW, expires_at=NOW + timedelta(days=1))

    assert (held.account_id, held.amount, held.state) == (A.id, 5, HoldState.HELD)


@pytest.mark.parametrize("amount", [0, -1, 1.0, True, AMOUNT_MAX + 1])
def test_nothing_but_an_amount_is_held(amount):
    with pytest.raises(NotAJournal):
        Hold.of(A, amount, at=NOW)


def test_a_hold_lasts_for_some_time():
    with pytest.raises(NotAJournal):
        Hold.of(A, 5, at=NOW, expires_at=NOW)


def test_nothing_is_held_of_a_hot_account():
    with pytest.raises(NotAJournal):
        Hold.of(account(hot=True), 5, at=NOW)


def test_a_hot_kind_has_no_floor():
    with pytest.raises(NotAJournal):
        AccountKind("rail", floor=0, hot=True)


def test_an_account_is_known_by_kind_owner_and_currency():
    kind, owner = AccountKind("funds"), uuid7()

    assert kind.of(owner, "USD") == AccountKind("funds").of(owner, "USD")
    assert len({kind.of(owner, "USD"), kind.of(owner, "CNX"), kind.of(None, "USD")}) == 3


def test_what_is_held_is_not_available():
    assert Balance(balance=50, held=20).available == 30


@pytest.mark.parametrize(
    ("constraint", "refusal"),
    [
        ("ck_ledger_accounts_within_floor", InsufficientFunds),
        ("uq_journals_reverses", AlreadyReversed),
        ("holds_resolved_once", HoldResolved),
        ("holds_not_exceeded", HoldExceeded),
    ],
)
def test_what_the_database_refuses_is_a_conflict(constraint, refusal):
    assert BY_CONSTRAINT[constraint] is refusal
    assert issubclass(refusal, Conflict)
