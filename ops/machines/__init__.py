"""Where machines come from: what a provider has to be able to do for a keeper."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


class CannotSpawn(Exception):
    """There is no machine, or none any more; the message says why, for operators."""


class Away(Exception):
    """The provider does not answer, or says no, just now; the message says why."""


@dataclass(frozen=True, slots=True)
class Made:
    """A machine as its provider knows it; its address may become known later."""

    machine_id: UUID
    handle: str
    address: str | None


class Provider(Protocol):
    """Makes machines of one kind. Everything may be tried again: machines are known by the ids they were given."""

    name: str
    dies_with_us: bool
    """Whether its machines end when this process does."""
    drains_itself: bool
    """Whether a retired machine sees for itself to finishing, and says when it has."""
    look_seconds: float
    """How long to wait from one look at them to the next."""

    async def spawn(self, machine_id: UUID) -> Made:
        """Make a machine, unless it is there already."""
        ...

    async def present(self) -> Collection[Made]:
        """Every machine of ours that is there, or is coming up."""
        ...

    async def end(self, machine_id: UUID, seconds: float) -> bool:
        """Ask a machine to end, make it end after so many seconds, and say whether it ended by itself; gone is gone."""
        ...

    def last_words(self, machine_id: UUID) -> str:
        """What is known about the end of a machine that is no longer there."""
        ...
