"""Machines from the command line: `python -m ops control spawnMachine process 2`."""

import pytest
import sqlalchemy as sa

from models.control import AuditEntry
from models.errors import Invalid
from models.machines import LastMachine, MachineState
from ops import steering
from ops.steering import Said
from tests import make

S = MachineState


@pytest.fixture
def say(settings):
    async def steer(verb, *words):
        return await steering.steer(settings, Said(verb, words, "a rush", None, None, 0))

    return steer


async def test_machines_are_asked_for_sent_away_and_listed(house, keep, say):
    keeper = await keep(make.keeper())
    ready = await keep(make.machine(S.READY, keeper, address="127.0.0.1:20001"))

    assert await say("machines") == (f"{ready.id}  READY    process      127.0.0.1:20001", True)
    asked, is_done = await say("spawnMachine", "process", "2")
    assert [line.split()[1] for line in asked.splitlines()] == ["WANTED", "WANTED"]
    assert not is_done
    wanted = asked.split()[0]
    assert await say("retireMachine", f"machine_{wanted.replace('-', '')}") == (f"{wanted}  GONE     process", True)

    async with house.database.reading() as session:
        deeds = (await session.scalars(sa.select(AuditEntry.deed).order_by(AuditEntry.id))).all()
    assert deeds == ["SPAWN_MACHINE", "RETIRE_MACHINE"]


@pytest.mark.usefixtures("house")
async def test_where_there_is_none_that_is_said(say):
    assert await say("machines") == ("There are no machines.", True)


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize(
    "words",
    [
        ("spawnMachine",),
        ("spawnMachine", "process", "many"),
        ("retireMachine", "x"),
        ("machines", "all"),
        ("spawn", "1"),
    ],
)
async def test_what_makes_no_sense_is_refused(say, words):
    with pytest.raises(Invalid):
        await say(*words)


async def test_what_operators_are_refused_is_refused_here_too(keep, say):
    ready = await keep(make.machine(S.READY))

    with pytest.raises(LastMachine):
        await say("retireMachine", str(ready.id))
