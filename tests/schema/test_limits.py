"""Operations measured before they run."""

from dataclasses import replace

import pytest
import strawberry
from graphql import build_schema, get_introspection_query, parse
from hypothesis import given, settings
from hypothesis import strategies as st

import loaders.accounts
from schema.edges import many
from schema.limits import Limits, Ruler

SCHEMA = build_schema("""
    type Query {
        me: Person
        node(id: ID): Node
        nodes(ids: [ID!]!): [Node]!
        chosen(ids: [ID!]): Person
        people: [Person!]!
        table: [[Person]]
        tags: [String!]
        newest(first: Int): [Person!]!
        jobs(first: Int, last: Int): JobConnection!
    }
    interface Node { id: ID }
    type Person implements Node {
        id: ID name: String friend: Person friends: [Person] jobs(first: Int): JobConnection!
    }
    type JobConnection { edges: [JobEdge!]! nodes: [Job!]! pageInfo: PageInfo! totalCount: Int! }
    type JobEdge { node: Job! cursor: String! }
    type PageInfo { endCursor: String }
    type Job { id: ID title: String owner: Person }
""")
RULER = Ruler(SCHEMA)


@strawberry.type
class Part:
    name: str


@strawberry.type
class Whole:
    parts: list[Part] = many("Up to a hundred.", loaders.accounts.items, at_most=100)
    few: list[Part] = many("A handful.", loaders.accounts.items)


def measure(text):
    (only,) = RULER.measure(parse(text)).values()
    return only


def cost(text, **variables):
    return measure(text).cost(variables)


def excesses(text, **limits):
    return [excess.message for excess in RULER.excesses(measure(text).extent, Limits(**limits))]


# Cost


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ tags }", 0),
        ("{ me { name } }", 1),
        ("{ me { friend { name } } }", 2),
        ("{ people { name } }", 10),
        ("{ people { friend { name } } }", 20),
        ("{ people { friends { name } } }", 110),
        ("{ table { name } }", 100),
        ("{ newest(first: 3) { name } }", 3),
        ("{ newest { name } }", 20),
        ("{ jobs { totalCount } }", 1),
        ("{ jobs { nodes { id } } }", 21),
        ("{ jobs { edges { node { id } } } }", 21),
        ("{ jobs { edges { cursor } pageInfo { endCursor } } }", 22),
        ("{ jobs(first: 5) { nodes { id } } }", 6),
        ("{ jobs(last: 5) { nodes { id } } }", 6),
        ("{ jobs(first: 5, last: 7) { nodes { id } } }", 8),
        ("{ jobs(first: null) { nodes { id } } }", 21),
        ("{ jobs(first: 0) { nodes { id } } }", 2),
        ("{ jobs(first: -50) { nodes { id } } }", 2),
        ("{ jobs(first: 10) { nodes { owner { jobs(first: 10) { nodes { id } } } } } }", 1 + 10 * (1 + 1 + 1 + 10)),
        ("{ jobs(first: 10) { nodes { owner { friends { name } } } } }", 1 + 10 * (1 + 1 + 10)),
        ("{ a: me { name } b: me { name } }", 2),
        ("{ node(id: 1) { ... on Person { friend { name } } } }", 2),
        ("{ nodes(ids: [1, 2, 3]) { id } }", 3),
        ('{ nodes(ids: "only") { id } }', 1),
        ("{ nodes(ids: []) { id } }", 1),
        ("{ nodes { id } }", 10),
        ("{ nodes(ids: [1, 2, 3]) { ... on Person { jobs(first: 5) { nodes { id } } } } }", 3 * (1 + 1 + 5)),
        ("{ chosen(ids: [1, 2, 3]) { name } }", 1),
        ("{ unknown { name } }", 0),
        ("{ me }", 1),
    ],
)
def test_an_operation_costs_one_for_each_object_it_may_bring(text, expected):
    assert cost(text) == expected


def test_variables_say_how_long_a_page_is():
    text = "query ($n: Int) { jobs(first: $n) { nodes { owner { jobs(first: $n) { nodes { id } } } } } }"
    operation = measure(text)

    assert operation.cost({"n": 3}) == 1 + 3 * (1 + 1 + 1 + 3)
    assert operation.cost({"n": 3}) == 1 + 3 * (1 + 1 + 1 + 3)
    assert operation.cost({"n": 5}) == 1 + 5 * (1 + 1 + 1 + 5)
    assert operation.cost({}) == operation.cost({"n": None}) == 1 + 20 * (1 + 1 + 1 + 20)


def test_a_variable_that_is_no_number_says_nothing():
    assert cost("query ($n: Any) { jobs(first: $n) { nodes { id } } }", n=["unhashable"]) == 21


def test_variables_say_how_many_are_named():
    text = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Person { jobs(first: 5) { nodes { id } } } } }"
    operation = measure(text)

    assert operation.cost({"ids": ["a"] * 100}) == 100 * (1 + 1 + 5)
    assert operation.cost({"ids": ["a"] * 7}) == 7 * (1 + 1 + 5)
    assert operation.cost({"ids": []}) == 1 + 1 + 5
    assert operation.cost({}) == 10 * (1 + 1 + 5)


def test_a_declared_list_is_as_long_as_it_says():
    schema = strawberry.Schema(Whole)
    (measured,) = Ruler(schema._schema).measure(parse("{ parts { name } few { name } }")).values()

    assert measured.cost({}) == 100 + 10


def test_what_is_remembered_of_costs_is_bounded():
    operation = measure("query ($n: Int) { jobs(first: $n) { nodes { id } } }")

    assert [operation.cost({"n": n}) for n in range(1, 500)] == [1 + n for n in range(1, 500)]
    assert len(operation._costs) <= 64


def test_a_number_too_long_to_read_is_too_costly():
    assert cost("{ jobs(first: " + "9" * 10_000 + ") { nodes { id } } }") > 1_000_000_000


def test_a_page_reaches_through_fragments():
    text = """
        { jobs(first: 3) { ...Page } newest(first: 4) { ...Person } }
        fragment Page on JobConnection { edges { ...Edge } ... { nodes { id } } }
        fragment Edge on JobEdge { node { owner { ...Person } } }
        fragment Person on Person { friend { name } }
    """
    assert cost(text) == (1 + 3 * (1 + 1 + 1) + 3) + 4 * (1 + 1)


# Everything else


def test_depth_is_counted_through_fragments():
    assert measure("{ me { friend { name } } }").extent.depth == 3
    assert (
        measure(
            "{ ...F } fragment F on Query { me { ... { friend { ...G } } } } fragment G on Person { name }"
        ).extent.depth
        == 3
    )


def test_aliases_and_repeats_count_alike():
    assert measure("{ a: me { id } b: me { x: id } }").extent.aliases == 3
    assert measure("{ me { id id id } }").extent.aliases == 2
    assert measure("{ me { ...F ...F } } fragment F on Person { a: id id }").extent.aliases == 2
    assert measure("{ me { id ... { id } ... { ... { x: id } } } }").extent.aliases == 2
    assert measure("{ node { ... on Person { id } ... on Job { id } } }").extent.aliases == 0


def test_root_fields_are_counted_and_named_through_fragments():
    extent = measure("{ tags ...F ... { x: tags } } fragment F on Query { me { id } people { id } }").extent

    assert extent.fields == 4
    assert extent.names == {"tags", "me", "people"}


def test_every_operation_of_a_document_is_measured():
    measures = RULER.measure(parse("query A { me { id } } query B { people { id } } mutation C { x }"))

    assert [one.cost({}) for one in measures.values()] == [1, 10, 0]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"depth": 2}, "The operation is 3 levels deep; at most 2 are allowed."),
        ({"aliases": 0}, "The operation renames or repeats 1 fields; at most 0 are allowed."),
        ({"root_fields": 1}, "The operation has 2 root fields; at most 1 are allowed."),
    ],
)
def test_an_excess_says_the_limit_and_what_was_found(limits, said):
    text = "{ me { friend { name } } x: tags }"

    assert excesses(text) == []
    assert excesses(text, **limits) == [said]


# Introspection


def test_the_standard_introspection_is_within_limits():
    newest = dict.fromkeys(
        ("specified_by_url", "directive_is_repeatable", "schema_description", "input_value_deprecation", "one_of"), True
    )

    assert excesses(get_introspection_query()) == excesses(get_introspection_query(**newest)) == []
    assert cost(get_introspection_query(**newest)) < Limits().cost


@pytest.mark.parametrize(
    "text",
    [
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
        "{ __schema {" + "".join(f"a{n}: types {{ fields {{ name }} }} " for n in range(20)) + "} }",
        "{ __schema { types { ofType " + "{ ofType " * 20 + "{ name }" + "}" * 20 + "} } }",
        '{ ...F } fragment F on Query { __type(name: "Job") { ...T } } fragment T on __Type { '
        "fields { type { fields { type { fields { type { fields { name } } } } } } } }",
    ],
)  # fmt: skip
def test_introspection_goes_no_further_than_the_standard_one(text):
    assert any("introspection" in message for message in excesses(text))


# Fragments

UNFOLDED_NEVER = pytest.mark.timeout(20)
"""Whoever follows every spread does not end in this universe's time, and is stopped."""


@UNFOLDED_NEVER
def test_doublings_are_measured_in_linear_time():
    spreads = "".join(
        f" fragment F{n} on Person {{ x: friend {{ ...F{n + 1} }} y: friend {{ ...F{n + 1} }} }}" for n in range(50)
    )
    text = "{ me { ...F0 } }" + spreads + " fragment F50 on Person { jobs(first: 9) { nodes { id } } }"

    operation = measure(text)
    total = operation.cost({})

    assert total == 1 + 2 * (2**50 - 1) + 2**50 * 10
    assert (operation.extent.depth, operation.extent.aliases) == (54, 2 * (2**50 - 1))


@UNFOLDED_NEVER
def test_doublings_of_introspection_are_measured_in_linear_time():
    spreads = "".join(f" fragment F{n} on __Type {{ ...F{n + 1} x: ofType {{ ...F{n + 1} }} }}" for n in range(40))
    text = (
        "{" + "".join(f"a{n}: __schema {{ types {{ ...F0 }} }} " for n in range(100)) + "}" + spreads
        + " fragment F40 on __Type { fields { name } }"
    )  # fmt: skip

    assert excesses(text)


@pytest.mark.parametrize(
    "text",
    [
        "{ ...F } fragment F on Query { ...F }",
        "{ ...F } fragment F on Query { me { id } ...G } fragment G on Query { ...F tags }",
        "{ me { ...F } } fragment F on Person { friend { ...F } }",
        "{ ...Missing }",
        "{ ...F } fragment F on Missing { me { id } }",
        "{ ... on Missing { me { id } } }",
        "mutation { a { b } }",
    ],
)
def test_what_validation_will_refuse_is_measured_without_a_fall(text):
    assert measure(text).cost({}) >= 0


def selections(names):
    leaf = st.sampled_from(["name", "x: name", "id", *(f"...F{name}" for name in names)])
    inner = st.recursive(
        leaf,
        lambda part: st.builds(
            "{} {{ {} }}".format,
            st.sampled_from(["friend", "y: friend", "friends", "... on Person"]),
            st.lists(part, min_size=1, max_size=3).map(" ".join),
        ),
        max_leaves=6,
    )
    return st.lists(inner, min_size=1, max_size=4).map(" ".join)


@st.composite
def fragments(draw):
    """Some fragments; each spreads only later ones."""
    return [draw(selections(range(n + 1, 5))) for n in range(5)]


@settings(max_examples=25)
@given(fragments())
def test_a_fragment_measures_as_if_it_were_written_out(bodies):
    written_out = list(bodies)
    for n in reversed(range(5)):
        for later in range(n + 1, 5):
            written_out[n] = written_out[n].replace(f"...F{later}", f"... {{ {written_out[later]} }}")
    spread = "{ me { ...F0 } }" + "".join(f" fragment F{n} on Person {{ {body} }}" for n, body in enumerate(bodies))

    short, long = measure(spread), measure(f"{{ me {{ ... {{ {written_out[0]} }} }} }}")

    # Except for repeats: those of one fragment in another are how clients compose.
    assert replace(short.extent, aliases=0) == replace(long.extent, aliases=0)
    assert short.cost({}) == long.cost({})
