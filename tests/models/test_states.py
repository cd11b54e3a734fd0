"""Taking steps."""

from dataclasses import dataclass
from enum import Enum
from itertools import chain, combinations

import pytest

from models.errors import Conflict, Forbidden
from models.states import Party, Step, possible, take


class Light(Enum):
    RED = "RED"
    GREEN = "GREEN"
    BROKEN = "BROKEN"


class Action(Enum):
    GO = "GO"
    LOOK = "LOOK"
    REPAIR = "REPAIR"


class NotNow(Conflict):
    pass


STEPS: dict[Action, Step[Light]] = {
    Action.GO: Step(Party.CLIENT, frozenset({Light.RED}), Light.GREEN, NotNow),
    Action.LOOK: Step(Party.CLIENT, frozenset({Light.RED, Light.GREEN}), None, NotNow),
    Action.REPAIR: Step(Party.ADMIN, frozenset({Light.BROKEN}), Light.RED, NotNow),
}


@dataclass
class Row:
    state: Light


EVERY_PARTIES = [frozenset(some) for some in chain.from_iterable(combinations(Party, n) for n in range(len(Party) + 1))]


def taken(action: Action, state: Light, parties: frozenset[Party]) -> Light | type[Exception]:
    row = Row(state)
    try:
        take(row, STEPS[action], parties)
    except (Forbidden, NotNow) as refused:
        assert row.state is state
        return type(refused)
    return row.state


def test_a_step_leads_where_it_says():
    assert taken(Action.GO, Light.RED, frozenset({Party.CLIENT})) is Light.GREEN


def test_a_step_to_nowhere_changes_nothing():
    assert taken(Action.LOOK, Light.GREEN, frozenset({Party.CLIENT})) is Light.GREEN


def test_a_step_at_the_wrong_moment_is_refused_in_the_steps_own_words():
    assert taken(Action.GO, Light.BROKEN, frozenset({Party.CLIENT})) is NotNow


def test_the_wrong_person_is_not_told_that_it_is_the_wrong_moment_too():
    assert taken(Action.GO, Light.BROKEN, frozenset({Party.FREELANCER})) is Forbidden


def test_whoever_is_nothing_to_a_row_may_do_nothing():
    assert {taken(action, state, frozenset()) for action in Action for state in Light} == {Forbidden}


@pytest.mark.parametrize("state", Light)
@pytest.mark.parametrize(
    "parties", EVERY_PARTIES, ids=lambda some: "+".join(sorted(party.value for party in some)) or "-"
)
def test_what_is_possible_is_what_would_not_be_refused(state, parties):
    free = [action for action in Action if isinstance(taken(action, state, parties), Light)]

    assert possible(Row(state), STEPS, parties) == free
