"""A query is answered by one statement, if it can be; else by whoever calls this, in the ordinary way.

A mutation, and each event of a subscription, runs in the ordinary way up to the row that it shows; what is asked of
that row is one statement again, after the transaction. It is read only where other rows are asked for too.

What was planned is kept, by operation and by the parts that its directives include, and with it the statements for each
audience and shape of the slots. What was asked for once only makes way first: a flood of documents that nobody asks
twice takes nothing from those that everybody asks, neither here nor on the lines to Postgres.
"""

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import orjson
import strawberry
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    execute_subscription_event,
)
from graphql.execution.collect_fields import FieldDetails

from loaders.accounts import IS_STILL_SIGNED_IN
from loaders.compile import HOLE, UNSAID, Shape, Statement, statement
from models.base import NOW, WALL, Audience, Base
from models.errors import Busy, Refusal
from resolvers.context import Context, Sequel
from schema.plans import INTROSPECTION, ROW, Bound, Deed, Plan, Planner, Unplanned, Values

log = structlog.get_logger(__name__)

KEPT_BYTES_MAX = 32_000_000
"""What all plans and statements kept may take, as estimated."""

NEW_BYTES_MAX = 8_000_000
"""What those among them may take that were asked for once only."""

BYTES_A_CHARACTER = 30
"""What a plan takes for each character of its document, at most, as measured."""

STATEMENTS_MAX = 32
"""Statements kept of one plan; who asks in more ways than that begins anew."""

Key: TypeAlias = tuple[Hashable, ...]

Kind: TypeAlias = tuple[Audience, tuple[Shape, ...], bool]
"""Whose eyes a statement looks with, at what, and whether it has to see first that they are still hers."""

TIMES = frozenset({NOW.key, WALL.key})
"""The parameters of a statement that are the moment it is asked at."""

MARK, EDGE, NOTHING = UNSAID.encode(), HOLE.encode(), b"null"


@dataclass(slots=True, eq=False)
class Planned:
    """A plan and its statements; or why there is none, in a word; or the answer itself, where it never changes."""

    key: Key
    plan: "Plan | Deed | str | bytes"
    bytes: int
    is_known: bool = False
    """Whether it was asked for again."""
    statements: dict[Kind, Statement] = field(default_factory=dict)


class Shelf:
    """What was planned lately: new things on one board, what was asked for again on another, each with its room."""

    def __init__(self, most: int = KEPT_BYTES_MAX, most_new: int = NEW_BYTES_MAX) -> None:
        self._boards: tuple[OrderedDict[Key, Planned], OrderedDict[Key, Planned]] = OrderedDict(), OrderedDict()
        self._room = most_new, most - most_new
        self._taken = [0, 0]

    def get(self, key: Key) -> Planned | None:
        """What is kept under a key; what is asked for again is known from then on."""
        new, known = self._boards
        if found := known.get(key):
            known.move_to_end(key)
            return found
        if found := new.pop(key, None):
            self._taken[False] -= found.bytes
            found.is_known = True
            self.put(found)
        return found

    def put(self, planned: Planned) -> None:
        """Keep something."""
        self._boards[planned.is_known][planned.key] = planned
        self._grow(planned, planned.bytes)

    def add(self, planned: Planned, kind: Kind, made: Statement) -> None:
        """Keep a statement of something that is kept."""
        if self._boards[planned.is_known].get(planned.key) is not planned:
            return
        more = len(made.text)
        if len(planned.statements) >= STATEMENTS_MAX:
            more -= sum(len(old.text) for old in planned.statements.values())
            planned.statements.clear()
        planned.statements[kind] = made
        self.grow(planned, more)

    def grow(self, planned: Planned, by: int) -> None:
        """Take notice that something that is kept has grown."""
        if self._boards[planned.is_known].get(planned.key) is planned:
            planned.bytes += by
            self._grow(planned, by)

    def _grow(self, planned: Planned, by: int) -> None:
        board, room = self._boards[planned.is_known], self._room[planned.is_known]
        self._taken[planned.is_known] += by
        while self._taken[planned.is_known] > room and board:
            _, dropped = board.popitem(last=False)
            self._taken[planned.is_known] -= dropped.bytes

    @property
    def bytes(self) -> int:
        """What all of it takes, as estimated."""
        return sum(self._taken)

    def __len__(self) -> int:
        return sum(map(len, self._boards))


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """An operation, with its variables, as far as a plan depends on it."""

    document: DocumentNode
    node: OperationDefinitionNode
    key: Key
    """Tells it from all others, but for the variables that only fill slots."""
    values: Values


@dataclass(frozen=True, slots=True, eq=False)
class Asking:
    """A statement that is asked, and what its answer is read by."""

    plan: Plan
    values: Values
    made: Statement
    arguments: list[Any]
    keep: bool

    async def ask(self, context: Context, *, shared: bool = False) -> bytes | None:
        """Ask it; once for all who ask the same at the same moment, if it is shared."""
        ask = partial(context.answers.value, self.made.text, self.arguments, keep=self.keep)
        return await (context.together.ask(_same(self.made, self.arguments, context), ask) if shared else ask())

    def told(self, data: bytes | None, context: Context) -> bytes:
        """Read the answer."""
        if data is None:
            raise Unplanned("signed out")
        if MARK in data:
            raise Unplanned("unsaid")
        return _filled(data, self.plan, self.values, context) if self.plan.fillings else data


class Compiler:
    """Answers queries by one statement each, and whatever is asked of a row that a mutation or an event shows."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self.shelf = Shelf()
        self.taken: Counter[str] = Counter()
        """How many queries, and rows, were answered by one statement (`compiled`, `row`); or why they were not."""
        self._planner = Planner(schema)

    async def answer(self, asked: Question, context: Context) -> bytes | None:
        """Give the JSON of a query's `data`; nothing where the ordinary way has to be taken."""
        try:
            planned = self.shelf.get(asked.key) or self._planned(
                asked, asked.key, lambda: self._planner.operation(asked.document, asked.node, asked.values)
            )
            found = await self._answered(planned, asked, context)
        except Unplanned as unplanned:
            self.taken[unplanned.reason] += 1
            return None
        except Busy:
            # Whoever waited in vain for a line, or for an answer, would only wait once more.
            self.taken["busy"] += 1
            raise
        except Exception:
            # Whatever it is, the ordinary way finds it too, and says it as it has to be said, or has an answer.
            self.taken["failed"] += 1
            log.warning("compiled", failed=True, exc_info=True)
            return None
        self.taken["compiled"] += 1
        return found

    async def _answered(self, planned: Planned, asked: Question, context: Context) -> bytes:
        if isinstance(planned.plan, bytes):
            if context.is_recalled:
                raise Unplanned(INTROSPECTION, "nobody has looked yet whether she is signed in")
            return planned.plan
        asking = self._asking(planned, asked, context, {})
        return asking.told(await asking.ask(context), context)

    async def row(
        self, asked: Question, kind: GraphQLObjectType, details: list[FieldDetails], row: Base, context: Context
    ) -> bytes | None:
        """Give the JSON of what is asked of a row; nothing where it is to be read in the ordinary way."""
        try:
            key: UUID = row.id  # type: ignore[attr-defined]  # whatever is found by its id has one
            asking = self.asking(asked, kind, details, type(row), key, context)
            # What happens is told to many at once; what somebody did, to nobody but her.
            shared = asked.node.operation is OperationType.SUBSCRIPTION
            found = asking.told(await asking.ask(context, shared=shared), context)
        except Unplanned as unplanned:
            self.taken[f"row {unplanned.reason}"] += 1
            return None
        except Exception:
            # What was done is done: the ordinary way says what has become of it, whatever it was that failed.
            self.taken["row failed"] += 1
            log.warning("compiled", failed=True, exc_info=True)
            return None
        if found == NOTHING:
            self.taken["row unseen"] += 1
            return None
        self.taken["row"] += 1
        return found

    def asking(
        self,
        asked: Question,
        kind: GraphQLObjectType,
        details: list[FieldDetails],
        model: type[Base],
        key: UUID,
        context: Context,
    ) -> "Asking":
        """What is asked of a row of a model."""
        where = tuple([detail.node.loc.start if detail.node.loc else 0 for detail in details])
        place = (*asked.key, kind.name, where)
        planned = self.shelf.get(place) or self._planned(
            asked, place, lambda: self._planner.row(asked.document, asked.node, asked.values, kind, details, model)
        )
        return self._asking(planned, asked, context, {ROW: key})

    def deed(self, asked: Question) -> Deed | None:
        """What a mutation does, if it does one thing."""
        planned = self.shelf.get(asked.key) or self._planned(
            asked, asked.key, lambda: self._planner.deed(asked.document, asked.node, asked.values)
        )
        return planned.plan if isinstance(planned.plan, Deed) else None

    def _asking(self, planned: Planned, asked: Question, context: Context, bound: Bound) -> "Asking":
        plan, values = planned.plan, asked.values
        if isinstance(plan, str):
            raise Unplanned(plan)
        assert isinstance(plan, Plan)
        try:
            shapes = tuple([fill(values, context, bound) for fill in plan.slots])
        except Refusal as refusal:
            raise Unplanned("refused", refusal.message) from refusal
        viewer = context.viewer
        audience = viewer.audience if viewer else Audience.PUBLIC
        kind = (audience, shapes, context.is_recalled)
        made = planned.statements.get(kind)
        if made is None:
            made = statement(plan.value, audience, shapes, IS_STILL_SIGNED_IN if context.is_recalled else None)
            self.shelf.add(planned, kind, made)
        return Asking(plan, values, made, context.arguments(made.parameters, bound), planned.is_known)

    def remember(self, asked: Question, data: bytes) -> None:
        """Answer a question that has no variables always like this from now on: what is known of a schema stays so."""
        planned = self.shelf.get(asked.key)
        if planned is not None and planned.plan == INTROSPECTION:
            planned.plan = data
            self.shelf.grow(planned, len(data))

    def known(self, asked: Question) -> bytes | None:
        """Give what was remembered."""
        planned = self.shelf.get(asked.key)
        if planned is None or not isinstance(planned.plan, bytes):
            return None
        self.taken["compiled"] += 1
        return planned.plan

    def _planned(self, asked: Question, key: Key, plan: "Callable[[], Plan | Deed]") -> Planned:
        try:
            made: Plan | Deed | str = plan()
        except Unplanned as unplanned:
            made = unplanned.reason
        size = asked.document.loc.end if asked.document.loc else 0
        planned = Planned(key, made, BYTES_A_CHARACTER * size)
        self.shelf.put(planned)
        return planned


class Showing:
    """How the row is shown that a mutation answers with: its verb may ask for that with what writes it."""

    def __init__(self, compiler: "Compiler", asked: Question, deed: Deed, context: Any) -> None:
        self._compiler, self._asked, self._deed = compiler, asked, deed
        self._asking: Asking | None = None
        self._sequel: Sequel | None = None
        # Only who is remembered has something written by a single message.
        self._may_ask = isinstance(context, Context) and context.is_recalled
        self._context = context

    def to_verb(self) -> Any:
        """What the verb is to be given; not kept here, so that all of it is gone when the operation is over."""
        return self._context.renewed(showing=self._ask) if self._may_ask else self._context

    def _ask(self, model: type[Base], key: UUID) -> Sequel | None:
        """What is asked of this row."""
        with suppress(Unplanned):
            if kind := self._deed.kinds.get(model):
                # Whoever asks for it has seen by then whether she is signed in yet.
                seen = self._context.renewed(is_recalled=False)
                self._asking = self._compiler.asking(self._asked, kind, self._deed.details, model, key, seen)
                self._sequel = Sequel(self._asking.made.text, self._asking.arguments)
        return self._sequel

    async def told(self, found: Any) -> bytes | None:
        """Give the JSON of the answer's data; nothing if what was found is no row, or is for the ordinary way."""
        kind = self._deed.kinds.get(type(found))
        if kind is None:
            return None
        data = self._told_already()
        if data is None:
            data = await self._compiler.row(self._asked, kind, self._deed.details, found, self._context)
        return None if data is None else b'{"%s":%s}' % (self._deed.name.encode(), data)

    def _told_already(self) -> bytes | None:
        if self._asking is None or self._sequel is None or self._sequel.value in {None, NOTHING}:
            return None
        with suppress(Unplanned):
            data = self._asking.told(self._sequel.value, self._context)
            self._compiler.taken["row"] += 1
            return data
        return None


def showing_rows(executor: type[Executor[Any]], compiler: Compiler) -> type[Executor[Any]]:
    """Make an executor that asks one statement for all that is asked of a row a mutation or an event shows."""

    class ShowingRows(executor):  # type: ignore[valid-type, misc]  # which one it is, the schema says
        asked: Question | None = None
        declined: frozenset[Any] = frozenset()
        """Where a row was shown in the ordinary way; so is what is under it, which is read a level at a time."""
        outcome: Awaitable[Any] | None = None
        """What has come of the one field of a mutation, if that was carried out already."""

        def execute_field(
            self, parent: GraphQLObjectType, source: Any, details: list[FieldDetails], path: Any, position: Any
        ) -> Any:
            if self.outcome is None or path.prev:
                return super().execute_field(parent, source, details, path, position)
            known = parent.fields[details[0].node.name.value]
            info = self.build_resolve_info(known, [one.node for one in details], parent, path)
            return self.complete_awaitable_value(known.type, details, info, path, self.outcome, position)

        def collect_and_execute_subfields(
            self, return_type: GraphQLObjectType, details: list[FieldDetails], path: Any, result: Any, position: Any
        ) -> Any:
            ordinary = partial(super().collect_and_execute_subfields, return_type, details, path, result, position)
            asked = self.asked
            if asked is None or not isinstance(result, Base) or self.context_value.viewer is None:
                return ordinary()
            if path.prev and (path.prev.prev or path.prev in self.declined):
                return ordinary()

            async def shown() -> Any:
                data = await compiler.row(asked, return_type, details, result, self.context_value)
                if data is not None:
                    return orjson.Fragment(data)
                self.declined |= {path}
                found = ordinary()
                return await found if self.is_awaitable(found) else found

            return shown()

    return ShowingRows


async def shown_each(executor: Executor[Any]) -> ExecutionResult:
    """Show an event to one follower."""
    found: Any = execute_subscription_event(executor)
    shown: ExecutionResult = await found if executor.is_awaitable(found) else found
    return shown


def shown_once(asked: Question, raw: Mapping[str, Any]) -> Callable[[Executor[Any]], Awaitable[ExecutionResult]]:
    """Show an event once for all windows of a session that follow in the same words, and hear of it at the same time.

    Windows of other sessions of hers, with other rights perhaps, have the statement in common with them alone, where
    it does not ask which session it is.
    """
    variables = orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)

    def show(executor: Executor[Any]) -> Awaitable[ExecutionResult]:
        context, place = executor.context_value, getattr(executor.root_value, "cursor", None)
        if place is None or not isinstance(context, Context) or context.viewer is None:
            return shown_each(executor)
        viewer = context.viewer
        whose = context.answers, viewer.id, tuple(viewer.roles), context.session_id
        return context.together.ask((asked.key, variables, place, *whose), partial(shown_each, executor))

    return show


def _same(made: Statement, arguments: list[Any], context: Context) -> Hashable:
    """What tells a statement with its arguments from all others; what time it is, those who ask at once agree on."""
    told = [
        tuple(value) if isinstance(value, list) else value
        for name, value in zip(made.parameters, arguments, strict=True)
        if name not in TIMES
    ]
    return (context.answers, made.text, *told)


def _filled(data: bytes, plan: Plan, values: Values, context: Context) -> bytes:
    """Fill the holes."""
    parts: list[bytes] = []
    at = 0
    # In long texts `find` is ten times as fast as `split`.
    while (start := data.find(EDGE, at)) >= 0:
        end = data.index(EDGE, start + 1)
        number, _, payload = data[start + 1 : end].partition(b",")
        parts += data[at:start], plan.fillings[int(number)](payload, values, context)
        at = end + 1
    return b"".join((*parts, data[at:]))
