"""What frontends may rely on: the schema as it is written down, and the rules that every part of it keeps."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
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
    get_named_type,
    is_introspection_type,
    is_specified_directive,
    is_specified_scalar_type,
)

import schema.root
import tests.schema
from models.errors import every_refusal
from tests.schema.callers import root_field, rows

BUILT = schema.root.build()
CORE: GraphQLSchema = BUILT._schema
TYPES = {
    name: kind
    for name, kind in CORE.type_map.items()
    if not is_introspection_type(kind) and not is_specified_scalar_type(kind)
}
WITHOUT_INPUT = {"signOutEverywhere"}
"""Mutations that there is nothing to say to; an input object has to have a field."""

PAGE = {"first": "Int", "after": "Cursor", "last": "Int", "before": "Cursor"}
SUBSCRIBED = {"proposalChanged", "contractChanged", "walletChanged", "controlChanged"}
"""Root fields that answer again and again: who may follow what is told in the stories, and in tests/resolvers."""


def fields_of(kind: GraphQLNamedType) -> dict[str, GraphQLField]:
    return dict(kind.fields) if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) else {}


def parts_of(kind: GraphQLNamedType) -> Iterator[tuple[str, str | None]]:
    """Everything in a type that a reader comes upon, with what is said of it."""
    for name, field in fields_of(kind).items():
        yield name, field.description
        for argument_name, argument in field.args.items():
            yield f"{name}({argument_name})", argument.description
    if isinstance(kind, GraphQLInputObjectType):
        yield from ((name, given.description) for name, given in kind.fields.items())
    if isinstance(kind, GraphQLEnumType):
        yield from ((name, value.description) for name, value in kind.values.items())


def described() -> Iterator[tuple[str, str | None]]:
    """Everything in the schema, with what is said of it."""
    for name, kind in TYPES.items():
        yield name, kind.description
        for part, said in parts_of(kind):
            yield f"{name}.{part}", said


def test_the_schema_is_written_down_as_it_is():
    written = Path(schema.root.__file__).with_name("schema.graphql").read_text()

    assert written.strip() == BUILT.as_str().strip()


def test_everything_is_described_in_sentences():
    wrong = {place: said for place, said in described() if not said or said.strip()[-1] not in ".!?"}

    assert wrong == {}


def test_descriptions_begin_like_sentences():
    wrong = {
        place: said
        for place, said in described()
        if said and not (said[0].isupper() or said[0].isdigit() or said[0] == "`")
    }

    assert wrong == {}


@pytest.mark.parametrize("name", CORE.mutation_type.fields if CORE.mutation_type else ())
def test_a_mutation_is_a_verb_with_an_input_and_answers_with_a_thing_or_a_refusal(name):
    assert CORE.mutation_type
    field = CORE.mutation_type.fields[name]
    upper = name[0].upper() + name[1:]

    assert {argument: str(given.type) for argument, given in field.args.items()} == (
        {} if name in WITHOUT_INPUT else {"input": f"{upper}Input!"}
    )
    assert str(field.type) == f"{upper}Result!"
    union = get_named_type(field.type)
    assert isinstance(union, GraphQLUnionType)
    thing, refused = union.types
    assert isinstance(thing, GraphQLObjectType)
    assert refused.name == "Refused"


def test_what_a_mutation_answers_with_is_a_node_or_comes_with_what_is_shown_once_or_is_the_clock_or_several():
    for name, kind in TYPES.items():
        if isinstance(kind, GraphQLUnionType):
            thing = kind.types[0]
            is_node = any(interface.name == "Node" for interface in thing.interfaces)
            assert is_node or thing.name in {"SignedIn", "UploadTicket", "Clock", "SpawnedMachines"}, name


def test_every_union_is_the_result_of_a_mutation():
    assert CORE.mutation_type
    results = {get_named_type(field.type).name for field in CORE.mutation_type.fields.values()}

    assert {name for name, kind in TYPES.items() if isinstance(kind, GraphQLUnionType)} == results


def test_every_connection_is_paged_in_the_same_way():
    connections = 0
    for name, kind in TYPES.items():
        for field_name, field in fields_of(kind).items():
            if not get_named_type(field.type).name.endswith("Connection"):
                continue
            connections += 1
            paged = {argument: str(given.type) for argument, given in field.args.items() if argument in PAGE}
            assert paged == PAGE, f"{name}.{field_name}"
            assert isinstance(field.type, GraphQLNonNull), f"{name}.{field_name}"
    assert connections > 5


def test_every_connection_has_the_same_shape():
    for name, kind in TYPES.items():
        if name.endswith("Connection"):
            node = name.removesuffix("Connection")
            assert {field: str(found.type) for field, found in fields_of(kind).items()} == {
                "edges": f"[{node}Edge!]!",
                "nodes": f"[{node}!]!",
                "pageInfo": "PageInfo!",
                "totalCount": "Int!",
            }


def test_nothing_is_a_float():
    assert "Decimal" in CORE.type_map
    assert "Float" not in CORE.type_map
    assert "Float" not in BUILT.as_str()


def test_lists_hold_no_nulls_but_for_what_may_not_be_seen():
    loose = {
        f"{name}.{field_name}"
        for name, kind in TYPES.items()
        for field_name, field in fields_of(kind).items()
        if "[" in str(field.type) and "!]" not in str(field.type)
    }

    assert loose == {"Query.nodes"}


def test_every_refusal_has_a_code_of_its_own_and_every_code_a_refusal():
    codes = [kind.code for kind in every_refusal()]
    shown = CORE.type_map["RefusalCode"]

    assert isinstance(shown, GraphQLEnumType)
    assert len(set(codes)) == len(codes)
    assert set(shown.values) == set(codes)


def test_whatever_has_an_id_is_a_node():
    with_id = {name for name, kind in TYPES.items() if "id" in fields_of(kind)} - {"Node"}
    node = CORE.type_map["Node"]

    assert isinstance(node, GraphQLInterfaceType)
    assert {kind.name for kind in CORE.get_implementations(node).objects} == with_id


def test_there_are_no_directives_but_those_of_graphql():
    assert [directive.name for directive in CORE.directives if not is_specified_directive(directive)] == []


def test_names_are_written_as_everywhere_in_graphql():
    for name, kind in TYPES.items():
        assert name[0].isupper(), name
        assert "_" not in name
        if isinstance(kind, GraphQLEnumType):
            assert all(value == value.upper() for value in kind.values), name
        elif not isinstance(kind, GraphQLUnionType):
            fields = getattr(kind, "fields", {})
            assert all(field[0].islower() and "_" not in field for field in fields), name


def test_every_root_field_has_its_table_of_callers():
    told: set[str] = set()
    for module in pkgutil.iter_modules(tests.schema.__path__):
        loaded = importlib.import_module(f"tests.schema.{module.name}")
        if hasattr(loaded, "TABLE"):
            assert set(rows(loaded.TABLE)) == set(loaded.ASKS), module.name
            told |= {root_field(row) for row in rows(loaded.TABLE)}
    roots = [root for root in (CORE.query_type, CORE.mutation_type, CORE.subscription_type) if root]

    assert told | SUBSCRIBED == {name for root in roots for name in root.fields}
    assert CORE.subscription_type
    assert set(CORE.subscription_type.fields) == SUBSCRIBED
