"""What people read of what their money did."""

import csv
import io
from collections import Counter

import httpx
import pytest
from starlette.applications import Starlette

import loaders.ledger
from loaders.pages import Seal
from models.base import uuid7
from models.ledger import Journal
from models.payments import EARNINGS, FUNDS, PENDING, RAIL
from ops.payments import Till, harmless
from resolvers.statements import ENTRIES_AT_ONCE, LINK
from tests import make

SECRET = b"a secret that the provider knows"
STATEMENT = """
query ($part: WalletPart!, $first: Int, $after: Cursor, $last: Int, $before: Cursor) {
  viewer {
    wallet {
      statement(part: $part, first: $first, after: $after, last: $last, before: $before) {
        totalCount
        nodes { at kind amount { amount currency } balance { amount } about { id __typename } }
        edges { cursor }
        pageInfo { hasNextPage hasPreviousPage endCursor startCursor }
      }
    }
  }
}
"""
URL = "query ($part: WalletPart!) { viewer { wallet { statementUrl(part: $part) } } }"
DEPOSIT = "mutation ($input: DepositInput!) { deposit(input: $input) { ... on Transfer { id } } }"


@pytest.fixture
def read(ask):
    """A page of somebody's statement."""

    async def run(who, part="FUNDS", **window):
        answer = await ask(who, STATEMENT, part=part, **window)
        assert "errors" not in answer, answer
        return answer["data"]["viewer"]["wallet"]["statement"]

    return run


@pytest.fixture
async def fetch(house):
    till = Starlette(routes=Till(house.context, house.clock, SECRET).routes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(till), base_url="http://till") as client:
        yield client.get


@pytest.fixture
def url(ask):
    async def run(who, part="FUNDS"):
        return (await ask(who, URL, part=part))["data"]["viewer"]["wallet"]["statementUrl"]

    return run


def amounts(page):
    return [(node["amount"]["amount"], node["balance"]["amount"]) for node in page["nodes"]]


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


async def test_a_statement_tells_what_came_and_went_and_what_there_was_then(house, people, ask, read):
    money = {"amount": {"amount": "100.00"}, "method": "sandbox-succeed", "idempotencyKey": "d"}
    made = (await ask(people.client, DEPOSIT, input=money))["data"]["deposit"]
    await make.give(house, FUNDS, people.client.id, 5_00)
    await make.give(house, FUNDS, people.client.id, -30_00)

    page = await read(people.client)

    assert amounts(page) == [("-30.00", "75.00"), ("5.00", "105.00"), ("100.00", "100.00")]
    assert [node["kind"] for node in page["nodes"]] == ["GIFT", "GIFT", "DEPOSIT"]
    assert [node["about"] for node in page["nodes"]] == [None, None, {"id": made["id"], "__typename": "Transfer"}]
    assert page["totalCount"] == 3


async def test_each_part_of_a_wallet_has_a_statement_of_its_own(house, people, read):
    for kind, cents in ((FUNDS, 1), (PENDING, 2), (EARNINGS, 3)):
        await make.give(house, kind, people.freelancer.id, cents)

    found = {part: amounts(await read(people.freelancer, part)) for part in ("FUNDS", "PENDING", "AVAILABLE")}

    assert found == {"FUNDS": [("0.01", "0.01")], "PENDING": [("0.02", "0.02")], "AVAILABLE": [("0.03", "0.03")]}


async def test_pages_of_a_statement_leave_nothing_out_and_say_nothing_twice(house, people, read):
    for cents in range(1, 8):
        await make.give(house, FUNDS, people.client.id, cents)
    expected = [f"0.0{cents}" for cents in range(7, 0, -1)]

    there, window = [], {"first": 3}
    while True:
        page = await read(people.client, **window)
        there += [node["amount"]["amount"] for node in page["nodes"]]
        # What comes meanwhile is on top, and on none of the pages that follow.
        await make.give(house, FUNDS, people.client.id, 1_00)
        if not page["pageInfo"]["hasNextPage"]:
            break
        window = {"first": 3, "after": page["pageInfo"]["endCursor"]}
    back = await read(people.client, last=3, before=page["pageInfo"]["startCursor"])

    assert there == expected
    assert [node["amount"]["amount"] for node in back["nodes"]] == expected[3:6]


async def test_an_empty_wallet_has_an_empty_statement(people, read, fetch, url):
    assert await read(people.client) == {
        "totalCount": 0,
        "nodes": [],
        "edges": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "endCursor": None, "startCursor": None},
    }
    answer = await fetch(await url(people.client))
    assert answer.text == "number,at,kind,about,amount,currency,balance\r\n"


async def test_nobody_reads_the_statement_of_another(house, people, read):
    await make.give(house, FUNDS, people.client.id, 100)

    for other in (people.freelancer, people.other_client, people.admin):
        assert (await read(other))["nodes"] == []


async def test_a_spreadsheet_has_all_of_it_from_the_beginning(house, people, fetch, url, as_):
    count = ENTRIES_AT_ONCE + 7
    about = make.transfer(people.client)
    async with as_(None).writing() as work:
        keys = RAIL.of(None, "USD"), FUNDS.of(people.client.id, "USD")
        rail, funds = await loaders.ledger.accounts(work, *keys, at=house.clock())
        for start in range(0, count, 100):
            journals = [
                Journal.of("DEPOSIT", about, [(rail, -cents), (funds, cents)], at=house.clock())
                for cents in range(start + 1, min(start + 100, count) + 1)
            ]
            await loaders.ledger.post(work, *journals)

    answer = await fetch(await url(people.client))

    rows = table(answer.text)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == (
        "private, no-store",
        "nosniff",
    )
    assert "attachment" in answer.headers["content-disposition"]
    assert [row["amount"] for row in rows] == [f"{cents // 100}.{cents % 100:02}" for cents in range(1, count + 1)]
    total = count * (count + 1) // 2
    assert rows[-1]["balance"] == f"{total // 100}.{total % 100:02}"
    assert {row["about"] for row in rows} == {f"transfer_{about.id.hex}"}
    assert Counter(row["currency"] for row in rows) == {"USD": count}
    assert rows[0]["at"].endswith("Z")
    # Numbered by itself: how much others move is nobody's business.
    assert [row["number"] for row in rows] == [str(number) for number in range(1, count + 1)]


async def test_the_address_of_a_spreadsheet_is_good_for_one_statement_and_some_minutes(
    house, people, fetch, url, clock
):
    await make.give(house, FUNDS, people.client.id, 100)
    await make.give(house, PENDING, people.client.id, 200)
    addresses = [await url(people.client, part) for part in ("FUNDS", "PENDING")]

    assert [table((await fetch(address)).text)[0]["amount"] for address in addresses] == ["1.00", "2.00"]
    clock.advance(minutes=9)
    assert (await fetch(addresses[0])).status_code == 200
    clock.advance(minutes=2)
    assert (await fetch(addresses[0])).status_code == 403


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("purpose", [LINK, "media.link"])
async def test_an_address_that_was_made_up_leads_nowhere(purpose, fetch):
    forged = Seal(b"another secret").close(purpose, f"9999999999:{uuid7().hex}:FUNDS:USD")

    for link in (forged, "", "x", "ä"):
        answer = await fetch("/payments/statement.csv", params={"link": link})
        assert (answer.status_code, answer.json()["success"]) == (403, False)
    assert (await fetch("/payments/statement.csv")).status_code == 403


async def test_what_was_sealed_for_something_else_leads_nowhere(house, people, fetch):
    sealed = house.seal.close("media.link", f"9999999999:{people.client.id.hex}:FUNDS:USD")

    assert (await fetch("/payments/statement.csv", params={"link": sealed})).status_code == 403


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_what_begins_like_a_formula_is_a_text(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["DEPOSIT", "transfer_0", "", "a=b"])
def test_other_texts_stay_as_they_are(text):
    assert harmless(text) == text
