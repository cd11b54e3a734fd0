"""What is read from JSON at once is what graphql-core and Strawberry make of it together."""

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    Undefined,
    coerce_input_value,
    is_list_type,
    is_non_null_type,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.types.arguments import convert_argument

import schema.root
from schema.inputs import Unread, from_json

SCHEMA = schema.root.build()
KINDS = {kind.name: kind for kind in SCHEMA._schema.type_map.values() if isinstance(kind, GraphQLInputObjectType)}
DEFINITIONS: dict[str, Any] = {name: SCHEMA.schema_converter.type_map[name].definition for name in KINDS}
ONE_OF = {name for name in KINDS if DEFINITIONS[name].is_one_of}

LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "ID": st.sampled_from(["job_1", "", "skill_2"]),
    "String": st.text(max_size=5),
    "Boolean": st.booleans(),
    "Int": st.integers(-(2**31), 2**31 - 1),
    "DateTime": st.sampled_from(["2026-11-20T19:48:00.123456Z", "2026-11-20T19:48:00+02:00"]),
    "Date": st.just("2026-11-20"),
    "Decimal": st.sampled_from(["1.50", "0", "-3"]),
    "Cursor": st.text(max_size=5),
}
ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**40), 2**40),
        st.floats(),
        st.text(max_size=3),
        st.just("NaN"),
        *LEAVES.values(),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


def right(kind: Any) -> st.SearchStrategy[Any]:
    """What may be sent for a type."""
    if is_non_null_type(kind):
        return present(kind.of_type)
    return st.none() | present(kind)


def present(kind: Any) -> st.SearchStrategy[Any]:
    if is_list_type(kind):
        return st.lists(right(kind.of_type), max_size=2)
    if isinstance(kind, GraphQLEnumType):
        return st.sampled_from(sorted(kind.values))
    if isinstance(kind, GraphQLInputObjectType) and kind.name in ONE_OF:
        return st.one_of([st.fixed_dictionaries({name: present(of.type)}) for name, of in kind.fields.items()])
    if isinstance(kind, GraphQLInputObjectType):
        needed = {name: right(field.type) for name, field in kind.fields.items() if is_non_null_type(field.type)}
        others = {name: right(field.type) for name, field in kind.fields.items() if name not in needed}
        return st.fixed_dictionaries(needed, optional=others)
    return LEAVES[kind.name]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for at, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, at))


def spoiled(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    at, *rest = path
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[at] = spoiled(copy[at], tuple(rest), other)
    return copy


def outcome(kind: Any, value: Any) -> Any:
    """What both make of it in the ordinary way; `Undefined` if they refuse it."""
    try:
        coerced = coerce_input_value(value, kind)
        return convert_argument(
            coerced, DEFINITIONS[kind.name].origin, SCHEMA.schema_converter.scalar_registry, SCHEMA.config
        )
    except Exception:  # noqa: BLE001 - whatever it is that they say
        return Undefined


@pytest.mark.parametrize("kind", [kind for name, kind in KINDS.items() if name not in ONE_OF], ids=str)
@given(data=st.data())
@settings(max_examples=25)
def test_what_is_right_is_read_at_once_and_to_the_same(kind, data):
    value = data.draw(present(kind))
    assert outcome(kind, value) is not Undefined

    try:
        found = from_json(kind)(value)
    except Unread:
        # There are two ways to say one of two things.
        assert {str(field.type).strip("[]!") for field in kind.fields.values()} & ONE_OF
    else:
        assert repr(found) == repr(outcome(kind, value))


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
@given(data=st.data())
@settings(max_examples=40)
def test_what_is_not_right_is_not_read_or_to_the_same(kind, data):
    value = data.draw(present(kind))
    value = spoiled(value, data.draw(st.sampled_from(sorted(places(value), key=str))), data.draw(ANYTHING))
    if isinstance(value, dict) and data.draw(st.booleans()):
        value |= {data.draw(st.text(max_size=3)): None}

    try:
        found = from_json(kind)(value)
    except Unread:
        return
    assert repr(found) == repr(outcome(kind, value))


@pytest.mark.parametrize("name", sorted(LEAVES))
@given(value=ANYTHING)
def test_scalars_and_lists_of_them_are_read_to_the_same(name, value):
    for text in (name, f"{name}!", f"[{name}]", f"[{name}!]!"):
        kind = _kind(text)
        try:
            found = from_json(kind)(value)
        except Unread:
            continue
        assert repr(found) == repr(coerce_input_value(value, kind))


def _kind(text: str) -> Any:
    from graphql import parse_type, type_from_ast

    return type_from_ast(SCHEMA._schema, parse_type(text))
