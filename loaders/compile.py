"""One operation is one statement: from what is to be shown to the SQL whose single value is the answer's JSON.

Whoever walks the operation describes it as a tree of the classes below; nothing here knows where it came from. Every
row is read by a SELECT made of its `Relation`, with the same conditions, order and `seen_by` as in the ordinary way
(`loaders/batch.py`). Only the key is another: not a list of keys, but the row around it. The texts of those SELECTs
are put into one another by hand, each under a name of its own, and the JSON is written around them with `||`, so
that the names and the order of the answer are free of what Postgres does to identifiers.

What the statement cannot say it marks: with `UNSAID` where the ordinary way would have to report an error, and with a
`HOLE` where something has to be filled in that only this process knows how to make, such as a sealed cursor. Neither
character can occur in JSON otherwise.
"""

import enum
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnClause,
    ColumnElement,
    Numeric,
    Select,
    SmallInteger,
    Table,
    Text,
    Uuid,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, PGDialect_asyncpg
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import Label, TypeCoerce
from sqlalchemy.sql.functions import coalesce
from sqlalchemy.types import TypeEngine

from loaders.batch import Relation, Summary
from models.accounts import Account
from models.base import VIEWER, Audience, Base
from models.money import MINOR_DIGITS

UNSAID = "\x01"
"""Stands where an error would have to be told; the whole answer is to be made in the ordinary way."""

HOLE = "\x02"
"""Stands before and after what is to be filled in: the number of a filling, a comma, and what it is made of."""

INT_MIN, INT_MAX = -(2**31), 2**31 - 1

NAMED = re.compile(r"(?<!:):([a-z_]+)")
PARAMETER = re.compile("\0([^\0]+)\0")


# What is to be shown.


class Way(enum.Enum):
    """How a value is written."""

    TEXT = "text"
    INT = "int"
    BOOL = "bool"
    MOMENT = "moment"
    DAY = "day"
    TEXTS = "texts"
    JSON = "json"


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """The same JSON for every row."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A column of the row, by its name, or something computed of the row in the eyes of an audience."""

    what: str | Callable[[Audience], ColumnElement[Any]]
    way: Way
    optional: bool
    """Whether nothing may be said; else nothing is an error."""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A column that keeps one of a few values, or a list of them, each with the name it is shown by."""

    what: str | Callable[[Audience], ColumnElement[Any]]
    names: Mapping[str, str]
    optional: bool
    several: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """The public id of the row."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """An object: its fields by their names in the answer, all of one row."""

    fields: tuple[tuple[str, "Value"], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Price:
    """Two columns as an amount of money; the fields are named after what they show: `amount`, `currency` or JSON."""

    cents: str
    currency: str
    fields: tuple[tuple[str, str], ...]
    optional: bool


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Something that this process makes of some columns of the row, as the filling of a hole."""

    columns: tuple[str, ...]
    filling: int


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A place that a request fills: with a key, or with a page and filters."""

    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Reckoned:
    """A key that is computed of the row around and of a word that a request says."""

    slot: Slot
    sql: Callable[[ColumnElement[str]], ColumnElement[Any]]


WHICH = "which"
"""What the word is called among the parameters of its slot."""


@dataclass(frozen=True, slots=True)
class Asker:
    """The id of whoever asks."""


Key: TypeAlias = str | Slot | Reckoned | Asker | None
"""A column of the row around, what a request says, something of both, who asks, or nothing where all rows are meant."""


@dataclass(frozen=True, slots=True, eq=False)
class One:
    """The row that a key leads to."""

    relation: Relation[Any]
    key: Key
    thing: "Value"
    optional: bool


@dataclass(frozen=True, slots=True, eq=False)
class Either:
    """A column of the row, or else, where it is empty, what a key leads to."""

    column: str
    otherwise: One


@dataclass(frozen=True, slots=True, eq=False)
class Many:
    """The rows that a key leads to."""

    relation: Relation[Any]
    key: Key
    thing: Thing


@dataclass(frozen=True, slots=True, eq=False)
class Count:
    """How many rows a key leads to."""

    relation: Relation[Any]
    key: Key
    slot: Slot | None = None
    """Where the filters come from."""


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """A summary of the rows that share a key."""

    summary: Summary
    key: Key
    thing: Thing
    optional: bool


class Border(enum.Enum):
    """What there is to say about where a page lies."""

    NEXT = "next"
    PREVIOUS = "previous"
    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """The sealed place of a row in the order of its list."""

    filling: int


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a page, each as one thing."""

    thing: Thing


@dataclass(frozen=True, slots=True, eq=False)
class Borders:
    """Where a page lies."""

    fields: tuple[tuple[str, "Border | Constant"], ...]
    filling: int


Listed: TypeAlias = Rows | Borders | Count | Constant
"""What there is to say of a page."""


@dataclass(frozen=True, slots=True, eq=False)
class Paged:
    """A page of the rows that a key leads to."""

    relation: Relation[Any]
    key: Key
    slot: Slot
    fields: tuple[tuple[str, Listed], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Anything:
    """The row of an id of any kind."""

    slot: Slot
    things: Mapping[str, tuple[Relation[Any], Thing]]
    """By the noun that the id begins with."""
    several: bool = False
    """Whether there may be many ids; their rows come in the order of the ids, and nothing for what is not seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """The row of any kind that two columns name: its noun, and its id."""

    noun: str
    key: str
    things: Mapping[str, tuple[Relation[Any], Thing]]


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Something that this process tells without having read anything, as the filling of a hole."""

    filling: int


Itself: TypeAlias = Shown | Choice | Identity | Price | Made
"""What a row says without another."""

Leading: TypeAlias = Either | One | Many | Count | Figures | Paged | Anything | Subject
"""What leads to other rows."""

Value: TypeAlias = Itself | Leading | Constant | Told | Thing | Place


@dataclass(frozen=True, slots=True)
class Window:
    """What a request says of a page, as far as it makes another statement."""

    limit: int
    backward: bool = False
    placed: bool = False
    names: frozenset[str] = frozenset()
    """Of the filters."""


Shape: TypeAlias = Window | frozenset[str] | None
"""What fills a slot, as far as it makes another statement: a page, the nouns of ids, or nothing for a mere key."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, and what its parameters are called, in their order; of an answer, its single value is the JSON, in bytes."""

    text: str
    parameters: tuple[str, ...]
    """A parameter of a slot is called `<number of the slot>.<its own name>`."""


def statement(
    value: Value, audience: Audience, shapes: Sequence[Shape], signed_in: ColumnElement[bool] | None = None
) -> Statement:
    """Write the statement that shows something, which belongs to no row itself, to an audience.

    It may have to see itself whether whoever asks is `signed_in`: if not, nothing is read, and the value is null.
    """
    writer = _Writer(audience, shapes, sees_asker=signed_in is not None)
    text = f"convert_to({_joined(writer.value(value, None))}, 'UTF8')"
    text = f"select {text}" if signed_in is None else f"select case when ({_text(select(signed_in))}) then {text} end"
    return _numbered(text)


def for_each(query: Select[Any]) -> Statement:
    """Write a statement that is asked for several at once, of a query with one row at most.

    It is given a JSON array, with an object for each of them that has the parameters by name. Its value is a JSON array
    too, in the same order: the row as an object, or null.
    """
    text = PARAMETER.sub(r"asked.\1", _text(query))
    binds = (one for one in visitors.iterate(query) if isinstance(one, BindParameter) and one.required)
    kinds = {bind.key: type_name(bind.type) for bind in binds}
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    asked = f"ROWS FROM (json_to_recordset($1) AS ({columns})) WITH ORDINALITY AS asked ({', '.join(kinds)}, place)"
    found = f"(SELECT row_to_json(found) FROM ({text}) found)"
    return Statement(f"SELECT json_agg({found} ORDER BY asked.place) FROM {asked}", tuple(kinds))


def numbered(text: str) -> Statement:
    """Number the parameters of a text that has names for them, after a colon."""
    return _numbered(NAMED.sub("\0\\1\0", text))


def _numbered(text: str) -> Statement:
    parameters: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        return f"${parameters.setdefault(found[1], len(parameters) + 1)}"

    return Statement(PARAMETER.sub(numbered, text), tuple(parameters))


# How it is written.


class _Compiler(PGCompiler_asyncpg):
    """Writes what is known into the text, where the planner sees it, and leaves a mark for what a request says."""

    def visit_bindparam(self, bindparam: BindParameter[Any], *given: Any, **more: Any) -> Any:
        if not bindparam.required:
            return super().visit_bindparam(bindparam, *given, **more)  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it
        return f"\0{bindparam.key}\0::{type_name(bindparam.type)}"


class _Dialect(PGDialect_asyncpg):
    statement_compiler = _Compiler
    supports_statement_cache = False
    _backslash_escapes = False


_DIALECT = _Dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it


def type_name(kind: TypeEngine[Any]) -> str:
    """What Postgres calls a type."""
    return kind.compile(_DIALECT)


@dataclass(frozen=True, slots=True)
class _Sql:
    """An expression, told from constant text; it is never null."""

    text: str


_Part: TypeAlias = str | _Sql
_Found: TypeAlias = tuple[str, Any, bool]
"""The text of an expression, its type, and whether it may be null."""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _joined(parts: Iterable[_Part]) -> str:
    """Write an expression that puts these parts together; none of them is null, or nothing would come of it."""
    arguments: list[str] = []
    constant = ""
    for part in parts:
        if isinstance(part, str):
            constant += part
            continue
        if constant:
            arguments.append(_quoted(constant))
        arguments.append(part.text)
        constant = ""
    if constant:
        arguments.append(_quoted(constant))
    if len(arguments) < 2:
        return f"({arguments[0]})::text" if arguments else "''"
    return _halved(arguments)


def _halved(arguments: list[str]) -> str:
    """Put them together with `||`, halves before wholes: from left to right, each would copy all that came before."""
    if len(arguments) == 1:
        return arguments[0]
    middle = len(arguments) // 2
    return f"({_halved(arguments[:middle])} || {_halved(arguments[middle:])})"


def _or_nothing(text: str, *, optional: bool) -> _Sql:
    """Say `null` for what is null, or mark that it must not be."""
    return _Sql(f"coalesce({text}, {_quoted('null' if optional else UNSAID)})")


def _separated(fields: Iterable[tuple[str, Iterable[_Part]]]) -> list[_Part]:
    """Write an object."""
    parts: list[_Part] = []
    for at, (name, value) in enumerate(fields):
        parts += [f'{"," if at else "{"}"{name}":', *value]
    return [*parts, "}"] if parts else ["{}"]


class _Row:
    """A row under a name, and what of it is needed."""

    def __init__(self, name: str, model: type[Base] | None, columns: Mapping[str, ColumnElement[Any]]) -> None:
        self.name = name
        self.model = model
        self._columns = columns
        self.needed: list[ColumnElement[Any]] = []
        self._labels: dict[str, str] = {}

    def column(self, name: str) -> _Found:
        """A column of the row."""
        known = self._columns[name] if self.model is None else getattr(self.model, name)
        nullable = _may_be_null(known.expression if self.model else known)
        if name not in self._labels:
            self._labels[name] = self.computed(known)
        return self._labels[name], known.type, nullable

    def computed(self, expression: ColumnElement[Any]) -> str:
        """Something computed of the row."""
        label = f"c{len(self.needed)}"
        self.needed.append(expression.label(label))
        return f"{self.name}.{label}"


def _may_be_null(found: ColumnElement[Any]) -> bool:
    if isinstance(found, Column):
        return found.nullable is not False
    while isinstance(found, Label | TypeCoerce):
        found = found.element if isinstance(found, Label) else found.typed_expression
    # What says something instead of nothing.
    return not (isinstance(found, coalesce) and getattr([*found.clauses][-1], "value", None) is not None)


class _Bare(_Row):
    """A row of a table under the table's own name, and its columns under theirs, so that others may speak of them."""

    def computed(self, expression: ColumnElement[Any]) -> str:
        """A column of the row; there is nothing else."""
        column = expression.expression
        assert isinstance(column, Column)
        self.needed.append(column)
        return f"{self.name}.{column.name}"


@dataclass(slots=True)
class _Writer:
    audience: Audience
    shapes: Sequence[Shape]
    sees_asker: bool = False
    """Whether nothing is read unless the account of whoever asks is there."""
    _names: int = field(default=0)

    def thing(self, thing: Thing, row: _Row | None, page: "_Page | None" = None) -> list[_Part]:
        """An object; as an item of a page it knows its place."""
        fields = [
            (name, page.place_of(value) if page and isinstance(value, Place) else value) for name, value in thing.fields
        ]
        together = self._together(thing, row)
        if together is not None:
            return [self._read_together(fields, row, *together)]
        return _separated((name, self._field(value, row)) for name, value in fields)

    def _field(self, value: Value | list[_Part], row: _Row | None) -> list[_Part]:
        return value if isinstance(value, list) else self.value(value, row)

    def _together(self, thing: Thing, row: _Row | None) -> tuple[Many, Figures] | None:
        """A list, and figures of the same rows, if one read does for both."""
        lists = [value for _, value in thing.fields if isinstance(value, Many)]
        figures = [value for _, value in thing.fields if isinstance(value, Figures)]
        pairs = ((many, one) for many in lists for one in figures if self._are_of_the_same(many, one, row))
        return next(pairs, None)

    def _are_of_the_same(self, many: Many, figures: Figures, row: _Row | None) -> bool:
        relation, summary = many.relation, figures.summary
        if relation.on is None or row is None or (relation.via, relation.target) != (None, summary.target):
            return False
        seen_before = relation.is_seen_from(row.model, many.key)
        conditions = (summary.among, summary.having, relation.belongs(self.audience, seen_before=seen_before))
        return (
            (relation.on.key, many.key) == (summary.on.key, figures.key)
            and all(_always(condition) for condition in conditions)
            # What leads on from the rows would take their name for that of the table.
            and all(_says_itself(value) for _, value in many.thing.fields)
        )

    def _read_together(
        self, fields: Sequence[tuple[str, Value | list[_Part]]], row: _Row | None, many: Many, figures: Figures
    ) -> _Sql:
        """An object with both: what is read of the rows bears the name of their table, of which the figures speak."""
        summary, table = figures.summary, figures.summary.target.__table__
        assert isinstance(table, Table)
        rows = _Bare(table.name, summary.target, {})
        listed = f"coalesce(string_agg({_joined(self.thing(many.thing, rows))}, ','), '')"
        figured = self._row(None, {str(column.key): column for column in summary.columns})
        shown = f"case when {figured.name}.n > 0 then {_joined(self.thing(figures.thing, figured))} end"
        written: dict[int, _Sql] = {
            id(many): _Sql(f"'[' || {figured.name}.l || ']'"),
            id(figures): _or_nothing(shown, optional=figures.optional),
        }
        whole = _joined(
            _separated(
                (name, [written[id(one)]] if id(one) in written else self._field(one, row)) for name, one in fields
            )
        )
        used = {one.name for column in figured.needed for one in visitors.iterate(column) if isinstance(one, Column)}
        rows.needed += [table.c[name] for name in sorted(used - {column.name for column in rows.needed})]
        found = self._found(many, self._key(many.key, row), rows, row).order_by(*many.relation.ordered())
        figures_of, _, _ = _text(select(*figured.needed, func.count().label("n")).select_from(table)).rpartition("FROM")
        taken = f"{figures_of}, {listed} AS l FROM ({_text(found)}) {table.name}"
        return _Sql(f"(select {whole} from ({taken}) {figured.name})")

    def value(self, value: Value, row: _Row | None) -> list[_Part]:
        match value:
            case Constant():
                return [value.text]
            case Thing():
                return self.thing(value, row)
            case Told():
                return [f"{HOLE}{value.filling},{HOLE}"]
            case One() | Many() | Figures() | Count() | Paged() | Anything() | Either() | Subject():
                return [self._led(value, row)]
        assert row is not None, value
        assert not isinstance(value, Place), "a row has a place on its page only"
        return self._of(value, row)

    def _led(self, value: Leading, row: _Row | None) -> _Sql:
        """What is found elsewhere."""
        match value:
            case Paged():
                return self._page(value, row)
            case Anything():
                return self._anything(value)
            case Subject():
                assert row is not None, value
                return self._subject(value, row)
            case Either():
                assert row is not None, value
                said = f"json_text({row.column(value.column)[0]})::text"
                return _Sql(f"coalesce({said}, {self._reached(value.otherwise, row).text})")
        return self._reached(value, row)

    def _of(self, value: Itself, row: _Row) -> list[_Part]:
        """What a row says of itself."""
        match value:
            case Shown():
                return _written(*self._what(value.what, row), value.way, optional=value.optional)
            case Choice():
                return self._choice(value, row)
            case Identity():
                assert row.model is not None
                return [f'"{row.model.noun}_', _Sql(_hexadecimal(row.column("id")[0])), '"']
            case Price():
                return self._price(value, row)
            case Made():
                columns = ", ".join(row.column(name)[0] for name in value.columns)
                return [f"{HOLE}{value.filling},", _Sql(f"json_build_array({columns})"), HOLE]
        raise AssertionError(value)

    def _what(self, what: str | Callable[[Audience], ColumnElement[Any]], row: _Row) -> _Found:
        if isinstance(what, str):
            return row.column(what)
        made = what(self.audience)
        return row.computed(made), made.type, True

    def _choice(self, value: Choice, row: _Row) -> list[_Part]:
        text, _, nullable = self._what(value.what, row)
        if value.several:
            known = ", ".join(map(_quoted, value.names))
            assert all(name == kept for kept, name in value.names.items()), value.names
            said = f"case when {text} <@ array[{known}]::text[] then array_to_json({text})::text end"
            return [_Sql(f"case when {text} is null then {_nothing(value.optional)} else {_or_unsaid(said)} end")]
        if any(name != kept for kept, name in value.names.items()):
            names = " ".join(f"when {_quoted(kept)} then {_quoted(name)}" for kept, name in value.names.items())
            text = f"case {text} {names} end"
        if not nullable:
            return ['"', _Sql(text), '"']
        return [_or_nothing(f"""'"' || {text} || '"'""", optional=value.optional)]

    def _price(self, value: Price, row: _Row) -> list[_Part]:
        cents, _, nullable = row.column(value.cents)
        currency, _, _ = row.column(value.currency)
        fields: list[tuple[str, list[_Part]]] = []
        for name, what in value.fields:
            if what == "amount":
                fields.append((name, ['"', _Sql(_amount(cents, currency)), '"']))
            else:
                fields.append((name, ['"', _Sql(currency), '"'] if what == "currency" else [what]))
        parts = _separated(fields)
        if not nullable:
            return parts
        return [_Sql(f"case when {cents} is null then {_nothing(value.optional)} else {_joined(parts)} end")]

    def _key(self, key: Key, row: _Row | None) -> ColumnElement[Any] | None:
        if isinstance(key, Slot):
            return bindparam(f"{key.number}.key", type_=Uuid())
        if isinstance(key, Asker):
            return VIEWER
        if key is None:
            return None
        assert row is not None, key
        if isinstance(key, Reckoned):
            said = bindparam(f"{key.slot.number}.{WHICH}", type_=Text())
            return literal_column(row.computed(key.sql(said)), Uuid())
        return literal_column(row.column(key)[0], Uuid())

    def _row(self, model: type[Base] | None, columns: Mapping[str, ColumnElement[Any]] | None = None) -> _Row:
        self._names += 1
        return _Row(f"r{self._names}", model, columns or {})

    def _reached(self, value: One | Many | Figures | Count, row: _Row | None) -> _Sql:
        key = self._key(value.key, row)
        match value:
            case One():
                target = self._row(value.relation.target)
                shown = _joined(self.value(value.thing, target))
                if self.sees_asker and key is VIEWER and target.model is Account and not target.needed:
                    return _Sql(shown)
                found = _text(self._found(value, key, target, row))
                return _or_nothing(f"(select {shown} from ({found}) {target.name})", optional=value.optional)
            case Many():
                target = self._row(value.relation.target)
                shown = _joined(self.thing(value.thing, target))
                found = _text(self._found(value, key, target, row).order_by(*value.relation.ordered()))
                listed = f"coalesce(string_agg({shown}, ','), '')"
                return _Sql(f"(select '[' || {listed} || ']' from ({found}) {target.name})")
            case Figures():
                return self._figures(value, key)
            case Count():
                return _Sql(self._count(value, key, row))

    def _figures(self, value: Figures, key: ColumnElement[Any] | None) -> _Sql:
        summary = value.summary
        target = self._row(None, {str(column.key): column for column in summary.columns})
        shown = _joined(self.thing(value.thing, target))
        columns = target.needed or [literal_column("1")]
        found = select(*columns).select_from(summary.target).where(summary.on == key, summary.among)
        text = _text(found.group_by(summary.on).having(summary.having))
        return _or_nothing(f"(select {shown} from ({text}) {target.name})", optional=value.optional)

    def _found(self, value: One | Many, key: ColumnElement[Any] | None, target: _Row, row: _Row | None) -> Select[Any]:
        """The rows of a relation that belong to a key, as `loaders.batch` finds them."""
        columns = target.needed or [literal_column("1")]
        found = value.relation.joined(select(*columns).select_from(value.relation.target))
        return self._belonging(value, value.relation, found, key, row)

    def _belonging(
        self,
        value: One | Many | Paged | Count,
        relation: Relation[Any],
        found: Select[Any],
        key: ColumnElement[Any] | None,
        row: _Row | None,
        names: frozenset[str] = frozenset(),
    ) -> Select[Any]:
        for_all = isinstance(value, Count) and relation.counted_for_all
        audience = Audience.ADMIN if for_all else self.audience
        seen_before = relation.is_seen_from(row.model if row else None, value.key)
        belongs = relation.belongs(audience, names, seen_before=seen_before)
        if relation.on is None or key is None:
            return found.where(belongs)
        if _stands_alone(relation, audience, names):
            belongs = _with_key(belongs, relation, key)
        return found.where(belongs, relation.on == key)

    def _count(self, value: Count, key: ColumnElement[Any] | None, row: _Row | None) -> str:
        relation = value.relation
        window = self.shapes[value.slot.number] if value.slot else None
        names = window.names if isinstance(window, Window) else frozenset[str]()
        counted = relation.joined(select(func.count()).select_from(relation.target))
        texts = [_text(self._belonging(value, part, counted, key, row, names)) for part in relation.parts]
        return _of_slot(f"({' + '.join(f'({text})' for text in texts)})", value.slot, relation)

    # Pages.

    def _page(self, value: Paged, row: _Row | None) -> _Sql:
        window = self.shapes[value.slot.number]
        assert isinstance(window, Window)
        key = self._key(value.key, row)
        target = self._row(value.relation.target)
        page = _Page(value.relation, window, target, row, key, _looks_beyond(value, window))
        shown = _joined(_separated((name, self._of_page(part, page)) for name, part in value.fields))
        if not page.is_read:
            return _Sql(shown)
        text = _of_slot(self._paged(value, page), value.slot, value.relation)
        if page.is_numbered:
            text = f"select q.*, row_number() over () as i from ({text}) q"
        return _Sql(f"(select {shown} from ({text}) {page.row.name})")

    def _paged(self, value: Paged, page: "_Page") -> str:
        """Read the rows of a page; if they lie in several parts, as many of each as would do if the others had none."""
        relation, window = value.relation, page.window
        columns = page.row.needed or [literal_column("1")]

        def cut(found: Select[Any]) -> str:
            found = found.order_by(*relation.ordered(backward=window.backward))
            return _text(found.limit(window.limit + page.looks_beyond))

        def of(part: Relation[Any], *columns: ColumnElement[Any]) -> str:
            found = relation.joined(select(*columns).select_from(relation.target))
            found = self._belonging(value, part, found, page.key, page.around, window.names)
            return cut(found.where(_beyond(relation, backward=window.backward)) if window.placed else found)

        if len(relation.parts) == 1:
            return of(relation, *columns)
        name = relation.target.__tablename__
        parts = " UNION ALL ".join(f"({of(part, literal_column(f'{name}.*'))})" for part in relation.parts)
        # They come under the name of their table, of which everything else speaks.
        shown, of_table, order = cut(select(*columns).select_from(relation.target)).rpartition(f"FROM {name}")
        assert of_table
        return f"{shown}FROM ({parts}) {name}{order}"

    def _of_page(self, part: Listed, page: "_Page") -> list[_Part]:
        match part:
            case Constant():
                return [part.text]
            case Count():
                return [_Sql(self._count(part, page.key, page.around))]
            case Rows():
                return ["[", _Sql(page.gathered(_joined(self.thing(part.thing, page.row, page)))), "]"]
        return page.borders(part)

    # Ids of any kind.

    def _anything(self, value: Anything) -> _Sql:
        nouns = self.shapes[value.slot.number]
        assert isinstance(nouns, frozenset)
        known = [(noun, *value.things[noun]) for noun in sorted(nouns)]
        if not value.several:
            ((_, relation, thing),) = known
            return self._reached(One(relation, value.slot, thing, optional=True), None)
        if not known:
            return _Sql("'[]'")
        number = value.slot.number
        given = f"unnest(\0{number}.nouns\0::text[], \0{number}.keys\0::uuid[]) with ordinality k(noun, key, i)"
        each = self._of_kind("k.noun", literal_column("k.key", Uuid()), known)
        return _Sql(f"(select '[' || coalesce(string_agg({each}, ',' order by k.i), '') || ']' from {given})")

    def _subject(self, value: Subject, row: _Row) -> _Sql:
        known = [(noun, *value.things[noun]) for noun in sorted(value.things)]
        key = literal_column(row.column(value.key)[0], Uuid())
        return _Sql(self._of_kind(row.column(value.noun)[0], key, known))

    def _of_kind(self, noun: str, key: ColumnElement[Any], known: Iterable[tuple[str, Relation[Any], Thing]]) -> str:
        """The row of one of these kinds that a noun and a key name, or null."""
        whens = []
        for name, relation, thing in known:
            target = self._row(relation.target)
            shown = _joined(self.thing(thing, target))
            found = _text(self._found(One(relation, None, thing, optional=True), key, target, None))
            whens.append(f"when {_quoted(name)} then (select {shown} from ({found}) {target.name})")
        return f"coalesce(case {noun} {' '.join(whens)} end, 'null')"


def _looks_beyond(page: Paged, window: Window) -> bool:
    """Whether one row more has to be read, to know whether there is one."""
    there = Border.PREVIOUS if window.backward else Border.NEXT
    return any(isinstance(part, Borders) and there in dict(part.fields).values() for _, part in page.fields)


@dataclass(slots=True)
class _Page:
    """What is asked of a page, gathered while it is written, tells what has to be read for it."""

    relation: Relation[Any]
    window: Window
    row: _Row
    around: _Row | None
    key: ColumnElement[Any] | None
    looks_beyond: bool
    is_read: bool = False
    is_numbered: bool = False
    _place: str | None = None

    def gathered(self, shown: str) -> str:
        """All rows of the page, in the order of the list."""
        self.is_read = True
        self.is_numbered |= self.window.backward or self.looks_beyond
        order = f" order by {self.row.name}.i desc" if self.window.backward else ""
        within = f" filter (where {self.row.name}.i <= {self.window.limit})" if self.looks_beyond else ""
        return f"coalesce(string_agg({shown}, ','{order}){within}, '')"

    def place_of(self, place: Place) -> list[_Part]:
        """The hole for a row's cursor."""
        return [f"{HOLE}{place.filling},", _Sql(self.place()), HOLE]

    def place(self) -> str:
        """The place of a row, as `loaders.pages.written` writes it."""
        if self._place is None:
            parts = [_place(*self.row.column(column.key)[:2]) for column in self.relation.order]
            self._place = " || ':' || ".join(parts)
        return self._place

    def borders(self, asked: Borders) -> list[_Part]:
        """Where the page lies."""
        return _separated(
            (name, [border.text] if isinstance(border, Constant) else [self._border(border, asked.filling)])
            for name, border in asked.fields
        )

    def _border(self, border: Border, filling: int) -> _Sql:
        window = self.window
        if border in {Border.START, Border.END}:
            self.is_read = self.is_numbered = True
            first = (border is Border.START) is not window.backward
            at = "1" if first else f"least(count(*), {window.limit})"
            place = f"(array_agg({self.place()} order by {self.row.name}.i))[{at}]"
            return _Sql(f"coalesce({_quoted(f'{HOLE}{filling},')} || {place} || {_quoted(HOLE)}, 'null')")
        if (border is Border.NEXT) is window.backward:
            return _Sql("'true'" if window.placed else "'false'")
        self.is_read = True
        return _Sql(f"(count(*) > {window.limit})::text")


@functools.lru_cache(maxsize=1_000)
def _stands_alone(relation: Relation[Any], audience: Audience, names: frozenset[str]) -> bool:
    """Whether nothing that has to hold of a row reads its table once more, under the same name."""
    if relation.via is not None or not isinstance(relation.target.__table__, Table):
        return False
    text = _text(select(func.count()).select_from(relation.target).where(relation.belongs(audience, names)))
    name = re.escape(relation.target.__table__.name)
    return len(re.findall(rf'(?:FROM|JOIN|,) "?{name}"?(?![\w.])', text)) == 1


def _with_key(belongs: ColumnElement[bool], relation: Relation[Any], key: ColumnElement[Any]) -> ColumnElement[bool]:
    """Say the key where its column is said, so that what depends on it alone is asked once for all its rows."""
    on: Any = relation.on

    def replaced(element: Any, **_: Any) -> Any:
        if isinstance(element, ColumnClause) and element.name == on.name:
            return key if getattr(element.table, "name", None) == on.table.name else None
        return None

    return visitors.replacement_traverse(belongs, {}, replaced)


def _beyond(relation: Relation[Any], *, backward: bool) -> ColumnElement[bool]:
    """What comes after a place, in the direction of reading."""
    columns = tuple_(*relation.order)
    place = tuple_(*(bindparam(f"place_{at}", type_=column.type) for at, column in enumerate(relation.order)))
    return columns < place if relation.descending != backward else columns > place


def _of_slot(text: str, slot: Slot | None, relation: Relation[Any]) -> str:
    """Call the parameters of filters and places by the slot they come from."""
    if slot is None:
        return text
    own = {*relation.filters, *(f"place_{at}" for at in range(len(relation.order)))}
    return PARAMETER.sub(lambda found: f"\0{slot.number}.{found[1]}\0" if found[1] in own else found[0], text)


def _says_itself(value: Value) -> bool:
    if isinstance(value, Shown | Choice):
        return isinstance(value.what, str)
    return isinstance(value, Constant | Identity | Price)


def _always(condition: ColumnElement[bool]) -> bool:
    """Whether nothing is asked."""
    return str(condition.compile(dialect=_DIALECT)) == "true"


def _text(found: Select[Any]) -> str:
    return str(found.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


# Single values.


def _nothing(optional: bool) -> str:
    return _quoted("null" if optional else UNSAID)


def _or_unsaid(text: str) -> str:
    return f"coalesce({text}, {_quoted(UNSAID)})"


def _hexadecimal(text: str) -> str:
    return f"encode(uuid_send({text}), 'hex')"


def _amount(cents: str, currency: str) -> str:
    digits = set(MINOR_DIGITS.values())
    if len(digits) == 1:
        return f"({cents} * {10 ** -digits.pop():.10g})::text"
    cases = " ".join(
        f"when {_quoted(one.value)} then {cents} * {10**-places:.10g}" for one, places in MINOR_DIGITS.items()
    )
    return f"(case {currency} {cases} end)::text"


def _place(text: str, kind: Any) -> str:
    match kind.python_type.__name__:
        case "datetime":
            return f"(extract(epoch from {text}) * 1000000)::bigint::text"
        case "UUID":
            return _hexadecimal(text)
        case "int":
            return f"{text}::text"
        case "str":
            return f"encode(convert_to({text}, 'UTF8'), 'hex')"
    raise AssertionError(kind)


def _day(text: str) -> str:
    # asyncpg keeps the first and the last day that Python knows as the two infinities.
    ends = {"-infinity": date.min, "infinity": date.max}
    cases = " ".join(f"""when {text} = '{kept}' then '"{shown.isoformat()}"'""" for kept, shown in ends.items())
    return f"""case when isfinite({text}) then '"' || {text} || '"' {cases} end"""


def _written(text: str, kind: Any, nullable: bool, way: Way, *, optional: bool) -> list[_Part]:
    """Write a value of a row."""
    if way is Way.MOMENT:
        moment = f"""to_char({text} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
        return [_or_nothing(f"""'"' || {moment} || '"'""", optional=optional)] if nullable else ['"', _Sql(moment), '"']
    said = {
        Way.TEXT: f"json_text({text})",
        Way.DAY: _day(text),
        Way.TEXTS: f"array_to_json({text})",
        Way.BOOL: f"({text})::text",
        Way.INT: f"({text})::text",
        Way.JSON: text,
    }[way]
    if way is Way.INT and not isinstance(kind, SmallInteger) and isinstance(kind, BigInteger | Numeric):
        said = f"case when {text} not between {INT_MIN} and {INT_MAX} then {_quoted(UNSAID)} else {said} end"
    if nullable and not optional and way in {Way.TEXT, Way.TEXTS}:
        # The mark is no JSON.
        said = f"{said}::text"
    return [_or_nothing(said, optional=optional)] if nullable else [_Sql(said)]
