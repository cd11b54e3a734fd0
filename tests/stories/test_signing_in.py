"""How people prove who they are, over time, on several devices and servers."""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest

from models.accounts import Account, Session
from ops.auth import AUDIENCE, ISSUER, KeyRing
from ops.settings import SigningKey
from tests.stories.conftest import Site
from tests.stories.people import LOST, PASSWORD, PROPOSALS, Person, greet
from tests.stories.processes import ROOT, SIGNING_KID, SIGNING_SEED
from tests.stories.words import offer, published

ME = "{ viewer { account { email } sessions { id isCurrent address agent } } }"
ADMIN_PASSWORD = "the keys to the house"


async def sign_in(who: Person, password: str = PASSWORD) -> Person:
    """The same person on another device."""
    return who.signed_in(await who.signed_out.does("signIn", email=who.email, password=password))


async def refreshed(who: Person) -> Person:
    return who.signed_in(await who.signed_out.does("refresh", refreshToken=who.refresh_token))


async def is_out(who: Person, site: Site) -> bool:
    """Whether every server refuses the access token, and the refresh token too."""
    access = [await who.on(server).error(ME) for server in (site.a, site.b)]
    nobody = who.signed_out
    refresh = [await nobody.on(at).code("refresh", refreshToken=who.refresh_token) for at in (site.a, site.b)]
    return set(access) == {"UNAUTHENTICATED"} and set(refresh) == {"SESSION_ENDED"}


async def is_in(who: Person, site: Site) -> bool:
    """Whether every server knows who it is."""
    answers = [await who.on(server).ask(ME) for server in (site.a, site.b)]
    return all(answer["viewer"]["account"]["email"] == who.email for answer in answers)


def token(who: Person, *, seconds: float, key: SigningKey | None = None) -> str:
    """An access token as the house would make it, good for as long as we like."""
    account = Account(id=UUID(hex=who.id), roles=["CLIENT"])
    session = Session(id=UUID(hex=who.session_id.removeprefix("session_")))
    ring = KeyRing([key or SigningKey(SIGNING_KID, SIGNING_SEED)])
    return ring.issue(account, session, at=datetime.now(UTC) + timedelta(seconds=seconds), seconds=0)


async def test_what_is_registered_can_sign_in_however_the_address_is_written(site: Site):
    clara = await Person.registered(site.a, "CLIENT", "FREELANCER")

    written = f" {clara.email.upper()} "
    again = await clara.signed_out.on(site.b).does("signIn", email=written, password=PASSWORD)

    assert again["account"]["roles"] == ["CLIENT", "FREELANCER"]
    assert again["accessSeconds"] == 900
    assert again["session"]["id"] != clara.session_id
    assert await is_in(clara, site)


async def test_every_failure_to_sign_in_sounds_the_same(site: Site):
    clara = await Person.registered(site.a, "CLIENT")

    wrong = await clara.refused("signIn", email=clara.email, password=PASSWORD + "!")
    unknown = await clara.refused("signIn", email="nobody@example.org", password=PASSWORD)
    nonsense = await clara.refused("signIn", email="\x00", password="")

    assert wrong == unknown == nonsense
    assert wrong["code"] == "SIGN_IN_FAILED"


async def test_refresh_tokens_work_once_and_a_replay_ends_the_session_on_every_server(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    phone = await sign_in(clara.on(site.b))

    second = await refreshed(clara.on(site.b))
    third = await refreshed(second.on(site.a))
    assert third.session_id == clara.session_id
    assert len({clara.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert await is_in(third, site)

    # Somebody else has kept an old one.
    assert await clara.signed_out.on(site.b).code("refresh", refreshToken=second.refresh_token) == "SESSION_ENDED"

    assert await is_out(third, site)
    assert await is_out(clara, site)
    assert await is_in(phone, site)
    assert await clara.signed_out.code("refresh", refreshToken="made up") == "SESSION_ENDED"


async def test_of_two_who_trade_one_token_at_once_one_is_refused_and_both_are_out(site: Site):
    clara = await Person.registered(site.a, "CLIENT")

    both = await asyncio.gather(
        *(clara.on(server).tries("refresh", refreshToken=clara.refresh_token) for server in (site.a, site.b))
    )

    assert sorted(answer["__typename"] for answer in both) == ["Refused", "SignedIn"]
    (lucky,) = [answer for answer in both if answer["__typename"] == "SignedIn"]
    assert await is_out(clara.signed_in(lucky), site)


async def test_people_see_where_they_are_signed_in_and_sign_out_there_or_everywhere(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    phone, tablet = await sign_in(clara.on(site.b)), await sign_in(clara)
    other = await Person.registered(site.a, "CLIENT")

    sessions = (await phone.ask(ME))["viewer"]["sessions"]
    assert [known["id"] for known in sessions] == [tablet.session_id, phone.session_id, clara.session_id]
    assert [known["isCurrent"] for known in sessions] == [False, True, False]
    assert {known["address"] for known in sessions} == {clara.address}
    assert all("aiohttp" in known["agent"] for known in sessions)

    # One: that of another device, and nobody else's.
    assert await other.code("signOut", sessionId=phone.session_id) == "NOT_FOUND"
    await phone.does("signOut", sessionId=tablet.session_id)
    assert await is_out(tablet, site)
    assert await is_in(phone, site)

    # The one she is in.
    await phone.ask("mutation { signOut(input: {}) { ... on Session { endedAt } } }")
    assert await is_out(phone, site)

    # All.
    laptop = await sign_in(clara)
    await laptop.does("signOutEverywhere")
    assert await is_out(laptop, site)
    assert await is_out(clara, site)
    assert await is_in(other, site)


async def test_a_new_password_ends_every_session_but_the_new_one(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    phone = await sign_in(clara.on(site.b))

    wrong = await clara.refused("changePassword", currentPassword="guess", newPassword="another fine password")
    short = await clara.refused("changePassword", currentPassword=PASSWORD, newPassword="short")
    assert (wrong["code"], wrong["field"]) == ("WRONG_PASSWORD", ["currentPassword"])
    assert (short["code"], short["field"]) == ("BAD_USER_INPUT", ["newPassword"])
    assert await is_in(phone, site)

    changed = await clara.does("changePassword", currentPassword=PASSWORD, newPassword="another fine password")

    assert await is_out(phone, site)
    assert await is_out(clara, site)
    assert await is_in(clara.signed_in(changed), site)
    assert await phone.signed_out.code("signIn", email=clara.email, password=PASSWORD) == "SIGN_IN_FAILED"
    assert await is_in(await sign_in(clara, "another fine password"), site)


async def appointed(site: Site) -> Person:
    """An administrator whom the operator has made from the command line, with the password piped in."""
    admin = Person.at(site.a)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", "admin", admin.email),
        cwd=ROOT,
        env=site.told,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate(f"{ADMIN_PASSWORD}\n".encode())
    assert (process.returncode, complained) == (0, b"")
    assert said.decode() == f"{admin.email} is registered, and an administrator.\n"
    return await sign_in(admin, ADMIN_PASSWORD)


async def test_an_administrator_shuts_people_out_at_once_and_lets_them_in_again(site: Site):
    admin = await appointed(site)
    clara = await Person.registered(site.a, "CLIENT")
    fritz = await Person.registered(site.b, "FREELANCER")
    job_id = await published(clara)
    account = {"accountId": f"account_{clara.id}"}

    assert await fritz.code("suspendAccount", **account) == "FORBIDDEN"
    assert await Person.at(site.a).code("suspendAccount", **account) == "UNAUTHENTICATED"
    assert await admin.code("suspendAccount", accountId=f"account_{admin.id}") == "OWN_ACCOUNT"
    async with clara.on(site.b).socket() as office:
        ear = office.listen(PROPOSALS, jobId=job_id)
        proposal = await fritz.does("submitProposal", jobId=job_id, **offer())
        await ear.opened(lambda: fritz.does("editProposal", proposalId=proposal["id"], **offer()))
        await ear.hears_up_to(await site.head(ear.stream))

        suspended = await admin.does("suspendAccount", **account)

        assert suspended["suspendedAt"]
        assert await is_out(clara, site)
        assert await clara.signed_out.code("signIn", email=clara.email, password=PASSWORD) == "SIGN_IN_FAILED"
        await fritz.does("editProposal", proposalId=proposal["id"], **offer("Are you there?"))
        assert await ear.ended() == "UNAUTHENTICATED"
        assert ear.is_silent

    assert (await admin.does("reinstateAccount", **account))["suspendedAt"] is None
    assert await is_out(clara, site)
    assert await is_in(await sign_in(clara), site)


async def test_guessing_passwords_closes_an_account_for_a_while_and_no_other(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    neighbour = await Person.registered(site.a, "CLIENT")

    async def guess(times: Iterable[int]) -> set[str]:
        # From as many addresses: it is the account that is guarded here.
        tries = [Person.at((site.a, site.b)[at % 2]) for at in times]
        return {await who.code("signIn", email=clara.email, password=f"guess {who.address}") for who in tries}

    assert await guess(range(9)) == {"SIGN_IN_FAILED"}
    await sign_in(clara)
    # Signing in has forgiven the nine.
    assert await guess(range(10)) == {"SIGN_IN_FAILED"}
    assert await clara.signed_out.on(site.b).code("signIn", email=clara.email, password=PASSWORD) == "SIGN_IN_FAILED"
    assert await is_in(clara, site)
    await sign_in(neighbour)

    # 30 seconds later one may try again; after another failure it takes a minute.
    await wait(site, clara, seconds=31)
    assert await guess(range(1)) == {"SIGN_IN_FAILED"}
    await wait(site, clara, seconds=31)
    assert await clara.signed_out.code("signIn", email=clara.email, password=PASSWORD) == "SIGN_IN_FAILED"
    await wait(site, clara, seconds=30)
    await sign_in(clara)


async def wait(site: Site, who: Person, *, seconds: int) -> None:
    """Let time pass for the throttle of an account."""
    await site.rows(
        "update sign_in_throttles set last_at = last_at - make_interval(secs => $2)"
        " where subject = 'account:' || encode(sha256($1::bytea), 'hex')",
        who.email.encode(),
        seconds,
    )


async def test_guessing_from_one_address_closes_that_address_and_no_other(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    guesser = Person.at(site.b)

    for at in range(100):
        assert await guesser.code("signIn", email=f"somebody{at}@example.org", password=PASSWORD) == "SIGN_IN_FAILED"

    there = replace(clara.signed_out, address=guesser.address)
    assert await there.code("signIn", email=clara.email, password=PASSWORD) == "SIGN_IN_FAILED"
    await sign_in(clara)


async def test_a_session_that_ends_ends_its_subscriptions_with_the_next_delivery_and_no_others(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    fritz = await Person.registered(site.b, "FREELANCER")
    phone = await sign_in(clara.on(site.b))
    job_id = await published(clara)
    proposal = await fritz.does("submitProposal", jobId=job_id, **offer())

    async with clara.socket() as office, phone.socket() as pocket:
        there, here = office.listen(PROPOSALS, jobId=job_id), pocket.listen(PROPOSALS, jobId=job_id)
        for ear in (there, here):
            await ear.opened(lambda: fritz.does("editProposal", proposalId=proposal["id"], **offer()))
        for ear in (there, here):
            await ear.hears_up_to(await site.head(ear.stream))

        await phone.does("signOut", sessionId=phone.session_id)
        await fritz.does("editProposal", proposalId=proposal["id"], **offer("For her eyes only."))

        assert await here.ended() == "UNAUTHENTICATED"
        assert here.is_silent
        assert (await there.hears())["proposal"]["coverLetter"] == "For her eyes only."
        # The socket itself may be used no more than the token: what is begun on it now is refused.
        later = pocket.listen(PROPOSALS, jobId=job_id)
        assert await later.ended() == LOST
        assert pocket.code == 4403


async def test_a_socket_is_closed_when_the_access_token_that_opened_it_expires(site: Site):
    clara = await Person.registered(site.a, "CLIENT")
    job_id = await published(clara)
    # Tokens count whole seconds.
    hasty = replace(clara, token=token(clara, seconds=2))

    async with hasty.socket() as office:
        ear = office.listen(PROPOSALS, jobId=job_id)
        assert await ear.ended() == LOST
        assert office.code == 4401

    assert await hasty.error(ME) == "UNAUTHENTICATED"
    assert await is_in(clara, site)


def unsigned(who: Person) -> str:
    now = datetime.now(UTC)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": who.id, "sid": who.session_id.removeprefix("session_")}
    lasting = {"iat": now, "exp": now + timedelta(hours=1), "jti": "1"}
    return jwt.encode(claims | lasting, "", "none", headers={"kid": SIGNING_KID})


STRANGE = SigningKey(SIGNING_KID, bytes(32))


@pytest.mark.parametrize(
    ("spoil", "code", "reason"),
    [
        (lambda who: token(who, seconds=-1), 4401, "Token expired"),
        (lambda who: token(who, seconds=900, key=STRANGE), 4403, "Forbidden"),
        (lambda who: token(replace(who, session_id="0" * 32), seconds=900), 4403, "Forbidden"),
        (lambda who: who.token[:-2], 4403, "Forbidden"),
        (unsigned, 4403, "Forbidden"),
        (lambda _: "x" * 10_000, 4403, "Forbidden"),
    ],
    ids=["expired", "of another key", "of no session", "cut", "unsigned", "long"],
)
async def test_a_bad_token_opens_no_socket_and_no_door(site: Site, spoil, code: int, reason: str):
    clara = await Person.registered(site.a, "CLIENT")
    spoilt = replace(clara, token=spoil(clara))

    assert await greet(site.b, spoilt.authorization) == (code, reason)
    assert await spoilt.error(ME) == "UNAUTHENTICATED"


async def test_an_authorization_that_is_no_bearer_token_opens_no_socket(site: Site):
    assert await greet(site.a, {"Authorization": "Basic YTpi"}) == (4403, "Forbidden")
    assert await greet(site.a, {"Authorization": 7}) == (4400, "Authorization must be a string")
