"""Who agreed on what, how far the work is, and what has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Dialect,
    Numeric,
    TypeDecorator,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.ext.asyncio import AsyncSession

from loaders.batch import Relation, Summary, offered, viewer_is
from models.accounts import ClientProfile, FreelancerProfile, Role
from models.base import VIEWER, Audience
from models.contracts import (
    CONTRACT_STEPS,
    STEPS,
    TERMINATION_STEPS,
    WHILE,
    Change,
    ChangeAttachment,
    ChangeKind,
    Contract,
    ContractAction,
    ContractAttachment,
    Milestone,
    MilestoneAction,
    MilestoneState,
    Termination,
    TerminationState,
)
from models.errors import NotFound
from models.media import Upload
from models.payments import PaymentRequest
from models.states import Party

by_id = Relation(Contract, Contract.id)
of_viewer = Relation(
    Contract,
    order=(Contract.id,),
    descending=True,
    parties=(Contract.client_id, Contract.freelancer_id),
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
change = Relation(Change, Change.id)
history = Relation(Change, Change.contract_id, order=(Change.id,), descending=True)
of_milestone = Relation(Change, Change.milestone_id, order=(Change.id,), descending=True)
handed_in = Relation(
    Upload,
    ChangeAttachment.change_id,
    order=(Upload.id,),
    via=(ChangeAttachment, ChangeAttachment.upload_id == Upload.id),
)
termination = Relation(Termination, Termination.id)
terminations = Relation(Termination, Termination.contract_id, order=(Termination.id,), descending=True)
open_terminations = Relation(
    Termination,
    Termination.contract_id,
    order=(Termination.id,),
    among=Termination.state == TerminationState.REQUESTED,
)

_OWED = and_(Milestone.state == MilestoneState.ACCEPTED, Milestone.waived_at.is_(None))
_UNDECIDED = or_(Milestone.state == MilestoneState.IN_REVIEW, _OWED)


class _Cents(TypeDecorator[int]):
    """What Postgres makes of a sum of whole numbers, read as one: to cast it there takes longer than to sum it up."""

    impl = Numeric
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:  # noqa: ARG002 - as SQLAlchemy calls it
        return None if value is None else int(value)


def _sum_of(amount: ColumnElement[Any] | Any, among: ColumnElement[bool] | None = None) -> ColumnElement[Any]:
    summed = func.sum(amount)
    return type_coerce(func.coalesce(summed if among is None else summed.filter(among), 0), _Cents())


totals = Summary(
    Milestone,
    Milestone.contract_id,
    (
        _sum_of(Milestone.amount_cents).label("agreed_cents"),
        _sum_of(Milestone.escrow_cents).label("escrow_cents"),
        _sum_of(Milestone.accepted_cents, _OWED).label("owed_cents"),
        _sum_of(Milestone.accepted_cents, Milestone.state == MilestoneState.PAID).label("paid_cents"),
        func.min(Milestone.currency).label("currency"),
    ),
    among=true(),
    having=true(),
)


def actions(_: Audience) -> ColumnElement[Any]:
    """What the viewer may do with a contract, as `Contract.actions_for` tells it."""
    is_client, is_freelancer = Contract.client_id == VIEWER, Contract.freelancer_id == VIEWER
    parties = {Party.CLIENT: is_client, Party.FREELANCER: is_freelancer, Party.EITHER: or_(is_client, is_freelancer)}
    undecided = exists().where(Milestone.contract_id == Contract.id, _UNDECIDED).correlate(Contract)
    asked = (Termination.contract_id == Contract.id, Termination.requester_id == VIEWER)
    requested = exists().where(*asked, Termination.state == TerminationState.REQUESTED).correlate(Contract)
    agreed_at = case((is_client, Contract.client_done_at), else_=Contract.freelancer_done_at)
    besides = {
        ContractAction.REQUEST_TERMINATION: ~requested,
        ContractAction.COMPLETE: and_(~undecided, agreed_at.is_(None)),
    }
    return offered(CONTRACT_STEPS, Contract.state, parties, besides)


def milestone_actions(audience: Audience) -> ColumnElement[Any]:
    """What the viewer may do with a milestone, as `Milestone.actions_for` tells it, as far as she sees the contract."""

    def of_contract(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        its = (Contract.id == Milestone.contract_id, Contract.seen_by(audience))
        return exists().where(*its, *conditions).correlate(Milestone)

    parties = {
        Party.CLIENT: of_contract(Contract.client_id == VIEWER),
        Party.FREELANCER: of_contract(Contract.freelancer_id == VIEWER),
    }
    besides = {action: of_contract(Contract.state.in_(states)) for action, states in WHILE.items()}
    is_missing = Milestone.escrow_cents < Milestone.gross_cents
    besides[MilestoneAction.FUND] = and_(is_missing, besides[MilestoneAction.FUND])
    return offered(STEPS, Milestone.state, parties, besides)


def termination_actions(_: Audience) -> ColumnElement[Any]:
    """What the viewer may do with a request to end a contract, as `Termination.actions_for` tells it."""
    is_owner = Termination.requester_id == VIEWER
    other = and_(~is_owner, or_(Termination.other_id == VIEWER, viewer_is(Role.ADMIN)))
    return offered(TERMINATION_STEPS, Termination.state, {Party.OWNER: is_owner, Party.OTHER: other})


async def lock_with_milestone(
    session: AsyncSession, milestone_id: UUID, viewer_id: UUID, audience: Audience
) -> tuple[Contract, Milestone]:
    """A milestone and its contract, held until the transaction ends, the contract first; unseen is not found."""
    owner = select(Milestone.contract_id).where(Milestone.id == milestone_id).scalar_subquery()
    contract = await _lock_owner(session, owner, viewer_id, audience)
    return contract, await session.get_one(Milestone, milestone_id, with_for_update={"key_share": True})


async def lock_with_milestones(
    session: AsyncSession, milestone_id: UUID, viewer_id: UUID, audience: Audience
) -> tuple[Contract, Milestone, Sequence[Milestone]]:
    """A milestone, its contract and all milestones of that, held until the transaction ends; unseen is not found."""
    owner = select(Milestone.contract_id).where(Milestone.id == milestone_id).scalar_subquery()
    contract = await _lock_owner(session, owner, viewer_id, audience)
    found = await lock_milestones(session, contract)
    return contract, next(one for one in found if one.id == milestone_id), found


async def lock_with_termination(
    session: AsyncSession, termination_id: UUID, viewer_id: UUID, audience: Audience
) -> tuple[Contract, Termination]:
    """A request to end a contract, and the contract, held until the transaction ends; unseen is not found."""
    owner = select(Termination.contract_id).where(Termination.id == termination_id).scalar_subquery()
    contract = await _lock_owner(session, owner, viewer_id, audience)
    return contract, await session.get_one(Termination, termination_id, with_for_update={"key_share": True})


async def lock_with_request(
    session: AsyncSession, request_id: UUID, viewer_id: UUID, audience: Audience
) -> tuple[Contract, Sequence[Milestone], PaymentRequest]:
    """A payment request, its contract and the milestones of that, held until the transaction ends."""
    owner = select(PaymentRequest.contract_id).where(PaymentRequest.id == request_id).scalar_subquery()
    contract = await _lock_owner(session, owner, viewer_id, audience)
    milestones = await lock_milestones(session, contract)
    return contract, milestones, await session.get_one(PaymentRequest, request_id, with_for_update={"key_share": True})


async def _lock_owner(session: AsyncSession, owner: Any, viewer_id: UUID, audience: Audience) -> Contract:
    query = select(Contract).where(Contract.id == owner, Contract.seen_by(audience))
    found: Contract | None = await session.scalar(query.with_for_update(key_share=True), {"viewer_id": viewer_id})
    if found is None:
        raise NotFound
    return found


async def lock_milestones(session: AsyncSession, contract: Contract) -> Sequence[Milestone]:
    """All milestones of a held contract, held in the order of their ids, and given in their own."""
    query = select(Milestone).where(Milestone.contract_id == contract.id).order_by(Milestone.id)
    found = (await session.scalars(query.with_for_update(key_share=True))).all()
    return sorted(found, key=lambda one: one.position)


async def lock_open_terminations(session: AsyncSession, contract: Contract) -> Sequence[Termination]:
    """The open requests to end a held contract, held in the order of their ids."""
    asked = (Termination.contract_id == contract.id, Termination.state == TerminationState.REQUESTED)
    query = select(Termination).where(*asked).order_by(Termination.id)
    return (await session.scalars(query.with_for_update(key_share=True))).all()


async def overdue(session: AsyncSession, at: datetime, limit: int) -> Sequence[UUID]:
    """Contracts with work that nobody has looked at in time, those that have waited longest first."""
    due = (Milestone.state == MilestoneState.IN_REVIEW, Milestone.review_ends_at <= at)
    found = await session.scalars(
        select(Milestone.contract_id).where(*due).order_by(Milestone.review_ends_at).limit(limit)
    )
    return list(dict.fromkeys(found))


async def lock_if_free(session: AsyncSession, contract_id: UUID) -> Contract | None:
    """A contract, held until the transaction ends, unless somebody else holds it."""
    query = select(Contract).where(Contract.id == contract_id)
    found: Contract | None = await session.scalar(query.with_for_update(key_share=True, skip_locked=True))
    return found


async def lock(session: AsyncSession, contract_id: UUID, viewer_id: UUID, audience: Audience) -> Contract:
    """The contract, held until the transaction ends; unseen is not found."""
    return await _lock_owner(session, contract_id, viewer_id, audience)


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


@dataclass(frozen=True, slots=True)
class Standing:
    """A contract with everything that its document says of it, all of one moment."""

    contract: Contract
    client: ClientProfile
    freelancer: FreelancerProfile
    milestones: Sequence[Milestone]
    terminations: Sequence[Termination]
    changed_at: datetime
    """When anything of it changed last."""
    moved: dict[ChangeKind, int]
    """What all changes of a kind have moved, in cents."""
    figures: dict[str, Any]
    """What `totals` says of it."""

    @property
    def agreed_cents(self) -> int:
        """What all milestones cost."""
        return int(self.figures["agreed_cents"])

    @property
    def escrow_cents(self) -> int:
        """What lies in escrow, the client's fee included."""
        return int(self.figures["escrow_cents"])

    @property
    def owed_cents(self) -> int:
        """What was accepted and is to be paid."""
        return int(self.figures["owed_cents"])

    @property
    def paid_cents(self) -> int:
        """What was paid for milestones."""
        return int(self.figures["paid_cents"])

    @property
    def funded_cents(self) -> int:
        """What was ever put aside, the client's fee included."""
        return self.moved.get(ChangeKind.MILESTONE_FUNDED, 0)

    @property
    def refunded_cents(self) -> int:
        """What of that came back."""
        return self.moved.get(ChangeKind.MILESTONE_REFUNDED, 0)

    @property
    def bonus_cents(self) -> int:
        """What was paid as thanks."""
        return self.moved.get(ChangeKind.BONUS_PAID, 0)


async def standing(session: AsyncSession, contract_id: UUID, viewer_id: UUID, audience: Audience) -> Standing:
    """How a contract stands; unseen is not found. It is several statements: read it `at_one_moment`."""
    its = select(Contract, ClientProfile, FreelancerProfile).where(
        Contract.id == contract_id,
        Contract.seen_by(audience),
        ClientProfile.id == Contract.client_id,
        FreelancerProfile.id == Contract.freelancer_id,
    )
    found = (await session.execute(its, {VIEWER.key: viewer_id})).one_or_none()
    if found is None:
        raise NotFound
    of_milestones = select(Milestone).where(Milestone.contract_id == contract_id).order_by(Milestone.position)
    asked = select(Termination).where(Termination.contract_id == contract_id).order_by(Termination.id)
    changes = select(Change.kind, _sum_of(Change.amount_cents), func.max(Change.at))
    told = (await session.execute(changes.where(Change.contract_id == contract_id).group_by(Change.kind))).all()
    amounts = await session.execute(select(*totals.columns).where(Milestone.contract_id == contract_id))
    return Standing(
        *found,
        (await session.scalars(of_milestones)).all(),
        (await session.scalars(asked)).all(),
        max([found[0].started_at, *(at for _, _, at in told)]),
        {kind: cents for kind, cents, _ in told},
        dict(amounts.mappings().one()),
    )
