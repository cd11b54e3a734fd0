"""How the running house is steered from the command line: the same verbs as over the network, by whoever is here."""

import getpass
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import loaders.control
import resolvers.control
import resolvers.machines
from models.control import AckState, Actor, ControlMessage, Level, Order, Service
from models.errors import Invalid, Problem
from models.machines import ENDED, Machine, MachineState
from ops.app import House
from ops.settings import Settings
from resolvers.context import Context

Words = Sequence[str]


class Said(NamedTuple):
    """What somebody typed: the verb, its words, and how it is wanted."""

    verb: str
    words: Words
    why: str
    node: str | None
    version: int | None
    timeout_seconds: int


async def steer(settings: Settings, said: Said) -> tuple[str, bool]:
    """Say what is wanted, and what the nodes make of it; whether all of them did it."""
    house = House.of(settings)
    async with house.open():
        here = Actor(None, f"{getpass.getuser()}@{socket.gethostname()}", socket.gethostname(), "python -m ops control")
        ctx = house.context(database=house.reserve, operator=here)
        if said.verb == "show":
            return await _shown(ctx), True
        if said.verb in FLEET:
            return await _of_machines(ctx, said)
        message = await _do(ctx, said)
        return await _told(ctx, message)


async def _do(ctx: Context, said: Said) -> ControlMessage:
    if said.verb not in VERBS:
        known = ", ".join(("show", *VERBS, *FLEET))
        raise Invalid((Problem(("verb",), f"There is no verb {said.verb[:40]}, but {known}."),))
    count, run = VERBS[said.verb]
    _must_be_so_many(said, count)
    order = Order(await _named(ctx, said.node), said.why, said.version, said.timeout_seconds)
    return await run(ctx, order, said.words)


def _must_be_so_many(said: Said, count: tuple[int, ...]) -> None:
    if len(said.words) not in count:
        names = " or ".join(map(str, count))
        raise Invalid((Problem(("words",), f"{said.verb} takes {names} words, not {len(said.words)}."),))


async def _of_machines(ctx: Context, said: Said) -> tuple[str, bool]:
    """Ask for machines, send one away, or list them; whether all is as it was wanted by now."""
    count, run, wanted = FLEET[said.verb]
    _must_be_so_many(said, count)
    machines = await run(ctx, Order(why=said.why, timeout_seconds=said.timeout_seconds), said.words)
    lines = [
        f"{machine.id}  {machine.state.value:<8} {machine.provider:<12} {machine.address or '':<21} "
        f"{machine.failure or ''}".rstrip()
        for machine in machines
    ]
    return "\n".join(lines) or "There are no machines.", all(machine.state in wanted for machine in machines)


async def _named(ctx: Context, name: str | None) -> UUID | None:
    if name is None:
        return None
    for node in await resolvers.control.nodes(ctx):
        if node.name == name:
            return node.id
    raise Invalid((Problem(("node",), f"There is no node {name[:100]}."),))


Run = Callable[[Context, Order, Words], Awaitable[ControlMessage]]
_c, _m = resolvers.control, resolvers.machines
VERBS: dict[str, tuple[tuple[int, ...], Run]] = {
    "setMaxThreads": (
        (2,),
        lambda ctx, order, w: _c.set_max_threads(ctx, order, service=_service(w[0]), most=_number(w[1])),
    ),
    "setMaxDbConnections": (
        (1,),
        lambda ctx, order, w: _c.set_max_db_connections(ctx, order, connections=_number(w[0])),
    ),
    "freeze": ((1,), lambda ctx, order, w: _c.freeze(ctx, order, service=_service(w[0]))),
    "start": ((1,), lambda ctx, order, w: _c.start(ctx, order, service=_service(w[0]))),
    "deleteCommand": ((1,), lambda ctx, order, w: _c.delete_command(ctx, order, command=w[0])),
    "addCommand": ((1,), lambda ctx, order, w: _c.add_command(ctx, order, command=w[0])),
    "updateCommand": (
        (3, 4),
        lambda ctx, order, w: _c.update_command(
            ctx, order, command=w[0], source=_source(w[1]), signature=w[2], percent=_number(w[3]) if w[3:] else 100
        ),
    ),
    "rollbackCommand": ((1,), lambda ctx, order, w: _c.rollback_command(ctx, order, command=w[0])),
    "setLoggingLevel": (
        (2,),
        lambda ctx, order, w: _c.set_logging_level(ctx, order, service=_service(w[0]), level=_level(w[1])),
    ),
    "setOption": ((2,), lambda ctx, order, w: _c.set_option(ctx, order, name=w[0], value=w[1])),
}
"""What may be typed, how many words follow, and what is done."""

FleetRun = Callable[[Context, Order, Words], Awaitable[Sequence[Machine]]]
FLEET: dict[str, tuple[tuple[int, ...], FleetRun, frozenset[MachineState]]] = {
    "spawnMachine": (
        (1, 2),
        lambda ctx, order, w: _m.spawn(ctx, order, provider=w[0], count=_number(w[1]) if w[1:] else 1),
        frozenset({MachineState.READY}),
    ),
    "retireMachine": ((1,), lambda ctx, order, w: _retired(ctx, order, w[0]), ENDED),
    "machines": ((0,), lambda ctx, _, __: _m.present(ctx), frozenset(MachineState)),
}
"""The same for machines, and how they are when it is done."""


async def _retired(ctx: Context, order: Order, word: str) -> Sequence[Machine]:
    try:
        machine_id = UUID(word.removeprefix("machine_"))
    except ValueError:
        raise Invalid((Problem(("id",), f"The id of a machine, not {word[:40]}."),)) from None
    return [await _m.retire(ctx, order, machine_id=machine_id)]


def _service(word: str) -> Service:
    if word not in Service.__members__:
        raise Invalid(
            (Problem(("service",), f"A service is one of {', '.join(Service.__members__)}, not {word[:40]}."),)
        )
    return Service[word]


def _level(word: str) -> Level:
    if word not in Level.__members__:
        raise Invalid((Problem(("level",), f"A level is one of {', '.join(Level.__members__)}, not {word[:40]}."),))
    return Level[word]


def _number(word: str) -> int:
    if not word.removeprefix("-").isdecimal():
        raise Invalid((Problem(("number",), f"A whole number, not {word[:40]}."),))
    return int(word[:18])


def _source(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid((Problem(("source",), f"It cannot be read: {error}."),)) from None


async def _told(ctx: Context, message: ControlMessage) -> tuple[str, bool]:
    async with ctx.reading() as session:
        said = await loaders.control.of_message(session, message.id)
    head = f"Version {message.version}: {message.verb.value} {message.subject}, by {message.actor}."
    lines = [f"  {one.node_name:<32} {one.state.value:<8} {one.took_ms:>6} ms  {one.detail}".rstrip() for one in said]
    return "\n".join([head, *lines]), all(one.state is AckState.APPLIED for one in said)


async def _shown(ctx: Context) -> str:
    control, now = await resolvers.control.state(ctx), ctx.now.wall()
    lines = [f"Version {control.version}, since {control.changed_at:%Y-%m-%d %H:%M:%S} UTC"]
    for node in await resolvers.control.nodes(ctx):
        fares = f"{node.in_flight} run, {node.waiting} wait, {node.cpu_percent} % CPU, p95 {node.p95_ms} ms"
        lines.append(f"  {node.name:<32} {node.state_at(now).value:<8} version {node.version}, {fares}")
    lines += [f"  {one.kind.value} {one.subject}: {one.value}" for one in await resolvers.control.rulings(ctx)]
    return "\n".join(lines)
