"""Machines come when the nodes are busy, and go when they are not."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from models.control import AuditEntry, NodeKind
from models.machines import Machine, MachineState
from ops.app import wall_clock
from ops.autoscale import Autoscaler
from tests import make

S = MachineState
PASSES = 3


@pytest.fixture
def autoscaler(house):
    return Autoscaler(house, "process")


@pytest.fixture
def say(keep):
    """Let the web servers say how busy they are."""

    async def busy(*percents, kind=NodeKind.WEB):
        nodes = [make.server_node(f"{kind.value}/{at}", kind, cpu_percent=one) for at, one in enumerate(percents)]
        await keep(*nodes)

    return busy


def standing(keeper):
    """A machine that has been there for a while."""
    return make.machine(S.READY, keeper, wanted_at=wall_clock() - timedelta(minutes=10))


async def machines(house):
    async with house.database.reading() as session:
        return (await session.scalars(sa.select(Machine).order_by(Machine.wanted_at, Machine.id))).all()


async def passes(autoscaler, count=PASSES):
    return [(await autoscaler.look()).change for _ in range(count)]


@pytest.fixture
async def keeper(keep):
    return await keep(make.keeper())


async def test_a_busy_house_gets_one_machine_more_when_it_has_lasted(house, keep, keeper, autoscaler, say):
    await keep(standing(keeper))
    await say(95, 91)

    assert await passes(autoscaler) == [0, 0, 1]
    assert [machine.state for machine in await machines(house)] == [S.READY, S.WANTED]
    # Until that one takes traffic, and for a while after it, there is no other.
    assert await passes(autoscaler) == [0, 0, 0]


async def test_what_is_asked_for_is_written_down_with_its_reason(house, keep, keeper, autoscaler, say):
    await keep(standing(keeper))
    await say(95)
    await passes(autoscaler)

    async with house.database.reading() as session:
        (entry,) = (await session.scalars(sa.select(AuditEntry))).all()
    assert (entry.actor, entry.deed) == ("autoscaler", "SPAWN_MACHINE")
    assert entry.why == "too busy: 95 % of a processor, 0 waiting, p95 0 ms"


async def test_an_idle_house_lets_its_latest_machine_go(house, keep, keeper, autoscaler, say):
    first = await keep(standing(keeper))
    latest = await keep(standing(keeper))
    await say(3, 1)

    assert await passes(autoscaler) == [0, 0, -1]
    states = {machine.id: machine.state for machine in await machines(house)}
    assert states == {first.id: S.READY, latest.id: S.RETIRING}


async def test_where_no_web_server_says_how_it_is_nothing_is_done(keep, keeper, autoscaler, say):
    await keep(standing(keeper), standing(keeper))
    await say(99, kind=NodeKind.WORKER)

    assert await passes(autoscaler) == [0, 0, 0]


async def test_two_autoscalers_ask_for_one_machine(house, keep, keeper, autoscaler, say):
    await keep(standing(keeper))
    await say(95)
    other = Autoscaler(house, "process")
    for each in (autoscaler, other):
        await passes(each, PASSES - 1)

    await autoscaler.look()
    await other.look()

    assert [machine.state for machine in await machines(house)] == [S.READY, S.WANTED]
