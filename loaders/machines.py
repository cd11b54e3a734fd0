"""Which machines there are, and who keeps them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation
from models.errors import NotFound
from models.machines import ENDED, KEEPER_SILENT, KEPT, MOVING, STANDING, UNBEGUN, Keeper, Machine, MachineState
from models.scaling import Fleet

by_id = Relation(Machine, Machine.id)
newest = Relation(Machine, order=(Machine.wanted_at, Machine.id), descending=True)

FLEET = 0x6D616368
"""The advisory lock of everybody who changes how many machines there are; nobody has met in it before."""
CLAIM_MAX = 10
"""Machines that a keeper begins with in one round."""


async def hold_fleet(session: AsyncSession) -> None:
    """Let nobody else ask for more machines, or fewer, until the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(FLEET)))


async def lock(session: AsyncSession, machine_id: UUID) -> Machine:
    """The machine, held until the transaction ends."""
    found = await session.get(Machine, machine_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound
    return found


async def find(session: AsyncSession, machine_id: UUID) -> Machine | None:
    """The machine, as it is now."""
    return await session.get(Machine, machine_id, populate_existing=True)


async def several(session: AsyncSession, machine_ids: Collection[UUID]) -> Sequence[Machine]:
    """These machines as they are now, in the order in which they were asked for."""
    query = select(Machine).where(Machine.id.in_(machine_ids)).order_by(Machine.wanted_at, Machine.id)
    return (await session.scalars(query, execution_options={"populate_existing": True})).all()


async def lock_several(session: AsyncSession, machine_ids: Collection[UUID]) -> Sequence[Machine]:
    """These machines, held in the order of their ids until the transaction ends."""
    query = select(Machine).where(Machine.id.in_(machine_ids)).order_by(Machine.id)
    return (await session.scalars(query.with_for_update())).all()


async def present(session: AsyncSession) -> Sequence[Machine]:
    """Every machine that is not gone, the oldest first."""
    query = select(Machine).where(Machine.state.not_in(ENDED)).order_by(Machine.wanted_at, Machine.id)
    return (await session.scalars(query)).all()


async def fleet(session: AsyncSession) -> Fleet:
    """How many machines there are or are about to be, and when that last changed."""
    counts = (
        func.count().filter(Machine.state.in_(STANDING)),
        func.count().filter(Machine.state.in_(MOVING)),
        func.greatest(func.max(Machine.wanted_at), func.max(Machine.retired_at), func.max(Machine.ended_at)),
        func.max(Machine.ended_at).filter(Machine.state == MachineState.FAILED),
    )
    machines, moving, changed_at, failed_at = (await session.execute(select(*counts))).one()
    return Fleet(machines, is_moving=moving > 0, changed_at=changed_at, failed_at=failed_at)


async def keepers(session: AsyncSession) -> Sequence[Keeper]:
    """Every keeper that said something lately, or has something to keep."""
    return (await session.scalars(select(Keeper).order_by(Keeper.id))).all()


async def beat(session: AsyncSession, keeper_id: UUID, at: datetime) -> bool:
    """Let a keeper say that it lives; answers whether it is known."""
    known = update(Keeper).where(Keeper.id == keeper_id).values(seen_at=at).returning(Keeper.id)
    return await session.scalar(known) is not None


async def dismiss(session: AsyncSession, at: datetime) -> None:
    """Forget keepers that have said nothing for long; what they kept is free for others."""
    await session.execute(delete(Keeper).where(Keeper.seen_at <= at - KEEPER_SILENT))


async def forget_keeper(session: AsyncSession, keeper_id: UUID) -> None:
    """Forget one that has said goodbye."""
    await session.execute(delete(Keeper).where(Keeper.id == keeper_id))


async def lock_overdue(session: AsyncSession, at: datetime) -> Sequence[Machine]:
    """Machines that were asked for and that nobody began with; what others hold is left out."""
    query = select(Machine).where(Machine.state == MachineState.WANTED, Machine.wanted_at < at - UNBEGUN)
    return (await session.scalars(query.with_for_update(skip_locked=True))).all()


async def lock_wanted(session: AsyncSession, providers: Collection[str]) -> Sequence[Machine]:
    """Machines that somebody is to begin with, the oldest first; what others hold is left out."""
    query = select(Machine).where(Machine.state == MachineState.WANTED, Machine.provider.in_(providers))
    query = query.order_by(Machine.wanted_at, Machine.id).limit(CLAIM_MAX)
    return (await session.scalars(query.with_for_update(skip_locked=True))).all()


async def lock_left(session: AsyncSession, providers: Collection[str]) -> Sequence[Machine]:
    """Machines whose keeper is there no more: those bound to it, and those that these providers can go on with."""
    query = select(Machine).where(Machine.state.in_(KEPT), Machine.keeper_id.is_(None))
    query = query.where(or_(Machine.dies_with_keeper, Machine.provider.in_(providers)))
    return (await session.scalars(query.with_for_update(skip_locked=True))).all()


async def lock_bound(session: AsyncSession, keeper_id: UUID) -> Sequence[Machine]:
    """Machines that end with their keeper, held until the transaction ends."""
    query = select(Machine).where(Machine.keeper_id == keeper_id, Machine.state.in_(KEPT), Machine.dies_with_keeper)
    return (await session.scalars(query.order_by(Machine.id).with_for_update())).all()


async def kept_by(session: AsyncSession, keeper_id: UUID) -> Sequence[Machine]:
    """What a keeper has to see to."""
    query = select(Machine).where(Machine.keeper_id == keeper_id, Machine.state.in_(KEPT))
    return (await session.scalars(query.order_by(Machine.wanted_at, Machine.id))).all()


async def ready_beside(session: AsyncSession, machine_id: UUID) -> int:
    """How many other machines take traffic and are to stay."""
    query = select(func.count()).where(Machine.state == MachineState.READY, Machine.id != machine_id)
    return await session.scalar(query) or 0


async def ready_of(session: AsyncSession, provider: str) -> Sequence[Machine]:
    """The machines of a provider that take traffic and are to stay, the latest first."""
    query = select(Machine).where(Machine.state == MachineState.READY, Machine.provider == provider)
    return (await session.scalars(query.order_by(Machine.wanted_at.desc(), Machine.id.desc()))).all()


async def sweep(session: AsyncSession, before: datetime) -> None:
    """Forget machines that have been gone for long."""
    await session.execute(delete(Machine).where(Machine.ended_at < before))
