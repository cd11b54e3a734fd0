"""What is said of offers, and to whom: to rivals nothing, whichever way they look."""

from typing import Any

import pytest

import resolvers.proposals
from models.accounts import Role
from models.proposals import ProposalState
from schema.scalars import id_of
from tests import make
from tests.schema.callers import Ask, Scene, mutation, query, rows

TABLE = """
                   nobody           rival      stranger          client            freelancer        admin
submitProposal     UNAUTHENTICATED  Proposal   NOT_A_FREELANCER  NOT_A_FREELANCER  ALREADY_PROPOSED  NOT_A_FREELANCER
submitProposal/draft UNAUTHENTICATED NOT_FOUND NOT_FOUND         NOT_A_FREELANCER  NOT_FOUND         NOT_FOUND
submitProposal/filled UNAUTHENTICATED JOB_CLOSED NOT_A_FREELANCER NOT_A_FREELANCER JOB_CLOSED        NOT_A_FREELANCER
editProposal       UNAUTHENTICATED  NOT_FOUND  =                 FORBIDDEN         Proposal          FORBIDDEN
withdrawProposal   UNAUTHENTICATED  NOT_FOUND  =                 FORBIDDEN         Proposal          FORBIDDEN
shortlistProposal  UNAUTHENTICATED  NOT_FOUND  =                 Proposal          FORBIDDEN         FORBIDDEN
archiveProposal    UNAUTHENTICATED  NOT_FOUND  =                 Proposal          FORBIDDEN         FORBIDDEN
rejectProposal     UNAUTHENTICATED  NOT_FOUND  =                 Proposal          FORBIDDEN         FORBIDDEN
acceptProposal     UNAUTHENTICATED  NOT_FOUND  =                 Contract          FORBIDDEN         FORBIDDEN
acceptProposal/twice UNAUTHENTICATED NOT_FOUND =                 PROPOSAL_DECIDED  FORBIDDEN         FORBIDDEN
proposal           null             =          =                 Proposal          =                 =
"""

WORDS: dict[str, Any] = {
    "coverLetter": "I have done this before.",
    "duration": "LESS_THAN_A_MONTH",
    "bid": {"amount": "10.00"},
    "milestones": [{"description": "All", "amount": {"amount": "10"}}],
}
OFFER = WORDS | {"idempotencyKey": "once"}


def about(name: str, of: str = "proposal", **more: Any) -> Ask:
    return mutation(name, lambda scene: {"proposalId": scene.ids()[of]} | more)


ASKS: dict[str, Ask] = {
    "submitProposal": mutation("submitProposal", lambda scene: {"jobId": scene.ids()["job"]} | OFFER),
    "submitProposal/draft": mutation("submitProposal", lambda scene: {"jobId": scene.ids()["draft"]} | OFFER),
    "submitProposal/filled": mutation("submitProposal", lambda scene: {"jobId": scene.ids()["filled"]} | OFFER),
    "editProposal": about("editProposal", **WORDS),
    "withdrawProposal": about("withdrawProposal"),
    "shortlistProposal": about("shortlistProposal"),
    "archiveProposal": about("archiveProposal"),
    "rejectProposal": about("rejectProposal", reason="No."),
    "acceptProposal": about("acceptProposal"),
    "acceptProposal/twice": about("acceptProposal", of="accepted"),
    "proposal": query("proposal", "id", "proposal"),
}


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


# Privacy


@pytest.fixture
async def rivals(scene, keep):
    """The rival has an offer on the job and a contract of her own with the same client."""
    job = make.job(scene.account("client"), freelancers_wanted=2, hired_count=2)
    theirs = make.proposal(scene.job, scene.account("rival"), bid_cents=7_77)
    hers = make.proposal(job, scene.account("rival"), cover_letter="Hers")
    his = make.proposal(job, scene.account("freelancer"), cover_letter="His")
    await keep(job, theirs, hers, his, make.contract(job, hers), make.contract(job, his))
    return scene


EVERYWHERE = """
query ($ids: [ID!]!, $job: ID!, $filled: ID!, $proposal: ID!, $contract: ID!) {
  nodes(ids: $ids) { __typename id }
  node(id: $proposal) { __typename }
  proposal(id: $proposal) { coverLetter }
  contract(id: $contract) { id proposal { coverLetter } milestones { id } }
  job(id: $job) { proposals { totalCount nodes { freelancer { id } } edges { node { id } } pageInfo { hasNextPage } } }
  filled: job(id: $filled) { proposals { totalCount nodes { id contract { id } } } }
  jobs { nodes { proposals(first: 100) { nodes { freelancer { id } } } } }
  viewer { proposals { nodes { id } } contracts { nodes { id } } }
}
"""


async def everything(scene: Scene, ask: Any, caller: str) -> Any:
    ids = scene.ids()
    private = ["draft", "proposal", "accepted", "contract", "milestone", "session", "account"]
    return await ask(
        scene.as_(caller),
        EVERYWHERE,
        ids=[ids[name] for name in private],
        job=ids["job"],
        filled=ids["filled"],
        proposal=ids["proposal"],
        contract=ids["contract"],
    )


@pytest.mark.parametrize("caller", ["nobody", "rival", "stranger"])
async def test_rivals_and_strangers_do_not_see_an_offer_by_any_way(caller, rivals, ask):
    answer = await everything(rivals, ask, caller)

    assert "errors" not in answer
    data, ids = answer["data"], rivals.ids()
    assert data["nodes"] == [None] * 7
    assert (data["node"], data["proposal"], data["contract"]) == (None, None, None)
    mine = f"freelancer_{rivals.account('rival').id.hex}" if caller == "rival" else None
    seen = [{"freelancer": {"id": mine}}] if mine else []
    assert data["job"]["proposals"]["nodes"] == seen
    assert data["job"]["proposals"]["totalCount"] == len(seen)
    assert data["filled"]["proposals"] == {"totalCount": 0, "nodes": []}
    written = str(answer)
    hidden = ("proposal", "accepted", "contract", "milestone", "draft", "freelancer")
    assert [name for name in hidden if ids[name] in written] == []
    assert "His" not in written


async def test_the_two_parties_see_theirs_and_the_client_sees_all(rivals, ask):
    ids = rivals.ids()
    freelancer, client = [(await everything(rivals, ask, caller))["data"] for caller in ("freelancer", "client")]

    assert [node and node["id"] for node in freelancer["nodes"]] == [
        None, ids["proposal"], ids["accepted"], ids["contract"], ids["milestone"], None, ids["account"],
    ]  # fmt: skip
    assert [node and node["id"] for node in client["nodes"]] == [
        ids["draft"], ids["proposal"], ids["accepted"], ids["contract"], ids["milestone"], ids["session"], None,
    ]  # fmt: skip
    assert freelancer["job"]["proposals"]["totalCount"] == 1
    assert client["job"]["proposals"]["totalCount"] == 2


@pytest.mark.parametrize("of", ["draft", "proposal", "accepted", "contract", "milestone", "session", "account"])
async def test_what_is_not_seen_and_what_is_not_there_are_answered_alike(of, scene, ask):
    noun, _, _ = scene.ids()[of].rpartition("_")
    absent = f"{noun}_{make.client().id.hex}"
    reads = ["query ($id: ID!) { node(id: $id) { id } }", "query ($id: ID!) { nodes(ids: [$id]) { id } }"]
    if noun in {"job", "proposal", "contract"}:
        reads.append(f"query ($id: ID!) {{ {noun}(id: $id) {{ id }} }}")

    for text in reads:
        unseen, gone = [await ask(scene.as_("rival"), text, id=wanted) for wanted in (scene.ids()[of], absent)]
        assert unseen == gone


REFUSED_ALIKE = {
    "publishJob": ("jobId", "draft"),
    "editProposal": ("proposalId", "proposal"),
    "withdrawProposal": ("proposalId", "proposal"),
    "shortlistProposal": ("proposalId", "proposal"),
    "archiveProposal": ("proposalId", "proposal"),
    "rejectProposal": ("proposalId", "proposal"),
    "acceptProposal": ("proposalId", "proposal"),
    "startMilestone": ("milestoneId", "milestone"),
    "signOut": ("sessionId", "session"),
}


@pytest.mark.parametrize("name", REFUSED_ALIKE)
async def test_what_is_not_seen_and_what_is_not_there_are_refused_alike(name, scene, ask):
    argument, of = REFUSED_ALIKE[name]
    noun, _, _ = scene.ids()[of].rpartition("_")
    kind = name[0].upper() + name[1:]
    text = f"""
    mutation ($input: {kind}Input!) {{
      {name}(input: $input) {{ __typename ... on Refused {{
        code message field problems {{ field }} retryable retryAfterSeconds current {{ id }}
      }} }}
    }}
    """
    more = WORDS if name == "editProposal" else {}

    unseen, gone = [
        await ask(scene.as_("rival"), text, input={argument: wanted} | more)
        for wanted in (scene.ids()[of], f"{noun}_{make.client().id.hex}")
    ]

    assert unseen == gone
    assert unseen["data"][name]["code"] == "NOT_FOUND"


async def test_how_the_client_sorts_offers_is_told_to_the_client_alone(scene, ask):
    text = "query ($id: ID!) { proposal(id: $id) { isShortlisted isArchived version } }"
    for verb in ("shortlistProposal", "archiveProposal"):
        asked = ASKS[verb]
        await ask(scene.as_("client"), asked.text, **asked.variables(scene))

    seen = {
        caller: (await ask(scene.as_(caller), text, id=scene.ids()["proposal"]))["data"]["proposal"]
        for caller in ("client", "freelancer", "admin")
    }

    nothing = {"isShortlisted": None, "isArchived": None, "version": 1}
    assert seen["client"] == {"isShortlisted": True, "isArchived": True, "version": 1}
    assert (seen["freelancer"], seen["admin"]) == (nothing, nothing)


async def test_everybody_knows_how_many_offers_there_are_and_from_three_on_their_range(scene, ask, keep):
    text = "query ($id: ID!) { job(id: $id) { proposalCount bidRange { low { amount } high { amount currency } } } }"
    await keep(make.proposal(scene.job, scene.account("rival"), bid_cents=5_00))
    two = await ask(None, text, id=scene.ids()["job"])

    third = make.account(Role.FREELANCER)
    await keep(third, *make.profiles(third))
    await keep(make.proposal(scene.job, third, bid_cents=9_000_00))
    three = await ask(None, text, id=scene.ids()["job"])

    assert two["data"]["job"] == {"proposalCount": 2, "bidRange": None}
    assert three["data"]["job"] == {
        "proposalCount": 3,
        "bidRange": {"low": {"amount": "5.00"}, "high": {"amount": "9000.00", "currency": "USD"}},
    }


async def test_an_offer_taken_back_counts_no_more(scene, ask, as_):
    await resolvers.proposals.withdraw(as_(scene.account("freelancer")), proposal_id=scene.proposal.id)

    answer = await ask(None, "query ($id: ID!) { job(id: $id) { proposalCount } }", id=scene.ids()["job"])

    assert answer["data"]["job"]["proposalCount"] == 0


async def test_what_may_be_done_with_an_offer_depends_on_who_asks(scene, ask):
    text = "query ($id: ID!) { proposal(id: $id) { availableActions } }"

    found = {
        caller: (await ask(scene.as_(caller), text, id=scene.ids()["proposal"]))["data"]["proposal"]["availableActions"]
        for caller in ("client", "freelancer", "admin")
    }

    assert found == {
        "client": ["SHORTLIST", "ARCHIVE", "REJECT", "ACCEPT"],
        "freelancer": ["EDIT", "WITHDRAW"],
        "admin": [],
    }


# Inputs

SUBMIT = """
mutation ($input: SubmitProposalInput!) {
  submitProposal(input: $input) {
    __typename
    ... on Proposal {
      id bid { amount } milestones { position description amount { amount } dueOn } attachments { name url } job { id }
    }
    ... on Refused { code field problems { field message } }
  }
}
"""


async def test_an_offer_is_answered_as_it_was_written(scene, ask):
    words = OFFER | {
        "jobId": scene.ids()["job"],
        "bid": {"amount": "1234.50", "currency": "USD"},
        "milestones": [
            {"description": " First ", "amount": {"amount": "1000"}, "dueOn": "2100-01-31"},
            {"description": "Second", "amount": {"amount": "234.5"}},
        ],
        "attachments": [{"name": "Shop", "url": "https://example.org/"}],
    }

    answer = await ask(scene.as_("rival"), SUBMIT, input=words)

    found = answer["data"]["submitProposal"]
    assert found.pop("id").startswith("proposal_")
    assert found == {
        "__typename": "Proposal",
        "bid": {"amount": "1234.50"},
        "milestones": [
            {"position": 0, "description": "First", "amount": {"amount": "1000.00"}, "dueOn": "2100-01-31"},
            {"position": 1, "description": "Second", "amount": {"amount": "234.50"}, "dueOn": None},
        ],
        "attachments": [{"name": "Shop", "url": "https://example.org/"}],
        "job": {"id": scene.ids()["job"]},
    }


async def test_everything_wrong_with_an_offer_is_said_at_once_in_the_names_of_the_schema(scene, ask, count_rows):
    words = OFFER | {
        "jobId": scene.ids()["job"],
        "coverLetter": "",
        "milestones": [
            {"description": "", "amount": {"amount": "10"}, "dueOn": "2020-01-01"},
        ],
        "attachments": [{"name": "", "url": "javascript:alert(1)"}],
    }
    before = await count_rows()

    answer = await ask(scene.as_("rival"), SUBMIT, input=words)

    found = answer["data"]["submitProposal"]
    assert (found["code"], found["field"]) == ("BAD_USER_INPUT", ["coverLetter"])
    assert [problem["field"] for problem in found["problems"]] == [
        ["coverLetter"],
        ["milestones", "0", "description"],
        ["milestones", "0", "dueOn"],
        ["attachments", "0", "name"],
        ["attachments", "0", "url"],
    ]
    assert await count_rows() == before


@pytest.mark.parametrize("amount", ["0", "-1", "1.001", "NaN"])
async def test_bad_money_and_bad_words_of_an_offer_are_said_together(amount, scene, ask):
    words = OFFER | {"jobId": scene.ids()["job"], "coverLetter": "", "bid": {"amount": amount}, "milestones": []}

    answer = await ask(scene.as_("rival"), SUBMIT, input=words)

    found = [problem["field"] for problem in answer["data"]["submitProposal"]["problems"]]
    assert found == [["bid", "amount"], ["coverLetter"], ["milestones"]]


async def test_a_milestone_that_cannot_be_read_is_said_with_the_rest(scene, ask):
    parts = [{"description": "", "amount": {"amount": "0"}}, {"description": "All", "amount": {"amount": "10"}}]
    words = OFFER | {"jobId": scene.ids()["job"], "milestones": parts}

    answer = await ask(scene.as_("rival"), SUBMIT, input=words)

    found = [problem["field"] for problem in answer["data"]["submitProposal"]["problems"]]
    assert found == [["milestones", "0", "amount", "amount"], ["milestones", "0", "description"]]


async def test_a_stale_edit_is_answered_with_the_offer_as_it_is(scene, ask):
    text = """
    mutation ($input: EditProposalInput!) {
      editProposal(input: $input) {
        ... on Proposal { version }
        ... on Refused { code current { id ... on Proposal { version milestones { description } } } }
      }
    }
    """
    words = WORDS | {"proposalId": id_of(scene.proposal), "version": 1}
    await ask(scene.as_("freelancer"), text, input=words)

    answer = await ask(scene.as_("freelancer"), text, input=words)

    assert answer["data"]["editProposal"] == {
        "code": "STALE",
        "current": {"id": scene.ids()["proposal"], "version": 2, "milestones": [{"description": "All"}]},
    }


async def test_nobody_is_hired_on_terms_that_were_changed_since_they_were_read(scene, ask):
    text = """
    mutation ($input: AcceptProposalInput!) {
      acceptProposal(input: $input) {
        ... on Contract { bid { amount } }
        ... on Refused { code field current { ... on Proposal { version bid { amount } } } }
      }
    }
    """
    ctx, mine = scene.as_("freelancer"), {"proposalId": id_of(scene.proposal)}
    edited = ASKS["editProposal"]
    await ask(ctx, edited.text, **edited.variables(scene))

    stale = await ask(scene.as_("client"), text, input=mine | {"version": 1})
    fresh = await ask(scene.as_("client"), text, input=mine | {"version": 2})

    assert stale["data"]["acceptProposal"] == {
        "code": "STALE",
        "field": ["version"],
        "current": {"version": 2, "bid": {"amount": "10.00"}},
    }
    assert fresh["data"]["acceptProposal"] == {"bid": {"amount": "10.00"}}


async def test_three_offers_of_one_freelancer_are_no_range(scene, ask, keep):
    rejected = [
        make.proposal(scene.job, scene.account(who), ProposalState.REJECTED) for who in ("freelancer", "rival", "rival")
    ]
    await keep(*rejected)

    answer = await ask(
        None, "query ($id: ID!) { job(id: $id) { proposalCount bidRange { low { amount } } } }", id=scene.ids()["job"]
    )

    assert answer["data"]["job"] == {"proposalCount": 4, "bidRange": None}
