"""Nodes do what is wanted of them, say so, and miss nothing for good."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import sqlalchemy as sa

import resolvers.control
from models.control import (
    Acknowledgement,
    AckState,
    AlreadyFrozen,
    CommandDisabled,
    CommandStays,
    Kind,
    Level,
    NodeKind,
    NodeState,
    Order,
    Ruling,
    ServerNode,
    Service,
    ServiceFrozen,
    TooManyConnections,
)
from models.errors import Stale
from models.jobs import OPEN_DAYS
from ops import control, logs
from ops.app import House
from ops.control import Agent
from ops.health import Health
from tests import make

JOB, JOBS, SIGN_IN = frozenset({"publishJob"}), frozenset({"jobs"}), frozenset({"signIn"})


@pytest.fixture
async def begin(house: House, settings) -> AsyncIterator[Callable[..., object]]:
    """Start nodes, each a house of its own over the one database."""
    async with AsyncExitStack() as doors:

        async def start(name: str = "node", *, with_bell: bool = True) -> Agent:
            made = House.of(replace(settings, db_connections=3), house.clock.world)
            await doors.enter_async_context(made.open(with_bell=with_bell))
            agent = Agent(made, NodeKind.WEB, name=name, address="http://here")
            return await doors.enter_async_context(agent.at_work())

        yield start


@pytest.fixture
def ctx(as_, people):
    return as_(people.admin)


async def said_of(house, message) -> dict[str, Acknowledgement]:
    async with house.database.reading() as session:
        found = await session.scalars(sa.select(Acknowledgement).where(Acknowledgement.message_id == message.id))
        return {one.node_name: one for one in found}


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def test_every_node_does_what_is_wanted_and_says_so_before_the_answer_comes(begin, ctx, house):
    nodes = [await begin() for _ in range(3)]

    message = await resolvers.control.set_option(ctx, Order(), name="jobs.open_days", value="7")

    said = await said_of(house, message)
    assert sorted(said) == ["node/0", "node/1", "node/2"]
    assert {one.state for one in said.values()} == {AckState.APPLIED}
    assert [node.house.tuning.config[OPEN_DAYS] for node in nodes] == [7, 7, 7]
    assert nodes[0].house.context().config[OPEN_DAYS] == 7


async def test_each_thing_that_may_be_wanted_is_done(begin, ctx):
    node = await begin()
    gate = node.house.gate

    await resolvers.control.set_max_threads(ctx, Order(), service=Service.JOBS, most=2)
    await resolvers.control.set_max_db_connections(ctx, Order(), connections=7)
    await resolvers.control.set_logging_level(ctx, Order(), service=Service.JOBS, level=Level.ERROR)
    await resolvers.control.delete_command(ctx, Order(), command="publishJob")
    assert gate.bulkheads[Service.JOBS].most == 2
    assert node.house.database.size == 7
    assert (logs.LEVELS.of(Service.JOBS), logs.LEVELS.of(Service.USERS)) == (40, 20)
    with pytest.raises(CommandDisabled):
        gate.enter(JOB)
    assert gate.enter(JOBS) is None
    gate.leave(JOBS)

    await resolvers.control.add_command(ctx, Order(), command="publishJob")
    await resolvers.control.set_logging_level(ctx, Order(), service=Service.ALL, level=Level.INFO)
    assert gate.enter(JOB) is None
    gate.leave(JOB)
    assert logs.LEVELS.of(Service.JOBS) == 20


async def test_a_node_that_starts_later_does_what_is_wanted_before_anything_else(begin, ctx):
    await resolvers.control.set_option(ctx, Order(), name="jobs.open_days", value="7")
    await resolvers.control.freeze(ctx, Order(), service=Service.MEDIA)

    node = await begin()

    assert node.house.tuning.config[OPEN_DAYS] == 7
    assert not node.house.gate.is_open(Service.MEDIA)
    assert node.desired.version == 2


async def test_a_node_without_a_bell_looks_all_the_same(begin, ctx, house, monkeypatch):
    monkeypatch.setattr(control, "POLL_SECONDS", 0.05)
    node = await begin(with_bell=False)

    message = await resolvers.control.set_max_threads(ctx, Order(), service=Service.JOBS, most=2)

    assert node.house.gate.bulkheads[Service.JOBS].most == 2
    assert (await said_of(house, message))["node/0"].state is AckState.APPLIED


async def test_what_is_wanted_of_one_node_is_done_by_it_alone(begin, ctx, house):
    one, other = await begin(), await begin()

    order = Order(node_id=one.node.id)
    message = await resolvers.control.set_max_threads(ctx, order, service=Service.JOBS, most=2)
    assert list(await said_of(house, message)) == ["node/0"]
    assert [node.house.gate.bulkheads[Service.JOBS].most for node in (one, other)] == [2, 1_000]

    await resolvers.control.set_max_threads(ctx, Order(), service=Service.JOBS, most=9)
    assert [node.house.gate.bulkheads[Service.JOBS].most for node in (one, other)] == [9, 9]


async def test_of_two_who_want_something_at_once_one_is_told(begin, ctx, as_, keep):
    await begin()
    other = as_(await keep(make.admin()))
    order = Order(version=0)

    both = await asyncio.gather(
        resolvers.control.set_max_threads(ctx, order, service=Service.JOBS, most=2),
        resolvers.control.set_max_threads(other, order, service=Service.JOBS, most=3),
        return_exceptions=True,
    )

    (stale,) = [answer for answer in both if isinstance(answer, Stale)]
    assert stale.current.version == 1


async def test_a_node_that_does_not_answer_is_named_and_does_it_when_it_can(begin, ctx, house, monkeypatch):
    node, silent = await begin(), await begin()

    async def deaf() -> None:
        raise OSError("cut off")

    monkeypatch.setattr(silent, "look", deaf)
    message = await resolvers.control.set_max_threads(ctx, Order(timeout_seconds=1), service=Service.JOBS, most=2)
    said = await said_of(house, message)
    assert (said["node/0"].state, said["node/1"].state) == (AckState.APPLIED, AckState.PENDING)
    second = await resolvers.control.set_max_threads(ctx, Order(timeout_seconds=0), service=Service.JOBS, most=3)
    assert silent.house.gate.bulkheads[Service.JOBS].most == 1_000

    monkeypatch.undo()
    await until(lambda: silent.house.gate.bulkheads[Service.JOBS].most == 3)
    await until(lambda: silent.desired.version == 2 and not silent._is_behind)

    for each in (message, second):
        assert (await said_of(house, each))["node/1"].state is AckState.APPLIED
    assert node.desired.version == 2


# Freezing


async def test_freezing_lets_what_runs_end_and_then_says_so(begin, ctx, house):
    node = await begin()
    gate = node.house.gate
    assert gate.enter(JOBS) is None
    with gate.follow(frozenset({"proposalChanged"})) as ended:
        asked = asyncio.create_task(resolvers.control.freeze(ctx, Order(), service=Service.ALL))
        await until(lambda: not gate.is_open(Service.JOBS))
        with pytest.raises(ServiceFrozen):
            gate.enter(JOB)
        assert isinstance(await asyncio.wait_for(ended, 5), ServiceFrozen)
        assert not asked.done()
        gate.leave(JOBS)
        message = await asked

    said = (await said_of(house, message))["node/0"]
    assert said.state is AckState.APPLIED
    assert said.detail.startswith("1 operations ended, 1 subscriptions were told, 0 that waited were sent home, in ")


async def test_frozen_wholly_it_has_no_connections_and_yet_can_be_started_again(begin, ctx):
    node = await begin()
    async with node.house.database.reading() as session:
        await session.execute(sa.text("select 1"))
    assert node.house.database.pool.checkedin() == 1

    await resolvers.control.freeze(ctx, Order(), service=Service.ALL)
    assert (node.house.database.pool.checkedin(), node.house.gate.is_shut) == (0, True)
    assert node.house.database_for(SIGN_IN) is node.house.reserve
    assert node.house.gate.enter(SIGN_IN) is None
    node.house.gate.leave(SIGN_IN)

    await resolvers.control.start(ctx, Order(), service=Service.ALL)
    assert not node.house.gate.is_shut
    assert node.house.gate.enter(JOBS) is None
    node.house.gate.leave(JOBS)


async def test_what_does_not_end_in_time_is_said_and_goes_on(begin, ctx, house):
    node = await begin()
    await resolvers.control.set_option(ctx, Order(), name="control.drain_seconds", value="1")
    assert node.house.gate.enter(JOBS) is None

    message = await resolvers.control.freeze(ctx, Order(), service=Service.JOBS)

    said = (await said_of(house, message))["node/0"]
    assert said.state is AckState.FAILED
    assert said.detail == "frozen, but 1 of 1 operations still run after 1 s"
    node.house.gate.leave(JOBS)


async def test_who_changes_her_mind_while_it_drains_is_answered_twice(begin, ctx, house):
    node = await begin()
    assert node.house.gate.enter(JOBS) is None
    asked = asyncio.create_task(resolvers.control.freeze(ctx, Order(), service=Service.JOBS))
    await until(lambda: not node.house.gate.is_open(Service.JOBS))

    started = await resolvers.control.start(ctx, Order(), service=Service.JOBS)
    frozen = await asyncio.wait_for(asked, 5)

    assert node.house.gate.is_open(Service.JOBS)
    for message in (frozen, started):
        assert (await said_of(house, message))["node/0"].state is AckState.APPLIED
    node.house.gate.leave(JOBS)


# What is refused


async def test_freezing_what_is_frozen_is_refused(ctx, refuses):
    await resolvers.control.freeze(ctx, Order(), service=Service.JOBS)

    async with refuses(AlreadyFrozen):
        await resolvers.control.freeze(ctx, Order(), service=Service.JOBS)


@pytest.mark.parametrize("command", ["signIn", "refresh", "freeze", "start", "control", "addCommand"])
async def test_sign_in_and_control_cannot_be_deleted(command, ctx, refuses):
    async with refuses(CommandStays):
        await resolvers.control.delete_command(ctx, Order(), command=command)


async def test_control_cannot_be_frozen(ctx, refuses):
    async with refuses(CommandStays):
        await resolvers.control.freeze(ctx, Order(), service=Service.CONTROL)


async def test_more_connections_than_postgres_gives_are_refused_with_the_figures(ctx, keep, refuses):
    await keep(*(make.server_node(f"here/{number}") for number in range(60)))

    async with refuses(TooManyConnections) as refused:
        await resolvers.control.set_max_db_connections(ctx, Order(), connections=100)

    assert refused.value.message.startswith("60 nodes would open 6180 connections, 3 each of them for control;")


# Nodes


async def test_a_process_takes_the_place_of_a_dead_one_and_knows_what_was_wanted(begin, ctx, house, keep):
    dead = await keep(make.server_node("node/0", host="elsewhere", seen_at=house.clock.wall().replace(year=2020)))
    await resolvers.control.set_max_threads(ctx, Order(timeout_seconds=0), service=Service.JOBS, most=4)

    node = await begin()

    assert node.node.id == dead.id
    assert node.house.gate.bulkheads[Service.JOBS].most == 4


async def test_a_node_that_ends_says_so(house, settings):
    made = House.of(settings, house.clock.world)
    async with made.open():
        async with Agent(made, NodeKind.WORKER, name="short").at_work() as agent:
            assert agent.is_steered
        async with house.database.reading() as session:
            (node,) = (await session.scalars(sa.select(ServerNode).where(ServerNode.name == "short/0"))).all()
    assert node.state is NodeState.STOPPED


async def test_a_node_says_how_it_fares(begin, house):
    node = await begin()
    assert node.house.gate.enter(JOBS) is None
    await node.look()
    async with house.database.reading() as session:
        row = await session.get_one(ServerNode, node.node.id)
    node.house.gate.leave(JOBS)

    assert (row.in_flight, row.waiting, row.connections) == (1, 0, 3)
    assert row.figures["services"]["JOBS"] == {"running": 1, "waiting": 0, "followers": 0}


async def test_what_a_newer_release_wanted_is_passed_over(begin, keep, ctx):
    await resolvers.control.set_max_threads(ctx, Order(), service=Service.JOBS, most=4)
    await keep(
        Ruling(kind=Kind.OPTION, subject="jobs.of_tomorrow", node_id=None, value=7, version=1),
        Ruling(kind=Kind.OPTION, subject="jobs.open_days", node_id=None, value=10**6, version=1),
    )

    node = await begin()

    assert node.house.tuning.config[OPEN_DAYS] == 30


async def test_frozen_wholly_a_node_is_unready_and_started_again_it_is_ready(begin, ctx):
    node = await begin()
    health = Health(node.house.database, None, node.house.depot.storage, node)
    assert await health.problems() == []

    await resolvers.control.freeze(ctx, Order(), service=Service.ALL)
    assert await health.problems() == ["frozen"]
    await resolvers.control.start(ctx, Order(), service=Service.ALL)
    assert await health.problems() == []


async def test_control_needs_no_place_in_a_pool_that_is_full(begin, ctx, house):
    node = await begin()
    await resolvers.control.set_max_db_connections(ctx, Order(), connections=1)
    async with node.house.database.reading() as kept:
        await kept.execute(sa.text("select 1"))

        message = await resolvers.control.set_max_threads(ctx, Order(), service=Service.JOBS, most=2)

    assert (await said_of(house, message))["node/0"].state is AckState.APPLIED
    assert node.house.database_for(frozenset({"setMaxThreads", "control"})) is node.house.reserve
    assert node.house.database_for(frozenset({"control", "jobs"})) is node.house.database
