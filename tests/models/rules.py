"""What tests of rules share: what is wrong with an input, how a call ends, what a row holds."""

from collections.abc import Callable
from typing import Any

import pytest

from models.base import Base
from models.errors import Invalid, Refusal


def faults(act: Callable[[], object]) -> list[str]:
    """Do what is refused for its input, and list the fields at fault; none is named twice, and each is explained."""
    with pytest.raises(Invalid) as refused:
        act()
    paths = [".".join(problem.path) for problem in refused.value.problems]
    assert len(set(paths)) == len(paths), paths
    assert all(problem.message for problem in refused.value.problems)
    return paths


def refusal_of(act: Callable[[], object]) -> str | None:
    """Do something, and say with which code it was refused, if it was."""
    try:
        act()
    except Refusal as refused:
        return refused.code
    return None


def values(row: Base) -> dict[str, Any]:
    """Everything a row holds."""
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}


def table(text: str) -> dict[str, dict[str, str]]:
    """Read a table with names above its columns and before its rows."""
    head, *rows = (line.split() for line in text.strip().splitlines())
    return {name: dict(zip(head, cells, strict=True)) for name, *cells in rows}
