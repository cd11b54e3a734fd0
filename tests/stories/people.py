"""People with programs: what they ask over HTTP, and what they hear over websockets, with a client library."""

import asyncio
import base64
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import aiohttp
from gql import Client, GraphQLRequest, gql
from gql.client import AsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import TransportConnectionFailed, TransportQueryError
from graphql import GraphQLInputObjectType, GraphQLUnionType, build_schema, get_named_type, validate

from loaders.pages import SEAL_BYTES
from ops.__main__ import SDL
from tests.stories.processes import SECONDS, Server

SCHEMA = build_schema(SDL.read_text())
"""What was promised: every document of these stories is checked against it before it is sent."""

NUMBERS = itertools.count(1)
PASSWORD = "correct horse battery"
LOST = "LOST"
KNOCK_SECONDS = 0.2
PROTOCOL = "graphql-transport-ws"

SHOWN = {
    "Account": "id email roles suspendedAt",
    "Clock": "now aheadSeconds",
    "Contract": """
        id state title bid { amount currency } freelancerFeeBps clientFeeBps client { id } freelancer { id }
        milestones { id position description state dueOn amount { amount } }
    """,
    "ConnectsLot": "id source size remaining",
    "Invitation": "id job { id } freelancer { id }",
    "Job": "id title state version freelancersWanted hiredCount proposalCount availableActions",
    "Milestone": "id state version startedAt",
    "Payment": "id kind amount { amount } freelancerFee { amount }",
    "Proposal": """
        id state version reason coverLetter isShortlisted availableActions bid { amount } milestones { description }
    """,
    "Refused": "code message field retryable retryAfterSeconds problems { field message } current { __typename id }",
    "Session": "id endedAt",
    "Termination": "id state reason answer",
    "Transfer": "id kind purse state reason reference amount { amount }",
    "Upload": "id state name size mimeType sha256 url availableActions",
    "UploadTicket": "url method headers { name value } expiresAt upload { id state }",
    "SignedIn": "accessToken accessSeconds refreshToken account { id roles } session { id }",
}
"""What people want to see of what a mutation answers with."""

PROPOSALS = """
    subscription Proposals($jobId: ID!) {
        proposalChanged(jobId: $jobId) {
            cursor at kind proposal { id state reason version isShortlisted coverLetter freelancer { id } }
        }
    }
"""
CONTRACT = """
    subscription Contract($id: ID!) {
        contractChanged(id: $id) { cursor at kind contract { id milestones { position state } } }
    }
"""


@functools.cache
def mutation(name: str) -> str:
    """The document of a mutation."""
    assert SCHEMA.mutation_type is not None
    asked = SCHEMA.mutation_type.fields[name]
    union = get_named_type(asked.type)
    assert isinstance(union, GraphQLUnionType)
    members = " ".join(f"... on {member.name} {{ {SHOWN[member.name]} }}" for member in union.types)
    if not asked.args:
        return f"mutation {{ {name} {{ __typename {members} }} }}"
    kind = asked.args["input"].type
    return f"mutation ($input: {kind}) {{ {name}(input: $input) {{ __typename {members} }} }}"


@functools.cache
def takes_key(name: str) -> bool:
    """Whether a mutation moves something that has to move once."""
    assert SCHEMA.mutation_type is not None
    asked = SCHEMA.mutation_type.fields[name].args.get("input")
    kind = get_named_type(asked.type) if asked else None
    return isinstance(kind, GraphQLInputObjectType) and "idempotencyKey" in kind.fields


@functools.cache
def read(text: str) -> GraphQLRequest:
    """A document that keeps to the schema."""
    request = gql(text)
    assert not validate(SCHEMA, request.document)
    return request


@dataclass(frozen=True)
class Person:
    """Somebody at some address on the network, who talks to one of the servers."""

    server: Server
    address: str
    email: str = ""
    id: str = ""
    token: str | None = None
    refresh_token: str = ""
    session_id: str = ""

    @classmethod
    def at(cls, server: Server) -> Self:
        """Somebody whom nobody knows yet; the server believes the proxy about where they are."""
        number = next(NUMBERS)
        return cls(server, f"10.0.{number // 250}.{number % 250}", f"person{number}@example.org")

    @classmethod
    async def registered(cls, server: Server, *roles: str, name: str = "Ada") -> Self:
        """Somebody who has just registered."""
        who = cls.at(server)
        answer = await who.does("register", email=who.email, password=PASSWORD, fullName=name, roles=list(roles))
        return who.signed_in(answer)

    def signed_in(self, answer: dict[str, Any]) -> Self:
        """The same person with the tokens of an answer."""
        return replace(
            self,
            id=answer["account"]["id"].removeprefix("account_"),
            token=answer["accessToken"],
            refresh_token=answer["refreshToken"],
            session_id=answer["session"]["id"],
        )

    def on(self, server: Server) -> Self:
        """The same person with the same tokens at another server."""
        return replace(self, server=server)

    @property
    def signed_out(self) -> Self:
        """The same person without the access token."""
        return replace(self, token=None)

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def ask(self, text: str, **variables: Any) -> dict[str, Any]:
        """Ask something, and get the data; any error is raised."""
        headers = {"X-Forwarded-For": self.address, **self.authorization}
        transport = AIOHTTPTransport(self.server.url, headers=headers)
        async with Client(transport=transport) as session:
            data: dict[str, Any] = await session.execute(GraphQLRequest(read(text), variable_values=variables))
            return data

    async def tries(self, name: str, /, **given: Any) -> dict[str, Any]:
        """Do something, and see what comes of it; with a key of its own where one is wanted and none is given."""
        if takes_key(name):
            given = {"idempotencyKey": f"key {next(NUMBERS)}"} | given
        answer: dict[str, Any] = (await self.ask(mutation(name), **({"input": given} if given else {})))[name]
        return answer

    async def does(self, name: str, /, **given: Any) -> dict[str, Any]:
        """Do something that works."""
        answer = await self.tries(name, **given)
        assert answer["__typename"] != "Refused", answer
        return answer

    async def refused(self, name: str, /, **given: Any) -> dict[str, Any]:
        """Do something that does not work, and see why."""
        answer = await self.tries(name, **given)
        assert answer["__typename"] == "Refused", answer
        return answer

    async def code(self, name: str, /, **given: Any) -> str:
        """Do something that does not work, and see the code."""
        code: str = (await self.refused(name, **given))["code"]
        return code

    async def error(self, text: str, **variables: Any) -> str:
        """Ask something that is not answered, and see the code."""
        try:
            found = await self.ask(text, **variables)
        except TransportQueryError as error:
            return code_of(error)
        raise AssertionError(found)

    @asynccontextmanager
    async def socket(self) -> AsyncIterator["Socket"]:
        """A websocket that is open and greeted."""
        transport = AIOHTTPWebsocketsTransport(
            self.server.socket_url, init_payload=self.authorization, headers={"X-Forwarded-For": self.address}
        )
        async with Client(transport=transport) as session:
            assert isinstance(session, AsyncClientSession)
            connection = getattr(transport.adapter, "websocket", None)
            assert isinstance(connection, aiohttp.ClientWebSocketResponse)
            socket = Socket(session, connection, [])
            try:
                yield socket
            finally:
                for ear in socket.ears:
                    await ear.close()


@dataclass(frozen=True)
class Socket:
    """A websocket with what is listened to over it."""

    session: AsyncClientSession
    connection: aiohttp.ClientWebSocketResponse
    ears: list["Ear"]

    def listen(self, text: str, **variables: Any) -> "Ear":
        """Subscribe to something."""
        ear = Ear(self.session, GraphQLRequest(read(text), variable_values=variables))
        self.ears.append(ear)
        return ear

    @property
    def code(self) -> int | None:
        """With which code it was closed."""
        return self.connection.close_code


class Ear:
    """One subscription, with what was heard and not yet looked at; `last` is the number of what was looked at last,
    in `stream`."""

    def __init__(self, session: AsyncClientSession, request: GraphQLRequest) -> None:
        self.last, self.stream = 0, ""
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task = asyncio.create_task(self._listen(session, request))

    async def _listen(self, session: AsyncClientSession, request: GraphQLRequest) -> str | None:
        try:
            async for answer in session.subscribe(request):
                for event in answer.values():
                    self._heard.put_nowait(event)
        except TransportQueryError as error:
            return code_of(error)
        except TransportConnectionFailed:
            return LOST
        return None

    async def hears(self, seconds: float = SECONDS) -> dict[str, Any]:
        """The next event."""
        event = await asyncio.wait_for(self._heard.get(), seconds)
        self.last, self.stream = number(event), place(event)[0]
        return event

    async def hears_up_to(self, last: int, seconds: float = SECONDS) -> list[dict[str, Any]]:
        """All that comes before and with the event that has this number in its stream."""
        events = []
        while self.last < last:
            events.append(await self.hears(seconds))
        return events

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing that was not looked at."""
        return self._heard.empty()

    async def opened(self, knock: Callable[[], Awaitable[Any]]) -> None:
        """Wait until it hears, by making something happen again and again."""
        while True:
            await knock()
            try:
                await self.hears(KNOCK_SECONDS)
            except TimeoutError:
                assert not self._task.done(), self._task
            else:
                return

    async def ended(self) -> str | None:
        """Wait for its end, and say why it came: a code, LOST with the connection, or nothing if it was complete."""
        return await asyncio.wait_for(asyncio.shield(self._task), SECONDS)

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        await asyncio.wait([self._task])


def number(event: dict[str, Any]) -> int:
    """The number of an event in its stream; only tests look inside a cursor."""
    return int(place(event)[1])


def place(event: dict[str, Any]) -> list[str]:
    text = base64.urlsafe_b64decode(event["cursor"] + "=" * (-len(event["cursor"]) % 4))[SEAL_BYTES:].decode()
    return text.split("@")


def code_of(error: TransportQueryError) -> str:
    assert error.errors
    code: str = error.errors[0]["extensions"]["code"]
    return code


async def greet(server: Server, payload: dict[str, Any]) -> tuple[int | None, str | None]:
    """Introduce oneself over a bare websocket to a server that hangs up; with which code, and why."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.socket_url, protocols=[PROTOCOL]) as socket,
    ):
        await socket.send_json({"type": "connection_init", "payload": payload})
        message = await socket.receive(SECONDS)
        assert message.type is aiohttp.WSMsgType.CLOSE, message
        return socket.close_code, message.extra
