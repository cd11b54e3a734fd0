"""The gate lets in whom it is told to, as many as it is told to, and costs next to nothing."""

import asyncio
import random

import pytest

from models.control import (
    STEERED,
    CommandDisabled,
    Desired,
    Kind,
    Overloaded,
    Service,
    ServiceFrozen,
)
from ops.gate import ROUTES_MAX, HouseGate
from ops.logs import SERVICE

COMMANDS = {
    "jobs": Service.JOBS,
    "publishJob": Service.JOBS,
    "submitProposal": Service.PROPOSALS,
    "signIn": Service.USERS,
    "freelancers": Service.USERS,
    "freeze": Service.CONTROL,
}
JOBS, BOTH = frozenset({"jobs"}), frozenset({"jobs", "submitProposal"})


def wanted(**values) -> Desired:
    """Threads of JOBS, what is frozen, what is deleted."""
    found: dict[tuple[Kind, str], object] = {}
    if "threads" in values:
        found |= {(Kind.THREADS, service): most for service, most in values["threads"].items()}
    found |= {(Kind.FROZEN, service.value): True for service in values.get("frozen", ())}
    found |= {(Kind.DELETED, command): True for command in values.get("deleted", ())}
    return Desired(1, found)


@pytest.fixture
def gate():
    return HouseGate(COMMANDS)


def enters(gate, *commands):
    """Whether an operation comes in at once."""
    return gate.enter(frozenset(commands)) is None


async def test_whoever_finds_room_comes_in_at_once_and_leaves_no_trace(gate):
    assert enters(gate, "jobs")
    assert (gate.running, gate.waiting) == (1, 0)
    gate.leave(JOBS)
    assert (gate.running, gate.waiting) == (0, 0)


async def test_an_operation_of_two_services_takes_a_place_in_each(gate):
    room = gate.enter(BOTH)
    assert room is not None
    await room

    assert [gate.bulkheads[service].running for service in (Service.JOBS, Service.PROPOSALS)] == [1, 1]
    gate.leave(BOTH)
    assert gate.running == 0


async def test_what_is_no_command_just_passes(gate):
    assert enters(gate, "__typename")
    assert enters(gate)
    gate.leave(frozenset({"__typename"}))
    assert gate.running == 0


async def test_who_finds_no_room_waits_her_turn_and_the_line_has_an_end(gate):
    gate.obey(wanted(threads={"JOBS": 1}), 2)
    assert enters(gate, "jobs")
    order: list[int] = []

    async def come(number):
        room = gate.enter(JOBS)
        assert room is not None
        await room
        order.append(number)
        gate.leave(JOBS)

    waiting = [asyncio.create_task(come(number)) for number in range(2)]
    await asyncio.sleep(0)
    assert gate.waiting == 2
    with pytest.raises(Overloaded) as refused:
        await gate.enter(JOBS)
    assert refused.value.retry_after_seconds == 1
    gate.leave(JOBS)
    await asyncio.gather(*waiting)

    assert order == [0, 1]
    assert (gate.running, gate.waiting) == (0, 0)


async def test_without_a_line_the_next_is_refused_at_once(gate):
    gate.obey(wanted(threads={"JOBS": 1}), 0)
    assert enters(gate, "jobs")
    with pytest.raises(Overloaded):
        await gate.enter(JOBS)
    assert enters(gate, "signIn")


async def test_one_service_that_is_full_holds_up_no_other(gate):
    gate.obey(wanted(threads={"JOBS": 1}), 5)
    assert enters(gate, "jobs")
    waiting = asyncio.create_task(gate.enter(JOBS))
    await asyncio.sleep(0)

    assert enters(gate, "submitProposal")
    gate.leave(JOBS)
    await waiting


async def test_more_room_lets_those_in_who_wait_and_less_sends_nobody_out(gate):
    gate.obey(wanted(threads={"JOBS": 1}), 5)
    assert enters(gate, "jobs")
    waiting = [asyncio.create_task(gate.enter(JOBS)) for _ in range(3)]
    await asyncio.sleep(0)

    gate.obey(wanted(threads={"JOBS": 3}), 5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (gate.running, gate.waiting) == (3, 1)
    gate.obey(wanted(threads={"JOBS": 1}), 5)
    for _ in range(2):
        gate.leave(JOBS)
    assert (gate.running, gate.waiting) == (1, 1)
    gate.leave(JOBS)
    await asyncio.gather(*waiting)
    gate.leave(JOBS)


@pytest.mark.parametrize("moment", ["while waiting", "in the moment of being called"])
async def test_who_gives_up_leaves_her_place_to_others(gate, moment):
    gate.obey(wanted(threads={"JOBS": 1}), 5)
    assert enters(gate, "jobs")
    first, second = (asyncio.create_task(gate.enter(JOBS)) for _ in range(2))
    await asyncio.sleep(0)
    if moment == "while waiting":
        first.cancel()
        await asyncio.sleep(0)
        gate.leave(JOBS)
    else:
        gate.leave(JOBS)
        first.cancel()
    await second

    assert first.cancelled() or first.done()
    assert (gate.running, gate.waiting) == (1, 0)


async def test_what_is_frozen_takes_nobody_and_sends_home_who_waits(gate):
    gate.obey(wanted(threads={"JOBS": 1}), 5)
    assert enters(gate, "jobs")
    waiting = asyncio.create_task(gate.enter(JOBS))
    await asyncio.sleep(0)

    gate.obey(wanted(threads={"JOBS": 1}, frozen=[Service.JOBS]), 5)

    with pytest.raises(ServiceFrozen) as refused:
        await waiting
    assert refused.value.retry_after_seconds == 5
    for commands in (JOBS, BOTH):
        with pytest.raises(ServiceFrozen):
            gate.enter(commands)
    assert enters(gate, "submitProposal")
    assert gate.bulkheads[Service.JOBS].running == 1


async def test_what_runs_is_waited_for(gate):
    assert enters(gate, "jobs")
    gate.obey(wanted(frozen=[Service.JOBS]), 5)
    drained = asyncio.create_task(gate.drained([Service.JOBS]))
    await asyncio.sleep(0)
    assert not drained.done()

    gate.leave(JOBS)
    await asyncio.wait_for(drained, 5)


async def test_frozen_wholly_sign_in_and_control_go_on(gate):
    gate.obey(wanted(frozen=STEERED), 5)

    assert gate.is_shut
    assert enters(gate, "signIn")
    assert enters(gate, "freeze")
    with pytest.raises(ServiceFrozen):
        gate.enter(frozenset({"freelancers"}))
    with pytest.raises(ServiceFrozen):
        gate.enter(frozenset({"signIn", "jobs"}))
    await asyncio.wait_for(gate.drained(STEERED), 5)


async def test_a_deleted_command_is_refused_and_its_service_goes_on(gate):
    gate.obey(wanted(deleted=["publishJob"]), 5)

    with pytest.raises(CommandDisabled):
        gate.enter(frozenset({"publishJob", "jobs"}))
    assert enters(gate, "jobs")


async def test_a_subscription_takes_no_place_and_ends_when_it_is_frozen(gate):
    gate.obey(wanted(threads={"JOBS": 1}), 0)
    with gate.follow(JOBS) as ended, gate.follow(JOBS) as other:
        assert enters(gate, "jobs")
        gate.obey(wanted(frozen=[Service.JOBS]), 0)
        assert gate.end_followers([Service.JOBS]) == 2
        assert isinstance(await ended, ServiceFrozen)
        assert isinstance(await other, ServiceFrozen)
    assert not gate.bulkheads[Service.JOBS].followers
    with pytest.raises(ServiceFrozen), gate.follow(JOBS):
        pass


async def test_however_commands_are_combined_little_is_remembered(gate):
    for number in range(3 * ROUTES_MAX):
        assert enters(gate, "jobs", f"odd{number}")
        gate.leave(frozenset({"jobs", f"odd{number}"}))

    assert len(gate._routes) <= ROUTES_MAX
    assert gate.running == 0


async def test_it_is_known_of_which_service_something_is(gate):
    async def of(*commands):
        gate.enter(frozenset(commands))
        return SERVICE.get()

    assert await asyncio.create_task(of("jobs")) is Service.JOBS
    assert await asyncio.create_task(of("signIn")) is Service.USERS
    assert await asyncio.create_task(of()) is Service.ALL


async def test_in_any_order_of_coming_and_going_no_place_is_lost(gate):
    chance = random.Random(3)
    kinds = (JOBS, BOTH, frozenset({"submitProposal"}))
    gate.obey(wanted(threads={"JOBS": 3, "PROPOSALS": 2}), 20)
    most: list[int] = []

    async def visit():
        commands = chance.choice(kinds)
        try:
            if (room := gate.enter(commands)) is not None:
                await room
        except Overloaded:
            return
        try:
            most.append(gate.bulkheads[Service.JOBS].running)
            for _ in range(chance.randint(0, 5)):
                await asyncio.sleep(0)
        finally:
            gate.leave(commands)

    async def change():
        for _ in range(200):
            threads = {"JOBS": chance.randint(1, 4), "PROPOSALS": chance.randint(1, 4)}
            gate.obey(wanted(threads=threads), chance.randint(0, 20))
            await asyncio.sleep(0)

    visitors = [asyncio.create_task(visit()) for _ in range(50)]
    changing = asyncio.create_task(change())
    while not changing.done():
        visitors += [asyncio.create_task(visit()) for _ in range(5)]
        chance.choice(visitors).cancel()
        await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(*visitors, return_exceptions=True), 20)

    assert (gate.running, gate.waiting) == (0, 0)
    assert max(most) <= 4
