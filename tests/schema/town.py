"""A town where everybody lives at once: a database full of a crowd, and both ways of asking about it."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationType,
    get_nullable_type,
    is_required_argument,
)
from sqlalchemy.ext.asyncio import create_async_engine

from models.base import Base
from ops.app import House, wall_clock
from ops.settings import Settings
from ops.transport.asked import Asked
from ops.transport.errors import Rejected, present
from ops.transport.operations import Operations
from schema import root
from schema.edges import BY_NOUN
from schema.limits import Limits
from schema.scalars import id_of
from tests.make.crowd import CATALOGUE, Crowd, Viewer, crowd
from tests.schema.authors import Case, Stock, case, deed, subscription
from tests.schema.differ import Differ, Figures

IDS_AT_ONCE, CURSORS_ENOUGH = 100, 40
HERE = "HERE"
OWNERS_ASKED = 10
"""Of how many owners the pages are read for their cursors."""


@dataclass
class Town:
    """A house full of people, and what is known of it."""

    house: House
    crowd: Crowd
    viewers: dict[str, Viewer]
    schema: GraphQLSchema
    built: strawberry.Schema
    operations: Operations
    stock: Stock
    seed: int
    now: datetime
    figures: Figures = field(default_factory=Figures)
    """What the cases were like that were asked so far."""
    declared: int = 0
    """How many of them were right, and about what is declared throughout."""
    compiled: int = 0
    """How many of those were answered by one statement each."""

    def case(self, number: int) -> Case:
        """The case of this number."""
        return case(self.schema, self.stock, self.seed, number)

    def deed(self, number: int) -> Case:
        """The mutation of this number."""
        return deed(self.schema, self.stock, self.seed, number)

    def subscription(self, number: int) -> Case:
        """The subscription of this number."""
        return subscription(self.schema, self.stock, self.seed, number)

    def anew(self) -> "Town":
        """The same town, asked by somebody who remembers nothing."""
        return replace(self, operations=Operations(self.built, Limits()))

    async def ask(self, case: Case, *, compiled: bool) -> bytes:
        """Ask something in one of the two ways, and give the bytes that are sent."""
        asked, failed = Asked(case.document, case.values, case.name, {}), failed_of(self.operations)
        answer = await answered(self.operations, self.house, self.viewers[case.viewer], asked, compiled=compiled)
        # Whoever asks is answered in the ordinary way then, and sees nothing of it; we do.
        return answer if failed_of(self.operations) == failed else b"(failed, and so ordinary) " + answer

    async def follow(self, case: Case, *, compiled: bool) -> bytes:
        """Follow something in one of the two ways, from the beginning until now, and give all that is sent."""
        asked, failed = Asked(case.document, case.values, case.name, {}), failed_of(self.operations)
        viewer = self.viewers[case.viewer]
        context = self.house.context(viewer.account, session_id=viewer.session_id)
        try:
            operation = self.operations.prepare(asked)
        except Rejected as rejection:
            return orjson.dumps({"errors": present(rejection.errors)})
        told = [answer async for answer in self.operations.listen(operation, context, compiled=compiled)]
        errors = [error for answer in told for error in answer.get("errors", ())]
        data = [answer.get("data", "none") for answer in told]
        sent = orjson.dumps({"data": data} | ({"errors": errors} if errors else {}))
        return sent if failed_of(self.operations) == failed else b"(failed, and so ordinary) " + sent

    def following(self) -> Differ:
        """Somebody who follows in both ways."""
        return Differ(
            lambda case: self.follow(case, compiled=False),
            lambda case: self.follow(case, compiled=True),
        )

    def differ(self) -> Differ:
        """Somebody who asks both ways."""
        return Differ(
            lambda case: self.ask(case, compiled=False),
            lambda case: self.ask(case, compiled=True),
        )


@asynccontextmanager
async def settled(settings: Settings, seed: int, like: Town | None = None) -> AsyncIterator[Town]:
    """Let everybody move into an empty database, and find out what there is to ask; or do all `like` somewhere else."""
    now = like.now if like else wall_clock()
    # What is asked twice is asked at the same moment.
    house = House.of(settings, lambda: now)
    built = like.built if like else root.build()
    core: GraphQLSchema = built._schema
    operations = Operations(built, Limits())
    made = await move_in(settings.database_url, seed, now)
    async with house.open(with_bell=False):
        stock = like.stock if like else await Surveyor(operations, core, house, made).survey()
        yield Town(house, made, made.viewers(), core, built, operations, stock, seed, now)


def compiled_of(operations: Operations) -> int:
    """How many operations were answered the short way so far."""
    return operations.taken["compiled"]


def shown_of(taken: Counter[str]) -> int:
    """How many rows that were changed were shown by one statement, or needed none: all of them was at hand."""
    return taken["row"] + taken["row known"]


def failed_of(operations: Operations) -> int:
    """How often a statement failed, where the ordinary way had an answer after all."""
    return operations.taken["failed"] + operations.taken["row failed"]


async def answered(operations: Operations, house: House, viewer: Viewer, asked: Asked, *, compiled: bool) -> bytes:
    """Ask the schema something as somebody: what is sent. Who reads is only remembered, as she is over HTTP."""
    try:
        operation = operations.prepare(asked)
    except Rejected as rejection:
        return orjson.dumps({"errors": present(rejection.errors)})
    account, reads = viewer.account, operation.kind is OperationType.QUERY
    is_recalled = compiled and reads and account is not None and account.suspended_at is None
    context = house.context(account, session_id=viewer.session_id, is_recalled=is_recalled)
    return orjson.dumps(await operations.run(operation, context, compiled=compiled))


async def move_in(database_url: str, seed: int, now: datetime) -> Crowd:
    """Put a crowd into an empty database."""
    # What moves in the books is weighed by triggers; what people have here they have from nowhere.
    unbound = {"server_settings": {"session_replication_role": "replica"}}
    engine = create_async_engine(database_url, connect_args=unbound)
    try:
        async with engine.begin() as connection:
            words = [await connection.scalars(sa.select(kind.__table__.c.id).order_by("id")) for kind in CATALOGUE]
            made = crowd(seed, now, *(list(keys) for keys in words))
            for table in Base.metadata.sorted_tables:
                if values := [_values(row) for row in made.rows if row.__table__ is table]:
                    await connection.execute(sa.insert(table), values)
            await connection.execute(sa.text("analyze"))
    finally:
        await engine.dispose()
    return made


def _values(row: Base) -> dict[str, Any]:
    mapper = sa.inspect(type(row))
    columns = [column for column in mapper.local_table.c if column.identity is None]
    return {column.key: vars(row).get(mapper.get_property_by_column(column).key) for column in columns}


class Surveyor:
    """Finds out what there is to ask for, by asking for it in the ordinary way."""

    def __init__(self, operations: Operations, schema: GraphQLSchema, house: House, crowd: Crowd) -> None:
        self.operations, self.schema, self.house = operations, schema, house
        self.viewers = crowd.viewers()
        self.every: list[str] = [id_of(row) for row in crowd.rows if getattr(row, "noun", None) in BY_NOUN]
        self.every += [f"category_{key.hex}" for key in crowd.categories] + [f"skill_{key.hex}" for key in crowd.skills]

        # Those of a kind together, so that each question is one statement.
        self.every.sort(key=lambda one: one.rpartition("_")[0])

    async def survey(self) -> Stock:
        """Find out everything."""
        seen = {name: await self._seen(viewer) for name, viewer in self.viewers.items()}
        nouns = {
            one.rpartition("_")[0]: kind for known in seen.values() for kind, ids in known.items() for one in ids[:1]
        }
        ids: dict[str, list[str]] = {}
        for one in self.every:
            if kind := nouns.get(one.rpartition("_")[0]):
                ids.setdefault(kind, []).append(one)
        cursors = {name: places for name, places in [*[await one for one in self._places(seen)]] if places}
        refused = {name: await self._refused(viewer) for name, viewer in self.viewers.items()}
        return Stock(list(self.viewers), ids, seen, nouns, cursors, refused)

    async def _seen(self, viewer: Viewer) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for at in range(0, len(self.every), IDS_AT_ONCE):
            data = await self._ask(
                viewer, "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", self.every[at : at + IDS_AT_ONCE]
            )
            for node in filter(None, data["nodes"]):
                found.setdefault(node["__typename"], []).append(node["id"])
        return found

    def _places(self, seen: dict[str, dict[str, list[str]]]) -> Iterable[Any]:
        """Read the cursors of every list there is."""
        roots = self._roots()
        for kind in self.schema.type_map.values():
            if not isinstance(kind, GraphQLObjectType):
                continue
            for name, known in kind.fields.items():
                if {"first", "after"} <= set(known.args):
                    yield self._cursors(kind, name, roots.get(kind.name), seen)

    def _roots(self) -> dict[str, str]:
        """How the types are reached that are there without being asked for: the text around what is asked of them."""
        assert self.schema.query_type is not None
        waiting = [self.schema.query_type]
        found = {waiting[0].name: HERE}
        while waiting:
            kind = waiting.pop(0)
            for name, known in kind.fields.items():
                target = get_nullable_type(known.type)
                if isinstance(target, GraphQLObjectType) and not known.args and target.name not in found:
                    found[target.name] = found[kind.name].replace(HERE, f"{name} {{ {HERE} }}")
                    waiting.append(target)
        return found

    async def _cursors(
        self, kind: GraphQLObjectType, name: str, root: str | None, seen: dict[str, dict[str, list[str]]]
    ) -> tuple[str, list[str]]:
        found: dict[str, None] = {}
        enums = {argument: get_nullable_type(one.type) for argument, one in kind.fields[name].args.items()}
        first = [
            f"{argument}: {next(iter(one.values))}"
            for argument, one in enums.items()
            if isinstance(one, GraphQLEnumType)
        ]
        page = f"{name}({', '.join(['first: 20', *first])}) {{ edges {{ cursor }} }}"
        for viewer, known in seen.items():
            if len(found) >= CURSORS_ENOUGH:
                break
            ids = [] if root else known.get(kind.name, [])[:OWNERS_ASKED]
            here = root.replace(HERE, page) if root else ""
            text = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ id ... on {kind.name} {{ {page} }} }} }}"
            if root:
                text = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ id }} {here} }}"
            data = await self._ask(self.viewers[viewer], text, ids, may_be_refused=True)
            found |= dict.fromkeys(_cursors_in(data))
        return f"{kind.name}.{name}", list(found)

    async def _refused(self, viewer: Viewer) -> set[str]:
        """The root fields that are not for somebody."""
        assert self.schema.query_type is not None
        fields = self.schema.query_type.fields.items()
        plain = [name for name, known in fields if not any(map(is_required_argument, known.args.values()))]
        asked = [await self._ask(viewer, f"{{ {name} {{ __typename }} }}", may_be_refused=True) for name in plain]
        return {name for name, data in zip(plain, asked, strict=True) if not data}

    async def _ask(
        self, viewer: Viewer, text: str, ids: Sequence[str] = (), *, may_be_refused: bool = False
    ) -> dict[str, Any]:
        asked = Asked(text, {"ids": ids}, None, {})
        answer = orjson.loads(await answered(self.operations, self.house, viewer, asked, compiled=False))
        assert may_be_refused or "errors" not in answer, answer
        return answer.get("data") or {}


def _cursors_in(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if "cursor" in value:
            yield value["cursor"]
        for one in value.values():
            yield from _cursors_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from _cursors_in(one)
