"""What is said of people, and to whom."""

from datetime import date, timedelta
from typing import Any

import pytest

import resolvers.accounts
from models.accounts import FreelancerWords, Session
from models.base import uuid7
from models.config import Config
from ops.app import wall_clock
from schema.scalars import id_of
from tests import make
from tests.schema.callers import PASSWORD, Ask, mutation, query, rows, said

TABLE = """
                    nobody           rival         stranger          client            freelancer     admin
register            SignedIn         =             =                 =                 =              =
signIn              SignedIn         =             =                 =                 =              =
signIn/wrongly      SIGN_IN_FAILED   =             =                 =                 =              =
refresh             SignedIn         =             =                 =                 =              =
refresh/wrongly     SESSION_ENDED    =             =                 =                 =              =
signOut             UNAUTHENTICATED  Session       =                 =                 =              =
signOut/clients     UNAUTHENTICATED  NOT_FOUND     =                 Session           NOT_FOUND      =
signOutEverywhere   UNAUTHENTICATED  Account       =                 =                 =              =
changePassword      UNAUTHENTICATED  SignedIn      =                 =                 =              =
addRole             UNAUTHENTICATED  Account       =                 =                 =              =
addRole/admin       UNAUTHENTICATED  FORBIDDEN     =                 =                 =              Account
editClient          UNAUTHENTICATED  NOT_A_CLIENT  Client            Client            NOT_A_CLIENT   =
editFreelancer      UNAUTHENTICATED  Freelancer    NOT_A_FREELANCER  =                 Freelancer     NOT_A_FREELANCER
addProfileItem      UNAUTHENTICATED  ProfileItem   NOT_A_FREELANCER  =                 ProfileItem    NOT_A_FREELANCER
editProfileItem     UNAUTHENTICATED  NOT_FOUND     =                 =                 ProfileItem    NOT_FOUND
removeProfileItem   UNAUTHENTICATED  NOT_FOUND     NOT_A_FREELANCER  =                 Freelancer     NOT_A_FREELANCER
suspendAccount      UNAUTHENTICATED  FORBIDDEN     =                 =                 =              Account
suspendAccount/own  UNAUTHENTICATED  FORBIDDEN     =                 =                 =              OWN_ACCOUNT
reinstateAccount    UNAUTHENTICATED  FORBIDDEN     =                 =                 =              Account
client              Client           =             =                 =                 =              =
freelancer          Freelancer       =             =                 =                 =              =
freelancers         FreelancerConnection  =        =                 =                 =              =
"""

ASKS: dict[str, Ask] = {
    "register": mutation(
        "register",
        lambda scene: {
            "email": f"{scene.job.id.hex}@example.org",
            "password": PASSWORD,
            "fullName": "New",
            "roles": ["CLIENT"],
        },
    ),
    "signIn": mutation("signIn", lambda scene: {"email": scene.account("client").email, "password": PASSWORD}),
    "signIn/wrongly": mutation("signIn", lambda scene: {"email": scene.account("client").email, "password": "x"}),
    "refresh": mutation("refresh", lambda scene: {"refreshToken": scene.refresh_token}),
    "refresh/wrongly": mutation("refresh", lambda _: {"refreshToken": "x"}),
    "signOut": mutation("signOut", lambda _: {}),
    "signOut/clients": mutation("signOut", lambda scene: {"sessionId": scene.ids()["session"]}),
    "signOutEverywhere": mutation("signOutEverywhere"),
    "changePassword": mutation(
        "changePassword", lambda _: {"currentPassword": PASSWORD, "newPassword": "another password"}
    ),
    "addRole": mutation("addRole", lambda _: {"role": "FREELANCER"}),
    "addRole/admin": mutation("addRole", lambda _: {"role": "ADMIN"}),
    "editClient": mutation("editClient", lambda _: {"companyName": "Shops & Co", "version": 1}),
    "editFreelancer": mutation("editFreelancer", lambda _: {"fullName": "Fritz", "version": 1}),
    "addProfileItem": mutation("addProfileItem", lambda _: {"kind": "EDUCATION", "title": "Master"}),
    "editProfileItem": mutation("editProfileItem", lambda scene: {"itemId": scene.ids()["item"], "title": "Doctor"}),
    "removeProfileItem": mutation("removeProfileItem", lambda scene: {"itemId": scene.ids()["item"]}),
    "suspendAccount": mutation("suspendAccount", lambda scene: {"accountId": scene.ids()["account"]}),
    "suspendAccount/own": mutation("suspendAccount", lambda scene: {"accountId": id_of(scene.account("admin"))}),
    "reinstateAccount": mutation("reinstateAccount", lambda scene: {"accountId": scene.ids()["account"]}),
    "client": query("client", "id", "client"),
    "freelancer": query("freelancer", "id", "freelancer"),
    "freelancers": query("freelancers"),
}


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


REGISTER = """
mutation ($input: RegisterInput!) {
  register(input: $input) {
    ... on SignedIn {
      accessSeconds accessToken refreshToken
      account { email fullName roles birthDate client { companyName } freelancer { fullName } }
      session { isCurrent endedAt }
    }
    ... on Refused { code message field retryable retryAfterSeconds problems { field message } current { id } }
  }
}
"""


async def test_whoever_registers_sees_herself(ask, house):
    answer = await ask(
        None,
        REGISTER,
        input={"email": "ADA@example.org", "password": PASSWORD, "fullName": "Ada", "roles": ["FREELANCER"]},
    )

    found = answer["data"]["register"]
    assert found["account"] == {
        "email": "ada@example.org",
        "fullName": "Ada",
        "roles": ["FREELANCER"],
        "birthDate": None,
        "client": None,
        "freelancer": {"fullName": "Ada"},
    }
    assert found["accessSeconds"] == 900
    assert house.keys.verify(found["accessToken"], at=house.clock())


async def test_everything_wrong_with_a_registration_is_said_at_once_in_the_names_of_the_schema(ask):
    answer = await ask(None, REGISTER, input={"email": "x", "password": "x", "fullName": "", "roles": ["ADMIN"]})

    assert answer["data"]["register"] == {
        "code": "BAD_USER_INPUT",
        "message": "Some fields are not right.",
        "field": ["email"],
        "retryable": False,
        "retryAfterSeconds": None,
        "problems": [
            {"field": ["email"], "message": "This is not an email address."},
            {"field": ["password"], "message": "A password has 10 to 1000 characters."},
            {"field": ["fullName"], "message": "This has 1 to 120 characters."},
            {"field": ["roles"], "message": "Administrators are appointed, not registered."},
        ],
        "current": None,
    }


async def test_a_stale_edit_is_answered_with_how_it_stands(scene, ask):
    edit = """
    mutation ($input: EditClientInput!) {
      editClient(input: $input) {
        ... on Client { companyName version }
        ... on Refused { code field current { __typename id ... on Client { companyName version } } }
      }
    }
    """
    await ask(scene.as_("client"), edit, input={"companyName": "First", "version": 1})

    answer = await ask(scene.as_("client"), edit, input={"companyName": "Second", "version": 1})

    assert answer["data"]["editClient"] == {
        "code": "STALE",
        "field": ["version"],
        "current": {"__typename": "Client", "id": scene.ids()["client"], "companyName": "First", "version": 2},
    }


async def test_what_a_freelancer_says_is_shown_to_all_but_her_birth_date(scene, ask):
    edit = "mutation ($input: EditFreelancerInput!) { editFreelancer(input: $input) { __typename } }"
    profile = """
    { title city country description hourlyRate { amount currency } languages skills items { kind title } }
    """
    words = {
        "fullName": "Fritz",
        "title": "Builder",
        "country": "CH",
        "hourlyRate": {"amount": "80.5"},
        "birthDate": "1990-02-03",
        "languages": ["German", "german", " Italian "],
        "skills": ["Go"],
    }
    assert said(await ask(scene.as_("freelancer"), edit, input=words)) == "Freelancer"

    seen = await ask(None, f"query ($id: ID!) {{ freelancer(id: $id) {profile} }}", id=scene.ids()["freelancer"])
    mine = await ask(scene.as_("freelancer"), "{ viewer { account { birthDate } } }")

    assert seen["data"]["freelancer"] == {
        "title": "Builder",
        "city": None,
        "country": "CH",
        "description": None,
        "hourlyRate": {"amount": "80.50", "currency": "USD"},
        "languages": ["German", "Italian"],
        "skills": ["Go"],
        "items": [{"kind": "EDUCATION", "title": "Master"}],
    }
    assert mine["data"]["viewer"]["account"]["birthDate"] == "1990-02-03"


async def test_an_administrator_who_sees_an_account_does_not_see_the_birth_date(scene, ask, as_):
    words = FreelancerWords("Fritz", birth_date=date(1990, 2, 3))
    await resolvers.accounts.edit_freelancer(as_(scene.account("freelancer")), words=words, version=None)

    text = "query ($id: ID!) { node(id: $id) { ... on Account { email birthDate } } }"
    seen = {
        caller: (await ask(scene.as_(caller), text, id=scene.ids()["account"]))["data"]["node"]
        for caller in scene.callers
    }

    mine = {"email": scene.account("freelancer").email, "birthDate": "1990-02-03"}
    assert seen == dict.fromkeys(seen) | {"freelancer": mine, "admin": mine | {"birthDate": None}}


async def test_a_session_that_has_run_out_is_not_listed(scene, ask, keep):
    gone = Session.begin(
        scene.account("client"), address="", agent="", at=wall_clock() - timedelta(days=31), config=Config()
    )
    await keep(gone)

    answer = await ask(scene.as_("client"), "{ viewer { sessions { id } } }")

    assert answer["data"]["viewer"]["sessions"] == [{"id": scene.ids()["session"]}]


async def test_ones_own_sessions_are_listed_and_nobody_elses(scene, ask):
    text = "{ viewer { sessions { id isCurrent agent } } }"

    for caller in ("client", "admin"):
        answer = await ask(scene.as_(caller), text)
        assert answer["data"]["viewer"]["sessions"] == [
            {"id": id_of(scene.sessions[caller]), "isCurrent": True, "agent": "a test"}
        ]


@pytest.mark.parametrize(("field", "noun"), [("client", "client"), ("freelancer", "freelancer")])
async def test_who_is_not_there_is_null(field, noun, ask):
    answer = await ask(None, f"query ($id: ID!) {{ {field}(id: $id) {{ id }} }}", id=f"{noun}_{uuid7().hex}")

    assert answer == {"data": {field: None}}


async def test_freelancers_are_listed_the_newest_first(ask, keep):
    people = [make.freelancer(f"F{number}") for number in range(5)]
    profiles: list[Any] = [profile for one in people for profile in make.profiles(one)]
    await keep(*people, *profiles)

    answer = await ask(None, "{ freelancers(first: 3) { totalCount nodes { fullName } } }")

    assert answer["data"]["freelancers"] == {
        "totalCount": 5,
        "nodes": [{"fullName": "F4"}, {"fullName": "F3"}, {"fullName": "F2"}],
    }


async def test_a_bad_rate_and_a_bad_name_are_said_together(scene, ask):
    text = """
    mutation ($input: EditFreelancerInput!) {
      editFreelancer(input: $input) { ... on Refused { code problems { field } } }
    }
    """

    answer = await ask(scene.as_("freelancer"), text, input={"fullName": "", "hourlyRate": {"amount": "0"}})

    assert answer["data"]["editFreelancer"] == {
        "code": "BAD_USER_INPUT",
        "problems": [{"field": ["hourlyRate", "amount"]}, {"field": ["fullName"]}],
    }


async def test_a_role_holds_for_what_follows_in_the_same_document(scene, ask):
    text = """
    mutation ($job: ID!, $bid: MoneyInput!) {
      addRole(input: { role: FREELANCER }) { __typename }
      submitProposal(input: {
        idempotencyKey: "once"
        jobId: $job, coverLetter: "Me", duration: LESS_THAN_A_MONTH, bid: $bid,
        milestones: [{ description: "All", amount: $bid }]
      }) { __typename ... on Refused { code } }
    }
    """

    answer = await ask(scene.as_("stranger"), text, job=scene.ids()["job"], bid={"amount": "10"})

    assert answer["data"] == {"addRole": {"__typename": "Account"}, "submitProposal": {"__typename": "Proposal"}}
