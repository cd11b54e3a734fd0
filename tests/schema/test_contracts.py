"""What is said of work agreed upon, and to whom."""

from typing import Any

import pytest

from tests.schema.callers import Ask, mutation, query, rows

TABLE = """
                     nobody           rival      stranger client                   freelancer                admin
addMilestone         UNAUTHENTICATED  NOT_FOUND  =        Milestone                FORBIDDEN                 FORBIDDEN
editMilestone        UNAUTHENTICATED  NOT_FOUND  =        Milestone                FORBIDDEN                 FORBIDDEN
editMilestone/begun  UNAUTHENTICATED  NOT_FOUND  =        MILESTONE_NOT_OPEN       FORBIDDEN                 FORBIDDEN
fundMilestone        UNAUTHENTICATED  NOT_FOUND  =        Milestone                FORBIDDEN                 FORBIDDEN
fundMilestone/late   UNAUTHENTICATED  NOT_FOUND  =        NOT_FUNDABLE             FORBIDDEN                 FORBIDDEN
startMilestone       UNAUTHENTICATED  NOT_FOUND  =        FORBIDDEN                Milestone                 FORBIDDEN
submitMilestone      UNAUTHENTICATED  NOT_FOUND  =        FORBIDDEN                Milestone                 FORBIDDEN
submitMilestone/open UNAUTHENTICATED  NOT_FOUND  =        FORBIDDEN                MILESTONE_NOT_IN_PROGRESS FORBIDDEN
requestChanges       UNAUTHENTICATED  NOT_FOUND  =        Milestone                FORBIDDEN                 FORBIDDEN
acceptMilestone      UNAUTHENTICATED  NOT_FOUND  =        Milestone                FORBIDDEN                 FORBIDDEN
acceptMilestone/part UNAUTHENTICATED  NOT_FOUND  =        Milestone                FORBIDDEN                 FORBIDDEN
acceptMilestone/open UNAUTHENTICATED  NOT_FOUND  =        MILESTONE_NOT_IN_REVIEW  FORBIDDEN                 FORBIDDEN
payPaymentRequest    UNAUTHENTICATED  NOT_FOUND  =        PaymentRequest           FORBIDDEN                 FORBIDDEN
cancelPaymentRequest UNAUTHENTICATED  NOT_FOUND  =        FORBIDDEN                PaymentRequest            FORBIDDEN
payBonus             UNAUTHENTICATED  NOT_FOUND  =        Payment                  FORBIDDEN                 FORBIDDEN
payBonus/much        UNAUTHENTICATED  NOT_FOUND  =        INSUFFICIENT_FUNDS       FORBIDDEN                 FORBIDDEN
completeContract     UNAUTHENTICATED  NOT_FOUND  =        WORK_UNDECIDED           =                         FORBIDDEN
requestTermination   UNAUTHENTICATED  NOT_FOUND  =        Termination              TERMINATION_REQUESTED     FORBIDDEN
withdrawTermination  UNAUTHENTICATED  NOT_FOUND  =        FORBIDDEN                Termination               FORBIDDEN
decideTermination    UNAUTHENTICATED  NOT_FOUND  =        Termination              FORBIDDEN                 Termination
contract             null             =          =        Contract                 =                         =
"""


def about(name: str, of: str = "milestone", field: str = "milestoneId", **more: Any) -> Ask:
    return mutation(name, lambda scene: {field: scene.ids()[of]} | more)


WORDS: dict[str, Any] = {"description": "Everything", "amount": {"amount": "900.00"}}
KEY = {"idempotencyKey": "mine"}
BONUS: dict[str, Any] = {"of": "contract", "field": "contractId", **KEY}
ASKS: dict[str, Ask] = {
    "addMilestone": about("addMilestone", "contract", "contractId", **WORDS),
    "editMilestone": about("editMilestone", **WORDS),
    "editMilestone/begun": about("editMilestone", "working", **WORDS),
    "fundMilestone": about("fundMilestone", **KEY),
    "fundMilestone/late": about("fundMilestone", "handed_in", **KEY),
    "startMilestone": about("startMilestone"),
    "submitMilestone": about("submitMilestone", "working", message="Done."),
    "submitMilestone/open": about("submitMilestone", message="Done."),
    "requestChanges": about("requestChanges", "handed_in", message="Larger.", **KEY),
    "acceptMilestone": about("acceptMilestone", "handed_in", **KEY),
    "acceptMilestone/part": about("acceptMilestone", "handed_in", amount={"amount": "30"}, rest="REFUND", **KEY),
    "acceptMilestone/open": about("acceptMilestone", **KEY),
    "payPaymentRequest": about("payPaymentRequest", "request", "paymentRequestId", **KEY),
    "cancelPaymentRequest": about("cancelPaymentRequest", "request", "paymentRequestId", **KEY),
    "payBonus": about("payBonus", amount={"amount": "5"}, **BONUS),
    "payBonus/much": about("payBonus", amount={"amount": "10000"}, **BONUS),
    "completeContract": about("completeContract", "contract", "contractId", **KEY),
    "requestTermination": about("requestTermination", "contract", "contractId", reason="It leads nowhere."),
    "withdrawTermination": about("withdrawTermination", "termination", "terminationId"),
    "decideTermination": about("decideTermination", "termination", "terminationId", decision="ACCEPT", **KEY),
    "contract": query("contract", "id", "contract"),
}

CONTRACT = """
query ($id: ID!) {
  contract(id: $id) {
    title state budgetKind bid { amount currency } freelancerFeeBps clientFeeBps endedAt version
    client { companyName } freelancer { fullName } job { id } proposal { id contract { id } }
    totals { agreed { amount } escrowed { amount } owed { amount } paid { amount } }
    payments { totalCount } paymentRequests { nodes { amount { amount } state milestone { id } payment { id } } }
    terminations { nodes { requestedBy reason state contract { id } } }
    history { nodes { kind by reason fromState toState amount { amount } milestone { id } attachments { id } } }
    milestones { position cost { amount } escrow { amount } accepted { amount } state contract { id } }
  }
}
"""


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


async def test_the_parties_read_what_they_agreed_upon(scene, ask):
    ids = scene.ids()

    for caller in ("client", "freelancer", "admin"):
        answer = await ask(scene.as_(caller), CONTRACT, id=ids["contract"])

        found = answer["data"]["contract"]
        milestones = found.pop("milestones")
        assert found == {
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
            "totals": {
                "agreed": {"amount": "1300.00"},
                "escrowed": {"amount": "0.00"},
                "owed": {"amount": "100.00"},
                "paid": {"amount": "0.00"},
            },
            "payments": {"totalCount": 1},
            "paymentRequests": {
                "nodes": [
                    {
                        "amount": {"amount": "100.00"},
                        "state": "PENDING",
                        "milestone": {"id": ids["owed"]},
                        "payment": None,
                    }
                ]
            },
            "terminations": {
                "nodes": [
                    {
                        "requestedBy": "FREELANCER",
                        "reason": "It leads nowhere.",
                        "state": "REQUESTED",
                        "contract": {"id": ids["contract"]},
                    }
                ]
            },
            "history": {
                "nodes": [
                    {
                        "kind": "CONTRACT_STARTED",
                        "by": "CLIENT",
                        "reason": None,
                        "fromState": None,
                        "toState": "ACTIVE",
                        "amount": None,
                        "milestone": None,
                        "attachments": [],
                    }
                ]
            },
        }
        assert milestones[3] == {
            "position": 3,
            "cost": {"amount": "105.00"},
            "escrow": {"amount": "0.00"},
            "accepted": {"amount": "100.00"},
            "state": "ACCEPTED",
            "contract": {"id": ids["contract"]},
        }
        assert [milestone["state"] for milestone in milestones] == ["OPEN", "IN_PROGRESS", "IN_REVIEW", "ACCEPTED"]


ACTIONS = """
query ($id: ID!) {
  contract(id: $id) {
    availableActions
    milestones { availableActions }
    paymentRequests { nodes { availableActions } }
    terminations { nodes { availableActions } }
  }
}
"""


async def test_what_may_be_done_depends_on_who_asks(scene, ask):
    found = {
        caller: (await ask(scene.as_(caller), ACTIONS, id=scene.ids()["contract"]))["data"]["contract"]
        for caller in ("client", "freelancer", "admin")
    }

    assert {caller: contract["availableActions"] for caller, contract in found.items()} == {
        "client": ["ADD_MILESTONE", "PAY_BONUS", "REQUEST_TERMINATION"],
        "freelancer": [],
        "admin": [],
    }
    assert {
        caller: [milestone["availableActions"] for milestone in contract["milestones"]]
        for caller, contract in found.items()
    } == {
        "client": [["EDIT", "FUND"], ["FUND"], ["REQUEST_CHANGES", "ACCEPT"], []],
        "freelancer": [["START"], ["SUBMIT"], [], []],
        "admin": [[], [], [], []],
    }
    assert {
        caller: [
            contract["paymentRequests"]["nodes"][0]["availableActions"],
            contract["terminations"]["nodes"][0]["availableActions"],
        ]
        for caller, contract in found.items()
    } == {
        "client": [["PAY"], ["ACCEPT", "REJECT"]],
        "freelancer": [["CANCEL"], ["WITHDRAW"]],
        "admin": [[], ["ACCEPT", "REJECT"]],
    }


async def test_each_party_finds_what_is_owed_and_what_was_paid(scene, ask):
    pay = "mutation ($input: PayPaymentRequestInput!) { payPaymentRequest(input: $input) { __typename } }"
    await ask(scene.as_("client"), pay, input={"paymentRequestId": scene.ids()["request"], "idempotencyKey": "k"})
    text = """{ viewer {
        payments(first: 1) { totalCount nodes {
            kind amount { amount } clientFee { amount } freelancerFee { amount } milestone { id } contract { id }
        } }
        paymentRequests { nodes { state payment { amount { amount } } } }
    } }"""

    for caller in ("client", "freelancer"):
        answer = await ask(scene.as_(caller), text)

        assert answer["data"]["viewer"] == {
            "payments": {
                "totalCount": 2,
                "nodes": [
                    {
                        "kind": "MILESTONE",
                        "amount": {"amount": "100.00"},
                        "clientFee": {"amount": "5.00"},
                        "freelancerFee": {"amount": "10.00"},
                        "milestone": {"id": scene.ids()["owed"]},
                        "contract": {"id": scene.ids()["contract"]},
                    }
                ],
            },
            "paymentRequests": {"nodes": [{"state": "PAID", "payment": {"amount": {"amount": "100.00"}}}]},
        }
    for caller in ("rival", "stranger", "admin"):
        answer = await ask(scene.as_(caller), text)
        assert answer["data"]["viewer"] == {
            "payments": {"totalCount": 0, "nodes": []},
            "paymentRequests": {"nodes": []},
        }


AMOUNTS = {
    "NaN": ["amount.amount"],
    "Infinity": ["amount.amount"],
    "0": ["amount.amount"],
    "-1": ["amount.amount"],
    "0.001": ["amount.amount"],
    "100000000.01": ["amount.amount"],
}


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("name", ["payBonus", "acceptMilestone/part", "addMilestone", "editMilestone"])
async def test_what_is_no_amount_moves_nothing(amount, name, scene, ask, count_rows):
    said = ASKS[name]
    variables = said.variables(scene)
    given = variables["input"] | {"amount": {"amount": amount}}
    text = said.text.replace("... on Refused { code }", "... on Refused { code problems { field } }")
    before = await count_rows()

    answer = await ask(scene.as_("client"), text, input=given)

    (found,) = answer["data"].values()
    assert found["code"] == "BAD_USER_INPUT"
    assert [".".join(problem["field"]) for problem in found["problems"]] == AMOUNTS[amount]
    assert await count_rows() == before


async def test_a_replay_is_marked_and_does_nothing(scene, ask, count_rows):
    fund = ASKS["fundMilestone"]
    first = await ask(scene.as_("client"), fund.text, **fund.variables(scene))
    before = await count_rows()

    again = await ask(scene.as_("client"), fund.text, **fund.variables(scene))

    assert first["data"] == again["data"] == {"fundMilestone": {"__typename": "Milestone"}}
    assert again["extensions"]["replayed"] == ["mine"]
    assert await count_rows() == before


async def test_the_job_of_a_contract_is_nothing_to_the_freelancer_once_it_was_removed(scene, ask):
    remove = "mutation ($id: ID!) { removeJob(input: {jobId: $id}) { __typename } }"
    await ask(scene.as_("admin"), remove, id=scene.ids()["filled"])

    for caller, expected in {"freelancer": None, "client": {"state": "REMOVED"}}.items():
        text = "query ($id: ID!) { contract(id: $id) { job { state } } }"
        answer = await ask(scene.as_(caller), text, id=scene.ids()["contract"])
        assert answer["data"]["contract"]["job"] == expected
