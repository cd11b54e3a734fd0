"""Gross is net and fees, to the cent, for any amount and any tariff.

    .venv/bin/python -m benchmarks.charges [how many] [seed]

Draws amounts of every size and tariffs at random, reckons each charge, and compares it with what exact fractions
say: a fee is the nearest cent, and the even one of two that are as near.
"""

import random
import sys
import time

from models.money import AMOUNT_MAX_CENTS, BPS
from models.payments import Charge


def run(count: int, seed: int) -> int:
    """Reckon so many charges, and say how many fees stood exactly between two cents; a wrong one is an assertion."""
    dice, halves = random.Random(seed), 0
    draw, bits = dice.getrandbits, AMOUNT_MAX_CENTS.bit_length()
    for _ in range(count):
        # As many small amounts as large ones.
        cents = min(draw(1 + draw(16) % bits) + 1, AMOUNT_MAX_CENTS)
        client_bps, freelancer_bps = draw(16) % (BPS + 1), draw(16) % (BPS + 1)
        charge = Charge.of(cents, client_fee_bps=client_bps, freelancer_fee_bps=freelancer_bps)
        assert charge.gross == charge.net + charge.fees, (cents, client_bps, freelancer_bps)
        assert 0 <= charge.net <= cents <= charge.gross, (cents, client_bps, freelancer_bps)
        for fee, bps in ((charge.client_fee, client_bps), (charge.freelancer_fee, freelancer_bps)):
            off = 2 * (fee * BPS - cents * bps)
            is_half = off in (BPS, -BPS)
            assert -BPS <= off <= BPS, (cents, bps, fee)
            assert not is_half or fee % 2 == 0, (cents, bps, fee)
            halves += is_half
    return halves


def main() -> None:
    """Say how many were right, and how long it took."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10**6
    began = time.perf_counter()
    halves = run(count, seed)
    seconds = time.perf_counter() - began
    print(f"{count:,} charges with seed {seed} in {seconds:.1f} s: all right, {halves:,} fees rounded to even")


if __name__ == "__main__":
    main()
