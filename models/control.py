"""What operators want of the running house, what they have said, and what each node has made of it.

What is wanted is a set of rulings, each about one thing (`FROZEN JOBS`, `OPTION jobs.open_days`), for all nodes or for
one. A change of them is a message: it counts the version of the whole up, says who wanted what and why, and waits for
an acknowledgement of every node that was alive when it was given.

    PENDING ──► APPLIED      (as it was wanted, or as somebody wanted it since)
       └──────► FAILED       (the node says why; what it had before goes on)
"""

import enum
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self
from uuid import UUID

from sqlalchemy import ColumnElement, ForeignKey, Index, UniqueConstraint, literal, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.accounts import Account, Role
from models.base import Audience, Identified, named
from models.config import OPTIONS, option
from models.errors import Conflict, Forbidden, Invalid, NotFound, Problem, Refusal, Stale

THREADS_DEFAULT, THREADS_MAX = 1_000, 10_000
CONNECTIONS_MAX = 100
WHY_MAX = 500
WHOLE = re.compile(r"-?[0-9]{1,18}")
SOURCE_MAX = 50_000
TIMEOUT_SECONDS, TIMEOUT_SECONDS_MAX = 5, 60
NODE_SILENT_SECONDS = 10
"""After how long a node that says nothing is taken for gone."""
FROZEN_RETRY_SECONDS = 5
RESERVE_CONNECTIONS = 3
"""Connections that every node keeps for control beside its pool, so that it can be steered when all else is full."""

LINE_MAX = option(
    "control.line_max",
    default=1_000,
    least=0,
    most=100_000,
    means="Operations of one service that wait on a node for others to finish; more are refused at once.",
)
DRAIN_SECONDS = option(
    "control.drain_seconds",
    default=30,
    least=1,
    most=600,
    means="Seconds that freezing waits for what is running to end, before it says that something still runs.",
)


class Service(enum.Enum):
    """A noun of the API, to which commands belong."""

    USERS = "USERS"
    JOBS = "JOBS"
    PROPOSALS = "PROPOSALS"
    CONTRACTS = "CONTRACTS"
    PAYMENTS = "PAYMENTS"
    CONNECTS = "CONNECTS"
    MEDIA = "MEDIA"
    NODES = "NODES"
    CONTROL = "CONTROL"
    ALL = "ALL"


EVERY: tuple[Service, ...] = tuple(service for service in Service if service is not Service.ALL)
STEERED: tuple[Service, ...] = tuple(service for service in EVERY if service is not Service.CONTROL)
"""What ALL means: everything but control itself, which has to be there to take it back."""

ESSENTIAL = frozenset({"signIn", "refresh", "signOut", "signOutEverywhere"})
"""Commands without which nobody could take anything back; they can be neither deleted nor frozen."""


class Level(enum.Enum):
    """How much is written down."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Kind(enum.Enum):
    """What a ruling is about."""

    THREADS = "THREADS"
    DB_CONNECTIONS = "DB_CONNECTIONS"
    FROZEN = "FROZEN"
    DELETED = "DELETED"
    CODE = "CODE"
    LOG_LEVEL = "LOG_LEVEL"
    OPTION = "OPTION"


class Verb(enum.Enum):
    """What an operator said."""

    SET_MAX_THREADS = "SET_MAX_THREADS"
    SET_MAX_DB_CONNECTIONS = "SET_MAX_DB_CONNECTIONS"
    FREEZE = "FREEZE"
    START = "START"
    DELETE_COMMAND = "DELETE_COMMAND"
    ADD_COMMAND = "ADD_COMMAND"
    STAGE_COMMAND = "STAGE_COMMAND"
    UPDATE_COMMAND = "UPDATE_COMMAND"
    ROLLBACK_COMMAND = "ROLLBACK_COMMAND"
    SET_LOGGING_LEVEL = "SET_LOGGING_LEVEL"
    SET_OPTION = "SET_OPTION"


class AckState(enum.Enum):
    """What a node has made of a message."""

    PENDING = "PENDING"
    APPLIED = "APPLIED"
    FAILED = "FAILED"


class NodeKind(enum.Enum):
    """What a node does."""

    WEB = "WEB"
    MEDIA = "MEDIA"
    WORKER = "WORKER"


class NodeState(enum.Enum):
    """Whether a node works, as it said last."""

    RUNNING = "RUNNING"
    FROZEN = "FROZEN"
    STOPPED = "STOPPED"
    SILENT = "SILENT"


# What the gate says


class ServiceFrozen(Refusal):
    """An operator has stopped a service for a while."""

    code = "SERVICE_FROZEN"
    message = "This service is stopped for a while. Try again later."
    retry_after_seconds = FROZEN_RETRY_SECONDS


class CommandDisabled(Refusal):
    """An operator has taken a command away."""

    code = "COMMAND_DISABLED"
    message = "This is not offered at present."


class Overloaded(Refusal):
    """As many operations run and wait as may; nothing was done."""

    code = "OVERLOADED"
    message = "There is more to do here than can be done. Try again in a moment."
    retry_after_seconds = 1


# What operators are told


class AlreadyFrozen(Conflict):
    """Freezing twice would not stop it any more."""

    code = "ALREADY_FROZEN"
    message = "This is frozen already."


class NotFrozen(Conflict):
    """What runs need not be started."""

    code = "NOT_FROZEN"
    message = "This is not frozen."


class CommandStays(Forbidden):
    """Sign-in and control are what everything else can be taken back with."""

    code = "COMMAND_STAYS"
    message = "Sign-in and control can be neither deleted nor frozen."


class CommandUnknown(Invalid):
    """There is no such command."""

    code = "COMMAND_UNKNOWN"

    def __init__(self, name: str) -> None:
        super().__init__((Problem(("command",), f"There is no command {name[:100]!r}."),))


class CommandDeleted(Conflict):
    """It is deleted already."""

    code = "COMMAND_DELETED"
    message = "This command is deleted already."


class CommandThere(Conflict):
    """It was not deleted."""

    code = "COMMAND_THERE"
    message = "This command is there already."


class CodeOff(Forbidden):
    """Nobody said whose code is trusted."""

    code = "CODE_OFF"
    message = "These servers take no code: they know no key to verify it with."


class BadSignature(Forbidden):
    """The code is not what somebody signed who may."""

    code = "BAD_SIGNATURE"
    message = "The signature is not of this command and this source, by the key that is trusted."


class BadCode(Invalid):
    """The code cannot stand where it is to stand."""

    code = "BAD_CODE"

    def __init__(self, message: str) -> None:
        super().__init__((Problem(("source",), message),))


class CodeNotLoaded(Conflict):
    """A node could not load the code, or did not say so in time; all go on with what they have."""

    code = "CODE_NOT_LOADED"

    def __init__(self, said: Sequence["Acknowledgement"]) -> None:
        of_each = (f"{one.node_name}: {one.detail or 'said nothing in time'}" for one in said)
        super().__init__(f"Not every node could load it. {'; '.join(of_each)}.")


class NoEarlierCode(Conflict):
    """Before the first version there is what the servers were started with, and before that nothing."""

    code = "NO_EARLIER_CODE"
    message = "This command does what it did when the servers were started."


class TooManyConnections(Conflict):
    """All nodes together may not have more connections than Postgres gives."""

    code = "TOO_MANY_CONNECTIONS"
    message = "Postgres does not give so many connections."

    def __init__(self, asked: int, nodes: int, limit: int) -> None:
        super().__init__(
            f"{nodes} nodes would open {asked} connections, {RESERVE_CONNECTIONS} each of them for control; "
            f"Postgres gives {limit}.",
            path=("connections",),
        )


class NodeGone(Conflict):
    """A node that has stopped, or says nothing, applies nothing."""

    code = "NODE_GONE"
    message = "This node is not there any more."


def _shown_to_admins(audience: Audience) -> ColumnElement[bool]:
    return literal(audience is Audience.ADMIN)


class Control(Identified):
    """The whole of what operators want, of which there is one; whoever changes it holds it."""

    __tablename__ = "controls"
    noun: ClassVar[str] = "control"

    version: Mapped[int]
    changed_at: Mapped[datetime]

    THE_ONE: ClassVar[UUID] = UUID(int=0)

    def begin_change(self, version: int | None, *, at: datetime) -> int:
        """Refuse a change of something that has changed since; count the change."""
        if version is not None and version != self.version:
            raise Stale(self)
        self.version += 1
        self.changed_at = at
        return self.version

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Administrators steer the house."""
        return _shown_to_admins(audience)


class ServerNode(Identified):
    """A process of the house, as it last said of itself; the next one in its place takes its row over."""

    __tablename__ = "server_nodes"
    __table_args__ = (UniqueConstraint("name"),)
    noun: ClassVar[str] = "server"

    name: Mapped[str]
    kind: Mapped[NodeKind] = mapped_column(named(NodeKind))
    state: Mapped[NodeState] = mapped_column(named(NodeState))
    host: Mapped[str]
    address: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    version: Mapped[int]
    connections: Mapped[int]
    cpu_percent: Mapped[int]
    p95_ms: Mapped[int]
    in_flight: Mapped[int]
    waiting: Mapped[int]
    figures: Mapped[dict[str, Any]] = mapped_column(JSONB)
    machine_id: Mapped[UUID | None] = mapped_column(index=True, default=None)
    """The machine it is, or is on, if a keeper made that."""

    def state_at(self, at: datetime) -> NodeState:
        """Whether it works; one that has said nothing for a while is taken for gone."""
        if self.state is not NodeState.STOPPED and self.seen_at < at - timedelta(seconds=NODE_SILENT_SECONDS):
            return NodeState.SILENT
        return self.state

    def is_alive(self, at: datetime) -> bool:
        """Whether it can be expected to acknowledge something."""
        return self.state_at(at) in {NodeState.RUNNING, NodeState.FROZEN}

    def must_be_alive(self, at: datetime) -> None:
        """Only a node that is there can be told something."""
        if not self.is_alive(at):
            raise NodeGone

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Administrators steer the house."""
        return _shown_to_admins(audience)


class Ruling(Identified):
    """What is wanted of one thing, on all nodes or on one; a ruling for one goes before that for all."""

    __tablename__ = "rulings"
    __table_args__ = (UniqueConstraint("kind", "subject", "node_id", postgresql_nulls_not_distinct=True),)
    noun: ClassVar[str] = "ruling"

    kind: Mapped[Kind] = mapped_column(named(Kind))
    subject: Mapped[str]
    node_id: Mapped[UUID | None] = mapped_column(ForeignKey("server_nodes.id"), index=True)
    value: Mapped[Any] = mapped_column(JSONB)
    version: Mapped[int]

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Administrators steer the house."""
        return _shown_to_admins(audience)


class ControlMessage(Identified):
    """What an operator said, and what that changed."""

    __tablename__ = "control_messages"
    __table_args__ = (UniqueConstraint("version"),)
    noun: ClassVar[str] = "message"

    version: Mapped[int]
    verb: Mapped[Verb] = mapped_column(named(Verb))
    kind: Mapped[Kind] = mapped_column(named(Kind))
    subject: Mapped[str]
    node_id: Mapped[UUID | None] = mapped_column(ForeignKey("server_nodes.id"), index=True)
    before: Mapped[dict[str, Any]] = mapped_column(JSONB)
    after: Mapped[dict[str, Any]] = mapped_column(JSONB)
    why: Mapped[str]
    actor_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    actor: Mapped[str]
    address: Mapped[str]
    at: Mapped[datetime]

    acknowledgements: Mapped[list["Acknowledgement"]] = relationship(lazy="raise", viewonly=True)

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Administrators steer the house."""
        return _shown_to_admins(audience)


class Acknowledgement(Identified):
    """What one node has made of one message."""

    __tablename__ = "acknowledgements"
    __table_args__ = (
        UniqueConstraint("message_id", "node_id"),
        Index("ix_acknowledgements_pending", "node_id", postgresql_where=text("state = 'PENDING'")),
    )
    noun: ClassVar[str] = "acknowledgement"

    message_id: Mapped[UUID] = mapped_column(ForeignKey("control_messages.id"))
    node_id: Mapped[UUID] = mapped_column(ForeignKey("server_nodes.id"), index=True)
    node_name: Mapped[str]
    state: Mapped[AckState] = mapped_column(named(AckState))
    detail: Mapped[str]
    took_ms: Mapped[int]
    at: Mapped[datetime | None]

    def say(self, state: AckState, detail: str, *, took_ms: int, at: datetime) -> None:
        """Tell what has become of it."""
        self.state, self.detail, self.took_ms, self.at = state, detail, took_ms, at

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Administrators steer the house."""
        return _shown_to_admins(audience)


class CommandVersion(Identified):
    """Code that was given for a command while the house ran, as it was signed; never changed, so that it can return."""

    __tablename__ = "command_versions"
    __table_args__ = (UniqueConstraint("command", "number"),)
    noun: ClassVar[str] = "code"

    command: Mapped[str]
    number: Mapped[int]
    source: Mapped[str]
    signature: Mapped[str]
    sha256: Mapped[str]
    actor: Mapped[str]
    at: Mapped[datetime]

    @classmethod
    def of(cls, command: str, number: int, source: str, signature: str, actor: "Actor", *, at: datetime) -> Self:
        """Keep what somebody signed."""
        return cls(
            command=command,
            number=number,
            source=source,
            signature=signature,
            sha256=hashlib.sha256(source.encode()).hexdigest(),
            actor=actor.name,
            at=at,
        )

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Administrators steer the house."""
        return _shown_to_admins(audience)


class AuditEntry(Identified):
    """Who did what to the running house, from where, and what it was before and after; never changed, never deleted."""

    __tablename__ = "audit_entries"
    noun: ClassVar[str] = "audit"

    at: Mapped[datetime]
    actor_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    actor: Mapped[str]
    address: Mapped[str]
    agent: Mapped[str]
    deed: Mapped[str]
    subject: Mapped[str]
    before: Mapped[dict[str, Any]] = mapped_column(JSONB)
    after: Mapped[dict[str, Any]] = mapped_column(JSONB)
    why: Mapped[str]

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Administrators answer for what they did."""
        return _shown_to_admins(audience)


@dataclass(frozen=True)
class Actor:
    """Who steers: an administrator over the network, or whoever may use the command line of a server."""

    account_id: UUID | None
    name: str
    address: str
    agent: str

    @classmethod
    def of(cls, account: Account, *, address: str, agent: str) -> Self:
        """Take an administrator at her word, and nobody else."""
        account.must_be(Role.ADMIN)
        return cls(account.id, account.email, address, agent)


@dataclass(frozen=True)
class Order:
    """How something is wanted: of which node, if not of all, why, and for how long to wait for acknowledgements."""

    node_id: UUID | None = None
    why: str = ""
    version: int | None = None
    timeout_seconds: int = TIMEOUT_SECONDS

    def must_be_sensible(self) -> None:
        """Keep a reason short and a wait bounded."""
        _within(len(self.why), 0, WHY_MAX, "why", "characters")
        _within(self.timeout_seconds, 0, TIMEOUT_SECONDS_MAX, "timeout_seconds", "seconds")


Values = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """What is to be different: of one kind, by subject."""

    verb: Verb
    kind: Kind
    subject: str
    before: Values
    after: Values

    @property
    def is_ruling(self) -> bool:
        """Whether it is to hold from here on, for nodes that start later, too."""
        return self.verb is not Verb.STAGE_COMMAND


@dataclass(frozen=True)
class Code:
    """The versions of a command's code that led to the one that runs, the last; 0 is what the server started with."""

    numbers: tuple[int, ...] = (0,)
    percent: int = 100

    @property
    def number(self) -> int:
        """The version that runs."""
        return self.numbers[-1]

    @property
    def beside(self) -> int:
        """The version that runs for the other calls."""
        return self.number if self.percent == 100 else self.numbers[-2]

    def followed_by(self, number: int, percent: int) -> "Code":
        """Let a version follow; the one that runs already may run for more of the calls, or for fewer."""
        return Code(self.numbers if number == self.number else (*self.numbers, number), percent)

    def taken_back(self) -> "Code":
        """Let the last version go."""
        if len(self.numbers) == 1:
            raise NoEarlierCode(path=("command",))
        return Code(self.numbers[:-1])


@dataclass(frozen=True)
class Desired:
    """What is wanted of one node, or of all of them where nothing is said of one."""

    version: int = 0
    values: Mapping[tuple[Kind, str], Any] = field(default_factory=dict)

    @classmethod
    def of(cls, version: int, rulings: Iterable[Ruling], node_id: UUID | None) -> Self:
        """Put the rulings together that hold for a node: those for all, and over them its own."""
        holding = [ruling for ruling in rulings if ruling.node_id in {None, node_id}]
        holding.sort(key=lambda ruling: ruling.node_id is not None)
        return cls(version, {(ruling.kind, ruling.subject): ruling.value for ruling in holding})

    def get(self, kind: Kind, subject: str, default: Any = None) -> Any:
        """What is wanted of one thing, if anything."""
        return self.values.get((kind, subject), default)

    def of_kind(self, kind: Kind) -> dict[str, Any]:
        """What is wanted of all things of a kind, by subject."""
        return {subject: value for (known, subject), value in self.values.items() if known is kind}

    def threads(self, service: Service) -> int:
        """How many operations of a service run at once on a node."""
        most: int = self.get(Kind.THREADS, service.value, THREADS_DEFAULT)
        return most

    def is_frozen(self, service: Service) -> bool:
        """Whether a service takes nothing new."""
        return bool(self.get(Kind.FROZEN, service.value, default=False))

    @property
    def is_frozen_wholly(self) -> bool:
        """Whether a node takes nothing at all but sign-in and control."""
        return all(map(self.is_frozen, STEERED))

    def is_deleted(self, command: str) -> bool:
        """Whether a command is refused."""
        return bool(self.get(Kind.DELETED, command, default=False))

    # What may be said of it

    def with_threads(self, service: Service, most: int) -> Change:
        """Let so many operations of a service run at once on a node."""
        _within(most, 1, THREADS_MAX, "max_threads", "at once")
        return self._change(Verb.SET_MAX_THREADS, Kind.THREADS, service, dict.fromkeys(_meant(service), most))

    def with_connections(self, connections: int) -> Change:
        """Let a node have so many connections to Postgres."""
        _within(connections, 1, CONNECTIONS_MAX, "connections", "connections")
        return self._change(Verb.SET_MAX_DB_CONNECTIONS, Kind.DB_CONNECTIONS, "POOL", {"POOL": connections})

    def with_level(self, service: Service, level: Level) -> Change:
        """Write down so much about a service; for ALL, about everything that is of no service, too."""
        subjects = [kind.value for kind in Service] if service is Service.ALL else [service.value]
        return self._change(Verb.SET_LOGGING_LEVEL, Kind.LOG_LEVEL, service, dict.fromkeys(subjects, level.value))

    def with_option(self, name: str, value: str) -> Change:
        """Give an option another value."""
        known = OPTIONS.get(name)
        if known is None:
            raise Invalid((Problem(("name",), f"There is no option {name[:100]!r}."),))
        if not WHOLE.fullmatch(value):
            raise Invalid((Problem(("value",), f"A whole number, not {value[:40]!r}."),))
        _within(int(value), known.least, known.most, "value", "for this option")
        return self._change(Verb.SET_OPTION, Kind.OPTION, name, {name: int(value)})

    def frozen(self, service: Service) -> Change:
        """Take nothing new of a service, and let what runs end."""
        if service is Service.CONTROL:
            raise CommandStays(path=("service",))
        meant = _meant(service)
        if all(self.is_frozen(Service(name)) for name in meant):
            raise AlreadyFrozen(path=("service",))
        return self._change(Verb.FREEZE, Kind.FROZEN, service, dict.fromkeys(meant, True))

    def started(self, service: Service) -> Change:
        """Take a service's commands again."""
        meant = _meant(service)
        if not any(self.is_frozen(Service(name)) for name in meant):
            raise NotFrozen(path=("service",))
        return self._change(Verb.START, Kind.FROZEN, service, dict.fromkeys(meant, False))

    def without(self, command: str, commands: Mapping[str, Service]) -> Change:
        """Refuse a command from here on."""
        must_be_steered(command, commands)
        if self.is_deleted(command):
            raise CommandDeleted(path=("command",))
        return self._change(Verb.DELETE_COMMAND, Kind.DELETED, command, {command: True})

    def with_command(self, command: str, commands: Mapping[str, Service]) -> Change:
        """Accept a command again."""
        must_be_steered(command, commands)
        if not self.is_deleted(command):
            raise CommandThere(path=("command",))
        return self._change(Verb.ADD_COMMAND, Kind.DELETED, command, {command: False})

    def code(self, command: str) -> "Code":
        """Which versions of a command's code there were, and which runs."""
        said = self.get(Kind.CODE, command)
        return Code(tuple(said["numbers"]), said["percent"]) if said else Code()

    def staged(self, command: str, number: int) -> Change:
        """Let every node load a version of a command's code; what runs stays."""
        return Change(Verb.STAGE_COMMAND, Kind.CODE, command, {}, {command: number})

    def with_code(self, command: str, number: int, percent: int) -> Change:
        """Let a version run for so many of a hundred calls; the others run what ran before."""
        _within(percent, 1, 100, "percent", "percent")
        return self._with_code(Verb.UPDATE_COMMAND, command, self.code(command).followed_by(number, percent))

    def without_code(self, command: str) -> Change:
        """Let what ran before run again."""
        return self._with_code(Verb.ROLLBACK_COMMAND, command, self.code(command).taken_back())

    def _with_code(self, verb: Verb, command: str, code: "Code") -> Change:
        return self._change(verb, Kind.CODE, command, {command: {"numbers": code.numbers, "percent": code.percent}})

    def _change(self, verb: Verb, kind: Kind, subject: Service | str, after: Values) -> Change:
        named_so = subject.value if isinstance(subject, Service) else subject
        return Change(verb, kind, named_so, {name: self.get(kind, name) for name in after}, after)


def must_fit_a_file(source: str) -> None:
    """A verb is a page or two."""
    _within(len(source), 1, SOURCE_MAX, "source", "characters")


def must_be_steered(command: str, commands: Mapping[str, Service]) -> None:
    """A command that exists, and without which everything can be taken back."""
    if command not in commands:
        raise CommandUnknown(command)
    if command in ESSENTIAL or commands[command] is Service.CONTROL:
        raise CommandStays(path=("command",))


def message_of(change: Change, actor: Actor, order: Order, *, version: int, at: datetime) -> ControlMessage:
    """Say a change to all nodes, or to the one it is for."""
    return ControlMessage(
        version=version,
        verb=change.verb,
        kind=change.kind,
        subject=change.subject,
        node_id=order.node_id,
        before=dict(change.before),
        after=dict(change.after),
        why=order.why,
        actor_id=actor.account_id,
        actor=actor.name,
        address=actor.address,
        at=at,
    )


def audited(message: ControlMessage, actor: Actor) -> AuditEntry:
    """Write down for good who gave a message."""
    return AuditEntry(
        at=message.at,
        actor_id=actor.account_id,
        actor=actor.name,
        address=actor.address,
        agent=actor.agent,
        deed=message.verb.value,
        subject=message.subject,
        before=message.before,
        after=message.after,
        why=message.why,
    )


def expected(message: ControlMessage, nodes: Sequence[ServerNode], *, at: datetime) -> list[Acknowledgement]:
    """What is to come from the nodes that are alive and meant."""
    meant = [node for node in nodes if message.node_id in {None, node.id} and node.is_alive(at)]
    return [
        Acknowledgement(
            message_id=message.id,
            node_id=node.id,
            node_name=node.name,
            state=AckState.PENDING,
            detail="",
            took_ms=0,
            at=None,
        )
        for node in meant
    ]


def must_fit(nodes: Mapping[UUID, int], limit: int) -> None:
    """Keep the connections of all nodes within what Postgres gives; each has some beside its pool."""
    # A pool has sessions and lines, at least one of each.
    asked = sum(max(own, 2) + RESERVE_CONNECTIONS for own in nodes.values())
    if asked > limit:
        raise TooManyConnections(asked, len(nodes), limit)


def node_or_none(nodes: Sequence[ServerNode], node_id: UUID | None, *, at: datetime) -> ServerNode | None:
    """The node an order is for, which has to be there."""
    if node_id is None:
        return None
    found = next((node for node in nodes if node.id == node_id), None)
    if found is None:
        raise NotFound(path=("node_id",))
    found.must_be_alive(at)
    return found


def _meant(service: Service) -> list[str]:
    return [one.value for one in (STEERED if service is Service.ALL else (service,))]


def _within(number: int, least: int, most: int, name: str, of: str) -> None:
    if not least <= number <= most:
        raise Invalid((Problem((name,), f"From {least} to {most} {of}, not {number}."),))
