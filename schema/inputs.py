"""What a client sends is read by functions that are made once: from JSON to what verbs are given, in one go.

graphql-core would look at every value twice, and Strawberry once more. Where anything is not as it has to be, or may be
said in more than one way, they do: they also know how to say what is wrong.
"""

from collections.abc import Callable
from dataclasses import MISSING
from typing import Any, TypeAlias, cast

import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLScalarType,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)
from strawberry.scalars import is_scalar
from strawberry.types.arguments import InputContext
from strawberry.types.base import StrawberryList, StrawberryObjectDefinition, StrawberryOptional, has_object_definition
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType

from loaders.compile import INT_MAX, INT_MIN

Read: TypeAlias = Callable[..., Any]

FromJSON: TypeAlias = Callable[[Any], Any]
"""Reads a value, or raises `Unread`."""

FROM_JSON = "from_json"
"""Under what name an input type has its own."""

PLAIN = {"ID": str, "String": str, "Cursor": str, "Boolean": bool}
"""Scalars whose values in JSON are read as they are, if they are of the one type."""


class Unread(Exception):
    """This is for somebody who looks closer."""


def read_quickly(schema: strawberry.Schema) -> None:
    """Have every input type of a schema read by functions of its own."""
    converter = schema.schema_converter
    for kind in schema._schema.type_map.values():  # noqa: SLF001 - strawberry has no public name for it
        if isinstance(kind, GraphQLInputObjectType):
            definition = converter.type_map[kind.name].definition
            assert isinstance(definition, StrawberryObjectDefinition)
            definition.from_input = _reader(definition, schema)
            if not definition.is_one_of:
                kind.extensions[FROM_JSON] = _object_from_json(kind, definition, schema)


# From JSON.


def from_json(kind: GraphQLInputType) -> FromJSON:
    """How a value of a type is read."""
    if is_non_null_type(kind):
        return _present(kind.of_type)
    present = _present(kind)
    return lambda value: None if value is None else present(value)


def _present(kind: Any) -> FromJSON:
    """How a value that is there is read."""
    if is_list_type(kind):
        return _list_from_json(from_json(kind.of_type))
    if isinstance(kind, GraphQLEnumType):
        return _enum_from_json(kind)
    if isinstance(kind, GraphQLScalarType):
        return _scalar_from_json(kind)

    def read(value: Any) -> Any:
        # By a function that may not be made yet.
        known: FromJSON | None = kind.extensions.get(FROM_JSON)
        if known is None:
            raise Unread
        return known(value)

    return read


def _list_from_json(each: FromJSON) -> FromJSON:
    def read(value: Any) -> Any:
        if type(value) is not list:
            raise Unread
        return [each(one) for one in value]

    return read


def _enum_from_json(kind: GraphQLEnumType) -> FromJSON:
    members = {name: kind.coerce_input_value(name) for name in kind.values}

    def read(value: Any) -> Any:
        if type(value) is str and value in members:
            return members[value]
        raise Unread

    return read


def _scalar_from_json(kind: GraphQLScalarType) -> FromJSON:
    plain = PLAIN.get(kind.name)

    def read_plain(value: Any) -> Any:
        if type(value) is plain:
            return value
        raise Unread

    def read_int(value: Any) -> Any:
        if type(value) is int and INT_MIN <= value <= INT_MAX:
            return value
        raise Unread

    def read(value: Any) -> Any:
        if value is None:
            raise Unread
        try:
            return kind.coerce_input_value(value)
        except Exception:  # noqa: BLE001 - whatever a scalar finds wrong, graphql-core will find, and say
            raise Unread from None

    return read_plain if plain else read_int if kind.name == "Int" else read


def _object_from_json(
    kind: GraphQLInputObjectType, definition: StrawberryObjectDefinition, schema: strawberry.Schema
) -> FromJSON:
    made: Any = definition.origin
    named = [(field.python_name, name, kind.fields[name]) for name, field in _named(definition, schema)]
    readers = [(python, name, from_json(one.type), is_required_input_field(one)) for python, name, one in named]
    absent = _absent(definition)

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise Unread
        given, known = dict(absent), 0
        for python, name, inner, is_required in readers:
            if name in value:
                given[python] = inner(value[name])
                known += 1
            elif is_required:
                raise Unread
        if known < len(value):
            raise Unread
        return made(**given)

    return read


def _named(definition: StrawberryObjectDefinition, schema: strawberry.Schema) -> list[tuple[str, StrawberryField]]:
    names = schema.config.name_converter
    return [(names.from_field(field), field) for field in definition.fields]


def _absent(definition: StrawberryObjectDefinition) -> dict[str, None]:
    """What stands for fields that a client may leave out, where their class does not say."""
    return {
        field.python_name: None
        for field in definition.fields
        if field.default_value is MISSING and field.default_factory is MISSING
    }


# From what graphql-core has read.


def _reader(definition: StrawberryObjectDefinition, schema: strawberry.Schema) -> Read:
    fields = [
        (name, field.python_name, _read(field.resolve_type(type_definition=definition), schema))
        for name, field in _named(definition, schema)
    ]
    absent = _absent(definition)

    def read(kind: type, value: Any, context: InputContext) -> Any:
        if isinstance(value, kind):
            # It was read from JSON.
            return value
        given = {python: read(value[name], context) for name, python, read in fields if name in value}
        return kind(**absent | given)

    return read


def _read(kind: Any, schema: strawberry.Schema) -> Read:
    """How a value of a type is read, of which scalars and enums are read already."""
    if isinstance(kind, LazyType):
        return _read(kind.resolve_type(), schema)
    if isinstance(kind, StrawberryOptional):
        inner = _read(kind.of_type, schema)
        return lambda value, context: None if value is None else inner(value, context)
    if isinstance(kind, StrawberryList):
        inner = _read(kind.of_type, schema)
        return lambda value, context: [inner(one, context) for one in value]
    if has_object_definition(kind):
        # As above.
        definition = kind.__strawberry_definition__
        return lambda value, context: cast("Read", definition.from_input)(kind, value, context)
    is_leaf = isinstance(kind, StrawberryEnumDefinition) or has_enum_definition(kind)
    assert is_leaf or is_scalar(kind, schema.schema_converter.scalar_registry), kind
    return lambda value, _: value
