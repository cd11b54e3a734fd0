"""How time may be let pass."""

import pytest

from models.clock import AHEAD_MAX_SECONDS, STEP_MAX_SECONDS, ClockStep, ClockTooFarAhead, Span
from models.errors import Forbidden
from ops.app import wall_clock
from tests import make
from tests.models.rules import faults

ADMIN = make.admin()


def take(ahead=0, by=ADMIN, **span):
    return ClockStep.take(ahead, Span(**({"days": 0, "hours": 0, "seconds": 0} | span)), by, at=wall_clock())


def test_steps_add_up():
    assert take(10, days=1, hours=2, seconds=3).ahead_seconds == 10 + 86_400 + 7_200 + 3


@pytest.mark.parametrize("by", [make.client(), make.freelancer()])
def test_only_administrators_take_them(by):
    with pytest.raises(Forbidden):
        take(by=by, days=1)


@pytest.mark.parametrize(
    ("span", "at_fault"),
    [
        ({}, ["days"]),
        ({"days": -1, "hours": 48}, ["days"]),
        ({"hours": -1, "days": 1}, ["hours"]),
        ({"seconds": -1, "days": 1}, ["seconds"]),
        ({"seconds": STEP_MAX_SECONDS + 1}, ["days"]),
    ],
)
def test_time_goes_forwards_and_not_too_far_at_once(span, at_fault):
    assert faults(lambda: take(**span)) == at_fault


def test_a_sandbox_ends_somewhere():
    assert take(AHEAD_MAX_SECONDS - 1, seconds=1).ahead_seconds == AHEAD_MAX_SECONDS
    with pytest.raises(ClockTooFarAhead):
        take(AHEAD_MAX_SECONDS, seconds=1)
