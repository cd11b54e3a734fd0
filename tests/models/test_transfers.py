"""Deposits and withdrawals, as rules."""

from datetime import timedelta
from itertools import product

import pytest

from models.base import uuid7
from models.config import Config
from models.errors import Invalid
from models.ledger import LedgerAccount, NotAJournal
from models.money import Currency, Money
from models.payments import EARNINGS, FUNDS, RAIL
from models.transfers import (
    ASK_SECONDS,
    ASK_SECONDS_MAX,
    METHOD_MAX,
    UNKNOWN,
    Answer,
    Outcome,
    Purse,
    TransferKind,
    TransferMismatch,
    TransferState,
)
from ops.app import wall_clock
from tests import make

CONFIG = Config()
REQUESTED, SUBMITTED, SUCCEEDED, FAILED = TransferState

BECOMES = {
    (REQUESTED, Outcome.PENDING): SUBMITTED,
    (REQUESTED, Outcome.SUCCEEDED): SUCCEEDED,
    (REQUESTED, Outcome.FAILED): FAILED,
    (SUBMITTED, Outcome.SUCCEEDED): SUCCEEDED,
    (SUBMITTED, Outcome.FAILED): FAILED,
}
"""All that changes the state of a transfer."""


def in_state(state, **said):
    transfer = make.transfer(make.client(), **said)
    transfer.state = state
    if transfer.is_decided:
        transfer.decided_at, transfer.next_attempt_at = wall_clock(), None
    return transfer


def account(kind):
    return LedgerAccount(id=uuid7(), kind=kind.name, owner_id=None, currency="USD", hot=kind.hot)


@pytest.mark.parametrize(("state", "outcome"), list(product(TransferState, Outcome)))
def test_a_transfer_becomes_what_the_provider_says_and_nothing_else(state, outcome):
    transfer, now = in_state(state), wall_clock()

    changed = transfer.hear(Answer(outcome), at=now)

    expected = BECOMES.get((state, outcome), state)
    assert (transfer.state, changed) == (expected, expected is not state)
    assert (transfer.decided_at is None) == (expected in {REQUESTED, SUBMITTED})
    assert (transfer.next_attempt_at is None) == transfer.is_decided
    assert (transfer.reason is not None) == (changed and outcome is Outcome.FAILED)


def test_the_first_reference_is_kept_and_another_is_about_something_else():
    transfer, now = in_state(REQUESTED), wall_clock()

    assert transfer.hear(Answer(Outcome.PENDING, "one"), at=now)
    assert not transfer.hear(Answer(Outcome.PENDING, "one"), at=now)
    with pytest.raises(TransferMismatch):
        transfer.hear(Answer(Outcome.SUCCEEDED, "two"), at=now)
    assert (transfer.state, transfer.reference) == (SUBMITTED, "one")
    assert transfer.hear(Answer(Outcome.SUCCEEDED), at=now)
    assert transfer.reference == "one"


@pytest.mark.parametrize("state", TransferState)
def test_another_amount_is_about_something_else_whatever_the_state(state):
    transfer = in_state(state)

    with pytest.raises(TransferMismatch):
        transfer.hear(Answer(Outcome.SUCCEEDED, money=Money(99_99)), at=wall_clock())
    assert transfer.state is state


def test_a_provider_that_says_both_contradicts_itself():
    for state, outcome in product(TransferState, Outcome):
        opposite = {(SUCCEEDED, Outcome.FAILED), (FAILED, Outcome.SUCCEEDED)}
        assert in_state(state).contradicts(Answer(outcome)) == ((state, outcome) in opposite)


def test_a_reason_is_kept_as_far_as_it_fits_and_there_always_is_one():
    silent, verbose = in_state(REQUESTED), in_state(REQUESTED)

    silent.hear(Answer(Outcome.FAILED), at=wall_clock())
    verbose.hear(Answer(Outcome.FAILED, reason="because " * 100), at=wall_clock())

    assert silent.reason
    assert verbose.reason == ("because " * 100)[:500]


def test_the_provider_is_asked_ever_more_slowly_and_never_not_at_all():
    transfer, now = in_state(REQUESTED), wall_clock()
    waits = [transfer.next_attempt_at - transfer.requested_at]

    for _ in range(2_000):
        transfer.try_again(at=now, config=CONFIG)
        waits.append(transfer.next_attempt_at - now)

    least, most = (timedelta(seconds=CONFIG[option]) for option in (ASK_SECONDS, ASK_SECONDS_MAX))
    assert waits[:4] == [least, 2 * least, 4 * least, 8 * least]
    assert waits == sorted(waits)
    assert waits[-1] == most
    assert transfer.attempts == 2_001


def test_a_deposit_credits_the_purse_and_a_withdrawal_debits_it():
    for kind, cents in ((TransferKind.DEPOSIT, 100_00), (TransferKind.WITHDRAWAL, -100_00)):
        transfer, purse, rail = make.transfer(make.client(), kind), account(FUNDS), account(RAIL)

        journal = transfer.journal(purse=purse, rail=rail, at=wall_clock())

        assert {entry.account_id: entry.amount for entry in journal.entries} == {purse.id: cents, rail.id: -cents}
        assert (journal.kind, journal.subject, journal.subject_id) == (kind.value, "transfer", transfer.id)
        assert transfer.journal_id == journal.id


def test_what_goes_out_is_held_for_as_long_as_it_takes():
    transfer, purse = make.transfer(make.freelancer(), TransferKind.WITHDRAWAL, purse=Purse.EARNINGS), account(EARNINGS)

    hold = transfer.hold(purse, at=wall_clock())

    assert (hold.account_id, hold.amount, hold.expires_at) == (purse.id, 100_00, None)
    assert transfer.hold_id == hold.id


def test_nothing_is_held_on_the_rail():
    with pytest.raises(NotAJournal):
        make.transfer(make.client(), TransferKind.WITHDRAWAL).hold(account(RAIL), at=wall_clock())


@pytest.mark.parametrize("kind", TransferKind)
@pytest.mark.parametrize(
    ("said", "paths"),
    [
        ({"cents": 99}, {("amount", "amount")}),
        ({"cents": 0}, {("amount", "amount")}),
        ({"cents": -100_00}, {("amount", "amount")}),
        ({"cents": 100_000_01}, {("amount", "amount")}),
        ({"method": ""}, {("method",)}),
        ({"method": "x" * (METHOD_MAX + 1)}, {("method",)}),
        ({"method": "a\nb"}, {("method",)}),
        ({"method": "ä"}, {("method",)}),
        ({"cents": 0, "method": ""}, {("amount", "amount"), ("method",)}),
    ],
)
def test_what_cannot_be_carried_is_refused_with_all_that_is_wrong(kind, said, paths):
    with pytest.raises(Invalid) as caught:
        make.transfer(make.client(), kind, **said)

    assert {problem.path for problem in caught.value.problems} == paths


@pytest.mark.parametrize("cents", [1_00, 100_000_00])
def test_the_bounds_may_be_carried(cents):
    assert make.transfer(make.client(), cents=cents).amount_cents == cents


def test_an_order_says_each_time_the_same():
    transfer = in_state(REQUESTED)
    first = transfer.order

    transfer.try_again(at=wall_clock(), config=CONFIG)
    transfer.hear(UNKNOWN, at=wall_clock())

    assert transfer.order == first
    assert (first.id, first.money) == (transfer.id, Money(100_00, Currency.USD))
