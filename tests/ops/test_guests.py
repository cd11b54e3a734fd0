"""Who is only remembered: reads are answered for her without asking who she is, and never a moment too long."""

from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa

import resolvers.accounts
import schema.root
from models.accounts import Account, Role, Session
from models.config import Config
from ops.app import House
from ops.auth import KEPT_MAX, keep
from ops.transport import GraphQLApp
from tests import make

ME = "{ viewer { account { email roles } } }"
MINE = "{ viewer { __typename contracts { totalCount } } }"
"""Reads nothing of the account itself."""
GONE = {"message": "This access token is not valid. Sign in again.", "extensions": {"code": "UNAUTHENTICATED"}}


class Site:
    """A server, somebody who is signed in there, and how often it was asked who she is."""

    def __init__(self, house, app, client, account, session, token):
        self.house, self.app, self.client, self.account, self.session = house, app, client, account, session
        self.headers = {"authorization": f"Bearer {token}"}
        self.looked_up = 0

    async def ask(self, query: str):
        return (await self.client.post("/graphql", json={"query": query}, headers=self.headers)).json()

    async def change(self, statement) -> None:
        """Do something of which no server hears anything."""
        async with self.house.database.writing.begin() as work:
            await work.execute(statement)


@pytest.fixture
async def site(house, keep, monkeypatch):
    account = make.client("Clara")
    await keep(account, *make.profiles(account))
    session = await keep(Session.begin(account, address="", agent="", at=house.clock.wall(), config=Config()))
    token = house.keys.issue(account, session, at=house.clock.wall(), seconds=900)
    app = GraphQLApp(schema.root.build(), context_for=house.context_for, recall=house.recall)
    account_of = House.account_of

    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://workup.test")
    there = Site(house, app, client, account, session, token)

    async def counted(self, session_id, database):
        there.looked_up += 1
        return await account_of(self, session_id, database)

    monkeypatch.setattr(House, "account_of", counted)
    async with client:
        yield there


async def test_who_came_before_is_not_looked_up_again_to_read(site):
    answers = [await site.ask(ME) for _ in range(4)]

    assert answers == [{"data": {"viewer": {"account": {"email": site.account.email, "roles": ["CLIENT"]}}}}] * 4
    assert site.looked_up == 1
    assert site.app._operations.taken["compiled"] == 4


async def test_who_does_something_is_looked_up_each_time(site):
    done = "mutation { addRole(input: { role: CLIENT }) { __typename } }"

    assert [await site.ask(done) for _ in range(3)] == [{"data": {"addRole": {"__typename": "Account"}}}] * 3
    assert site.looked_up == 3


async def test_what_cannot_be_read_by_one_statement_is_read_by_whom_was_looked_up(site):
    for _ in range(3):
        assert (await site.ask("{ viewer { account { email } } __schema { queryType { name } } }"))["data"]["viewer"]

    assert site.looked_up == 3


@pytest.mark.parametrize(
    "end",
    [
        lambda site: sa.update(Session).values(ended_at=site.house.clock.wall()),
        lambda site: sa.update(Session).values(expires_at=site.house.clock.wall()),
        lambda site: sa.update(Account).values(suspended_at=site.house.clock.wall()),
        lambda _: sa.delete(Session),
    ],
    ids=["signed out", "expired", "suspended", "forgotten"],
)
async def test_a_session_that_ended_anywhere_reads_nothing_from_then_on(site, end):
    for _ in range(2):
        assert "data" in await site.ask(ME)
        assert await site.ask(MINE) == {"data": {"viewer": {"__typename": "Viewer", "contracts": {"totalCount": 0}}}}

    await site.change(end(site))

    for _ in range(2):
        assert await site.ask(ME) == {"errors": [GONE]}
        assert await site.ask(MINE) == {"errors": [GONE]}
    assert await site.ask('{ job(id: "job_' + "0" * 32 + '") { id } }') == {"errors": [GONE]}


async def test_a_token_that_expired_meanwhile_reads_nothing(site, clock):
    assert "data" in await site.ask(ME)

    clock.ahead = timedelta(seconds=901)

    (error,) = (await site.ask(ME))["errors"]
    assert error["message"] == "This access token has expired. Refresh it."


async def test_a_new_role_is_seen_at_once(site):
    assert "data" in await site.ask(ME)

    await site.change(sa.update(Account).values(roles=[Role.ADMIN.value, Role.CLIENT.value]))

    for _ in range(2):
        assert (await site.ask(ME))["data"]["viewer"]["account"]["roles"] == ["ADMIN", "CLIENT"]
    assert site.looked_up == 2


async def test_who_signs_out_is_out(site):
    ctx = site.house.context(site.account, session_id=site.session.id)
    assert "data" in await site.ask(ME)

    await resolvers.accounts.sign_out(ctx)

    assert await site.ask(ME) == {"errors": [GONE]}


async def test_new_options_hold_for_those_who_are_remembered(site):
    assert "data" in await site.ask(ME)
    site.house.tuning.config = config = Config()

    assert "data" in await site.ask(ME)

    assert site.looked_up == 2
    assert site.house.guests[site.headers["authorization"]].config is config


def test_no_more_is_remembered_than_there_is_room_for():
    kept: dict[int, int] = {}
    for at in range(KEPT_MAX + 2):
        keep(kept, at, at)

    assert len(kept) == KEPT_MAX
    assert 1 not in kept
    assert kept[2] == 2
