"""What is said of work on offer, and to whom; and what is said of inputs that are not right."""

from datetime import timedelta
from typing import Any

import pytest

from models.accounts import FreelancerProfile
from models.jobs import BudgetKind, Duration, Experience, JobSkill
from ops.app import wall_clock
from ops.transport.asked import read_json
from ops.transport.errors import Rejected
from schema.limits import JSON_DEPTH_MAX
from tests import make
from tests.schema.callers import Ask, Scene, mutation, query, rows

TABLE = """
            nobody               rival         stranger  client         freelancer    admin
createJob   UNAUTHENTICATED      NOT_A_CLIENT  Job       Job            NOT_A_CLIENT  NOT_A_CLIENT
editJob     UNAUTHENTICATED      FORBIDDEN     =         Job            FORBIDDEN     FORBIDDEN
editJob/draft UNAUTHENTICATED    NOT_FOUND     =         Job            NOT_FOUND     =
publishJob  UNAUTHENTICATED      NOT_FOUND     =         Job            NOT_FOUND     =
publishJob/twice UNAUTHENTICATED FORBIDDEN     =         JOB_NOT_DRAFT  FORBIDDEN     =
renewJob    UNAUTHENTICATED      FORBIDDEN     =         Job            FORBIDDEN     =
closeJob    UNAUTHENTICATED      FORBIDDEN     =         Job            FORBIDDEN     =
closeJob/filled UNAUTHENTICATED  FORBIDDEN     =         JOB_CLOSED     FORBIDDEN     =
removeJob   UNAUTHENTICATED      FORBIDDEN     =         FORBIDDEN      FORBIDDEN     Job
removeJob/draft UNAUTHENTICATED  NOT_FOUND     =         FORBIDDEN      NOT_FOUND     =
inviteFreelancer UNAUTHENTICATED FORBIDDEN     =         Invitation     FORBIDDEN     =
inviteFreelancer/twice UNAUTHENTICATED FORBIDDEN =       ALREADY_INVITED FORBIDDEN    =
inviteFreelancer/nobody UNAUTHENTICATED NOT_FOUND =      =              =             =
inviteFreelancer/filled UNAUTHENTICATED FORBIDDEN =      JOB_CLOSED     FORBIDDEN     =
inviteFreelancer/draft UNAUTHENTICATED NOT_FOUND =       JOB_CLOSED     NOT_FOUND     =
job         Job                  =             =         =              =             =
job/draft   null                 =             =         Job            null          =
jobs        JobConnection        =             =         =              =             =
catalogue   Catalogue            =             =         =              =             =
"""


def words(**more: Any) -> dict[str, Any]:
    usual = {
        "title": "Build a shop",
        "description": "A small shop.",
        "categoryId": f"category_{make.CATEGORY_ID.hex}",
        "skillIds": [f"skill_{key.hex}" for key in make.SKILL_IDS[:2]],
        "experience": "EXPERT",
        "duration": "LESS_THAN_A_MONTH",
        "budget": {"fixed": {"amount": "1000"}},
    }
    return usual | more


def about(name: str, of: str = "job", **more: Any) -> Ask:
    return mutation(name, lambda scene: {"jobId": scene.ids()[of]} | more)


def to(job: str, scene: Scene, whom: str) -> dict[str, str]:
    """Whom to invite to which job."""
    return {"jobId": scene.ids()[job], "freelancerId": f"freelancer_{scene.account(whom).id.hex}"}


ASKS: dict[str, Ask] = {
    "createJob": mutation("createJob", lambda _: words()),
    "editJob": about("editJob", **words()),
    "editJob/draft": about("editJob", "draft", **words()),
    "publishJob": about("publishJob", "draft"),
    "publishJob/twice": about("publishJob"),
    "renewJob": about("renewJob"),
    "inviteFreelancer": mutation("inviteFreelancer", lambda scene: to("job", scene, "rival")),
    "inviteFreelancer/twice": mutation("inviteFreelancer", lambda scene: to("job", scene, "freelancer")),
    "inviteFreelancer/nobody": mutation("inviteFreelancer", lambda scene: to("job", scene, "client")),
    "inviteFreelancer/filled": mutation("inviteFreelancer", lambda scene: to("filled", scene, "rival")),
    "inviteFreelancer/draft": mutation("inviteFreelancer", lambda scene: to("draft", scene, "rival")),
    "closeJob": about("closeJob"),
    "closeJob/filled": about("closeJob", "filled"),
    "removeJob": about("removeJob"),
    "removeJob/draft": about("removeJob", "draft"),
    "job": query("job", "id", "job"),
    "job/draft": query("job", "id", "draft"),
    "jobs": query("jobs"),
    "catalogue": query("catalogue"),
}


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


async def test_what_may_be_done_with_a_job_depends_on_who_asks(scene, ask):
    text = "query ($id: ID!) { job(id: $id) { availableActions } }"

    found = {
        caller: (await ask(scene.as_(caller), text, id=scene.ids()["job"]))["data"]["job"]["availableActions"]
        for caller in scene.callers
    }

    assert found == {
        "nobody": [],
        "rival": ["PROPOSE"],
        "stranger": [],
        "client": ["EDIT", "RENEW", "CLOSE", "INVITE"],
        "freelancer": [],
        "admin": ["REMOVE"],
    }


async def test_a_job_whose_time_is_over_is_not_among_the_open_ones_though_nobody_has_noted_it(scene, ask, keep):
    await keep(make.job(scene.account("client"), expires_at=wall_clock() - timedelta(seconds=1)))

    answer = await ask(None, "{ jobs { totalCount nodes { id } } }")

    assert answer["data"]["jobs"] == {"totalCount": 1, "nodes": [{"id": scene.ids()["job"]}]}


CREATE = """
mutation ($input: CreateJobInput!) {
  createJob(input: $input) {
    __typename
    ... on Job {
      title location state version freelancersWanted publishedAt client { companyName } category { id } skills { id }
      budget { kind amount { amount currency } minimum { amount } maximum { amount } }
    }
    ... on Refused { code message field problems { field } retryable }
  }
}
"""


async def test_a_job_is_answered_as_it_was_written(people, ask):
    hourly = {"hourly": {"minimum": {"amount": "20.5"}, "maximum": {"amount": "60", "currency": "USD"}}}

    answer = await ask(people.client, CREATE, input=words(title=" A shop ", location="Bern", budget=hourly))

    found = answer["data"]["createJob"]
    assert {skill["id"] for skill in found.pop("skills")} == set(words()["skillIds"])
    assert found == {
        "__typename": "Job",
        "title": "A shop",
        "location": "Bern",
        "state": "DRAFT",
        "version": 1,
        "freelancersWanted": 1,
        "publishedAt": None,
        "client": {"companyName": "Clara"},
        "category": {"id": words()["categoryId"]},
        "budget": {
            "kind": "HOURLY",
            "amount": None,
            "minimum": {"amount": "20.50"},
            "maximum": {"amount": "60.00"},
        },
    }


async def test_everything_wrong_with_a_job_is_said_at_once_in_the_names_of_the_schema(people, ask):
    wrong = words(
        title="x",
        description="",
        skillIds=[],
        freelancersWanted=0,
        budget={"fixed": {"amount": "-1"}},
        location="x" * 201,
    )

    answer = await ask(people.client, CREATE, input=wrong)

    found = answer["data"]["createJob"]
    assert (found["code"], found["retryable"]) == ("BAD_USER_INPUT", False)
    assert [problem["field"] for problem in found["problems"]] == [
        ["budget", "fixed", "amount"],
        ["title"],
        ["description"],
        ["location"],
        ["skillIds"],
        ["freelancersWanted"],
    ]


async def test_ids_that_are_none_and_words_that_are_wrong_are_said_together(people, ask):
    wrong = words(title="x", categoryId="skill_1", skillIds=["x"])

    answer = await ask(people.client, CREATE, input=wrong)

    found = [problem["field"] for problem in answer["data"]["createJob"]["problems"]]
    assert sorted(found) == [["categoryId"], ["skillIds"], ["title"]]


async def test_what_the_catalogue_does_not_have_is_said_of_both(people, ask):
    unknown = make.client().id.hex
    answer = await ask(
        people.client, CREATE, input=words(categoryId=f"category_{unknown}", skillIds=[f"skill_{unknown}"])
    )

    assert [problem["field"] for problem in answer["data"]["createJob"]["problems"]] == [["categoryId"], ["skillIds"]]


# Amounts, as they may come

AMOUNTS_REFUSED = {
    "three decimals": "1.001",
    "thirty decimals": "1.000000000000000000000000000001",
    "not a number": "NaN",
    "a signalling one": "sNaN",
    "infinite": "Infinity",
    "too much": "1e400",
    "next to nothing": "1e-400",
    "less than nothing": "-1",
    "nothing": "0",
    "nothing with a sign": "-0.00",
    "one cent too much": "100000000.01",
}
NOT_AMOUNTS = {
    "a number": 10,
    "a float": 10.5,
    "a truth": True,
    "a list": ["1"],
    "words": "ten",
    "empty": "",
    "a comma": "1,5",
    "far too long": "1" * 41,
    "other digits": "\u0661",
    "beyond all exponents": "1e99999999999999999999",
}


@pytest.mark.parametrize("amount", AMOUNTS_REFUSED.values(), ids=AMOUNTS_REFUSED)
async def test_amounts_that_nobody_can_pay_are_refused(amount, people, ask, count_rows):
    before = await count_rows()

    answer = await ask(people.client, CREATE, input=words(budget={"fixed": {"amount": amount}}))

    found = answer["data"]["createJob"]
    assert (found["code"], found["field"]) == ("BAD_USER_INPUT", ["budget", "fixed", "amount"])
    assert await count_rows() == before


@pytest.mark.parametrize("amount", NOT_AMOUNTS.values(), ids=NOT_AMOUNTS)
async def test_what_is_no_amount_at_all_is_bad_input(amount, people, ask):
    answer = await ask(people.client, CREATE, input=words(budget={"fixed": {"amount": amount}}))

    assert "data" not in answer
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}


@pytest.mark.parametrize("amount", ["0.01", "1000", "1e3", "100000000.00", "5.000"])
async def test_amounts_that_can_be_paid_are_taken(amount, people, ask):
    answer = await ask(people.client, CREATE, input=words(budget={"fixed": {"amount": amount}}))

    assert answer["data"]["createJob"]["__typename"] == "Job"


async def test_a_number_in_the_document_is_no_amount_either(ask):
    text = "mutation { createJob(input: {budget: {fixed: {amount: 10.00}}}) { __typename } }"

    answer = await ask(None, text)

    assert {error["extensions"]["code"] for error in answer["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}


@pytest.mark.parametrize(
    "budget",
    [
        {},
        {"fixed": {"amount": "1"}, "hourly": {"minimum": {"amount": "1"}, "maximum": {"amount": "2"}}},
        {"fixed": None},
        {"fixed": {"amount": "1", "currency": "EUR"}},
        {"fixed": {"amount": "1", "currency": "usd"}},
    ],
)
async def test_a_budget_is_one_of_the_two_in_a_currency_we_trade_in(budget, people, ask):
    answer = await ask(people.client, CREATE, input=words(budget=budget))

    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}


async def test_an_hourly_budget_is_the_right_way_round(people, ask):
    budget = {"hourly": {"minimum": {"amount": "3"}, "maximum": {"amount": "2"}}}

    answer = await ask(people.client, CREATE, input=words(budget=budget))

    assert answer["data"]["createJob"]["field"] == ["budget"]


# Texts, ids and enums, as they may come


@pytest.mark.parametrize("field", ["title", "description", "location"])
async def test_texts_that_nothing_can_keep_are_refused(field, people, ask):
    for text in ("a nul \0 in it", "half a pair \ud800 of it"):
        answer = await ask(people.client, CREATE, input=words() | {field: text})

        assert answer["data"]["createJob"]["field"] == [field]


def test_half_a_pair_does_not_come_in_as_json():
    with pytest.raises(Rejected):
        read_json(b'{"title": "\\ud800"}', JSON_DEPTH_MAX)


async def test_half_a_pair_does_not_come_in_a_document(ask):
    answer = await ask(None, 'mutation { signIn(input: {email: "\\ud800", password: ""}) { __typename } }')

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["GRAPHQL_PARSE_FAILED"]


ZEROS = "0" * 32
NO_IDS = [
    "",
    "job",
    "job_",
    "job_x",
    f"JOB_{ZEROS}",
    f"job_{'A' * 32}",
    f"skill_{ZEROS}",
    f"job_{ZEROS[1:]}-",
    f"job_{ZEROS}0",
    f" job_{ZEROS}",
    f"job_{{{ZEROS}}}",
    "job_\0",
    "../../etc/passwd",
    "x" * 100_000,
]


@pytest.mark.parametrize("wrong", NO_IDS, ids=range(len(NO_IDS)))
async def test_what_is_no_id_is_bad_input(wrong, people, ask):
    read = await ask(None, "query ($id: ID!) { job(id: $id) { id } }", id=wrong)
    told = "{ code field }"
    text = f"mutation ($id: ID!) {{ closeJob(input: {{jobId: $id}}) {{ ... on Refused {told} }} }}"
    done = await ask(people.client, text, id=wrong)

    assert [error["extensions"] for error in read["errors"]] == [{"code": "BAD_USER_INPUT"}]
    assert done["data"]["closeJob"] == {"code": "BAD_USER_INPUT", "field": ["jobId"]}


@pytest.mark.parametrize(
    "day", ["2026-02-30", "2026-2-3", "20260203", "2026-02-03T00:00:00Z", "", "0000-01-01", 20260203]
)
async def test_what_is_no_day_is_bad_input(day, people, ask):
    text = 'mutation ($day: Date!) { editFreelancer(input: {fullName: "F", birthDate: $day}) { __typename } }'

    answer = await ask(people.freelancer, text, day=day)

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


# Lists


async def test_filters_are_all_kept(people, ask, keep):
    fixed, hourly = make.job_words(), make.job_words(budget=make.HOURLY)
    jobs = [
        make.job(people.client, words=said, experience=experience, duration=duration)
        for said in (fixed, hourly)
        for experience in (Experience.EXPERT, Experience.ENTRY_LEVEL)
        for duration in (Duration.LESS_THAN_A_MONTH, Duration.MORE_THAN_SIX_MONTHS)
    ]
    await keep(*jobs)
    await keep(*(JobSkill(job_id=job.id, skill_id=make.SKILL_IDS[at % 3]) for at, job in enumerate(jobs)))
    category, other = f"category_{make.CATEGORY_ID.hex}", f"category_{(make.CATEGORY_ID.int + 1):032x}"
    skills = [f"skill_{key.hex}" for key in make.SKILL_IDS]

    def found(**kept: Any) -> set[str]:
        return {
            job.id.hex
            for at, job in enumerate(jobs)
            if kept.get("kind", job.budget_kind) is job.budget_kind
            and kept.get("experience", job.experience) is job.experience
            and kept.get("duration", job.duration) is job.duration
            and at % 3 in kept.get("skills", {0, 1, 2})
        }

    expected = [
        ({}, found()),
        ({"budgetKind": "HOURLY"}, found(kind=BudgetKind.HOURLY)),
        ({"experience": ["EXPERT"]}, found(experience=Experience.EXPERT)),
        ({"experience": ["EXPERT", "ENTRY_LEVEL"]}, found()),
        ({"experience": []}, set()),
        ({"duration": ["LESS_THAN_A_MONTH"]}, found(duration=Duration.LESS_THAN_A_MONTH)),
        ({"skillIds": [skills[0], skills[2]]}, found(skills={0, 2})),
        ({"skillIds": [skills[7]]}, set()),
        ({"categoryId": category}, found()),
        ({"categoryId": other}, set()),
        (
            {"categoryId": category, "budgetKind": "FIXED", "experience": ["EXPERT"], "skillIds": skills[:2]},
            found(kind=BudgetKind.FIXED, experience=Experience.EXPERT, skills={0, 1}),
        ),
    ]
    text = "query ($filter: JobFilter) { jobs(filter: $filter, first: 100) { totalCount nodes { id } } }"
    for given, wanted in expected:
        answer = await ask(None, text, filter=given)
        ids = [node["id"].removeprefix("job_") for node in answer["data"]["jobs"]["nodes"]]
        assert (set(ids), len(ids), answer["data"]["jobs"]["totalCount"]) == (wanted, len(wanted), len(wanted)), given


async def test_a_filter_by_what_is_no_id_is_bad_input(ask):
    answer = await ask(None, '{ jobs(filter: {skillIds: ["x"]}) { totalCount } }')

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


async def test_only_open_jobs_are_listed(scene, ask):
    answer = await ask(scene.as_("client"), "{ jobs { nodes { id } } }")

    assert answer["data"]["jobs"]["nodes"] == [{"id": scene.ids()["job"]}]


async def test_the_catalogue_is_listed_by_name(ask):
    answer = await ask(
        None, "{ catalogue { categories(first: 3) { totalCount nodes { name } } skills { totalCount } } }"
    )

    assert answer["data"]["catalogue"] == {
        "categories": {
            "totalCount": 15,
            "nodes": [{"name": "AI & Machine Learning"}, {"name": "Accounting & Finance"}, {"name": "Admin Support"}],
        },
        "skills": {"totalCount": 80},
    }


def test_profiles_carry_no_column_that_the_schema_could_show_by_mistake():
    assert {"email", "password_hash"}.isdisjoint(FreelancerProfile.__table__.columns.keys())


async def test_what_cannot_be_read_is_not_in_the_catalogue_or_is_wrong_is_said_together(scene, ask):
    words = {
        "title": "x",
        "description": "y",
        "categoryId": "nonsense",
        "skillIds": ["skill_" + "0" * 32],
        "experience": "EXPERT",
        "duration": "LESS_THAN_A_MONTH",
        "budget": {"fixed": {"amount": "0"}},
    }
    text = """
    mutation ($input: CreateJobInput!) { createJob(input: $input) { ... on Refused { code problems { field } } } }
    """

    answer = await ask(scene.as_("client"), text, input=words)
    stranger = await ask(scene.as_("freelancer"), text, input=words)

    assert [problem["field"] for problem in answer["data"]["createJob"]["problems"]] == [
        ["categoryId"],
        ["budget", "fixed", "amount"],
        ["skillIds"],
        ["title"],
    ]
    assert stranger["data"]["createJob"]["code"] == "NOT_A_CLIENT"
