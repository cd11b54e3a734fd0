"""What operators want, what they have said, and which nodes there are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation
from models.control import (
    Acknowledgement,
    AckState,
    AuditEntry,
    Change,
    CommandVersion,
    Control,
    ControlMessage,
    Desired,
    NodeState,
    Ruling,
    ServerNode,
)

by_id = Relation(Control, Control.id)
node = Relation(ServerNode, ServerNode.id)
message = Relation(ControlMessage, ControlMessage.id)
messages = Relation(ControlMessage, order=(ControlMessage.id,), descending=True)
audit = Relation(AuditEntry, order=(AuditEntry.id,), descending=True)
acknowledgements = Relation(Acknowledgement, Acknowledgement.message_id, order=(Acknowledgement.node_name,))

SILENT_SHOWN = 100
"""Nodes that are there no more, and yet shown."""


async def lock(session: AsyncSession, at: datetime) -> Control:
    """The whole of what is wanted, held until the transaction ends; it is made when nobody has wanted anything yet."""
    made = insert(Control).values(id=Control.THE_ONE, version=0, changed_at=at).on_conflict_do_nothing()
    await session.execute(made)
    return await session.get_one(Control, Control.THE_ONE, with_for_update=True, populate_existing=True)


async def current(session: AsyncSession) -> Control | None:
    """The whole of what is wanted, if anybody ever wanted anything."""
    return await session.get(Control, Control.THE_ONE, populate_existing=True)


async def rulings(session: AsyncSession) -> Sequence[Ruling]:
    """Everything that is wanted, for all nodes and for single ones."""
    return (await session.scalars(select(Ruling))).all()


async def desired(session: AsyncSession, node_id: UUID | None) -> Desired:
    """What is wanted of a node, or of those that nothing is said of, at one moment."""
    # One statement, so that no change can come between the version and the rulings.
    query = select(Control.version, Ruling).outerjoin_from(Control, Ruling, Ruling.version <= Control.version)
    rows = (await session.execute(query)).all()
    found = [row.Ruling for row in rows if row.Ruling is not None]
    return Desired.of(rows[0].version if rows else 0, found, node_id)


async def rule(session: AsyncSession, change: Change, *, node_id: UUID | None, version: int) -> None:
    """Write a change down. What is said to all nodes holds for those, too, that were told something of their own."""
    for subject, value in change.after.items():
        meant = (Ruling.kind == change.kind, Ruling.subject == subject)
        of_node = Ruling.node_id == node_id
        await session.execute(delete(Ruling).where(*meant, *(() if node_id is None else (of_node,))))
        session.add(Ruling(kind=change.kind, subject=subject, node_id=node_id, value=value, version=version))


async def nodes(session: AsyncSession) -> Sequence[ServerNode]:
    """Every node, by name: all that have not stopped, and the latest of the others."""
    lately = select(ServerNode.id).order_by(ServerNode.seen_at.desc()).limit(SILENT_SHOWN)
    query = select(ServerNode).where(or_(ServerNode.state != NodeState.STOPPED, ServerNode.id.in_(lately)))
    return (await session.scalars(query.order_by(ServerNode.name))).all()


async def namesakes(session: AsyncSession, name: str) -> Sequence[ServerNode]:
    """The nodes that were started under one name, which number themselves."""
    query = select(ServerNode).where(func.split_part(ServerNode.name, "/", 1) == name)
    return (await session.scalars(query)).all()


async def beat(session: AsyncSession, node_id: UUID, **said: Any) -> None:
    """Let a node say that it lives and how it fares."""
    await session.execute(update(ServerNode).where(ServerNode.id == node_id).values(said))


async def pending(session: AsyncSession, node_id: UUID) -> Sequence[tuple[Acknowledgement, ControlMessage]]:
    """What a node has not acknowledged yet, in the order in which it was said."""
    query = select(Acknowledgement, ControlMessage).join_from(
        Acknowledgement, ControlMessage, Acknowledgement.message_id == ControlMessage.id
    )
    mine = query.where(Acknowledgement.node_id == node_id, Acknowledgement.state == AckState.PENDING)
    return [(row[0], row[1]) for row in await session.execute(mine.order_by(ControlMessage.version))]


async def of_message(session: AsyncSession, message_id: UUID) -> Sequence[Acknowledgement]:
    """What has become of a message on each node that was to hear it."""
    query = select(Acknowledgement).where(Acknowledgement.message_id == message_id)
    return (await session.scalars(query.order_by(Acknowledgement.node_name))).all()


async def connections_given(session: AsyncSession) -> int:
    """How many connections Postgres gives to those who are not its superusers."""
    settings = "max_connections", "superuser_reserved_connections", "reserved_connections"
    query = select(*(func.current_setting(name, True).label(name) for name in settings))
    most, *kept = (await session.execute(query)).one()
    return int(most) - sum(int(number or 0) for number in kept)


async def versions(session: AsyncSession, command: str | None = None) -> Sequence[CommandVersion]:
    """The code that was given for a command, or for all of them, the oldest first."""
    query = select(CommandVersion).order_by(CommandVersion.command, CommandVersion.number)
    return (await session.scalars(query if command is None else query.where(CommandVersion.command == command))).all()


async def version_of(session: AsyncSession, command: str, number: int) -> CommandVersion | None:
    """One version of a command's code."""
    query = select(CommandVersion).where(CommandVersion.command == command, CommandVersion.number == number)
    found: CommandVersion | None = await session.scalar(query)
    return found
