"""Asynchronous fields make their coroutine when somebody waits for them, and not before.

If a field fails, graphql-core cancels what stands beside it, and lets go of what it had not begun with by then. Of
each coroutine that nobody ever waited for, Python complains; a list may leave hundreds. Those are of our fields; now
and then it lets go of one of its own, and says so.
"""

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

import strawberry
from graphql import GraphQLObjectType


class Later:
    """A coroutine that is made as soon as it is awaited, which may be done once."""

    __slots__ = ("_arguments", "_named", "_resolve")

    def __init__(self, resolve: Callable[..., Coroutine[Any, Any, Any]], /, *arguments: Any, **named: Any) -> None:
        self._resolve, self._arguments, self._named = resolve, arguments, named

    def __await__(self) -> Generator[Any, Any, Any]:
        """Begin."""
        return self._resolve(*self._arguments, **self._named).__await__()


def begin_later(schema: strawberry.Schema) -> None:
    """Have every asynchronous field of a schema begin when it is awaited."""
    for kind in schema._schema.type_map.values():  # noqa: SLF001 - strawberry has no public name for it
        if isinstance(kind, GraphQLObjectType):
            for field in kind.fields.values():
                if iscoroutinefunction(field.resolve):
                    field.resolve = partial(Later, field.resolve)
