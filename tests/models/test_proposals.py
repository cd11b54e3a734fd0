"""Offers that freelancers make on jobs."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from models.accounts import NotAFreelancer, Role
from models.errors import Forbidden, Stale
from models.jobs import BudgetKind, Duration, Job, JobClosed, JobState, OwnJob
from models.money import AMOUNT_MAX_CENTS
from models.proposals import (
    AttachmentWords,
    MilestoneWords,
    Proposal,
    ProposalAction,
    ProposalAttachment,
    ProposalDecided,
    ProposalMilestone,
    ProposalState,
    is_web_address,
)
from tests import make
from tests.models.rules import faults, refusal_of, table, values

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = AT.date()
DAY = timedelta(days=1)

LEADS_TO = table("""
               PENDING    ACCEPTED  REJECTED  WITHDRAWN  by
    EDIT       PENDING    -         -         -          FREELANCER
    WITHDRAW   WITHDRAWN  -         -         -          FREELANCER
    SHORTLIST  PENDING    -         -         -          CLIENT
    ARCHIVE    PENDING    ACCEPTED  REJECTED  WITHDRAWN  CLIENT
    REJECT     REJECTED   -         -         -          CLIENT
    ACCEPT     ACCEPTED   -         -         -          CLIENT
""")
"""Where anything but a move is `PROPOSAL_DECIDED`."""

PEOPLE = {"freelancer": "FREELANCER", "client": "CLIENT", "other freelancer": "", "other client": "", "admin": ""}
"""What these people are to a proposal."""

DO = {
    "EDIT": lambda proposal, job, by: proposal.edit(job, by, make.proposal_words(), None, at=AT),
    "WITHDRAW": lambda proposal, job, by: proposal.withdraw(job, by, at=AT),
    "SHORTLIST": lambda proposal, job, by: proposal.shortlist(job, by, on=True),
    "ARCHIVE": lambda proposal, job, by: proposal.archive(job, by, on=True),
    "REJECT": lambda proposal, job, by: proposal.reject(job, by, None, at=AT),
    "ACCEPT": lambda proposal, job, by: proposal.accept(job, by, None, at=AT),
}

NOT_ON_OPEN_JOBS_ONLY = sorted(set(DO) - {"ACCEPT"})


def cast() -> dict[str, Any]:
    return {
        "freelancer": make.freelancer(),
        "client": make.client(),
        "other freelancer": make.account(Role.FREELANCER, Role.CLIENT),
        "other client": make.account(Role.FREELANCER, Role.CLIENT),
        "admin": make.admin(),
    }


def on_a_job(state=ProposalState.PENDING, job_state=JobState.OPEN, **said):
    """A proposal in some state on a job in some state, and everybody about it."""
    people = cast()
    job = make.job(people["client"], job_state)
    return make.proposal(job, people["freelancer"], state, **said), job, people


def submitted(job: Job | None = None, **said: Any) -> Proposal:
    return Proposal.submit(job or make.job(make.client()), make.freelancer(), make.proposal_words(**said), at=AT)


# States


def test_the_table_speaks_of_every_state_and_action():
    assert set(LEADS_TO) == {action.value for action in ProposalAction}
    assert all(set(row) - {"by"} == {state.value for state in ProposalState} for row in LEADS_TO.values())


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("state", ProposalState, ids=lambda state: state.value)
@pytest.mark.parametrize("action", DO)
def test_a_proposal_moves_as_the_table_says_and_stays_when_refused(action, state, who):
    proposal, job, people = on_a_job(state)
    before = values(proposal), values(job)

    code = refusal_of(lambda: DO[action](proposal, job, people[who]))

    if LEADS_TO[action]["by"] != PEOPLE[who]:
        assert code == "FORBIDDEN"
        assert (values(proposal), values(job)) == before
    elif LEADS_TO[action][state.value] == "-":
        assert code == "PROPOSAL_DECIDED"
        assert (values(proposal), values(job)) == before
    else:
        assert code is None
        assert proposal.state.value == LEADS_TO[action][state.value]


@pytest.mark.parametrize("job_state", JobState, ids=lambda state: state.value)
@pytest.mark.parametrize("state", ProposalState, ids=lambda state: state.value)
def test_what_is_offered_to_somebody_is_what_would_not_be_refused(state, job_state):
    def refused(who: str, action: str) -> str | None:
        proposal, job, people = on_a_job(state, job_state)
        return refusal_of(lambda: DO[action](proposal, job, people[who]))

    for who in PEOPLE:
        proposal, job, people = on_a_job(state, job_state)

        offered = [action.value for action in proposal.actions_for(people[who], job, at=AT)]

        assert offered == [action for action in DO if refused(who, action) is None]


def test_nobody_is_offered_to_hire_on_a_job_whose_time_is_over():
    proposal, job, people = on_a_job(ProposalState.PENDING)
    job.expires_at = AT

    assert ProposalAction.ACCEPT not in proposal.actions_for(people["client"], job, at=AT)


@pytest.mark.parametrize("state", ProposalState, ids=lambda state: state.value)
def test_nothing_is_offered_to_whoever_is_signed_out(state):
    proposal, job, _ = on_a_job(state)

    assert proposal.actions_for(None, job, at=AT) == []


@pytest.mark.parametrize("job_state", JobState, ids=lambda state: state.value)
@pytest.mark.parametrize("action", NOT_ON_OPEN_JOBS_ONLY)
def test_a_pending_proposal_can_be_handled_whatever_became_of_the_job(action, job_state):
    proposal, job, people = on_a_job(job_state=job_state)
    who = {"FREELANCER": "freelancer", "CLIENT": "client"}[LEADS_TO[action]["by"]]

    DO[action](proposal, job, people[who])

    assert proposal.state.value == LEADS_TO[action]["PENDING"]
    assert job.state is job_state


@pytest.mark.parametrize("job_state", [state for state in JobState if state is not JobState.OPEN])
def test_nobody_is_hired_for_a_job_that_is_not_open(job_state):
    proposal, job, people = on_a_job(job_state=job_state)

    with pytest.raises(JobClosed):
        proposal.accept(job, people["client"], None, at=AT)

    assert (job.state, job.hired_count) == (job_state, 0)


def test_a_proposal_is_decided_once():
    proposal, job, people = on_a_job()
    proposal.reject(job, people["client"], "Too dear.", at=AT)

    with pytest.raises(ProposalDecided):
        proposal.accept(job, people["client"], None, at=AT + DAY)

    assert (proposal.state, proposal.decided_at, job.hired_count) == (ProposalState.REJECTED, AT, 0)


# Accepting


def test_accepting_the_last_wanted_freelancer_fills_the_job():
    proposal, job, people = on_a_job()

    proposal.accept(job, people["client"], None, at=AT)

    assert (proposal.state, proposal.decided_at, proposal.version) == (ProposalState.ACCEPTED, AT, 2)
    assert (job.hired_count, job.is_filled) == (1, True)


def test_accepting_one_of_two_wanted_freelancers_leaves_the_job_open():
    client = make.client()
    job = make.job(client, words=make.job_words(freelancers_wanted=2))
    one, two, three = (make.proposal(job, make.freelancer()) for _ in range(3))

    one.accept(job, client, None, at=AT)
    assert (job.hired_count, job.is_filled) == (1, False)
    two.accept(job, client, None, at=AT)
    assert (job.hired_count, job.is_filled) == (2, True)
    with pytest.raises(JobClosed):
        three.accept(job, client, None, at=AT)


def test_a_proposal_that_lost_says_why_and_when():
    proposal, _, _ = on_a_job()

    proposal.lose("Somebody else was hired.", at=AT)

    assert (proposal.state, proposal.reason) == (ProposalState.REJECTED, "Somebody else was hired.")
    assert (proposal.decided_at, proposal.version) == (AT, 2)


@pytest.mark.parametrize("state", [state for state in ProposalState if state is not ProposalState.PENDING])
def test_only_a_pending_proposal_can_lose(state):
    proposal, _, _ = on_a_job(state)
    before = values(proposal)

    with pytest.raises(ProposalDecided):
        proposal.lose("Somebody else was hired.", at=AT)

    assert values(proposal) == before


# Deciding and sorting


@pytest.mark.parametrize("reason", [None, "", "Too dear.", "x" * 1_000])
def test_a_client_says_no_with_a_reason_or_without(reason):
    proposal, job, people = on_a_job()

    proposal.reject(job, people["client"], reason, at=AT)

    assert (proposal.state, proposal.reason, proposal.decided_at) == (ProposalState.REJECTED, reason or None, AT)


@pytest.mark.parametrize("reason", ["x" * 1_001, "no\0", "no\ud800"], ids=ascii)
def test_a_reason_that_cannot_be_kept_decides_nothing(reason):
    proposal, job, people = on_a_job()
    before = values(proposal)

    assert faults(lambda: proposal.reject(job, people["client"], reason, at=AT)) == ["reason"]
    assert values(proposal) == before


def test_withdrawing_is_told_with_its_moment():
    proposal, job, people = on_a_job()

    proposal.withdraw(job, people["freelancer"], at=AT)

    assert (proposal.state, proposal.decided_at, proposal.version) == (ProposalState.WITHDRAWN, AT, 2)


def test_an_offer_is_shortlisted_and_no_longer():
    proposal, job, people = on_a_job()

    proposal.shortlist(job, people["client"], on=True)
    assert (proposal.shortlisted, proposal.archived) == (True, False)
    proposal.shortlist(job, people["client"], on=False)
    assert not proposal.shortlisted


def test_an_offer_is_archived_and_brought_back():
    proposal, job, people = on_a_job()

    proposal.archive(job, people["client"], on=True)
    assert (proposal.archived, proposal.shortlisted) == (True, False)
    proposal.archive(job, people["client"], on=False)
    assert not proposal.archived


def test_the_freelancer_cannot_tell_by_the_version_how_her_offer_is_sorted():
    proposal, job, people = on_a_job()

    proposal.shortlist(job, people["client"], on=True)
    proposal.archive(job, people["client"], on=True)

    assert proposal.version == 1


# Submitting and editing


def test_a_proposal_is_put_before_the_client():
    job, freelancer = make.job(make.client()), make.freelancer()
    words = make.proposal_words(cover_letter=" I have done this before.\n", duration=Duration.THREE_TO_SIX_MONTHS)

    proposal = Proposal.submit(job, freelancer, words, at=AT)

    assert (proposal.job_id, proposal.freelancer_id) == (job.id, freelancer.id)
    assert (proposal.state, proposal.shortlisted, proposal.archived) == (ProposalState.PENDING, False, False)
    assert (proposal.cover_letter, proposal.duration) == ("I have done this before.", words.duration)
    assert (proposal.bid_cents, proposal.currency) == (1_000_00, job.budget_currency)
    assert (proposal.submitted_at, proposal.decided_at, proposal.version) == (AT, None, 1)


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.OPEN])
def test_a_job_that_is_not_open_refuses_proposals(state):
    with pytest.raises(JobClosed):
        submitted(make.job(make.client(), state))


def test_nobody_proposes_on_her_own_job():
    both = make.account(Role.CLIENT, Role.FREELANCER)

    with pytest.raises(OwnJob):
        Proposal.submit(make.job(both), both, make.proposal_words(), at=AT)


@pytest.mark.parametrize("roles", [[Role.CLIENT], [Role.ADMIN], [Role.CLIENT, Role.ADMIN]])
def test_only_freelancers_propose(roles):
    with pytest.raises(NotAFreelancer):
        Proposal.submit(make.job(make.client()), make.account(*roles), make.proposal_words(), at=AT)


def test_a_refusal_of_the_job_comes_before_the_faults_of_the_words():
    with pytest.raises(JobClosed):
        submitted(make.job(make.client(), JobState.CLOSED), cover_letter="")


def test_an_edit_says_everything_anew():
    proposal, job, people = on_a_job()
    words = make.proposal_words(
        cover_letter=" I know better now. ",
        duration=Duration.MORE_THAN_SIX_MONTHS,
        bid_cents=5,
        milestones=[MilestoneWords("All", 5)],
    )

    proposal.edit(job, people["freelancer"], words, 1, at=AT)

    assert (proposal.cover_letter, proposal.duration) == ("I know better now.", words.duration)
    assert (proposal.bid_cents, proposal.version) == (5, 2)


def test_an_edit_of_what_has_changed_since_is_refused_and_shown_what_is_there():
    proposal, job, people = on_a_job(version=4)
    before = values(proposal)

    with pytest.raises(Stale) as refused:
        proposal.edit(job, people["freelancer"], make.proposal_words(cover_letter="Late."), 3, at=AT)

    assert refused.value.current is proposal
    assert values(proposal) == before


def test_a_stranger_is_not_told_that_her_edit_is_stale():
    proposal, job, people = on_a_job(version=4)

    with pytest.raises(Forbidden):
        proposal.edit(job, people["other freelancer"], make.proposal_words(), 3, at=AT)


def test_a_refused_edit_leaves_the_proposal_as_it_was():
    proposal, job, people = on_a_job()
    before = values(proposal)
    words = make.proposal_words(cover_letter="Better.", bid_cents=0)

    assert faults(lambda: proposal.edit(job, people["freelancer"], words, None, at=AT)) == ["bid", "milestones"]
    assert values(proposal) == before


def test_an_edit_keeps_to_the_day_of_the_edit():
    proposal, job, people = on_a_job()
    words = make.proposal_words(milestones=[MilestoneWords("All", 1_000_00, TODAY)])

    proposal.edit(job, people["freelancer"], words, None, at=AT)

    assert faults(lambda: proposal.edit(job, people["freelancer"], words, None, at=AT + DAY)) == ["milestones.0.due_on"]


# Words


def parts(count: int, **said: Any) -> dict[str, Any]:
    """An offer in so many equal parts."""
    return {"bid_cents": count or 1, "milestones": [MilestoneWords("Part", 1, **said) for _ in range(count)]}


def one(description: str = "All", amount_cents: int = 1_000_00, due_on: date | None = None) -> dict[str, Any]:
    """An offer in one part."""
    return {"milestones": [MilestoneWords(description, amount_cents, due_on)]}


def attached(name: str = "Portfolio", url: str = "https://example.org", count: int = 1) -> dict[str, Any]:
    return {"attachments": [AttachmentWords(name, url)] * count}


@pytest.mark.parametrize(
    "said",
    [
        {"cover_letter": "x"},
        {"cover_letter": "x" * 5_000},
        parts(1),
        parts(20),
        {"bid_cents": AMOUNT_MAX_CENTS, **one(amount_cents=AMOUNT_MAX_CENTS)},
        one("x"),
        one("x" * 1_000),
        one(due_on=TODAY),
        one(due_on=TODAY + DAY),
        one(due_on=date.max),
        attached(count=0),
        attached(count=10),
        attached("x"),
        attached("x" * 200),
    ],
    ids=lambda said: f"{said!r:.60}",
)
def test_what_is_within_its_bounds_can_be_offered(said):
    assert submitted(**said).state is ProposalState.PENDING


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"cover_letter": ""}, "cover_letter"),
        ({"cover_letter": " \n"}, "cover_letter"),
        ({"cover_letter": "\u200b\u200d"}, "cover_letter"),
        ({"cover_letter": "x" * 5_001}, "cover_letter"),
        ({"cover_letter": "x\0"}, "cover_letter"),
        ({"cover_letter": "x\ud800"}, "cover_letter"),
        (parts(0), "milestones"),
        (parts(21), "milestones"),
        (one(amount_cents=999_99), "milestones"),
        (one(amount_cents=1_000_01), "milestones"),
        (one(amount_cents=0), "milestones.0.amount"),
        (one(amount_cents=-1), "milestones.0.amount"),
        (one(amount_cents=AMOUNT_MAX_CENTS + 1), "milestones.0.amount"),
        (one(""), "milestones.0.description"),
        (one("  "), "milestones.0.description"),
        (one("\u200b"), "milestones.0.description"),
        (one("x" * 1_001), "milestones.0.description"),
        (one("x\0"), "milestones.0.description"),
        (one("x\udc00"), "milestones.0.description"),
        (one(due_on=TODAY - DAY), "milestones.0.due_on"),
        (one(due_on=date.min), "milestones.0.due_on"),
        (attached(count=11), "attachments"),
        (attached(""), "attachments.0.name"),
        (attached(" "), "attachments.0.name"),
        (attached("\ufeff"), "attachments.0.name"),
        (attached("x" * 201), "attachments.0.name"),
        (attached("x\0"), "attachments.0.name"),
        (attached("x\ud800"), "attachments.0.name"),
        (attached(url="javascript:alert(1)"), "attachments.0.url"),
    ],
    ids=lambda value: f"{value!a:.60}",
)
def test_what_is_beyond_its_bounds_is_at_fault(said, field):
    assert faults(lambda: submitted(**said)) == [field]


@pytest.mark.parametrize("bid_cents", [0, -1, AMOUNT_MAX_CENTS + 1])
def test_a_bid_is_an_amount_somebody_could_pay(bid_cents):
    job = make.job(make.client(), words=make.job_words(budget=make.jobs.HOURLY))

    assert faults(lambda: submitted(job, bid_cents=bid_cents)) == ["bid"]


def test_a_bid_is_in_the_currency_of_the_job():
    # The house trades in one currency so far: a job of another one stands for those to come.
    job = make.job(make.client(), budget_currency="EUR")

    assert faults(lambda: submitted(job)) == ["bid"]


def test_the_milestones_of_a_fixed_job_sum_to_the_bid():
    job = make.job(make.client())
    milestones = [MilestoneWords("Design", 300_00), MilestoneWords("Build", 699_99)]

    assert job.budget_kind is BudgetKind.FIXED
    assert faults(lambda: submitted(job, milestones=milestones)) == ["milestones"]


def test_the_milestones_of_an_hourly_job_need_not_sum_to_the_bid():
    job = make.job(make.client(), words=make.job_words(budget=make.jobs.HOURLY))

    assert submitted(job, bid_cents=45_00).bid_cents == 45_00


def test_everything_wrong_with_a_proposal_is_said_at_once():
    said: dict[str, Any] = {
        "cover_letter": "",
        "bid_cents": 0,
        "milestones": [MilestoneWords("", 0, TODAY - DAY), MilestoneWords("Fine", 5), MilestoneWords("\0", -1)],
        "attachments": [AttachmentWords("Fine", "https://example.org"), AttachmentWords("", "data:,")],
    }

    assert faults(lambda: submitted(**said)) == [
        "cover_letter",
        "bid",
        "milestones.0.description",
        "milestones.0.amount",
        "milestones.0.due_on",
        "milestones.2.description",
        "milestones.2.amount",
        "attachments.1.name",
        "attachments.1.url",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://example.org/",
        "HTTPS://EXAMPLE.ORG/A?b=c#d",
        "https://example.org:8443/a%20b",
        "https://bücher.example/straße",
        "https://xn--bcher-kva.example",
        "https://пример.испытание/путь",
        "https://192.0.2.1/a",
        "https://[2001:db8::1]:443/a",
        "https://example.org/@ada",
        "https://example.org/?mail=ada@example.org",
        "https://example.org/" + "x" * 1_980,
    ],
    ids=lambda url: f"{url:.40}",
)
def test_an_address_on_the_web_can_be_attached(url):
    assert is_web_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "/etc/passwd",
        "//example.org/a",
        "https:",
        "https://",
        "https:///a",
        "https:example.org",
        "https://:443/",
        "https://?a",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "javascript://example.org/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:msgbox(1)",
        "file:///etc/passwd",
        "ftp://example.org/",
        "mailto:ada@example.org",
        "blob:https://example.org/1",
        "view-source:https://example.org",
        "https://ada@example.org/",
        "https://ada:secret@example.org/",
        "https://bank.example@evil.example/",
        "https://@example.org/",
        "https://evil.example\\@bank.example/",
        "https:\\\\example.org",
        "https://example.org\\a",
        "https://example.org/a b",
        " https://example.org",
        "https://example.org\n",
        "https://exa\tmple.org",
        "https://example.org/\0",
        "https://example.org/\x1b[2J",
        "https://example.org/\x7f",
        "https://example.org/\x85",
        "https://example.org/\u2028",
        "https://example.org/\u200b",
        "https://example.org/\u202egnp.exe",
        "https://example.org/\ud800",
        "https://example.org:port/",
        "https://example.org:65536/",
        "https://example.org:-1/",
        "https://[::1",
        "https://[example]/",
        "https://example.org\uff0fa.evil.example/",
        "https://example.org/" + "x" * 1_981,
    ],
    ids=lambda url: f"{url!a:.40}",
)
def test_what_is_no_address_on_the_web_or_hides_where_it_leads_is_not_attached(url):
    assert not is_web_address(url)


# Parts


def test_the_parts_of_an_offer_stand_in_the_order_in_which_they_were_named():
    proposal = submitted()
    words = make.proposal_words(
        milestones=[MilestoneWords(" Design ", 300_00, TODAY), MilestoneWords("Build", 700_00)],
        attachments=[AttachmentWords(" Shop ", "https://a.example"), AttachmentWords("Blog", "https://b.example")],
    )

    milestones = ProposalMilestone.of(proposal, words)
    attachments = ProposalAttachment.of(proposal, words)

    assert [(part.position, part.description, part.amount_cents, part.due_on) for part in milestones] == [
        (0, "Design", 300_00, TODAY),
        (1, "Build", 700_00, None),
    ]
    assert [(part.position, part.name, part.url) for part in attachments] == [
        (0, "Shop", "https://a.example"),
        (1, "Blog", "https://b.example"),
    ]
    assert {part.proposal_id for part in [*milestones, *attachments]} == {proposal.id}
    assert {part.currency for part in milestones} == {words.currency}


@pytest.mark.parametrize(("said", "kept"), [(None, None), ("  ", None), (" Too dear. ", "Too dear.")])
def test_a_reason_is_kept_without_space_around_it_and_a_blank_one_not_at_all(said, kept):
    proposal, job, people = on_a_job(ProposalState.PENDING)

    proposal.reject(job, people["client"], said, at=AT)

    assert proposal.reason == kept
