"""What was agreed, written so that everybody who writes it down gets the same, and the hash of that.

The terms are what the API says of a contract, and of it only what was agreed: who, what, for how much, in which parts.
Nothing that happens under a contract, neither states nor payments, is part of them; what changes them is a milestone
that is added, worded anew, or grows by the rest of another.
"""

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from uuid import UUID

from models.accounts import ClientProfile, FreelancerProfile
from models.contracts.agreement import Contract
from models.contracts.milestones import Milestone
from models.money import Currency, Money


def terms(contract: Contract, milestones: Iterable[Milestone]) -> dict[str, Any]:
    """What was agreed, as the API says it; the milestones in their order, however they are given."""
    return {
        "id": _id(Contract.noun, contract.id),
        "client": {"id": _id(ClientProfile.noun, contract.client_id)},
        "freelancer": {"id": _id(FreelancerProfile.noun, contract.freelancer_id)},
        "title": contract.title,
        "description": contract.description,
        "budgetKind": contract.budget_kind.value,
        "bid": _money(contract.bid_cents, contract.currency),
        "clientFeeBps": contract.client_fee_bps,
        "freelancerFeeBps": contract.freelancer_fee_bps,
        "milestones": [
            {
                "description": one.description,
                "amount": _money(one.amount_cents, one.currency),
                "dueOn": one.due_on and one.due_on.isoformat(),
            }
            for one in sorted(milestones, key=lambda one: one.position)
        ],
    }


def canonical(said: dict[str, Any]) -> bytes:
    """Write it in the one way there is: JSON in UTF-8, keys in order, no space, nothing escaped that need not be.

    Of what terms consist of, texts, whole numbers and nothing else, this is also what RFC 8785 makes.
    """
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def terms_hash(contract: Contract, milestones: Iterable[Milestone]) -> str:
    """The SHA-256 of the terms, in hexadecimal: two who see the same one have agreed to the same."""
    return sha256(canonical(terms(contract, milestones))).hexdigest()


def _id(noun: str, key: UUID) -> str:
    return f"{noun}_{key.hex}"


def _money(cents: int, currency: Currency) -> dict[str, str]:
    return {"amount": str(Money(cents, currency).amount), "currency": currency.value}
