"""What people do about themselves: register, sign in and out, and say who they are."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import loaders.accounts
import resolvers.connects
import resolvers.media
from loaders.work import UnitOfWork
from models.accounts import (
    ACCESS_SECONDS,
    PASSWORD_MAX,
    SESSION_DAYS,
    SESSIONS_MAX,
    Account,
    ClientProfile,
    ClientWords,
    FreelancerProfile,
    FreelancerWords,
    ItemKind,
    ItemWords,
    NotAClient,
    NotAFreelancer,
    ProfileItem,
    RefreshToken,
    Role,
    Session,
    SessionEnded,
    SignInFailed,
    Throttle,
    WrongPassword,
    check_password,
)
from models.errors import Checks, NotFound
from models.media import UploadGroup
from resolvers.context import Context

KEPT = timedelta(days=30)
"""How long a session that ended is remembered: a stolen token is recognised for as long."""

QUIET = timedelta(days=1)
"""How long failed attempts are remembered; time has forgiven them before."""

SWEEP_MAX = 1_000
"""Sessions, tokens and throttles, of each, forgotten in one transaction."""


@dataclass(frozen=True)
class SignedIn:
    """A session with the two tokens that go with it; the refresh token is handed out this once."""

    account: Account
    session: Session
    access_token: str
    access_seconds: int
    refresh_token: str


def _tokens(ctx: Context, account: Account, session: Session, refresh_token: str) -> SignedIn:
    seconds = ctx.config[ACCESS_SECONDS]
    access_token = ctx.tokens.issue(account, session, at=ctx.now.wall(), seconds=seconds)
    return SignedIn(account, session, access_token, seconds, refresh_token)


def _begin_session(ctx: Context, work: UnitOfWork, account: Account) -> tuple[Session, str]:
    session = Session.begin(account, address=ctx.address, agent=ctx.agent, at=ctx.now.wall(), config=ctx.config)
    token, refresh_token = RefreshToken.issue(session, at=ctx.now.wall())
    work.add_all([session, token])
    return session, refresh_token


async def _take_on(ctx: Context, work: UnitOfWork, account: Account, role: Role) -> None:
    """Open the profile of a role, and give a freelancer what freelancers begin with."""
    if role is Role.CLIENT:
        work.add(ClientProfile.open(account, at=ctx.now()))
    else:
        work.add(FreelancerProfile.open(account, at=ctx.now()))
        await resolvers.connects.welcome(ctx, work, account)


async def register(ctx: Context, *, email: str, password: str, full_name: str, roles: list[Role]) -> SignedIn:
    """Become a client, a freelancer or both, and be signed in."""
    account = Account.register(email=email, password=password, full_name=full_name, roles=roles, at=ctx.now())
    now = ctx.now.wall()
    async with ctx.writing() as work:
        for throttle in await loaders.accounts.lock_throttles(work, [Throttle.of_newcomers(ctx.address)], now):
            throttle.must_have_room(now, ctx.config)
            throttle.count(now, ctx.config)
    account.password_hash = await ctx.passwords.hash(password)
    async with ctx.writing() as work:
        work.add(account)
        for role in set(roles):
            await _take_on(ctx, work, account, role)
        session, refresh_token = _begin_session(ctx, work, account)
    return _tokens(ctx, account, session, refresh_token)


async def sign_in(ctx: Context, *, email: str, password: str) -> SignedIn:
    """Sign in; every failure sounds the same and takes the same time, whether or not there is such an account."""
    subjects = [Throttle.of_account(email), Throttle.of_address(ctx.address)]
    # The attempt is counted before the password is looked at: a thousand at once are a thousand attempts.
    now, before = ctx.now.wall(), {}
    async with ctx.writing() as work:
        for throttle in await loaders.accounts.lock_throttles(work, subjects, now):
            throttle.must_be_open(now, ctx.config)
            before[throttle.subject] = throttle.count(now, ctx.config)
        account = await loaders.accounts.with_email(work, email)
    known = account.password_hash if account else None
    right = await ctx.passwords.matches(known, password[:PASSWORD_MAX])
    if not right or account is None:
        raise SignInFailed
    async with ctx.writing() as work:
        account = await loaders.accounts.lock(work, account.id)
        account.must_be_able_to_sign_in(known)
        for throttle in await loaders.accounts.lock_throttles(work, subjects, now):
            throttle.forgive(now, before[throttle.subject])
        await loaders.accounts.end_oldest_sessions(work, account.id, ctx.now.wall(), SESSIONS_MAX - 1)
        session, refresh_token = _begin_session(ctx, work, account)
    return _tokens(ctx, account, session, refresh_token)


async def refresh(ctx: Context, *, refresh_token: str) -> SignedIn:
    """Trade a refresh token for new ones; a token that was traded before ends the session for everybody who has it."""
    async with ctx.writing() as work:
        held = await loaders.accounts.lock_refresh(work, refresh_token)
        if held is None:
            raise SessionEnded
        used, session, account = held
        fresh = session.rotate(used, at=ctx.now.wall(), config=ctx.config)
        if fresh is not None:
            work.add(fresh[0])
    # Refused only now: ending a replayed session has to be kept.
    if fresh is None or account.suspended_at is not None:
        raise SessionEnded
    return _tokens(ctx, account, session, fresh[1])


async def sign_out(ctx: Context, *, session_id: UUID | None = None) -> Session:
    """End the session one is in, or another of one's own; ending it again changes nothing."""
    me = ctx.me
    wanted = session_id or ctx.session_id
    assert wanted is not None, "whoever is signed in is so by a session"
    async with ctx.writing() as work:
        session = await loaders.accounts.lock_session(work, wanted)
        if session.account_id != me.id:
            raise NotFound
        session.end(ctx.now.wall())
    return session


async def sign_out_everywhere(ctx: Context) -> Account:
    """End all of one's sessions, this one too."""
    async with ctx.writing() as work:
        account = await loaders.accounts.lock(work, ctx.me.id)
        await loaders.accounts.end_sessions(work, account.id, ctx.now.wall())
    return account


async def change_password(ctx: Context, *, current_password: str, new_password: str) -> SignedIn:
    """Change the password, which ends every session, and begin a new one here."""
    known, subjects = ctx.me.password_hash, [Throttle.of_account(ctx.me.email)]
    with Checks() as check:
        check_password(check, new_password, "new_password")
    now, before = ctx.now.wall(), {}
    async with ctx.writing() as work:
        for throttle in await loaders.accounts.lock_throttles(work, subjects, now):
            throttle.must_have_room(now, ctx.config)
            before[throttle.subject] = throttle.count(now, ctx.config)
    if not await ctx.passwords.matches(known, current_password[:PASSWORD_MAX]):
        raise WrongPassword(path=("current_password",))
    hashed = await ctx.passwords.hash(new_password)
    async with ctx.writing() as work:
        account = await loaders.accounts.lock(work, ctx.me.id)
        account.must_be_let_in()
        if account.password_hash != known:
            raise WrongPassword(path=("current_password",))
        account.password_hash = hashed
        for throttle in await loaders.accounts.lock_throttles(work, subjects, now):
            throttle.forgive(now, before[throttle.subject])
        await loaders.accounts.end_sessions(work, account.id, ctx.now.wall())
        session, refresh_token = _begin_session(ctx, work, account)
    return _tokens(ctx, account, session, refresh_token)


async def add_role(ctx: Context, *, role: Role) -> Account:
    """Become a client or a freelancer too."""
    async with ctx.writing() as work:
        account = await loaders.accounts.lock(work, ctx.me.id)
        if not account.has(role):
            account.add(role)
            await _take_on(ctx, work, account, role)
    # What comes after it in the same document is asked by somebody who has the role already.
    ctx.me.roles = account.roles
    return account


async def suspend(ctx: Context, *, account_id: UUID) -> Account:
    """Shut somebody out, and end all of that account's sessions."""
    ctx.me.must_be(Role.ADMIN)
    async with ctx.writing() as work:
        account = await loaders.accounts.lock(work, account_id)
        account.suspend(ctx.me, at=ctx.now())
        await loaders.accounts.end_sessions(work, account.id, ctx.now.wall())
    return account


async def reinstate(ctx: Context, *, account_id: UUID) -> Account:
    """Let somebody in again."""
    ctx.me.must_be(Role.ADMIN)
    async with ctx.writing() as work:
        account = await loaders.accounts.lock(work, account_id)
        account.reinstate()
    return account


async def edit_client(ctx: Context, *, words: ClientWords, version: int | None) -> ClientProfile:
    """Say who one is as a client."""
    async with ctx.writing() as work:
        profile = await loaders.accounts.lock_client(work, ctx.me.id)
        if profile is None:
            raise NotAClient
        profile.edit(words, version)
    return profile


async def edit_freelancer(ctx: Context, *, words: FreelancerWords, version: int | None) -> FreelancerProfile:
    """Say who one is as a freelancer."""
    async with ctx.writing() as work:
        profile = await _my_profile(ctx, work)
        profile.edit(words, version, at=ctx.now())
    return profile


async def set_client_photo(ctx: Context, *, upload_id: UUID | None) -> ClientProfile:
    """Show another photo of oneself as a client, or none."""
    async with ctx.writing() as work:
        profile = await loaders.accounts.lock_client(work, ctx.me.id)
        if profile is None:
            raise NotAClient
        await _exchange_one(ctx, work, profile.photo_id, upload_id, UploadGroup.PHOTOS)
        profile.photo_id = upload_id
    return profile


async def set_freelancer_photo(ctx: Context, *, upload_id: UUID | None) -> FreelancerProfile:
    """Show another photo of oneself as a freelancer, or none."""
    async with ctx.writing() as work:
        profile = await _my_profile(ctx, work)
        await _exchange_one(ctx, work, profile.photo_id, upload_id, UploadGroup.PHOTOS)
        profile.photo_id = upload_id
    return profile


async def set_resume(ctx: Context, *, upload_id: UUID | None) -> FreelancerProfile:
    """Have another resume, or none; clients of jobs one has a proposal on may read it."""
    async with ctx.writing() as work:
        profile = await _my_profile(ctx, work)
        await _exchange_one(ctx, work, profile.resume_id, upload_id, UploadGroup.RESUME)
        profile.resume_id = upload_id
    return profile


async def _exchange_one(ctx: Context, work: UnitOfWork, old: UUID | None, new: UUID | None, group: UploadGroup) -> None:
    olds, news = ([one] if one else [] for one in (old, new))
    await resolvers.media.exchange(ctx, work, old=olds, new=news, group=group)


async def _my_profile(ctx: Context, work: UnitOfWork) -> FreelancerProfile:
    profile = await loaders.accounts.lock_freelancer(work, ctx.me.id)
    if profile is None:
        raise NotAFreelancer
    return profile


async def add_item(ctx: Context, *, kind: ItemKind, words: ItemWords) -> ProfileItem:
    """Put a degree, a position or an achievement on one's profile."""
    async with ctx.writing() as work:
        profile = await _my_profile(ctx, work)
        item = ProfileItem.put(profile, kind, words, count=await loaders.accounts.count_items(work, profile.id))
        work.add(item)
    return item


async def edit_item(ctx: Context, *, item_id: UUID, words: ItemWords) -> ProfileItem:
    """Say an item of one's own profile anew."""
    me = ctx.me
    async with ctx.writing() as work:
        item = await loaders.accounts.lock_item(work, item_id)
        item.must_belong_to(me)
        item.edit(words)
    return item


async def remove_item(ctx: Context, *, item_id: UUID) -> FreelancerProfile:
    """Take an item off one's own profile."""
    me = ctx.me
    async with ctx.writing() as work:
        profile = await _my_profile(ctx, work)
        item = await loaders.accounts.lock_item(work, item_id)
        item.must_belong_to(me)
        await work.delete(item)
    return profile


async def sweep(ctx: Context) -> int:
    """Forget sessions, tokens and failed sign-ins that are too old to matter; returns how many went.

    A used token is recognised, as a thief's, for as long as a session lives without being refreshed.
    """
    used = timedelta(days=ctx.config[SESSION_DAYS])
    async with ctx.writing() as work:
        sessions = await loaders.accounts.drop_old_sessions(work, ctx.now.wall() - KEPT, SWEEP_MAX)
        tokens = await loaders.accounts.drop_used_tokens(work, ctx.now.wall() - used, SWEEP_MAX)
        throttles = await loaders.accounts.drop_throttles(work, ctx.now.wall() - QUIET, SWEEP_MAX)
    return sessions + tokens + throttles
