"""What operators may want, and what comes of it."""

from datetime import timedelta

import pytest

from models.accounts import Role
from models.control import (
    ESSENTIAL,
    EVERY,
    STEERED,
    Actor,
    AlreadyFrozen,
    Code,
    CommandDeleted,
    CommandStays,
    CommandThere,
    CommandUnknown,
    Control,
    Desired,
    Kind,
    Level,
    NodeGone,
    NodeState,
    NoEarlierCode,
    NotFrozen,
    Order,
    Ruling,
    Service,
    TooManyConnections,
    Verb,
    audited,
    expected,
    message_of,
    must_fit,
    node_or_none,
)
from models.errors import Forbidden, Invalid, NotFound, Stale
from ops.app import wall_clock
from tests import make

NOW = wall_clock()
COMMANDS = {"publishJob": Service.JOBS, "freeze": Service.CONTROL, **dict.fromkeys(ESSENTIAL, Service.USERS)}


def ruling(kind, subject, value, node_id=None):
    return Ruling(kind=kind, subject=subject, node_id=node_id, value=value, version=1)


def desired(change=None, *rulings):
    """What is wanted after a change, and beside it."""
    made = [ruling(change.kind, subject, value) for subject, value in change.after.items()] if change else []
    return Desired.of(1, [*rulings, *made], None)


def test_nothing_is_frozen_or_deleted_until_somebody_wants_it():
    usual = Desired()

    assert not any(map(usual.is_frozen, EVERY))
    assert {usual.threads(service) for service in EVERY} == {1_000}
    assert usual.code("publishJob") == Code((0,), 100)
    assert not usual.is_deleted("publishJob")


def test_all_means_everything_but_control():
    frozen = desired(Desired().frozen(Service.ALL))

    assert frozen.is_frozen_wholly
    assert [service for service in EVERY if not frozen.is_frozen(service)] == [Service.CONTROL]
    started = desired(
        frozen.started(Service.JOBS), *(ruling(Kind.FROZEN, one.value, value=True) for one in STEERED[2:])
    )
    assert not started.is_frozen_wholly


def test_what_is_wanted_of_one_node_goes_before_what_is_wanted_of_all():
    node = make.server_node()
    rulings = [ruling(Kind.THREADS, "JOBS", 5, node.id), ruling(Kind.THREADS, "JOBS", 9)]

    assert Desired.of(1, rulings, node.id).threads(Service.JOBS) == 5
    assert Desired.of(1, rulings, make.server_node().id).threads(Service.JOBS) == 9
    assert Desired.of(1, rulings, None).threads(Service.JOBS) == 9


def test_freezing_and_starting_are_each_done_once():
    frozen = desired(Desired().frozen(Service.JOBS))

    with pytest.raises(AlreadyFrozen):
        frozen.frozen(Service.JOBS)
    with pytest.raises(NotFrozen):
        Desired().started(Service.JOBS)
    with pytest.raises(NotFrozen):
        Desired().started(Service.ALL)
    # What is frozen in part can be frozen wholly, and started.
    assert frozen.frozen(Service.ALL).verb is Verb.FREEZE
    assert frozen.started(Service.ALL).after == dict.fromkeys((one.value for one in STEERED), False)


@pytest.mark.parametrize("command", [*sorted(ESSENTIAL), "freeze"])
def test_what_everything_can_be_taken_back_with_stays(command):
    with pytest.raises(CommandStays):
        Desired().without(command, COMMANDS)
    with pytest.raises(CommandStays):
        Desired().frozen(Service.CONTROL)


def test_a_command_is_deleted_once_and_added_once():
    deleted = desired(Desired().without("publishJob", COMMANDS))

    assert deleted.is_deleted("publishJob")
    with pytest.raises(CommandDeleted):
        deleted.without("publishJob", COMMANDS)
    with pytest.raises(CommandThere):
        Desired().with_command("publishJob", COMMANDS)
    with pytest.raises(CommandUnknown, match="no command 'bakeCake'"):
        Desired().without("bakeCake", COMMANDS)
    assert not desired(deleted.with_command("publishJob", COMMANDS)).is_deleted("publishJob")


@pytest.mark.parametrize("most", [0, -1, 10_001, 10**12])
def test_numbers_out_of_bounds_are_refused_with_the_bounds(most):
    with pytest.raises(Invalid, match=f"From 1 to 10000 at once, not {most}"):
        Desired().with_threads(Service.JOBS, most)
    with pytest.raises(Invalid, match="From 1 to 100 connections"):
        Desired().with_connections(most)
    with pytest.raises(Invalid):
        Desired().with_option("jobs.open_days", str(most + 400 if most == 1 else most))


@pytest.mark.parametrize("value", ["", "a week", "7.5", "1e3", "7 ", "\uff19", "9" * 19])
def test_an_option_is_a_whole_number(value):
    with pytest.raises(Invalid):
        Desired().with_option("jobs.open_days", value)


def test_a_change_says_what_was_and_what_is():
    before = desired(Desired().with_threads(Service.JOBS, 5))

    change = before.with_threads(Service.JOBS, 7)

    assert (change.before, change.after) == ({"JOBS": 5}, {"JOBS": 7})
    everything = Desired().with_level(Service.ALL, Level.DEBUG)
    assert set(everything.after) == {service.value for service in Service}


def test_who_is_late_is_told():
    control = make.control()

    assert control.begin_change(0, at=NOW) == 1
    with pytest.raises(Stale) as refused:
        control.begin_change(0, at=NOW)
    assert refused.value.current is control
    assert control.begin_change(None, at=NOW) == 2


@pytest.mark.parametrize("order", [Order(why="x" * 501), Order(timeout_seconds=-1), Order(timeout_seconds=61)])
def test_a_reason_is_short_and_a_wait_bounded(order):
    with pytest.raises(Invalid):
        order.must_be_sensible()


def test_only_administrators_steer():
    admin = make.admin()

    assert Actor.of(admin, address="192.0.2.1", agent="a test").name == admin.email
    for account in (make.client(), make.freelancer()):
        assert not account.has(Role.ADMIN)
        with pytest.raises(Forbidden):
            Actor.of(account, address="", agent="")


def test_those_who_are_alive_and_meant_are_waited_for():
    alive, frozen = make.server_node("a/0"), make.server_node("b/0", state=NodeState.FROZEN)
    silent = make.server_node("c/0", seen_at=NOW - timedelta(seconds=11))
    stopped = make.server_node("d/0", state=NodeState.STOPPED)
    nodes = [alive, frozen, silent, stopped]
    change = Desired().with_threads(Service.JOBS, 5)

    def waited_for(order):
        message = message_of(change, make.OPERATOR, order, version=1, at=NOW)
        return [one.node_name for one in expected(message, nodes, at=NOW)]

    assert waited_for(Order()) == ["a/0", "b/0"]
    assert waited_for(Order(node_id=frozen.id)) == ["b/0"]
    assert [node.state_at(NOW) for node in nodes] == [
        NodeState.RUNNING,
        NodeState.FROZEN,
        NodeState.SILENT,
        NodeState.STOPPED,
    ]


def test_an_order_for_a_node_that_is_not_there_is_refused():
    silent = make.server_node(seen_at=NOW - timedelta(seconds=11))

    assert node_or_none([silent], None, at=NOW) is None
    with pytest.raises(NodeGone):
        node_or_none([silent], silent.id, at=NOW)
    with pytest.raises(NotFound):
        node_or_none([], silent.id, at=NOW)


def test_all_nodes_together_have_no_more_connections_than_there_are():
    nodes = {make.server_node().id: 10 for _ in range(4)}

    must_fit(nodes, 4 * 13)
    with pytest.raises(TooManyConnections, match="4 nodes would open 52 connections, 3 each of them for control; Post"):
        must_fit(nodes, 4 * 13 - 1)
    # A pool of one is two: a session and a line.
    with pytest.raises(TooManyConnections, match="1 nodes would open 5"):
        must_fit({make.server_node().id: 1}, 4)


def test_the_audit_log_says_who_and_from_where():
    order = Order(why="Too slow.")
    message = message_of(Desired().with_threads(Service.JOBS, 5), make.OPERATOR, order, version=1, at=NOW)

    entry = audited(message, make.OPERATOR)

    assert (entry.deed, entry.subject, entry.why) == ("SET_MAX_THREADS", "JOBS", "Too slow.")
    assert (entry.actor, entry.address, entry.agent) == ("root@here", "here", "the command line")
    assert (entry.before, entry.after) == ({"JOBS": None}, {"JOBS": 5})


def test_code_is_followed_and_taken_back_step_by_step():
    code = Code().followed_by(1, 10)
    assert (code.number, code.beside, code.percent) == (1, 0, 10)
    code = code.followed_by(1, 100)
    assert (code.numbers, code.beside) == ((0, 1), 1)
    code = code.followed_by(2, 50)
    assert (code.number, code.beside) == (2, 1)

    assert code.taken_back().numbers == (0, 1)
    assert code.taken_back().taken_back() == Code()
    with pytest.raises(NoEarlierCode):
        Code().taken_back()


def test_a_share_of_the_calls_is_a_share():
    for percent in (0, -1, 101):
        with pytest.raises(Invalid):
            Desired().with_code("publishJob", 1, percent)


def test_staging_is_no_ruling():
    assert not Desired().staged("publishJob", 1).is_ruling
    assert Desired().with_code("publishJob", 1, 100).is_ruling


def test_there_is_one_control():
    assert Control.THE_ONE.int == 0
