"""Asking for machines, and sending them away."""

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa

import resolvers.machines
from models.config import Config
from models.control import AuditEntry, Order, TooManyConnections
from models.errors import Forbidden, Invalid, NotFound, Unauthenticated
from models.machines import (
    FleetChanged,
    LastMachine,
    Machine,
    MachineGone,
    MachineState,
    TooManyMachines,
    UnknownProvider,
)
from models.scaling import MOST
from resolvers.machines import CHANNEL
from tests import make

S = MachineState
AT_ONCE = Order(why="a rush", timeout_seconds=0)


@pytest.fixture
def ctx(as_, people):
    return as_(people.admin)


@pytest.fixture
async def keeper(keep):
    return await keep(make.keeper())


async def spawn(ctx, count=1, provider="process", **more):
    return await resolvers.machines.spawn(ctx, AT_ONCE, provider=provider, count=count, **more)


async def retire(ctx, machine, **more):
    return await resolvers.machines.retire(ctx, AT_ONCE, machine_id=machine.id, **more)


async def entries(house):
    async with house.database.reading() as session:
        return (await session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id))).all()


# Kept and told


@pytest.mark.usefixtures("keeper")
async def test_machines_that_are_asked_for_are_kept_and_keepers_hear_of_it(ctx, house, stored, hears):
    async with hears(CHANNEL):
        made = await spawn(ctx, 2)

    assert [(await stored(one)).state for one in made] == [S.WANTED, S.WANTED]
    (entry,) = await entries(house)
    assert (entry.deed, entry.actor, entry.why, entry.before) == (
        "SPAWN_MACHINE",
        ctx.viewer.email,
        "a rush",
        {"machines": 0},
    )


async def test_a_machine_that_is_sent_away_retires_and_its_keeper_hears_of_it(ctx, house, keep, keeper, stored, hears):
    machine, _ = await keep(make.machine(S.READY, keeper), make.machine(S.READY, keeper))

    async with hears(CHANNEL):
        answered = await retire(ctx, machine)

    assert answered.state is S.RETIRING
    assert (await stored(machine)).retired_at is not None
    (entry,) = await entries(house)
    assert (entry.deed, entry.subject) == ("RETIRE_MACHINE", str(machine.id))


# Refused


async def test_nobody_but_an_administrator_asks_for_machines(as_, people, keeper, keep, refuses):
    machine = await keep(make.machine(S.STARTING, keeper))

    for ctx, refusal in ((as_(people.client), Forbidden), (as_(None), Unauthenticated)):
        async with refuses(refusal):
            await spawn(ctx)
        async with refuses(refusal):
            await retire(ctx, machine)


@pytest.mark.parametrize("count", [0, -1, 11, 2**31])
@pytest.mark.usefixtures("keeper")
async def test_no_machines_and_too_many_at_once_are_refused(ctx, refuses, count):
    async with refuses(Invalid):
        await spawn(ctx, count)


@pytest.mark.usefixtures("keeper")
async def test_a_provider_that_nobody_has_is_refused(ctx, refuses):
    async with refuses(UnknownProvider):
        await spawn(ctx, provider="basement")


@pytest.mark.usefixtures("keeper")
async def test_more_machines_than_may_be_are_refused(ctx, refuses):
    async with refuses(TooManyMachines):
        await spawn(ctx, 5)


@pytest.mark.usefixtures("keeper")
async def test_machines_that_postgres_has_no_connections_for_are_refused(ctx, keep, refuses):
    await keep(make.server_node("big/0", connections=100), make.server_node("bigger/0", connections=70))
    many = replace(ctx, config=Config({MOST.name: 100}))

    async with refuses(TooManyConnections):
        await spawn(many, 10)


async def test_a_machine_that_is_not_there_is_refused(ctx, refuses):
    async with refuses(NotFound):
        await retire(ctx, make.machine())


async def test_a_machine_that_is_gone_is_refused(ctx, keep, refuses):
    gone = await keep(make.machine(S.GONE))

    async with refuses(MachineGone):
        await retire(ctx, gone)


async def test_the_last_machine_that_takes_traffic_is_not_sent_away(ctx, keep, refuses):
    last, *_ = await keep(make.machine(S.READY), make.machine(S.STARTING), make.machine(S.RETIRING))

    async with refuses(LastMachine):
        await retire(ctx, last)


@pytest.mark.usefixtures("keeper")
async def test_a_reason_that_is_a_book_is_refused(ctx, refuses):
    async with refuses(Invalid):
        await resolvers.machines.spawn(ctx, Order(why="x" * 501), provider="process", count=1)


# At once


async def test_of_two_who_send_the_last_two_away_at_once_one_is_refused(ctx, keep, stored):
    machines = await keep(make.machine(S.READY), make.machine(S.READY))

    answers = await asyncio.gather(*(retire(ctx, machine) for machine in machines), return_exceptions=True)

    assert sorted(type(answer).__name__ for answer in answers) == ["LastMachine", "Machine"]
    states = {(await stored(machine)).state for machine in machines}
    assert states == {S.READY, S.RETIRING}


@pytest.mark.usefixtures("keeper")
async def test_however_many_ask_at_once_there_are_no_more_than_may_be(ctx, house):
    answers = await asyncio.gather(*(spawn(ctx) for _ in range(8)), return_exceptions=True)

    assert sum(isinstance(answer, TooManyMachines) for answer in answers) == 4
    async with house.database.reading() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Machine)) == 4


async def test_who_decided_by_what_is_no_longer_so_is_refused(ctx, keep, keeper, refuses):
    seen = (await resolvers.machines.watch(ctx, provider="process")).fleet
    machine, _ = await keep(make.machine(S.READY, keeper), make.machine(S.READY, keeper))

    async with refuses(FleetChanged):
        await spawn(ctx, seen=seen)
    async with refuses(FleetChanged):
        await retire(ctx, machine, seen=seen)
