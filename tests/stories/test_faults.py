"""What people notice when something breaks under them: a clear no, a short wait, and never half a thing."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import aiohttp
import pytest
from gql.transport.exceptions import TransportError, TransportQueryError

from ops import local
from tests.stories.conftest import Site
from tests.stories.people import LOST, PROPOSALS, Person, code_of, mutation
from tests.stories.processes import SECONDS, Server, until
from tests.stories.words import JOB, offer, published

PATIENCE_SECONDS = 7.0
"""A pool waits 5 s for a connection; nobody should wait much longer for a no."""

ME = "{ viewer { account { id } } }"
LIST = "{ jobs { nodes { id title } } }"
TITLES = "select title from jobs where client_id = $1"


async def within_patience(asked: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(asked, PATIENCE_SECONDS)


async def said(who: Person, text: str, **variables: Any) -> dict[str, Any]:
    """The bare answer over HTTP, with its status."""
    async with (
        aiohttp.ClientSession(headers=who.authorization) as session,
        session.post(who.server.url, json={"query": text, "variables": variables}) as answer,
    ):
        body: dict[str, Any] = await answer.json()
        return body | {"status": answer.status}


async def test_while_postgres_is_away_everybody_is_told_to_come_back_and_afterwards_all_works(
    frail: Site, ground: local.Local
):
    clara = await Person.registered(frail.a, "CLIENT")
    await said(clara, LIST)

    ground.kill()
    try:
        for server in (frail.a, frail.b):
            assert await within_patience(server.readiness()) == (503, ["database"])
        began = time.monotonic()
        for who in (clara, clara.signed_out):
            answer = await within_patience(said(who, LIST))
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["BUSY"]
        answer = await within_patience(said(clara, ME))
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BUSY"]
        refused = await within_patience(
            clara.signed_out.refused("signIn", email=clara.email, password="whatever it was")
        )
        assert (refused["code"], refused["retryable"], refused["retryAfterSeconds"]) == ("BUSY", True, 1)
        answer = await within_patience(said(clara, mutation("createJob"), input=JOB))
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BUSY"]
        assert time.monotonic() - began < PATIENCE_SECONDS
    finally:
        ground.restart_postgres()

    await within_patience(frail.ready())
    for server in (frail.a, frail.b):
        assert (await clara.on(server).ask(ME))["viewer"]["account"]["id"] == f"account_{clara.id}"
        await published(clara.on(server))


@pytest.mark.parametrize(
    "stop", [lambda ground: ground.kill(), lambda ground: ground.postgres.stop()], ids=["kill", "stop"]
)
async def test_what_was_under_way_when_postgres_went_is_done_or_is_not(
    frail: Site, ground: local.Local, stop: Callable[[local.Local], None]
):
    clara = await Person.registered(frail.a, "CLIENT")
    done: Counter[str] = Counter()
    told: dict[str, set[str]] = {}

    over = asyncio.Event()

    async def write(at: int) -> None:
        """Write jobs down, one after the other, and note what was said of each."""
        for number in count():
            # Nobody is cancelled: a client that was closing just then would not notice, and she would go on for ever.
            if over.is_set():
                return
            title = f"Job {at}.{number}"
            code = await outcome(clara.on((frail.a, frail.b)[at % 2]), title)
            told.setdefault(code, set()).add(title)
            done[code] += 1

    async with asyncio.TaskGroup() as group:
        for at in range(8):
            group.create_task(write(at))
        try:
            await until(lambda: asyncio.sleep(0, done["DONE"] > 20))
            stop(ground)
            await until(lambda: asyncio.sleep(0, done["BUSY"] > 10))
            ground.restart_postgres()
            before = done["DONE"]
            await until(lambda: asyncio.sleep(0, done["DONE"] > before + 20))
        finally:
            over.set()

    assert set(told) <= {"DONE", "BUSY", "OUTCOME_UNKNOWN"}, {code: len(titles) for code, titles in told.items()}
    kept = {row["title"] for row in await frail.rows(TITLES, clara.id)}
    assert told["DONE"] <= kept
    assert not told["BUSY"] & kept


async def test_a_server_that_is_told_to_end_while_postgres_is_away_ends_well(frail: Site, ground: local.Local):
    clara = (await Person.registered(frail.a, "CLIENT")).on(frail.b)
    for _ in range(2):
        assert "errors" not in await said(clara, LIST)

    ground.kill()
    try:
        assert await frail.b.stop() == 0
        assert frail.b.errors() == []
    finally:
        ground.restart_postgres()


async def outcome(who: Person, title: str) -> str:
    """Write a job down; the code it is refused with, or DONE."""
    try:
        # How long a no takes is for others to see: here many wait at once.
        answer = await asyncio.wait_for(who.tries("createJob", **JOB | {"title": title}), SECONDS)
    except TransportQueryError as error:
        return code_of(error)
    code: str = answer.get("code", "DONE")
    return code


async def test_a_postgres_that_says_nothing_makes_every_server_unready_and_none_wait(frail: Site, ground: local.Local):
    await Person.registered(frail.a, "CLIENT")

    with silenced(ground):
        began = time.monotonic()
        said = await asyncio.gather(*(within_patience(server.readiness()) for server in (frail.a, frail.b)))
        assert said == [(503, ["database"])] * 2
        assert time.monotonic() - began < PATIENCE_SECONDS

    await within_patience(frail.ready())


@contextmanager
def silenced(ground: local.Local) -> Iterator[None]:
    """Let Postgres neither answer nor go away, as behind a network that swallows everything."""
    pids = local._processes(ground.postgres.mark)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_while_valkey_is_away_all_goes_on_and_is_heard_when_it_is_back(frail: Site, ground: local.Local):
    clara = await Person.registered(frail.a, "CLIENT")
    fritz = await Person.registered(frail.b, "FREELANCER")
    job_id = await published(clara)
    proposal = await fritz.does("submitProposal", jobId=job_id, **offer())

    async def edit(words: str) -> None:
        await within_patience(fritz.does("editProposal", proposalId=proposal["id"], **offer(words)))

    async with clara.socket() as office:
        before = office.listen(PROPOSALS, jobId=job_id)
        await before.opened(lambda: edit("Hello?"))
        await before.hears_up_to(await frail.head(before.stream))

        ground.valkey.kill()
        try:
            for server in (frail.a, frail.b):
                await until(partial(is_unready, server, ["redis"]))
            meanwhile = office.listen(PROPOSALS, jobId=job_id)
            await edit("While nobody could hear.")
            await Person.registered(frail.a, "CLIENT")
            assert (await clara.ask(ME))["viewer"]["account"]["id"] == f"account_{clara.id}"
        finally:
            ground.restart_valkey()

        await frail.ready()
        assert (await before.hears())["proposal"]["coverLetter"] == "While nobody could hear."
        await edit("Now everybody can.")
        assert (await before.hears())["proposal"]["coverLetter"] == "Now everybody can."
        assert (await meanwhile.hears_up_to(await frail.head(job_id)))[-1]["kind"] == "PROPOSAL_EDITED"


async def is_unready(server: Server, problems: list[str]) -> bool:
    return await server.readiness() == (503, problems)


async def test_a_server_killed_half_way_through_many_offers_leaves_whole_offers_and_the_other_tells_of_them(
    frail: Site,
):
    clara = await Person.registered(frail.a, "CLIENT")
    job_id = await published(clara)
    crowd = await asyncio.gather(*(Person.registered(frail.a, "FREELANCER") for _ in range(12)))
    # Whoever is invited proposes for nothing, as often as she likes.
    for one in crowd:
        await clara.does("inviteFreelancer", jobId=job_id, freelancerId=f"freelancer_{one.id}")
    answered: list[str] = []

    async def apply(freelancer: Person) -> None:
        """Propose, and take it back, again and again at the server that will be killed."""
        while True:
            try:
                made = await freelancer.on(frail.b).does(
                    "submitProposal", jobId=job_id, **offer(amounts=("50.00",) * 20)
                )
                answered.append(made["id"])
                await freelancer.on(frail.b).does("withdrawProposal", proposalId=made["id"])
            except (TransportError, aiohttp.ClientError):
                return

    async with clara.on(frail.b).socket() as doomed, clara.socket() as office:
        lost, follows = [socket.listen(PROPOSALS, jobId=job_id) for socket in (doomed, office)]
        writing = [asyncio.create_task(apply(freelancer)) for freelancer in crowd]
        await until(lambda: asyncio.sleep(0, len(answered) > 30))
        await frail.b.kill()
        await asyncio.gather(*writing)
        assert await lost.ended() == LOST

        rows = await frail.rows(WHOLE, job_id.removeprefix("job_"))
        assert {f"proposal_{row['id'].hex}" for row in rows} >= set(answered)
        for row in rows:
            assert row["milestones"] == 20
            assert (
                row["told_client"] == ["PROPOSAL_SUBMITTED", "PROPOSAL_WITHDRAWN"][: 1 + (row["state"] == "WITHDRAWN")]
            )
            assert row["told_freelancer"] == row["told_client"]
        (numbers,) = await frail.rows(NUMBERS, "job:" + job_id.removeprefix("job_"))
        assert numbers["last"] == numbers["count"] == numbers["head"]

        # Nobody holds anything: the job can be closed at the other server, and those who wait are told.
        pending = [row for row in rows if row["state"] == "PENDING"]
        await clara.does("closeJob", jobId=job_id)
        heard = await follows.hears_up_to(await frail.head(job_id))
    assert [event["kind"] for event in heard].count("PROPOSAL_REJECTED") == len(pending)


WHOLE = """
    select id, state,
        (select count(*) from proposal_milestones where proposal_id = proposals.id) as milestones,
        (select array_agg(kind order by sequence) from events
            where subject_id = proposals.id and stream like 'job:%') as told_client,
        (select array_agg(kind order by sequence) from events
            where subject_id = proposals.id and stream like 'proposal:%') as told_freelancer
    from proposals where job_id = $1
"""
NUMBERS = """
    select max(sequence) as last, count(*) as count,
        (select sequence from stream_heads where stream = $1) as head
    from events where stream = $1
"""
