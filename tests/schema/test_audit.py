"""What administrators read of the ledger."""

import pytest
import sqlalchemy as sa

from models.payments import FUNDS
from tests import make
from tests.schema.callers import Ask, query, rows

TABLE = """
              nobody           rival      stranger  client  freelancer  admin
ledgerAudit   UNAUTHENTICATED  FORBIDDEN  =         =       =           LedgerAudit
ledgerTotals  UNAUTHENTICATED  FORBIDDEN  =         =       =           LedgerTotals
"""
ASKS: dict[str, Ask] = {name: query(name) for name in ("ledgerAudit", "ledgerTotals")}
AUDIT = """
{
  ledgerAudit {
    accounts journals entries holds
    wrong { problem account accountKind owner journal position expected found }
  }
}
"""
TOTALS = "{ ledgerTotals { currencies { currency balance kinds { kind accounts balance held } } } }"


@pytest.mark.parametrize("row", rows(TABLE))
async def test_everybody_gets_the_answer_in_the_table(row, stage):
    assert await stage.play(ASKS[row]) == rows(TABLE)[row]


async def test_a_right_ledger_is_counted(house, people, ask):
    before = (await ask(people.admin, AUDIT))["data"]["ledgerAudit"]
    await make.give(house, FUNDS, people.client.id, 5)

    found = (await ask(people.admin, AUDIT))["data"]["ledgerAudit"]

    assert (before.pop("wrong"), found.pop("wrong")) == (None, None)
    more = {name: found[name] - before[name] for name in found}
    assert more == {"accounts": 2, "journals": 1, "entries": 2, "holds": 0}


async def test_what_is_wrong_is_named(house, people, ask, owner):
    await make.give(house, FUNDS, people.client.id, 5)
    async with owner.begin() as connection:
        await connection.execute(sa.text("UPDATE entries SET amount = 6 WHERE amount = 5"))

    wrong = (await ask(people.admin, AUDIT))["data"]["ledgerAudit"]["wrong"]

    assert wrong.pop("account")
    assert wrong.pop("journal")
    assert wrong == {
        "problem": "its running balance does not follow",
        "accountKind": "FUNDS",
        "owner": str(people.client.id),
        "position": 2,
        "expected": "6",
        "found": "5",
    }


async def test_totals_are_said_exactly_however_large(house, people, ask):
    for at in range(3):
        await make.give(house, FUNDS, people.client.id, 2**60 - at)

    totals = (await ask(people.admin, TOTALS))["data"]["ledgerTotals"]["currencies"]
    (total,) = [one for one in totals if one["currency"] == "USD"]

    much = str(3 * 2**60 - 3)
    assert total == {
        "currency": "USD",
        "balance": "0",
        "kinds": [
            {"kind": "FUNDS", "accounts": 1, "balance": much, "held": "0"},
            {"kind": "RAIL", "accounts": 1, "balance": f"-{much}", "held": "0"},
        ],
    }
