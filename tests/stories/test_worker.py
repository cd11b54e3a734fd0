"""What happens by itself while people do something else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import asyncpg
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


TAKEN_OVER_SECONDS = 90.0
"""Thirty for a worker that says nothing any more, and a busy machine's time for the rest."""
WAITING = """
    select count(*) as count from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
"""
BOOKED = "select kind, count(*) as count from journals where kind in ('SETTLE', 'RELEASE', 'DEPOSIT') group by kind"
MONEY = "{ viewer { wallet { funds { amount } available { amount } pending { amount } escrowed { amount } } } }"


async def test_what_a_worker_was_killed_in_the_middle_of_is_done_once_by_another(sandbox: Site):
    assert sandbox.worker is not None
    root = await Person.registered(sandbox.a, "CLIENT", name="Root")
    await sandbox.rows("update accounts set roles = array['ADMIN'] where id = $1", UUID(root.id))
    clara = await Person.registered(sandbox.a, "CLIENT")
    fritz = await Person.registered(sandbox.b, "FREELANCER")
    await sandbox.worker.stop()
    contract = await worked_for(clara, fritz)
    lost = await clara.does("deposit", amount={"amount": "20.00"}, method="sandbox-time-out")
    assert lost["state"] == "REQUESTED"
    bonus = await clara.does("payBonus", contractId=contract, amount={"amount": "50.00"})
    before = await money_of(clara), await money_of(fritz)

    await root.does("advanceClock", days=15)
    async with in_the_middle(sandbox, clara, fritz):
        sandbox.worker.start()
        # Its payment is to be settled, its work to be accepted, and its transfer to be booked.
        await until(lambda: are_waiting(sandbox, 3), START_SECONDS)
        await sandbox.worker.kill()
    assert (await money_of(clara), await money_of(fritz)) == before
    sandbox.worker.start()

    async def is_done() -> bool:
        booked = {row["kind"]: row["count"] for row in await sandbox.rows(BOOKED)}
        return booked == {"DEPOSIT": 2, "RELEASE": 1, "SETTLE": 1}

    await until(is_done, TAKEN_OVER_SECONDS)
    net = f"{Decimal(bonus['amount']['amount']) - Decimal(bonus['freelancerFee']['amount']):.2f}"
    funds, *rest = await money_of(clara)
    assert (Decimal(funds), rest) == (Decimal(before[0][0]) + 20, ["0.00", "0.00", "0.00"])
    assert await money_of(fritz) == ["0.00", net, "270.00", "0.00"]
    assert await root.ask("{ ledgerAudit { wrong { problem } } }") == {"ledgerAudit": {"wrong": None}}


async def worked_for(client: Person, freelancer: Person) -> str:
    """A contract whose first part is handed in, and paid for in advance."""
    job_id = await published(client)
    await client.does("inviteFreelancer", jobId=job_id, freelancerId=f"freelancer_{freelancer.id}")
    proposal = await freelancer.does("submitProposal", jobId=job_id, **offer())
    contract = await client.does("acceptProposal", proposalId=proposal["id"])
    part = {"milestoneId": contract["milestones"][0]["id"]}
    await client.does("deposit", amount={"amount": "1000.00"}, method="sandbox-succeed")
    await client.does("fundMilestone", **part)
    await freelancer.does("startMilestone", **part)
    await freelancer.does("submitMilestone", **part, message="Done.")
    contract_id: str = contract["id"]
    return contract_id


async def money_of(who: Person) -> list[str]:
    """What somebody may spend, may withdraw, will be able to withdraw, and has put aside."""
    wallet = (await who.ask(MONEY))["viewer"]["wallet"]
    return [part["amount"] for part in wallet.values()]


@asynccontextmanager
async def in_the_middle(site: Site, *owners: Person) -> AsyncIterator[None]:
    """Keep whoever moves money of these people waiting, with the half of it done, until the block ends."""
    connection = await asyncpg.connect(site.told["DATABASE_URL"].replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            await connection.execute(
                "select from ledger_accounts where owner_id = any ($1) order by id for update",
                [UUID(owner.id) for owner in owners],
            )
            yield
    finally:
        await connection.close()


async def are_waiting(site: Site, count: int) -> bool:
    (row,) = await site.rows(WAITING)
    return bool(row["count"] == count)
