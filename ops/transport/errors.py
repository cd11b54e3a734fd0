"""How an error is said to a client: always with a code, and never with more than the client may know."""

import secrets
from collections.abc import Iterable
from typing import Any

import structlog
from graphql import (
    ArgumentNode,
    DirectiveNode,
    GraphQLError,
    GraphQLSyntaxError,
    ValueNode,
    VariableDefinitionNode,
)

log = structlog.get_logger(__name__)

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
BAD_USER_INPUT = "BAD_USER_INPUT"
TOO_COSTLY = "TOO_COSTLY"
UNAUTHENTICATED = "UNAUTHENTICATED"
RATE_LIMITED = "RATE_LIMITED"
BUSY = "BUSY"
INTERNAL = "INTERNAL"

RETRY_AFTER = "retryAfterSeconds"

MASK = "Something went wrong on our side."

LOGGED_PER_ANSWER_MAX = 5
"""A broken field of a thousand rows is one piece of news, not a thousand."""

INPUT_NODES = (ValueNode, ArgumentNode, DirectiveNode, VariableDefinitionNode)


class Rejected(Exception):
    """An operation that never began. `status` is for HTTP, where the media type alone does not decide it."""

    def __init__(self, errors: Iterable[GraphQLError], status: int | None = None) -> None:
        self.errors = list(errors)
        self.status = status
        super().__init__(*(error.message for error in self.errors))


def rejected(message: str, code: str = BAD_USER_INPUT, status: int | None = None) -> Rejected:
    """Make a rejection for one reason of our own."""
    return Rejected([coded(GraphQLError(message), code)], status)


def coded(error: GraphQLError, code: str, **more: Any) -> GraphQLError:
    """Give an error a code, and what a program wants to know besides."""
    error.extensions = {"code": code, **more}
    return error


def present(errors: Iterable[Exception]) -> list[dict[str, Any]]:
    """Say these errors to a client; what is not meant for clients is logged under a reference, and masked."""
    reference = secrets.token_hex(5)
    shown, hidden = [], []
    for error in map(_located, errors):
        if _is_for_clients(error):
            shown.append(dict(error.formatted))
        else:
            hidden.append(error)
            shown.append(_masked(error, reference))
    for error in hidden[:LOGGED_PER_ANSWER_MAX]:
        log.error("failed", reference=reference, path=error.path, of=len(hidden), exc_info=_cause(error))
    return shown


def code_of(error: Exception) -> str | None:
    """Read the code of an error that was made for clients."""
    extensions = getattr(error, "extensions", None)
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return code if isinstance(code, str) else None


def retry_after(error: Exception) -> int | None:
    """Read after how many seconds the same may be tried again, from an error that says so."""
    extensions = getattr(error, "extensions", None)
    return extensions.get(RETRY_AFTER) if isinstance(extensions, dict) else None


def _located(error: Exception) -> GraphQLError:
    if isinstance(error, GraphQLError):
        return error
    return GraphQLError(str(getattr(error, "message", error)), original_error=error)


def _is_for_clients(error: GraphQLError) -> bool:
    """Tell whether the message was written for the one who asked: it has a code, or is about what was asked."""
    if code_of(error):
        return True
    if isinstance(error, GraphQLSyntaxError):
        coded(error, PARSE_FAILED)
    elif isinstance(_cause(error), GraphQLError) and error.nodes and isinstance(error.nodes[0], INPUT_NODES):
        # graphql-core points at an argument or variable only where the value given for it is at fault.
        # A value that a resolver returned and no scalar can say also is a GraphQLError, without a node.
        coded(error, BAD_USER_INPUT)
    return code_of(error) is not None


def _cause(error: GraphQLError) -> Exception:
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error:
        cause = cause.original_error
    return cause


def _masked(error: GraphQLError, reference: str) -> dict[str, Any]:
    extensions = {"code": INTERNAL, "reference": reference}
    return {**error.formatted, "message": MASK, "extensions": extensions}
