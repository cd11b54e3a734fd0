"""Work that clients offer."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from models.accounts import NotAClient, NotAFreelancer, Role
from models.config import Config
from models.errors import Forbidden, Stale
from models.jobs import (
    Budget,
    BudgetKind,
    BudgetKindInUse,
    Duration,
    Experience,
    Invitation,
    Job,
    JobAction,
    JobClosed,
    JobNotDraft,
    JobNotRenewable,
    JobState,
    OwnJob,
    TooFewWanted,
    looked_up,
)
from models.money import AMOUNT_MAX_CENTS
from tests import make
from tests.models.rules import faults, refusal_of, table, values

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)

LEADS_TO = table("""
             DRAFT    OPEN     FILLED   CLOSED   EXPIRED  REMOVED  otherwise          by
    EDIT     DRAFT    OPEN     -        -        -        -        JOB_CLOSED         CLIENT
    PUBLISH  OPEN     -        -        -        -        -        JOB_NOT_DRAFT      CLIENT
    RENEW    -        OPEN     -        -        OPEN     -        JOB_NOT_RENEWABLE  CLIENT
    CLOSE    -        CLOSED   -        -        -        -        JOB_CLOSED         CLIENT
    REMOVE   -        REMOVED  REMOVED  REMOVED  REMOVED  -        JOB_CLOSED         ADMIN
    PROPOSE  -        OPEN     -        -        -        -        JOB_CLOSED         FREELANCER
    INVITE   -        OPEN     -        -        -        -        JOB_CLOSED         CLIENT
""")

PEOPLE = {
    "owner": {"CLIENT"},
    "owner who is everything": {"CLIENT", "ADMIN"},
    "other client": set(),
    "freelancer": {"FREELANCER"},
    "admin": {"ADMIN"},
    "stranger who is everything": {"FREELANCER", "ADMIN"},
}
"""What these people are to a job."""

ROLES = {
    "owner": [Role.CLIENT, Role.FREELANCER],
    "owner who is everything": list(Role),
    "other client": [Role.CLIENT],
    "freelancer": [Role.FREELANCER],
    "admin": [Role.ADMIN],
    "stranger who is everything": list(Role),
}

WRONG_PERSON_TO_PROPOSE = {
    "owner": "OWN_JOB",
    "owner who is everything": "OWN_JOB",
    "other client": "NOT_A_FREELANCER",
    "admin": "NOT_A_FREELANCER",
}


def while_open(job: Job) -> datetime:
    """A moment at which its time is not over, if it ever was."""
    return job.published_at or AT


DO = {
    "EDIT": lambda job, by: job.edit(by, make.job_words(), None, pending=0),
    "PUBLISH": lambda job, by: job.publish(by, at=AT, config=Config()),
    "RENEW": lambda job, by: job.renew(by, at=AT, config=Config()),
    "CLOSE": lambda job, by: job.close(by),
    "REMOVE": lambda job, by: job.remove(by),
    "PROPOSE": lambda job, by: job.must_take_proposals(by, at=while_open(job)),
    "INVITE": lambda job, by: Invitation.send(job, by, make.freelancer(), count=0, at=while_open(job)),
}


def of(who: str, state: JobState):
    """A job in some state, and somebody to it."""
    somebody = make.account(*ROLES[who])
    return make.job(somebody if who.startswith("owner") else make.client(), state), somebody


# States


def test_the_table_speaks_of_every_state_and_action():
    assert set(LEADS_TO) == {action.value for action in JobAction}
    assert all(set(row) - {"otherwise", "by"} == {state.value for state in JobState} for row in LEADS_TO.values())


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("state", JobState, ids=lambda state: state.value)
@pytest.mark.parametrize("action", DO)
def test_a_job_moves_as_the_table_says_and_stays_when_refused(action, state, who):
    job, somebody = of(who, state)
    before = values(job)
    row = LEADS_TO[action]

    code = refusal_of(lambda: DO[action](job, somebody))

    if row["by"] not in PEOPLE[who]:
        assert code == (WRONG_PERSON_TO_PROPOSE[who] if action == "PROPOSE" else "FORBIDDEN")
        assert values(job) == before
    elif row[state.value] == "-":
        assert code == row["otherwise"]
        assert values(job) == before
    else:
        assert code is None
        assert job.state.value == row[state.value]


@pytest.mark.parametrize("state", JobState, ids=lambda state: state.value)
def test_what_is_offered_to_somebody_is_what_would_not_be_refused(state):
    def refused(who: str, action: str) -> str | None:
        job, somebody = of(who, state)
        return refusal_of(lambda: DO[action](job, somebody))

    for who in PEOPLE:
        job, somebody = of(who, state)

        offered = [action.value for action in job.actions_for(somebody, has_proposed=False, at=AT)]

        assert offered == [action for action in DO if refused(who, action) is None]


def test_what_would_be_refused_is_not_offered_when_the_time_is_over_or_an_offer_was_made():
    client, freelancer = make.client(), make.freelancer()
    job = make.job(client, expires_at=AT)

    def offered(who, at, *, has_proposed=False):
        return [action.value for action in job.actions_for(who, has_proposed=has_proposed, at=at)]

    before = AT - timedelta(microseconds=1)
    assert offered(freelancer, before) == ["PROPOSE"]
    assert offered(freelancer, AT) == offered(freelancer, before, has_proposed=True) == []
    assert offered(client, AT) == ["EDIT", "RENEW", "CLOSE"]


@pytest.mark.parametrize("state", JobState, ids=lambda state: state.value)
def test_nothing_is_offered_to_whoever_is_signed_out(state):
    assert make.job(make.client(), state).actions_for(None, has_proposed=False, at=AT) == []


@pytest.mark.parametrize("state", JobState, ids=lambda state: state.value)
def test_only_an_open_job_hires(state):
    job = make.job(make.client(), state, words=make.job_words(freelancers_wanted=2))
    before = values(job)

    if state is JobState.OPEN:
        job.hire(at=while_open(job))
        assert (job.state, job.hired_count, job.is_filled) == (JobState.OPEN, 1, False)
    else:
        with pytest.raises(JobClosed):
            job.hire(at=while_open(job))
        assert values(job) == before


@pytest.mark.parametrize("wanted", [1, 2, 3, 100])
def test_the_last_wanted_freelancer_fills_the_job(wanted):
    job = make.job(make.client(), words=make.job_words(freelancers_wanted=wanted))

    for hired in range(wanted):
        assert (job.hired_count, job.is_filled) == (hired, False)
        job.hire(at=while_open(job))

    assert (job.hired_count, job.is_filled) == (wanted, True)
    with pytest.raises(JobClosed):
        job.hire(at=while_open(job))


# Writing down and editing


def test_a_draft_is_its_clients_and_nobody_is_hired_for_it():
    client = make.client()

    job = Job.draft(client, make.job_words(), at=AT)

    assert (job.client_id, job.state, job.hired_count, job.version) == (client.id, JobState.DRAFT, 0, 1)
    assert (job.created_at, job.published_at, job.expires_at) == (AT, None, None)


def test_one_freelancer_is_wanted_unless_the_client_says_otherwise():
    assert Job.draft(make.client(), make.job_words(), at=AT).freelancers_wanted == 1


@pytest.mark.parametrize("roles", [[Role.FREELANCER], [Role.ADMIN], [Role.FREELANCER, Role.ADMIN]])
def test_only_a_client_writes_a_job_down(roles):
    with pytest.raises(NotAClient):
        Job.draft(make.account(*roles), make.job_words(), at=AT)


def test_an_edit_says_everything_anew():
    client = make.client()
    job = make.job(client)
    hourly = Budget(BudgetKind.HOURLY, minimum_cents=20_00, maximum_cents=60_00)
    words = make.job_words(
        title="  Mend a shop ",
        description=" It is broken.\n",
        location="Lisbon",
        category_id=UUID(int=7),
        experience=Experience.EXPERT,
        duration=Duration.MORE_THAN_SIX_MONTHS,
        budget=hourly,
        freelancers_wanted=3,
    )

    job.edit(client, words, 1, pending=0)

    assert (job.title, job.description, job.location) == ("Mend a shop", "It is broken.", "Lisbon")
    assert (job.category_id, job.experience, job.duration) == (UUID(int=7), words.experience, words.duration)
    assert (job.budget_kind, job.budget_amount_cents) == (BudgetKind.HOURLY, None)
    assert (job.budget_minimum_cents, job.budget_maximum_cents) == (20_00, 60_00)
    assert (job.freelancers_wanted, job.version) == (3, 2)


def test_an_edit_of_what_has_changed_since_is_refused_and_shown_what_is_there():
    client = make.client()
    job = make.job(client, version=4)
    before = values(job)

    with pytest.raises(Stale) as refused:
        job.edit(client, make.job_words(title="Too late"), 3, pending=0)

    assert refused.value.current is job
    assert values(job) == before


def test_an_edit_that_does_not_say_what_it_has_seen_is_made():
    client = make.client()
    job = make.job(client, version=4)

    job.edit(client, make.job_words(title="Whatever it was"), None, pending=0)

    assert (job.title, job.version) == ("Whatever it was", 5)


def test_a_stranger_is_not_told_that_her_edit_is_stale():
    with pytest.raises(Forbidden) as refused:
        make.job(make.client(), version=2).edit(make.client(), make.job_words(), 1, pending=0)

    assert refused.value.code == "FORBIDDEN"


def test_a_refused_edit_leaves_the_job_as_it_was():
    client = make.client()
    job = make.job(client)
    before = values(job)

    assert faults(lambda: job.edit(client, make.job_words(title="No", location="x" * 201), 1, pending=0)) == [
        "title",
        "location",
    ]
    assert values(job) == before


@pytest.mark.parametrize("pending", [0, 1, 7])
def test_pending_bids_keep_their_meaning(pending):
    client = make.client()
    job = make.job(client)
    before = values(job)

    if pending:
        with pytest.raises(BudgetKindInUse) as refused:
            job.edit(client, make.job_words(budget=make.HOURLY), None, pending=pending)
        assert refused.value.path == ("budget",)
        assert values(job) == before
    job.edit(client, make.job_words(budget=Budget(BudgetKind.FIXED, amount_cents=5_00)), None, pending=pending)
    job.edit(client, make.job_words(budget=make.HOURLY), None, pending=0)
    assert job.budget_kind is BudgetKind.HOURLY


@pytest.mark.parametrize(
    ("state", "hired", "wanted", "is_enough"),
    [
        (JobState.DRAFT, 0, 1, True),
        (JobState.OPEN, 0, 1, True),
        (JobState.OPEN, 1, 1, False),
        (JobState.OPEN, 1, 2, True),
        (JobState.OPEN, 2, 1, False),
        (JobState.OPEN, 2, 2, False),
        (JobState.OPEN, 2, 3, True),
        (JobState.OPEN, 99, 99, False),
        (JobState.OPEN, 99, 100, True),
    ],
)
def test_an_open_job_wants_more_than_were_hired_already(state, hired, wanted, is_enough):
    client = make.client()
    job = make.job(client, state, words=make.job_words(freelancers_wanted=100), hired_count=hired)
    words = make.job_words(freelancers_wanted=wanted)

    if is_enough:
        job.edit(client, words, None, pending=0)
        assert job.freelancers_wanted == wanted
    else:
        with pytest.raises(TooFewWanted) as refused:
            job.edit(client, words, None, pending=0)
        assert refused.value.path == ("freelancers_wanted",)
        assert job.version == 1


# Words


@pytest.mark.parametrize(
    "words",
    [
        {"title": "abc"},
        {"title": "x" * 120},
        {"title": "日本語"},
        {"description": "x"},
        {"description": "x" * 20_000},
        {"location": None},
        {"location": ""},
        {"location": "x" * 200},
        {"skill_ids": make.SKILL_IDS[:1]},
        {"skill_ids": make.SKILL_IDS[:15]},
        {"skill_ids": make.SKILL_IDS[:15] * 2},
        {"freelancers_wanted": 1},
        {"freelancers_wanted": 100},
        {"title": "a \N{FAMILY} b"},
        {"title": "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN} wanted"},
    ],
    ids=lambda words: f"{words!r:.40}",
)
def test_what_is_within_its_bounds_can_be_said(words):
    Job.draft(make.client(), make.job_words(**words), at=AT)


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "ab"}, "title"),
        ({"title": "  ab  "}, "title"),
        ({"title": "x" * 121}, "title"),
        ({"title": " \t\n "}, "title"),
        ({"title": "\u3000" * 5}, "title"),
        ({"title": "\u200b" * 5}, "title"),
        ({"title": "\u200b \u2060\ufeff\u00ad"}, "title"),
        ({"title": "abc\0"}, "title"),
        ({"title": "abc\ud800"}, "title"),
        ({"description": ""}, "description"),
        ({"description": "   "}, "description"),
        ({"description": "\u200b"}, "description"),
        ({"description": "x" * 20_001}, "description"),
        ({"description": "\0"}, "description"),
        ({"description": "a\udfff"}, "description"),
        ({"location": "x" * 201}, "location"),
        ({"location": "a\0"}, "location"),
        ({"location": "\ud83d"}, "location"),
        ({"skill_ids": []}, "skill_ids"),
        ({"skill_ids": make.SKILL_IDS[:16]}, "skill_ids"),
        ({"freelancers_wanted": 0}, "freelancers_wanted"),
        ({"freelancers_wanted": -1}, "freelancers_wanted"),
        ({"freelancers_wanted": 101}, "freelancers_wanted"),
    ],
    ids=lambda value: f"{value!a:.40}",
)
def test_what_is_beyond_its_bounds_is_at_fault(words, field):
    assert faults(lambda: Job.draft(make.client(), make.job_words(**words), at=AT)) == [field]


def fixed(cents):
    return Budget(BudgetKind.FIXED, amount_cents=cents)


def hourly(low, high):
    return Budget(BudgetKind.HOURLY, minimum_cents=low, maximum_cents=high)


@pytest.mark.parametrize(
    "budget",
    [fixed(1), fixed(AMOUNT_MAX_CENTS), hourly(1, 1), hourly(1, 2), hourly(1, AMOUNT_MAX_CENTS)],
    ids=repr,
)
def test_a_budget_is_an_amount_or_a_range(budget):
    job = Job.draft(make.client(), make.job_words(budget=budget), at=AT)

    assert (job.budget_kind, job.budget_amount_cents) == (budget.kind, budget.amount_cents)
    assert (job.budget_minimum_cents, job.budget_maximum_cents) == (budget.minimum_cents, budget.maximum_cents)


@pytest.mark.parametrize(
    "budget",
    [
        fixed(None),
        fixed(0),
        fixed(-1),
        fixed(AMOUNT_MAX_CENTS + 1),
        hourly(None, None),
        hourly(1, None),
        hourly(None, 1),
        hourly(0, 1),
        hourly(-1, 1),
        hourly(1, AMOUNT_MAX_CENTS + 1),
        hourly(2, 1),
        Budget(BudgetKind.FIXED, minimum_cents=1, maximum_cents=2),
        Budget(BudgetKind.HOURLY, amount_cents=1),
        Budget(BudgetKind.FIXED, amount_cents=1, minimum_cents=1),
        Budget(BudgetKind.FIXED, amount_cents=1, maximum_cents=1),
        Budget(BudgetKind.HOURLY, amount_cents=1, minimum_cents=1, maximum_cents=1),
    ],
    ids=repr,
)
def test_what_nobody_could_be_paid_is_no_budget(budget):
    assert faults(lambda: Job.draft(make.client(), make.job_words(budget=budget), at=AT)) == ["budget"]


def test_everything_wrong_with_a_job_is_said_at_once():
    words = make.job_words(
        title="",
        description="\0",
        location="x" * 201,
        skill_ids=[],
        freelancers_wanted=0,
        budget=fixed(0),
    )

    assert faults(lambda: Job.draft(make.client(), words, at=AT)) == [
        "title",
        "description",
        "location",
        "skill_ids",
        "freelancers_wanted",
        "budget",
    ]


@pytest.mark.parametrize(
    ("category_known", "skills_known", "expected"),
    [
        (False, 2, ["category_id"]),
        (True, 1, ["skill_ids"]),
        (True, 0, ["skill_ids"]),
        (False, 0, ["category_id", "skill_ids"]),
    ],
)
def test_a_job_is_described_in_words_of_the_catalogue(category_known, skills_known, expected):
    words = make.job_words(skill_ids=make.SKILL_IDS[:2])

    assert expected == faults(
        lambda: Job.draft(
            make.client(), looked_up(words, category_known=category_known, skills_known=skills_known), at=AT
        )
    )


def test_a_skill_named_twice_is_looked_up_once():
    words = make.job_words(skill_ids=make.SKILL_IDS[:2] * 2)

    assert looked_up(words, category_known=True, skills_known=2) == words


# Time


def test_a_published_job_is_open_for_thirty_days():
    client = make.client()
    job = make.job(client, JobState.DRAFT)

    job.publish(client, at=AT, config=Config())

    assert (job.state, job.published_at, job.expires_at) == (JobState.OPEN, AT, AT + 30 * DAY)


def test_how_long_a_job_stays_open_is_for_the_operator_to_say():
    client = make.client()
    job = make.job(client, JobState.DRAFT)

    job.publish(client, at=AT, config=Config({"jobs.open_days": 7}))

    assert job.expires_at == AT + 7 * DAY


def test_a_job_is_published_once():
    client = make.client()
    job = make.job(client, JobState.DRAFT)
    job.publish(client, at=AT, config=Config())

    with pytest.raises(JobNotDraft):
        job.publish(client, at=AT + DAY, config=Config())

    assert (job.published_at, job.expires_at) == (AT, AT + 30 * DAY)


@pytest.mark.parametrize("state", [JobState.OPEN, JobState.EXPIRED])
def test_a_renewed_job_is_open_for_another_term_from_now(state):
    client = make.client()
    job = make.job(client, state, published_at=AT - 40 * DAY, expires_at=AT - 10 * DAY, warned_at=AT - 15 * DAY)

    job.renew(client, at=AT, config=Config())

    assert (job.state, job.expires_at, job.warned_at) == (JobState.OPEN, AT + 30 * DAY, None)
    assert job.published_at == AT - 40 * DAY


@pytest.mark.parametrize("state", [JobState.DRAFT, JobState.FILLED, JobState.CLOSED, JobState.REMOVED])
def test_a_job_that_ended_for_good_is_not_renewed(state):
    client = make.client()

    with pytest.raises(JobNotRenewable):
        make.job(client, state).renew(client, at=AT, config=Config())


@pytest.mark.parametrize("state", JobState, ids=lambda state: state.value)
@pytest.mark.parametrize(
    ("at", "is_over"),
    [(AT - MOMENT, False), (AT, True), (AT + MOMENT, True), (AT + 400 * DAY, True)],
)
def test_only_an_open_job_expires_and_from_its_last_moment_on(state, at, is_over):
    job = make.job(make.client(), state, expires_at=AT)
    before = values(job)
    due = is_over and state is JobState.OPEN

    assert job.expire(at=at) is due

    if due:
        assert (job.state, job.version) == (JobState.EXPIRED, 2)
    else:
        assert values(job) == before


def test_a_job_that_was_never_published_does_not_expire():
    assert not make.job(make.client(), JobState.DRAFT).expire(at=AT)


def test_a_job_expires_once():
    job = make.job(make.client(), expires_at=AT)

    assert [job.expire(at=AT), job.expire(at=AT)] == [True, False]


@pytest.mark.parametrize("state", JobState, ids=lambda state: state.value)
@pytest.mark.parametrize(
    ("before_its_end", "is_soon"),
    [(6 * DAY, False), (5 * DAY + MOMENT, False), (5 * DAY, True), (5 * DAY - MOMENT, True), (MOMENT, True)],
)
def test_the_client_of_an_open_job_is_warned_five_days_before_it_expires(state, before_its_end, is_soon):
    job = make.job(make.client(), state, expires_at=AT)
    due = is_soon and state is JobState.OPEN

    assert job.warn(at=AT - before_its_end, config=Config()) is due
    assert job.warned_at == (AT - before_its_end if due else None)


def test_a_client_is_warned_once_for_each_term():
    client = make.client()
    job = make.job(client, expires_at=AT)
    config = Config()

    assert job.warn(at=AT - 5 * DAY, config=config)
    assert not job.warn(at=AT - 4 * DAY, config=config)
    assert job.warned_at == AT - 5 * DAY

    job.renew(client, at=AT - 3 * DAY, config=config)

    assert not job.warn(at=AT - 3 * DAY, config=config)
    assert job.warn(at=AT + 22 * DAY, config=config)


# Proposing


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.OPEN])
def test_a_job_that_is_not_open_refuses_proposals(state):
    with pytest.raises(JobClosed):
        make.job(make.client(), state).must_take_proposals(make.freelancer(), at=AT)


def test_a_job_whose_time_is_over_is_closed_before_anybody_notes_it():
    job = make.job(make.client(), expires_at=AT)

    job.must_take_proposals(make.freelancer(), at=AT - timedelta(microseconds=1))
    with pytest.raises(JobClosed):
        job.must_take_proposals(make.freelancer(), at=AT)
    with pytest.raises(JobClosed):
        job.hire(at=AT)
    assert (job.state, job.hired_count) == (JobState.OPEN, 0)


def test_nobody_proposes_on_her_own_job():
    both = make.account(Role.CLIENT, Role.FREELANCER)

    with pytest.raises(OwnJob):
        make.job(both).must_take_proposals(both, at=AT)


def test_only_freelancers_propose():
    with pytest.raises(NotAFreelancer):
        make.job(make.client()).must_take_proposals(make.client(), at=AT)


@pytest.mark.parametrize(("said", "kept"), [(None, None), ("  ", None), (" Bern ", "Bern")])
def test_a_location_is_kept_without_space_around_it_and_a_blank_one_not_at_all(said, kept):
    assert Job.draft(make.client(), make.job_words(location=said), at=AT).location == kept
