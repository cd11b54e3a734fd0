"""How an operation is told to the loaders in one piece: its selection, declared in `schema/edges.py`, becomes a plan.

The walk is made once for an operation and each set of parts that its directives include. What is left open are slots,
filled from the variables of each request: keys, pages, filters. graphql-core itself collects the fields, so that
fragments, merged fields and their order are what they are in the ordinary way.

Where a field is not declared, or a value is not one that can be judged here, `Unplanned` says why, and the operation is
answered in the ordinary way, which also tells of every error.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, TypeAlias
from uuid import UUID

import orjson
import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    OperationDefinitionNode,
    Undefined,
    VariableNode,
    Visitor,
    coerce_input_literal,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
    visit,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values
from sqlalchemy import Enum as KeptEnum
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_argument

from loaders import compile as plan
from loaders.batch import NO_FILTERS, Relation
from loaders.compile import Border, Shape, Slot, Thing, Value, Way
from models.base import Base
from models.errors import Refusal
from resolvers.context import Context
from schema import edges
from schema.edges import AGAIN, BY_NOUN, EDGE, Window, all_named_by, model_of, named_by, slice_of
from schema.errors import Refused, shown_refusal
from schema.scalars import key_of

Values: TypeAlias = Mapping[str, Any]
"""Coerced variables."""

Bound: TypeAlias = dict[str, Any]
"""Parameters of a statement."""

WAYS = {
    "String": Way.TEXT,
    "Int": Way.INT,
    "Boolean": Way.BOOL,
    "DateTime": Way.MOMENT,
    "Date": Way.DAY,
}

INTROSPECTION = "introspection"
"""The reason for which an operation is answered in the ordinary way that asks of the schema itself."""

ROW = "0.key"
"""The parameter of a plan for a single row that holds its id."""

BORDERS = {
    "hasNextPage": Border.NEXT,
    "hasPreviousPage": Border.PREVIOUS,
    "startCursor": Border.START,
    "endCursor": Border.END,
}


class Unplanned(Exception):
    """This operation, or this request, is answered in the ordinary way; `reason` is one of a few words."""

    def __init__(self, reason: str, what: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {what}")


Fill: TypeAlias = Callable[[Values, Context, Bound], Shape]
"""Reads what a request says of a slot, binds its parameters, and tells what shape the statement takes by it."""

Filling: TypeAlias = Callable[[bytes, Values, Context], bytes]
"""Makes the JSON that fills a hole of what a statement wrote into it."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What an operation shows, and how its slots and holes are filled."""

    value: Value
    slots: tuple[Fill, ...]
    fillings: tuple[Filling, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Deed:
    """The one field of a mutation: how it is carried out, and which of what it may give are rows that are shown."""

    name: str
    """What the answer calls it."""
    details: list[FieldDetails]
    kinds: dict[type[Base], GraphQLObjectType]
    refuses: bool
    """Whether a no is one of its answers."""
    verb: Callable[..., Awaitable[Any]]
    arguments: Callable[[Values], dict[str, Any] | None]

    def begun(self, values: Values, context: Context) -> Awaitable[Any] | None:
        """Begin it, or leave it to whoever looks closer at what it is given."""
        arguments = self.arguments(values)
        return None if arguments is None else self._done(arguments, context)

    async def _done(self, arguments: dict[str, Any], context: Context) -> Any:
        try:
            return await self.verb(info=SimpleNamespace(context=context), **arguments)
        except Refusal as refusal:
            if not self.refuses:
                raise
            return shown_refusal(refusal)


def conditions_of(document: DocumentNode) -> tuple[str, ...]:
    """List the variables that decide which parts of a document are included."""
    names: dict[str, None] = {}

    class Directives(Visitor):
        def enter_directive(self, node: Any, *_: Any) -> None:
            for argument in node.arguments:
                if isinstance(argument.value, VariableNode):
                    names[argument.value.name.value] = None

    visit(document, Directives())
    return tuple(names)


class Planner:
    """Plans the operations of one schema."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self.core = schema._schema  # noqa: SLF001 - strawberry has no public name for it
        self.scalars = schema.schema_converter.scalar_registry
        self.config = schema.config
        self.shown = {
            model: kind
            for kind in self.core.type_map.values()
            if isinstance(kind, GraphQLObjectType) and (model := model_of(kind.is_type_of))
        }

    def operation(self, document: DocumentNode, operation: OperationDefinitionNode, values: Values) -> Plan:
        """Plan a query."""
        walk = _Walk(self, document, operation, values)
        root = self.core.get_root_type(operation.operation)
        assert root is not None
        try:
            collected = collect_fields(self.core, walk.fragments, walk.values, root, operation)
            return walk.finished(walk.things(root, collected.grouped_field_set, None))
        except GraphQLError as error:
            raise Unplanned("error", error.message) from error

    def deed(self, document: DocumentNode, operation: OperationDefinitionNode, values: Values) -> Deed:
        """Plan a mutation of one field whose arguments are variables, or depend on none."""
        walk = _Walk(self, document, operation, values)
        root = self.core.mutation_type
        assert root is not None
        collected = collect_fields(self.core, walk.fragments, walk.values, root, operation).grouped_field_set
        if len(collected) != 1:
            raise Unplanned("several")
        ((name, details),) = collected.items()
        known = root.fields.get(details[0].node.name.value)
        if known is None:
            raise Unplanned("undeclared", name)
        kind: Any = get_named_type(known.type)
        possible = [kind] if isinstance(kind, GraphQLObjectType) else self.core.get_possible_types(kind)
        models = [model_of(one.is_type_of) for one in possible]
        kinds = {model: one for model, one in zip(models, possible, strict=True) if model and models.count(model) == 1}
        refuses = any(one.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].origin is Refused for one in possible)
        node = details[0].node
        return Deed(name, details, kinds, refuses, self._verb(known), self._given(known, node))

    def _verb(self, known: GraphQLField) -> Callable[..., Awaitable[Any]]:
        """The function that a field calls, if nothing stands before it."""
        definition = known.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        resolver = definition.base_resolver
        if not definition.is_async or definition.extensions or not resolver.info_parameter:
            raise Unplanned("undeclared", definition.python_name)
        verb: Callable[..., Awaitable[Any]] = resolver.wrapped_func
        return partial(verb, None) if resolver.self_parameter else verb

    def _given(self, known: GraphQLField, node: FieldNode) -> Callable[[Values], dict[str, Any] | None]:
        """How the arguments of a field are given; nothing where one is not as it has to be."""
        definition = known.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        pythons = {self.config.name_converter.from_argument(one): one for one in definition.arguments}
        written = {argument.name.value: argument.value for argument in node.arguments or ()}
        if any(one.default_value is not Undefined for one in known.args.values()):
            raise Unplanned("input")

        def converted(name: str, value: Any) -> Any:
            # What was read from JSON is what it is to be.
            if not isinstance(value, dict | list):
                return value
            return convert_argument(value, pythons[name].type, self.scalars, self.config)

        plain = {name: value.name.value for name, value in written.items() if isinstance(value, VariableNode)}
        fixed = {
            pythons[name].python_name: converted(name, coerce_input_literal(value, known.args[name].type))
            for name, value in written.items()
            if name not in plain and not _varies(value)
        }
        if len(plain) + len(fixed) < len(written):
            raise Unplanned("input")
        given = [(pythons[name].python_name, name, told) for name, told in plain.items()]
        required = [pythons[name].python_name for name, one in known.args.items() if is_non_null_type(one.type)]

        def arguments(values: Values) -> dict[str, Any] | None:
            found = fixed | {python: converted(name, values[told]) for python, name, told in given if told in values}
            return found if all(found.get(python) is not None for python in required) else None

        return arguments

    def row(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        values: Values,
        kind: GraphQLObjectType,
        details: list[FieldDetails],
        model: type[Base],
    ) -> Plan:
        """Plan what is asked of a row that is there already; its id is bound as `ROW`."""
        relation = AGAIN.get(model) or BY_NOUN.get(getattr(model, "noun", ""))
        if relation is None or relation.target is not model:
            raise Unplanned("undeclared", "how this row is found")
        walk = _Walk(self, document, operation, values)
        slot = walk.slot(lambda _: _filled_already)
        try:
            thing = walk.thing(kind, details, model)
        except GraphQLError as error:
            raise Unplanned("error", error.message) from error
        if not any(map(_leads, thing.fields)):
            raise Unplanned("known")
        return walk.finished(plan.One(relation, slot, thing, optional=True))


@dataclass(slots=True)
class _Walk:
    planner: Planner
    document: DocumentNode
    operation: OperationDefinitionNode
    given: Values
    fragments: dict[str, FragmentDetails] = field(init=False)
    values: VariableValues = field(init=False)
    slots: list[Fill] = field(default_factory=list)
    fillings: list[Filling] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = VariableValues({}, dict(self.given))
        self.fragments = {
            node.name.value: FragmentDetails(node)
            for node in self.document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    def finished(self, value: Value) -> Plan:
        return Plan(value, tuple(self.slots), tuple(self.fillings))

    def slot(self, fill: Callable[[int], Fill]) -> Slot:
        number = len(self.slots)
        self.slots.append(fill(number))
        return Slot(number)

    def filling(self, filling: Filling) -> int:
        self.fillings.append(filling)
        return len(self.fillings) - 1

    # Objects.

    def under(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> dict[str, list[FieldDetails]]:
        found = collect_subfields(self.planner.core, self.fragments, self.values, self.operation, kind, details)
        return found.grouped_field_set

    def thing(self, kind: Any, details: list[FieldDetails], model: type[Base] | None) -> Thing:
        """An object of a type, or of the one of its types that shows these rows."""
        if not isinstance(kind, GraphQLObjectType):
            if model not in self.planner.shown:
                raise Unplanned("undeclared", "which of several types this is")
            kind = self.planner.shown[model]
        return self.things(kind, self.under(kind, details), model)

    def things(
        self, kind: GraphQLObjectType, fields: Mapping[str, list[FieldDetails]], model: type[Base] | None
    ) -> Thing:
        return Thing(tuple((name, self.value(kind, details, model)) for name, details in fields.items()))

    def value(self, kind: GraphQLObjectType, details: list[FieldDetails], model: type[Base] | None) -> Value:
        node = details[0].node
        name = node.name.value
        if name == "__typename":
            return _typename(kind)
        if name.startswith("__"):
            raise Unplanned(INTROSPECTION)
        known = kind.fields[name]
        definition = known.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        edge = definition.metadata.get(EDGE)
        asked = _Asked(node, details, known, definition, f"{kind.name}.{name}", model)
        match edge:
            case edges.Column() | edges.Computed() | edges.Identity() | edges.Amount() | edges.Same():
                return self.itself(edge, asked)
            case edges.To() | edges.Of() | edges.MadeOf() | edges.Either() | edges.About():
                return self.reached(edge, asked)
            case edges.Found() | edges.Asker() | edges.Anything() | edges.Knowledge():
                return self.root(edge, asked)
        raise Unplanned("undeclared", asked.where)

    def itself(self, edge: Any, asked: "_Asked") -> Value:
        """What a row says of itself."""
        match edge:
            case edges.Identity():
                return plan.Identity()
            case edges.Same():
                return self.thing(asked.kind, asked.details, asked.model)
            case edges.Amount():
                return self.price(edge, asked)
            case edges.Column():
                return self.leaf(edge.name or asked.definition.python_name, asked)
            case edges.Computed(is_json=True):
                return plan.Shown(edge.sql, Way.JSON, asked.optional)
        return self.leaf(edge.sql, asked)

    def leaf(self, what: Any, asked: "_Asked") -> Value:
        several = is_list_type(get_nullable_type(asked.known.type))
        if isinstance(asked.kind, GraphQLEnumType):
            names = {str(value.value): name for name, value in asked.kind.values.items()}
            return plan.Choice(what, names, asked.optional, several)
        way = WAYS.get(asked.kind.name)
        if way is None or (several and way is not Way.TEXT):
            raise Unplanned("undeclared", asked.where)
        return plan.Shown(what, Way.TEXTS if several else way, asked.optional)

    def price(self, edge: edges.Amount, asked: "_Asked") -> Value:
        fields = self.under(asked.kind, asked.details)
        named = {name: details[0].node.name.value for name, details in fields.items()}
        said = {"amount": "amount", "currency": "currency", "__typename": _typename(asked.kind).text}
        return plan.Price(
            edge.cents, edge.currency, tuple((name, said[what]) for name, what in named.items()), asked.optional
        )

    # Neighbours.

    def reached(self, edge: Any, asked: "_Asked") -> Value:
        match edge:
            case edges.To(how="page"):
                return self.page(edge, asked)
            case edges.To(how="count"):
                return plan.Count(edge.relation, edge.key)
            case edges.About():
                return plan.Subject(edge.noun, edge.key, self.any_kind(asked))
            case edges.MadeOf():
                return self.made(edge, self.arguments(asked))
            case edges.Either():
                otherwise = self.made(edge.otherwise, lambda _: {})
                return plan.Either(edge.name, plan.One(edge.relation, edge.key, otherwise, asked.optional))
        return self.led(edge, asked)

    def led(self, edge: edges.To | edges.Of, asked: "_Asked") -> Value:
        """The rows, the row or the figures that a key leads to."""
        if isinstance(edge, edges.Of):
            thing = self.thing(asked.kind, asked.details, None)
            return plan.Figures(edge.summary, edge.key, thing, asked.optional)
        thing = self.thing(asked.kind, asked.details, edge.relation.target)
        if edge.how == "one":
            return plan.One(edge.relation, edge.key, thing, asked.optional)
        return plan.Many(edge.relation, edge.key, thing)

    def made(self, edge: edges.MadeOf, arguments: Callable[[Values], dict[str, Any]]) -> plan.Made:
        kinds = [_kept(edge.model, name) for name in edge.columns]

        def fill(payload: bytes, values: Values, context: Context) -> bytes:
            given = zip(edge.columns, kinds, orjson.loads(payload), strict=True)
            row = edge.model(**{name: kind(value) if value is not None else None for name, kind, value in given})
            return orjson.dumps(edge.make(row, SimpleNamespace(context=context), **arguments(values)))

        return plan.Made(edge.columns, self.filling(fill))

    def page(self, edge: edges.To, asked: "_Asked") -> Value:
        relation, by = edge.relation, edge.by
        slot = self.slot(lambda number: _window(number, relation, self.arguments(asked), by))
        key: plan.Key = plan.Reckoned(slot, by.sql) if by else edge.key
        fields = self.under(asked.kind, asked.details)
        return plan.Paged(
            relation,
            key,
            slot,
            tuple((name, self.of_page(relation, key, slot, asked.kind, inner)) for name, inner in fields.items()),
        )

    def of_page(
        self,
        relation: Relation[Any],
        key: plan.Key,
        slot: Slot,
        kind: GraphQLObjectType,
        details: list[FieldDetails],
    ) -> plan.Listed:
        """A field of a connection."""
        name = details[0].node.name.value
        if name == "__typename":
            return _typename(kind)
        target: Any = get_named_type(kind.fields[name].type)
        match name:
            case "totalCount":
                return plan.Count(relation, key, slot)
            case "nodes":
                return plan.Rows(self.thing(target, details, relation.target))
            case "pageInfo":
                return self.borders(relation, target, details)
        fields = self.under(target, details)
        return plan.Rows(Thing(tuple((name, self.of_edge(relation, target, inner)) for name, inner in fields.items())))

    def of_edge(self, relation: Relation[Any], kind: GraphQLObjectType, details: list[FieldDetails]) -> Value:
        match details[0].node.name.value:
            case "__typename":
                return _typename(kind)
            case "cursor":
                return plan.Place(self.filling(_sealed(relation)))
        return self.thing(get_named_type(kind.fields["node"].type), details, relation.target)

    def borders(self, relation: Relation[Any], kind: GraphQLObjectType, details: list[FieldDetails]) -> plan.Borders:
        named = {name: inner[0].node.name.value for name, inner in self.under(kind, details).items()}
        fields = tuple((name, BORDERS.get(what) or _typename(kind)) for name, what in named.items())
        return plan.Borders(fields, self.filling(_sealed(relation)))

    # Roots.

    def root(self, edge: Any, asked: "_Asked") -> Value:
        match edge:
            case edges.Found():
                noun, arguments = edge.relation.target.noun, self.arguments(asked)
                slot = self.slot(lambda number: _key(number, noun, arguments))
                thing = self.thing(asked.kind, asked.details, edge.relation.target)
                return plan.One(edge.relation, slot, thing, asked.optional)
            case edges.Asker():
                thing = self.thing(asked.kind, asked.details, edge.relation.target)
                return plan.One(edge.relation, plan.Asker(), thing, asked.optional)
            case edges.Knowledge():
                return self.told(edge, asked)
        assert isinstance(edge, edges.Anything)
        arguments, fill, things = self.arguments(asked), _several if edge.several else _any, self.any_kind(asked)
        slot = self.slot(lambda number: fill(number, frozenset(things), arguments))
        return plan.Anything(slot, things, edge.several)

    def any_kind(self, asked: "_Asked") -> dict[str, tuple[Relation[Any], Thing]]:
        """What is asked of a row of any kind, by the nouns of ids."""
        possible = self.planner.core.get_possible_types(asked.kind)
        return {
            noun: (relation, self.thing(asked.kind, asked.details, relation.target))
            for noun, relation in BY_NOUN.items()
            if self.planner.shown.get(relation.target) in possible
        }

    def told(self, edge: edges.Knowledge, asked: "_Asked") -> plan.Told:
        """What this process knows."""
        show = self.telling(asked.known.type, asked.details)

        def fill(_payload: bytes, _values: Values, context: Context) -> bytes:
            return orjson.dumps(show(edge.make(None, SimpleNamespace(context=context))))

        return plan.Told(self.filling(fill))

    def telling(self, of: Any, details: list[FieldDetails]) -> Callable[[Any], Any]:
        """How something that this process knows is written, as a value of a type."""
        nullable = get_nullable_type(of)
        if is_list_type(nullable):
            each = self.telling(nullable.of_type, details)
            return lambda values: [each(value) for value in values]
        if not isinstance(nullable, GraphQLObjectType):
            return nullable.coerce_output_value
        fields = [(name, self.telling_field(nullable, inner)) for name, inner in self.under(nullable, details).items()]
        return lambda thing: {name: show(thing) for name, show in fields}

    def telling_field(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> Callable[[Any], Any]:
        name = details[0].node.name.value
        if name == "__typename":
            return lambda _: kind.name
        known = kind.fields[name]
        definition = known.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        resolver = definition.base_resolver
        read = resolver.wrapped_func if resolver else attrgetter(definition.python_name)
        show = self.telling(known.type, details)
        return lambda thing: show(read(thing))

    def arguments(self, asked: "_Asked") -> Callable[[Values], dict[str, Any]]:
        """How the arguments of a field are read: those that a request does not change are read now."""
        node, known = asked.node, asked.known
        written = {argument.name.value: argument.value for argument in node.arguments or ()}
        varied = {name for name, value in written.items() if _varies(value)}
        plain = {name: value.name.value for name, value in written.items() if isinstance(value, VariableNode)}
        pythons = {argument.python_name: argument for argument in asked.definition.arguments}
        names = {self.planner.config.name_converter.from_argument(one): name for name, one in pythons.items()}

        def converted(name: str, value: Any) -> Any:
            kind = pythons[names[name]].type
            return convert_argument(value, kind, self.planner.scalars, self.planner.config)

        def coerced(values: Values) -> dict[str, Any]:
            return get_argument_values(known, node, VariableValues({}, dict(values)))

        fixed = {
            names[name]: converted(name, value) for name, value in coerced(self.given).items() if name not in varied
        }
        if not varied:
            return lambda _: fixed
        if varied == plain.keys() and not any(_holds_inputs(known.args[name]) for name in varied):
            direct = [(names[name], variable, known.args[name]) for name, variable in plain.items()]
            return lambda values: fixed | {name: _plain(values, variable, one) for name, variable, one in direct}
        return lambda values: {names[name]: converted(name, value) for name, value in coerced(values).items()}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A field as it is asked for."""

    node: FieldNode
    details: list[FieldDetails]
    known: GraphQLField
    definition: Any
    where: str
    model: type[Base] | None

    @property
    def kind(self) -> Any:
        return get_named_type(self.known.type)

    @property
    def optional(self) -> bool:
        return not is_non_null_type(self.known.type)


def _leads(field: tuple[str, Value]) -> bool:
    """Tell whether more has to be read for a field than the row itself."""
    _, value = field
    if isinstance(value, Thing):
        return any(map(_leads, value.fields))
    return not isinstance(value, plan.Itself | plan.Constant) or (
        isinstance(value, plan.Shown | plan.Choice) and not isinstance(value.what, str)
    )


def _filled_already(_values: Values, _context: Context, _bound: Bound) -> Shape:
    return None


def _typename(kind: GraphQLObjectType) -> plan.Constant:
    return plan.Constant(f'"{kind.name}"')


def _varies(value: Any) -> bool:
    """Tell whether a value names a variable anywhere."""
    found: list[None] = []

    class Variables(Visitor):
        def enter_variable(self, *_: Any) -> None:
            found.append(None)

    visit(value, Variables())
    return bool(found)


def _holds_inputs(argument: GraphQLArgument) -> bool:
    """Tell whether a value of this argument has to be made into something of ours."""
    return hasattr(get_named_type(argument.type), "fields")


def _plain(values: Values, variable: str, argument: GraphQLArgument) -> Any:
    if variable in values:
        found = values[variable]
    else:
        found = None if argument.default_value is Undefined else argument.default_value
    if found is None and is_non_null_type(argument.type):
        raise Unplanned("input")
    return found


def _kept(model: type[Base], name: str) -> Callable[[Any], Any]:
    """How a value of a column is read from JSON."""
    kind = getattr(model, name).type
    if isinstance(kind, KeptEnum):
        known: type[Enum] = kind.enum_class  # type: ignore[assignment]  # those we keep are of an enum
        return known
    assert kind.python_type in {str, UUID}, (model, name)
    return UUID if kind.python_type is UUID else str


def _sealed(relation: Relation[Any]) -> Filling:
    name = relation.name

    def fill(payload: bytes, _values: Values, context: Context) -> bytes:
        return f'"{context.seal.close(name, payload.decode())}"'.encode()

    return fill


def _key(number: int, noun: str, arguments: Callable[[Values], dict[str, Any]]) -> Fill:
    name = f"{number}.key"

    def fill(values: Values, _context: Context, bound: Bound) -> Shape:
        bound[name] = key_of(noun, arguments(values)["id"])
        return None

    return fill


def _any(number: int, known: frozenset[str], arguments: Callable[[Values], dict[str, Any]]) -> Fill:
    name = f"{number}.key"

    def fill(values: Values, _context: Context, bound: Bound) -> Shape:
        relation, bound[name] = named_by(arguments(values)["id"], "id")
        return _among(known, [relation.target.noun])

    return fill


def _among(known: frozenset[str], nouns: Sequence[str]) -> frozenset[str]:
    if not known.issuperset(nouns):
        raise Unplanned("undeclared", "what has such an id")
    return frozenset(nouns)


def _several(number: int, known: frozenset[str], arguments: Callable[[Values], dict[str, Any]]) -> Fill:
    def fill(values: Values, _context: Context, bound: Bound) -> Shape:
        named = all_named_by(arguments(values)["ids"])
        nouns = [relation.target.noun for relation, _ in named]
        bound[f"{number}.nouns"], bound[f"{number}.keys"] = nouns, [key for _, key in named]
        return _among(known, nouns)

    return fill


def _window(
    number: int, relation: Relation[Any], arguments: Callable[[Values], dict[str, Any]], by: edges.By | None
) -> Fill:
    sizes: dict[int | None, plan.Window] = {}

    def fill(values: Values, context: Context, bound: Bound) -> Shape:
        given = arguments(values)
        first = given.get("first")
        is_plain = all(value is None for name, value in given.items() if name != "first")
        if is_plain and first in sizes:
            return sizes[first]
        shape = placed(given, context, bound)
        if is_plain:
            sizes[first] = shape
        return shape

    def placed(given: dict[str, Any], context: Context, bound: Bound) -> plan.Window:
        wanted = given.get("filter")
        filters = wanted.read() if wanted else NO_FILTERS
        window = Window(given.get("first"), given.get("after"), given.get("last"), given.get("before"))
        part = slice_of(context.seal, relation, window)
        if by:
            bound[f"{number}.{plan.WHICH}"] = by.kept(given["which"])
        for name, value in filters:
            bound[f"{number}.{name}"] = value
        for at, value in enumerate(part.place or ()):
            bound[f"{number}.place_{at}"] = value
        names = frozenset(name for name, _ in filters)
        return plan.Window(part.limit, part.backward, part.place is not None, names)

    return fill
