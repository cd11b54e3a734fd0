"""A contract on paper, fetched over the network."""

import asyncio
import json
from hashlib import sha256

import aiohttp
import pypdfium2

from tests.stories.conftest import Site
from tests.stories.people import Person
from tests.stories.words import offer, published

PAPER = "query ($id: ID!) { contract(id: $id) { documentUrl termsHash state title version } }"
AT_ONCE = 10
READS = 30


def text_of(body: bytes) -> str:
    with pypdfium2.PdfDocument(body) as pdf:
        return "\n".join(page.get_textpage().get_text_range() for page in pdf)


async def test_both_parties_fetch_their_contract_at_either_server_and_others_read_on_meanwhile(site: Site):
    clara = await Person.registered(site.a, "CLIENT", name="Клара 商店")
    fritz = await Person.registered(site.b, "FREELANCER", name="مريم")
    proposal = await fritz.does("submitProposal", jobId=await published(clara), **offer(amounts=("50.00",) * 20))
    contract = await clara.does("acceptProposal", proposalId=proposal["id"])
    said = [(await who.ask(PAPER, id=contract["id"]))["contract"] for who in (clara, fritz)]
    assert said[0]["termsHash"] == said[1]["termsHash"]

    async with aiohttp.ClientSession() as session:
        # The address is relative, and good at both.
        for at, server in enumerate((site.b, site.a)):
            async with session.get(server.url.removesuffix("/graphql") + said[at]["documentUrl"]) as answer:
                body = await answer.read()
                assert (answer.status, answer.headers["content-type"]) == (200, "application/pdf")
                assert answer.headers["content-length"] == str(len(body))
            text = text_of(body)
            assert said[at]["termsHash"] in text
            assert "Клара 商店" in text

        url = site.a.url.removesuffix("/graphql") + said[0]["documentUrl"]
        async with session.head(url) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        async with session.get(url[:-1] + "_") as answer:
            assert (answer.status, (await answer.json())["success"]) == (403, False)

        async def fetch() -> int:
            async with session.get(url) as answer:
                return len(await answer.read()) if answer.status == 200 else -answer.status

        drawing = [asyncio.create_task(fetch()) for _ in range(AT_ONCE)]
        reads = [await clara.ask(PAPER, id=contract["id"]) for _ in range(READS)]
        sizes = await asyncio.gather(*drawing)

    assert {read["contract"]["state"] for read in reads} == {"ACTIVE"}
    assert min(sizes) > 0


async def test_a_document_tells_how_a_contract_ended_and_its_hash_is_that_of_before(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    fritz = await Person.registered(site.b, "FREELANCER")
    proposal = await fritz.does("submitProposal", jobId=await published(clara), **offer())
    contract = await clara.does("acceptProposal", proposalId=proposal["id"])
    before = (await clara.ask(PAPER, id=contract["id"]))["contract"]
    asked = await fritz.does("requestTermination", contractId=contract["id"], reason="It leads nowhere.")
    await clara.does("decideTermination", terminationId=asked["id"], decision="ACCEPT", answer="So be it.")

    after = (await clara.ask(PAPER, id=contract["id"]))["contract"]
    url = site.b.url.removesuffix("/graphql") + after["documentUrl"]
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = text_of(await answer.read())

    assert (before["state"], after["state"]) == ("ACTIVE", "TERMINATED")
    assert (
        before["termsHash"] == after["termsHash"] == sha256(canonical(await terms(fritz, contract["id"]))).hexdigest()
    )
    for wanted in ("TERMINATED", "It leads nowhere.", "So be it.", after["termsHash"], f"version {after['version']}"):
        assert wanted in text


async def terms(who: Person, contract_id: str) -> object:
    return (
        await who.ask(
            """
            query ($id: ID!) {
              contract(id: $id) {
                id client { id } freelancer { id } title description budgetKind bid { amount currency }
                clientFeeBps freelancerFeeBps milestones { description amount { amount currency } dueOn }
              }
            }
            """,
            id=contract_id,
        )
    )["contract"]


def canonical(said: object) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
