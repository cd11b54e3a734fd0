"""What one operation may ask for at most, and how much it asks for, measured before anything runs.

The measure is one walk over the document. A fragment is measured once however often it is spread, so a text
of doublings costs its own length and not the length of what it unfolds to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    parse,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from schema.edges import EDGE, To

BODY_BYTES_MAX = 1_000_000
FRAME_BYTES_MAX = 65_536
JSON_DEPTH_MAX = 64
DOCUMENT_BYTES_MAX = 20_000
TOKENS_MAX = 2_000
DEPTH_MAX = 15
ALIASES_MAX = 30
ROOT_FIELDS_MAX = 30
COST_MAX = 10_000
OPERATIONS_PER_SOCKET_MAX = 100

PAGE_SIZE_ASSUMED = 20
"""How many rows a page has when the operation does not say."""

LIST_SIZE_ASSUMED = 10
"""How long a list is that is not a page and does not say how long it may be."""

PAGE_SIZE_DIGITS_MAX = 9
"""A longer number in a document is not read, it is only known to be far too large."""

PAGE_ARGUMENTS = ("first", "last")
KEYS_ARGUMENT = "ids"
"""A list with this argument has an item for each of its items."""

COSTS_KEPT_MAX = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, document, operation or socket may take."""

    body_bytes: int = BODY_BYTES_MAX
    frame_bytes: int = FRAME_BYTES_MAX
    json_depth: int = JSON_DEPTH_MAX
    document_bytes: int = DOCUMENT_BYTES_MAX
    tokens: int = TOKENS_MAX
    depth: int = DEPTH_MAX
    aliases: int = ALIASES_MAX
    root_fields: int = ROOT_FIELDS_MAX
    cost: int = COST_MAX
    operations_per_socket: int = OPERATIONS_PER_SOCKET_MAX


@dataclass(frozen=True, slots=True)
class Excess:
    """One limit that an operation goes beyond, in a sentence and in numbers."""

    message: str
    limit: int
    found: int


@dataclass(frozen=True, slots=True)
class Page:
    """How long a list is: what the document says, or the variables it names, or what is assumed."""

    assumed: int
    said: int | None = None
    variables: tuple[str, ...] = ()
    by_keys: bool = False
    """Whether the variables hold what is listed, rather than how much of it."""

    def size(self, values: Mapping[str, Any]) -> int:
        """Tell the length under these variables; a page of fewer than one row still costs one."""
        read = _counted if self.by_keys else _sized
        sizes = [size for name in self.variables if (size := read(values.get(name))) is not None]
        if self.said is not None:
            sizes.append(self.said)
        return max(1, *sizes) if sizes else self.assumed


PLAIN_LIST = Page(LIST_SIZE_ASSUMED)


@dataclass(frozen=True, slots=True, eq=False)
class Charge:
    """What one field adds to the bill: itself and what is under it, as often as it is listed."""

    itself: int
    under: "Bill"
    lists_under: Page
    """How long the lists directly under this field are: a connection's page bounds its edges and nodes."""
    own_list: Page | None
    """How long this field itself is, as far as that does not depend on the field around it."""
    nesting: int
    """In how many lists the field's type is wrapped."""


@dataclass(slots=True, eq=False)
class Bill:
    """What a selection costs, left open until the variables that size its pages are known."""

    charges: list[Charge] = field(default_factory=list)
    fragments: list["Bill"] = field(default_factory=list)

    def total(self, values: Mapping[str, Any]) -> int:
        """Add it all up, every fragment once."""
        once, listed = _add_up(self, values, {})
        return once + listed * LIST_SIZE_ASSUMED


def _add_up(bill: Bill, values: Mapping[str, Any], known: dict[Bill, tuple[int, int]]) -> tuple[int, int]:
    """Cost of what occurs once here, and of one item of each of the lists directly here."""
    if bill not in known:
        sums = [_add_up(fragment, values, known) for fragment in bill.fragments]
        sums += [_charged(charge, _add_up(charge.under, values, known), values) for charge in bill.charges]
        known[bill] = sum(once for once, _ in sums), sum(listed for _, listed in sums)
    return known[bill]


def _charged(charge: Charge, under: tuple[int, int], values: Mapping[str, Any]) -> tuple[int, int]:
    once, listed = under
    cost = charge.itself + once + listed * charge.lists_under.size(values)
    if not charge.nesting:
        return cost, 0
    cost *= LIST_SIZE_ASSUMED ** (charge.nesting - 1)
    return (cost * charge.own_list.size(values), 0) if charge.own_list else (0, cost)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a selection reaches once its fragments are unfolded."""

    depth: int = 0
    aliases: int = 0
    """Fields under another name, and fields asked for again: both make one thing happen many times."""
    fields: int = 0
    """At the top of the selection only."""
    names: frozenset[str] = frozenset()
    """Of the fields at the top of the selection."""
    sized_by: frozenset[str] = frozenset()
    """Variables that say how long a page is."""
    introspection_depth: int = 0
    introspected: int = 0

    def __add__(self, other: "Extent") -> "Extent":
        return Extent(
            depth=max(self.depth, other.depth),
            aliases=self.aliases + other.aliases,
            fields=self.fields + other.fields,
            names=self.names | other.names,
            sized_by=self.sized_by | other.sized_by,
            introspection_depth=max(self.introspection_depth, other.introspection_depth),
            introspected=self.introspected + other.introspected,
        )


NOTHING = Extent()


@dataclass(slots=True, eq=False)
class Measure:
    """One operation's extent, and its cost as soon as its variables are known."""

    extent: Extent
    bill: Bill
    _costs: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def cost(self, values: Mapping[str, Any]) -> int:
        """Tell the cost under these coerced variables, from memory when the same pages were asked before."""
        given = [values.get(name) for name in self.extent.sized_by]
        sizes = tuple((_sized(value), _counted(value)) for value in given)
        if sizes not in self._costs:
            if len(self._costs) >= COSTS_KEPT_MAX:
                self._costs.clear()
            self._costs[sizes] = self.extent.introspected + self.bill.total(values)
        return self._costs[sizes]


def _sized(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _counted(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None


class Ruler:
    """Measures the operations of documents against one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._standard = NOTHING
        (standard,) = self.measure(parse(get_introspection_query())).values()
        self._standard = standard.extent

    def measure(self, document: DocumentNode) -> dict[str | None, Measure]:
        """Measure every operation of a document, by name."""
        walk = _Walk(self._schema, document)
        return {
            operation.name.value if operation.name else None: Measure(*walk.operation(operation))
            for operation in document.definitions
            if isinstance(operation, OperationDefinitionNode)
        }

    def excesses(self, extent: Extent, limits: Limits) -> list[Excess]:
        """List the limits that an operation goes beyond, whatever its variables."""
        standard = self._standard
        bounds = [
            ("The operation is {} levels deep; at most {} are allowed.", extent.depth, limits.depth),
            (
                "The operation renames or repeats {} fields; at most {} are allowed.",
                extent.aliases,
                limits.aliases,
            ),
            ("The operation has {} root fields; at most {} are allowed.", extent.fields, limits.root_fields),
            (
                "The introspection is {} levels deep; the standard one needs {}.",
                extent.introspection_depth,
                standard.introspection_depth,
            ),
            (
                "The introspection lists {} things; the standard one lists {}.",
                extent.introspected,
                standard.introspected,
            ),
        ]
        return [Excess(message.format(found, limit), limit, found) for message, found, limit in bounds if found > limit]


class _Walk:
    """Goes over one document; knows the fragments it has been to."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._known: dict[str, tuple[Extent, Bill]] = {}

    def operation(self, operation: OperationDefinitionNode) -> tuple[Extent, Bill]:
        return self._selection(operation.selection_set, self._schema.get_root_type(operation.operation))

    def _selection(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> tuple[Extent, Bill]:
        extent, bill = self._parts(node, parent)
        return replace(extent, aliases=extent.aliases + _repeats(node)), bill

    def _parts(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> tuple[Extent, Bill]:
        extent, bill = NOTHING, Bill()
        for part in node.selections:
            extent += self._part(part, parent, bill)
        return extent, bill

    def _part(self, part: SelectionNode, parent: GraphQLNamedType | None, bill: Bill) -> Extent:
        """Measure one selection and put what it costs on the bill."""
        if isinstance(part, FieldNode):
            return self._field(part, parent, bill)
        if isinstance(part, FragmentSpreadNode):
            extent, under = self._fragment(part.name.value)
        else:
            assert isinstance(part, InlineFragmentNode)
            named = part.type_condition
            extent, under = self._parts(
                part.selection_set, self._schema.get_type(named.name.value) if named else parent
            )
        bill.fragments.append(under)
        return extent

    def _fragment(self, name: str) -> tuple[Extent, Bill]:
        if name not in self._known:
            # A fragment met again inside itself adds nothing: validation will refuse the cycle.
            self._known[name] = NOTHING, Bill()
            if definition := self._fragments.get(name):
                parent = self._schema.get_type(definition.type_condition.name.value)
                self._known[name] = self._selection(definition.selection_set, parent)
        return self._known[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, bill: Bill) -> Extent:
        name = node.name.value
        known = self._schema.get_field(parent, name) if is_composite_type(parent) else None
        target = get_named_type(known.type) if known else None
        extent, under = self._selection(node.selection_set, target) if node.selection_set else (NOTHING, Bill())
        page = _page(known, node) if known else None
        charge = _charge(known, target, parent, under, page) if known and is_composite_type(target) else None
        extent = replace(extent, fields=1, names=frozenset([name]), depth=extent.depth + 1)
        if page:
            extent = replace(extent, sized_by=extent.sized_by | frozenset(page.variables))
        if charge and name in ("__schema", "__type"):
            return _as_introspection(extent, charge)
        if charge:
            bill.charges.append(charge)
        return extent


def _as_introspection(extent: Extent, charge: Charge) -> Extent:
    """Introspection is bounded by what the standard query needs, not by the limits of other operations."""
    alone = Bill(charges=[charge])
    return replace(extent, depth=1, introspection_depth=extent.depth, introspected=alone.total({}))


def _repeats(node: SelectionSetNode) -> int:
    """Count fields under another name, and fields that stand there again under the same condition."""
    count, distinct = 0, set()
    inside: list[tuple[SelectionSetNode, str | None]] = [(node, None)]
    while inside:
        node, condition = inside.pop()
        for part in node.selections:
            if isinstance(part, FieldNode):
                count += 1
                if not part.alias:
                    distinct.add((condition, part.name.value))
            elif isinstance(part, InlineFragmentNode):
                named = part.type_condition
                inside.append((part.selection_set, named.name.value if named else condition))
    return count - len(distinct)


def _charge(
    known: GraphQLField,
    target: GraphQLNamedType | None,
    parent: GraphQLNamedType | None,
    under: Bill,
    page: Page | None,
) -> Charge:
    nesting = _nesting(known)
    return Charge(
        itself=_itself(known, target, parent),
        under=under,
        # A page is either the list that the field is, or the lists directly in the connection that it is.
        lists_under=page if page and not nesting else PLAIN_LIST,
        own_list=page,
        nesting=nesting,
    )


def _itself(known: GraphQLField, target: GraphQLNamedType | None, parent: GraphQLNamedType | None) -> int:
    """One for an object; nothing for the node of an edge, which counted, nor for reading single facts of the schema."""
    if target and target.name.startswith("__"):
        return int(_nesting(known) > 0)
    if isinstance(parent, GraphQLObjectType) and parent.name.endswith("Edge"):
        return int(known is not parent.fields.get("node"))
    return 1


def _nesting(known: GraphQLField) -> int:
    depth, kind = 0, get_nullable_type(known.type)
    while is_list_type(kind):
        depth, kind = depth + 1, get_nullable_type(kind.of_type)
    return depth


def _page(known: GraphQLField, node: FieldNode) -> Page | None:
    """Read how long a page this field asks for, or how long the list may be that it is, if it can be told."""
    if any(name in known.args for name in PAGE_ARGUMENTS):
        values = _given(node, *PAGE_ARGUMENTS)
        said = [_number(value.value) for value in values if isinstance(value, IntValueNode)]
        return Page(PAGE_SIZE_ASSUMED, max(said, default=None), _variables(values))
    if KEYS_ARGUMENT in known.args and _nesting(known):
        values = _given(node, KEYS_ARGUMENT)
        listed = [_items(value) for value in values if not isinstance(value, VariableNode)]
        return Page(LIST_SIZE_ASSUMED, max(listed, default=None), _variables(values), by_keys=True)
    at_most = _declared(known)
    return None if at_most is None else Page(at_most)


def _given(node: FieldNode, *names: str) -> list[ValueNode]:
    return [argument.value for argument in node.arguments or () if argument.name.value in names]


def _variables(values: list[ValueNode]) -> tuple[str, ...]:
    return tuple(value.name.value for value in values if isinstance(value, VariableNode))


def _items(value: ValueNode) -> int:
    # One value stands for a list of one.
    return len(value.values) if isinstance(value, ListValueNode) else 1


def _declared(known: GraphQLField) -> int | None:
    """Read how long the field's declaration says that its list may be."""
    definition = known.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    edge = definition.metadata.get(EDGE) if definition else None
    return edge.at_most if isinstance(edge, To) else None


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= PAGE_SIZE_DIGITS_MAX else 10**PAGE_SIZE_DIGITS_MAX
