"""From the text of an operation to its answer: read once, measured, prepared, run.

We drive graphql-core's executor ourselves rather than call `strawberry.Schema.execute`: that parses, validates and
checks again what is known already (ping: 59 µs here, 139 µs there), and hides whether an operation ever began,
which decides the HTTP status. Resolvers, field extensions and exception handlers are part of the schema and run
as ever; schema extensions would not, so a schema that has some is refused.
"""

from asyncio import FIRST_COMPLETED, Future, ensure_future, gather, get_running_loop, wait
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import orjson
import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    Undefined,
    VariableDefinitionNode,
    coerce_input_literal,
    create_source_event_stream,
    execute_root_selection_set,
    is_non_null_type,
    map_source_to_response_event,
    parse,
    specified_rules,
    type_from_ast,
    validate,
)
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from ops.transport.asked import Asked, asked, read_json
from ops.transport.compiled import Compiler, Question, Showing, showing_rows, shown_each, shown_once
from ops.transport.errors import (
    BAD_USER_INPUT,
    PARSE_FAILED,
    TOO_COSTLY,
    VALIDATION_FAILED,
    Rejected,
    coded,
    present,
    rejected,
)
from ops.transport.waiting import replace_gather
from resolvers.context import LongWay
from schema.inputs import FromJSON, Unread, from_json
from schema.limits import Limits, Measure, Ruler
from schema.plans import conditions_of

DOCUMENTS_KEPT_CHARS_MAX = 500_000
"""The texts of all documents kept. A parsed one takes up to 240 bytes a character: at worst 120 MB."""

BODIES_KEPT_BYTES_MAX = 250_000
"""The bodies of all queries kept; each keeps its document."""

RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)

OF_THE_SCHEMA = frozenset({"__schema", "__type", "__typename"})
"""Root fields that ask of the schema itself."""

Answer: TypeAlias = dict[str, Any]
"""What is sent: `data` (unless it never began), `errors` and `extensions` if any. Some of it only orjson can write."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """One operation of a document, as far as it is known without its variables."""

    name: str | None
    kind: str
    """What it is called: query, mutation, subscription."""
    node: OperationDefinitionNode
    measure: Measure
    variables: "tuple[Variable, ...]"

    def read(self, raw: Mapping[str, Any]) -> dict[str, Any] | None:
        """Read its variables, if they are as they should be; nothing where somebody has to look closer."""
        found: dict[str, Any] = {}
        try:
            for variable in self.variables:
                if variable.name in raw:
                    found[variable.name] = variable.read(raw[variable.name])
                elif variable.default is not Undefined:
                    found[variable.name] = variable.default
                elif variable.required:
                    return None
        except Unread:
            return None
        return found


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, and how its value is read where nothing is wrong with it."""

    name: str
    read: FromJSON
    required: bool
    default: Any


def _variable(schema: GraphQLSchema, node: VariableDefinitionNode) -> Variable:
    kind: Any = type_from_ast(schema, node.type)
    default = coerce_input_literal(node.default_value, kind) if node.default_value else Undefined
    return Variable(node.variable.name.value, from_json(kind), is_non_null_type(kind), default)


def _question(document: "Document", known: Known, values: dict[str, Any]) -> Question:
    key = (document.text, known.name, *[values.get(name) for name in document.conditions])
    return Question(document.ast, known.node, key, values)


def _known(schema: GraphQLSchema, node: OperationDefinitionNode, measures: Mapping[str | None, Measure]) -> Known:
    name = node.name.value if node.name else None
    variables = tuple(_variable(schema, variable) for variable in node.variable_definitions or ())
    return Known(name, node.operation.value, node, measures[name], variables)


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A text that was parsed, measured and found valid."""

    text: str
    ast: DocumentNode
    operations: dict[str | None, Known]
    conditions: tuple[str, ...]
    """The variables that decide which parts are included."""


@dataclass(slots=True, eq=False)
class Operation:
    """One operation of a document, with its variables, ready to run."""

    document: Document
    known: Known
    kind: OperationType
    fields: frozenset[str]
    """The root fields it selects: the commands it gives."""
    cost: int
    extensions: dict[str, Any]
    """What the client sent beside it."""
    raw: dict[str, Any]
    """Its variables as they were sent."""
    values: dict[str, Any]
    """Its variables as they were read."""
    question: Question
    executor: Executor[Any] | None = None
    """Whatever runs it in the ordinary way, once it is made."""

    @property
    def name(self) -> str | None:
        """What its author calls it."""
        return self.known.name


class Gate(Protocol):
    """Stands before every operation, whichever way it is answered; an operation gives the `commands` it selects.

    Whoever asks it lets go of what was taken, however the operation ends.
    """

    def enter(self, commands: frozenset[str]) -> Awaitable[None] | None:
        """Let a query or a mutation in: at once (nothing), or when the answer has been awaited; or refuse by raising.

        A function and no context manager, because it stands in everybody's way and costs nothing if there is room.
        """
        ...

    def leave(self, commands: frozenset[str]) -> None:
        """Let go of what `enter` took."""
        ...

    def follow(self, commands: frozenset[str]) -> AbstractContextManager["Future[Exception] | None"]:
        """Let a subscription begin, or refuse it by raising; the future says why it has to end before its time."""
        ...


class OpenGate:
    """Lets everything pass."""

    def enter(self, _commands: frozenset[str]) -> None:
        """Let it in."""

    def leave(self, _commands: frozenset[str]) -> None:
        """Nothing was taken."""

    @contextmanager
    def follow(self, _commands: frozenset[str]) -> Iterator[None]:
        """Let it begin."""
        yield


class Documents:
    """Texts that were read before; the least recently used are forgotten first."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, *, introspection: bool = True) -> None:
        self._schema = schema
        self._limits = limits
        self._ruler = Ruler(schema)
        self._introspection = introspection
        self._rules = RULES if introspection else (*RULES, NoSchemaIntrospectionCustomRule)
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._chars = 0

    def read(self, text: str) -> Document:
        """Give the document of this text, or say all that is wrong with it."""
        if document := self._kept.get(text):
            self._kept.move_to_end(text)
            return document
        document = self._read(text)
        self._keep(document)
        return document

    def _keep(self, document: Document) -> None:
        self._kept[document.text] = document
        self._chars += len(document.text)
        while self._chars > DOCUMENTS_KEPT_CHARS_MAX:
            text, _ = self._kept.popitem(last=False)
            self._chars -= len(text)

    def _read(self, text: str) -> Document:
        ast = self._parsed(text)
        # Measured before it is validated: some rules of validation take quadratic time.
        measures = self._measured(ast)
        self._must_be_valid(ast)
        nodes = [node for node in ast.definitions if isinstance(node, OperationDefinitionNode)]
        known = [_known(self._schema, node, measures) for node in nodes]
        return Document(text, ast, {one.name: one for one in known}, conditions_of(ast))

    def _parsed(self, text: str) -> DocumentNode:
        limits = self._limits
        if (size := len(text.encode())) > limits.document_bytes:
            message = f"The document has {size} bytes; at most {limits.document_bytes} are allowed."
            raise _excessive([(message, limits.document_bytes, size)])
        try:
            return parse(text, max_lexical_tokens=limits.tokens, max_comments=limits.tokens)
        except GraphQLSyntaxError as error:
            # It gives up on tokens and on nesting in one way, and on bad grammar in another.
            gave_up = error.message.endswith("Parsing aborted.")
            raise Rejected([coded(error, TOO_COSTLY if gave_up else PARSE_FAILED)]) from None

    def _measured(self, ast: DocumentNode) -> dict[str | None, Measure]:
        try:
            measures = self._ruler.measure(ast)
        except RecursionError:
            raise rejected("The fragments are nested too deeply.", TOO_COSTLY) from None
        for measure in measures.values():
            if excesses := self._ruler.excesses(measure.extent, self._limits):
                raise _excessive([(excess.message, excess.limit, excess.found) for excess in excesses])
        return measures

    def _must_be_valid(self, ast: DocumentNode) -> None:
        errors = validate(self._schema, ast, self._rules, hide_suggestions=not self._introspection)
        if errors:
            raise Rejected([coded(error, VALIDATION_FAILED) for error in errors])


class Operations:
    """Runs the operations of one schema."""

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: Limits,
        *,
        introspection: bool = True,
        gate: Gate | None = None,
        compiled: bool = True,
    ) -> None:
        if schema.extensions or schema.directives:
            raise ValueError("Schema extensions and operation directives do not run here.")
        self._core: GraphQLSchema = schema._schema  # noqa: SLF001 - strawberry has no public name for it
        self._executor = schema.execution_context_class
        replace_gather()
        self._introspection = introspection
        self.gate: Gate = gate or OpenGate()
        """What transports ask before they find out who it is that asks, and before they run anything."""
        self._compiled = compiled
        self._compiler = Compiler(schema)
        self._showing_rows = showing_rows(self._executor, self._compiler)
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        """Take new limits at once; every document will be judged again."""
        self.limits = limits
        self._documents = Documents(self._core, limits, introspection=self._introspection)
        self._bodies: OrderedDict[bytes, Operation] = OrderedDict()
        self._bodies_bytes = 0

    @property
    def taken(self) -> Counter[str]:
        """How many queries went which way: `compiled`, or why they were not."""
        return self._compiler.taken

    def read(self, body: bytes) -> Operation:
        """Prepare what a body asks for; a query that everybody sends in the same words is read once."""
        if operation := self._bodies.get(body):
            self._bodies.move_to_end(body)
            return operation
        operation = self.prepare(asked(read_json(body, self.limits.json_depth)))
        if operation.kind is OperationType.QUERY and operation.executor is None:
            self._bodies[body] = operation
            self._bodies_bytes += len(body)
            while self._bodies_bytes > BODIES_KEPT_BYTES_MAX:
                forgotten, _ = self._bodies.popitem(last=False)
                self._bodies_bytes -= len(forgotten)
        return operation

    def known(self, body: bytes) -> tuple[Operation, bytes] | None:
        """What a body asks for, and the JSON of its `data`, if it is of the schema alone and was answered before."""
        operation = self._bodies.get(body)
        data = self._compiler.known(operation.question) if operation else None
        return (operation, data) if operation and data else None

    def prepare(self, ask: Asked) -> Operation:
        """Read what was asked and count what it will cost, without running anything."""
        document = self._documents.read(ask.query)
        known = _chosen(document, ask.operation_name)
        values = known.read(ask.variables)
        executor = None
        if values is None:
            executor = self._built(document, known, ask.variables, ask.extensions)
            values = executor.variable_values.coerced
        cost = known.measure.cost(values)
        if cost > self.limits.cost:
            message = f"The operation may cost {cost}; at most {self.limits.cost} are allowed. Ask for smaller pages."
            raise _excessive([(message, self.limits.cost, cost)], cost=cost)
        return Operation(
            document,
            known,
            known.node.operation,
            known.measure.extent.names,
            cost,
            ask.extensions,
            ask.variables,
            values,
            _question(document, known, values),
            executor,
        )

    def _built(
        self, document: Document, known: Known, raw: dict[str, Any], extensions: dict[str, Any]
    ) -> Executor[Any]:
        """Make what runs an operation in the ordinary way, or tell what is wrong with its variables."""
        reads = known.node.operation is OperationType.QUERY
        executor = (self._executor if reads else self._showing_rows).build(
            self._core,
            document.ast,
            raw_variable_values=raw,
            operation_name=known.name,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # it says bool for TypeGuard
            operation_extensions=extensions,
        )
        if isinstance(executor, list):
            raise Rejected([coded(error, BAD_USER_INPUT) for error in executor])
        return executor

    def _executor_of(self, operation: Operation, context: Any, *, compiled: bool = True) -> Executor[Any]:
        document, known = operation.document, operation.known
        executor, operation.executor = operation.executor, None
        executor = executor or self._built(document, known, operation.raw, operation.extensions)
        executor.context_value = context
        if compiled and self._compiled and operation.kind is not OperationType.QUERY:
            executor.asked = operation.question  # type: ignore[attr-defined]  # it shows rows
        return executor

    async def run(self, operation: Operation, context: Any, *, compiled: bool = True) -> Answer:
        """Run a query or a mutation; in the ordinary way only, if it is not to be `compiled`.

        `data` may be JSON already.
        """
        try:
            if compiled and (data := await self.answered(operation, context)) is not None:
                return {"data": orjson.Fragment(data)}
            if compiled and (answer := await self._done(operation, context)) is not None:
                return answer
            result = await _executed(self._executor_of(operation, context, compiled=compiled))
            _must_not_go_the_long_way(result)
            if compiled and not result.errors and _is_of_the_schema_alone(operation):
                self._compiler.remember(operation.question, orjson.dumps(result.data))
            return _answer(result, getattr(context, "remarks", {}))
        except LongWay:
            raise
        except Exception as error:  # noqa: BLE001 - the last place where a client can be told
            return {"errors": present([error])}

    async def _done(self, operation: Operation, context: Any) -> Answer | None:
        """Carry out a mutation of one field; nothing where that is to be done in the ordinary way from its beginning.

        The row that it answers with is shown by one statement; anything else, be it a refusal or an error, in the
        ordinary way, to which it comes as what the field gave.
        """
        if not self._compiled or operation.kind is not OperationType.MUTATION:
            return None
        deed = self._compiler.deed(operation.question)
        if deed is None:
            return None
        showing = Showing(self._compiler, operation.question, deed, context)
        doing = deed.begun(operation.values, showing.to_verb())
        if doing is None:
            return None
        outcome: Future[Any] = get_running_loop().create_future()
        try:
            outcome.set_result(await doing)
        except LongWay:
            raise
        except Exception as error:  # noqa: BLE001 - told in the ordinary way, with everything that belongs to that
            outcome.set_exception(error)
        else:
            data = await showing.told(outcome.result())
            if data is not None:
                remarks = getattr(context, "remarks", {})
                return {"data": orjson.Fragment(data)} | ({"extensions": dict(remarks)} if remarks else {})
        executor: Any = self._executor_of(operation, context)
        executor.outcome = outcome
        return _answer(await _executed(executor), getattr(context, "remarks", {}))

    async def answered(self, operation: Operation, context: Any) -> bytes | None:
        """Answer a query by one statement, if it can be, with the JSON of its `data`."""
        if not self._compiled or operation.kind is not OperationType.QUERY:
            return None
        return await self._compiler.answer(operation.question, context)

    async def listen(
        self,
        operation: Operation,
        context: Any,
        revoked: "Future[Exception] | None" = None,
        *,
        compiled: bool = True,
    ) -> AsyncGenerator[Answer, None]:
        """Run anything, answer by answer; an answer without data is the last. A subscription may be revoked."""
        if operation.kind is not OperationType.SUBSCRIPTION:
            yield await self.run(operation, context, compiled=compiled)
            return
        try:
            executor = self._executor_of(operation, context, compiled=compiled)
            show = shown_once(operation.question, operation.raw) if compiled and self._compiled else shown_each
            source = create_source_event_stream(executor)
            if isinstance(source, Awaitable):
                source = await source
            if isinstance(source, ExecutionResult):
                yield {"errors": present(source.errors or [])}
                return
            async with (
                aclosing(map_source_to_response_event(executor, source, show)) as results,
                aclosing(_until(results, revoked)) as allowed,
            ):
                async for result in allowed:
                    yield _answer(result, {})
        except Exception as error:  # noqa: BLE001 - the last place where a client can be told
            yield {"errors": present([error])}


async def _until(
    results: AsyncIterator[ExecutionResult], revoked: "Future[Exception] | None"
) -> AsyncGenerator[ExecutionResult, None]:
    """Pass on what comes until it is revoked, and then raise why."""
    if revoked is None:
        async for result in results:
            yield result
        return
    while True:
        coming = ensure_future(_next(results))
        try:
            await wait((coming, revoked), return_when=FIRST_COMPLETED)
            if revoked.done():
                raise revoked.result()
            found = coming.result()
        finally:
            coming.cancel()
            await gather(coming, return_exceptions=True)
        if found is None:
            return
        yield found


async def _next(results: AsyncIterator[ExecutionResult]) -> ExecutionResult | None:
    return await anext(results, None)


def _must_not_go_the_long_way(result: ExecutionResult) -> None:
    for error in result.errors or ():
        if isinstance(error.original_error, LongWay):
            raise error.original_error


def _is_of_the_schema_alone(operation: Operation) -> bool:
    """Tell whether the answer is always the same."""
    return operation.fields <= OF_THE_SCHEMA and not operation.known.node.variable_definitions


async def _executed(executor: Executor[Any]) -> ExecutionResult:
    result = execute_root_selection_set(executor)
    return result if isinstance(result, ExecutionResult) else await result


def _answer(result: ExecutionResult, extensions: Mapping[str, Any]) -> Answer:
    answer: Answer = {}
    errors = result.errors or []
    if errors:
        answer["errors"] = present(errors)
    # An error without a path is about the whole request: there is no data then, not even null.
    if result.data is not None or all(error.path for error in errors):
        answer["data"] = result.data
    if extensions:
        answer["extensions"] = dict(extensions)
    return answer


def _chosen(document: Document, name: str | None) -> Known:
    operations = document.operations
    if name is None and len(operations) == 1:
        return next(iter(operations.values()))
    if name is None:
        raise rejected("Say by operationName which operation of the document to run.")
    if name not in operations:
        raise rejected(f"The document has no operation named {name[:100]!r}.")
    return operations[name]


def _excessive(excesses: list[tuple[str, int, int]], **more: Any) -> Rejected:
    return Rejected(
        coded(GraphQLError(message), TOO_COSTLY, limit=limit, found=found, **more) for message, limit, found in excesses
    )
