"""A schema small enough to read, with one of everything the transport must carry."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import strawberry

from models.errors import Busy, Forbidden, Unauthenticated
from ops.transport.http import Caller

SECRET = "hunter2"


@dataclass
class Context:
    expires_at: datetime | None
    authorization: str | None


class TokenExpired(Unauthenticated):
    expired = True


async def context_for(_caller: Caller, authorization: str | None, _commands: frozenset[str] = frozenset()) -> Context:
    if authorization == "Bearer bad":
        raise Unauthenticated
    if authorization == "Bearer old":
        raise TokenExpired
    if authorization == "Bearer busy":
        raise Busy
    if authorization == "Bearer bug":
        raise RuntimeError(SECRET)
    short = timedelta(seconds=0.3) if authorization == "Bearer short" else None
    return Context(datetime.now(UTC) + short if short else None, authorization)


@strawberry.type
class Person:
    name: str

    @strawberry.field
    def friend(self) -> "Person":
        return Person(name=f"{self.name}'s friend")

    @strawberry.field
    def people(self, first: int | None = None, last: int | None = None) -> "PersonConnection":
        return page(first or last or 2)


@strawberry.type
class PersonEdge:
    node: Person
    cursor: str


@strawberry.type
class PersonConnection:
    edges: list[PersonEdge]
    nodes: list[Person]


def page(size: int) -> PersonConnection:
    people = [Person(name=str(number)) for number in range(size)]
    return PersonConnection(edges=[PersonEdge(node=one, cursor=one.name) for one in people], nodes=people)


@strawberry.input
class Filter:
    names: list[str] | None = None
    also: "Filter | None" = None


@strawberry.type
class Query:
    @strawberry.field
    def ping(self) -> str:
        return "pong"

    @strawberry.field
    def echo(self, number: int) -> int:
        return number

    @strawberry.field
    def token(self, info: strawberry.Info) -> str | None:
        context: Context = info.context
        return context.authorization

    @strawberry.field
    def person(self, filter: Filter | None = None) -> Person:  # noqa: A002, ARG002
        return Person(name="Ada")

    @strawberry.field
    def people(self, first: int | None = None, last: int | None = None) -> PersonConnection:
        return page(first or last or 2)

    @strawberry.field
    def broken(self) -> str | None:
        raise ValueError(SECRET)

    @strawberry.field
    def broken_for_good(self) -> str:
        raise ValueError(SECRET)

    @strawberry.field
    def unsayable(self) -> int | None:
        return SECRET  # type: ignore[return-value]

    @strawberry.field
    def unwritable(self) -> strawberry.scalars.JSON:
        return object()  # type: ignore[return-value]

    @strawberry.field
    def refused(self) -> str | None:
        raise Forbidden("Not you.")


async def linger() -> None:
    await asyncio.sleep(0.1)


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def poke(self) -> int:
        poked.append("now")
        return len(poked)

    @strawberry.mutation
    async def poke_slowly(self) -> int:
        await linger()
        poked.append("slowly")
        return len(poked)


poked: list[str] = []
stopped: list[str] = []
flooded: list[int] = []


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int = 3) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def forever(self) -> AsyncIterator[int]:
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            stopped.append("forever")

    @strawberry.subscription
    async def people(self) -> AsyncIterator[Person]:
        for name in ("Ada", "Bob"):
            yield Person(name=name)

    @strawberry.subscription
    async def flood(self) -> AsyncIterator[str]:
        while True:
            flooded.append(1)
            yield "x" * 100_000

    @strawberry.subscription
    async def breaks(self) -> AsyncIterator[int]:
        yield 0
        raise ValueError(SECRET)

    @strawberry.subscription
    async def refuses(self) -> AsyncIterator[int]:
        for number in range(1):
            if not number:
                raise Forbidden("Not you.")
            yield number


schema = strawberry.Schema(Query, Mutation, Subscription)
