"""What is said of Connects, and to whom."""

from typing import Any

import pytest

from models.payments import FUNDS
from schema.scalars import id_of
from tests import make
from tests.schema.callers import Ask, mutation, query, rows

TABLE = """
                   nobody           rival               stranger          client  freelancer          admin
buyConnects        UNAUTHENTICATED  INSUFFICIENT_FUNDS  NOT_A_FREELANCER  =       INSUFFICIENT_FUNDS  NOT_A_FREELANCER
buyConnects/few    UNAUTHENTICATED  BAD_USER_INPUT      NOT_A_FREELANCER  =       BAD_USER_INPUT      NOT_A_FREELANCER
connectsBundles    ConnectsBundle   =                   =                 =       =                   =
"""

ASKS: dict[str, Ask] = {
    "buyConnects": mutation("buyConnects", lambda _: {"size": 10, "idempotencyKey": "once"}),
    "buyConnects/few": mutation("buyConnects", lambda _: {"size": 9, "idempotencyKey": "once"}),
    "connectsBundles": query("connectsBundles"),
}


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


async def test_bundles_are_sold_at_fifteen_cents_a_connect(ask):
    answer = await ask(None, "{ connectsBundles { size price { amount currency } } }")

    assert answer["data"]["connectsBundles"] == [
        {"size": size, "price": {"amount": amount, "currency": "USD"}}
        for size, amount in ((10, "1.50"), (20, "3.00"), (40, "6.00"), (60, "9.00"), (80, "12.00"))
    ]


MINE = """
{
  viewer {
    wallet { funds { amount } connects { balance } }
    connects {
      balance
      nextGrantAt
      lots { totalCount nodes { source size remaining } }
      history { totalCount nodes { kind amount lot { source } proposal { connectsCost } } }
    }
  }
}
"""
BUY = """
mutation ($input: BuyConnectsInput!) {
  buyConnects(input: $input) {
    ... on ConnectsLot { id source size remaining issuedAt expiresAt }
    ... on Refused { code message field }
  }
}
"""
OFFER: dict[str, Any] = {
    "coverLetter": "I have done this before.",
    "duration": "LESS_THAN_A_MONTH",
    "bid": {"amount": "10.00"},
    "milestones": [{"description": "All", "amount": {"amount": "10"}}],
    "idempotencyKey": "an offer",
}
SUBMIT = """
mutation ($input: SubmitProposalInput!) {
  submitProposal(input: $input) {
    ... on Proposal { connectsCost }
    ... on Refused { code message field }
  }
}
"""


@pytest.fixture
async def newcomer(keep):
    """A freelancer without anything."""
    somebody = make.freelancer("Nina")
    await keep(somebody, *make.profiles(somebody))
    return somebody


async def test_somebody_buys_connects_and_pays_for_a_proposal_with_them(house, keep, ask, people, newcomer):
    job = await keep(make.job(people.client))
    await make.give(house, FUNDS, newcomer.id, 10_00)

    bought = (await ask(newcomer, BUY, input={"size": 40, "idempotencyKey": "a bundle"}))["data"]["buyConnects"]
    again = (await ask(newcomer, BUY, input={"size": 40, "idempotencyKey": "a bundle"}))["data"]["buyConnects"]
    answer = await ask(newcomer, SUBMIT, input=OFFER | {"jobId": id_of(job), "connectsCost": 8})

    assert bought == again
    assert (bought["source"], bought["size"], bought["remaining"]) == ("BUNDLE", 40, 40)
    assert answer["data"]["submitProposal"] == {"connectsCost": 8}
    assert (await ask(newcomer, MINE))["data"]["viewer"] == {
        "wallet": {"funds": {"amount": "4.00"}, "connects": {"balance": 32}},
        "connects": {
            "balance": 32,
            "nextGrantAt": None,
            "lots": {"totalCount": 1, "nodes": [{"source": "BUNDLE", "size": 40, "remaining": 32}]},
            "history": {
                "totalCount": 2,
                "nodes": [
                    {"kind": "SPENT", "amount": -8, "lot": None, "proposal": {"connectsCost": 8}},
                    {"kind": "ISSUED", "amount": 40, "lot": {"source": "BUNDLE"}, "proposal": None},
                ],
            },
        },
    }


async def test_who_has_too_few_is_told_how_many_it_takes(keep, ask, people, newcomer, count_rows):
    job = await keep(make.job(people.client))
    before = await count_rows()

    answer = await ask(newcomer, SUBMIT, input=OFFER | {"jobId": id_of(job)})

    assert answer["data"]["submitProposal"] == {
        "code": "NOT_ENOUGH_CONNECTS",
        "message": "This costs 8 Connects, and you have 0.",
        "field": None,
    }
    assert await count_rows() == before


async def test_nobody_pays_more_than_she_was_shown(keep, ask, people, count_rows):
    job = await keep(make.job(people.client))
    before = await count_rows()

    answer = await ask(people.freelancer, SUBMIT, input=OFFER | {"jobId": id_of(job), "connectsCost": 6})

    assert answer["data"]["submitProposal"] == {
        "code": "CONNECTS_COST_CHANGED",
        "message": "A proposal on this job costs 8 Connects now.",
        "field": ["connectsCost"],
    }
    assert await count_rows() == before


@pytest.mark.parametrize("size", [-10, 0, 1, 11, 100, 2**31 - 1])
async def test_connects_are_sold_in_bundles_alone(size, house, ask, people, count_rows):
    await make.give(house, FUNDS, people.freelancer.id, 10_000_00)
    before = await count_rows()

    answer = await ask(people.freelancer, BUY, input={"size": size, "idempotencyKey": "a bundle"})

    assert answer["data"]["buyConnects"] == {
        "code": "BAD_USER_INPUT",
        "message": "Connects are sold in bundles of 10, 20, 40, 60, 80.",
        "field": ["size"],
    }
    assert await count_rows() == before


INVITED = """
query ($job: ID!) {
  job(id: $job) { connectsCost invitations { nodes { freelancer { id } } } }
  viewer { invitations { nodes { job { id } } } }
}
"""


@pytest.mark.parametrize(
    ("caller", "sees", "has"),
    [("client", 2, 0), ("freelancer", 1, 1), ("rival", 1, 1), ("stranger", 0, 0), ("nobody", 0, 0), ("admin", 2, 0)],
)
async def test_an_invitation_is_between_client_and_freelancer(caller, sees, has, scene, ask, keep):
    await keep(make.invitation(scene.job, scene.account("rival")))

    answer = (await ask(scene.as_(caller), INVITED, job=scene.ids()["job"]))["data"]

    seen = [node["freelancer"]["id"] for node in answer["job"]["invitations"]["nodes"]]
    assert len(seen) == sees
    if sees == 1:
        assert seen == [f"freelancer_{scene.account(caller).id.hex}"]
    assert len(answer["viewer"]["invitations"]["nodes"] if answer["viewer"] else []) == has
