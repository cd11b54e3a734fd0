"""Work agreed upon."""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import uuid7
from models.config import Config
from models.contracts import (
    MILESTONES_MAX,
    Acceptance,
    Actor,
    AlreadyAgreed,
    ChangeKind,
    Contract,
    ContractAction,
    ContractState,
    Milestone,
    MilestoneAction,
    MilestoneFunded,
    MilestoneNotOpen,
    MilestoneState,
    MilestoneWords,
    NothingToRollTo,
    Rest,
    Submission,
    Termination,
    TerminationDecision,
    TerminationRequested,
    TerminationState,
    TooManyMilestones,
    WorkUndecided,
)
from models.errors import Problem
from models.money import AMOUNT_MAX_CENTS, Currency
from models.payments import PaymentKind, PaymentRequestState, TariffKind
from models.proposals import MilestoneWords as ProposedMilestone
from models.proposals import ProposalMilestone
from models.states import Party
from tests import make
from tests.models.rules import faults, refusal_of, table, values

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)

LEADS_TO = table("""
                   OPEN         IN_PROGRESS  IN_REVIEW    ACCEPTED PAID otherwise                  by          over
  EDIT             OPEN         -            -            -        -    MILESTONE_NOT_OPEN         CLIENT      -
  FUND             OPEN         IN_PROGRESS  -            -        -    NOT_FUNDABLE               CLIENT      -
  START            IN_PROGRESS  -            -            -        -    MILESTONE_NOT_OPEN         FREELANCER  -
  SUBMIT           -            IN_REVIEW    -            -        -    MILESTONE_NOT_IN_PROGRESS  FREELANCER  -
  REQUEST_CHANGES  -            -            IN_PROGRESS  -        -    MILESTONE_NOT_IN_REVIEW    CLIENT      yes
  ACCEPT           -            -            ACCEPTED     -        -    MILESTONE_NOT_IN_REVIEW    CLIENT      yes
""")
"""By action and state, where it leads; `over` is whether a terminated contract still allows it."""

ACTIVE, TERMINATED = ContractState.ACTIVE, ContractState.TERMINATED
PEOPLE = {"freelancer": "FREELANCER", "client": "CLIENT", "other freelancer": "", "other client": "", "admin": ""}

WORDS = MilestoneWords("Everything, and a little more", 900_00, date(2026, 12, 1))
MESSAGE = "It is done."
CONFIG = Config()

DO = {
    "EDIT": lambda milestone, contract, by: milestone.edit(contract, by, WORDS, None, at=AT),
    "FUND": lambda milestone, contract, by: milestone.fund(contract, by, at=AT),
    "START": lambda milestone, contract, by: milestone.start(contract, by, at=AT),
    "SUBMIT": lambda milestone, contract, by: milestone.submit(contract, by, Submission(MESSAGE), at=AT, config=CONFIG),
    "REQUEST_CHANGES": lambda milestone, contract, by: milestone.request_changes(contract, by, "Larger.", at=AT),
    "ACCEPT": lambda milestone, contract, by: milestone.accept(contract, by, Acceptance(), [milestone], at=AT),
}


def agreed(state=MilestoneState.OPEN, contract_state=ContractState.ACTIVE, **more):
    people = {
        "freelancer": make.freelancer(),
        "client": make.client(),
        "other freelancer": make.freelancer(),
        "other client": make.client(),
        "admin": make.admin(),
    }
    job = make.job(people["client"])
    contract = make.contract(job, make.proposal(job, people["freelancer"]), contract_state)
    return make.milestone(contract, state, **more), contract, people


# Milestones


def test_the_table_speaks_of_every_state_and_action():
    assert set(LEADS_TO) == set(DO) == {action.value for action in MilestoneAction}
    about = {"otherwise", "by", "over"}
    assert all(set(row) - about == {state.value for state in MilestoneState} for row in LEADS_TO.values())


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
    elif contract_state not in ({ACTIVE, TERMINATED} if LEADS_TO[action]["over"] == "yes" else {ACTIVE}):
        assert code == "CONTRACT_NOT_ACTIVE"
    elif LEADS_TO[action][state.value] == "-":
        assert code == LEADS_TO[action]["otherwise"]
    else:
        assert code is None
        assert milestone.state.value == LEADS_TO[action][state.value]
        assert milestone.version == 2
    assert code is None or (values(milestone), values(contract)) == before


@pytest.mark.parametrize("is_funded", [False, True], ids=["unfunded", "funded"])
@pytest.mark.parametrize("contract_state", ContractState, ids=lambda state: state.value)
@pytest.mark.parametrize("state", MilestoneState, ids=lambda state: state.value)
def test_what_is_offered_to_somebody_is_what_would_not_be_refused(state, contract_state, is_funded):
    escrow = 1_050_00 if is_funded and state is not MilestoneState.PAID else 0
    words = MilestoneWords("All of it", 1_000_00)
    do = DO | {"EDIT": lambda milestone, contract, by: milestone.edit(contract, by, words, None, at=AT)}

    def refused(who: str, action: str) -> str | None:
        milestone, contract, people = agreed(state, contract_state, escrow=escrow)
        return refusal_of(lambda: do[action](milestone, contract, people[who]))

    for who in PEOPLE:
        milestone, contract, people = agreed(state, contract_state, escrow=escrow)

        offered = [action.value for action in milestone.actions_for(people[who], contract)]

        assert offered == [action for action in do if refused(who, action) is None]


def test_nothing_is_offered_to_whoever_is_signed_out():
    milestone, contract, _ = agreed()

    assert milestone.actions_for(None, contract) == []
    assert contract.actions_for(None, undecided=False, has_requested=False) == []


def test_starting_is_told_with_its_moment():
    milestone, contract, people = agreed()

    change = milestone.start(contract, people["freelancer"], at=AT)

    assert (milestone.state, milestone.started_at, milestone.version) == (MilestoneState.IN_PROGRESS, AT, 2)
    assert (change.kind, change.actor, change.actor_id) == (
        ChangeKind.MILESTONE_STARTED,
        Actor.FREELANCER,
        people["freelancer"].id,
    )
    assert (change.from_state, change.to_state, change.at) == ("OPEN", "IN_PROGRESS", AT)
    assert (change.contract_id, change.milestone_id) == (contract.id, milestone.id)


def test_work_on_a_milestone_starts_once():
    milestone, contract, people = agreed()
    milestone.start(contract, people["freelancer"], at=AT)

    with pytest.raises(MilestoneNotOpen):
        milestone.start(contract, people["freelancer"], at=AT.replace(hour=13))

    assert milestone.started_at == AT


# Words


def test_a_milestone_is_worded_and_priced_anew():
    milestone, contract, people = agreed()

    milestone.edit(contract, people["client"], WORDS, 1, at=AT)

    assert (milestone.description, milestone.amount_cents, milestone.gross_cents, milestone.due_on) == (
        "Everything, and a little more",
        900_00,
        945_00,
        date(2026, 12, 1),
    )


def test_an_edit_of_something_that_changed_since_is_stale():
    milestone, contract, people = agreed()

    assert refusal_of(lambda: milestone.edit(contract, people["client"], WORDS, 7, at=AT)) == "STALE"


def test_a_milestone_does_not_come_to_cost_less_than_lies_in_escrow_for_it():
    milestone, contract, people = agreed(escrow=945_00)
    milestone.edit(contract, people["client"], WORDS, None, at=AT)

    less = MilestoneWords("Less", 899_99)

    assert refusal_of(lambda: milestone.edit(contract, people["client"], less, None, at=AT)) == "MILESTONE_FUNDED"


@pytest.mark.parametrize(
    ("words", "at_fault"),
    [
        (MilestoneWords("", 1), ["description"]),
        (MilestoneWords("x" * 1_001, 1), ["description"]),
        (MilestoneWords("All", 0), ["amount"]),
        (MilestoneWords("All", -1), ["amount"]),
        (MilestoneWords("All", AMOUNT_MAX_CENTS + 1), ["amount"]),
        (MilestoneWords("All", 1, date(2026, 11, 19)), ["due_on"]),
        (MilestoneWords(" ", 0, date(2020, 1, 1)), ["description", "amount", "due_on"]),
        (MilestoneWords("All", 1, misread=(Problem(("amount", "amount"), "No."),)), ["amount.amount"]),
    ],
)
def test_a_milestone_that_is_not_worded_well_is_refused(words, at_fault):
    milestone, contract, people = agreed()
    client = people["client"]
    before = values(milestone)

    assert faults(lambda: milestone.edit(contract, client, words, None, at=AT)) == at_fault
    assert faults(lambda: Milestone.add(contract, client, words, [milestone], at=AT)) == at_fault
    assert values(milestone) == before


def test_a_milestone_is_added_behind_the_others():
    milestone, contract, people = agreed()
    other = make.milestone(contract, position=5)

    added, change = Milestone.add(contract, people["client"], WORDS, [other, milestone], at=AT)

    assert (added.position, added.amount_cents, added.gross_cents, added.state) == (
        6,
        900_00,
        945_00,
        MilestoneState.OPEN,
    )
    assert (change.kind, change.milestone_id) == (ChangeKind.MILESTONE_ADDED, added.id)


def test_a_contract_has_so_many_milestones_and_no_more():
    milestone, contract, people = agreed()

    with pytest.raises(TooManyMilestones):
        Milestone.add(contract, people["client"], WORDS, [milestone] * MILESTONES_MAX, at=AT)


# Escrow


def test_funding_puts_aside_what_is_missing_with_the_fee():
    milestone, contract, people = agreed()

    cents, change = milestone.fund(contract, people["client"], at=AT)

    assert (cents, milestone.escrow_cents, change.amount_cents) == (1_050_00, 1_050_00, 1_050_00)


def test_what_grew_after_it_was_funded_can_be_funded_for_the_rest():
    milestone, contract, people = agreed(escrow=945_00)

    assert milestone.fund(contract, people["client"], at=AT)[0] == 105_00


def test_nothing_is_funded_twice():
    milestone, contract, people = agreed()
    milestone.fund(contract, people["client"], at=AT)

    with pytest.raises(MilestoneFunded):
        milestone.fund(contract, people["client"], at=AT)


# Review


def test_handing_in_starts_a_clock_and_asking_for_changes_stops_it():
    milestone, contract, people = agreed(MilestoneState.IN_PROGRESS)

    milestone.submit(contract, people["freelancer"], Submission(MESSAGE), at=AT, config=CONFIG)
    assert (milestone.submitted_at, milestone.review_ends_at) == (AT, AT + timedelta(days=14))

    change = milestone.request_changes(contract, people["client"], " Larger. ", at=AT)
    assert (milestone.review_ends_at, change.reason) == (None, "Larger.")

    later = AT + timedelta(days=3)
    milestone.submit(contract, people["freelancer"], Submission(MESSAGE), at=later, config=CONFIG)
    assert milestone.review_ends_at == later + timedelta(days=14)


@pytest.mark.parametrize("message", ["", "  ", "x" * 5_001, "\0"])
def test_somebody_says_something_when_handing_in_and_when_asking_for_changes(message):
    working, contract, people = agreed(MilestoneState.IN_PROGRESS)
    assert faults(
        lambda: working.submit(contract, people["freelancer"], Submission(message), at=AT, config=CONFIG)
    ) == ["message"]

    handed_in, contract, people = agreed(MilestoneState.IN_REVIEW)
    assert faults(lambda: handed_in.request_changes(contract, people["client"], message, at=AT)) == ["message"]


def test_a_few_files_are_handed_in_and_each_once():
    milestone, contract, people = agreed(MilestoneState.IN_PROGRESS)
    many, twice = [uuid7() for _ in range(11)], [uuid7()] * 2

    def submit(ids: list[UUID]) -> object:
        return milestone.submit(contract, people["freelancer"], Submission(MESSAGE, ids), at=AT, config=CONFIG)

    assert faults(lambda: submit(many)) == faults(lambda: submit(twice)) == ["upload_ids"]


def test_silence_accepts_when_the_time_is_over_and_not_before():
    milestone, contract, _ = agreed(MilestoneState.IN_REVIEW)
    end = milestone.review_ends_at

    assert milestone.lapse(contract, at=end - timedelta(microseconds=1)) is None
    change = milestone.lapse(contract, at=end)

    assert (milestone.state, milestone.accepted_cents, milestone.review_ends_at) == (
        MilestoneState.ACCEPTED,
        1_000_00,
        None,
    )
    assert (change.actor, change.actor_id) == (Actor.SYSTEM, None)
    assert milestone.lapse(contract, at=end) is None


@pytest.mark.parametrize(
    ("words", "at_fault"),
    [
        (Acceptance(0, Rest.REFUND), ["amount"]),
        (Acceptance(-5, Rest.REFUND), ["amount"]),
        (Acceptance(1_000_01, Rest.REFUND), ["amount"]),
        (Acceptance(1), ["rest"]),
        (Acceptance(0), ["amount", "rest"]),
    ],
)
def test_a_part_is_a_part_and_something_becomes_of_the_rest(words, at_fault):
    milestone, contract, people = agreed(MilestoneState.IN_REVIEW)
    before = values(milestone)

    assert faults(lambda: milestone.accept(contract, people["client"], words, [milestone], at=AT)) == at_fault
    assert values(milestone) == before


def test_a_part_is_accepted_and_the_rest_of_the_escrow_is_given_back():
    milestone, contract, people = agreed(MilestoneState.IN_REVIEW, escrow=1_050_00)

    milestone.accept(contract, people["client"], Acceptance(400_00, Rest.REFUND), [milestone], at=AT)
    spare, change = milestone.give_back(contract, people["client"], at=AT)

    assert (milestone.accepted_cents, spare, milestone.escrow_cents) == (400_00, 630_00, 420_00)
    assert (change.kind, change.amount_cents) == (ChangeKind.MILESTONE_REFUNDED, 630_00)
    assert milestone.is_covered(contract)


def test_the_rest_rolls_to_the_next_milestone_that_is_not_handed_in():
    milestone, contract, people = agreed(MilestoneState.IN_REVIEW, escrow=1_050_00, position=1)
    before, handed_in = make.milestone(contract), make.milestone(contract, MilestoneState.IN_REVIEW, position=2)
    following, last = (make.milestone(contract, cents=100_00, position=position) for position in (3, 4))
    everything = [last, handed_in, following, before, milestone]

    changes = milestone.accept(contract, people["client"], Acceptance(400_00, Rest.ROLL), everything, at=AT)

    assert (following.amount_cents, following.gross_cents, following.escrow_cents) == (700_00, 735_00, 630_00)
    assert (milestone.escrow_cents, following.version) == (420_00, 2)
    assert [(one.amount_cents, one.escrow_cents) for one in (before, handed_in, last)] == [(1_000_00, 0)] * 2 + [
        (100_00, 0)
    ]
    assert [(change.kind, change.milestone_id, change.amount_cents) for change in changes] == [
        (ChangeKind.MILESTONE_ACCEPTED, milestone.id, 400_00),
        (ChangeKind.MILESTONE_EDITED, following.id, 600_00),
    ]


@given(st.integers(2, 10**9), st.integers(1, 10**9), st.data())
def test_nothing_is_lost_or_made_when_a_rest_rolls(cents, next_cents, data):
    milestone, contract, people = agreed(MilestoneState.IN_REVIEW, cents=cents)
    milestone.escrow_cents = data.draw(st.integers(0, milestone.gross_cents))
    following = make.milestone(contract, cents=next_cents, position=1)
    following.escrow_cents = data.draw(st.integers(0, following.gross_cents))
    aside = milestone.escrow_cents + following.escrow_cents
    part = data.draw(st.integers(1, cents - 1))

    milestone.accept(contract, people["client"], Acceptance(part, Rest.ROLL), [milestone, following], at=AT)
    spare, _ = milestone.give_back(contract, people["client"], at=AT)

    assert milestone.escrow_cents + following.escrow_cents + spare == aside
    assert part + following.amount_cents == cents + next_cents
    assert following.gross_cents == contract.charge(following.amount_cents).gross
    assert 0 <= following.escrow_cents <= following.gross_cents
    assert 0 <= milestone.escrow_cents <= contract.charge(part).gross


def test_a_rest_needs_a_milestone_to_roll_to():
    milestone, contract, people = agreed(MilestoneState.IN_REVIEW, position=3)
    others = [make.milestone(contract), make.milestone(contract, MilestoneState.IN_REVIEW, position=4), milestone]
    rolling = Acceptance(1, Rest.ROLL)

    with pytest.raises(NothingToRollTo):
        milestone.accept(contract, people["client"], rolling, others, at=AT)

    contract.state = ContractState.TERMINATED
    later = make.milestone(contract, position=5)
    with pytest.raises(NothingToRollTo):
        milestone.accept(contract, people["client"], rolling, [*others, later], at=AT)
    assert milestone.state is MilestoneState.IN_REVIEW


def test_what_is_owed_stays_in_escrow_and_all_else_goes_back():
    for state, waived, stays in (
        (MilestoneState.OPEN, False, 0),
        (MilestoneState.IN_PROGRESS, False, 0),
        (MilestoneState.ACCEPTED, False, 500_00),
        (MilestoneState.ACCEPTED, True, 0),
    ):
        milestone, contract, _ = agreed(state, escrow=500_00)
        milestone.waived_at = AT if waived else None

        milestone.give_back(contract, None, at=AT)

        assert milestone.escrow_cents == stays


def test_being_paid_takes_what_lies_in_escrow():
    milestone, contract, people = agreed(MilestoneState.ACCEPTED, escrow=300_00)

    used, change = milestone.pay(contract, people["client"], at=AT)

    assert (used, milestone.escrow_cents, milestone.state, milestone.paid_at) == (300_00, 0, MilestoneState.PAID, AT)
    assert (change.from_state, change.to_state, change.amount_cents) == ("ACCEPTED", "PAID", 1_000_00)


# Requests for payment

REQUEST_LEADS_TO = table("""
            PENDING    PAID  CANCELLED  by
    PAY     PAID       -     -          CLIENT
    CANCEL  CANCELLED  -     -          FREELANCER
""")


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("state", PaymentRequestState, ids=lambda state: state.value)
@pytest.mark.parametrize("action", REQUEST_LEADS_TO)
def test_a_payment_request_moves_as_the_table_says(action, state, who):
    milestone, contract, people = agreed(MilestoneState.ACCEPTED)
    request = make.request(milestone, contract)
    request.state = state
    payment = contract.payment(contract.charge(milestone.amount_cents), milestone_id=milestone.id, at=AT, config=CONFIG)
    before = values(request)
    do = {"PAY": lambda: request.pay(people[who], payment, at=AT), "CANCEL": lambda: request.cancel(people[who], at=AT)}

    offered = [possible.value for possible in request.actions_for(people[who])]
    code = refusal_of(do[action])

    assert (action in offered) == (code is None)
    if REQUEST_LEADS_TO[action]["by"] != PEOPLE[who]:
        assert (code, values(request)) == ("FORBIDDEN", before)
    elif REQUEST_LEADS_TO[action][state.value] == "-":
        assert (code, values(request)) == ("PAYMENT_REQUEST_DECIDED", before)
    else:
        assert (code, request.state.value) == (None, REQUEST_LEADS_TO[action][state.value])
        assert request.decided_at == AT


# Terminations

TERMINATION_LEADS_TO = table("""
              REQUESTED  ACCEPTED  REJECTED  WITHDRAWN  LAPSED  by
    ACCEPT    ACCEPTED   -         -         -          -       OTHER
    REJECT    REJECTED   -         -         -          -       OTHER
    WITHDRAW  WITHDRAWN  -         -         -          -       OWNER
""")


@pytest.mark.parametrize("requester", ["client", "freelancer"])
@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("state", TerminationState, ids=lambda state: state.value)
@pytest.mark.parametrize("action", TERMINATION_LEADS_TO)
def test_a_termination_moves_as_the_table_says(action, state, who, requester):
    _, contract, people = agreed()
    request = make.termination(contract, people[requester])
    request.state = state
    before = values(request)
    is_party = who in {"client", "freelancer"}
    role = "OWNER" if who == requester else "OTHER" if is_party or who == "admin" else ""
    do = {
        "ACCEPT": lambda: request.decide(TerminationDecision.ACCEPT, contract, people[who], "Yes.", at=AT),
        "REJECT": lambda: request.decide(TerminationDecision.REJECT, contract, people[who], None, at=AT),
        "WITHDRAW": lambda: request.withdraw(contract, people[who], at=AT),
    }

    offered = [possible.value for possible in request.actions_for(people[who])]
    code = refusal_of(do[action])

    assert (action in offered) == (code is None)
    if TERMINATION_LEADS_TO[action]["by"] != role:
        assert (code, values(request)) == ("FORBIDDEN", before)
    elif TERMINATION_LEADS_TO[action][state.value] == "-":
        assert (code, values(request)) == ("TERMINATION_DECIDED", before)
    else:
        assert (code, request.state.value) == (None, TERMINATION_LEADS_TO[action][state.value])
        assert (request.decided_at, request.answer) == (AT, "Yes." if action == "ACCEPT" else None)


def test_one_open_request_a_party():
    _, contract, people = agreed()

    with pytest.raises(TerminationRequested):
        Termination.request(contract, people["client"], "Enough.", has_requested=True, at=AT)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 5_001])
def test_a_termination_has_a_reason(reason):
    _, contract, people = agreed()

    def request() -> object:
        return Termination.request(contract, people["client"], reason, has_requested=False, at=AT)

    assert faults(request) == ["reason"]


def test_a_request_lapses_when_the_contract_is_over():
    _, contract, people = agreed()
    request = make.termination(contract, people["client"])

    change = request.lapse(contract, at=AT)

    assert (request.state, request.decided_at, change.actor) == (TerminationState.LAPSED, AT, Actor.SYSTEM)


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
    words = make.proposal_words(
        milestones=[ProposedMilestone("Design", 300_00, due), ProposedMilestone("Build", 700_00)]
    )
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
        ("freelancer", {Party.FREELANCER, Party.EITHER}),
        ("client", {Party.CLIENT, Party.EITHER}),
        ("other freelancer", set()),
        ("other client", set()),
        ("admin", set()),
    ],
)
def test_a_contract_has_two_parties(who, expected):
    _, contract, people = agreed()

    assert contract.parties(people[who]) == expected
    assert contract.parties(None) == frozenset()


CONTRACT_BY = table("""
                         by
    ADD_MILESTONE        client
    PAY_BONUS            client
    REQUEST_TERMINATION  client,freelancer
    COMPLETE             client,freelancer
""")

DO_WITH_CONTRACT = {
    "ADD_MILESTONE": lambda contract, by: Milestone.add(contract, by, WORDS, [], at=AT),
    "PAY_BONUS": lambda contract, by: contract.bonus(by, 5_00, Currency.USD, None),
    "REQUEST_TERMINATION": lambda contract, by: Termination.request(contract, by, "Why.", has_requested=False, at=AT),
    "COMPLETE": lambda contract, by: contract.agree_to_end(by, undecided=False, at=AT),
}


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("state", ContractState, ids=lambda state: state.value)
def test_who_may_do_what_with_a_contract(state, who):
    assert set(CONTRACT_BY) == set(DO_WITH_CONTRACT) == {action.value for action in ContractAction}
    for action, do in DO_WITH_CONTRACT.items():
        _, contract, people = agreed(contract_state=state)
        before = values(contract)
        offered = contract.actions_for(people[who], undecided=False, has_requested=False)

        code = refusal_of(partial(do, contract, people[who]))

        if who not in CONTRACT_BY[action]["by"].split(","):
            assert code == "FORBIDDEN"
        else:
            assert code == (None if state is ContractState.ACTIVE else "CONTRACT_NOT_ACTIVE")
        assert (ContractAction[action] in offered) == (code is None)
        assert code is None or values(contract) == before


def test_nobody_is_done_while_anything_is_undecided():
    _, contract, people = agreed()

    with pytest.raises(WorkUndecided):
        contract.agree_to_end(people["client"], undecided=True, at=AT)

    offered = contract.actions_for(people["client"], undecided=True, has_requested=True)
    assert offered == [ContractAction.ADD_MILESTONE, ContractAction.PAY_BONUS]


def test_it_is_over_when_both_have_said_so_each_once():
    _, contract, people = agreed()

    contract.agree_to_end(people["freelancer"], undecided=False, at=AT)
    assert not contract.is_agreed_to_end
    with pytest.raises(AlreadyAgreed):
        contract.agree_to_end(people["freelancer"], undecided=False, at=AT)
    offered = contract.actions_for(people["freelancer"], undecided=False, has_requested=False)
    assert ContractAction.COMPLETE not in offered

    contract.agree_to_end(people["client"], undecided=False, at=AT)
    assert contract.is_agreed_to_end
    contract.complete(people["client"], at=AT)
    assert (contract.state, contract.ended_at) == (ContractState.COMPLETED, AT)


@pytest.mark.parametrize("action", ["EDIT", "FUND", "START"])
def test_work_that_goes_on_takes_back_that_somebody_was_done(action):
    milestone, contract, people = agreed()
    contract.agree_to_end(people["client"], undecided=False, at=AT)

    DO[action](milestone, contract, people[LEADS_TO[action]["by"].lower()])

    assert contract.client_done_at is None


@pytest.mark.parametrize(
    ("cents", "note", "at_fault"),
    [
        (0, None, ["amount"]),
        (-1, None, ["amount"]),
        (AMOUNT_MAX_CENTS + 1, None, ["amount"]),
        (1, "x" * 5_001, ["note"]),
    ],
)
def test_a_bonus_is_an_amount_and_perhaps_a_note(cents, note, at_fault):
    _, contract, people = agreed()

    assert faults(lambda: contract.bonus(people["client"], cents, Currency.USD, note)) == at_fault


def test_a_payment_may_be_withdrawn_some_days_later():
    milestone, contract, _ = agreed()

    payment = contract.payment(contract.charge(100_00), milestone_id=milestone.id, at=AT, config=CONFIG)

    assert (payment.amount_cents, payment.client_fee_cents, payment.freelancer_fee_cents) == (100_00, 5_00, 10_00)
    assert (payment.kind, payment.available_at) == (PaymentKind.MILESTONE, AT + timedelta(days=5))
