"""Options that an operator may change."""

import pytest

from models.accounts import ACCESS_SECONDS, BACKOFF_SECONDS, FAILURES_MAX, SESSION_DAYS
from models.config import OPTIONS, Config, option
from models.jobs import OPEN_DAYS, WARNING_DAYS


@pytest.mark.parametrize(
    ("wanted", "usual"),
    [
        (ACCESS_SECONDS, 15 * 60),
        (SESSION_DAYS, 30),
        (FAILURES_MAX, 10),
        (BACKOFF_SECONDS, 30),
        (OPEN_DAYS, 30),
        (WARNING_DAYS, 5),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_an_option_nobody_changed_is_as_the_marketplace_says(wanted, usual):
    assert Config()[wanted] == usual


def test_a_changed_option_is_read_and_the_others_stay():
    config = Config({"jobs.open_days": 7})

    assert config[OPEN_DAYS] == 7
    assert config[WARNING_DAYS] == 5


def test_a_snapshot_does_not_change_under_whoever_reads_it():
    stored = {"jobs.open_days": 7}
    config = Config(stored)

    stored["jobs.open_days"] = 8

    assert config[OPEN_DAYS] == 7


def test_every_option_is_registered_under_its_name_and_says_what_it_means():
    assert {OPEN_DAYS.name, WARNING_DAYS.name, ACCESS_SECONDS.name, SESSION_DAYS.name} <= set(OPTIONS)
    for name, known in OPTIONS.items():
        assert known.name == name
        assert known.least <= known.default <= known.most
        assert known.means.endswith(".")


def test_two_options_cannot_have_one_name():
    with pytest.raises(AssertionError):
        option("jobs.open_days", default=1, least=1, most=1, means="Twice.")

    assert OPTIONS["jobs.open_days"] is OPEN_DAYS


@pytest.mark.parametrize(("least", "most"), [(6, 9), (1, 4)])
def test_a_default_is_within_its_own_bounds(least, most):
    with pytest.raises(AssertionError):
        option("tests.unbounded", default=5, least=least, most=most, means="Never.")

    assert "tests.unbounded" not in OPTIONS
