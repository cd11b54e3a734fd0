"""How a no is said: as the second member of every mutation's union, with a code that programs can act upon."""

import enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

import models.clock
import models.connects
import models.contracts
import models.control
import models.idempotency
import models.ledger
import models.machines
import models.transfers
import resolvers.hub
import resolvers.media
from models.errors import Problem, Refusal, Stale, every_refusal

if TYPE_CHECKING:
    from schema.edges import Node

_KNOWN = (
    models.clock,
    models.connects,
    models.contracts,
    models.control,
    models.idempotency,
    models.ledger,
    models.machines,
    models.transfers,
    resolvers.hub,
    resolvers.media,
)  # importing them defines every refusal there is

_codes: dict[str, Any] = {
    kind.code: strawberry.enum_value(kind.code, description=str(kind.message)) for kind in every_refusal()
}
_make_enum: Any = enum.Enum  # typed as a literal's business; the refusals are known only when they are all defined
RefusalCode: Any = strawberry.enum(
    _make_enum("RefusalCode", _codes),
    description="Why something was refused. Codes are stable; the words of messages are not.",
)


@strawberry.type(description="Something wrong with one field of the input.")
class InputProblem:
    field: list[str] = strawberry.field(description="The way to the field from the top of the input.")
    message: str = strawberry.field(description="What is wrong, in a sentence for people.")


@strawberry.type(description="A no, with its reason. Nothing was changed.")
class Refused:
    code: RefusalCode = strawberry.field(description="The reason, for programs.")
    message: str = strawberry.field(description="The reason, in a sentence for people.")
    field: list[str] | None = strawberry.field(description="The way to the first field at fault, if it is about one.")
    problems: list[InputProblem] = strawberry.field(description="Every input field that is not right.")
    retryable: bool = strawberry.field(description="Whether the same request may succeed a little later.")
    retry_after_seconds: int | None = strawberry.field(description="How long to wait before that.")
    current: Annotated["Node", strawberry.lazy("schema.edges")] | None = strawberry.field(
        description="For `STALE`: the thing as it is now."
    )


def camel(name: str) -> str:
    """Write a name of the house as the schema writes it."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def shown_refusal(refusal: Refusal) -> Refused:
    """Say a refusal in GraphQL."""
    problems = [_shown_problem(problem) for problem in refusal.problems]
    return Refused(
        code=RefusalCode[refusal.code],
        message=refusal.message,
        field=problems[0].field if problems else None,
        problems=problems,
        retryable=refusal.retry_after_seconds is not None,
        retry_after_seconds=refusal.retry_after_seconds,
        current=refusal.current if isinstance(refusal, Stale) else None,
    )


def _shown_problem(problem: Problem) -> InputProblem:
    return InputProblem(field=[camel(step) for step in problem.path], message=problem.message)


class Refuses(strawberry.ExceptionHandler[Refusal, Refused]):
    """Turns refusals into union members, wherever a field's union has room for one."""

    def handle(self, exception: Refusal, **_: Any) -> Refused:
        """Say it as the field's answer."""
        return shown_refusal(exception)
