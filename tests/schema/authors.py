"""Operations that nobody would write, over whatever the schema has: each is made of a seed and a number alone.

An `Author` knows the schema and what there is to ask for (`Stock`), and nothing of any type by name but what the
conventions of the API say of all of them: pages, cursors, ids, nodes. A new type is asked for from the day it is there.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeAlias

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from schema.edges import EDGE
from schema.limits import LIST_SIZE_ASSUMED, PAGE_SIZE_ASSUMED

TYPENAME = "__typename"
CALM, CARELESS, WILD = "calm", "careless", "wild"
MOODS = {CALM: 84, CARELESS: 11, WILD: 5}
"""Most authors say what is right. Some give values that are not; some do not know the language."""

COSTS = (30, 60, 100, 200, 500, 2_500)
DEPTHS = (2, 3, 4, 5, 6, 8, 10)
FIELDS = (6, 9, 12, 15, 20, 30, 60)
"""How much one asks for: mostly little, for many small questions show more than a few large ones."""

ALIASES = 22
VARIABLE_NAME = re.compile(r"\$(\w+)")

ALIASES_SHORT = (
    *("a", "b", "c", "A", "B", "_", "__a", "id", "ID", "Id", "node", "nodes", "edges", "title", "name", "cursor"),
    *("select", "order", "row", "data", "errors", "null", "true", "key", "value", "q", "viewer_id", "constructor"),
)
LONG = "aVeryLongNameThatNobodyWouldEverGiveToAnythingInAnyLanguageAtAll"
ALIASES_LONG = (LONG, LONG + "_1", LONG + "_2", "z" * 63, "z" * 64, "z" * 200)

SIZES, SIZES_WRONG = (1, 1, 2, 3, 5, 20, 100), (0, -1, 101, 1_000, 2**31 - 1)
IDS_WRONG = (
    "",
    "_",
    "job_",
    "job_0",
    "x" * 500,
    "job_" + "G" * 32,
    "JOB_" + "0" * 32,
    "nothing_" + "0" * 32,
    "ü_\u2028",
)
CURSORS_WRONG = ("", "x", "====", "ü", "A" * 5_000)
TEXTS = ("", "a", "build", "%", "_", "\\", '"', "'", "ü", "a & b", "\u2028", "👩‍👩‍👧", "shop -paint", "x" * 300)


class Absent:
    """A variable that is not given."""


ABSENT = Absent()


@dataclass
class Asked:
    """A field that is asked for."""

    name: str
    alias: str | None
    arguments: dict[str, str]
    directives: list[str]
    parts: "list[Part] | None"

    @property
    def key(self) -> str:
        """What it is called in the answer."""
        return self.alias or self.name


@dataclass
class Inline:
    """Parts for a type, or for whatever is there."""

    on: str | None
    directives: list[str]
    parts: "list[Part]"


@dataclass
class Spread:
    """Parts that are written elsewhere."""

    name: str
    directives: list[str]


Part: TypeAlias = Asked | Inline | Spread


@dataclass
class Fragment:
    """Parts that may be asked for in several places, and what they take."""

    name: str
    on: str
    parts: list[Part]
    depth: int
    cost: int
    aliases: int
    fields: int


@dataclass
class Variable:
    """A variable of the operation: what it is, and what it is given."""

    name: str
    kind: str
    default: str | None
    given: Any


@dataclass
class Case:
    """One operation of somebody's, with all that is sent along."""

    seed: int
    number: int
    viewer: str
    mood: str
    parts: list[Part]
    keyword: str = "query"
    fragments: dict[str, Fragment] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    name: str | None = None
    beside: str | None = None
    """The name of another operation in the same document."""
    spoil: Callable[[str], str] | None = None
    """What is done to the text when it is written."""

    @property
    def document(self) -> str:
        """The text: nothing is defined in it that is not used."""
        fragments = [_defined(self.fragments[name]) for name in self.spread()]
        body = _braced(self.parts)
        variables = self.used()
        definitions = ", ".join(map(_declared, variables))
        head = f"{self.keyword} {self.name or ''}" + (f"({definitions})" if definitions else "")
        if head == "query ":
            head = ""
        beside = [f"query {self.beside} {{ {TYPENAME} }}"] if self.beside else []
        text = "\n".join([f"{head} {body}".strip(), *beside, *fragments])
        return self.spoil(text) if self.spoil else text

    @property
    def values(self) -> dict[str, Any]:
        """The variables that are given."""
        return {one.name: one.given for one in self.used() if one.given is not ABSENT}

    def spread(self) -> list[str]:
        """The fragments that are used, by name, each before those that it uses."""
        found: dict[str, None] = {}
        waiting: list[list[Part]] = [self.parts]
        while waiting:
            for part in waiting.pop():
                if isinstance(part, Spread) and part.name in self.fragments and part.name not in found:
                    found[part.name] = None
                    waiting.append(self.fragments[part.name].parts)
                elif isinstance(part, Asked | Inline) and part.parts:
                    waiting.append(part.parts)
        return list(found)

    def used(self) -> list[Variable]:
        """The variables that are used."""
        texts = [_braced(self.parts), *(_defined(self.fragments[name]) for name in self.spread())]
        names = dict.fromkeys(name for text in texts for name in VARIABLE_NAME.findall(text))
        return [self.variables[name] for name in names if name in self.variables]

    def selections(self) -> Iterator[list[Part]]:
        """Every list of parts there is."""
        waiting = [self.parts, *(fragment.parts for fragment in self.fragments.values())]
        while waiting:
            parts = waiting.pop()
            yield parts
            waiting.extend(part.parts for part in parts if isinstance(part, Asked | Inline) and part.parts is not None)


def _declared(variable: Variable) -> str:
    return f"${variable.name}: {variable.kind}" + (f" = {variable.default}" if variable.default is not None else "")


def _defined(fragment: Fragment) -> str:
    return f"fragment {fragment.name} on {fragment.on} {_braced(fragment.parts)}"


def _braced(parts: Sequence[Part]) -> str:
    return "{ " + " ".join(map(_written, parts)) + " }"


def _written(part: Part) -> str:
    if isinstance(part, Spread):
        return " ".join([f"...{part.name}", *part.directives])
    if isinstance(part, Inline):
        return " ".join(["...", *([f"on {part.on}"] if part.on else []), *part.directives, _braced(part.parts)])
    arguments = ", ".join(f"{name}: {text}" for name, text in part.arguments.items())
    head = (f"{part.alias}: " if part.alias else "") + part.name + (f"({arguments})" if arguments else "")
    return " ".join([head, *part.directives, *([] if part.parts is None else [_braced(part.parts)])])


def edge_of(known: GraphQLField) -> Any:
    """How a field is declared; nothing for one with a resolver of its own."""
    definition = known.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return definition.metadata.get(EDGE) if definition else None


@dataclass
class Stock:
    """What there is to ask for."""

    viewers: Sequence[str]
    ids: Mapping[str, Sequence[str]]
    """Of everything, by types."""
    seen: Mapping[str, Mapping[str, Sequence[str]]]
    """What each viewer may see of it."""
    nouns: Mapping[str, str]
    """The types, by the nouns that their ids begin with."""
    cursors: Mapping[str, Sequence[str]]
    """Places in lists, by type and field."""
    refused: Mapping[str, Collection[str]]
    """Root fields that are not for each viewer."""


@dataclass
class Taken:
    """A field that has a place in an answer already."""

    parent: GraphQLNamedType
    name: str
    arguments: str
    kind: str


class Scope:
    """One object of the answer: which of its names are taken by what, so that nothing comes to mean two things."""

    def __init__(self) -> None:
        self.taken: dict[str, list[Taken]] = {}
        self.under: dict[str, Scope] = {}

    def copy(self) -> "Scope":
        """The same again, to try something out."""
        other = Scope()
        other.taken = {key: list(taken) for key, taken in self.taken.items()}
        other.under = {key: under.copy() for key, under in self.under.items()}
        return other

    def admits(self, key: str, wanted: Taken) -> bool:
        """Tell whether a field may be called so here."""
        return all(_agree(wanted, taken) for taken in self.taken.get(key, ()))

    def take(self, key: str, wanted: Taken) -> "Scope":
        """Call it so, and give what is under it."""
        self.taken.setdefault(key, []).append(wanted)
        return self.under.setdefault(key, Scope())


def _agree(one: Taken, other: Taken) -> bool:
    apart = one.parent is not other.parent and is_object_type(one.parent) and is_object_type(other.parent)
    same = (one.name, one.arguments) == (other.name, other.arguments)
    return one.kind == other.kind and (apart or same)


@dataclass
class Place:
    """Where an author is."""

    kind: GraphQLNamedType
    scope: Scope
    depth: int
    """How much deeper she may go."""
    weight: int = 1
    """How often what is here will be there, at most."""
    page: int | None = None
    """How long the lists directly here are, in a connection."""
    hints: Sequence[str] = ()
    """The types that are likely here."""


class Author:
    """Writes one case."""

    def __init__(self, schema: GraphQLSchema, stock: Stock, seed: int, number: int) -> None:
        self.schema, self.stock = schema, stock
        self.rng = Random(f"{seed}:{number}")
        mood = self.rng.choices(list(MOODS), list(MOODS.values()))[0]
        self.case = Case(seed, number, self.rng.choice(stock.viewers), mood, [])
        self.cost = self.rng.choice(COSTS)
        self.aliases, self.fields = ALIASES, self.rng.choice(FIELDS)
        self.fragments_open = 0
        self.purposes: dict[str, list[Variable]] = {}

    def write(self) -> Case:
        """Write a query, and what goes with it."""
        root = self.schema.query_type
        assert root is not None
        case = self.case
        case.parts = self.parts(Place(root, Scope(), self.rng.choice(DEPTHS)))
        if self.chance(0.3):
            case.name = self.rng.choice(("Q", "query", "on_", "Everything"))
            case.beside = "Other" if self.chance(0.2) else None
        if case.mood == WILD:
            Vandal(self).spoil()
        return case

    def chance(self, of: float) -> bool:
        return self.rng.random() < of

    # What is selected

    def parts(self, here: Place) -> list[Part]:
        """Select something of what is here."""
        found = self._of_abstract(here) if is_abstract_type(here.kind) else self._of_object(here)
        if self.chance(0.15):
            self._put(found, self.fragment(here))
        if self.chance(0.08) and here.depth > 1:
            self._put(found, self.again(here, found))
        if not found or self.chance(0.15):
            self._put(found, self.field(here, TYPENAME))
        self.rng.shuffle(found)
        return found or [Asked(TYPENAME, None, {}, [], None)]

    @staticmethod
    def _put(parts: list[Part], part: Part | None) -> None:
        if part is not None:
            parts.append(part)

    def _of_object(self, here: Place) -> list[Part]:
        assert isinstance(here.kind, GraphQLObjectType)
        fields = here.kind.fields
        leaves = [name for name, one in fields.items() if not is_composite_type(get_named_type(one.type))]
        branches = [name for name in fields if name not in leaves]
        names = self.rng.sample(leaves, min(len(leaves), self.rng.choice((0, 1, 2, 3, 5))))
        if here.depth > 1:
            most = self.rng.choice((1, 2, 3) if here.page else (1, 1, 2, 2, 3))
            weights = [self._worth(here.kind, name) for name in branches]
            names += dict.fromkeys(self.rng.choices(branches, weights, k=most) if branches else ())
        parts: list[Part] = []
        for name in names:
            part = self.field(here, name)
            if part and self.chance(0.06):
                self._put(parts, Inline(self.rng.choice((None, here.kind.name)), self.directives(), [part]))
            else:
                self._put(parts, part)
        return parts

    def _worth(self, kind: GraphQLObjectType, name: str) -> float:
        """How likely a field is asked for: more if it leads to much else, less if it is for others or operators."""
        known = kind.fields[name]
        is_root = kind is self.schema.query_type
        if is_root and (edge_of(known) is None or name in self.stock.refused[self.case.viewer]):
            return 0.5
        under = getattr(get_named_type(known.type), "fields", {}).values()
        return 2 + sum(is_composite_type(get_named_type(one.type)) for one in under)

    def _of_abstract(self, here: Place) -> list[Part]:
        assert isinstance(here.kind, GraphQLInterfaceType | GraphQLUnionType)
        own = list(here.kind.fields) if isinstance(here.kind, GraphQLInterfaceType) else []
        parts: list[Part] = []
        for name in self.rng.sample(own, self.rng.randrange(len(own) + 1)):
            self._put(parts, self.field(here, name))
        possible = [one.name for one in self.schema.get_possible_types(here.kind)]
        wanted = list(dict.fromkeys(here.hints)) if self.chance(0.85) else []
        wanted += self.rng.sample(possible, self.rng.choice((0, 0, 1, 2)))
        for name in dict.fromkeys(one for one in wanted if one in possible):
            if here.depth > 0 and self.fields > 0:
                kind = self.schema.type_map[name]
                under = Place(kind, here.scope, here.depth, here.weight)
                parts.append(Inline(name, self.directives(), self.parts(under)))
        return parts

    def field(self, here: Place, name: str) -> Asked | None:
        """Ask for a field, under a name that is free; nothing where it would take too much."""
        if name == TYPENAME:
            return self._called(here, Asked(name, None, {}, self.directives(), None), "String!")
        assert isinstance(here.kind, GraphQLObjectType | GraphQLInterfaceType)
        known = here.kind.fields[name]
        target = get_named_type(known.type)
        is_branch = is_composite_type(target)
        if self.fields <= 0 or (is_branch and (here.depth <= 1 or self.cost < here.weight)):
            return None
        self.fields -= 1
        arguments, size, hints = self.arguments(here, name, known)
        asked = self._called(here, Asked(name, None, arguments, self.directives(), None), str(known.type))
        if asked and is_branch:
            weight, page = self._weight(here, known, size)
            self.cost -= weight
            under = Place(target, here.scope.under[asked.key], here.depth - 1, weight, page, hints)
            asked.parts = self.parts(under)
        return asked

    def _weight(self, here: Place, known: GraphQLField, size: int | None) -> tuple[int, int | None]:
        """How often there is what is under a field, and how long the lists directly under it are."""
        if not is_list_type(get_nullable_type(known.type)):
            return here.weight, size
        if size is None:
            size = here.page or getattr(edge_of(known), "at_most", None) or LIST_SIZE_ASSUMED
        return here.weight * max(size, 1), None

    def _called(self, here: Place, asked: Asked, kind: str) -> Asked | None:
        """Give it a name that means nothing else here."""
        text = json.dumps(asked.arguments, sort_keys=True)
        wanted = Taken(here.kind, asked.name, text, kind)
        if self.aliases > 0 and self.chance(0.12):
            asked.alias = self.rng.choice(ALIASES_LONG if self.chance(0.3) else ALIASES_SHORT)
        if not here.scope.admits(asked.key, wanted):
            asked.alias = next((f"f{at}" for at in range(40) if here.scope.admits(f"f{at}", wanted)), None)
        if asked.alias or asked.key in here.scope.taken:
            self.aliases -= 1
            if self.aliases <= 0:
                return None
        here.scope.take(asked.key, wanted)
        return asked

    def again(self, here: Place, parts: list[Part]) -> Asked | None:
        """Ask for something again that is asked for already: the two are one in the answer."""
        before = [part for part in parts if isinstance(part, Asked)]
        if not before or self.aliases <= 0:
            return None
        one = self.rng.choice(before)
        self.aliases -= 1
        if one.parts is None:
            return Asked(one.name, one.alias, dict(one.arguments), self.directives(), None)
        assert isinstance(here.kind, GraphQLObjectType | GraphQLInterfaceType)
        if self.cost < here.weight:
            return None
        known = here.kind.fields[one.name]
        weight, page = self._weight(here, known, PAGE_SIZE_ASSUMED if "first" in known.args else None)
        under = Place(get_named_type(known.type), here.scope.under[one.key], min(here.depth - 1, 2), weight, page)
        return Asked(one.name, one.alias, dict(one.arguments), self.directives(), self.parts(under))

    def fragment(self, here: Place) -> Part | None:
        """Put parts of what is here into a fragment, or use one that was written before."""
        fitting = [one for one in self.case.fragments.values() if self._fits(one, here)]
        if fitting and self.chance(0.6):
            one = self.rng.choice(fitting)
            self._place(one.parts, self.schema.type_map[one.on], here.scope)
            self.cost, self.aliases = self.cost - one.cost * here.weight, self.aliases - one.aliases
            return Spread(one.name, self.directives())
        if self.fields <= 0 or here.depth < 1 or self.fragments_open > 3:
            return None
        kinds: list[GraphQLNamedType] = [here.kind]
        if isinstance(here.kind, GraphQLObjectType):
            kinds += here.kind.interfaces
        kind = self.rng.choice(kinds)
        self.fragments_open += 1
        before = self.cost, self.aliases, self.fields
        under = Place(kind, here.scope, here.depth, here.weight, here.page, here.hints)
        found = self.parts(under)
        self.fragments_open -= 1
        if self.chance(0.4):
            return Inline(kind.name, self.directives(), found)
        name = f"F{len(self.case.fragments)}"
        spent = before[0] - self.cost, before[1] - self.aliases, before[2] - self.fields
        cost = -(-spent[0] // here.weight)
        self.case.fragments[name] = Fragment(name, kind.name, found, here.depth, cost, spent[1], spent[2])
        return Spread(name, self.directives())

    def _fits(self, one: Fragment, here: Place) -> bool:
        kind = self.schema.type_map[one.on]
        overlap = kind is here.kind or (isinstance(here.kind, GraphQLObjectType) and kind in here.kind.interfaces)
        room = one.depth <= here.depth and one.cost * here.weight <= self.cost and one.aliases < self.aliases
        return overlap and room and self._place(one.parts, kind, here.scope.copy())

    def _place(self, parts: Sequence[Part], kind: GraphQLNamedType, scope: Scope) -> bool:
        """Take the names of these parts; `False` if one of them is taken."""
        for part in parts:
            if isinstance(part, Spread):
                other = self.case.fragments[part.name]
                fine = self._place(other.parts, self.schema.type_map[other.on], scope)
            elif isinstance(part, Inline):
                fine = self._place(part.parts, self.schema.type_map[part.on] if part.on else kind, scope)
            else:
                fine = self._place_field(part, kind, scope)
            if not fine:
                return False
        return True

    def _place_field(self, part: Asked, kind: GraphQLNamedType, scope: Scope) -> bool:
        known = getattr(kind, "fields", {}).get(part.name)
        result = str(known.type) if known else "String!"
        wanted = Taken(kind, part.name, json.dumps(part.arguments, sort_keys=True), result)
        if not scope.admits(part.key, wanted):
            return False
        under = scope.take(part.key, wanted)
        return known is None or part.parts is None or self._place(part.parts, get_named_type(known.type), under)

    def directives(self) -> list[str]:
        """Now and then a part is there on a condition."""
        found = []
        for name, likely in (("include", True), ("skip", False)):
            if self.chance(0.03):
                holds = likely if self.chance(0.7) else not likely
                found.append(f"@{name}(if: {self._condition(holds)})")
        return found

    def _condition(self, holds: bool) -> str:
        if self.chance(0.4):
            return json.dumps(holds)
        return self.variable(self.schema.type_map["Boolean"], "if", holds, required=True)

    # What is given

    def arguments(
        self, here: Place, name: str, known: GraphQLField
    ) -> tuple[dict[str, str], int | None, Sequence[str]]:
        """Give a field its arguments; say how long the list is then, and what is likely in it."""
        found: dict[str, str] = {}
        size: int | None = None
        hints: Sequence[str] = ()
        paged = "first" in known.args and "last" in known.args
        values = self._page(f"{here.kind.name}.{name}", here.weight) if paged else {}
        if paged:
            size = values.get("first") or values.get("last") or PAGE_SIZE_ASSUMED
        target = get_named_type(known.type)
        for argument, definition in known.args.items():
            if paged and argument in {"first", "last", "after", "before"}:
                if argument not in values:
                    continue
                value = values[argument]
            elif self._leaves_out(definition):
                continue
            else:
                value = self.value(definition.type, argument, target)
            if argument == "ids" and isinstance(value, list):
                size, hints = len(value), self._kinds(value)
            elif argument == "id":
                hints = self._kinds([value])
            found[argument] = self.text(definition.type, argument, value)
        return found, size, hints

    def _leaves_out(self, definition: Any) -> bool:
        required = is_non_null_type(definition.type) and definition.default_value is Undefined
        return not required and self.chance(0.4)

    def _kinds(self, ids: Sequence[Any]) -> list[str]:
        nouns = [one.rpartition("_")[0] for one in ids if isinstance(one, str)]
        return [self.stock.nouns[noun] for noun in nouns if noun in self.stock.nouns]

    def _page(self, place: str, weight: int) -> dict[str, Any]:
        """Choose a page of a list."""
        if self.case.mood == CARELESS and self.chance(0.35):
            return self._wrong_page(place)
        fitting = [size for size in SIZES if weight * size <= max(self.cost // 2, 1)] or [1]
        size, cursor = self.rng.choice(fitting), self._cursor(place)
        if weight * PAGE_SIZE_ASSUMED > self.cost:
            return {"first": size}
        return self.rng.choice(
            (
                *({}, {"first": size}, {"first": size}, {"last": size}),
                *({"first": size, "after": cursor}, {"last": size, "before": cursor}),
                *({"after": cursor}, {"before": cursor}, {"first": size, "last": None, "before": None}),
            )
        )

    def _wrong_page(self, place: str) -> dict[str, Any]:
        wrong, cursor = self.rng.choice(SIZES_WRONG), self._cursor(place)
        return self.rng.choice(
            (
                *({"first": wrong}, {"last": wrong}, {"first": 2, "last": 2}, {"first": 2, "before": cursor}),
                *({"last": 2, "after": cursor}, {"after": cursor, "before": cursor}),
                *({"first": 2, "after": self._wrong_cursor(place)}, {"last": 2, "before": self._wrong_cursor(place)}),
            )
        )

    def _cursor(self, place: str) -> str | None:
        known = self.stock.cursors.get(place)
        return self.rng.choice(known) if known else None

    def _wrong_cursor(self, place: str) -> str:
        others = [one for name, known in self.stock.cursors.items() if name != place for one in known]
        known = self._cursor(place) or "AAAA"
        at = self.rng.randrange(len(known))
        tampered = known[:at] + self.rng.choice("AB_-é=") + known[at + 1 :]
        return self.rng.choice((tampered, known[:-1], known + "A", self.rng.choice(others or ["A"]), *CURSORS_WRONG))

    def value(self, kind: Any, name: str, target: GraphQLNamedType) -> Any:
        """Choose a value of a type, for an argument or a field of an input of that name."""
        nullable = get_nullable_type(kind)
        if nullable is kind and self.chance(0.1):
            return None
        if self.case.mood == CARELESS and self.chance(0.05):
            return self.rng.choice((None, [], {}, "", 0, 1.5, True, "nothing", [None]))
        if is_list_type(nullable):
            return self._list(nullable.of_type, name, target)
        if isinstance(nullable, GraphQLInputObjectType):
            return self._object(nullable, target)
        if isinstance(nullable, GraphQLEnumType):
            return self.rng.choice(list(nullable.values))
        return self._scalar(nullable.name, name, target)

    def _list(self, item: Any, name: str, target: GraphQLNamedType) -> list[Any]:
        most = max(1, min(100, self.cost // 4))
        count = min(self.rng.choice((0, 1, 1, 2, 2, 3, 5, 8, 30)), most)
        values = [self.value(item, name, target) for _ in range(count)]
        return values + values[:1] if self.chance(0.1) else values

    def _object(self, kind: GraphQLInputObjectType, target: GraphQLNamedType) -> dict[str, Any]:
        names = list(kind.fields)
        if kind.is_one_of:
            names = [self.rng.choice(names)]
        fields = {name: kind.fields[name] for name in names}
        return {
            name: self.value(GraphQLNonNull(get_nullable_type(one.type)) if kind.is_one_of else one.type, name, target)
            for name, one in fields.items()
            if kind.is_one_of or not self._leaves_out(one)
        }

    def _scalar(self, kind: str, name: str, target: GraphQLNamedType) -> Any:
        makers: dict[str, Callable[[], Any]] = {
            "ID": lambda: self._id(name, target),
            "Int": lambda: self.rng.choice((0, 1, 2, 3, 10, 2**31 - 1)),
            "Boolean": lambda: self.chance(0.5),
            "Float": lambda: self.rng.choice((0.0, 1.5, -2.0)),
            "Cursor": lambda: self._cursor(name) or "AAAA",
            "Decimal": lambda: self.rng.choice(("0.01", "1.00", "1000.00", "99999999.99", "1234.5")),
            "Date": lambda: self.rng.choice(("2026-11-20", "1970-01-01", "9999-12-31")),
            "DateTime": lambda: self.rng.choice(("2026-11-20T19:48:00Z", "1970-01-01T00:00:00.000001+01:00")),
        }
        return makers.get(kind, lambda: self.rng.choice(TEXTS))()

    def _id(self, name: str, target: GraphQLNamedType) -> str:
        """Choose an id for an argument: mostly of what is meant and may be seen."""
        noun = re.sub(r"Ids?$", "", name).lower()
        kind = target.name if noun in {"id", "ids"} else self.stock.nouns.get(noun, target.name)
        if kind not in self.stock.ids:
            kind = self.rng.choice(list(self.stock.seen[self.case.viewer] if self.chance(0.8) else self.stock.ids))
        if self.case.mood == CARELESS and self.chance(0.3):
            every = [one for known in self.stock.ids.values() for one in known]
            return self.rng.choice((self.rng.choice(IDS_WRONG), self.rng.choice(every)))
        seen, dice = self.stock.seen[self.case.viewer].get(kind), self.rng.random()
        if seen and dice < 0.75:
            return self.rng.choice(seen)
        known = self.rng.choice(self.stock.ids[kind])
        return known if dice < 0.95 else known[:-4] + "0000"

    # How it is written

    def text(self, kind: Any, name: str, value: Any) -> str:
        """Write a value where a value of this type belongs: as it is, or as a variable."""
        return self.variable(kind, name, value) if self.chance(0.45) else self.literal(kind, name, value)

    def literal(self, kind: Any, name: str, value: Any, *, plain: bool = False) -> str:
        """Write a value as it is; parts of it may be variables, unless it is to be `plain`."""
        nullable = get_nullable_type(kind)
        if isinstance(value, list) and is_list_type(nullable):
            if len(value) == 1 and value[0] is not None and self.chance(0.2):
                return self.literal(nullable.of_type, name, value[0], plain=True)
            return "[" + ", ".join(self._inner(nullable.of_type, name, one, plain) for one in value) + "]"
        if isinstance(value, dict):
            known = getattr(nullable, "fields", {})
            kinds = {key: known[key].type for key in value if key in known}
            if getattr(nullable, "is_one_of", False):
                kinds = {key: GraphQLNonNull(get_nullable_type(one)) for key, one in kinds.items()}
            return (
                "{"
                + ", ".join(f"{key}: {self._inner(one, key, value[key], plain)}" for key, one in kinds.items())
                + "}"
            )
        if isinstance(value, str) and isinstance(nullable, GraphQLEnumType):
            return value
        return json.dumps(value, ensure_ascii=self.chance(0.5))

    def _inner(self, kind: Any, name: str, value: Any, plain: bool) -> str:
        if not plain and self.chance(0.1):
            return self.variable(kind, name, value)
        return self.literal(kind, name, value, plain=plain)

    def variable(self, kind: Any, name: str, value: Any, *, required: bool = False) -> str:
        """Write a value as a variable, declared and given in one of the ways that come to the same."""
        nullable = str(get_nullable_type(kind))
        required = required or is_non_null_type(kind)
        purpose = f"{kind} {name} {json.dumps(value)} {required}"
        if self.purposes.get(purpose) and self.chance(0.5):
            return f"${self.rng.choice(self.purposes[purpose]).name}"
        made = Variable(f"v{len(self.case.variables)}", nullable, None, value)
        default = (
            None if isinstance(value, dict | list) and self.chance(0.5) else self.literal(kind, name, value, plain=True)
        )
        forms = ["strict"] if required or value is not None else ["plain"]
        if default is not None and value is not None:
            forms += ["default", "default given"]
        if not required:
            forms += ["plain", *(["absent"] if value is None else [])]
        self._declare(made, self.rng.choice(forms), default)
        if self.case.mood == CARELESS and self.chance(0.1):
            made.given = self.rng.choice((None, ABSENT, "", 0, -1, 2**31, [], {}, "x", True, [None]))
        self.case.variables[made.name] = made
        self.purposes.setdefault(purpose, []).append(made)
        return f"${made.name}"

    def _declare(self, made: Variable, form: str, default: str | None) -> None:
        if form == "strict":
            made.kind += "!"
        elif form == "absent":
            made.given = ABSENT
        elif form == "default":
            made.kind += self.rng.choice(("", "!"))
            made.default, made.given = default, ABSENT
        elif form == "default given":
            made.kind += self.rng.choice(("", "!"))
            made.default = default


class Vandal:
    """Breaks the rules of the language in one place."""

    def __init__(self, author: Author) -> None:
        self.author, self.case, self.rng = author, author.case, author.rng

    def spoil(self) -> None:
        """Do some harm."""
        self.rng.choice(
            (
                *(self.misname, self.misname_argument, self.conflict, self.go_deep, self.ask_much, self.ask_the_schema),
                *(self.cut, self.scribble, self.spread_nothing, self.run_in_circles, self.mistake_leaves),
                *(self.forget_a_variable, self.call_another),
            )
        )()

    def asked(self) -> Asked:
        """Some field."""
        found = [part for parts in self.case.selections() for part in parts if isinstance(part, Asked)]
        return self.rng.choice(found) if found else Asked(TYPENAME, None, {}, [], None)

    def misname(self) -> None:
        self.asked().name += "s"

    def misname_argument(self) -> None:
        self.asked().arguments["firsst"] = "1"

    def conflict(self) -> None:
        self.case.parts += [
            Asked("viewer", "a", {}, [], [Asked(TYPENAME, None, {}, [], None)]),
            Asked(TYPENAME, "a", {}, [], None),
        ]

    def go_deep(self) -> None:
        parts: list[Part] = [Asked(TYPENAME, None, {}, [], None)]
        for _ in range(self.rng.choice((6, 14, 20))):
            parts = [Asked("contract", None, {}, [], [Asked("proposal", None, {}, [], parts)])]
        self.case.parts += [Asked("contract", "deep", {"id": '"x"'}, [], parts)]

    def ask_much(self) -> None:
        rows: list[Part] = [Asked("id", None, {}, [], None)]
        for _ in range(3):
            rows = [
                Asked(
                    "proposals",
                    None,
                    {"first": "100"},
                    [],
                    [Asked("nodes", None, {}, [], [Asked("job", None, {}, [], rows)])],
                )
            ]
        self.case.parts += [Asked("jobs", "much", {"first": "100"}, [], [Asked("nodes", None, {}, [], rows)])]

    def ask_the_schema(self) -> None:
        fields: list[Part] = [Asked("kind", None, {}, [], None), Asked("name", None, {}, [], None)]
        kind = self.rng.choice(("Job", "Nothing", "Query"))
        self.case.parts += [Asked("__type", None, {"name": json.dumps(kind)}, [], fields)]

    def cut(self) -> None:
        share = self.rng.random()
        self.case.spoil = lambda text: text[: int(len(text) * share)]

    def scribble(self) -> None:
        share, sign = self.rng.random(), self.rng.choice(("{", "}", "é", '"', "$", "@", "\0", "!", "..."))
        self.case.spoil = lambda text: text[: int(len(text) * share)] + sign + text[int(len(text) * share) :]

    def spread_nothing(self) -> None:
        self.case.parts.append(Spread("Nothing", []))

    def run_in_circles(self) -> None:
        self.case.fragments["Round"] = Fragment("Round", "Query", [Spread("Round", [])], 0, 0, 0, 0)
        self.case.parts.append(Spread("Round", []))

    def mistake_leaves(self) -> None:
        asked = self.asked()
        asked.parts = [Asked("id", None, {}, [], None)] if asked.parts is None else None

    def forget_a_variable(self) -> None:
        self.asked().arguments["id"] = "$missing"

    def call_another(self) -> None:
        self.case.beside = self.case.name = "Twice"


class Doer(Author):
    """Writes mutations that answer with a thing that has an id, and can be asked for again."""

    def __init__(self, schema: GraphQLSchema, stock: Stock, seed: int, number: int) -> None:
        super().__init__(schema, stock, seed, number)
        self.case.mood, self.case.keyword = CALM, "mutation"

    def write(self) -> Case:
        """Write a mutation of one field, which is called `done`."""
        root = self.schema.mutation_type
        assert root is not None
        name = self.rng.choice([name for name, known in root.fields.items() if self._node(known)])
        known = root.fields[name]
        arguments, _, _ = self.arguments(Place(root, Scope(), 1), name, known)
        self.case.parts = [Asked(name, "done", arguments, [], self._answer(known))]
        return self.case

    def _node(self, known: GraphQLField) -> GraphQLObjectType | None:
        target, node = get_named_type(known.type), self.schema.type_map["Node"]
        if not isinstance(target, GraphQLUnionType):
            return None
        return next((kind for kind in target.types if node in kind.interfaces), None)

    def _answer(self, known: GraphQLField) -> list[Part]:
        kind, refused = self._node(known), self.schema.type_map["Refused"]
        assert kind is not None
        scope = Scope()
        scope.take(TYPENAME, Taken(kind, TYPENAME, "{}", "String!"))
        found: list[Part] = [Asked(TYPENAME, None, {}, [], None)]
        for one in (kind, refused):
            place = Place(one, scope, self.rng.choice((2, 3, 5)))
            if one is kind:
                scope.take("theId", Taken(kind, "id", "{}", "ID!"))
                found.append(Inline(kind.name, [], [Asked("id", "theId", {}, [], None)]))
            found.append(Inline(one.name, [], self.parts(place)))
        return found


class Follower(Author):
    """Writes subscriptions."""

    def write(self) -> Case:
        """Write a subscription: one field of the root, and what is shown of its events."""
        root = self.schema.subscription_type
        assert root is not None
        case = self.case
        case.keyword = "subscription"
        name = self.rng.choice(list(root.fields))
        place = Place(root, Scope(), self.rng.choice(DEPTHS))
        case.parts = [self.field(place, name) or Asked(name, None, {}, [], [Asked(TYPENAME, None, {}, [], None)])]
        if case.mood == WILD:
            Vandal(self).spoil()
        return case

    def _id(self, name: str, target: GraphQLNamedType) -> str:
        """Choose an id as ever; that of an event is the id of what it shows."""
        shown = [get_named_type(one.type) for one in getattr(target, "fields", {}).values()]
        return super()._id(name, next((kind for kind in shown if kind.name in self.stock.ids), target))


def echo(done: Case, kind: str, key: str) -> Case:
    """Ask for the thing that a mutation answered with, for just the same of it."""
    (asked,) = done.parts
    assert isinstance(asked, Asked)
    assert asked.parts is not None
    same = [part for part in asked.parts if not isinstance(part, Inline) or part.on == kind]
    parts: list[Part] = [Asked("node", "done", {"id": json.dumps(key)}, [], same)]
    return replace(done, keyword="query", parts=parts)


def case(schema: GraphQLSchema, stock: Stock, seed: int, number: int) -> Case:
    """The case of this number."""
    return Author(schema, stock, seed, number).write()


def deed(schema: GraphQLSchema, stock: Stock, seed: int, number: int) -> Case:
    """The mutation of this number."""
    return Doer(schema, stock, seed, number).write()


def subscription(schema: GraphQLSchema, stock: Stock, seed: int, number: int) -> Case:
    """The subscription of this number."""
    return Follower(schema, stock, seed, number).write()
