"""What rules depend on and an operator may want otherwise: every option with its default, bounds and meaning.

What operators want instead of the defaults is stored as rulings (`models/control.py`), and each node takes it over.
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

    @classmethod
    def wanted(cls, values: Mapping[str, Any]) -> "Config":
        """Take what is stored; what an older or a newer release knew, or allowed, is not for this one."""
        return cls({name: value for name, value in values.items() if _is_possible(name, value)})

    def __getitem__(self, wanted: Option[V]) -> V:
        value: V = self._values.get(wanted.name, wanted.default)
        return value


def _is_possible(name: str, value: Any) -> bool:
    known = OPTIONS.get(name)
    return known is not None and isinstance(value, int) and known.least <= value <= known.most
