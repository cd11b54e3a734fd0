"""How what happens reaches those who listen: once, in order, only them, and whatever breaks in between."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import redis.asyncio

from ops import local
from tests.stories.conftest import Site
from tests.stories.people import CONTRACT, LOST, PROPOSALS, Ear, Person, number
from tests.stories.processes import SECONDS, until
from tests.stories.words import JOB, offer, published

BURST = 20


async def proposed(freelancer: Person, job_id: str) -> str:
    """The id of an offer on a job."""
    proposal_id: str = (await freelancer.does("submitProposal", jobId=job_id, **offer()))["id"]
    return proposal_id


async def edit(freelancer: Person, proposal_id: str, words: str = "I have thought about it.") -> None:
    await freelancer.does("editProposal", proposalId=proposal_id, **offer(words))


async def burst(freelancer: Person, proposal_id: str, site: Site) -> None:
    """Change an offer many times at once, through both servers."""
    await asyncio.gather(*(edit(freelancer.on((site.a, site.b)[at % 2]), proposal_id) for at in range(BURST)))


async def test_a_hundred_events_reach_everybody_once_and_in_order_whatever_becomes_of_the_bell(
    frail: Site, ground: local.Local
):
    clara = await Person.registered(frail.a, "CLIENT")
    fritz = await Person.registered(frail.a, "FREELANCER")
    rival = await Person.registered(frail.b, "FREELANCER")
    job_id = await published(clara)
    proposal_id = await proposed(fritz, job_id)
    async with AsyncExitStack() as stack:
        # Two windows of the client's at each server, and the freelancer's own at each.
        listeners = [who.on(at) for who in (clara, clara, fritz) for at in (frail.a, frail.b)]
        sockets = [await stack.enter_async_context(who.socket()) for who in listeners]
        ears = [socket.listen(PROPOSALS, jobId=job_id) for socket in sockets]
        quiet = (await stack.enter_async_context(rival.socket())).listen(PROPOSALS, jobId=job_id)
        await all_open(ears, fritz, proposal_id, frail)
        first = [ear.last for ear in ears]

        await burst(fritz, proposal_id, frail)

        ground.valkey.stop()
        await burst(fritz, proposal_id, frail)
        ground.restart_valkey()

        await burst(fritz, proposal_id, frail)

        await asyncio.gather(burst(fritz, proposal_id, frail), cut_connections(ground, times=3))

        ground.restart_valkey()
        await burst(fritz, proposal_id, frail)

        for ear, known in zip(ears, first, strict=True):
            events = await ear.hears_up_to(known + 5 * BURST, 3 * SECONDS)
            assert [number(event) for event in events] == list(range(known + 1, known + 5 * BURST + 1))
            assert {event["proposal"]["id"] for event in events} == {proposal_id}
            assert ear.is_silent
        assert quiet.is_silent
    await frail.ready()


async def all_open(ears: list[Ear], freelancer: Person, proposal_id: str, site: Site) -> None:
    """Wait until everybody hears, and has heard all there was."""
    for ear in ears:
        await ear.opened(lambda: edit(freelancer, proposal_id))
    for ear in ears:
        await ear.hears_up_to(await site.head(ear.stream))


async def cut_connections(ground: local.Local, times: int) -> None:
    """Cut every connection that the servers have to Valkey, several times."""
    async with redis.asyncio.Redis.from_url(ground.redis_url) as client:
        for _ in range(times):
            for kind in ("pubsub", "normal"):
                await client.client_kill_filter(_type=kind, skipme=True)
            await until(lambda: is_listened_to(client))


async def is_listened_to(client: redis.asyncio.Redis) -> bool:
    """Whether both servers hear the bell again."""
    return len(await client.client_list(_type="pubsub")) >= 2


async def test_whoever_may_not_see_what_it_is_about_is_told_that_there_is_nothing(site: Site):
    clara = await Person.registered(site.a, "CLIENT", "FREELANCER")
    fritz = await Person.registered(site.b, "FREELANCER")
    stranger = await Person.registered(site.b, "CLIENT", "FREELANCER")
    draft_id = (await clara.does("createJob", **JOB))["id"]
    job_id = await published(clara)
    contract = await clara.does("acceptProposal", proposalId=await proposed(fritz, job_id))

    async with stranger.socket() as window, Person.at(site.a).socket() as street:
        assert await window.listen(PROPOSALS, jobId=draft_id).ended() == "NOT_FOUND"
        assert await window.listen(PROPOSALS, jobId="job_" + "0" * 32).ended() == "NOT_FOUND"
        assert await window.listen(PROPOSALS, jobId="job_1").ended() == "BAD_USER_INPUT"
        assert await window.listen(CONTRACT, id=contract["id"]).ended() == "NOT_FOUND"
        assert await window.listen(CONTRACT, id="contract_" + "0" * 32).ended() == "NOT_FOUND"
        assert await street.listen(PROPOSALS, jobId=job_id).ended() == "UNAUTHENTICATED"
        assert await street.listen(CONTRACT, id=contract["id"]).ended() == "UNAUTHENTICATED"


async def test_each_hears_of_what_she_may_see_when_it_is_delivered(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    fritz, fanny, nosy = [await Person.registered(site.b, "FREELANCER") for _ in range(3)]
    job_id = await published(clara)
    offers = {who.id: await proposed(who, job_id) for who in (fritz, fanny)}

    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(who.socket()) for who in (clara, fritz, fanny, nosy)]
        client, first, second, none = [socket.listen(PROPOSALS, jobId=job_id) for socket in sockets]
        await first.opened(lambda: edit(fritz, offers[fritz.id]))
        await first.hears_up_to(await site.head(first.stream))
        await second.opened(lambda: edit(fanny, offers[fanny.id]))
        await second.hears_up_to(await site.head(second.stream))
        await client.opened(lambda: edit(fanny, offers[fanny.id]))
        await client.hears_up_to(await site.head(client.stream))
        await second.hears_up_to(await site.head(second.stream))
        start = await site.head(job_id)

        for at in range(3):
            await edit(fritz, offers[fritz.id], f"Fritz {at}")
            await edit(fanny, offers[fanny.id], f"Fanny {at}")
        await clara.does("archiveProposal", proposalId=offers[fritz.id])
        await clara.does("rejectProposal", proposalId=offers[fritz.id], reason="Too slow.")
        # Who was rejected may try again, and is heard again.
        again = await proposed(fritz, job_id)
        await nosy.ask("query ($id: ID!) { job(id: $id) { id } }", id=job_id)

        heard = [await client.hears() for _ in range(9)]
        assert [number(event) - start for event in heard] == list(range(1, 10))
        kinds = [event["kind"] for event in heard[6:]]
        assert kinds == ["PROPOSAL_ARCHIVED", "PROPOSAL_REJECTED", "PROPOSAL_SUBMITTED"]
        own = [await first.hears() for _ in range(5)]
        assert {event["proposal"]["freelancer"]["id"] for event in own} == {f"freelancer_{fritz.id}"}
        assert [event["kind"] for event in own[3:]] == ["PROPOSAL_REJECTED", "PROPOSAL_SUBMITTED"]
        assert own[4]["proposal"]["id"] == again
        hers = [await second.hears() for _ in range(3)]
        assert {event["proposal"]["freelancer"]["id"] for event in hers} == {f"freelancer_{fanny.id}"}
        assert all(ear.is_silent for ear in (client, first, second, none))


async def test_of_two_subscriptions_on_one_socket_one_ends_and_the_other_goes_on(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    fritz = await Person.registered(site.b, "FREELANCER")
    job_ids = [await published(clara), await published(clara)]
    offers = [await proposed(fritz, job_id) for job_id in job_ids]

    async with clara.socket() as office:
        one, other = [office.listen(PROPOSALS, jobId=job_id) for job_id in job_ids]
        for ear, proposal_id in zip((one, other), offers, strict=True):
            await ear.opened(partial(edit, fritz, proposal_id))
            await ear.hears_up_to(await site.head(ear.stream))

        await one.close()
        await edit(fritz, offers[0], "Nobody listens.")
        await edit(fritz, offers[1], "Somebody does.")

        assert (await other.hears())["proposal"]["coverLetter"] == "Somebody does."
        assert one.is_silent
        # A failure of one is no business of the other either; and what is not a subscription goes over it as well.
        assert await office.listen(PROPOSALS, jobId="job_1").ended() == "BAD_USER_INPUT"
        assert await office.listen("query { viewer { account { idd: id } } }").ended() is None
        await edit(fritz, offers[1], "Still?")
        assert (await other.hears())["proposal"]["coverLetter"] == "Still?"
        assert office.code is None


async def test_a_server_that_stops_says_so_and_whoever_listened_goes_on_at_the_other(frail: Site):
    clara = await Person.registered(frail.a, "CLIENT")
    fritz = await Person.registered(frail.a, "FREELANCER")
    job_id = await published(clara)
    proposal_id = await proposed(fritz, job_id)

    async with clara.on(frail.b).socket() as office, clara.on(frail.a).socket() as spare:
        ears = [office.listen(PROPOSALS, jobId=job_id), office.listen(PROPOSALS, jobId=job_id)]
        await all_open(ears, fritz, proposal_id, frail)
        writing = [asyncio.create_task(edit(fritz.on(frail.b), proposal_id)) for _ in range(5)]
        await ears[0].hears()

        code = await frail.b.stop()

        assert code == 0
        # What had begun was finished; neither subscription was called complete, so that a client comes back for it.
        await asyncio.gather(*writing)
        assert [await ear.ended() for ear in ears] == [LOST, LOST]
        await until(lambda: asyncio.sleep(0, office.code))
        assert office.code == 1012
        again = spare.listen(PROPOSALS, jobId=job_id)
        await again.opened(lambda: edit(fritz, proposal_id))
        await again.hears_up_to(await frail.head(again.stream))
        await edit(fritz, proposal_id, "Here too?")
        assert (await again.hears())["proposal"]["coverLetter"] == "Here too?"
        assert again.is_silent

    assert frail.b.errors() == []
