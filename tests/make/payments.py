"""Work that was paid for."""

from datetime import datetime, timedelta

from models.contracts import Contract
from models.payments import Payment, PaymentKind
from ops.app import wall_clock


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
