"""How the running house is steered: somebody says what is wanted, every node is told, and says what it made of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from uuid import UUID

import loaders.control
import resolvers.activity
from loaders.work import UnitOfWork, in_our_words
from models.activity import CONTROL_NEWS_STREAM, CONTROL_STREAM, Event, EventKind, event
from models.control import (
    Acknowledgement,
    AckState,
    Actor,
    Change,
    CodeNotLoaded,
    CodeOff,
    CommandVersion,
    Control,
    ControlMessage,
    Desired,
    Kind,
    Level,
    Order,
    Ruling,
    ServerNode,
    Service,
    audited,
    expected,
    message_of,
    must_be_steered,
    must_fit,
    must_fit_a_file,
    node_or_none,
)
from models.errors import NotFound
from resolvers.context import Context
from resolvers.hub import Bell, GoingAway

LOOK_SECONDS = 0.5
"""How long to rely on the bell while acknowledgements come in."""

Decide = Callable[[Desired], Change]
First = Callable[[UnitOfWork], Awaitable[None]]


async def set_max_threads(ctx: Context, order: Order, *, service: Service, most: int) -> ControlMessage:
    """Let so many operations of a service run at once on each node."""
    return await _say(ctx, order, lambda desired: desired.with_threads(service, most))


async def set_max_db_connections(ctx: Context, order: Order, *, connections: int) -> ControlMessage:
    """Let each node have so many connections to Postgres; all together no more than it gives."""
    return await _say(ctx, order, lambda desired: desired.with_connections(connections))


async def freeze(ctx: Context, order: Order, *, service: Service) -> ControlMessage:
    """Take nothing new of a service; what runs ends as ever."""
    return await _say(ctx, order, lambda desired: desired.frozen(service))


async def start(ctx: Context, order: Order, *, service: Service) -> ControlMessage:
    """Take a frozen service's commands again."""
    return await _say(ctx, order, lambda desired: desired.started(service))


async def delete_command(ctx: Context, order: Order, *, command: str) -> ControlMessage:
    """Refuse a command."""
    return await _say(ctx, order, lambda desired: desired.without(command, ctx.commands))


async def add_command(ctx: Context, order: Order, *, command: str) -> ControlMessage:
    """Accept a deleted command again."""
    return await _say(ctx, order, lambda desired: desired.with_command(command, ctx.commands))


async def set_logging_level(ctx: Context, order: Order, *, service: Service, level: Level) -> ControlMessage:
    """Write more or less down about a service."""
    return await _say(ctx, order, lambda desired: desired.with_level(service, level))


async def set_option(ctx: Context, order: Order, *, name: str, value: str) -> ControlMessage:
    """Give an option another value."""
    return await _say(ctx, order, lambda desired: desired.with_option(name, value))


async def update_command(
    ctx: Context, order: Order, *, command: str, source: str, signature: str, percent: int
) -> ControlMessage:
    """Let a command do something else from here on: every node loads the code first, and only then do all run it.

    Calls that run end as they began. With less than 100 percent the other calls do what they did.
    """
    _judge(ctx, command, source, signature)
    number, staged = await _staged(ctx, order, command, source, signature, percent)
    said = [one for one in await _of_message(ctx, staged.id) if one.state is not AckState.APPLIED]
    if said:
        raise CodeNotLoaded(said)
    return await _say(ctx, replace(order, version=None), lambda desired: desired.with_code(command, number, percent))


async def rollback_command(ctx: Context, order: Order, *, command: str) -> ControlMessage:
    """Let a command do again what it did before."""
    must_be_steered(command, ctx.commands)
    return await _say(ctx, order, lambda desired: desired.without_code(command))


def _judge(ctx: Context, command: str, source: str, signature: str) -> None:
    steering(ctx)
    must_be_steered(command, ctx.commands)
    must_fit_a_file(source)
    if ctx.codebook is None:
        raise CodeOff
    ctx.codebook.judge(command, source, signature)


async def _staged(
    ctx: Context, order: Order, command: str, source: str, signature: str, percent: int
) -> tuple[int, ControlMessage]:
    """Keep the code, and let every node load it; the same code as before is the same version."""
    given = CommandVersion.of(command, 0, source, signature, steering(ctx), at=ctx.now.wall())

    async def keep(work: UnitOfWork) -> None:
        known = await loaders.control.versions(work, command)
        same = next((one.number for one in known if one.sha256 == given.sha256), None)
        given.number = same or len(known) + 1
        if same is None:
            work.add(given)

    def stage(desired: Desired) -> Change:
        # Whether it could run as it is wanted is said before anybody loads it.
        desired.with_code(command, given.number, percent)
        return desired.staged(command, given.number)

    message = await _say(ctx, order, stage, first=keep)
    return given.number, message


def steering(ctx: Context) -> Actor:
    """Who steers here: an administrator, or whoever may use the command line of a server."""
    return ctx.operator or Actor.of(ctx.me, address=ctx.address, agent=ctx.agent)


async def state(ctx: Context) -> Control:
    """The whole of what is wanted, for those who steer."""
    steering(ctx)
    with in_our_words():
        async with ctx.reading() as session:
            found = await loaders.control.current(session)
    return found or Control(id=Control.THE_ONE, version=0, changed_at=ctx.now.wall())


async def nodes(ctx: Context) -> Sequence[ServerNode]:
    """Every process of the house that is there, and the last of those that were."""
    with in_our_words():
        async with ctx.reading() as session:
            return await loaders.control.nodes(session)


async def versions(ctx: Context) -> Sequence[CommandVersion]:
    """The code that was given for commands, the oldest first."""
    with in_our_words():
        async with ctx.reading() as session:
            return await loaders.control.versions(session)


async def rulings(ctx: Context) -> Sequence[Ruling]:
    """Everything that is wanted otherwise than it is by itself."""
    with in_our_words():
        async with ctx.reading() as session:
            return await loaders.control.rulings(session)


async def changes(ctx: Context) -> AsyncIterator[tuple[Event, ControlMessage]]:
    """What operators say, and what nodes make of it, from now on."""
    steering(ctx)
    async for happened in resolvers.activity.follow(ctx, CONTROL_NEWS_STREAM):
        message = await resolvers.activity.subject(ctx, loaders.control.message, happened.subject_id)
        if message is None:
            raise NotFound
        yield happened, message


async def _say(ctx: Context, order: Order, decide: Decide, first: First | None = None) -> ControlMessage:
    """Say what is wanted, and wait for a while for what the nodes make of it."""
    actor = steering(ctx)
    order.must_be_sensible()
    async with ctx.hub.listen(CONTROL_NEWS_STREAM) as bell:
        message = await _kept(ctx, order, actor, decide, first)
        await _acknowledged(ctx, message.id, bell, order.timeout_seconds)
    return message


async def _kept(ctx: Context, order: Order, actor: Actor, decide: Decide, first: First | None) -> ControlMessage:
    async with ctx.writing() as work:
        control = await loaders.control.lock(work, ctx.now.wall())
        version = control.begin_change(order.version, at=ctx.now.wall())
        known = await loaders.control.nodes(work)
        node_or_none(known, order.node_id, at=ctx.now.wall())
        if first is not None:
            await first(work)
        change = decide(await loaders.control.desired(work, order.node_id))
        await _must_fit(ctx, work, order, change, known)
        message = message_of(change, actor, order, version=version, at=ctx.now.wall())
        work.add(message)
        await work.flush()
        work.add_all(expected(message, known, at=ctx.now.wall()))
        work.add(audited(message, actor))
        if change.is_ruling:
            await loaders.control.rule(work, change, node_id=order.node_id, version=version)
        for stream in (CONTROL_STREAM, CONTROL_NEWS_STREAM):
            work.leave(event(stream, EventKind.CONTROL_CHANGED, message, by=actor.account_id, at=ctx.now.wall()))
    return message


async def _must_fit(ctx: Context, work: UnitOfWork, order: Order, change: Change, known: Sequence[ServerNode]) -> None:
    if change.kind is not Kind.DB_CONNECTIONS:
        return
    (wanted,) = change.after.values()
    alive = [node for node in known if node.is_alive(ctx.now.wall())]
    each = {node.id: wanted if order.node_id in {None, node.id} else node.connections for node in alive}
    must_fit(each, await loaders.control.connections_given(work))


async def _acknowledged(ctx: Context, message_id: UUID, bell: Bell, seconds: int) -> None:
    """Wait until every node has said what it made of a message, but not for ever."""
    try:
        async with asyncio.timeout(seconds):
            while any(said.state is AckState.PENDING for said in await _of_message(ctx, message_id)):
                await _wake(bell)
    except (TimeoutError, GoingAway):
        return


async def _of_message(ctx: Context, message_id: UUID) -> Sequence[Acknowledgement]:
    with in_our_words():
        async with ctx.reading() as session:
            return await loaders.control.of_message(session, message_id)


async def _wake(bell: Bell) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await anext(bell)
    except TimeoutError:
        return
