"""How a type sees its row and reaches its neighbours: declared here once, for every executor.

A field declared with `column`, `priced`, `part`, `one`, `many`, `page`, `page_by`, `about`, `count`, `figures`,
`computed`, `made` or `either`, and a root field declared with `found`, `asker`, `anything`, `group` or `known`, carries
its declaration in the field's metadata under `EDGE`. The resolvers made here are the ordinary way of reading it;
anything else that wants to answer the same field reads the declaration and must answer alike: `schema/plans.py` makes
one statement of an operation.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeAlias, TypeVar
from uuid import UUID

import strawberry
from sqlalchemy import ColumnElement

from loaders.batch import NO_FILTERS, Filters, Relation, Summary
from loaders.pages import PAGE_DEFAULT, PAGE_MAX, BadCursor, Page, Seal, Slice, read, written
from models.base import Audience, Base
from models.errors import Checks, Invalid, Problem
from resolvers.context import Context
from schema.scalars import Cursor, id_of, key_of, money, noun_and_key

EDGE = "edge"
Info: TypeAlias = strawberry.Info[Context, None]
T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """A field that shows a column of the row: the one called `name`, or as the field."""

    name: str | None


@dataclass(frozen=True)
class Same:
    """A field that shows the same row through another type."""


@dataclass(frozen=True)
class Amount:
    """A field that shows two columns as money."""

    cents: str
    currency: str


@dataclass(frozen=True)
class To:
    """A field that leads along a relation, from the column `key` of this row; `how` many it finds there."""

    how: str
    relation: Relation[Any]
    key: str | None
    """Nothing where the relation has no key, but is a list of its own, or where the key is found `by` more."""
    at_most: int | None = None
    """How many the rule allows, where one keeps them few; it says what an operation may cost."""
    filters: "type[Filter] | None" = None
    """What a caller may ask of the rows of a page."""
    by: "By | None" = None


@dataclass(frozen=True)
class By:
    """A key that is no column: the field's argument `which` has a say in it. `find` finds it, and so does `sql`."""

    find: "Find"
    sql: "Callable[[ColumnElement[str]], ColumnElement[Any]]"
    """Is given what `kept` makes of the argument."""
    kept: Callable[[Any], str]


@dataclass(frozen=True)
class About:
    """A field that leads to a row of any kind, whose noun and id are columns of this row."""

    noun: str
    key: str


@dataclass(frozen=True)
class Of:
    """A field that shows a summary of the rows that share `key`."""

    summary: Summary
    key: str


@dataclass(frozen=True)
class Identity:
    """A field that shows the public id of the row."""


@dataclass(frozen=True)
class Computed:
    """A field that is computed of the row; `sql` computes the same in a statement, for an audience."""

    sql: "Sql"
    is_json: bool = False
    """Whether `sql` writes JSON."""


@dataclass(frozen=True)
class MadeOf:
    """A field that `make` makes of these columns of a row of `model`, the context, and the field's arguments."""

    model: type[Base]
    columns: tuple[str, ...]
    make: "Make"


@dataclass(frozen=True)
class Either:
    """A field that shows a column, or else, where that is empty, what is made of the row that `key` leads to."""

    name: str
    relation: Relation[Any]
    key: str
    otherwise: MadeOf


@dataclass(frozen=True)
class Found:
    """A root field: the row of the id that it is given."""

    relation: Relation[Any]


@dataclass(frozen=True)
class Asker:
    """A root field: the account of whoever asks."""

    relation: Relation[Any]


@dataclass(frozen=True)
class Anything:
    """A root field: the rows of ids of any kind, or of one."""

    several: bool


@dataclass(frozen=True)
class Knowledge:
    """A root field that this process answers with what it knows, and nothing that would have to be read."""

    make: "Make"


class Filter(Protocol):
    """An input that says which rows of a page are wanted."""

    def read(self) -> Filters:
        """Read it as the relation of the page knows it; refuse what cannot be read."""


Sql: TypeAlias = Callable[[Audience], ColumnElement[Any]]
Make: TypeAlias = Callable[..., Any]
Find: TypeAlias = Callable[[Context, Any, Any], Awaitable[UUID | None]]


def _declared(edge: object, description: str, **more: Any) -> Any:
    return strawberry.field(description=description, metadata={EDGE: edge}, **more)


def column(description: str, name: str | None = None) -> Any:
    """A column of the row, as it is; `name` is its own, where the field is called otherwise."""
    if name is None:
        return _declared(Column(None), description)
    return _declared(Column(name), description, resolver=attrgetter_of(name))


def attrgetter_of(name: str) -> Callable[[Any], Any]:
    """A resolver that reads a column."""

    def resolve(root: Any) -> Any:
        return getattr(root, name)

    return resolve


def part(description: str) -> Any:
    """The same row, seen through another type: a group of its columns under one name."""

    def resolve(root: Any) -> Any:
        return root

    return _declared(Same(), description, resolver=resolve)


def group(description: str) -> Any:
    """A root field under which others stand; there is no row behind it."""

    def resolve() -> Any:
        return ()

    return _declared(Same(), description, resolver=resolve)


def priced(description: str, cents: str, currency: str = "currency") -> Any:
    """Two columns of the row, as money."""

    def resolve(root: Any) -> Any:
        return money(getattr(root, cents), getattr(root, currency))

    return _declared(Amount(cents, currency), description, resolver=resolve)


def one(description: str, relation: Relation[Any], key: str) -> Any:
    """The row that `key` of this row leads to, if the viewer may see it."""

    async def resolve(root: Any, info: Info) -> Any:
        return await info.context.loaders.one(relation, getattr(root, key))

    return _declared(To("one", relation, key), description, resolver=resolve)


def many(description: str, relation: Relation[Any], key: str = "id", *, at_most: int | None = None) -> Any:
    """All rows of a relation that a rule keeps short: to `at_most`, where that is more than a handful."""

    async def resolve(root: Any, info: Info) -> Any:
        return await info.context.loaders.many(relation, getattr(root, key))

    return _declared(To("many", relation, key, at_most), description, resolver=resolve)


def count(description: str, relation: Relation[Any], key: str = "id") -> Any:
    """How many rows a relation has."""

    async def resolve(root: Any, info: Info) -> int:
        return await info.context.loaders.count(relation, getattr(root, key))

    return _declared(To("count", relation, key), description, resolver=resolve)


def figures(description: str, summary: Summary, key: str = "id") -> Any:
    """Aggregates over the rows that share this row's key, if there are any to show."""

    async def resolve(root: Any, info: Info) -> Any:
        return await info.context.loaders.summary(summary, getattr(root, key))

    return _declared(Of(summary, key), description, resolver=resolve)


First: TypeAlias = Annotated[
    int | None,
    strawberry.argument(description=f"How many from the start: 1 to {PAGE_MAX}; {PAGE_DEFAULT} if not said."),
]
After: TypeAlias = Annotated[Cursor | None, strawberry.argument(description="Only what comes after this place.")]
Last: TypeAlias = Annotated[int | None, strawberry.argument(description=f"How many from the end: 1 to {PAGE_MAX}.")]
Before: TypeAlias = Annotated[Cursor | None, strawberry.argument(description="Only what comes before this place.")]


def page(description: str, relation: Relation[Any], key: str | None = "id", *, only: type[Filter] | None = None) -> Any:
    """A list of any length, a page at a time, narrowed as `only` says; without a key it is the same for every row."""

    async def resolve(
        root: Any, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Any:
        owner = None if key is None else getattr(root, key)
        return await paged(info, relation, owner, Window(first, after, last, before))

    async def narrowed(
        root: Any,
        info: Info,
        filter: Any = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Any:
        owner = None if key is None else getattr(root, key)
        filters = filter.read() if filter else NO_FILTERS
        return await paged(info, relation, owner, Window(first, after, last, before), filters)

    if only is None:
        return _declared(To("page", relation, key), description, resolver=resolve)
    which: Any = only
    narrowed.__annotations__["filter"] = Annotated[which | None, strawberry.argument(description="Which of them.")]
    return _declared(To("page", relation, key, filters=only), description, resolver=narrowed)


NOBODY = UUID(int=0)
"""The key that nothing belongs to."""


def page_by(description: str, relation: Relation[Any], by: By, which: object) -> Any:
    """A list as `page` shows it, of which an argument says which one it is; `which` is the argument's annotation."""

    async def resolve(
        root: Any,
        info: Info,
        which: Any,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Any:
        owner = await by.find(info.context, root, which)
        return await paged(info, relation, owner or NOBODY, Window(first, after, last, before))

    resolve.__annotations__["which"] = which
    return _declared(To("page", relation, None, by=by), description, resolver=resolve)


def about(description: str, noun: str, key: str) -> Any:
    """The row of any kind that two columns name, if there is one and the viewer may see it."""

    async def resolve(root: Any, info: Info) -> Any:
        relation = BY_NOUN.get(getattr(root, noun))
        return await info.context.loaders.one(relation, getattr(root, key)) if relation else None

    return _declared(About(noun, key), description, resolver=resolve)


def known(description: str) -> Callable[[Make], Any]:
    """A root field that is answered with what this process knows: objects, whose fields are read as they are."""

    def declare(make: Make) -> Any:
        return _declared(Knowledge(make), description, resolver=make)

    return declare


Resolver = TypeVar("Resolver", bound=Callable[..., Any])


def computed(description: str, sql: Sql, *, is_json: bool = False) -> Callable[[Resolver], Any]:
    """A field with a resolver of its own, beside which `sql` says the same in a statement; it may name `VIEWER`."""

    def declare(resolver: Resolver) -> Any:
        return _declared(Computed(sql, is_json), description, resolver=resolver)

    return declare


def actions(description: str, sql: Sql) -> Callable[[Resolver], Any]:
    """What the viewer may do with the row: the resolver asks the rules, `sql` is `loaders.batch.offered` of them."""
    return computed(description, sql, is_json=True)


def made(description: str, model: type[Base], *columns: str) -> Callable[[Make], Any]:
    """A field made here, with what no statement knows: the function reads these columns of the row, and no others."""

    def declare(make: Make) -> Any:
        return _declared(MadeOf(model, columns, make), description, resolver=make)

    return declare


def either(description: str, name: str, relation: Relation[Any], key: str, otherwise: MadeOf) -> Any:
    """A column of the row, or else, where it is empty, what is made of the row that `key` leads to."""

    async def resolve(root: Any, info: Info) -> Any:
        if (known := getattr(root, name)) is not None:
            return known
        row = await info.context.loaders.one(relation, getattr(root, key))
        return otherwise.make(row, info) if row else None

    return _declared(Either(name, relation, key, otherwise), description, resolver=resolve)


def found(description: str, relation: Relation[Any], means: str) -> Any:
    """A root field: the row of an id, if there is one and the viewer may see it; `means` says what the id is of."""

    async def resolve(info: Info, id: Any) -> Any:
        return await info.context.loaders.one(relation, key_of(relation.target.noun, id))

    resolve.__annotations__["id"] = Annotated[strawberry.ID, strawberry.argument(description=means)]
    return _declared(Found(relation), description, resolver=resolve)


def asker(description: str, relation: Relation[Any]) -> Any:
    """A root field: whoever asks, if anybody is signed in."""

    def resolve(info: Info) -> Any:
        return info.context.viewer

    return _declared(Asker(relation), description, resolver=resolve)


def anything(description: str, means: str) -> Any:
    """A root field: the row of an id of any kind."""

    async def resolve(info: Info, id: Any) -> Any:
        relation, key = named_by(id, "id")
        return await info.context.loaders.one(relation, key)

    resolve.__annotations__["id"] = Annotated[strawberry.ID, strawberry.argument(description=means)]
    return _declared(Anything(several=False), description, resolver=resolve)


def everything(description: str, means: str) -> Any:
    """A root field: the rows of several ids of any kind, in their order."""

    async def resolve(info: Info, ids: Any) -> Any:
        named = all_named_by(ids)
        return await asyncio.gather(*(info.context.loaders.one(relation, key) for relation, key in named))

    resolve.__annotations__["ids"] = Annotated[list[strawberry.ID], strawberry.argument(description=means)]
    return _declared(Anything(several=True), description, resolver=resolve)


@dataclass(frozen=True, slots=True)
class Window:
    """The four arguments of a connection, as they were given."""

    first: int | None
    after: str | None
    last: int | None
    before: str | None


async def paged(
    info: Info, relation: Relation[Any], key: UUID | None, window: Window, filters: Filters = NO_FILTERS
) -> "Listed":
    """Read the page that a window asks for."""
    part = slice_of(info.context.seal, relation, window)
    found = await info.context.loaders.page(relation, key, part, filters)
    return Listed(relation, key, filters, found)


def slice_of(seal: Seal, relation: Relation[Any], window: Window) -> Slice:
    """Read which part of a list a window asks for, or refuse it."""
    backward = window.last is not None or (window.before is not None and window.first is None)
    with Checks() as check:
        one_way = window.first is None or window.last is None
        check.require(one_way, "last", "Ask for the first or for the last, not for both.")
        check.require(window.after is None or not backward, "after", "`after` goes with `first`.")
        check.require(window.before is None or backward, "before", "`before` goes with `last`.")
        for name, size in (("first", window.first), ("last", window.last)):
            check.require(size is None or 1 <= size <= PAGE_MAX, name, f"A page has 1 to {PAGE_MAX} rows.")
    limit = (window.last if backward else window.first) or PAGE_DEFAULT
    name, cursor = ("before", window.before) if backward else ("after", window.after)
    return Slice(limit, _place(seal, relation, cursor, name), backward)


def _place(seal: Seal, relation: Relation[Any], cursor: str | None, path: str) -> tuple[Any, ...] | None:
    if cursor is None:
        return None
    text = seal.open(relation.name, cursor)
    if text is None:
        raise BadCursor(path)
    return read(text, relation.kinds())


@dataclass(frozen=True, slots=True)
class Listed:
    """A page with what is needed to say more about its list."""

    relation: Relation[Any]
    key: UUID | None
    filters: Filters
    page: Page[Any]

    def cursor(self, row: Any, info: Info) -> Cursor:
        """The sealed place of a row."""
        return Cursor(info.context.seal.close(self.relation.name, written(self.relation.place(row))))


@dataclass(frozen=True, slots=True)
class _Place:
    listed: Listed
    node: Any


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    @strawberry.field(description="Whether something comes after this page.")
    def has_next_page(root: Any) -> bool:
        found: bool = root.page.has_next
        return found

    @strawberry.field(description="Whether something comes before this page.")
    def has_previous_page(root: Any) -> bool:
        found: bool = root.page.has_previous
        return found

    @strawberry.field(description="The place of the first row; none on an empty page.")
    def start_cursor(root: Any, info: Info) -> Cursor | None:
        return root.cursor(root.page.rows[0], info) if root.page.rows else None

    @strawberry.field(description="The place of the last row; none on an empty page.")
    def end_cursor(root: Any, info: Info) -> Cursor | None:
        return root.cursor(root.page.rows[-1], info) if root.page.rows else None


@strawberry.type(description="A row and its place in the list.")
class Edge(Generic[T]):
    node: T = strawberry.field(description="The row.")

    @strawberry.field(description="Its place.")
    def cursor(root: Any, info: Info) -> Cursor:
        found: Cursor = root.listed.cursor(root.node, info)
        return found


@strawberry.type(description="One page of a list, in the way of Relay (https://relay.dev/graphql/connections.htm).")
class Connection(Generic[T]):
    @strawberry.field(description="The rows with their places.")
    def edges(root: Any) -> list[Edge[T]]:
        return [_Place(root, row) for row in root.page.rows]  # type: ignore[misc]  # shown as an Edge

    @strawberry.field(description="The rows alone.")
    def nodes(root: Any) -> list[T]:
        rows: list[T] = root.page.rows
        return rows

    @strawberry.field(description="Where this page lies.")
    def page_info(root: Any) -> PageInfo:
        page_info: PageInfo = root
        return page_info

    @strawberry.field(description="How many rows the whole list has, on all pages.")
    async def total_count(root: Any, info: Info) -> int:
        return await info.context.loaders.count(root.relation, root.key, root.filters)


BY_NOUN: dict[str, Relation[Any]] = {}
"""How the row of an id is found, by the noun the id begins with."""


AGAIN: dict[type[Base], Relation[Any]] = {}
"""How a row of something that has no public id is found again when it is shown."""


def shows(
    model: type[Base], by_id: Relation[Any] | None = None, *, again: Relation[Any] | None = None
) -> Callable[..., bool]:
    """Say which rows a type shows, and how one is found: for a `Node` by its id, for others `again` by their key."""
    if by_id is not None:
        BY_NOUN[model.noun] = by_id
    if again is not None:
        AGAIN[model] = again

    def is_type_of(row: Any, _info: Any) -> bool:
        return isinstance(row, model)

    is_type_of.model = model  # type: ignore[attr-defined]  # read by `model_of`
    return is_type_of


def model_of(is_type_of: Any) -> type[Base] | None:
    """Tell which rows a type shows that says so with `shows`."""
    return getattr(is_type_of, "model", None)


@strawberry.interface(description="Anything with an id of its own, to be fetched again with `node`.")
class Node:
    @strawberry.field(
        description="The id: opaque, the same for ever, unique among everything.", metadata={EDGE: Identity()}
    )
    def id(root: Any) -> strawberry.ID:
        return id_of(root)


def named_by(text: str, *path: str) -> tuple[Relation[Any], UUID]:
    """Tell from an id, which was given under `path`, which kind of thing it names, and which one."""
    noun, key = noun_and_key(text)
    relation = BY_NOUN.get(noun)
    if relation is None or key is None:
        raise Invalid((Problem(path, f"{'.'.join(path)} is not an id."),))
    return relation, key


NODES_MAX = 100
"""Ids that may be asked for at once."""


def all_named_by(ids: list[str]) -> list[tuple[Relation[Any], UUID]]:
    """Tell the same from several ids, not too many of them."""
    if len(ids) > NODES_MAX:
        raise Invalid((Problem(("ids",), f"Ask for at most {NODES_MAX} at once."),))
    return [named_by(wanted, "ids", str(index)) for index, wanted in enumerate(ids)]


def shown(row: object) -> Any:
    """Answer with a row where the schema promises the type that shows it."""
    return row
