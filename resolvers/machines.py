"""What is done with machines: asked for and sent away by operators, made and ended by keepers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

import loaders.control
import loaders.machines
from loaders.work import UnitOfWork, in_our_words
from models.control import NodeKind, Order, ServerNode, must_fit
from models.machines import (
    ENDED,
    REMEMBERED,
    FleetChanged,
    Keeper,
    Machine,
    MachineState,
    retiring,
    spawning,
    standing,
    want,
)
from models.scaling import Fleet
from resolvers.context import Context
from resolvers.control import steering
from resolvers.hub import Bell, GoingAway

CHANNEL = "machines"
"""Rings when somebody wants something of a machine, or one has changed."""
LOOK_SECONDS = 0.5
"""How long to rely on the bell while machines come up or go."""
CONNECTIONS_ASSUMED = 20
"""Connections of a node that is not there yet, if no other is there to go by."""
UNDER_WAY = frozenset({MachineState.WANTED, MachineState.STARTING})


@dataclass(frozen=True)
class Duties:
    """What a keeper has to see to, as of now."""

    kept: Sequence[Machine]
    is_known: bool


@dataclass(frozen=True)
class Watched:
    """What an autoscaler looks at: how the nodes fare, and which machines it could do without, those first."""

    nodes: Sequence[ServerNode]
    fleet: Fleet
    spare: Sequence[Machine]


# Operators


async def spawn(
    ctx: Context, order: Order, *, provider: str, count: int, seen: Fleet | None = None
) -> Sequence[Machine]:
    """Ask for further machines, and wait for a while for them to take traffic; whether they do is for them to show.

    Who decided by what there was, `seen`, is refused if that has changed since.
    """
    actor = steering(ctx)
    order.must_be_sensible()
    async with ctx.hub.listen(CHANNEL) as bell:
        async with ctx.writing() as work:
            await _hold(work, seen)
            present, keepers = await loaders.machines.present(work), await loaders.machines.keepers(work)
            made = want(provider, count, actor, keepers=keepers, machines=present, config=ctx.config, at=ctx.now.wall())
            await _must_fit(ctx, work, len(made))
            work.add_all(made)
            work.add(spawning(made, actor, order.why, standing=standing(present), at=ctx.now.wall()))
        await _ring(ctx)
        ids = [machine.id for machine in made]
        return await _waited(ctx, bell, ids, order, lambda machine: machine.state not in UNDER_WAY)


async def retire(ctx: Context, order: Order, *, machine_id: UUID, seen: Fleet | None = None) -> Machine:
    """Send a machine away: it gets nothing new, finishes what it is at, and is gone. The last one stays.

    The machine that is asked to send itself away answers at once: it would wait for its own answer to be finished.
    """
    actor = steering(ctx)
    order.must_be_sensible()
    async with ctx.hub.listen(CHANNEL) as bell:
        async with ctx.writing() as work:
            await _hold(work, seen)
            machine = await loaders.machines.lock(work, machine_id)
            before = machine.state
            machine.retire(await loaders.machines.ready_beside(work, machine_id), at=ctx.now.wall())
            work.add(retiring(machine, actor, order.why, before=before, at=ctx.now.wall()))
        await _ring(ctx)
        is_itself = machine_id == ctx.machine_id
        (retired,) = await _waited(ctx, bell, [machine_id], order, lambda one: is_itself or one.state in ENDED)
    return retired


async def watch(ctx: Context, *, provider: str) -> Watched:
    """See how the web servers fare, and which machines of a provider there are."""
    steering(ctx)
    with in_our_words():
        async with ctx.reading() as session:
            nodes = await loaders.control.nodes(session)
            fleet = await loaders.machines.fleet(session)
            spare = await loaders.machines.ready_of(session, provider)
    now = ctx.now.wall()
    return Watched([node for node in nodes if node.kind is NodeKind.WEB and node.is_alive(now)], fleet, spare)


async def present(ctx: Context) -> Sequence[Machine]:
    """Every machine that is not gone, the oldest first."""
    steering(ctx)
    with in_our_words():
        async with ctx.reading() as session:
            return await loaders.machines.present(session)


async def keepers(ctx: Context) -> Sequence[Keeper]:
    """Who makes machines, and of which kinds."""
    steering(ctx)
    with in_our_words():
        async with ctx.reading() as session:
            return [one for one in await loaders.machines.keepers(session) if one.is_alive(ctx.now.wall())]


async def find(ctx: Context, *, machine_id: UUID) -> Machine | None:
    """A machine as it is now."""
    with in_our_words():
        async with ctx.reading() as session:
            return await loaders.machines.find(session, machine_id)


# Keepers


async def enlist(ctx: Context, keeper: Keeper) -> None:
    """Come into service, and dismiss those who have left it in silence."""
    async with ctx.writing() as work:
        await loaders.machines.dismiss(work, ctx.now.wall())
        await loaders.machines.sweep(work, ctx.now.wall() - REMEMBERED)
        # It may have said already that it will come.
        await work.merge(keeper)


async def attend(ctx: Context, keeper: Keeper, providers: Mapping[str, bool]) -> Duties:
    """Say that one lives, begin with what is wanted, and go on with what others have left.

    `providers` says of each kind of machine whether it dies with its keeper. Of one that died so nothing is left but to
    say it; another is still there, and is found by its id.
    """
    async with ctx.writing() as work:
        if not await loaders.machines.beat(work, keeper.id, ctx.now.wall()):
            return Duties([], is_known=False)
        await loaders.machines.dismiss(work, ctx.now.wall())
        has_changed = await _clear_up(ctx, work, keeper, providers)
        for machine in await loaders.machines.lock_wanted(work, providers):
            machine.begin(keeper, dies_with_keeper=providers[machine.provider], at=ctx.now.wall())
        await work.flush()
        kept = await loaders.machines.kept_by(work, keeper.id)
    if has_changed:
        await _ring(ctx)
    return Duties(kept, is_known=True)


async def _clear_up(ctx: Context, work: UnitOfWork, keeper: Keeper, providers: Collection[str]) -> bool:
    overdue = await loaders.machines.lock_overdue(work, ctx.now.wall())
    for machine in overdue:
        machine.fail("Nobody was there to make it.", at=ctx.now.wall())
    left = await loaders.machines.lock_left(work, providers)
    for machine in left:
        if machine.dies_with_keeper:
            machine.go("It ended with the process that kept it.", at=ctx.now.wall())
        else:
            machine.take_over(keeper)
    return bool(overdue or left)


async def come_back(ctx: Context, keeper: Keeper, *, machine_ids: Collection[UUID]) -> None:
    """Come into service again after having been taken for dead; these machines were so, too, and are alive."""
    async with ctx.writing() as work:
        work.add(keeper)
        await work.flush()
        for machine in await loaders.machines.lock_several(work, machine_ids):
            if machine.is_undead:
                machine.come_back(keeper)
    await _ring(ctx)


async def made(ctx: Context, *, machine_id: UUID, handle: str, address: str | None) -> None:
    """Note what the provider calls a machine, and where it is."""
    async with _changing(ctx, machine_id) as machine:
        machine.made(handle, address)


async def stand(ctx: Context, *, machine_id: UUID) -> bool:
    """Note that a machine takes traffic, unless it was sent away meanwhile; answers whether it is so."""
    async with _changing(ctx, machine_id) as machine:
        return machine.stand(at=ctx.now.wall())


async def fail(ctx: Context, *, machine_id: UUID, why: str) -> None:
    """Give a machine up that did not come to take traffic."""
    async with _changing(ctx, machine_id) as machine:
        machine.fail(why, at=ctx.now.wall())


async def gone(ctx: Context, *, machine_id: UUID, why: str | None = None) -> None:
    """Note that a machine is no more."""
    async with _changing(ctx, machine_id) as machine:
        machine.go(why, at=ctx.now.wall())


async def leave(ctx: Context, keeper: Keeper, why: str) -> None:
    """Leave the service: what is bound to the keeper ends with it, the rest is for the next one."""
    async with ctx.writing() as work:
        for machine in await loaders.machines.lock_bound(work, keeper.id):
            machine.go(why, at=ctx.now.wall())
        await work.flush()
        await loaders.machines.forget_keeper(work, keeper.id)
    await _ring(ctx)


# Machines


async def has_finished(ctx: Context, *, machine_id: UUID) -> bool:
    """Whether a machine has said that it has finished, and none of its processes says that it is at something."""
    with in_our_words():
        async with ctx.reading() as session:
            machine = await loaders.machines.find(session, machine_id)
            nodes = await loaders.control.nodes(session)
    if machine is None or machine.ready_at is None:
        return True
    own = [node for node in nodes if node.machine_id == machine_id and node.is_alive(ctx.now.wall())]
    return machine.drained_at is not None and not any(node.in_flight or node.waiting for node in own)


async def finish(ctx: Context, *, machine_id: UUID) -> None:
    """Say of oneself that all is finished, and nothing more will be begun."""
    async with _changing(ctx, machine_id) as machine:
        machine.finish(at=ctx.now.wall())


@asynccontextmanager
async def _changing(ctx: Context, machine_id: UUID) -> AsyncIterator[Machine]:
    async with ctx.writing() as work:
        yield await loaders.machines.lock(work, machine_id)
    await _ring(ctx)


async def _hold(work: UnitOfWork, seen: Fleet | None) -> None:
    await loaders.machines.hold_fleet(work)
    if seen is not None and seen.changed_at != (await loaders.machines.fleet(work)).changed_at:
        raise FleetChanged


async def _ring(ctx: Context) -> None:
    """Let keepers, and those who wait for them, look."""
    await ctx.hub.ring(CHANNEL, "changed")


async def _must_fit(ctx: Context, work: UnitOfWork, more: int) -> None:
    """Refuse machines for which Postgres would have no connections left."""
    nodes = [node for node in await loaders.control.nodes(work) if node.is_alive(ctx.now.wall())]
    each = {node.id: node.connections for node in nodes}
    likely = max(each.values(), default=CONNECTIONS_ASSUMED)
    must_fit(each | {uuid4(): likely for _ in range(more)}, await loaders.control.connections_given(work))


async def _waited(
    ctx: Context, bell: Bell, ids: Sequence[UUID], order: Order, is_settled: Callable[[Machine], bool]
) -> Sequence[Machine]:
    """Wait until all is settled, but neither for ever nor beyond this server's end; answers how things stand then."""
    with suppress(TimeoutError, GoingAway):
        async with asyncio.timeout(order.timeout_seconds):
            while not all(map(is_settled, await _several(ctx, ids))):
                await _wake(bell)
    return await _several(ctx, ids)


async def _several(ctx: Context, ids: Sequence[UUID]) -> Sequence[Machine]:
    with in_our_words():
        async with ctx.reading() as session:
            return await loaders.machines.several(session, ids)


async def _wake(bell: Bell) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await anext(bell)
    except TimeoutError:
        return
