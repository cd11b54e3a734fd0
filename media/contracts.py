"""What the document of a contract says."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from loaders.contracts import Standing
from media.paper import Block, Paper, Rows, entry, facts, fingerprint, heading, sums, words
from models.contracts import Contract, ContractState, Milestone, Termination, terms_hash
from models.jobs import BudgetKind
from models.money import Money

BUDGETS = {BudgetKind.FIXED: "for the whole work", BudgetKind.HOURLY: "for an hour"}
HOW = (
    "SHA-256 of the terms: the parties, the title, the description, the price, the fees, and what each milestone is, "
    "costs, and is due. It changes when any of these does, and stays as it is whatever is done, paid or decided. The "
    "API says the same as Contract.termsHash; its conventions say how anybody computes it."
)


def name_of(contract: Contract) -> str:
    """What the file is called when it is saved."""
    return f"contract-{contract.id.hex}.pdf"


def document(standing: Standing, at: datetime) -> Paper:
    """The document of a contract as it stood `at` a moment; apart from that moment, the same for the same contract."""
    contract = standing.contract
    footing = f"contract_{contract.id.hex} · version {contract.version} · written {moment(at)}"
    return Paper(contract.title, "Contract", footing, standing.changed_at.isoformat(), tuple(_blocks(standing, at)))


def moment(at: datetime) -> str:
    """A moment, as it is written in a document."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _blocks(standing: Standing, at: datetime) -> Iterator[Block]:
    contract = standing.contract
    yield facts(_state(standing, at))
    yield heading("Parties")
    yield facts(_parties(standing))
    yield heading("Terms")
    yield facts(_terms(contract))
    yield words(contract.description)
    yield heading("Milestones")
    if not standing.milestones:
        yield words("None.")
    for number, milestone in enumerate(standing.milestones, 1):
        yield from _milestone(number, milestone)
    yield heading("Sums")
    yield sums(_sums(standing))
    if standing.terminations:
        yield heading("Requests to end the contract")
        yield from map(_termination, standing.terminations)
    yield heading("Hash of the terms")
    yield fingerprint(terms_hash(contract, standing.milestones))
    yield words(HOW)


def _state(standing: Standing, at: datetime) -> Rows:
    contract = standing.contract
    ended = "Terminated" if contract.state is ContractState.TERMINATED else "Completed"
    over = ((ended, moment(contract.ended_at)),) if contract.ended_at else ()
    done = (("Client is done", contract.client_done_at), ("Freelancer is done", contract.freelancer_done_at))
    return (
        ("Contract", f"contract_{contract.id.hex}"),
        ("State", contract.state.value),
        ("Began", moment(contract.started_at)),
        *((name, moment(said)) for name, said in done if said),
        *over,
        ("Last change", moment(standing.changed_at)),
        ("Version", str(contract.version)),
        ("Written", moment(at)),
    )


def _parties(standing: Standing) -> Rows:
    client, freelancer = standing.client, standing.freelancer
    return (
        ("Client", client.company_name),
        ("", f"client_{client.id.hex}"),
        ("Freelancer", freelancer.full_name),
        ("", f"freelancer_{freelancer.id.hex}"),
    )


def _terms(contract: Contract) -> Rows:
    bid = _amount(contract.bid_cents, contract)
    return (
        ("Price", f"{bid}, {BUDGETS[contract.budget_kind]}"),
        ("Fee of the client", f"{_percent(contract.client_fee_bps)}, on top of what is paid"),
        ("Fee of the freelancer", f"{_percent(contract.freelancer_fee_bps)} of what is paid"),
        ("Description", ""),
    )


def _percent(bps: int) -> str:
    return f"{Decimal(bps).scaleb(-2)} %"


def _amount(cents: int, row: Contract | Milestone) -> str:
    return f"{Money(cents, row.currency).amount} {row.currency.value}"


def _milestone(number: int, one: Milestone) -> Iterator[Block]:
    accepted = _amount(one.accepted_cents or 0, one)
    happened = (
        ("Due", one.due_on and one.due_on.isoformat()),
        ("In escrow", _amount(one.escrow_cents, one) if one.escrow_cents else None),
        ("Started", one.started_at and moment(one.started_at)),
        ("Handed in", one.submitted_at and moment(one.submitted_at)),
        ("Accepted", one.accepted_at and f"{accepted}, {moment(one.accepted_at)}"),
        ("Paid", one.paid_at and moment(one.paid_at)),
        ("Payment waived", one.waived_at and moment(one.waived_at)),
    )
    title = f"{number}. {_amount(one.amount_cents, one)} · {one.state.value}"
    yield entry(title, tuple((name, said) for name, said in happened if said))
    yield words(one.description)


def _sums(standing: Standing) -> Rows:
    amounts = (
        ("Agreed, all milestones", standing.agreed_cents),
        ("Put aside so far, with the client's fee", standing.funded_cents),
        ("In escrow now, with the client's fee", standing.escrow_cents),
        ("Accepted and to be paid", standing.owed_cents),
        ("Paid for milestones", standing.paid_cents),
        ("Paid as bonuses", standing.bonus_cents),
        ("Given back to the client", standing.refunded_cents),
    )
    return tuple((name, _amount(cents, standing.contract)) for name, cents in amounts)


def _termination(one: Termination) -> Block:
    said = (
        ("Asked for", moment(one.requested_at)),
        ("Reason", one.reason),
        ("Decided", one.decided_at and moment(one.decided_at)),
        ("Answer", one.answer),
    )
    title = f"By the {one.requested_by.value.lower()} · {one.state.value}"
    return entry(title, tuple((name, text) for name, text in said if text))
