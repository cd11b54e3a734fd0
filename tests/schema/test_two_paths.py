"""Whatever is asked, and whoever asks it: both ways of reading give the same answer, to the byte.

pytest tests/schema/test_two_paths.py --cases 50000 --seed 7
pytest tests/schema/test_two_paths.py --seed 7 --case 1234
"""

from collections.abc import Iterator, Sequence

import pytest
import sqlalchemy as sa
from graphql import GraphQLNamedType, GraphQLObjectType, GraphQLSchema, get_named_type, is_abstract_type

from models.money import Currency
from tests.schema.authors import Asked, Case, Inline, Part, case
from tests.schema.differ import Figures
from tests.schema.town import Town

CASES_EACH = 100
"""How many cases one test asks: enough to tell how they are on the whole."""

FULL_MIN, ERRORS_MIN, ERRORS_MAX = 0.6, 0.04, 0.3
FIELDS_CASES = 1_200


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Cut the cases into parts, which several processes may share."""
    if "part" in metafunc.fixturenames:
        option = metafunc.config.getoption
        only, many = option("--case"), option("--cases")
        parts = [range(at, min(at + CASES_EACH, many)) for at in range(0, many, CASES_EACH)]
        if only is not None:
            parts = [range(only, only + 1)]
        metafunc.parametrize("part", parts, ids=[f"{part.start}-{part.stop - 1}" for part in parts])


async def test_both_ways_answer_alike(town: Town, part: range) -> None:
    differ = town.differ()

    for number in part:
        difference = await differ.compare(town.case(number))
        assert difference is None, str(await differ.least(difference))

    if len(part) == CASES_EACH:
        must_be_worth_it(differ.figures)


def must_be_worth_it(figures: Figures) -> None:
    """Most cases are answered with something, and some are refused."""
    assert figures.share("full") >= FULL_MIN, figures
    assert ERRORS_MIN <= figures.share("errors") <= ERRORS_MAX, figures


async def test_every_field_is_asked_for(town: Town) -> None:
    asked = {pair for number in range(FIELDS_CASES) for pair in pairs(town.schema, town.case(number))}

    assert set(reachable(town.schema)) <= asked


async def test_there_is_one_of_everything_in_every_state(town: Town) -> None:
    node = town.schema.type_map["Node"]
    assert is_abstract_type(node)
    assert {kind.name for kind in town.schema.get_possible_types(node)} <= set(town.stock.ids)

    for kind in {type(row) for row in town.crowd.rows}:
        for column in kind.__table__.columns:
            if isinstance(column.type, sa.Enum) and column.type.enum_class is not Currency:
                found = {vars(row).get(column.key) for row in town.crowd.rows if type(row) is kind}
                assert found >= set(column.type.enum_class or ()), (kind, column.key)


async def test_a_case_is_made_of_its_number_alone(town: Town) -> None:
    for number in (0, 1, 77):
        one, other = (case(town.schema, town.stock, 5, number) for _ in range(2))
        assert (one.document, one.values, one.viewer) == (other.document, other.values, other.viewer)


def pairs(schema: GraphQLSchema, one: Case) -> Iterator[tuple[str, str]]:
    """What a case asks for: types and their fields."""
    assert schema.query_type is not None
    waiting: list[tuple[GraphQLNamedType, Sequence[Part]]] = [(schema.query_type, one.parts)]
    waiting += [(schema.type_map[fragment.on], fragment.parts) for fragment in one.fragments.values()]
    while waiting:
        kind, parts = waiting.pop()
        for part in parts:
            if isinstance(part, Asked):
                yield kind.name, part.name
                known = getattr(kind, "fields", {}).get(part.name)
                if known and part.parts:
                    waiting.append((get_named_type(known.type), part.parts))
            elif isinstance(part, Inline):
                waiting.append((schema.type_map[part.on] if part.on else kind, part.parts))


def reachable(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """Every field of every type that a query leads to."""
    assert schema.query_type is not None
    waiting, known = [schema.query_type.name], {schema.query_type.name}
    while waiting:
        kind = schema.type_map[waiting.pop()]
        names = [one.name for one in schema.get_possible_types(kind)] if is_abstract_type(kind) else []
        if isinstance(kind, GraphQLObjectType):
            yield from ((kind.name, name) for name in kind.fields)
            names = [get_named_type(field.type).name for field in kind.fields.values()]
        waiting += [name for name in dict.fromkeys(names) if name not in known]
        known |= set(names)
