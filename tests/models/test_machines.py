"""What may be done with machines, and when."""

from datetime import timedelta

import pytest

from models.config import Config
from models.errors import Invalid
from models.machines import (
    KEEPER_SILENT,
    SPAWN_MAX,
    UNBEGUN,
    LastMachine,
    MachineGone,
    MachineState,
    TooManyMachines,
    UnknownProvider,
    retiring,
    spawning,
    standing,
    want,
)
from models.scaling import MOST
from ops.app import wall_clock
from tests import make

NOW = wall_clock()
S = MachineState


def ask(provider="process", count=1, keepers=None, machines=(), most=4):
    keepers = [make.keeper()] if keepers is None else keepers
    config = Config({MOST.name: most})
    return want(provider, count, make.OPERATOR, keepers=keepers, machines=machines, config=config, at=NOW)


# Asking


def test_machines_are_asked_for_one_by_one():
    made = ask(count=3)

    assert [(one.provider, one.state, one.wanted_by) for one in made] == [("process", S.WANTED, "root@here")] * 3
    assert len({one.id for one in made}) == 3


@pytest.mark.parametrize("count", [0, -1, SPAWN_MAX + 1, 10**9])
def test_no_machines_and_too_many_at_once_are_refused(count):
    with pytest.raises(Invalid) as caught:
        ask(count=count)
    assert caught.value.path == ("count",)


@pytest.mark.parametrize(
    "keepers",
    [[], [make.keeper(["ec2"])], [make.keeper(seen_at=NOW - KEEPER_SILENT - timedelta(seconds=1))]],
    ids=["none", "others", "silent"],
)
def test_a_machine_that_nobody_can_make_is_refused(keepers):
    with pytest.raises(UnknownProvider):
        ask(keepers=keepers)


def test_who_can_make_machines_is_said_to_who_asks_for_others():
    with pytest.raises(UnknownProvider, match="There are: digitalocean, process"):
        ask("basement", keepers=[make.keeper(["process"]), make.keeper(["digitalocean"])])


def test_there_are_no_more_machines_than_may_be():
    there = [make.machine(S.READY), make.machine(S.STARTING), make.machine(S.WANTED), make.machine(S.GONE)]

    assert ask(machines=there)
    with pytest.raises(TooManyMachines, match=r"There are 3 machines; with 2 more there would be more than 4"):
        ask(count=2, machines=there)


def test_those_that_go_make_room():
    assert standing([make.machine(S.RETIRING), make.machine(S.GONE), make.machine(S.FAILED)]) == 0


# Retiring


@pytest.mark.parametrize(("state", "after"), [(S.READY, S.RETIRING), (S.STARTING, S.RETIRING), (S.WANTED, S.GONE)])
def test_a_machine_that_stands_can_be_sent_away(state, after):
    machine = make.machine(state)

    machine.retire(1, at=NOW)

    assert machine.state is after
    assert machine.retired_at == NOW


@pytest.mark.parametrize("state", [S.RETIRING, S.GONE, S.FAILED])
def test_a_machine_that_goes_cannot_be_sent_away(state):
    with pytest.raises(MachineGone):
        make.machine(state).retire(1, at=NOW)


def test_the_last_machine_that_takes_traffic_stays():
    machine = make.machine(S.READY)

    with pytest.raises(LastMachine):
        machine.retire(0, at=NOW)
    assert machine.state is S.READY


@pytest.mark.parametrize("state", [S.STARTING, S.WANTED])
def test_a_machine_that_takes_no_traffic_yet_is_never_the_last(state):
    make.machine(state).retire(0, at=NOW)


# Keeping


def test_a_machine_is_begun_made_and_stands():
    keeper, machine = make.keeper(), make.machine(S.WANTED)

    machine.begin(keeper, dies_with_keeper=True, at=NOW)
    machine.made("4711", "127.0.0.1:20001")

    assert machine.stand(at=NOW)
    assert (machine.state, machine.keeper_id, machine.ready_at) == (S.READY, keeper.id, NOW)
    assert (machine.handle, machine.address) == ("4711", "127.0.0.1:20001")


def test_a_machine_that_was_sent_away_before_it_was_ready_does_not_stand():
    machine = make.machine(S.STARTING)
    machine.retire(0, at=NOW)

    assert not machine.stand(at=NOW)
    assert machine.state is S.RETIRING


@pytest.mark.parametrize("state", [S.STARTING, S.READY, S.RETIRING])
def test_whatever_a_keeper_has_to_do_with_can_be_gone_and_fail(state):
    gone, failed = make.machine(state), make.machine(state)

    gone.go(None, at=NOW)
    failed.fail("no reason " * 100, at=NOW)

    assert (gone.state, gone.failure, gone.ended_at) == (S.GONE, None, NOW)
    assert (failed.state, failed.ended_at) == (S.FAILED, NOW)
    assert len(failed.failure or "") == 500


@pytest.mark.parametrize("state", [S.GONE, S.FAILED])
def test_what_has_ended_does_not_end_again(state):
    machine = make.machine(state)

    machine.go("again", at=NOW + timedelta(days=1))
    machine.fail("again", at=NOW + timedelta(days=1))

    assert (machine.state, machine.failure) == (state, None)


@pytest.mark.parametrize("state", [S.STARTING, S.READY, S.RETIRING])
def test_another_keeper_goes_on_with_a_machine(state):
    machine, keeper = make.machine(state, make.keeper()), make.keeper()

    machine.take_over(keeper)

    assert (machine.state, machine.keeper_id) == (state, keeper.id)


def test_what_was_only_taken_for_dead_comes_back():
    machine = make.machine(S.READY, dies_with_keeper=True)
    machine.go("it seemed so", at=NOW)
    keeper = make.keeper()

    assert machine.is_undead
    machine.come_back(keeper)

    assert (machine.state, machine.keeper_id, machine.failure, machine.ended_at) == (S.READY, keeper.id, None, None)


def test_what_was_sent_away_does_not_come_back():
    assert not make.machine(S.GONE, dies_with_keeper=True).is_undead
    assert not make.machine(S.FAILED, dies_with_keeper=True).is_undead


def test_a_machine_finishes_once():
    machine = make.machine(S.RETIRING)

    machine.finish(at=NOW)
    machine.finish(at=NOW + timedelta(seconds=1))

    assert machine.drained_at == NOW


def test_nobody_waits_for_ever_for_somebody_to_begin():
    assert timedelta(0) < KEEPER_SILENT < UNBEGUN


# Written down


def test_who_asked_is_written_down_with_how_many_there_were():
    made = ask(count=2)

    entry = spawning(made, make.OPERATOR, "a rush", standing=1, at=NOW)

    assert (entry.deed, entry.subject, entry.why, entry.actor) == ("SPAWN_MACHINE", "process", "a rush", "root@here")
    assert entry.before == {"machines": 1}
    assert entry.after == {"machines": 3, "ids": [str(one.id) for one in made]}


def test_who_sent_one_away_is_written_down_with_how_it_stood():
    machine = make.machine(S.READY)
    machine.retire(1, at=NOW)

    entry = retiring(machine, make.OPERATOR, "night", before=S.READY, at=NOW)

    assert (entry.deed, entry.subject) == ("RETIRE_MACHINE", str(machine.id))
    assert (entry.before, entry.after) == ({"state": "READY"}, {"state": "RETIRING"})
