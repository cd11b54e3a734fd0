"""When there should be more machines, and when fewer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.config import Config
from models.scaling import LEAST, MOST, Fleet, Limits, Load, Reading, decide

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LIMITS = Limits.of(Config())
ALONE = Fleet(1, is_moving=False, changed_at=None)
TWO = Fleet(2, is_moving=False, changed_at=None)

BUSY = Reading(Load(90))
CALM = Reading(Load(5))
USUAL = Reading(Load(50))
UNKNOWN = Reading(None)


def change(fleet, *readings, limits=LIMITS, at=NOW):
    return decide(limits, fleet, readings, at=at).change


# What it says


@pytest.mark.parametrize("load", [Load(85), Load(0, waiting=20), Load(0, p95_ms=2_000)])
def test_each_signal_alone_asks_for_one_more_from_its_mark_on(load):
    assert change(ALONE, *[Reading(load)] * 3) == 1


@pytest.mark.parametrize("load", [Load(84.9), Load(0, waiting=19.9), Load(0, p95_ms=1_999)])
def test_below_its_mark_a_signal_asks_for_nothing(load):
    assert change(ALONE, *[Reading(load)] * 3) == 0


def test_one_goes_when_the_nodes_do_little_up_to_the_mark():
    assert change(TWO, *[Reading(Load(25))] * 3) == -1
    assert change(TWO, *[Reading(Load(25.1))] * 3) == 0


@pytest.mark.parametrize("load", [Load(5, waiting=11), Load(5, p95_ms=1_001)])
def test_nobody_goes_while_any_signal_is_half_way_up(load):
    assert change(TWO, *[Reading(load)] * 3) == 0


def test_nobody_goes_when_those_who_stay_would_be_busy():
    limits = replace(LIMITS, cpu_up=50, cpu_down=45)

    assert change(TWO, *[Reading(Load(20))] * 3, limits=limits) == 0
    assert change(TWO, *[Reading(Load(19.9))] * 3, limits=limits) == -1


def test_the_nodes_count_on_average():
    assert Reading.of([Load(100, 30, 1_000), Load(50, 0, 0)]) == Reading(Load(75, 15, 500))
    assert Reading.of([]) == UNKNOWN


def test_a_peak_is_tolerated():
    assert change(ALONE, USUAL, BUSY, BUSY) == 0
    assert change(ALONE, BUSY, UNKNOWN, BUSY) == 0
    assert change(ALONE, BUSY, BUSY) == 0
    assert change(ALONE, USUAL, BUSY, BUSY, BUSY) == 1


def test_a_lull_is_tolerated():
    assert change(TWO, CALM, USUAL, CALM) == 0
    assert change(TWO, CALM, UNKNOWN, CALM) == 0


def test_the_last_one_stays():
    assert change(ALONE, CALM, CALM, CALM) == 0


def test_where_there_are_as_many_as_may_be_nobody_comes():
    assert change(Fleet(4, is_moving=False, changed_at=None), BUSY, BUSY, BUSY) == 0


def test_while_one_comes_or_goes_nothing_else_does():
    assert change(replace(TWO, is_moving=True), BUSY, BUSY, BUSY) == 0
    assert change(replace(TWO, is_moving=True), CALM, CALM, CALM) == 0


def test_after_a_change_there_is_peace_for_a_while():
    changed = replace(TWO, changed_at=NOW)

    assert change(changed, BUSY, BUSY, BUSY, at=NOW + timedelta(seconds=59)) == 0
    assert change(changed, BUSY, BUSY, BUSY, at=NOW + timedelta(seconds=60)) == 1


def test_the_bounds_wait_for_nothing():
    moving = Fleet(0, is_moving=True, changed_at=NOW)

    assert change(moving, limits=replace(LIMITS, least=2)) == 2
    assert change(replace(moving, machines=7)) == -3


def test_after_a_machine_that_failed_no_other_is_asked_for_at_once():
    failed = Fleet(0, is_moving=False, changed_at=NOW, failed_at=NOW)

    assert change(failed, at=NOW + timedelta(seconds=59)) == 0
    assert change(failed, at=NOW + timedelta(seconds=60)) == 1
    assert change(replace(failed, machines=7)) == -3


def test_a_least_above_the_most_stands_back():
    limits = Limits.of(Config({LEAST.name: 9, MOST.name: 3}))

    assert (limits.least, limits.most) == (3, 3)


def test_it_says_why():
    assert decide(LIMITS, ALONE, [BUSY] * 3, at=NOW).why == "too busy: 90 % of a processor, 0 waiting, p95 0 ms"
    assert decide(LIMITS, ALONE, [UNKNOWN] * 3, at=NOW).why == "as it should be: no node says how it is"


# What always holds


loads = st.builds(Load, st.floats(0, 100), st.floats(0, 200), st.floats(0, 10_000))
readings = st.builds(Reading, st.none() | loads)
limits_ = st.builds(
    lambda least, more, **rest: Limits(least=least, most=least + more, **rest),
    least=st.integers(1, 5),
    more=st.integers(0, 5),
    cpu_up=st.floats(1, 100),
    cpu_down=st.floats(0, 100),
    waiting_up=st.floats(1, 100),
    p95_up_ms=st.floats(1, 5_000),
    margin=st.floats(1, 100),
    tolerance_passes=st.integers(1, 4),
    cooldown=st.integers(0, 120).map(lambda seconds: timedelta(seconds=seconds)),
)
moments = st.integers(0, 300).map(lambda seconds: NOW - timedelta(seconds=seconds))
fleets = st.builds(Fleet, st.integers(0, 12), st.booleans(), st.none() | moments, st.none() | moments)


@given(limits_, fleets, st.lists(readings, max_size=6))
def test_it_always_leads_between_the_bounds(limits, fleet, seen):
    moved = decide(limits, fleet, seen, at=NOW).change

    assert fleet.machines + moved <= limits.most
    assert fleet.machines + moved >= limits.least or (moved == 0 and fleet.failed_at is not None)


@given(limits_, fleets, st.lists(readings, max_size=6))
def test_load_moves_one_at_a_time_and_bounds_move_only_towards_themselves(limits, fleet, seen):
    moved = decide(limits, fleet, seen, at=NOW).change

    if limits.least <= fleet.machines <= limits.most:
        assert moved in {-1, 0, 1}
    elif fleet.machines < limits.least:
        assert moved >= 0
    else:
        assert moved < 0


@given(limits_, fleets, st.lists(st.tuples(loads, loads), max_size=6))
def test_more_load_never_asks_for_fewer(limits, fleet, pairs):
    less = [Reading(one) for one, _ in pairs]
    more = [
        Reading(Load(one.cpu_percent + other.cpu_percent, one.waiting + other.waiting, one.p95_ms + other.p95_ms))
        for one, other in pairs
    ]

    assert decide(limits, fleet, more, at=NOW).change >= decide(limits, fleet, less, at=NOW).change


@given(limits_, st.integers(1, 10), st.lists(readings, min_size=1, max_size=60), st.integers(1, 30))
def test_however_the_load_goes_there_is_peace_after_every_change(limits, machines, course, pass_seconds):
    fleet, seen, changes = Fleet(min(max(machines, limits.least), limits.most), False, None), [], []
    for number, reading in enumerate(course):
        at = NOW + timedelta(seconds=pass_seconds * number)
        seen.append(reading)
        moved = decide(limits, fleet, seen, at=at).change
        if moved:
            fleet = Fleet(fleet.machines + moved, False, at)
            changes.append(at)

    assert all(later - earlier >= limits.cooldown for earlier, later in pairwise(changes))


@given(limits_, st.integers(2, 10), loads)
def test_a_load_that_stays_the_same_settles(limits, machines, load):
    """What is asked of all nodes together is shared by however many there are; their number comes to rest."""
    limits = replace(limits, cooldown=timedelta(0), tolerance_passes=1)
    fleet = Fleet(min(max(machines, limits.least), limits.most), False, None)
    total = load.cpu_percent * fleet.machines
    moves = []
    for number in range(40):
        shared = Reading(Load(total / fleet.machines))
        moved = decide(limits, fleet, [shared], at=NOW + timedelta(seconds=number)).change
        moves.append(moved)
        fleet = Fleet(fleet.machines + moved, False, None)

    assert moves[-1] == 0
    assert not {-1, 1} <= set(moves)
