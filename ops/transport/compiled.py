"""A query is answered by one statement, if it can be; else by whoever calls this, in the ordinary way.

What was planned is kept, by operation and by the parts that its directives include, and with it the statements for each
audience and shape of the slots. What was asked for once only makes way first: a flood of documents that nobody asks
twice takes nothing from those that everybody asks, neither here nor on the lines to Postgres.
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import strawberry
import structlog
from graphql import DocumentNode, OperationDefinitionNode

from loaders.accounts import IS_STILL_SIGNED_IN
from loaders.compile import HOLE, UNSAID, Shape, Statement, statement
from models.base import Audience
from models.errors import Busy, Refusal
from resolvers.context import Context
from schema.plans import Bound, Plan, Planner, Unplanned, Values

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

MARK, EDGE = UNSAID.encode(), HOLE.encode()


@dataclass(slots=True, eq=False)
class Planned:
    """A plan, or why there is none, in a word, and its statements."""

    key: Key
    plan: Plan | str
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
        planned.bytes += more
        self._grow(planned, more)

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


class Compiler:
    """Answers queries by one statement each."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self.shelf = Shelf()
        self.taken: Counter[str] = Counter()
        """How many queries were answered by one statement: `compiled`; or why they were not."""
        self._planner = Planner(schema)

    async def answer(
        self, document: DocumentNode, node: OperationDefinitionNode, key: Key, values: Values, context: Context
    ) -> bytes | None:
        """Give the JSON of a query's `data`; nothing where the ordinary way has to be taken."""
        try:
            found = await self._answer(document, node, key, values, context)
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

    async def _answer(
        self, document: DocumentNode, node: OperationDefinitionNode, key: Key, values: Values, context: Context
    ) -> bytes:
        planned = self.shelf.get(key) or self._planned(document, node, key, values)
        plan = planned.plan
        if isinstance(plan, str):
            raise Unplanned(plan)
        bound: Bound = {}
        try:
            shapes = tuple([fill(values, context, bound) for fill in plan.slots])
        except Refusal as refusal:
            raise Unplanned("refused", refusal.message) from refusal
        viewer = context.viewer
        audience = viewer.audience if viewer else Audience.PUBLIC
        kind = (audience, shapes, context.is_recalled)
        made = planned.statements.get(kind)
        if made is None:
            made = statement(plan.thing, audience, shapes, IS_STILL_SIGNED_IN if context.is_recalled else None)
            self.shelf.add(planned, kind, made)
        arguments = [bound[name] if name in bound else _common(name, context) for name in made.parameters]
        data: bytes | None = await context.answers.value(made.text, arguments, keep=planned.is_known)
        if data is None:
            raise Unplanned("signed out")
        if MARK in data:
            raise Unplanned("unsaid")
        return _filled(data, plan, values, context) if plan.fillings else data

    def _planned(self, document: DocumentNode, node: OperationDefinitionNode, key: Key, values: Values) -> Planned:
        try:
            plan: Plan | str = self._planner.operation(document, node, values)
        except Unplanned as unplanned:
            plan = unplanned.reason
        size = document.loc.end if document.loc else 0
        planned = Planned(key, plan, BYTES_A_CHARACTER * size)
        self.shelf.put(planned)
        return planned


def _common(name: str, context: Context) -> Any:
    """What a statement may know of any request."""
    match name:
        case "viewer_id":
            return context.viewer.id if context.viewer else None
        case "viewer_roles":
            return context.viewer.roles if context.viewer else []
        case "session_id":
            return context.session_id
        case "now":
            return context.now()
        case "wall":
            return context.now.wall()
    raise AssertionError(name)


def _filled(data: bytes, plan: Plan, values: Values, context: Context) -> bytes:
    """Fill the holes."""
    parts = data.split(EDGE)
    for at in range(1, len(parts), 2):
        number, _, payload = parts[at].partition(b",")
        parts[at] = plan.fillings[int(number)](payload, values, context)
    return b"".join(parts)
