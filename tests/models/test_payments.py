"""What is charged, and what moves."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks import charges
from models.ledger import LedgerAccount
from models.money import AMOUNT_MAX_CENTS, BPS
from models.payments import ESCROW, FEES, FUNDS, PENDING, Charge, Payment, fee, pay
from ops.app import wall_clock

cents = st.integers(1, AMOUNT_MAX_CENTS)
rates = st.integers(0, BPS)


def an_account(kind, owner=None):
    return LedgerAccount(kind=kind.name, owner_id=owner, currency="USD", hot=kind.hot)


@given(cents, rates)
@example(50, 1_000)
@example(250, 100)
@example(150, 100)
def test_a_fee_is_rounded_half_to_even(amount, bps):
    assert fee(amount, bps) == round(Fraction(amount * bps, BPS))


@given(cents, rates, rates)
def test_gross_is_net_and_fees(amount, client_bps, freelancer_bps):
    charge = Charge.of(amount, client_fee_bps=client_bps, freelancer_fee_bps=freelancer_bps)

    assert charge.gross == charge.net + charge.fees
    assert 0 <= charge.net <= amount <= charge.gross


def test_gross_is_net_and_fees_for_a_million_charges_of_every_size():
    assert charges.run(1_000_000, seed=20_261_121) > 0


@given(cents, rates, rates, st.data())
def test_what_is_paid_sums_to_zero_wherever_it_comes_from(amount, client_bps, freelancer_bps, data):
    charge = Charge.of(amount, client_fee_bps=client_bps, freelancer_fee_bps=freelancer_bps)
    escrowed = data.draw(st.integers(0, charge.gross))
    escrow, funds, pending, fees = (an_account(kind) for kind in (ESCROW, FUNDS, PENDING, FEES))

    journal = pay(
        "RELEASE",
        Payment(),
        charge,
        sources=[(escrow, escrowed), (funds, charge.gross - escrowed)],
        pending=pending,
        fees=fees,
        at=wall_clock(),
    )

    moved = {entry.account_id: entry.amount for entry in journal.entries}
    assert sum(moved.values()) == 0
    assert moved.get(pending.id, 0) == charge.net
    assert moved.get(fees.id, 0) == charge.fees


def test_sources_have_to_make_up_the_gross():
    charge = Charge.of(100_00, client_fee_bps=500, freelancer_fee_bps=1_000)

    with pytest.raises(AssertionError):
        pay(
            "RELEASE",
            Payment(),
            charge,
            sources=[(an_account(ESCROW), 100_00)],
            pending=an_account(PENDING),
            fees=an_account(FEES),
            at=wall_clock(),
        )
