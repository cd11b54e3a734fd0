"""Who agreed on what, and how far the work is."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation, offered
from models.base import VIEWER, Audience
from models.contracts import STEPS, Contract, ContractAttachment, ContractState, Milestone
from models.errors import NotFound
from models.media import Upload
from models.states import Party

by_id = Relation(Contract, Contract.id)
of_viewer = Relation(
    Contract,
    order=(Contract.id,),
    descending=True,
    among=or_(Contract.client_id == VIEWER, Contract.freelancer_id == VIEWER),
)
of_proposal = Relation(Contract, Contract.proposal_id)
milestone = Relation(Milestone, Milestone.id)
attachments = Relation(
    Upload,
    ContractAttachment.contract_id,
    order=(ContractAttachment.added_at, Upload.id),
    via=(ContractAttachment, ContractAttachment.upload_id == Upload.id),
)
milestones = Relation(Milestone, Milestone.contract_id, order=(Milestone.position,))


def milestone_actions(audience: Audience) -> ColumnElement[Any]:
    """What the viewer may do with a milestone, as `Milestone.actions_for` tells it, as far as she sees the contract."""

    def of_active(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        active = (Contract.id == Milestone.contract_id, Contract.state == ContractState.ACTIVE)
        return exists().where(*active, Contract.seen_by(audience), *conditions).correlate(Milestone)

    parties = {
        Party.CLIENT: of_active(Contract.client_id == VIEWER),
        Party.FREELANCER: of_active(Contract.freelancer_id == VIEWER),
    }
    return offered(STEPS, Milestone.state, parties)


async def lock_with_milestone(
    session: AsyncSession, milestone_id: UUID, viewer_id: UUID, audience: Audience
) -> tuple[Contract, Milestone]:
    """A milestone and its contract, held until the transaction ends, the contract first; unseen is not found."""
    owner = select(Milestone.contract_id).where(Milestone.id == milestone_id).scalar_subquery()
    query = select(Contract).where(Contract.id == owner, Contract.seen_by(audience))
    contract = await session.scalar(query.with_for_update(key_share=True), {"viewer_id": viewer_id})
    if contract is None:
        raise NotFound
    return contract, await session.get_one(Milestone, milestone_id, with_for_update={"key_share": True})


async def lock(session: AsyncSession, contract_id: UUID, viewer_id: UUID, audience: Audience) -> Contract:
    """The contract, held until the transaction ends; unseen is not found."""
    query = select(Contract).where(Contract.id == contract_id, Contract.seen_by(audience))
    found: Contract | None = await session.scalar(query.with_for_update(key_share=True), {"viewer_id": viewer_id})
    if found is None:
        raise NotFound
    return found


async def count_attachments(session: AsyncSession, contract_id: UUID) -> int:
    """How many files a held contract has."""
    query = select(func.count()).where(ContractAttachment.contract_id == contract_id)
    return await session.scalar(query) or 0


async def attachment(session: AsyncSession, contract_id: UUID, upload_id: UUID) -> ContractAttachment:
    """The place of a file with a held contract."""
    found = await session.get(ContractAttachment, (contract_id, upload_id))
    if found is None:
        raise NotFound(path=("upload_id",))
    return found
