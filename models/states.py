"""How anything with states moves: one table of steps a noun, and one function that takes them."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from models.errors import Forbidden, Refusal

S = TypeVar("S", bound=enum.Enum)
A = TypeVar("A", bound=enum.Enum)


class Party(enum.Enum):
    """What somebody is to a row; the same person may be several things to it.

    EITHER is one of two parties, whichever; OTHER is whoever decides upon what somebody else, its OWNER, asked for.
    """

    CLIENT = "client"
    FREELANCER = "freelancer"
    ADMIN = "admin"
    OWNER = "owner"
    EITHER = "either"
    OTHER = "other"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """Who may do something, in which states, where it leads (nowhere: `None`), and what is said in other states."""

    by: Party
    sources: frozenset[S]
    target: S | None
    otherwise: type[Refusal]


class Stateful(Protocol[S]):
    """A row with a state."""

    state: S


def must_be_possible(row: Stateful[S], step: Step[S], parties: frozenset[Party]) -> None:
    """Refuse a step: first to the wrong person, then at the wrong moment."""
    if step.by not in parties:
        raise Forbidden
    if row.state not in step.sources:
        raise step.otherwise


def take(row: Stateful[S], step: Step[S], parties: frozenset[Party]) -> None:
    """Move a row along a step, or refuse."""
    must_be_possible(row, step, parties)
    if step.target is not None:
        row.state = step.target


def possible(row: Stateful[S], steps: Mapping[A, Step[S]], parties: frozenset[Party]) -> list[A]:
    """List what these parties may do with the row now, in the table's order."""
    return [action for action, step in steps.items() if step.by in parties and row.state in step.sources]
