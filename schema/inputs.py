"""Input types are read by functions that are made once; Strawberry asks anew of each value what its type is."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any, cast

import strawberry
from graphql import GraphQLInputObjectType
from strawberry.scalars import is_scalar
from strawberry.types.arguments import InputContext
from strawberry.types.base import StrawberryList, StrawberryObjectDefinition, StrawberryOptional, has_object_definition
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.lazy_type import LazyType

Read = Callable[..., Any]


def read_quickly(schema: strawberry.Schema) -> None:
    """Have every input type of a schema read by a function of its own."""
    converter = schema.schema_converter
    for kind in schema._schema.type_map.values():  # noqa: SLF001 - strawberry has no public name for it
        if isinstance(kind, GraphQLInputObjectType):
            definition = converter.type_map[kind.name].definition
            assert isinstance(definition, StrawberryObjectDefinition)
            definition.from_input = _reader(definition, schema)


def _reader(definition: StrawberryObjectDefinition, schema: strawberry.Schema) -> Callable[..., Any]:
    names = schema.config.name_converter
    fields = [
        (names.from_field(field), field.python_name, _read(field.resolve_type(type_definition=definition), schema))
        for field in definition.fields
    ]
    absent = {
        field.python_name: None
        for field in definition.fields
        if field.default_value is MISSING and field.default_factory is MISSING
    }

    def read(kind: type, value: Mapping[str, Any], context: InputContext) -> Any:
        given = {python: read(value[name], context) for name, python, read in fields if name in value}
        return kind(**absent | given)

    return read


def _read(kind: Any, schema: strawberry.Schema) -> Read:
    """How a value of a type is read; graphql-core has read scalars and enums already."""
    if isinstance(kind, LazyType):
        return _read(kind.resolve_type(), schema)
    if isinstance(kind, StrawberryOptional):
        inner = _read(kind.of_type, schema)
        return lambda value, context: None if value is None else inner(value, context)
    if isinstance(kind, StrawberryList):
        inner = _read(kind.of_type, schema)
        return lambda value, context: [inner(one, context) for one in value]
    if has_object_definition(kind):
        # By a function that may not be made yet.
        definition = kind.__strawberry_definition__
        return lambda value, context: cast("Read", definition.from_input)(kind, value, context)
    is_leaf = isinstance(kind, StrawberryEnumDefinition) or has_enum_definition(kind)
    assert is_leaf or is_scalar(kind, schema.schema_converter.scalar_registry), kind
    return lambda value, _: value
