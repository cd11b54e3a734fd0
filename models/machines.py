"""Further back ends: asked for, started, given traffic, and let go again.

    WANTED ──► STARTING ──► READY ──► RETIRING ──► GONE
       │          │  │        └───────────────────► GONE   (it ended by itself)
       │          │  └──────────► RETIRING                 (retired before it was ready)
       │          └──► FAILED                              (it was not ready in time, or could not be made)
       ├──► FAILED                                         (nobody was there to make it)
       └──► GONE                                           (retired before anybody began)

    GONE ──► READY   (it was taken for dead with its keeper, and both are alive)

Whoever asks for a machine only writes that down. A *keeper*, a process that can make machines of some kind, finds it
there, makes it, watches it and retires it; so it is of no account which server was asked, and whether it still lives.
"""

import enum
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, ForeignKey, Index, Text, literal, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Audience, Identified, named
from models.config import Config, option
from models.control import Actor, AuditEntry
from models.errors import Checks, Conflict, Refusal
from models.scaling import MOST

SPAWN_MAX = 10
"""Machines asked for at once."""
NAME_MAX = 40
FAILURE_CHARS_MAX = 500
KEEPER_SILENT = timedelta(seconds=15)
"""After how long a keeper that says nothing is taken for gone."""
UNBEGUN = timedelta(minutes=2)
"""How long a machine may stay wanted without anybody beginning with it."""
REMEMBERED = timedelta(days=30)
"""How long one can see what became of a machine that is gone."""

START_SECONDS = option(
    "machines.start_seconds",
    default=300,
    least=5,
    most=3_600,
    means="Seconds a machine may take until it says that it takes traffic; then it is given up.",
)
DRAIN_SECONDS = option(
    "machines.drain_seconds",
    default=60,
    least=1,
    most=3_600,
    means="Seconds a retired machine may take to finish what it is at; then it is ended all the same.",
)
NOTICE_SECONDS = option(
    "machines.notice_seconds",
    default=10,
    least=0,
    most=600,
    means="Seconds a retired machine of a cloud still answers while it already says that it takes no traffic, "
    "for load balancers to notice.",
)


class MachineState(enum.Enum):
    """Where a machine is in its life."""

    WANTED = "WANTED"
    STARTING = "STARTING"
    READY = "READY"
    RETIRING = "RETIRING"
    GONE = "GONE"
    FAILED = "FAILED"


_S = MachineState
STANDING = frozenset({_S.WANTED, _S.STARTING, _S.READY})
"""States of a machine that is there, or is about to be, and is to stay."""
KEPT = frozenset({_S.STARTING, _S.READY, _S.RETIRING})
"""States in which a keeper has something to do with a machine."""
MOVING = frozenset({_S.WANTED, _S.STARTING, _S.RETIRING})
"""States that lead to another one by themselves."""
ENDED = frozenset({_S.GONE, _S.FAILED})


class UnknownProvider(Refusal):
    """Nobody who lives can make machines of this kind."""

    code = "UNKNOWN_PROVIDER"
    message = "Nobody is there who makes machines of this provider."

    def __init__(self, provider: str, known: Collection[str]) -> None:
        there = f"There are: {', '.join(sorted(known))}." if known else "There are no others either."
        super().__init__(f"Nobody is there who makes machines of {provider[:NAME_MAX]!r}. {there}", path=("provider",))


class TooManyMachines(Conflict):
    """An operator has said how many there may be."""

    code = "TOO_MANY_MACHINES"
    message = "There would be more machines than may be."

    def __init__(self, standing: int, asked: int, most: int) -> None:
        words = f"There are {standing} machines; with {asked} more there would be more than {most} (machines.most)."
        super().__init__(words, path=("count",))


class MachineGone(Conflict):
    """Who is gone, or going, cannot be sent away."""

    code = "MACHINE_GONE"
    message = "This machine is gone already, or on its way."


class FleetChanged(Conflict):
    """Somebody else has asked for machines, or sent some away, since one looked."""

    code = "FLEET_CHANGED"
    message = "There are other machines now than when this was decided."


class LastMachine(Conflict):
    """Somebody has to be there to answer."""

    code = "LAST_MACHINE"
    message = "This is the last machine that takes traffic. Start another one first."


def _shown_to_admins(audience: Audience) -> ColumnElement[bool]:
    return literal(audience is Audience.ADMIN)


class Keeper(Identified):
    """A process that makes machines, and what it calls the kinds it can make."""

    __tablename__ = "keepers"
    noun: ClassVar[str] = "keeper"

    host: Mapped[str]
    providers: Mapped[list[str]] = mapped_column(ARRAY(Text))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]

    def is_alive(self, at: datetime) -> bool:
        """Whether it has said something lately."""
        return self.seen_at > at - KEEPER_SILENT

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Administrators steer the house."""
        return _shown_to_admins(audience)


class Machine(Identified):
    """One further back end, from the wish for it until what became of it is forgotten."""

    __tablename__ = "machines"
    __table_args__ = (
        Index("ix_machines_standing", "provider", postgresql_where=text("state not in ('GONE', 'FAILED')")),
    )
    noun: ClassVar[str] = "machine"

    provider: Mapped[str]
    state: Mapped[MachineState] = mapped_column(named(MachineState))
    keeper_id: Mapped[UUID | None] = mapped_column(ForeignKey("keepers.id", ondelete="SET NULL"), index=True)
    dies_with_keeper: Mapped[bool]
    """Whether it is a process bound to the life of its keeper; others are found again by the next one."""
    handle: Mapped[str | None]
    """What its provider calls it."""
    address: Mapped[str | None]
    wanted_by: Mapped[str]
    wanted_at: Mapped[datetime]
    began_at: Mapped[datetime | None]
    ready_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    drained_at: Mapped[datetime | None]
    """When it said itself that it has finished."""
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    failure: Mapped[str | None]

    @classmethod
    def want(cls, provider: str, actor: Actor, *, at: datetime) -> "Machine":
        """Ask for one."""
        return cls(
            provider=provider,
            state=MachineState.WANTED,
            keeper_id=None,
            dies_with_keeper=False,
            handle=None,
            address=None,
            wanted_by=actor.name,
            wanted_at=at,
            began_at=None,
            ready_at=None,
            retired_at=None,
            drained_at=None,
            ended_at=None,
            failure=None,
        )

    # What operators do

    def retire(self, others_ready: int, *, at: datetime) -> None:
        """Send it away; it finishes what it is at. The last one that takes traffic stays."""
        if self.state not in STANDING:
            raise MachineGone
        if self.state is MachineState.READY and not others_ready:
            raise LastMachine
        self.retired_at = at
        if self.state is MachineState.WANTED:
            # Nobody has begun: there is nothing to end.
            self._end(MachineState.GONE, None, at=at)
        else:
            self.state = MachineState.RETIRING

    # What keepers do

    def begin(self, keeper: Keeper, *, dies_with_keeper: bool, at: datetime) -> None:
        """Take it on oneself to make it."""
        assert self.state is MachineState.WANTED, self.state
        self.state = MachineState.STARTING
        self.keeper_id = keeper.id
        self.dies_with_keeper = dies_with_keeper
        self.began_at = at

    def take_over(self, keeper: Keeper) -> None:
        """Go on with what a keeper began who is there no more."""
        assert self.state in KEPT, self.state
        self.keeper_id = keeper.id

    def made(self, handle: str, address: str | None) -> None:
        """Note what its provider calls it, and where it is, as soon as that is known."""
        self.handle, self.address = handle, address

    def stand(self, *, at: datetime) -> bool:
        """Note that it takes traffic, unless it was sent away meanwhile; say whether it is so."""
        if self.state is MachineState.STARTING:
            self.state = MachineState.READY
            self.ready_at = at
        return self.state is MachineState.READY

    def fail(self, why: str, *, at: datetime) -> None:
        """Give it up."""
        if self.state not in ENDED:
            self._end(MachineState.FAILED, why, at=at)

    def go(self, why: str | None, *, at: datetime) -> None:
        """Note that it is no more; `why` where it was not sent away."""
        if self.state not in ENDED:
            self._end(MachineState.GONE, why, at=at)

    @property
    def is_undead(self) -> bool:
        """Whether, if it is alive, it was only taken for dead: it took traffic, and nobody sent it away."""
        left = self.keeper_id is None and self.ready_at is not None and self.retired_at is None
        return self.dies_with_keeper and left

    def come_back(self, keeper: Keeper) -> None:
        """Take it up again that it is there."""
        assert self.is_undead, self.state
        self.state = MachineState.READY
        self.keeper_id = keeper.id
        self.ended_at = self.failure = None

    # What it does itself

    def finish(self, *, at: datetime) -> None:
        """Say that it has finished, and may be ended."""
        if self.drained_at is None:
            self.drained_at = at

    def _end(self, state: MachineState, why: str | None, *, at: datetime) -> None:
        self.state = state
        self.failure = why[:FAILURE_CHARS_MAX] if why else None
        self.ended_at = at

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Administrators steer the house."""
        return _shown_to_admins(audience)


def want(
    provider: str,
    count: int,
    actor: Actor,
    *,
    keepers: Sequence[Keeper],
    machines: Sequence[Machine],
    config: Config,
    at: datetime,
) -> list[Machine]:
    """Ask for further machines, as many as there may be, of a kind that somebody can make."""
    with Checks() as check:
        check.require(1 <= count <= SPAWN_MAX, "count", f"From 1 to {SPAWN_MAX} at once, not {count}.")
    known = {name for keeper in keepers if keeper.is_alive(at) for name in keeper.providers}
    if provider not in known:
        raise UnknownProvider(provider, known)
    if standing(machines) + count > config[MOST]:
        raise TooManyMachines(standing(machines), count, config[MOST])
    return [Machine.want(provider, actor, at=at) for _ in range(count)]


def standing(machines: Sequence[Machine]) -> int:
    """How many there are, or are about to be, that are to stay."""
    return sum(machine.state in STANDING for machine in machines)


def spawning(made: Sequence[Machine], actor: Actor, why: str, *, standing: int, at: datetime) -> AuditEntry:
    """Write down for good who asked for machines."""
    after = {"machines": standing + len(made), "ids": [str(machine.id) for machine in made]}
    return _audited("SPAWN_MACHINE", made[0].provider, actor, {"machines": standing}, after, why, at)


def retiring(machine: Machine, actor: Actor, why: str, *, before: MachineState, at: datetime) -> AuditEntry:
    """Write down for good who sent a machine away."""
    states = {"state": before.value}, {"state": machine.state.value}
    return _audited("RETIRE_MACHINE", str(machine.id), actor, *states, why, at)


def _audited(
    deed: str, subject: str, actor: Actor, before: dict[str, Any], after: dict[str, Any], why: str, at: datetime
) -> AuditEntry:
    return AuditEntry(
        at=at,
        actor_id=actor.account_id,
        actor=actor.name,
        address=actor.address,
        agent=actor.agent,
        deed=deed,
        subject=subject,
        before=before,
        after=after,
        why=why,
    )
