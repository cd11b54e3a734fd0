"""What is said of money brought and taken out, and to whom."""

import pytest

from models.payments import EARNINGS, FUNDS
from tests import make
from tests.schema.callers import Ask, Scene, mutation, rows

TABLE = """
           nobody           rival               stranger  client  freelancer  admin
deposit    UNAUTHENTICATED  Transfer            =         =       =           =
withdraw   UNAUTHENTICATED  INSUFFICIENT_FUNDS  =         =       =           =
"""


def said(_: Scene) -> dict[str, object]:
    return {"amount": {"amount": "100.00"}, "method": "sandbox-succeed", "idempotencyKey": "k"}


ASKS: dict[str, Ask] = {
    "deposit": mutation("deposit", said),
    "withdraw": mutation("withdraw", lambda scene: {**said(scene), "purse": "EARNINGS"}),
}
SHOWN = """
    __typename
    ... on Transfer { id kind purse amount { amount currency } method state reason reference decidedAt }
    ... on Refused { code problems { field message } }
"""
DEPOSIT = f"mutation ($input: DepositInput!) {{ deposit(input: $input) {{ {SHOWN} }} }}"
WITHDRAW = f"mutation ($input: WithdrawInput!) {{ withdraw(input: $input) {{ {SHOWN} }} }}"
WALLET = """
{
  viewer {
    wallet {
      funds { amount currency } available { amount } pending { amount } escrowed { amount } leaving { amount }
    }
    transfers { totalCount nodes { kind state amount { amount } } }
  }
}
"""


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


async def test_a_deposit_and_a_withdrawal_are_seen_in_the_wallet(house, people, ask):
    await make.give(house, EARNINGS, people.freelancer.id, 12_34)
    money = {"amount": {"amount": "100.5"}, "method": "sandbox-succeed", "idempotencyKey": "d"}
    made = (await ask(people.freelancer, DEPOSIT, input=money))["data"]["deposit"]
    out = money | {"amount": {"amount": "12.00"}, "purse": "EARNINGS", "method": "sandbox-delay", "idempotencyKey": "w"}
    left = (await ask(people.freelancer, WITHDRAW, input=out))["data"]["withdraw"]

    assert made | {"id": "", "reference": "", "decidedAt": ""} == {
        "__typename": "Transfer",
        "id": "",
        "kind": "DEPOSIT",
        "purse": "FUNDS",
        "amount": {"amount": "100.50", "currency": "USD"},
        "method": "sandbox-succeed",
        "state": "SUCCEEDED",
        "reason": None,
        "reference": "",
        "decidedAt": "",
    }
    assert (left["state"], left["decidedAt"]) == ("SUBMITTED", None)
    assert (await ask(people.freelancer, WALLET))["data"]["viewer"] == {
        "wallet": {
            "funds": {"amount": "100.50", "currency": "USD"},
            "available": {"amount": "0.34"},
            "pending": {"amount": "0.00"},
            "escrowed": {"amount": "0.00"},
            "leaving": {"amount": "12.00"},
        },
        "transfers": {
            "totalCount": 2,
            "nodes": [
                {"kind": "WITHDRAWAL", "state": "SUBMITTED", "amount": {"amount": "12.00"}},
                {"kind": "DEPOSIT", "state": "SUCCEEDED", "amount": {"amount": "100.50"}},
            ],
        },
    }


async def test_the_second_answer_is_the_first_one_marked(people, ask):
    money = {"amount": {"amount": "100.00"}, "method": "sandbox-succeed", "idempotencyKey": "d"}

    first, second = [await ask(people.client, DEPOSIT, input=money) for _ in range(2)]

    assert first["data"] == second["data"]
    assert "extensions" not in first or "replayed" not in first["extensions"]
    assert second["extensions"]["replayed"] == ["d"]


@pytest.mark.parametrize(
    "amount", ["NaN", "sNaN", "Infinity", "-Infinity", "0", "0.00", "-1.00", "1.001", "0.99", "100000.01", "1e30"]
)
@pytest.mark.parametrize("name", ["deposit", "withdraw"])
async def test_an_amount_that_is_none_is_refused_and_nothing_is_written(name, amount, house, people, ask, count_rows):
    await make.give(house, FUNDS, people.client.id, 500_000_00)
    money = {"amount": {"amount": amount}, "method": "sandbox-succeed", "idempotencyKey": "k"}
    money |= {"purse": "FUNDS"} if name == "withdraw" else {}
    before = await count_rows()

    answer = await ask(people.client, {"deposit": DEPOSIT, "withdraw": WITHDRAW}[name], input=money)

    refused = answer["data"][name]
    assert (refused["__typename"], refused["code"]) == ("Refused", "BAD_USER_INPUT")
    assert [problem["field"] for problem in refused["problems"]] == [["amount", "amount"]]
    assert await count_rows() == before


@pytest.mark.parametrize("amount", ["ten", 10, 10.5, "", None, "1" * 41, "\uff11\uff10"])
async def test_what_is_no_decimal_is_refused_before_it_runs(amount, people, ask, count_rows):
    before = await count_rows()

    money = {"amount": {"amount": amount}, "method": "m", "idempotencyKey": "k"}
    answer = await ask(people.client, DEPOSIT, input=money)

    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert await count_rows() == before


async def test_another_currency_is_not_traded_in(people, ask, count_rows):
    before = await count_rows()

    money = {"amount": {"amount": "10.00", "currency": "EUR"}, "method": "m", "idempotencyKey": "k"}
    answer = await ask(people.client, DEPOSIT, input=money)

    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert await count_rows() == before


async def test_all_that_is_wrong_is_said_at_once(people, ask):
    money = {"amount": {"amount": "0.001"}, "method": "", "idempotencyKey": "k"}
    refused = (await ask(people.client, DEPOSIT, input=money))["data"]["deposit"]

    assert [problem["field"] for problem in refused["problems"]] == [["amount", "amount"], ["method"]]


async def test_nobody_sees_the_transfers_of_another(people, ask):
    money = {"amount": {"amount": "100.00"}, "method": "sandbox-succeed", "idempotencyKey": "d"}
    made = (await ask(people.client, DEPOSIT, input=money))["data"]["deposit"]
    text = "query ($id: ID!) { node(id: $id) { __typename } viewer { transfers { totalCount } } }"

    found = {
        name: (await ask(who, text, id=made["id"]))["data"] for name, who in {**vars(people), "nobody": None}.items()
    }

    assert {name: answer["node"] for name, answer in found.items() if answer["node"]} == {
        "client": {"__typename": "Transfer"},
        "admin": {"__typename": "Transfer"},
    }
    counts = {name: answer["viewer"] and answer["viewer"]["transfers"]["totalCount"] for name, answer in found.items()}
    assert counts == {name: int(name == "client") for name in vars(people)} | {"nobody": None}
