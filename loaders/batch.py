"""How rows are reached from other rows: declared once, read a batch at a time.

A `Relation` says which rows belong to a key, in which order, and `seen_by` says to whom they are shown. From that
declaration the `Loaders` of a request build one statement for each (relation, audience, kind of question), once for the
life of the process, and ask it for all keys of a request's level together: the number of statements depends on the
shape of a query, never on the number of rows.
"""

import asyncio
import functools
import operator
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    column,
    func,
    lateral,
    literal,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BooleanClauseList
from strawberry.dataloader import DataLoader

from loaders.pages import Page, Slice
from loaders.work import Reading, read_steadily
from models.accounts import Account, Role
from models.base import NOW, ROLES, VIEWER, WALL, Audience, Base
from models.errors import Busy, OutcomeUnknown
from models.states import Party, Step

KEYS_MAX = 1_000
"""Keys asked for in one statement; more are asked for in several."""

Row = TypeVar("Row", bound=Base)
A = TypeVar("A", bound=Enum)
KEYS = bindparam("keys", type_=ARRAY(Uuid))
LIMIT = bindparam("limit", type_=BigInteger())
Column = Any
"""An attribute of a mapped class; SQLAlchemy types it as a descriptor, which a dataclass cannot hold."""

Filters = frozenset[tuple[str, Any]]
NO_FILTERS: Filters = frozenset()


class Times(Protocol):
    """What time it is."""

    def __call__(self) -> datetime:
        """By the clock of the house."""

    def wall(self) -> datetime:
        """In the world."""


class Visible(Protocol):
    """A table that knows who sees its rows."""

    @classmethod
    def seen_by(cls, audience: Audience) -> ColumnElement[bool]:
        """Tell which rows this audience may see."""


@dataclass(frozen=True, eq=False)
class Relation(Generic[Row]):
    """Rows of `target` whose `on` equals a key (all rows, for a list without a key), in order.

    `via` is a table between the key and the target, with the condition that joins them. `among` narrows the rows for
    everybody. `filters` are conditions a caller may ask for by name; each binds a parameter of that name. `parties` are
    columns of which one has to hold the viewer; no row holds anybody in two of them.
    """

    target: type[Row]
    on: Column | None = None
    order: tuple[Column, ...] = ()
    descending: bool = False
    via: tuple[type[Base], ColumnElement[bool]] | None = None
    among: ColumnElement[bool] | None = None
    filters: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)
    counted_for_all: bool = False
    """Whether rows that the viewer does not see count as well."""
    parties: tuple[Column, ...] = ()

    @functools.cached_property
    def parts(self) -> tuple["Relation[Row]", ...]:
        """Relations that have the rows among them, each of which has an index of its own to read through."""
        assert not self.parties or (self.on is None and self.via is None)
        return tuple(replace(self, parties=(), among=self._among(party == VIEWER)) for party in self.parties) or (self,)

    def _among(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        return condition if self.among is None else and_(self.among, condition)

    @property
    def name(self) -> str:
        """What a cursor of this list is sealed for."""
        order = "-".join(place.key for place in self.order)
        return f"{self.target.__tablename__}.{self.on.key if self.on else 'all'}.{order}"

    def belongs(
        self, audience: Audience, names: Collection[str] = (), *, seen_before: bool = False
    ) -> ColumnElement[bool]:
        """What makes a row part of this relation, in these eyes, which may have `seen_before` what it is seen with."""
        target: type[Visible] = self.target  # type: ignore[assignment]  # every related table says who sees it
        seen = target.seen_by(audience)
        among = self._among(or_(*(party == VIEWER for party in self.parties))) if self.parties else self.among
        conditions = [] if seen_before or _follows(seen, among) else [seen]
        conditions += [self.filters[name] for name in sorted(names)]
        return and_(true(), *conditions, *([] if among is None else [among]))

    def is_seen_from(self, model: type[Base] | None, key: Any) -> bool:
        """Whether whoever has come here along `key` of a row of this model has seen what these rows are seen with."""
        if self.on is None or self.via is not None or key != "id" or self.target.seen_with != self.on.key:
            return False
        return model is not None and any(one.column.table is model.__table__ for one in self.on.foreign_keys)

    def joined(self, statement: Select[Any]) -> Select[Any]:
        """Lead from the key's table to the target's."""
        if self.via is None:
            return statement
        through, condition = self.via
        return statement.join_from(through, self.target, condition)

    def place(self, row: Row) -> tuple[Any, ...]:
        """Where a row stands in the order."""
        return tuple(getattr(row, place.key) for place in self.order)

    def kinds(self) -> list[type]:
        """The Python types of a place."""
        return [place.type.python_type for place in self.order]

    def ordered(self, *, backward: bool = False) -> list[ColumnElement[Any]]:
        """The order, or the order the other way round."""
        return [place.desc() if self.descending != backward else place.asc() for place in self.order]


@dataclass(frozen=True, eq=False)
class Summary:
    """Figures over the rows of `target` that share a key, whoever looks: each column an aggregate with a label."""

    target: type[Base]
    on: Column
    columns: tuple[ColumnElement[Any], ...]
    among: ColumnElement[bool]
    having: ColumnElement[bool]


def _follows(seen: ColumnElement[bool], among: ColumnElement[bool] | None) -> bool:
    """Whether a row is seen because of what it is among, whichever of several conditions that may be."""
    if among is None:
        return False
    enough = seen.clauses if isinstance(seen, BooleanClauseList) and seen.operator is operators.or_ else [seen]
    return among.compare(seen) or any(among.compare(one) for one in enough)


def offered(
    steps: Mapping[A, Step[Any]],
    state: Column,
    parties: Mapping[Party, ColumnElement[bool]],
    besides: Mapping[A, ColumnElement[bool]] | None = None,
) -> ColumnElement[Any]:
    """What may be done with a row, as a list in JSON and in the order of the table: `models.states.possible` in SQL.

    `parties` says when the viewer is a party to the row; who is not named there never is. `besides` says what has to
    hold for an action in addition.
    """
    more = besides or {}
    possible: list[Any] = [
        case((and_(parties[step.by], state.in_(step.sources), more.get(action, true())), f'"{action.name}"'))
        for action, step in steps.items()
        if step.by in parties
    ]
    listed = func.array_to_string(array(possible, type_=Text()), ",")
    return func.concat("[", listed, "]", type_=Text)


def viewer_is(role: Role) -> ColumnElement[bool]:
    """Whether the viewer has a role."""
    return literal(role.value) == any_(ROLES)


@functools.cache
def rows_statement(relation: Relation[Any], audience: Audience) -> Select[Any]:
    """All rows of the keys."""
    assert relation.on is not None
    found = relation.joined(select(relation.on, relation.target))
    return found.where(relation.on == any_(KEYS), relation.belongs(audience)).order_by(*relation.ordered())


@functools.cache
def count_statement(relation: Relation[Any], audience: Audience, names: frozenset[str]) -> Select[Any]:
    """How many rows each of the keys has, or how many there are."""
    counted = Audience.ADMIN if relation.counted_for_all else audience
    if relation.on is None:
        found = [select(func.count()).where(part.belongs(counted, names)) for part in relation.parts]
        counts = [one.select_from(relation.target).scalar_subquery() for one in found]
        return select(literal(None), functools.reduce(operator.add, counts))
    key: Any = relation.on
    belonging = relation.joined(select(key, func.count())).where(relation.belongs(counted, names))
    return belonging.where(key == any_(KEYS)).group_by(key)


@functools.cache
def summary_statement(summary: Summary) -> Select[Any]:
    """The figures of each of the keys."""
    found = select(summary.on, *summary.columns).where(summary.on == any_(KEYS), summary.among)
    return found.group_by(summary.on).having(summary.having)


@functools.lru_cache(maxsize=512)
def page_statement(
    relation: Relation[Any], audience: Audience, names: frozenset[str], *, backward: bool, placed: bool
) -> Select[Any]:
    """One page for each of the keys, each read through an index as far as it goes and no further."""
    found = [_page_of(part, audience, names, backward=backward, placed=placed) for part in relation.parts]
    if relation.on is not None:
        keys = func.unnest(KEYS).table_valued(column("key", Uuid)).render_derived()
        page = lateral(found[0].where(relation.on == keys.c.key))
        shown = aliased(relation.target, page)
        paged = select(shown, keys.c.key).select_from(keys).join(page, literal(True))
    elif len(found) == 1:
        return found[0].add_columns(literal(None))
    else:
        shown = aliased(relation.target, union_all(*found).subquery())
        paged = select(shown, literal(None)).limit(LIMIT)
    order = [getattr(shown, place.key) for place in relation.order]
    down = relation.descending != backward
    return paged.order_by(*(place.desc() if down else place.asc() for place in order))


def _page_of(
    relation: Relation[Any], audience: Audience, names: frozenset[str], *, backward: bool, placed: bool
) -> Select[Any]:
    belongs = relation.belongs(audience, names)
    if placed:
        columns = tuple_(*relation.order)
        place = tuple_(*(bindparam(f"place_{at}", type_=c.type) for at, c in enumerate(relation.order)))
        belongs = and_(belongs, columns < place if relation.descending != backward else columns > place)
    found = relation.joined(select(relation.target)).where(belongs)
    return found.order_by(*relation.ordered(backward=backward)).limit(LIMIT)


class Loaders:
    """One request's reads. Each statement runs on a short connection of its own, outside any transaction."""

    def __init__(self, reading: Reading, viewer: Account | None, now: Times) -> None:
        self._reading = reading
        self._viewer = viewer
        self._now = now
        self._made: dict[Hashable, DataLoader[UUID | None, Any]] = {}
        self._was_kept = False

    @functools.cached_property
    def _audience(self) -> Audience:
        return self._viewer.audience if self._viewer else Audience.PUBLIC

    def _bound(self) -> dict[str, Any]:
        times = {NOW.key: self._now(), WALL.key: self._now.wall()}
        return times | {VIEWER.key: self._viewer.id} if self._viewer else times

    def forget(self, *, kept: bool = False) -> None:
        """Read anew from here on: time has passed, or something was written and is kept."""
        self._made.clear()
        self._was_kept |= kept

    async def one(self, relation: Relation[Row], key: UUID | None) -> Row | None:
        """The row with this key, if the viewer may see it."""
        if key is None:
            return None
        rows = await self.many(relation, key)
        return rows[0] if rows else None

    async def many(self, relation: Relation[Row], key: UUID) -> list[Row]:
        """All rows of a key, for relations that a rule keeps short."""

        async def read(keys: Sequence[UUID | None]) -> Mapping[UUID | None, list[Row]]:
            rows = defaultdict(list)
            for owner, row in await self._all(rows_statement(relation, self._audience), keys):
                rows[owner].append(row)
            return rows

        return await self._load((relation,), read, key) or []

    async def page(
        self, relation: Relation[Row], key: UUID | None, part: Slice, filters: Filters = NO_FILTERS
    ) -> Page[Row]:
        """A part of a list, and whether there is more of it."""
        names = frozenset(name for name, _ in filters)
        statement = page_statement(
            relation, self._audience, names, backward=part.backward, placed=part.place is not None
        )
        bound = dict(filters) | {f"place_{at}": value for at, value in enumerate(part.place or ())}

        async def read(keys: Sequence[UUID | None]) -> Mapping[UUID | None, Page[Row]]:
            rows: dict[UUID | None, list[Row]] = {key: [] for key in keys}
            for row, owner in await self._all(statement, keys, limit=part.limit + 1, **bound):
                rows[owner].append(row)
            return {owner: Page.cut(found, part) for owner, found in rows.items()}

        found: Page[Row] = await self._load((relation, "page", part, filters), read, key)
        return found

    async def count(self, relation: Relation[Any], key: UUID | None, filters: Filters = NO_FILTERS) -> int:
        """How many rows a list has."""
        statement = count_statement(relation, self._audience, frozenset(name for name, _ in filters))

        async def read(keys: Sequence[UUID | None]) -> Mapping[UUID | None, int]:
            return {row[0]: row[1] for row in await self._all(statement, keys, **dict(filters))}

        return await self._load((relation, "count", filters), read, key) or 0

    async def summary(self, summary: Summary, key: UUID) -> Any:
        """The figures of a key, or nothing when there are none to show."""

        async def read(keys: Sequence[UUID | None]) -> Mapping[UUID | None, Any]:
            return {row[0]: row for row in await self._all(summary_statement(summary), keys)}

        return await self._load((summary,), read, key)

    async def _all(self, statement: Select[Any], keys: Sequence[UUID | None], **bound: Any) -> Sequence[Any]:
        if keys != [None]:
            bound["keys"] = keys
        values = bound | self._bound()

        async def read(session: AsyncSession) -> list[Any]:
            return list(await session.execute(statement, values))

        try:
            return await read_steadily(self._reading, read)
        except Busy as error:
            if self._was_kept:
                # To try again would be to do it again: it was done, and only the answer cannot be read.
                raise OutcomeUnknown from error
            raise

    async def _load(
        self,
        name: Hashable,
        read: Callable[[Sequence[UUID | None]], Awaitable[Mapping[UUID | None, Any]]],
        key: UUID | None,
    ) -> Any:
        if name not in self._made:

            async def load(keys: list[UUID | None]) -> list[Any]:
                found = await read(keys)
                return [found.get(key) for key in keys]

            self._made[name] = DataLoader(load_fn=load, max_batch_size=KEYS_MAX)
        # Whoever is cancelled, because something beside her went wrong, takes the answer from nobody else.
        return await asyncio.shield(self._made[name].load(key))
