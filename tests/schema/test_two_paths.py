"""Whatever is asked, and whoever asks it: both ways of reading give the same answer, to the byte.

pytest tests/schema/test_two_paths.py --cases 50000 --seed 7
pytest tests/schema/test_two_paths.py --seed 7 --case 1234
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import replace

import orjson
import pytest
import sqlalchemy as sa
from graphql import GraphQLNamedType, GraphQLObjectType, GraphQLSchema, OperationType, get_named_type, is_abstract_type

import loaders.activity
import resolvers.activity
from models.activity import Event
from resolvers.activity import EVENTS_MAX
from resolvers.context import Context
from tests.loaders.counting import statements
from tests.schema.authors import TYPENAME, Asked, Case, Inline, Part, case, echo, edge_of
from tests.schema.differ import Difference, Figures, plain
from tests.schema.test_declared import EVENTS, PARTS, UNDECLARED
from tests.schema.test_differ import compiled_writes_moments_otherwise
from tests.schema.town import Town, compiled_of, shown_of

pytestmark = pytest.mark.timeout(600)

CASES_EACH = 50
"""How many cases one test asks."""

CASES_ENOUGH = 250
"""After how many cases it can be told how they are on the whole."""

COMPILED_MIN = 0.95
"""How many of the answers without errors, to questions about what is declared, are made by one statement each."""

LEFT = {
    (kind, name)
    for why, kinds in UNDECLARED.items()
    if why not in {EVENTS, PARTS}
    for kind in kinds
    for name in kinds[kind].split()
}
"""What is not declared, but for the parts of what is, and for what is around it."""

SHOWN_MAX = 3
"""Of how many differences the least is looked for."""

FULL_MIN, ERRORS_MIN, ERRORS_MAX = 0.6, 0.04, 0.3
FIELDS_CASES = 6_000
DEEDS, DEEDS_DONE_MIN, SHOWN_MIN = 150, 8, 0.6
FOLLOWED, FOLLOWED_BY_ALL, TOLD_MIN, SHOWN_TO_FOLLOWERS_MIN = 200, 40, 0.2, 20
SHARED = "contractChanged"
"""What several people follow on one stream."""


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
    differ, found = town.differ(), []

    for asked in map(town.case, part):
        fine, compiled = differ.figures.fine, compiled_of(town.operations)
        if difference := await differ.compare(asked):
            found.append(difference)
        if differ.figures.fine > fine and known_at_once(town.schema, asked):
            town.declared += 1
            town.compiled += compiled_of(town.operations) - compiled
    shown = [str(await differ.least(difference)) for difference in found[:SHOWN_MAX]]

    assert not found, "\n\n".join((f"{len(found)} of {len(part)} differ.", *shown))
    town.figures.add(differ.figures)
    if town.figures.cases >= CASES_ENOUGH:
        must_be_worth_it(town.figures)
        assert town.compiled >= COMPILED_MIN * town.declared, (town.compiled, town.declared, town.operations.taken)


def known_at_once(schema: GraphQLSchema, asked: Case) -> bool:
    """Whether nothing is asked for that is not declared, nor anything of the schema itself."""
    return not any(
        name.startswith("__") or (kind, name) in LEFT for kind, name in pairs(schema, asked) if name != TYPENAME
    )


async def test_what_was_done_is_shown_as_it_is_seen_afterwards(busy_town: Town) -> None:
    town, kinds, before = busy_town, Counter[str](), shown_of(busy_town.operations.taken)

    for number in range(DEEDS):
        kinds[await follow_up(town, town.deed(number))] += 1

    assert kinds["done"] >= DEEDS_DONE_MIN, kinds
    shown = shown_of(town.operations.taken) - before
    assert shown >= SHOWN_MIN * kinds["done"], (kinds, town.operations.taken)


async def follow_up(town: Town, done: Case) -> str:
    """Do something, see that its answer is right, and say what came of it."""
    answer = await town.ask(done, compiled=True)
    assert answer.startswith(b"{"), (done.document, done.values, answer)
    said = orjson.loads(answer)
    if "data" not in said or (said["data"] and said["data"]["done"]["__typename"] == "Refused"):
        # Nothing was done, so it can be asked for once more.
        difference = await town.differ().compare(done)
        assert difference is None, str(difference)
        return "refused"
    if "errors" in said:
        return "done, and not to be shown"
    shown = said["data"]["done"]
    again = echo(done, shown["__typename"], shown["theId"])
    seen = orjson.loads(await town.ask(again, compiled=False))["data"]["done"]
    if seen is None:
        return "done, and not to be seen"
    assert orjson.dumps(seen) == orjson.dumps(shown), (done.viewer, done.document, done.values, seen, shown)
    return "done"


async def told_again(ctx: Context, stream: str) -> AsyncIterator[Event]:
    """Everything that a stream has told until now."""
    async with ctx.reading() as session:
        events = await loaders.activity.after(session, stream, 0, EVENTS_MAX)
    for happened in events:
        ctx.loaders.forget()
        yield happened


@pytest.fixture
def streams_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let those who follow be told what has happened already, and no more."""
    monkeypatch.setattr(resolvers.activity, "follow", told_again)


@pytest.mark.usefixtures("streams_end")
async def test_what_happens_is_told_alike_in_both_ways(town: Town) -> None:
    differ, found, shown, taken = town.following(), [], 0, town.operations.taken

    for asked in map(town.subscription, range(FOLLOWED)):
        full, before = differ.figures.outcomes["full"], Counter(taken)
        if difference := await differ.compare(asked):
            found.append(difference)
        if known_at_once(town.schema, asked):
            assert taken["row undeclared"] == before["row undeclared"], asked.document
            if differ.figures.outcomes["full"] > full and shows_a_row(asked):
                assert shown_of(taken) > shown_of(before), asked.document
                shown += 1
    least = [str(await differ.least(difference)) for difference in found[:SHOWN_MAX]]

    assert not found, "\n\n".join((f"{len(found)} of {FOLLOWED} differ.", *least))
    assert differ.figures.share("full") >= TOLD_MIN, differ.figures
    assert differ.figures.share("errors") >= ERRORS_MIN, differ.figures
    assert shown >= SHOWN_TO_FOLLOWERS_MIN, taken


def shows_a_row(asked: Case) -> bool:
    """Whether a subscription asks for the row of its events in any case, and at its own place."""
    (event,) = asked.parts
    assert isinstance(event, Asked)
    return "@" not in asked.document and any(isinstance(part, Asked) and part.parts for part in event.parts or ())


class Breath:
    """Lets all who follow hear of what happens at the same time, when the last of them has begun, or given up."""

    def __init__(self, many: int) -> None:
        self._missing, self._begun = many, asyncio.Event()

    def arrive(self, _: object = None) -> None:
        """There is one less to wait for."""
        self._missing -= 1
        if self._missing <= 0:
            self._begun.set()

    async def told_again(self, ctx: Context, stream: str) -> AsyncIterator[Event]:
        """The last that a stream has told."""
        async with ctx.reading() as session:
            events = await loaders.activity.after(session, stream, 0, EVENTS_MAX)
        self.arrive()
        await self._begun.wait()
        for happened in events[-1:]:
            yield happened


async def test_nobody_is_told_what_others_are_told_who_follow_beside_her(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = [one for number in range(FOLLOWED * 3) if (one := town.subscription(number)).parts[0].name == SHARED]  # type: ignore[union-attr]
    told, differing = 0, 0
    with statements(town.house) as sent:
        for asked in shared[:FOLLOWED_BY_ALL]:
            everybody = [replace(asked, viewer=name) for name in town.viewers for _ in range(2)]
            breath = Breath(len(everybody))
            monkeypatch.setattr(resolvers.activity, "follow", breath.told_again)
            following = [asyncio.create_task(town.follow(one, compiled=True)) for one in everybody]
            for follower in following:
                # Those who began have been counted, and are so twice; but then it has begun already.
                follower.add_done_callback(breath.arrive)
            together = await asyncio.gather(*following)
            heard = [answer for answer in together if b'"data":[{' in answer]
            told, differing = told + len(heard), differing + (len(set(heard)) > 1)

            for one, answer in zip(everybody, together, strict=True):
                monkeypatch.setattr(resolvers.activity, "follow", Breath(1).told_again)
                alone = await town.follow(one, compiled=False)
                assert plain(alone) == plain(answer), str(Difference(one, alone, answer))
    assert differing
    assert len([text for text in sent if text.startswith("select convert_to")]) <= told / 2


@pytest.mark.usefixtures("streams_end")
async def test_harm_is_found_in_what_is_told(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_writes_moments_otherwise(monkeypatch, town)
    town = town.anew()
    differ = town.following()

    compared = [await differ.compare(town.subscription(number)) for number in range(FOLLOWED)]
    found = [difference for difference in compared if difference]

    assert found
    # What fails is told in the ordinary way, and shows nothing.
    assert all(difference.given.startswith(b"{") for difference in found)


def must_be_worth_it(figures: Figures) -> None:
    """Most cases are answered with something, and some are refused."""
    assert figures.share("full") >= FULL_MIN, figures
    assert ERRORS_MIN <= figures.share("errors") <= ERRORS_MAX, figures


async def test_every_field_is_asked_for(town: Town) -> None:
    members = {kind for name, known in town.stock.seen.items() if not name.startswith("admin") for kind in known}
    operators = set(town.stock.ids) - members
    left = set(reachable(town.schema, operators))

    for number in range(FIELDS_CASES):
        left -= set(pairs(town.schema, town.case(number)))
        if not left:
            return
    pytest.fail(f"nobody asks for {sorted(left)}")


async def test_there_is_one_of_everything_in_every_state(town: Town) -> None:
    node = town.schema.type_map["Node"]
    assert is_abstract_type(node)
    assert {kind.name for kind in town.schema.get_possible_types(node)} <= set(town.stock.ids)

    for kind in {type(row) for row in town.crowd.rows}:
        for column in kind.__table__.columns:
            if isinstance(column.type, sa.Enum) and column.key in {"state", "kind"}:
                found = {vars(row).get(column.key) for row in town.crowd.rows if type(row) is kind}
                assert found >= set(column.type.enum_class or ()), (kind, column.key)


async def test_a_case_is_made_of_its_number_alone(town: Town) -> None:
    for number in (0, 1, 77):
        one, other = (case(town.schema, town.stock, 5, number) for _ in range(2))
        assert (one.document, one.values, one.viewer) == (other.document, other.values, other.viewer)


def pairs(schema: GraphQLSchema, one: Case) -> Iterator[tuple[str, str]]:
    """What a case asks for: types and their fields."""
    root_type = schema.get_root_type(OperationType(one.keyword))
    assert root_type is not None
    waiting: list[tuple[GraphQLNamedType, Sequence[Part]]] = [(root_type, one.parts)]
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


def reachable(schema: GraphQLSchema, operators: Collection[str]) -> Iterator[tuple[str, str]]:
    """Every field of every type that a query leads to, but for what is put together by hand, and for operators."""
    assert schema.query_type is not None
    waiting, known = [schema.query_type.name], {schema.query_type.name}
    while waiting:
        kind = schema.type_map[waiting.pop()]
        names = [one.name for one in schema.get_possible_types(kind)] if is_abstract_type(kind) else []
        if isinstance(kind, GraphQLObjectType):
            is_declared = any(map(edge_of, kind.fields.values()))
            fields = {name: one for name, one in kind.fields.items() if edge_of(one) or not is_declared}
            yield from ((kind.name, name) for name in fields)
            names = [get_named_type(one.type).name for one in fields.values()]
        waiting += [name for name in dict.fromkeys(names) if name not in known and name not in operators]
        known |= set(names)
