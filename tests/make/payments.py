"""Work that was paid for."""

from datetime import datetime, timedelta

import loaders.ledger
from models.contracts import Contract
from models.payments import FEES, PENDING, RAIL, Payment, PaymentKind, pay
from ops.app import House, wall_clock


def payment(contract: Contract, cents: int = 100_00, fee_cents: int = 10_00, *, at: datetime | None = None) -> Payment:
    """A bonus with a fee for the freelancer alone; its journal is for whoever keeps it to post."""
    paid_at = at or wall_clock()
    return Payment(
        kind=PaymentKind.BONUS,
        contract_id=contract.id,
        milestone_id=None,
        client_id=contract.client_id,
        freelancer_id=contract.freelancer_id,
        amount_cents=cents,
        client_fee_cents=0,
        freelancer_fee_cents=fee_cents,
        currency=contract.currency,
        note=None,
        paid_at=paid_at,
        available_at=paid_at + timedelta(days=5),
        settled_at=None,
    )


async def paid(house: House, contract: Contract) -> Payment:
    """A bonus that was paid, with money from nowhere."""
    made = payment(contract)
    async with house.context().writing() as work:
        keys = RAIL.of(None, "USD"), PENDING.of(contract.freelancer_id, "USD"), FEES.of(None, "USD")
        rail, pending, fees = await loaders.ledger.accounts(work, *keys, at=made.paid_at)
        sources = [(rail, made.charge.gross)]
        journal = pay("BONUS", made, made.charge, sources=sources, pending=pending, fees=fees, at=made.paid_at)
        await loaders.ledger.post(work, journal)
        made.journal_id = journal.id
        work.add(made)
    return made
