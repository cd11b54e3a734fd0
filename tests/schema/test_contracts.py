"""What is said of work agreed upon, and to whom."""

from typing import Any

import pytest

from tests.schema.callers import Ask, mutation, query, rows

TABLE = """
                 nobody           rival      stranger  client     freelancer  admin
startMilestone   UNAUTHENTICATED  NOT_FOUND  =         FORBIDDEN  Milestone   FORBIDDEN
contract         null             =          =         Contract   =           =
"""

ASKS: dict[str, Ask] = {
    "startMilestone": mutation("startMilestone", lambda scene: {"milestoneId": scene.ids()["milestone"]}),
    "contract": query("contract", "id", "contract"),
}

CONTRACT = """
query ($id: ID!) {
  contract(id: $id) {
    title state budgetKind bid { amount currency } freelancerFeeBps clientFeeBps endedAt version
    client { companyName } freelancer { fullName } job { id } proposal { id contract { id } }
    milestones { position description amount { amount } dueOn state version contract { id } availableActions }
  }
}
"""


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


async def test_the_parties_read_what_they_agreed_upon(scene, ask):
    ids = scene.ids()

    answer = await ask(scene.as_("freelancer"), CONTRACT, id=ids["contract"])

    assert answer["data"]["contract"] == {
        "title": "Build a shop",
        "state": "ACTIVE",
        "budgetKind": "FIXED",
        "bid": {"amount": "1000.00", "currency": "USD"},
        "freelancerFeeBps": 1000,
        "clientFeeBps": 500,
        "endedAt": None,
        "version": 1,
        "client": {"companyName": "Clara"},
        "freelancer": {"fullName": "Fritz"},
        "job": {"id": ids["filled"]},
        "proposal": {"id": ids["accepted"], "contract": {"id": ids["contract"]}},
        "milestones": [
            {
                "position": 0,
                "description": "Everything",
                "amount": {"amount": "1000.00"},
                "dueOn": None,
                "state": "OPEN",
                "version": 1,
                "contract": {"id": ids["contract"]},
                "availableActions": ["START"],
            }
        ],
    }


async def test_what_may_be_done_depends_on_who_asks(scene, ask):
    text = "query ($id: ID!) { contract(id: $id) { milestones { availableActions } } }"

    found = {
        caller: (await ask(scene.as_(caller), text, id=scene.ids()["contract"]))["data"]["contract"]["milestones"]
        for caller in ("client", "freelancer", "admin")
    }

    none: Any = [{"availableActions": []}]
    assert found == {"client": none, "freelancer": [{"availableActions": ["START"]}], "admin": none}


async def test_the_job_of_a_contract_is_nothing_to_the_freelancer_once_it_was_removed(scene, ask):
    remove = "mutation ($id: ID!) { removeJob(input: {jobId: $id}) { __typename } }"
    await ask(scene.as_("admin"), remove, id=scene.ids()["filled"])

    for caller, expected in {"freelancer": None, "client": {"state": "REMOVED"}}.items():
        text = "query ($id: ID!) { contract(id: $id) { job { state } } }"
        answer = await ask(scene.as_(caller), text, id=scene.ids()["contract"])
        assert answer["data"]["contract"]["job"] == expected
