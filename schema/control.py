"""What is said of the running house, to those who steer it."""

import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import strawberry

import loaders.control
import models.control
import resolvers.control
from models.config import OPTIONS
from models.control import (
    ESSENTIAL,
    EVERY,
    NODE_SILENT_SECONDS,
    THREADS_MAX,
    TIMEOUT_SECONDS,
    TIMEOUT_SECONDS_MAX,
    WHY_MAX,
    AckState,
    Desired,
    Kind,
    Level,
    NodeKind,
    NodeState,
    Order,
    Service,
    Verb,
)
from schema.activity import Happened, cursor_of
from schema.edges import (
    After,
    Before,
    Connection,
    First,
    Info,
    Last,
    Node,
    Window,
    column,
    many,
    one,
    paged,
    shown,
    shows,
)
from schema.errors import Refused
from schema.scalars import described, key_of

described(
    Service,
    "A noun of the API, to which commands belong.",
    USERS="Accounts, sessions and profiles.",
    JOBS="Jobs and their catalogue.",
    PROPOSALS="Proposals.",
    CONTRACTS="Contracts and milestones.",
    PAYMENTS="Money.",
    CONNECTS="What proposals cost.",
    MEDIA="Files, over GraphQL and by themselves.",
    NODES="Whoever asks, and anything by its id.",
    CONTROL="What you steer with.",
    ALL="Every one of them but CONTROL.",
)
described(
    Level,
    "How much is written down.",
    DEBUG="Everything.",
    INFO="A line for every operation.",
    WARNING="What may be wrong.",
    ERROR="What is wrong.",
)
described(
    Kind,
    "What a ruling is about.",
    THREADS="How many operations of a service run at once on a node.",
    DB_CONNECTIONS="How many connections to Postgres a node has.",
    FROZEN="Whether a service takes nothing new.",
    DELETED="Whether a command is refused.",
    CODE="Which version of a command's code runs.",
    LOG_LEVEL="How much is written down about a service.",
    OPTION="The value of an option.",
)
described(
    Verb,
    "What an operator said.",
    SET_MAX_THREADS="`setMaxThreads`.",
    SET_MAX_DB_CONNECTIONS="`setMaxDbConnections`.",
    FREEZE="`freeze`.",
    START="`start`.",
    DELETE_COMMAND="`deleteCommand`.",
    ADD_COMMAND="`addCommand`.",
    STAGE_COMMAND="The first half of `updateCommand`: every node loads the code, and none runs it yet.",
    UPDATE_COMMAND="`updateCommand`.",
    ROLLBACK_COMMAND="`rollbackCommand`.",
    SET_LOGGING_LEVEL="`setLoggingLevel`.",
    SET_OPTION="`setOption`.",
)
described(
    AckState,
    "What a node has made of a message.",
    PENDING="It has not said anything yet.",
    APPLIED="It does as it was told, or as it was told since.",
    FAILED="It could not, and does as before.",
)
described(
    NodeKind,
    "What a node does.",
    WEB="It answers operations, and carries files.",
    MEDIA="It carries files alone.",
    WORKER="It does what happens by itself.",
)
described(
    NodeState,
    "Whether a node works.",
    RUNNING="It works.",
    FROZEN="It takes nothing but sign-in and control.",
    STOPPED="It was stopped.",
    SILENT=f"It has said nothing for {NODE_SILENT_SECONDS} seconds, and is taken for gone.",
)


@strawberry.type(description="Something with a value, both as text.")
class NamedValue:
    name: str = strawberry.field(description="What it is.")
    value: str | None = strawberry.field(description="Its value, in JSON; nothing where there was none.")


def named_values(values: Mapping[str, Any]) -> list[NamedValue]:
    """Show values of any kind."""
    return [NamedValue(name=name, value=None if value is None else json.dumps(value)) for name, value in values.items()]


@strawberry.type(description="What a service does on one node.")
class ServiceLoad:
    service: Service = strawberry.field(description="The service.")
    running: int = strawberry.field(description="Operations that run.")
    waiting: int = strawberry.field(description="Operations that wait for others to end.")
    followers: int = strawberry.field(description="Subscriptions.")


@strawberry.type(description="A process of the house, as it last said of itself.")
class ServerNode(Node):
    is_type_of = shows(models.control.ServerNode, loaders.control.node)

    name: str = column("Its name: where it runs, and a number.")
    kind: NodeKind = column("What it does.")
    host: str = column("The machine it runs on.")
    address: str = column("Where it listens, as seen from that machine; nothing for one that does not listen.")
    pid: int = column("The number of its process.")
    started_at: datetime = column("When it started.")
    seen_at: datetime = column("When it last said something.")
    version: int = column("The version of what is wanted that it has taken over.")
    connections: int = column("How many connections to Postgres its pool may have.")
    cpu_percent: int = column("How much of one processor it used of late.")
    p95_ms: int = column("In how many milliseconds 95 of 100 operations were answered of late.")
    in_flight: int = column("Operations that run on it.")
    waiting: int = column("Operations that wait on it.")

    @strawberry.field(description="Whether it works.")
    def state(root: Any, info: Info) -> NodeState:
        return root.state_at(info.context.now.wall())

    @strawberry.field(description="What each service does on it.")
    def services(root: Any) -> list[ServiceLoad]:
        loads = root.figures.get("services", {})
        return [ServiceLoad(service=one, **loads[one.value]) for one in EVERY if one.value in loads]


@strawberry.type(description="What one node has made of one message.")
class Acknowledgement:
    is_type_of = shows(models.control.Acknowledgement)

    node_name: str = column("The node.")
    state: AckState = column("What it has made of it.")
    detail: str = column("More about that, for people.")
    took_ms: int = column("How many milliseconds it took.")
    at: datetime | None = column("When it was acknowledged.")


@strawberry.type(description="What an operator said to the nodes, and what they make of it.")
class ControlMessage(Node):
    is_type_of = shows(models.control.ControlMessage, loaders.control.message)

    version: int = column("The version of the whole that it made.")
    verb: Verb = column("What was said.")
    subject: str = column("Of what: a service, a command, an option.")
    why: str = column("The reason that was given.")
    actor: str = column("Who said it.")
    address: str = column("From where.")
    at: datetime = column("When.")
    node: ServerNode | None = one("To which node; nothing if it was said to all.", loaders.control.node, "node_id")
    acknowledgements: list[Acknowledgement] = many(
        "What has become of it on each node that was there.", loaders.control.acknowledgements, at_most=100
    )

    @strawberry.field(description="What was wanted before, by subject.")
    def before(root: Any) -> list[NamedValue]:
        return named_values(root.before)

    @strawberry.field(description="What is wanted since, by subject.")
    def after(root: Any) -> list[NamedValue]:
        return named_values(root.after)

    @strawberry.field(description="The nodes that were there and have not acknowledged it yet.")
    async def missing(root: Any, info: Info) -> list[str]:
        said = await info.context.loaders.many(loaders.control.acknowledgements, root.id)
        return [one.node_name for one in said if one.state is AckState.PENDING]


@strawberry.type(description="Who did what to the running house; kept for good.")
class AuditEntry:
    is_type_of = shows(models.control.AuditEntry)

    at: datetime = column("When.")
    actor: str = column("Who.")
    address: str = column("From where.")
    agent: str = column("With which program.")
    deed: str = column("What was done.")
    subject: str = column("To what.")
    why: str = column("The reason that was given.")

    @strawberry.field(description="How it was before, by subject.")
    def before(root: Any) -> list[NamedValue]:
        return named_values(root.before)

    @strawberry.field(description="How it is since, by subject.")
    def after(root: Any) -> list[NamedValue]:
        return named_values(root.after)


@strawberry.type(description="A service, as it is wanted, and what it does on all nodes together.")
class ServiceStatus:
    service: Service = strawberry.field(description="The service.")
    max_threads: int = strawberry.field(description="How many of its operations run at once on a node.")
    is_frozen: bool = strawberry.field(description="Whether it takes nothing new.")
    level: Level | None = strawberry.field(description="How much is written down about it, if that was said.")
    running: int = strawberry.field(description="Operations that run.")
    waiting: int = strawberry.field(description="Operations that wait for others to end.")
    followers: int = strawberry.field(description="Subscriptions.")


@strawberry.type(description="Code that was given for a command while the house ran.")
class CommandVersion:
    is_type_of = shows(models.control.CommandVersion)

    number: int = column("Its number, from 1.")
    sha256: str = column("The SHA-256 of its source.")
    source: str = column("Its source.")
    actor: str = column("Who gave it.")
    at: datetime = column("When.")


@strawberry.type(description="Something that can be asked or done.")
class CommandStatus:
    name: str = strawberry.field(description="Its name: that of a root field, or of a way to carry files.")
    service: Service = strawberry.field(description="The service it belongs to.")
    is_deleted: bool = strawberry.field(description="Whether it is refused.")
    stays: bool = strawberry.field(description="Whether it can be neither deleted nor frozen.")
    code_number: int = strawberry.field(description="The version of its code; 0 is what the servers started with.")
    code_percent: int = strawberry.field(description="For how many of a hundred calls that version runs.")
    code_versions: list[CommandVersion] = strawberry.field(description="The versions there are, the oldest first.")


@strawberry.type(description="A whole number that rules depend on; as text, because it may be longer than an Int.")
class OptionStatus:
    name: str = strawberry.field(description="Its name.")
    value: str = strawberry.field(description="Its value.")
    default: str = strawberry.field(description="Its value if nobody says another.")
    least: str = strawberry.field(description="The least it may be.")
    most: str = strawberry.field(description="The most it may be.")
    means: str = strawberry.field(description="What it means.")


@strawberry.type(description="What is wanted of one thing, otherwise than it is by itself.")
class Ruling:
    kind: Kind = strawberry.field(description="What it is about.")
    subject: str = strawberry.field(description="Of what: a service, a command, an option.")
    node_name: str | None = strawberry.field(description="The node it is for; nothing if it is for all.")
    value: str = strawberry.field(description="What is wanted, in JSON.")
    version: int = strawberry.field(description="The version of the whole that brought it.")


@dataclass(frozen=True)
class Load:
    """What nodes do together."""

    running: int = 0
    waiting: int = 0
    followers: int = 0

    @classmethod
    def of(cls, service: Service, nodes: Iterable[models.control.ServerNode], at: datetime) -> "Load":
        """Add up what those that are alive say of a service."""
        said = [node.figures.get("services", {}).get(service.value, {}) for node in nodes if node.is_alive(at)]
        return cls(*(sum(load.get(name, 0) for load in said) for name in ("running", "waiting", "followers")))


@strawberry.type(description="The running house: what is wanted of it, and what is there.")
class Control(Node):
    is_type_of = shows(models.control.Control, loaders.control.by_id)

    version: int = column("Counts the changes; send it with one, so as not to overwrite somebody else's.")
    changed_at: datetime = column("When somebody last wanted something else.")

    @strawberry.field(description="Every process that is there, and the last of those that were.")
    async def nodes(self, info: Info) -> list[ServerNode]:
        return shown(await resolvers.control.nodes(info.context))

    @strawberry.field(description="The services, as they are wanted, and what they do.")
    async def services(self, info: Info) -> list[ServiceStatus]:
        desired = Desired.of(0, await resolvers.control.rulings(info.context), None)
        nodes, now = await resolvers.control.nodes(info.context), info.context.now.wall()
        return [
            ServiceStatus(
                service=service,
                max_threads=desired.threads(service),
                is_frozen=desired.is_frozen(service),
                level=Level(level) if (level := desired.get(Kind.LOG_LEVEL, service.value)) else None,
                **vars(Load.of(service, nodes, now)),
            )
            for service in EVERY
        ]

    @strawberry.field(description="Everything that can be asked or done, by name.")
    async def commands(self, info: Info) -> list[CommandStatus]:
        desired = Desired.of(0, await resolvers.control.rulings(info.context), None)
        versions: defaultdict[str, list[models.control.CommandVersion]] = defaultdict(list)
        for given in await resolvers.control.versions(info.context):
            versions[given.command].append(given)
        return [
            CommandStatus(
                name=name,
                service=service,
                is_deleted=desired.is_deleted(name),
                stays=name in ESSENTIAL or service is Service.CONTROL,
                code_number=desired.code(name).number,
                code_percent=desired.code(name).percent,
                code_versions=shown(versions[name]),
            )
            for name, service in sorted(info.context.commands.items())
        ]

    @strawberry.field(description="The numbers that rules depend on, by name.")
    async def options(self, info: Info) -> list[OptionStatus]:
        wanted = Desired.of(0, await resolvers.control.rulings(info.context), None).of_kind(Kind.OPTION)
        return [
            OptionStatus(
                name=known.name,
                value=str(wanted.get(known.name, known.default)),
                default=str(known.default),
                least=str(known.least),
                most=str(known.most),
                means=known.means,
            )
            for _, known in sorted(OPTIONS.items())
        ]

    @strawberry.field(description="Everything that is wanted otherwise than it is by itself.")
    async def rulings(self, info: Info) -> list[Ruling]:
        names = {node.id: node.name for node in await resolvers.control.nodes(info.context)}
        return [
            Ruling(
                kind=ruling.kind,
                subject=ruling.subject,
                node_name=names.get(ruling.node_id, str(ruling.node_id)) if ruling.node_id else None,
                value=json.dumps(ruling.value),
                version=ruling.version,
            )
            for ruling in await resolvers.control.rulings(info.context)
        ]

    @strawberry.field(description="What operators said, the latest first.")
    async def control_messages(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[ControlMessage]:
        return shown(await paged(info, loaders.control.messages, None, Window(first, after, last, before)))

    @strawberry.field(description="Who did what to the running house, the latest first.")
    async def audit_log(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[AuditEntry]:
        return shown(await paged(info, loaders.control.audit, None, Window(first, after, last, before)))


@strawberry.input(description="How something is wanted.")
class OrderInput:
    why: str = strawberry.field(default="", description=f"The reason, in up to {WHY_MAX} characters; it is kept.")
    node_id: strawberry.ID | None = strawberry.field(
        default=None, description="The node it is wanted of; all of them, if not said."
    )
    version: int | None = strawberry.field(
        default=None, description="The version of the whole that you read; refused as STALE if there is a newer one."
    )
    timeout_seconds: int = strawberry.field(
        default=TIMEOUT_SECONDS,
        description=f"How long to wait for acknowledgements, 0 to {TIMEOUT_SECONDS_MAX}; the nodes do it all the same.",
    )

    def order(self) -> Order:
        """Read the input as the house speaks."""
        node_id = None if self.node_id is None else key_of("server", self.node_id, "node_id")
        return Order(node_id, self.why, self.version, self.timeout_seconds)


@strawberry.input(description="How many operations of a service run at once.")
class SetMaxThreadsInput(OrderInput):
    service: Service = strawberry.field(description="The service.")
    max_threads: int = strawberry.field(description=f"On each node: 1 to {THREADS_MAX}.")


@strawberry.input(description="How many connections to Postgres there are.")
class SetMaxDbConnectionsInput(OrderInput):
    connections: int = strawberry.field(description="Of each node: 1 to 100.")


@strawberry.input(description="A service to freeze.")
class FreezeInput(OrderInput):
    service: Service = strawberry.field(description="The service, or ALL.")


@strawberry.input(description="A service to start again.")
class StartInput(OrderInput):
    service: Service = strawberry.field(description="The service, or ALL.")


@strawberry.input(description="A command to take away.")
class DeleteCommandInput(OrderInput):
    command: str = strawberry.field(description="Its name.")


@strawberry.input(description="A command to accept again.")
class AddCommandInput(OrderInput):
    command: str = strawberry.field(description="Its name.")


@strawberry.input(description="Code for a command.")
class UpdateCommandInput(OrderInput):
    command: str = strawberry.field(description="Its name.")
    source: str = strawberry.field(description="Python: a module with the verb behind the command, in its form.")
    signature: str = strawberry.field(description="What `python -m ops sign` says of this command and this source.")
    percent: int = strawberry.field(default=100, description="For how many of a hundred calls: 1 to 100.")


@strawberry.input(description="A command that is to do again what it did.")
class RollbackCommandInput(OrderInput):
    command: str = strawberry.field(description="Its name.")


@strawberry.input(description="How much to write down.")
class SetLoggingLevelInput(OrderInput):
    service: Service = strawberry.field(description="About which service, or about ALL.")
    level: Level = strawberry.field(description="How much.")


@strawberry.input(description="An option and its value.")
class SetOptionInput(OrderInput):
    name: str = strawberry.field(description="Its name.")
    value: str = strawberry.field(description="A whole number, within the bounds of the option.")


def _result(name: str) -> Any:
    return strawberry.union(name, description="What was said, and what the nodes make of it; or why it was not said.")


SetMaxThreadsResult = Annotated[ControlMessage | Refused, _result("SetMaxThreadsResult")]
SetMaxDbConnectionsResult = Annotated[ControlMessage | Refused, _result("SetMaxDbConnectionsResult")]
FreezeResult = Annotated[ControlMessage | Refused, _result("FreezeResult")]
StartResult = Annotated[ControlMessage | Refused, _result("StartResult")]
DeleteCommandResult = Annotated[ControlMessage | Refused, _result("DeleteCommandResult")]
AddCommandResult = Annotated[ControlMessage | Refused, _result("AddCommandResult")]
UpdateCommandResult = Annotated[ControlMessage | Refused, _result("UpdateCommandResult")]
RollbackCommandResult = Annotated[ControlMessage | Refused, _result("RollbackCommandResult")]
SetLoggingLevelResult = Annotated[ControlMessage | Refused, _result("SetLoggingLevelResult")]
SetOptionResult = Annotated[ControlMessage | Refused, _result("SetOptionResult")]


@strawberry.type(description="An operator said something, or a node has made something of it.")
class ControlChanged(Happened):
    message: ControlMessage = strawberry.field(description="What was said, and what the nodes have made of it so far.")


@strawberry.type
class ControlQueries:
    @strawberry.field(description="Administrators: the running house.")
    async def control(self, info: Info) -> Control:
        return shown(await resolvers.control.state(info.context))


@strawberry.type
class ControlMutations:
    @strawberry.mutation(description="Administrators: let so many operations of a service run at once on a node.")
    async def set_max_threads(self, info: Info, input: SetMaxThreadsInput) -> SetMaxThreadsResult:
        return shown(
            await resolvers.control.set_max_threads(
                info.context, input.order(), service=input.service, most=input.max_threads
            )
        )

    @strawberry.mutation(description="Administrators: let a node have so many connections to Postgres.")
    async def set_max_db_connections(self, info: Info, input: SetMaxDbConnectionsInput) -> SetMaxDbConnectionsResult:
        order, connections = input.order(), input.connections
        return shown(await resolvers.control.set_max_db_connections(info.context, order, connections=connections))

    @strawberry.mutation(description="Administrators: let what runs of a service end, and take nothing new.")
    async def freeze(self, info: Info, input: FreezeInput) -> FreezeResult:
        return shown(await resolvers.control.freeze(info.context, input.order(), service=input.service))

    @strawberry.mutation(description="Administrators: take a frozen service's commands again.")
    async def start(self, info: Info, input: StartInput) -> StartResult:
        return shown(await resolvers.control.start(info.context, input.order(), service=input.service))

    @strawberry.mutation(description="Administrators: refuse a command.")
    async def delete_command(self, info: Info, input: DeleteCommandInput) -> DeleteCommandResult:
        return shown(await resolvers.control.delete_command(info.context, input.order(), command=input.command))

    @strawberry.mutation(description="Administrators: accept a deleted command again.")
    async def add_command(self, info: Info, input: AddCommandInput) -> AddCommandResult:
        return shown(await resolvers.control.add_command(info.context, input.order(), command=input.command))

    @strawberry.mutation(description="Administrators: let a command do something else, by code that was signed.")
    async def update_command(self, info: Info, input: UpdateCommandInput) -> UpdateCommandResult:
        return shown(
            await resolvers.control.update_command(
                info.context,
                input.order(),
                command=input.command,
                source=input.source,
                signature=input.signature,
                percent=input.percent,
            )
        )

    @strawberry.mutation(description="Administrators: let a command do again what it did before.")
    async def rollback_command(self, info: Info, input: RollbackCommandInput) -> RollbackCommandResult:
        return shown(await resolvers.control.rollback_command(info.context, input.order(), command=input.command))

    @strawberry.mutation(description="Administrators: write more or less down about a service.")
    async def set_logging_level(self, info: Info, input: SetLoggingLevelInput) -> SetLoggingLevelResult:
        order, service = input.order(), input.service
        return shown(await resolvers.control.set_logging_level(info.context, order, service=service, level=input.level))

    @strawberry.mutation(description="Administrators: give an option another value.")
    async def set_option(self, info: Info, input: SetOptionInput) -> SetOptionResult:
        order = input.order()
        return shown(await resolvers.control.set_option(info.context, order, name=input.name, value=input.value))


@strawberry.type
class ControlSubscriptions:
    @strawberry.subscription(description="Administrators: what operators say, and what the nodes make of it.")
    async def control_changed(self, info: Info) -> AsyncGenerator[ControlChanged, None]:
        async for event, message in resolvers.control.changes(info.context):
            yield ControlChanged(cursor=cursor_of(event, info), at=event.at, kind=event.kind, message=shown(message))
