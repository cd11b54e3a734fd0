"""What is kept and refused of accounts and sessions, and what happens when two people act at once."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

import resolvers.accounts
from models.accounts import (
    ADDRESS_FAILURES_MAX,
    FAILURES_MAX,
    ITEMS_MAX,
    REGISTRATIONS_MAX,
    Account,
    ClientProfile,
    ClientWords,
    EmailTaken,
    FreelancerProfile,
    FreelancerWords,
    ItemKind,
    ItemWords,
    NotAClient,
    NotAFreelancer,
    OwnAccount,
    ProfileItem,
    RefreshToken,
    Role,
    Session,
    SessionEnded,
    SignInFailed,
    Throttle,
    TooManyAttempts,
    TooManyItems,
    WrongPassword,
    digest,
)
from models.activity import EventKind, wallet_stream
from models.config import Config
from models.errors import Forbidden, Invalid, NotFound, Stale, Unauthenticated
from ops.transport.http import Caller
from resolvers.accounts import SignedIn
from resolvers.context import Context
from tests import make

PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
RACES = 15


@pytest.fixture
def at(house):
    """Somebody at some network address, not signed in yet."""

    def context(address: str = HOME, viewer: Account | None = None, **more: Any) -> Context:
        ctx: Context = house.context(viewer, address=address, agent="a test", **more)
        return ctx

    return context


@pytest.fixture
async def ada(at) -> SignedIn:
    """Somebody who can do everything, as she registered."""
    return await resolvers.accounts.register(
        at(), email="Ada@Example.org", password=PASSWORD, full_name="Ada", roles=[Role.CLIENT, Role.FREELANCER]
    )


@pytest.fixture
def accepted(house):
    """Whether the house still lets in whoever comes with the access token of this sign-in."""

    async def comes_in(signed_in: SignedIn) -> bool:
        try:
            ctx = await house.context_for(Caller(HOME, ""), f"Bearer {signed_in.access_token}")
        except Unauthenticated:
            return False
        return bool(ctx.me.id == signed_in.account.id)

    return comes_in


@pytest.fixture
def me(house):
    """Whoever signed in, with the session she is in."""

    def context(signed_in: SignedIn) -> Context:
        ctx: Context = house.context(signed_in.account, session_id=signed_in.session.id)
        return ctx

    return context


@pytest.fixture
def failures(house):
    async def read() -> dict[str, int]:
        async with house.database.reading() as session:
            return {throttle.subject: throttle.failures for throttle in await session.scalars(select(Throttle))}

    return read


def sign_in(ctx: Context, email: str = "ada@example.org", password: str = PASSWORD) -> Any:
    return resolvers.accounts.sign_in(ctx, email=email, password=password)


async def fails(ctx: Context, times: int, **how: str) -> None:
    how = {"password": WRONG} | how
    for _ in range(times):
        with pytest.raises(SignInFailed):
            await sign_in(ctx, **how)


# Registering


async def test_whoever_registers_is_signed_in(ada, stored, accepted):
    account = await stored(ada.account)

    assert (account.email, account.full_name, account.roles) == ("ada@example.org", "Ada", ["CLIENT", "FREELANCER"])
    assert account.password_hash.startswith("$argon2id$")
    assert PASSWORD not in account.password_hash
    assert (await stored(ClientProfile(id=account.id))).company_name == "Ada"
    assert (await stored(FreelancerProfile(id=account.id))).full_name == "Ada"
    assert (await stored(ada.session)).address == HOME
    assert await accepted(ada)


async def test_a_refresh_token_is_handed_out_and_not_kept(ada, house):
    async with house.database.reading() as session:
        (token,) = (await session.scalars(select(RefreshToken))).all()

    assert token.digest == digest(ada.refresh_token) != ada.refresh_token
    assert (token.session_id, token.used_at) == (ada.session.id, None)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("email", ["ada@example.org", " ADA@EXAMPLE.ORG ", "\uff41da@example.org"])
async def test_one_address_has_one_account_however_it_is_written(email, at, count_rows):
    before = await count_rows()

    with pytest.raises(EmailTaken):
        await resolvers.accounts.register(at(), email=email, password=PASSWORD, full_name="A", roles=[Role.CLIENT])

    assert await count_rows() == before


async def test_everything_wrong_with_a_registration_is_said_at_once(at, refuses):
    async with refuses(Invalid) as refused:
        await resolvers.accounts.register(at(), email="ada", password="short", full_name=" ", roles=[])

    assert [problem.path[0] for problem in refused.value.problems] == ["email", "password", "full_name", "roles"]


async def test_nobody_registers_as_an_administrator(at, refuses):
    async with refuses(Invalid):
        await resolvers.accounts.register(at(), email="a@b.cd", password=PASSWORD, full_name="A", roles=[Role.ADMIN])


async def test_of_many_who_register_one_address_at_once_one_does(at, count_rows):
    for race in range(RACES):
        answers = await asyncio.gather(
            *(
                resolvers.accounts.register(
                    at(f"2001:db8::{race}"),
                    email=f"{race}@example.org",
                    password=PASSWORD,
                    full_name="A",
                    roles=[Role.FREELANCER],
                )
                for _ in range(3)
            ),
            return_exceptions=True,
        )
        assert Counter(map(type, answers)) == {SignedIn: 1, EmailTaken: 2}

    rows = await count_rows()
    assert rows["accounts"] == rows["freelancer_profiles"] == rows["sessions"] == rows["refresh_tokens"] == RACES


# Signing in


async def test_a_sign_in_begins_a_session(ada, at, stored, accepted):
    again = await sign_in(at(ELSEWHERE), email="ADA@example.org ")

    assert again.session.id != ada.session.id
    assert (await stored(again.session)).address == ELSEWHERE
    assert await accepted(again)
    assert await accepted(ada)


@pytest.mark.usefixtures("ada")
async def test_every_failure_to_sign_in_sounds_the_same(at, as_, people, count_rows):
    await resolvers.accounts.register(
        at(), email="gone@example.org", password=PASSWORD, full_name="Gone", roles=[Role.CLIENT]
    )
    gone = await sign_in(at(), email="gone@example.org")
    await resolvers.accounts.suspend(as_(people.admin), account_id=gone.account.id)
    await fails(at(ELSEWHERE), 10, email="throttled@example.org")
    before = await count_rows()

    heard = set()
    for email, password in [
        ("nobody@example.org", PASSWORD),
        ("not an address", PASSWORD),
        ("nul\0@example.org", PASSWORD),
        ("ada@example.org", WRONG),
        ("ada@example.org", ""),
        ("ada@example.org", PASSWORD + "x" * 10_000),
        ("gone@example.org", PASSWORD),
        ("throttled@example.org", PASSWORD),
    ]:
        with pytest.raises(SignInFailed) as refused:
            await sign_in(at(), email=email, password=password)
        heard.add((refused.type, refused.value.message, refused.value.path, refused.value.retry_after_seconds))

    after = await count_rows()
    assert len(heard) == 1
    assert {table for table in after if after[table] != before[table]} == {"sign_in_throttles"}


@pytest.mark.usefixtures("ada")
async def test_after_ten_failures_an_account_has_to_wait_even_with_the_right_password(at, failures):
    await fails(at(), 10)

    await fails(at(ELSEWHERE), 3, password=PASSWORD)

    assert (await failures())[Throttle.of_account("ada@example.org")] == 10


@pytest.mark.usefixtures("ada")
async def test_the_wait_doubles_with_every_further_failure_up_to_an_hour(at, clock):
    await fails(at(), 10)

    for wait in (30, 60, 120, 240, 480, 960, 1920, 3600):
        clock.advance(seconds=wait - 2)
        await fails(at(), 1, password=PASSWORD)
        clock.advance(seconds=3)
        await fails(at(), 1)

    clock.advance(seconds=3601)
    assert await sign_in(at())


@pytest.mark.usefixtures("ada")
async def test_whoever_signs_in_after_the_wait_has_ten_tries_again(at, clock, failures):
    await fails(at(), 10)
    clock.advance(seconds=31)

    await sign_in(at())

    assert (await failures())[Throttle.of_account("ada@example.org")] == 0
    await fails(at(ELSEWHERE), 9)
    assert await sign_in(at(ELSEWHERE))


@pytest.mark.usefixtures("ada")
async def test_an_address_that_guesses_at_many_accounts_has_to_wait_and_others_do_not(at, clock):
    config = Config({ADDRESS_FAILURES_MAX.name: 20})
    for number in range(20):
        await fails(replace(at(HOME), config=config), 1, email=f"guess{number}@example.org")

    await fails(replace(at(HOME), config=config), 1, password=PASSWORD)
    assert await sign_in(replace(at(ELSEWHERE), config=config))
    assert await sign_in(at(HOME))

    # The wait over, whoever signs in does not make the others there wait for it again.
    clock.advance(seconds=31)
    assert await sign_in(replace(at(HOME), config=config))
    assert await sign_in(replace(at(HOME), config=config))


async def test_from_one_address_so_many_register_in_an_hour_and_more_may_later(at, clock, count_rows):
    config = Config({REGISTRATIONS_MAX.name: 3})

    async def register(number: int, address: str = HOME) -> Any:
        ctx = replace(at(address), config=config)
        email = f"{number}@example.org"
        return await resolvers.accounts.register(
            ctx, email=email, password=PASSWORD, full_name="A", roles=[Role.CLIENT]
        )

    answers = await asyncio.gather(*(register(number) for number in range(8)), return_exceptions=True)
    assert Counter(map(type, answers)) == {SignedIn: 3, TooManyAttempts: 5}
    assert (await count_rows())["accounts"] == 3
    assert await register(10, ELSEWHERE)
    clock.advance(seconds=1_201)
    assert await register(11)
    with pytest.raises(TooManyAttempts) as refused:
        await register(12)
    assert 1_100 < (refused.value.retry_after_seconds or 0) <= 1_200


@pytest.mark.usefixtures("ada")
async def test_one_account_of_ones_own_does_not_wash_an_address_clean(at, failures):
    for number in range(5):
        await fails(at(HOME), 1, email=f"guess{number}@example.org")

    await sign_in(at(HOME))

    assert (await failures())[Throttle.of_address(HOME)] == 5


@pytest.mark.usefixtures("ada")
async def test_an_hour_without_a_failure_forgives_them(at, clock, failures):
    await fails(at(), 9)
    clock.advance(hours=1, seconds=1)

    await fails(at(), 1)

    assert set((await failures()).values()) == {1}


@pytest.mark.usefixtures("ada")
async def test_fifty_wrong_sign_ins_at_once_count_as_fifty(at, failures):
    patient = replace(at(), config=Config({FAILURES_MAX.name: 1_000}))

    answers = await asyncio.gather(*(sign_in(patient, password=WRONG) for _ in range(50)), return_exceptions=True)

    assert Counter(map(type, answers)) == {SignInFailed: 50}
    subjects = (Throttle.of_account("ada@example.org"), Throttle.of_address(HOME))
    assert [(await failures())[subject] for subject in subjects] == [50, 50]


@pytest.mark.usefixtures("ada")
async def test_of_fifty_guesses_at_once_ten_are_looked_at(at, failures):
    answers = await asyncio.gather(*(sign_in(at(), password=WRONG) for _ in range(50)), return_exceptions=True)

    assert Counter(map(type, answers)) == {SignInFailed: 50}
    subjects = (Throttle.of_account("ada@example.org"), Throttle.of_address(HOME))
    assert [(await failures())[subject] for subject in subjects] == [10, 10]


async def test_whoever_is_suspended_while_signing_in_is_out_afterwards(ada, at, as_, people, accepted):
    for _ in range(RACES):
        both: Any = await asyncio.gather(
            sign_in(at()),
            resolvers.accounts.suspend(as_(people.admin), account_id=ada.account.id),
            return_exceptions=True,
        )
        assert isinstance(both[0], SignInFailed) or not await accepted(both[0])
        await resolvers.accounts.reinstate(as_(people.admin), account_id=ada.account.id)


async def test_a_hundred_sessions_are_enough_and_the_oldest_ends(ada, at, keep, clock, accepted, stored):
    old = [Session.begin(ada.account, address="", agent="", at=clock(), config=Config()) for _ in range(99)]
    await keep(*old)
    assert await accepted(ada)

    new = await sign_in(at())

    assert not await accepted(ada)
    assert await accepted(new)
    assert (await stored(old[0])).ended_at is None


# Staying signed in


async def test_a_refresh_trades_the_token_and_moves_the_end(ada, at, stored, accepted, clock):
    clock.advance(days=20)

    fresh = await resolvers.accounts.refresh(at(), refresh_token=ada.refresh_token)

    assert fresh.refresh_token != ada.refresh_token
    assert fresh.session.id == ada.session.id
    kept = await stored(ada.session)
    assert abs(kept.expires_at - clock() - timedelta(days=30)) < timedelta(minutes=1)
    assert await accepted(fresh)
    assert not await accepted(ada)


async def test_a_token_traded_twice_ends_the_session_for_everybody(ada, at, stored, accepted):
    fresh = await resolvers.accounts.refresh(at(), refresh_token=ada.refresh_token)

    with pytest.raises(SessionEnded):
        await resolvers.accounts.refresh(at(), refresh_token=ada.refresh_token)

    assert (await stored(ada.session)).ended_at is not None
    assert not await accepted(fresh)
    with pytest.raises(SessionEnded):
        await resolvers.accounts.refresh(at(), refresh_token=fresh.refresh_token)


async def test_two_refreshes_with_one_token_at_once_end_the_session(at, stored):
    for race in range(RACES):
        ada = await resolvers.accounts.register(
            at(), email=f"{race}@example.org", password=PASSWORD, full_name="A", roles=[Role.CLIENT]
        )
        answers = await asyncio.gather(
            *(resolvers.accounts.refresh(at(), refresh_token=ada.refresh_token) for _ in range(2)),
            return_exceptions=True,
        )
        assert Counter(map(type, answers)) == {SignedIn: 1, SessionEnded: 1}
        assert (await stored(ada.session)).ended_at is not None


async def test_tokens_that_mean_nothing_are_refused(ada, at, refuses):
    for token in ("", "x", ada.access_token, digest(ada.refresh_token), "nul\0"):
        async with refuses(SessionEnded):
            await resolvers.accounts.refresh(at(), refresh_token=token)


async def test_a_session_that_nobody_refreshed_for_thirty_days_has_ended(ada, at, refuses, clock):
    clock.advance(days=30, seconds=1)

    async with refuses(SessionEnded):
        await resolvers.accounts.refresh(at(), refresh_token=ada.refresh_token)


async def test_an_access_token_is_good_for_fifteen_minutes(ada, accepted, clock):
    clock.advance(minutes=14, seconds=50)
    assert await accepted(ada)

    clock.advance(seconds=11)
    assert not await accepted(ada)


# Signing out


async def test_signing_out_ends_the_session_one_is_in(ada, at, me, stored, accepted, refuses):
    other = await sign_in(at())

    await resolvers.accounts.sign_out(me(ada))

    assert (await stored(ada.session)).ended_at is not None
    assert not await accepted(ada)
    assert await accepted(other)
    async with refuses(SessionEnded):
        await resolvers.accounts.refresh(at(), refresh_token=ada.refresh_token)


async def test_another_session_of_ones_own_can_be_ended(ada, at, me, accepted):
    other = await sign_in(at())

    await resolvers.accounts.sign_out(me(ada), session_id=other.session.id)

    assert await accepted(ada)
    assert not await accepted(other)


async def test_a_session_ends_once(ada, me, stored):
    await resolvers.accounts.sign_out(me(ada))
    first = (await stored(ada.session)).ended_at

    await resolvers.accounts.sign_out(me(ada))

    assert (await stored(ada.session)).ended_at == first


async def test_sessions_of_others_are_not_there_to_be_ended(ada, as_, people, refuses):
    for other in (people.client, people.admin):
        async with refuses(NotFound):
            await resolvers.accounts.sign_out(as_(other), session_id=ada.session.id)


async def test_signing_out_everywhere_ends_all_of_ones_own(ada, at, me, accepted, stored, people, keep):
    other = await sign_in(at())
    stranger = await keep(
        Session.begin(people.client, address="", agent="", at=ada.session.created_at, config=Config())
    )

    await resolvers.accounts.sign_out_everywhere(me(ada))

    assert not await accepted(ada)
    assert not await accepted(other)
    assert (await stored(stranger)).ended_at is None


# Passwords


async def test_a_new_password_ends_every_session_and_begins_one(ada, at, me, accepted):
    other = await sign_in(at())

    fresh = await resolvers.accounts.change_password(me(ada), current_password=PASSWORD, new_password="a new password")

    assert [await accepted(one) for one in (ada, other, fresh)] == [False, False, True]
    await fails(at(), 1, password=PASSWORD)
    assert await sign_in(at(), password="a new password")


async def test_the_current_password_has_to_be_known(ada, me, stored):
    with pytest.raises(WrongPassword):
        await resolvers.accounts.change_password(me(ada), current_password=WRONG, new_password="a new password")

    assert (await stored(ada.account)).password_hash == ada.account.password_hash


async def test_guessing_the_current_password_is_guessing_at_the_account(ada, at, me, accepted):
    for _ in range(10):
        with pytest.raises(WrongPassword):
            await resolvers.accounts.change_password(me(ada), current_password=WRONG, new_password="a new password")

    with pytest.raises(TooManyAttempts) as refused:
        await resolvers.accounts.change_password(me(ada), current_password=PASSWORD, new_password="a new password")

    assert 0 < (refused.value.retry_after_seconds or 0) <= 30
    await fails(at(), 1, password=PASSWORD)
    assert await accepted(ada)


async def test_the_right_password_forgives_the_wrong_ones(ada, me, failures):
    with pytest.raises(WrongPassword):
        await resolvers.accounts.change_password(me(ada), current_password=WRONG, new_password="a new password")

    await resolvers.accounts.change_password(me(ada), current_password=PASSWORD, new_password="a new password")

    assert (await failures())[Throttle.of_account("ada@example.org")] == 0


async def test_a_new_password_has_its_bounds(ada, me, refuses):
    for new in ("123456789", "x" * 1_001):
        async with refuses(Invalid):
            await resolvers.accounts.change_password(me(ada), current_password=PASSWORD, new_password=new)


async def test_of_two_new_passwords_at_once_one_is_taken(ada, at, me):
    answers = await asyncio.gather(
        *(
            resolvers.accounts.change_password(me(ada), current_password=PASSWORD, new_password=f"new password {at}")
            for at in range(2)
        ),
        return_exceptions=True,
    )

    assert Counter(map(type, answers)) == {SignedIn: 1, WrongPassword: 1}
    taken = [isinstance(answer, SignedIn) for answer in answers].index(True)
    assert await sign_in(at(), password=f"new password {taken}")


async def test_whoever_signs_in_with_the_old_password_meanwhile_is_out(at, me, accepted):
    for race in range(RACES):
        ada = await resolvers.accounts.register(
            at(), email=f"{race}@example.org", password=PASSWORD, full_name="A", roles=[Role.CLIENT]
        )
        both: Any = await asyncio.gather(
            sign_in(at(), email=f"{race}@example.org"),
            resolvers.accounts.change_password(me(ada), current_password=PASSWORD, new_password="a new password"),
            return_exceptions=True,
        )
        assert isinstance(both[1], SignedIn)
        assert isinstance(both[0], SignInFailed) or not await accepted(both[0])


# Roles, suspension


async def test_a_client_becomes_a_freelancer_too(as_, people, stored):
    for _ in range(2):
        await resolvers.accounts.add_role(as_(people.client), role=Role.FREELANCER)

    assert (await stored(people.client)).roles == ["CLIENT", "FREELANCER"]
    assert (await stored(FreelancerProfile(id=people.client.id))).full_name == people.client.full_name


async def test_a_role_taken_twice_at_once_is_taken_once(as_, people, count_rows):
    before = await count_rows()

    await asyncio.gather(*(resolvers.accounts.add_role(as_(people.client), role=Role.FREELANCER) for _ in range(5)))

    assert (await count_rows())["freelancer_profiles"] == before["freelancer_profiles"] + 1


async def test_nobody_makes_herself_an_administrator(as_, people, refuses):
    async with refuses(Forbidden):
        await resolvers.accounts.add_role(as_(people.client), role=Role.ADMIN)


async def test_whoever_is_suspended_is_out_until_reinstated(ada, at, as_, people, accepted, refuses):
    other = await sign_in(at())

    await resolvers.accounts.suspend(as_(people.admin), account_id=ada.account.id)

    assert [await accepted(one) for one in (ada, other)] == [False, False]
    await fails(at(), 1, password=PASSWORD)
    async with refuses(SessionEnded):
        await resolvers.accounts.refresh(at(), refresh_token=ada.refresh_token)

    await resolvers.accounts.reinstate(as_(people.admin), account_id=ada.account.id)
    assert await accepted(await sign_in(at()))
    assert not await accepted(ada)


async def test_whoever_is_suspended_while_changing_her_password_begins_no_session(ada, as_, me, people, house):
    class Slow:
        """While the new password is hashed, she is suspended."""

        async def matches(self, known: str | None, password: str) -> bool:
            return bool(await house.passwords.matches(known, password))

        async def hash(self, password: str) -> str:
            await resolvers.accounts.suspend(as_(people.admin), account_id=ada.account.id)
            return str(await house.passwords.hash(password))

    with pytest.raises(Unauthenticated):
        await resolvers.accounts.change_password(
            replace(me(ada), passwords=Slow()), current_password=PASSWORD, new_password="a new password"
        )

    async with house.database.reading() as session:
        live = select(func.count()).where(Session.account_id == ada.account.id, Session.ended_at.is_(None))
        assert await session.scalar(live) == 0


async def test_a_second_suspension_does_not_move_the_first(as_, people, stored, clock):
    await resolvers.accounts.suspend(as_(people.admin), account_id=people.client.id)
    first = (await stored(people.client)).suspended_at
    clock.advance(hours=1)

    await resolvers.accounts.suspend(as_(people.admin), account_id=people.client.id)

    assert (await stored(people.client)).suspended_at == first


@pytest.mark.parametrize("verb", [resolvers.accounts.suspend, resolvers.accounts.reinstate])
async def test_only_administrators_shut_people_out_and_let_them_in(verb, as_, people, refuses):
    for who in (people.client, people.freelancer):
        async with refuses(Forbidden):
            await verb(as_(who), account_id=people.other_client.id)
    async with refuses(NotFound):
        await verb(as_(people.admin), account_id=make.client().id)


async def test_administrators_do_not_suspend_themselves(as_, people, refuses):
    async with refuses(OwnAccount):
        await resolvers.accounts.suspend(as_(people.admin), account_id=people.admin.id)


# Profiles


CLIENT_WORDS = ClientWords("Shops & Co", "Retail", "Bern", "We sell.", 12)
FREELANCER_WORDS = FreelancerWords(
    "Fritz", title="Builder", hourly_rate_cents=80_00, birth_date=date(1990, 2, 3), skills=["Go", "go ", "SQL"]
)


async def test_a_client_says_who_it_is(as_, people, stored):
    profile = await resolvers.accounts.edit_client(as_(people.client), words=CLIENT_WORDS, version=1)

    kept = await stored(profile)
    assert (kept.company_name, kept.city, kept.employee_count, kept.version) == ("Shops & Co", "Bern", 12, 2)


async def test_a_freelancer_says_who_she_is(as_, people, stored):
    profile = await resolvers.accounts.edit_freelancer(as_(people.freelancer), words=FREELANCER_WORDS, version=1)

    kept = await stored(profile)
    assert (kept.title, kept.hourly_rate_cents, kept.birth_date) == ("Builder", 80_00, date(1990, 2, 3))
    assert (kept.skills, kept.version) == (["Go", "SQL"], 2)


async def test_a_profile_is_edited_only_by_who_has_one(as_, people, refuses):
    async with refuses(NotAClient):
        await resolvers.accounts.edit_client(as_(people.freelancer), words=CLIENT_WORDS, version=None)
    async with refuses(NotAFreelancer):
        await resolvers.accounts.edit_freelancer(as_(people.client), words=FREELANCER_WORDS, version=None)


async def test_an_edit_of_a_profile_that_changed_since_is_refused(as_, people, refuses):
    await resolvers.accounts.edit_client(as_(people.client), words=CLIENT_WORDS, version=1)
    await resolvers.accounts.edit_freelancer(as_(people.freelancer), words=FREELANCER_WORDS, version=1)

    async with refuses(Stale):
        await resolvers.accounts.edit_client(as_(people.client), words=CLIENT_WORDS, version=1)
    async with refuses(Stale):
        await resolvers.accounts.edit_freelancer(as_(people.freelancer), words=FREELANCER_WORDS, version=1)


async def test_of_two_edits_of_a_profile_at_once_one_is_stale(as_, people, stored):
    answers = await asyncio.gather(
        *(
            resolvers.accounts.edit_client(as_(people.client), words=ClientWords(f"Company {at}"), version=1)
            for at in range(5)
        ),
        return_exceptions=True,
    )

    assert Counter(map(type, answers)) == {ClientProfile: 1, Stale: 4}
    assert (await stored(ClientProfile(id=people.client.id))).version == 2


async def test_everything_wrong_with_a_profile_is_said_at_once(as_, people, refuses):
    async with refuses(Invalid) as refused:
        await resolvers.accounts.edit_client(
            as_(people.client), words=ClientWords("", "x" * 201, employee_count=0), version=None
        )
    assert [problem.path[0] for problem in refused.value.problems] == ["company_name", "industry", "employee_count"]

    async with refuses(Invalid) as refused:
        child = FreelancerWords("", hourly_rate_cents=-1, birth_date=date(2020, 1, 1), skills=[""])
        await resolvers.accounts.edit_freelancer(as_(people.freelancer), words=child, version=None)
    found = [problem.path[0] for problem in refused.value.problems]
    assert found == ["full_name", "hourly_rate", "birth_date", "skills"]


ITEM = ItemWords("Master", "A school", starts_on=date(2010, 1, 1), ends_on=date(2012, 1, 1))


@pytest.fixture
async def item(as_, people):
    return await resolvers.accounts.add_item(as_(people.freelancer), kind=ItemKind.EDUCATION, words=ITEM)


async def test_items_are_put_on_a_profile_said_anew_and_taken_off(item, as_, people, stored):
    assert ((await stored(item)).freelancer_id, (await stored(item)).title) == (people.freelancer.id, "Master")

    await resolvers.accounts.edit_item(as_(people.freelancer), item_id=item.id, words=ItemWords("Doctor"))
    assert ((await stored(item)).title, (await stored(item)).organization) == ("Doctor", None)

    await resolvers.accounts.remove_item(as_(people.freelancer), item_id=item.id)
    assert await stored(item) is None


async def test_items_of_others_are_not_there_to_change(item, as_, people, refuses):
    for verb, extra in ((resolvers.accounts.edit_item, {"words": ITEM}), (resolvers.accounts.remove_item, {})):
        async with refuses(NotFound):
            await verb(as_(people.other_freelancer), item_id=item.id, **extra)
        async with refuses(NotFound):
            await verb(as_(people.freelancer), item_id=people.client.id, **extra)


async def test_only_freelancers_have_items(item, as_, people, refuses):
    async with refuses(NotAFreelancer):
        await resolvers.accounts.add_item(as_(people.client), kind=ItemKind.EDUCATION, words=ITEM)
    async with refuses(NotAFreelancer):
        await resolvers.accounts.remove_item(as_(people.client), item_id=item.id)


async def test_an_item_does_not_end_before_it_starts(item, as_, people, refuses):
    backwards = ItemWords("Master", starts_on=date(2012, 1, 1), ends_on=date(2011, 1, 1))

    async with refuses(Invalid):
        await resolvers.accounts.add_item(as_(people.freelancer), kind=ItemKind.EDUCATION, words=backwards)
    async with refuses(Invalid):
        await resolvers.accounts.edit_item(as_(people.freelancer), item_id=item.id, words=backwards)


async def test_a_profile_is_full_at_some_point_also_for_many_at_once(as_, keep, people, count_rows):
    profile = FreelancerProfile(id=people.freelancer.id)
    await keep(*(ProfileItem.put(profile, ItemKind.EXPERIENCE, ITEM, count=0) for _ in range(ITEMS_MAX - 2)))

    answers = await asyncio.gather(
        *(resolvers.accounts.add_item(as_(people.freelancer), kind=ItemKind.EDUCATION, words=ITEM) for _ in range(6)),
        return_exceptions=True,
    )

    assert Counter(map(type, answers)) == {ProfileItem: 2, TooManyItems: 4}
    assert (await count_rows())["profile_items"] == ITEMS_MAX


VERBS: dict[str, Any] = {
    "sign_out": resolvers.accounts.sign_out,
    "sign_out_everywhere": resolvers.accounts.sign_out_everywhere,
    "change_password": lambda ctx: resolvers.accounts.change_password(
        ctx, current_password=PASSWORD, new_password=PASSWORD
    ),
    "add_role": lambda ctx: resolvers.accounts.add_role(ctx, role=Role.CLIENT),
    "suspend": lambda ctx: resolvers.accounts.suspend(ctx, account_id=make.client().id),
    "reinstate": lambda ctx: resolvers.accounts.reinstate(ctx, account_id=make.client().id),
    "edit_client": lambda ctx: resolvers.accounts.edit_client(ctx, words=CLIENT_WORDS, version=None),
    "edit_freelancer": lambda ctx: resolvers.accounts.edit_freelancer(ctx, words=FREELANCER_WORDS, version=None),
    "add_item": lambda ctx: resolvers.accounts.add_item(ctx, kind=ItemKind.EDUCATION, words=ITEM),
    "edit_item": lambda ctx: resolvers.accounts.edit_item(ctx, item_id=make.client().id, words=ITEM),
    "remove_item": lambda ctx: resolvers.accounts.remove_item(ctx, item_id=make.client().id),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_whoever_is_not_signed_in_does_nothing_with_accounts(verb, as_, refuses):
    async with refuses(Unauthenticated):
        await VERBS[verb](as_(None))


async def test_what_people_do_about_themselves_is_told_to_nobody_but_for_what_a_freelancer_is_given(ada, at, me, told):
    await sign_in(at())
    await resolvers.accounts.edit_client(me(ada), words=CLIENT_WORDS, version=None)
    await resolvers.accounts.sign_out_everywhere(me(ada))

    assert await told() == {wallet_stream(ada.account.id): [EventKind.WALLET_CHANGED]}


# Sweeping


async def test_what_is_too_old_to_matter_is_forgotten(ada, at, as_, me, count_rows, clock):
    await resolvers.accounts.sign_out(me(ada))
    await fails(at(), 1)
    other = await sign_in(at())
    clock.advance(hours=23)
    assert await resolvers.accounts.sweep(as_(None)) == 0
    clock.advance(days=28)
    throttles = (await count_rows())["sign_in_throttles"]
    assert await resolvers.accounts.sweep(as_(None)) == throttles == 3

    clock.advance(days=2)
    assert await resolvers.accounts.sweep(as_(None)) == 1
    rows = await count_rows()
    assert (rows["sessions"], rows["refresh_tokens"], rows["sign_in_throttles"]) == (1, 1, 0)

    clock.advance(days=30)
    assert await resolvers.accounts.sweep(as_(None)) == 1
    assert other.session.expires_at < clock()
    assert (await count_rows())["sessions"] == 0


async def test_tokens_used_long_ago_of_a_session_that_lives_on_are_forgotten(ada, at, as_, clock, count_rows):
    token = ada.refresh_token
    for _ in range(4):
        clock.advance(days=12)
        token = (await resolvers.accounts.refresh(at(), refresh_token=token)).refresh_token
    await resolvers.accounts.sweep(as_(None))

    # Of five tokens the one used 36 days ago is gone; the session goes on.
    assert (await count_rows())["refresh_tokens"] == 4
    await resolvers.accounts.refresh(at(), refresh_token=token)


async def test_a_sweep_is_no_longer_than_it_says(as_, keep, clock, monkeypatch):
    monkeypatch.setattr(resolvers.accounts, "SWEEP_MAX", 10)
    then = clock() - timedelta(days=2)
    await keep(*(Throttle(subject=f"address:{n}", failures=1, last_at=then, forgiven_at=then) for n in range(25)))

    assert [await resolvers.accounts.sweep(as_(None)) for _ in range(4)] == [10, 10, 5, 0]


async def test_sessions_that_live_are_not_swept(ada, as_, accepted):
    assert await resolvers.accounts.sweep(as_(None)) == 0
    assert await accepted(ada)


@pytest.mark.usefixtures("ada")
async def test_sweepers_at_once_do_not_hinder_each_other_or_those_who_sign_in(at, as_, keep, people, house, clock):
    old = [
        Session.begin(people.client, address="", agent="", at=clock() - timedelta(days=70), config=Config())
        for _ in range(200)
    ]
    quiet = [Throttle(subject=f"address:{at}", failures=3, last_at=clock() - timedelta(days=70)) for at in range(200)]
    await keep(*old, *quiet)

    answers = await asyncio.gather(
        *(resolvers.accounts.sweep(as_(None)) for _ in range(4)),
        *(sign_in(at(str(number))) for number in range(9)),
    )

    # Nine of the quiet addresses are not quiet any more, unless they were forgotten just before.
    assert 400 - 9 <= sum(answer for answer in answers if isinstance(answer, int)) <= 400
    async with house.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Session)) == 10
