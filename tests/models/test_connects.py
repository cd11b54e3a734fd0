"""What Connects cost, how they are given, and from which lot they are taken."""

from datetime import UTC, datetime, timedelta

import pytest

from models.config import Config
from models.connects import BANDS, COST_MAX, Allowance, Lot, LotSource, NotEnoughConnects, cost_of, months_after, spend
from models.jobs import Budget, BudgetKind, Duration, Invitation, Job, JobState, TooManyInvitations
from models.ledger import LedgerAccount
from models.proposals import Proposal
from tests import make

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def lot(remaining, days, size=100):
    made = Lot.of(make.freelancer().id, LotSource.BUNDLE, size, at=AT, config=Config())
    made.remaining, made.expires_at = remaining, AT + days * DAY
    made.purse = LedgerAccount(currency="CNX")
    return made


def taken(cost, *lots):
    """How much is taken of each lot."""
    about = make.proposal(make.job(make.client()), make.freelancer())
    moving = spend(about, about.freelancer_id, cost, lots, spent=LedgerAccount(currency="CNX"), at=AT)
    parts = {entry.account_id: -entry.amount for entry in moving.journal.entries}
    assert moving.movement.amount == -cost
    return [parts.get(one.purse.id, 0) for one in lots]


@pytest.mark.parametrize(
    ("cents", "cost"),
    [(1, 2), (100_00, 2), (100_01, 4), (250_00, 4), (500_00, 6), (1_000_00, 8), (1_000_01, 10), (2_500_00, 10),
     (5_000_00, 12), (10_000_00, 14), (10_000_01, 16), (10**11, 16)],
)  # fmt: skip
def test_a_proposal_costs_more_on_a_larger_job(cents, cost):
    assert cost_of(cents) == cost


def test_the_bands_rise():
    sizes, costs = zip(*BANDS, strict=True)

    assert list(sizes) == sorted(set(sizes))
    assert [*costs, COST_MAX] == [2, 4, 6, 8, 10, 12, 14, 16]


@pytest.mark.parametrize(
    ("duration", "cost"),
    [
        (Duration.LESS_THAN_A_MONTH, 6),
        (Duration.ONE_TO_THREE_MONTHS, 10),
        (Duration.THREE_TO_SIX_MONTHS, 12),
        (Duration.MORE_THAN_SIX_MONTHS, 14),
    ],
)
def test_an_hourly_job_is_as_large_as_its_minimum_for_some_hours(duration, cost):
    words = make.job_words(
        budget=Budget(BudgetKind.HOURLY, minimum_cents=20_00, maximum_cents=90_00), duration=duration
    )

    assert Job.draft(make.client(), words, at=AT).connects_cost == cost


def test_an_edit_changes_what_later_proposals_cost():
    client = make.client()
    job = make.job(client, expires_at=None)
    before = Proposal.submit(job, make.freelancer(), make.proposal_words(), at=AT)

    job.edit(client, make.job_words(budget=Budget(BudgetKind.FIXED, amount_cents=50_00)), None, pending=1)

    assert (before.connects_cost, job.connects_cost) == (8, 2)


def test_what_expires_first_is_spent_first_across_lots():
    assert taken(8, lot(5, 30), lot(2, 10), lot(9, 20)) == [0, 2, 6]
    assert taken(16, lot(5, 30), lot(2, 10), lot(9, 20)) == [5, 2, 9]


def test_what_has_expired_is_not_spent():
    assert taken(8, lot(20, 0), lot(20, -1), lot(9, 1)) == [0, 0, 8]


@pytest.mark.parametrize(("lots", "have"), [((), 0), (((7, 5),), 7), (((3, 5), (4, 9), (50, 0)), 7)])
def test_whoever_has_too_few_is_told_how_many(lots, have):
    with pytest.raises(NotEnoughConnects) as refused:
        taken(8, *(lot(*one) for one in lots))

    assert (refused.value.cost, refused.value.have) == (8, have)
    assert refused.value.message == f"This costs 8 Connects, and you have {have}."


def test_a_month_that_has_no_such_day_gives_on_its_last():
    allowance = Allowance.begin(make.freelancer(), at=datetime(2027, 1, 31, 15, tzinfo=UTC))
    lots = [allowance.give(config=Config()) for _ in range(14)]

    assert (lots[0].source, lots[0].size, lots[0].issued_at.isoformat()) == (
        LotSource.REGISTRATION,
        20,
        "2027-01-31T15:00:00+00:00",
    )
    days = [one.issued_at.date().isoformat()[2:] for one in lots[1:]]
    assert days == [
        "27-02-28", "27-03-31", "27-04-30", "27-05-31", "27-06-30", "27-07-31", "27-08-31", "27-09-30", "27-10-31",
        "27-11-30", "27-12-31", "28-01-31", "28-02-29",
    ]  # fmt: skip
    assert {(one.source, one.size) for one in lots[1:]} == {(LotSource.GRANT, 10)}
    assert len({one.month for one in lots[1:]}) == 13
    assert lots[13].expires_at == datetime(2029, 2, 28, tzinfo=UTC)
    assert allowance.next_at == datetime(2028, 3, 31, tzinfo=UTC)


def test_months_end_where_they_end():
    assert months_after(datetime(2024, 2, 29, tzinfo=UTC), 12) == datetime(2025, 2, 28, tzinfo=UTC)
    assert months_after(datetime(2026, 12, 31, tzinfo=UTC), 2) == datetime(2027, 2, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "hired", "returns"),
    [
        (JobState.CLOSED, 0, True),
        (JobState.CLOSED, 1, False),
        (JobState.REMOVED, 0, True),
        (JobState.REMOVED, 1, True),
        (JobState.FILLED, 1, False),
        (JobState.EXPIRED, 0, False),
        (JobState.OPEN, 0, False),
    ],
)
def test_connects_are_returned_when_nobody_had_a_chance(state, hired, returns):
    assert make.job(make.client(), state, hired_count=hired, freelancers_wanted=2).returns_connects is returns


def test_not_everybody_is_invited():
    client = make.client()
    job = make.job(client, expires_at=None)

    Invitation.send(job, client, make.freelancer(), count=49, at=AT)
    with pytest.raises(TooManyInvitations):
        Invitation.send(job, client, make.freelancer(), count=50, at=AT)
