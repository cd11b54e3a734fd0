"""Machines, and who keeps them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from models.machines import Keeper, Machine, MachineState
from ops.app import wall_clock
from tests.make.control import OPERATOR

_WHEN = {
    MachineState.WANTED: (),
    MachineState.STARTING: ("began_at",),
    MachineState.READY: ("began_at", "ready_at"),
    MachineState.RETIRING: ("began_at", "ready_at", "retired_at"),
    MachineState.GONE: ("began_at", "ready_at", "retired_at", "ended_at"),
    MachineState.FAILED: ("began_at", "ended_at"),
}


def keeper(providers: Collection[str] = ("process",), *, seen_at: datetime | None = None) -> Keeper:
    """A keeper that has just said that it lives."""
    now = seen_at or wall_clock()
    return Keeper(host="here", providers=list(providers), started_at=now, seen_at=now)


def machine(state: MachineState = MachineState.READY, by: Keeper | None = None, **values: Any) -> Machine:
    """A machine of a cloud in some state, which a keeper keeps if one is given."""
    now = wall_clock()
    made = Machine.want("process", OPERATOR, at=now)
    made.state = state
    made.keeper_id = by.id if by else None
    for name in _WHEN[state]:
        setattr(made, name, now)
    for name, value in values.items():
        setattr(made, name, value)
    return made
