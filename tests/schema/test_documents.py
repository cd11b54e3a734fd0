"""What people read of their contracts in a document, against what the API tells them."""

import asyncio
import json
from hashlib import sha256

import httpx
import pypdfium2
import pytest
from starlette.applications import Starlette

import resolvers.contracts
from loaders.pages import Seal
from models.base import uuid7
from models.contracts import Acceptance, MilestoneWords, Rest, Submission, TerminationDecision
from models.errors import Busy
from models.money import Currency
from models.payments import FUNDS
from ops.contracts import Archive
from resolvers.contracts.document import LINK
from tests import make

URL = "query ($id: ID!) { contract(id: $id) { documentUrl termsHash } }"
TERMS = """
query ($id: ID!) {
  contract(id: $id) {
    id client { id } freelancer { id } title description budgetKind bid { amount currency }
    clientFeeBps freelancerFeeBps milestones { description amount { amount currency } dueOn }
  }
}
"""
SAID = """
query ($id: ID!) {
  contract(id: $id) {
    id title description state version startedAt endedAt bid { amount currency }
    client { id companyName } freelancer { id fullName }
    totals { agreed { amount } escrowed { amount } owed { amount } paid { amount } }
    milestones { description amount { amount } state dueOn accepted { amount } paidAt }
    terminations { nodes { reason answer state } }
  }
}
"""


@pytest.fixture
async def fetch(house):
    routes = Archive(house.context, house.gate, house.press).routes()
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive", timeout=60) as client:
        yield client.request


@pytest.fixture
def told(ask):
    """What the API tells somebody of a contract."""

    async def run(who, contract, text=URL):
        answer = await ask(who, text, id=f"contract_{contract.id.hex}")
        assert "errors" not in answer, answer
        return answer["data"]["contract"]

    return run


@pytest.fixture
def read(fetch, told):
    """The text of the document that somebody is given."""

    async def run(who, contract):
        answer = await fetch("GET", (await told(who, contract))["documentUrl"])
        assert answer.status_code == 200, answer.text
        return text_of(answer.content)

    return run


@pytest.fixture
async def hired(house, people, keep):
    """A contract with three milestones, and a client with money."""
    job = make.job(people.client)
    proposal = make.proposal(job, people.freelancer)
    contract = make.contract(job, proposal)
    await keep(job, proposal, contract)
    parts = await keep(*(make.milestone(contract, position=at, cents=(at + 1) * 100_00) for at in range(3)))
    await make.give(house, FUNDS, people.client.id, 10_000_00)
    return contract, parts


def text_of(body):
    with pypdfium2.PdfDocument(body) as pdf:
        return "\n".join(page.get_textpage().get_text_range().replace("\r\n", "\n") for page in pdf)


def must_say(text, said):
    """What the API says of a contract is in its document."""
    client, freelancer = said["client"], said["freelancer"]
    wanted = [said["id"], said["title"], said["description"], said["state"], client["id"], client["companyName"]]
    wanted += [freelancer["id"], freelancer["fullName"], f"Version {said['version']}\n"]
    wanted += [f"Price {said['bid']['amount']} {said['bid']['currency']}", f"Began {moment(said['startedAt'])}"]
    for number, one in enumerate(said["milestones"], 1):
        wanted += [f"{number}. {one['amount']['amount']} USD · {one['state']}", one["description"]]
        wanted += [f"Due {one['dueOn']}"] if one["dueOn"] else []
        wanted += [f"Accepted {one['accepted']['amount']} USD"] if one["accepted"] else []
        wanted += [f"Paid {moment(one['paidAt'])}"] if one["paidAt"] else []
    totals = {name: amount["amount"] for name, amount in said["totals"].items()}
    wanted += [
        f"Agreed, all milestones {totals['agreed']} USD",
        f"In escrow now, with the client's fee {totals['escrowed']} USD",
        f"Accepted and to be paid {totals['owed']} USD",
        f"Paid for milestones {totals['paid']} USD",
    ]
    for one in said["terminations"]["nodes"]:
        wanted += [one["reason"], one["state"], *([one["answer"]] if one["answer"] else [])]
    if said["endedAt"]:
        wanted.append(f"{said['state'].capitalize()} {moment(said['endedAt'])}")
    assert [one for one in wanted if one not in text] == []


def moment(text):
    return text[:19].replace("T", " ") + " UTC"


async def work(as_, people, part, words=None, key="k"):
    """Have a milestone done and accepted."""
    await resolvers.contracts.start(as_(people.freelancer), milestone_id=part.id)
    await resolvers.contracts.submit(as_(people.freelancer), milestone_id=part.id, words=Submission("Done.", []))
    words = words or Acceptance()
    await resolvers.contracts.accept(as_(people.client), milestone_id=part.id, words=words, key=f"{key}-accept")


async def test_a_new_contract_reads_as_the_api_tells_it(people, hired, read, told):
    contract, _ = hired

    for who in (people.client, people.freelancer, people.admin):
        must_say(await read(who, contract), await told(who, contract, SAID))


async def test_a_contract_under_way_is_drawn_with_what_was_done_paid_and_given_back(as_, people, hired, read, told):
    contract, parts = hired
    before = (await told(people.client, contract))["termsHash"]
    client = as_(people.client)
    for part in parts[:2]:
        await resolvers.contracts.fund(client, milestone_id=part.id, key=f"fund-{part.position}")
    await work(as_, people, parts[0], Acceptance(40_00, Rest.REFUND, Currency.USD), "part")
    await work(as_, people, parts[2], key="unfunded")
    await resolvers.contracts.bonus(
        client, contract_id=contract.id, cents=7_00, currency=Currency.USD, note="Thanks", key="bonus"
    )

    text, said = await read(people.freelancer, contract), await told(people.freelancer, contract, SAID)

    must_say(text, said)
    assert said["totals"]["paid"]["amount"] == "40.00"
    # The client's fee is on top: 105 and 210 were put aside, 42 were paid, 63 came back.
    assert "Put aside so far, with the client's fee 315.00 USD" in text
    assert "Given back to the client 63.00 USD" in text
    assert "Paid as bonuses 7.00 USD" in text
    assert (await told(people.client, contract))["termsHash"] == before


async def test_a_terminated_contract_says_who_asked_why_and_what_was_answered(as_, people, hired, read, told):
    contract, _ = hired
    asked = await resolvers.contracts.request_termination(
        as_(people.freelancer), contract_id=contract.id, reason="It leads nowhere."
    )
    await resolvers.contracts.decide(
        as_(people.client),
        termination_id=asked.id,
        decision=TerminationDecision.ACCEPT,
        answer="So be it.",
        key="decide",
    )

    text, said = await read(people.client, contract), await told(people.client, contract, SAID)

    assert said["state"] == "TERMINATED"
    must_say(text, said)
    assert "By the freelancer · ACCEPTED" in text


async def test_a_completed_contract_says_when_everybody_was_done(as_, people, hired, read, told):
    contract, _ = hired
    for who in (people.client, people.freelancer):
        await resolvers.contracts.complete(as_(who), contract_id=contract.id, key="done")

    text, said = await read(people.client, contract), await told(people.client, contract, SAID)

    assert said["state"] == "COMPLETED"
    must_say(text, said)
    assert "Client is done" in text
    assert "Freelancer is done" in text


async def test_anybody_computes_the_hash_from_what_the_api_says(people, hired, read, told, as_):
    contract, _ = hired

    async def computed(who):
        said = await told(who, contract, TERMS)
        return sha256(json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()

    first = await computed(people.client)
    assert first == await computed(people.freelancer) == (await told(people.client, contract))["termsHash"]
    assert first in await read(people.freelancer, contract)

    await resolvers.contracts.add(
        as_(people.client), contract_id=contract.id, words=MilestoneWords("Another part.", 5_00)
    )
    second = await computed(people.client)
    assert second != first
    assert second in await read(people.client, contract)


async def test_a_contract_keeps_the_words_that_were_agreed_upon_whatever_its_job_says_later(
    people, hired, read, told, house
):
    contract, _ = hired
    agreed, before = contract.description, (await told(people.client, contract))["termsHash"]
    async with house.database.writing.begin() as change:
        job = await change.get_one(type(make.job(people.client)), contract.job_id)
        job.title, job.description = "Another job", "Something else altogether."

    text = await read(people.client, contract)

    assert agreed in text
    assert "Something else" not in text
    assert (await told(people.client, contract))["termsHash"] == before


async def test_the_document_is_a_file_to_be_saved_and_kept_by_nobody_else(people, hired, fetch, told):
    contract, _ = hired
    url = (await told(people.client, contract))["documentUrl"]

    answer, head = await fetch("GET", url), await fetch("HEAD", url)

    assert answer.content.startswith(b"%PDF-")
    assert dict(answer.headers) == {
        "content-type": "application/pdf",
        "content-length": str(len(answer.content)),
        "content-disposition": f'attachment; filename="contract-{contract.id.hex}.pdf"',
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
    }
    assert (head.status_code, head.headers["content-type"]) == (200, "application/pdf")
    assert (await fetch("POST", url)).status_code == 405


async def test_who_does_not_see_the_contract_is_given_no_address(people, hired, ask):
    contract, _ = hired

    for other in (None, people.other_client, people.other_freelancer):
        answer = await ask(other, URL, id=f"contract_{contract.id.hex}")
        assert answer["data"] == {"contract": None}


async def test_an_address_is_good_for_some_minutes(people, hired, fetch, told, clock):
    url = (await told(people.client, hired[0]))["documentUrl"]

    clock.advance(minutes=9)
    assert (await fetch("GET", url)).status_code == 200
    clock.advance(minutes=2)
    answer = await fetch("GET", url)
    assert (answer.status_code, answer.json()["reason"]) == (403, "This address has expired. Ask for another one.")


@pytest.mark.parametrize("purpose", [LINK, "media.link", "payments.statement"])
async def test_an_address_that_was_made_up_leads_nowhere(purpose, people, hired, fetch, house, told):
    text = f"9999999999:{hired[0].id.hex}:{people.client.id.hex}"
    seal = Seal(b"another secret") if purpose == LINK else house.seal
    good = (await told(people.client, hired[0]))["documentUrl"].partition("=")[2]

    for link in (seal.close(purpose, text), good[:-1], good + "A", good.swapcase(), "", "x", "ä", "A" * 5_000):
        answer = await fetch("GET", "/contracts/document.pdf", params={"link": link})
        assert (answer.status_code, answer.json()["success"]) == (403, False)
    assert (await fetch("GET", "/contracts/document.pdf")).status_code == 403


async def test_an_address_shows_no_more_than_whoever_was_given_it_may_see(people, hired, fetch, house, told):
    contract, _ = hired
    stranger = house.seal.close(LINK, f"9999999999:{contract.id.hex}:{people.other_client.id.hex}")
    nothing = house.seal.close(LINK, f"9999999999:{uuid7().hex}:{people.client.id.hex}")
    url = (await told(people.client, contract))["documentUrl"]

    for link in (stranger, nothing):
        assert (await fetch("GET", "/contracts/document.pdf", params={"link": link})).status_code == 404
    async with house.database.writing.begin() as change:
        (await change.get_one(type(people.client), people.client.id)).suspended_at = house.clock()
    assert (await fetch("GET", url)).status_code == 403


async def test_what_stops_contracts_stops_their_documents(people, hired, fetch, told, house):
    url = (await told(people.client, hired[0]))["documentUrl"]
    bulkhead = house.gate.bulkheads[house.gate.commands["contract"]]
    most, line_most = bulkhead.most, bulkhead.line_most
    bulkhead.resize(0, 0)
    try:
        answer = await fetch("GET", url)
    finally:
        bulkhead.resize(most, line_most)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert (await fetch("GET", url)).status_code == 200
    assert bulkhead.running == 0


async def test_whoever_waits_to_be_drawn_keeps_nobody_from_reading(people, hired, told, house):
    """Ten documents wait for a press that does not come round, and contracts are read as ever."""

    class Stuck:
        def __init__(self):
            self.waiting, self.going = 0, asyncio.Event()

        async def draw(self, _paper):
            self.waiting += 1
            await self.going.wait()
            raise Busy

    stuck = Stuck()
    transport = httpx.ASGITransport(Starlette(routes=Archive(house.context, house.gate, stuck).routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        url = (await told(people.client, hired[0]))["documentUrl"]
        waiting = [asyncio.create_task(client.get(url)) for _ in range(10)]
        while stuck.waiting < 10:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)

        assert house.gate.running == 0
        assert (await told(people.client, hired[0]))["termsHash"]
        stuck.going.set()
        answers = await asyncio.gather(*waiting)

    assert {answer.status_code for answer in answers} == {503}


async def test_the_same_state_at_the_same_moment_is_the_same_file(people, hired, as_, house):
    links = [resolvers.contracts.address(as_(who), hired[0].id) for who in (people.client, people.freelancer)]
    found = []
    for link in links:
        _, paper = await resolvers.contracts.document(as_(None), link.partition("=")[2])
        found.append(paper)

    # But for when it was written.
    papers = [json.dumps(paper.written()).split("written")[0] for paper in found]
    assert papers[0] == papers[1]
    assert await house.press.draw(found[0]) == await house.press.draw(found[0])
