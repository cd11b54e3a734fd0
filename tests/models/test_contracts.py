"""Work agreed upon."""

from datetime import UTC, date, datetime

import pytest

from models.contracts import (
    Contract,
    ContractNotActive,
    ContractState,
    Milestone,
    MilestoneAction,
    MilestoneNotOpen,
    MilestoneState,
)
from models.errors import Forbidden
from models.payments import TariffKind
from models.proposals import MilestoneWords, ProposalMilestone
from models.states import Party
from tests import make
from tests.models.rules import refusal_of, table, values

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)

LEADS_TO = table("""
           OPEN         IN_PROGRESS  IN_REVIEW  ACCEPTED  PAID  otherwise           by
    START  IN_PROGRESS  -            -          -         -     MILESTONE_NOT_OPEN  FREELANCER
""")

PEOPLE = {"freelancer": "FREELANCER", "client": "CLIENT", "other freelancer": "", "other client": "", "admin": ""}

DO = {"START": lambda milestone, contract, by: milestone.start(contract, by, at=AT)}


def agreed(state=MilestoneState.OPEN, contract_state=ContractState.ACTIVE):
    people = {
        "freelancer": make.freelancer(),
        "client": make.client(),
        "other freelancer": make.freelancer(),
        "other client": make.client(),
        "admin": make.admin(),
    }
    job = make.job(people["client"])
    contract = make.contract(job, make.proposal(job, people["freelancer"]), contract_state)
    return make.milestone(contract, state), contract, people


# Milestones


def test_the_table_speaks_of_every_state_and_action():
    assert set(LEADS_TO) == {action.value for action in MilestoneAction}
    assert all(set(row) - {"otherwise", "by"} == {state.value for state in MilestoneState} for row in LEADS_TO.values())


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("contract_state", ContractState, ids=lambda state: state.value)
@pytest.mark.parametrize("state", MilestoneState, ids=lambda state: state.value)
@pytest.mark.parametrize("action", DO)
def test_a_milestone_moves_as_the_table_says_and_stays_when_refused(action, state, contract_state, who):
    milestone, contract, people = agreed(state, contract_state)
    before = values(milestone), values(contract)

    code = refusal_of(lambda: DO[action](milestone, contract, people[who]))

    if LEADS_TO[action]["by"] != PEOPLE[who]:
        assert code == "FORBIDDEN"
        assert (values(milestone), values(contract)) == before
    elif contract_state is not ContractState.ACTIVE:
        assert code == "CONTRACT_NOT_ACTIVE"
        assert (values(milestone), values(contract)) == before
    elif LEADS_TO[action][state.value] == "-":
        assert code == LEADS_TO[action]["otherwise"]
        assert (values(milestone), values(contract)) == before
    else:
        assert code is None
        assert milestone.state.value == LEADS_TO[action][state.value]


@pytest.mark.parametrize("contract_state", ContractState, ids=lambda state: state.value)
@pytest.mark.parametrize("state", MilestoneState, ids=lambda state: state.value)
def test_what_is_offered_to_somebody_is_what_would_not_be_refused(state, contract_state):
    def refused(who: str, action: str) -> str | None:
        milestone, contract, people = agreed(state, contract_state)
        return refusal_of(lambda: DO[action](milestone, contract, people[who]))

    for who in PEOPLE:
        milestone, contract, people = agreed(state, contract_state)

        offered = [action.value for action in milestone.actions_for(people[who], contract)]

        assert offered == [action for action in DO if refused(who, action) is None]


def test_nothing_is_offered_to_whoever_is_signed_out():
    milestone, contract, _ = agreed()

    assert milestone.actions_for(None, contract) == []


def test_starting_is_told_with_its_moment():
    milestone, contract, people = agreed()

    milestone.start(contract, people["freelancer"], at=AT)

    assert (milestone.state, milestone.started_at, milestone.version) == (MilestoneState.IN_PROGRESS, AT, 2)


def test_work_on_a_milestone_starts_once():
    milestone, contract, people = agreed()
    milestone.start(contract, people["freelancer"], at=AT)

    with pytest.raises(MilestoneNotOpen):
        milestone.start(contract, people["freelancer"], at=AT.replace(hour=13))

    assert milestone.started_at == AT


@pytest.mark.parametrize("state", [ContractState.COMPLETED, ContractState.TERMINATED])
def test_nothing_is_started_on_a_contract_that_is_over(state):
    milestone, contract, people = agreed(contract_state=state)

    with pytest.raises(ContractNotActive):
        milestone.start(contract, people["freelancer"], at=AT)


@pytest.mark.parametrize("who", ["client", "other freelancer", "other client", "admin"])
def test_only_the_freelancer_starts(who):
    milestone, contract, people = agreed()

    with pytest.raises(Forbidden):
        milestone.start(contract, people[who], at=AT)


# Contracts


@pytest.mark.parametrize("state", ContractState, ids=lambda state: state.value)
def test_only_an_active_contract_is_active(state):
    _, contract, _ = agreed(contract_state=state)

    expected = None if state is ContractState.ACTIVE else "CONTRACT_NOT_ACTIVE"

    assert refusal_of(contract.must_be_active) == expected


def test_a_contract_is_what_was_proposed_and_accepted():
    client, freelancer = make.client(), make.freelancer()
    job = make.job(client)
    proposal = make.proposal(job, freelancer, bid_cents=1_234_56)

    contract = Contract.begin(job, proposal, {TariffKind.FREELANCER_FEE: 1_000, TariffKind.CLIENT_FEE: 500}, at=AT)

    assert (contract.proposal_id, contract.job_id) == (proposal.id, job.id)
    assert (contract.client_id, contract.freelancer_id) == (client.id, freelancer.id)
    assert (contract.title, contract.budget_kind) == (job.title, job.budget_kind)
    assert (contract.bid_cents, contract.currency) == (1_234_56, proposal.currency)
    assert (contract.state, contract.started_at, contract.ended_at) == (ContractState.ACTIVE, AT, None)


def test_the_fees_of_the_day_are_frozen_into_the_contract():
    job = make.job(make.client())
    fees = {TariffKind.FREELANCER_FEE: 1_000, TariffKind.CLIENT_FEE: 500}
    contract = Contract.begin(job, make.proposal(job, make.freelancer()), fees, at=AT)

    fees[TariffKind.FREELANCER_FEE] = 2_000

    assert (contract.freelancer_fee_bps, contract.client_fee_bps) == (1_000, 500)


def test_a_contract_keeps_its_terms_when_the_job_is_edited():
    client = make.client()
    job = make.job(client, words=make.job_words(freelancers_wanted=2))
    contract = make.contract(job, make.proposal(job, make.freelancer()))

    job.edit(
        client, make.job_words(title="Something else", budget=make.jobs.HOURLY, freelancers_wanted=2), None, pending=0
    )

    assert contract.title == "Build a shop"
    assert contract.budget_kind.value == "FIXED"


def test_the_milestones_of_a_contract_are_those_of_the_proposal_and_open():
    job = make.job(make.client())
    proposal = make.proposal(job, make.freelancer())
    due = date(2026, 12, 1)
    words = make.proposal_words(milestones=[MilestoneWords("Design", 300_00, due), MilestoneWords("Build", 700_00)])
    contract = make.contract(job, proposal)

    made = Milestone.of(contract, ProposalMilestone.of(proposal, words))

    assert [(part.position, part.description, part.amount_cents, part.due_on) for part in made] == [
        (0, "Design", 300_00, due),
        (1, "Build", 700_00, None),
    ]
    assert {(part.contract_id, part.state, part.currency) for part in made} == {
        (contract.id, MilestoneState.OPEN, contract.currency)
    }
    assert sum(part.amount_cents for part in made) == contract.bid_cents


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("freelancer", {Party.FREELANCER}),
        ("client", {Party.CLIENT}),
        ("other freelancer", set()),
        ("other client", set()),
        ("admin", set()),
    ],
)
def test_a_contract_has_two_parties(who, expected):
    _, contract, people = agreed()

    assert contract.parties(people[who]) == expected
    assert contract.parties(None) == frozenset()
