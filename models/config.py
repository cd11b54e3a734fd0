"""What rules depend on and an operator may want otherwise: every option with its default, bounds and meaning.

For now the defaults apply; `Config` takes other values, but nothing stores any.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

V = TypeVar("V", bound=int)


@dataclass(frozen=True, slots=True)
class Option(Generic[V]):
    """One number that rules depend on; `least` and `most` are the values it may take."""

    name: str
    default: V
    least: V
    most: V
    means: str


OPTIONS: dict[str, Option[Any]] = {}
"""Every option, by name."""


def option(name: str, *, default: V, least: V, most: V, means: str) -> Option[V]:
    """Register an option beside the rule that reads it."""
    assert name not in OPTIONS, name
    assert least <= default <= most, name
    made = Option(name, default, least, most, means)
    OPTIONS[name] = made
    return made


class Config:
    """A snapshot of all options: rules that read it twice read the same."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, wanted: Option[V]) -> V:
        value: V = self._values.get(wanted.name, wanted.default)
        return value
