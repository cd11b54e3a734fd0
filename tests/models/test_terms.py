"""What was agreed, and its hash."""

import json
from datetime import date
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import uuid7
from models.contracts import ContractState, MilestoneState, canonical, terms, terms_hash
from models.jobs import BudgetKind
from ops.app import wall_clock
from tests import make

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200)


def agreed():
    """A contract with two milestones."""
    client, freelancer = make.client(), make.freelancer()
    job = make.job(client)
    contract = make.contract(job, make.proposal(job, freelancer))
    contract.id = uuid7()
    parts = [make.milestone(contract, position=position, cents=300_00) for position in range(2)]
    parts[1].due_on = date(2030, 1, 2)
    return contract, parts


def test_terms_are_what_the_api_says_in_the_one_way_there_is_to_write_it():
    contract, parts = agreed()
    contract.title, contract.description, contract.bid_cents = 'A "shop"\\', "Tea, für 2 €\n商店 😀", 600_00
    parts[0].description = "First"

    found = canonical(terms(contract, parts))

    wanted = (
        '{"bid":{"amount":"600.00","currency":"USD"},"budgetKind":"FIXED","client":{"id":"client_CLIENT"},'
        '"clientFeeBps":500,"description":"Tea, für 2 €\\n商店 😀","freelancer":{"id":"freelancer_FREELANCER"},'
        '"freelancerFeeBps":1000,"id":"contract_CONTRACT","milestones":['
        '{"amount":{"amount":"300.00","currency":"USD"},"description":"First","dueOn":null},'
        '{"amount":{"amount":"300.00","currency":"USD"},"description":"Everything","dueOn":"2030-01-02"}],'
        '"title":"A \\"shop\\"\\\\"}'
    )
    for name, key in (
        ("CLIENT", contract.client_id),
        ("FREELANCER", contract.freelancer_id),
        ("CONTRACT", contract.id),
    ):
        wanted = wanted.replace(name, key.hex)
    assert found == wanted.encode()
    assert terms_hash(contract, parts) == sha256(found).hexdigest()


CHANGES = {
    "id": uuid7(),
    "client_id": uuid7(),
    "freelancer_id": uuid7(),
    "title": "Another",
    "description": "Another.",
    "budget_kind": BudgetKind.HOURLY,
    "bid_cents": 1,
    "client_fee_bps": 1,
    "freelancer_fee_bps": 1,
}
OF_MILESTONES = {"description": "Another", "amount_cents": 1, "due_on": date(2031, 1, 1)}


@pytest.mark.parametrize("name", CHANGES)
def test_the_hash_is_another_when_a_term_is(name):
    contract, parts = agreed()
    before = terms_hash(contract, parts)

    setattr(contract, name, CHANGES[name])

    assert terms_hash(contract, parts) != before


@pytest.mark.parametrize("name", OF_MILESTONES)
@pytest.mark.parametrize("at", [0, 1])
def test_the_hash_is_another_when_a_milestone_is(name, at):
    contract, parts = agreed()
    before = terms_hash(contract, parts)

    setattr(parts[at], name, OF_MILESTONES[name])

    assert terms_hash(contract, parts) != before


def test_the_hash_is_another_when_a_milestone_comes_goes_or_takes_the_place_of_another():
    contract, parts = agreed()
    parts[1].description = "The second"
    more = [*parts, make.milestone(contract, position=2)]
    found = {terms_hash(contract, some) for some in (parts, parts[:1], more, [])}
    parts[0].position, parts[1].position = 1, 0

    assert len(found | {terms_hash(contract, parts)}) == 5


def test_the_hash_is_the_same_however_the_milestones_are_given():
    contract, parts = agreed()

    assert terms_hash(contract, parts[::-1]) == terms_hash(contract, parts)


def test_the_hash_is_the_same_whatever_is_done_paid_or_decided():
    contract, parts = agreed()
    before, now = terms_hash(contract, parts), wall_clock()

    contract.state, contract.ended_at, contract.version = ContractState.TERMINATED, now, 7
    contract.client_done_at = contract.freelancer_done_at = contract.started_at = now
    for part in parts:
        part.state, part.escrow_cents, part.accepted_cents, part.version = MilestoneState.PAID, 5, 7, 9
        part.started_at = part.submitted_at = part.review_ends_at = now
        part.accepted_at = part.paid_at = part.waived_at = now

    assert terms_hash(contract, parts) == before


@given(TEXT, TEXT, TEXT, st.integers(1, 10**10), st.integers(0, 10_000))
def test_terms_come_back_from_what_was_written_and_two_that_differ_are_never_written_alike(
    title, description, part, cents, bps
):
    contract, parts = agreed()
    contract.title, contract.description, contract.client_fee_bps = title, description, bps
    parts[0].description, parts[0].amount_cents = part, cents

    said = terms(contract, parts)

    assert json.loads(canonical(said)) == said
    assert said["milestones"][0]["amount"]["amount"] == f"{cents // 100}.{cents % 100:02}"
