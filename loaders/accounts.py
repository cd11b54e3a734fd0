"""Who is who: accounts, their sessions, and the two profiles everybody may see."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from loaders.batch import Relation
from models.accounts import (
    Account,
    ClientProfile,
    FreelancerProfile,
    ProfileItem,
    RefreshToken,
    Session,
    Throttle,
    digest,
    normal_email,
)
from models.base import ROLES, SESSION, VIEWER, WALL, Audience, Base
from models.errors import NotFound

account = Relation(Account, Account.id)
client = Relation(ClientProfile, ClientProfile.id)
freelancer = Relation(FreelancerProfile, FreelancerProfile.id)
freelancers = Relation(FreelancerProfile, order=(FreelancerProfile.joined_at, FreelancerProfile.id), descending=True)
item = Relation(ProfileItem, ProfileItem.id)
items = Relation(ProfileItem, ProfileItem.freelancer_id, order=(ProfileItem.kind, ProfileItem.id))
own_session = Relation(Session, Session.id)
sessions = Relation(
    Session,
    Session.account_id,
    order=(Session.id,),
    descending=True,
    among=and_(Session.ended_at.is_(None), Session.expires_at > WALL),
)


def is_current(_audience: Audience) -> ColumnElement[Any]:
    """Whether a session is the one that the viewer is signed in with."""
    return func.coalesce(Session.id == SESSION, false(), type_=Boolean)


def birth_date(_audience: Audience) -> ColumnElement[Any]:
    """The birth date of the freelancer who an account is, for its owner alone."""
    born = select(FreelancerProfile.birth_date).where(FreelancerProfile.id == Account.id).correlate(Account)
    return case((Account.id == VIEWER, born.scalar_subquery()))


async def with_email(session: AsyncSession, email: str) -> Account | None:
    """The account of an address, however it is written."""
    found: Account | None = await session.scalar(select(Account).where(Account.email == normal_email(email)))
    return found


_LIVE = (
    select(Account)
    .join(Session, Session.account_id == Account.id)
    .where(Session.ended_at.is_(None), Account.suspended_at.is_(None))
)


async def signed_in(session: AsyncSession, session_id: UUID, at: datetime) -> Account | None:
    """Who a session belongs to, as long as it is live and its account is not suspended."""
    live = _LIVE.where(Session.id == session_id, Session.expires_at > at)
    found: Account | None = await session.scalar(live)
    return found


async def among_signed_in(session: AsyncSession, session_ids: Collection[UUID], at: datetime) -> Collection[UUID]:
    """Those of these sessions that are live, and their accounts not suspended."""
    live = _LIVE.where(Session.id.in_(session_ids), Session.expires_at > at)
    return set((await session.scalars(live.with_only_columns(Session.id))).all())


IS_STILL_SIGNED_IN = exists().where(
    Session.id == SESSION,
    Session.ended_at.is_(None),
    Session.expires_at > WALL,
    Account.id == Session.account_id,
    Account.id == VIEWER,
    Account.roles == ROLES,
    Account.suspended_at.is_(None),
)
"""Whether what `signed_in` said of a session a moment ago is true yet, the roles of its account too."""


async def party(session: AsyncSession, account_id: UUID) -> Account:
    """The account of somebody who is party to a row."""
    return await session.get_one(Account, account_id)


async def freelancer_party(session: AsyncSession, freelancer_id: UUID) -> Account:
    """The account of a freelancer, whom everybody may see; `NotFound` if there is none."""
    of_hers = select(Account).join(FreelancerProfile, FreelancerProfile.id == Account.id)
    found: Account | None = await session.scalar(of_hers.where(Account.id == freelancer_id))
    if found is None:
        raise NotFound(path=("freelancer_id",))
    return found


async def lock(session: AsyncSession, account_id: UUID) -> Account:
    """The account, held until the transaction ends."""
    found = await session.get(Account, account_id, with_for_update=True)
    if found is None:
        raise NotFound
    return found


async def lock_client(session: AsyncSession, account_id: UUID) -> ClientProfile | None:
    """The client's profile, held until the transaction ends, if the account has one."""
    return await session.get(ClientProfile, account_id, with_for_update=True)


async def lock_freelancer(session: AsyncSession, account_id: UUID) -> FreelancerProfile | None:
    """The freelancer's profile, held until the transaction ends, if the account has one."""
    return await session.get(FreelancerProfile, account_id, with_for_update=True)


async def lock_item(session: AsyncSession, item_id: UUID) -> ProfileItem:
    """The profile item, held until the transaction ends."""
    found = await session.get(ProfileItem, item_id, with_for_update=True)
    if found is None:
        raise NotFound
    return found


async def count_items(session: AsyncSession, freelancer_id: UUID) -> int:
    """How many items a profile has."""
    query = select(func.count()).select_from(ProfileItem).where(ProfileItem.freelancer_id == freelancer_id)
    return await session.scalar(query) or 0


async def lock_refresh(session: AsyncSession, token: str) -> tuple[RefreshToken, Session, Account] | None:
    """A refresh token with its session, both held until the transaction ends: the session first, as everywhere."""
    owner = select(RefreshToken.session_id).where(RefreshToken.digest == digest(token)).scalar_subquery()
    held = await session.scalar(select(Session).where(Session.id == owner).with_for_update())
    if held is None:
        return None
    used = await session.get_one(RefreshToken, digest(token))
    return used, held, await session.get_one(Account, held.account_id)


async def lock_session(session: AsyncSession, session_id: UUID) -> Session:
    """The session, held until the transaction ends."""
    found = await session.get(Session, session_id, with_for_update=True)
    if found is None:
        raise NotFound
    return found


async def end_sessions(session: AsyncSession, account_id: UUID, at: datetime) -> None:
    """End every live session of an account."""
    live = update(Session).where(Session.account_id == account_id, Session.ended_at.is_(None))
    await session.execute(live.values(ended_at=at))


async def end_oldest_sessions(session: AsyncSession, account_id: UUID, at: datetime, keep: int) -> None:
    """End all live sessions of an account that is held but for the latest."""
    live = (Session.account_id == account_id, Session.ended_at.is_(None), Session.expires_at > at)
    old = select(Session.id).where(*live).order_by(Session.id.desc()).offset(keep)
    await session.execute(update(Session).where(Session.id.in_(old.with_for_update())).values(ended_at=at))


async def lock_throttles(session: AsyncSession, subjects: Sequence[str], at: datetime) -> list[Throttle]:
    """The throttles of these subjects, made when they are new, held until the transaction ends, in name order."""
    names = sorted(subjects)
    clean = {"failures": 0, "last_at": at, "forgiven_at": at}
    new = insert(Throttle).values([{"subject": name} | clean for name in names])
    # One that is there already is written over with itself, which holds it: else a sweeper might take it before we do.
    held = new.on_conflict_do_update(index_elements=[Throttle.subject], set_={"subject": new.excluded.subject})
    await session.execute(held)
    query = select(Throttle).where(Throttle.subject.in_(names)).order_by(Throttle.subject)
    return list(await session.scalars(query.with_for_update()))


async def drop_old_sessions(session: AsyncSession, before: datetime, limit: int) -> int:
    """Delete some sessions that ended before a moment, with their tokens."""
    old = or_(Session.ended_at < before, Session.expires_at < before)
    return await _drop(session, Session, Session.id, old, limit)


async def drop_used_tokens(session: AsyncSession, before: datetime, limit: int) -> int:
    """Delete some refresh tokens that were used before a moment, of sessions that may live on."""
    return await _drop(session, RefreshToken, RefreshToken.digest, RefreshToken.used_at < before, limit)


async def drop_throttles(session: AsyncSession, before: datetime, limit: int) -> int:
    """Delete some throttles that nobody has touched since a moment."""
    return await _drop(session, Throttle, Throttle.subject, Throttle.last_at < before, limit)


async def _drop(
    session: AsyncSession, model: type[Base], key: InstrumentedAttribute[Any], old: ColumnElement[bool], limit: int
) -> int:
    # Picked beforehand: Postgres may run a subquery once for each row, and then it would pick others each time.
    some = select(key).where(old).limit(limit).with_for_update(skip_locked=True).cte("some")
    gone = delete(model).where(key == some.c[key.key]).returning(key)
    return len((await session.execute(gone)).all())
