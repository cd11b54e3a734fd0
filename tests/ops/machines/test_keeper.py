"""Keepers find what is wanted, make it, watch over it and end it, whoever dies in between."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

import resolvers.machines
from models.config import Config
from models.control import NodeKind, Order
from models.machines import (
    DRAIN_SECONDS,
    KEEPER_SILENT,
    NOTICE_SECONDS,
    START_SECONDS,
    UNBEGUN,
    Keeper,
    Machine,
    MachineState,
)
from ops.app import House, wall_clock
from ops.leaving import leave_when_told
from ops.machines import Away, CannotSpawn
from ops.machines.keeper import MachineKeeper
from tests import make
from tests.ops.machines.conftest import SECONDS, Yard

S = MachineState
AT_ONCE = Order(timeout_seconds=0)


@pytest.fixture
async def keeping(house, settings):
    """Start keepers, each with a house of its own over the one database."""
    async with AsyncExitStack() as doors:

        async def start(yard, balancer=None, **more):
            made = House.of(replace(settings, db_connections=3), house.clock.world)
            await doors.enter_async_context(made.open())
            keeper = MachineKeeper(made, [yard], balancer, **more)
            await doors.enter_async_context(keeper.at_work())
            # It looks at once, and says that it is there.
            await until(lambda: is_enlisted(house, keeper))
            return keeper

        yield start


async def is_enlisted(house, keeper):
    async with house.database.reading() as session:
        return await session.get(Keeper, keeper._keeper.id) is not None


async def until(holds):
    async with asyncio.timeout(SECONDS):
        while not (found := await holds()):  # noqa: ASYNC110 - the database sets no event of ours
            await asyncio.sleep(0.01)
        return found


@pytest.fixture
def ctx(as_, people):
    return as_(people.admin)


@pytest.fixture
def becomes(stored):
    async def wait(machine, *states):
        async def there():
            now = await stored(machine)
            return now if now.state in states else None

        return await until(there)

    return wait


async def spawned(ctx, count=1):
    return await resolvers.machines.spawn(ctx, AT_ONCE, provider="process", count=count)


# Making


async def test_a_machine_that_is_asked_for_is_made_and_gets_traffic_when_it_takes_it(
    keeping, yard, balancer, ctx, becomes
):
    yard.is_ready = False
    await keeping(yard, balancer)

    (machine,) = await spawned(ctx)
    await becomes(machine, S.STARTING)
    await until(lambda: asyncio.sleep(0, yard.made == [machine.id]))
    assert balancer.joined == []

    yard.is_ready = True
    ready = await becomes(machine, S.READY)

    assert ready.handle == "number 1"
    assert balancer.joined == [ready.address]


async def test_who_asks_may_wait_for_them(keeping, yard, ctx):
    await keeping(yard)

    made = await resolvers.machines.spawn(ctx, Order(timeout_seconds=SECONDS), provider="process", count=3)

    assert [machine.state for machine in made] == [S.READY] * 3
    assert sorted(yard.made) == sorted(machine.id for machine in made)


@pytest.mark.parametrize("cause", ["cannot", "falls over", "takes too long"])
async def test_a_machine_that_does_not_come_to_take_traffic_has_failed_and_leaves_nothing(
    keeping, yard, balancer, ctx, becomes, monkeypatch, cause
):
    yard.is_ready = False
    words = {"cannot": "There is no room.", "falls over": "It fell over.", "takes too long": "It took no traffic after"}
    if cause == "cannot":
        monkeypatch.setattr(yard, "spawn", refusing(CannotSpawn(words[cause])))
    if cause == "takes too long":
        monkeypatch.setattr("ops.machines.keeper.START_SECONDS", replace(START_SECONDS, name="none", default=0))
    await keeping(yard, balancer)

    (machine,) = await spawned(ctx)
    if cause == "falls over":
        await until(lambda: asyncio.sleep(0, yard.there))
        yard.there.clear()
    failed = await becomes(machine, S.FAILED)

    assert failed.failure.startswith(words[cause])
    assert not yard.there
    assert balancer.joined == []


def refusing(error):
    async def refuse(*_):
        raise error

    return refuse


async def test_a_provider_that_is_away_is_tried_again(keeping, yard, ctx, becomes):
    yard.trouble = Away("nobody answers")
    await keeping(yard)

    (machine,) = await spawned(ctx)
    await becomes(machine, S.STARTING)
    yard.trouble = None

    await becomes(machine, S.READY)
    assert yard.made == [machine.id]


async def test_two_keepers_make_each_machine_once(keeping, yard, ctx, becomes):
    other = Yard()
    await keeping(yard)
    await keeping(other)

    made = await spawned(ctx, 4)
    for machine in made:
        await becomes(machine, S.READY)

    assert sorted(yard.made + other.made) == sorted(machine.id for machine in made)
    other.close()


async def test_what_nobody_begins_with_has_failed(keeping, yard, keep, becomes):
    late = await keep(make.machine(S.WANTED, provider="ec2", wanted_at=wall_clock() - UNBEGUN - timedelta(seconds=1)))
    lately = await keep(make.machine(S.WANTED, provider="ec2"))

    await keeping(yard)

    assert (await becomes(late, S.FAILED)).failure == "Nobody was there to make it."
    assert (await becomes(lately, S.WANTED)).failure is None


# Watching


async def test_a_machine_that_ends_by_itself_is_noted_with_what_is_known(keeping, yard, balancer, ctx, becomes):
    await keeping(yard, balancer)
    (machine,) = await spawned(ctx)
    ready = await becomes(machine, S.READY)

    yard.there.clear()
    await ctx.hub.ring(resolvers.machines.CHANNEL, "look")
    gone = await becomes(machine, S.GONE)

    assert gone.failure == "It fell over."
    await until(lambda: asyncio.sleep(0, balancer.left == [ready.address]))


async def test_a_machine_that_was_made_after_all_is_ended(keeping, yard, keep):
    given_up, strange = await keep(make.machine(S.FAILED)), make.machine()
    await yard.spawn(given_up.id)
    await yard.spawn(strange.id)

    await keeping(yard)

    await until(lambda: asyncio.sleep(0, [machine for machine, _ in yard.ended] == [given_up.id]))
    assert list(yard.there) == [strange.id]


# Ending


async def test_a_retired_machine_gets_nothing_new_before_it_is_ended(keeping, yard, balancer, ctx, becomes):
    await keeping(yard, balancer)
    first, _ = [await becomes(machine, S.READY) for machine in await spawned(ctx, 2)]
    balancer.clear.clear()

    await resolvers.machines.retire(ctx, AT_ONCE, machine_id=first.id)
    await until(lambda: asyncio.sleep(0, balancer.left == [first.address]))
    assert yard.ended == []

    balancer.clear.set()
    gone = await becomes(first, S.GONE)
    assert [machine for machine, _ in yard.ended] == [first.id]
    assert gone.failure is None


async def test_a_machine_that_does_not_finish_is_ended_all_the_same_and_that_is_said(
    keeping, yard, balancer, ctx, becomes, monkeypatch
):
    monkeypatch.setattr("ops.machines.keeper.DRAIN_SECONDS", replace(DRAIN_SECONDS, name="none", default=0))
    await keeping(yard, balancer)
    first, _ = [await becomes(machine, S.READY) for machine in await spawned(ctx, 2)]
    balancer.clear.clear()

    await resolvers.machines.retire(ctx, AT_ONCE, machine_id=first.id)
    gone = await becomes(first, S.GONE)

    assert gone.failure == "It had not finished after 0 s, and was ended."
    assert yard.ended == [(first.id, 1.0)]


async def test_a_machine_that_is_sent_away_while_it_is_made_never_gets_traffic(keeping, yard, balancer, ctx, becomes):
    yard.is_ready = False
    await keeping(yard, balancer)
    (machine,) = await spawned(ctx)
    await until(lambda: asyncio.sleep(0, yard.there))

    await resolvers.machines.retire(ctx, AT_ONCE, machine_id=machine.id)
    gone = await becomes(machine, S.GONE)

    assert gone.ready_at is None
    assert balancer.joined == []
    assert not yard.there


async def test_a_machine_that_sees_to_finishing_itself_is_waited_for(keeping, house, ctx, becomes, keep, monkeypatch):
    yard = Yard(drains_itself=True)
    await keeping(yard)
    first, _ = [await becomes(machine, S.READY) for machine in await spawned(ctx, 2)]
    node = await keep(make.server_node("there/0", NodeKind.WEB, machine_id=first.id, in_flight=3))
    told = []
    monkeypatch.setattr(house.tuning, "config", Config({NOTICE_SECONDS.name: 0}))

    async def drain():
        told.append("drain")

    itself = asyncio.create_task(leave_when_told(house, first.id, unready=lambda: told.append("unready"), drain=drain))
    await resolvers.machines.retire(ctx, AT_ONCE, machine_id=first.id)
    await itself
    assert told == ["unready", "drain"]
    # It has said so, but one of its processes is still at something.
    assert yard.ended == []

    async with house.database.writing.begin() as work:
        (await work.get_one(type(node), node.id)).in_flight = 0
    await becomes(first, S.GONE)
    assert [machine for machine, _ in yard.ended] == [first.id]
    yard.close()


# Keepers that die


async def silence(house, keeper):
    """Let a keeper not have been heard for long; it does not know of that."""
    async with house.database.writing.begin() as work:
        long_ago = house.clock.wall() - KEEPER_SILENT - timedelta(seconds=1)
        await work.execute(sa.update(Keeper).where(Keeper.id == keeper.id).values(seen_at=long_ago))


async def test_another_keeper_goes_on_with_what_a_dead_one_began(house, keeping, yard, keep, becomes):
    dead = await keep(make.keeper())
    await silence(house, dead)
    machines = await keep(*(make.machine(state, dead) for state in (S.STARTING, S.READY, S.RETIRING)))
    for machine in machines:
        await yard.spawn(machine.id)

    await keeping(yard)

    starting, ready, retiring = machines
    assert (await becomes(starting, S.READY)).address == yard.there[starting.id].address
    assert (await becomes(ready, S.READY)).ended_at is None
    await becomes(retiring, S.GONE)
    assert yard.made == [machine.id for machine in machines]
    assert [machine for machine, _ in yard.ended] == [retiring.id]


async def test_what_was_bound_to_a_dead_keeper_is_gone(house, keeping, keep, becomes):
    yard = Yard("other")
    dead = await keep(make.keeper())
    await silence(house, dead)
    machine = await keep(make.machine(S.READY, dead, dies_with_keeper=True))

    await keeping(yard)

    assert (await becomes(machine, S.GONE)).failure == "It ended with the process that kept it."


async def test_a_keeper_that_was_taken_for_dead_comes_back_to_what_is_bound_to_it(house, keeping, ctx, becomes):
    yard, other = Yard(dies_with_us=True), Yard("other")
    keeper = await keeping(yard)
    (machine,) = await spawned(ctx)
    await becomes(machine, S.READY)

    # Others forget it while it sleeps.
    async with house.database.writing.begin() as work:
        await work.execute(sa.delete(Keeper).where(Keeper.id == keeper._keeper.id))
    await keeping(other)
    await ctx.hub.ring(resolvers.machines.CHANNEL, "look")

    async def is_kept_again():
        async with house.database.reading() as session:
            now = await session.get_one(Machine, machine.id)
            return now.state is S.READY and now.keeper_id == keeper._keeper.id

    await until(is_kept_again)
    assert yard.made == [machine.id]
    assert yard.ended == []
    yard.close()
    other.close()


async def test_a_keeper_that_stops_says_so_and_leaves_what_outlives_it(house, settings, keep, stored):
    async with House.of(replace(settings, db_connections=3), house.clock.world).open() as own:
        bound, free = Yard(dies_with_us=True), Yard("cloud")
        async with MachineKeeper(own, [bound, free]).at_work() as keeper:
            await until(lambda: is_enlisted(house, keeper))
            row = keeper._keeper
            mine = make.machine(S.READY, row, dies_with_keeper=True)
            theirs = make.machine(S.READY, row, provider="cloud")
            # First: one that is kept and not there has fallen over.
            await free.spawn(theirs.id)
            await bound.spawn(mine.id)
            await keep(mine, theirs)

    gone, left = await stored(mine), await stored(theirs)
    assert (gone.state, gone.failure) == (S.GONE, "It was stopped with the process that kept it.")
    assert (left.state, left.keeper_id) == (S.READY, None)
    assert not await is_enlisted(house, keeper)
    bound.close()
    free.close()
