"""What happens by itself while people do something else."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import redis.asyncio

import resolvers.activity
from models.accounts import Account
from models.activity import Event, account_stream
from ops.app import House
from ops.settings import Settings
from tests import make
from tests.stories.conftest import Site
from tests.stories.people import Person
from tests.stories.processes import START_SECONDS, Process, until
from tests.stories.words import offer, published

DUE, DUE_SOON = 130, 25
STATES = "select id, state, warned_at from jobs where client_id = $1"
KINDS = "select subject_id, kind from events where stream = $1 and kind in ('JOB_EXPIRED', 'JOB_EXPIRES_SOON')"


async def test_jobs_expire_and_warn_once_their_client_is_told_and_old_sessions_are_forgotten(
    site: Site, tmp_path: Path
):
    clara = await Person.registered(site.a, "CLIENT")
    fritz = await Person.registered(site.b, "FREELANCER")
    gone = await Person.registered(site.b, "FREELANCER")
    late, soon, fresh = [await published(clara, budget={"fixed": {"amount": "100.00"}}) for _ in range(3)]
    house = House.of(Settings.of(site.told))
    heard: asyncio.Queue[Event] = asyncio.Queue()

    async def listen() -> None:
        async for event in resolvers.activity.follow(house.context(), account_stream(UUID(clara.id))):
            heard.put_nowait(event)

    async with house.open(), asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        await clara.does("inviteFreelancer", jobId=fresh, freelancerId=f"freelancer_{fritz.id}")
        while heard.empty():
            made = await fritz.does("submitProposal", jobId=fresh, **offer())
            await fritz.does("withdrawProposal", proposalId=made["id"])
        await grow_old(house, clara)
        for job_id, days in ((late, 31), (soon, 26)):
            await site.rows(
                "update jobs set published_at = published_at - make_interval(days => $2),"
                " expires_at = expires_at - make_interval(days => $2) where id = $1",
                UUID(hex=job_id.removeprefix("job_")),
                days,
            )
        await site.rows(
            "update sessions set ended_at = now() - interval '31 days' where account_id = $1", UUID(gone.id)
        )
        # Two workers do it better than one, and not twice.
        listeners = await count_listeners(site)
        second = Process("work", site.told, tmp_path / "worker.log")
        second.start()
        told: list[Event] = []
        while len(told) < DUE + DUE_SOON + 2:
            event = await asyncio.wait_for(heard.get(), 30)
            told += [event] if event.kind.name.startswith("JOB_") else []
        # The other one may have done it all before this one had begun, and one that has not begun is just ended.
        await until(lambda: is_listening(site, listeners + 1), START_SECONDS)
        listening.cancel()

    async def is_forgotten() -> bool:
        return not await site.rows("select from sessions where account_id = $1", UUID(gone.id))

    await until(is_forgotten, 30)
    assert await second.stop() == 0
    assert second.errors() == []
    assert Counter(event.kind.name for event in told) == {"JOB_EXPIRED": DUE + 1, "JOB_EXPIRES_SOON": DUE_SOON + 1}
    assert {event.actor_id for event in told} == {None}
    kept = await site.rows(KINDS, account_stream(UUID(clara.id)))
    assert Counter((row["subject_id"], row["kind"]) for row in kept) == Counter(
        (event.subject_id, event.kind.name) for event in told
    )
    states = {row["id"]: row["state"] for row in await site.rows(STATES, UUID(clara.id))}
    assert Counter(states.values()) == {"EXPIRED": DUE + 1, "OPEN": DUE_SOON + 2}
    assert {states[event.subject_id] for event in told if event.kind.name == "JOB_EXPIRED"} == {"EXPIRED"}

    # An expired job takes no proposals until it is renewed.
    assert await fritz.code("submitProposal", jobId=late, **offer()) == "JOB_CLOSED"
    renewed = await clara.does("renewJob", jobId=late)
    assert renewed["state"] == "OPEN"
    await fritz.does("submitProposal", jobId=late, **offer())


async def count_listeners(site: Site) -> int:
    """How many processes hear the bell."""
    async with redis.asyncio.Redis.from_url(site.told["REDIS_URL"]) as client:
        ((_, count),) = await client.pubsub_numsub(site.told["WORKUP_CHANNEL_PREFIX"])
        return int(count)


async def is_listening(site: Site, count: int) -> bool:
    return await count_listeners(site) >= count


async def grow_old(house: House, client: Person) -> None:
    """Let a client have many jobs whose time is over, or soon will be."""
    now = house.clock()
    by = Account(id=UUID(hex=client.id), roles=["CLIENT"])
    days = [-1] * DUE + [3] * DUE_SOON
    async with house.database.writing.begin() as work:
        work.add_all(
            make.job(by, published_at=now + timedelta(days=day - 30), expires_at=now + timedelta(days=day))
            for day in days
        )
