"""The house keeps its rules; those that no linter knows are here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.base import Base

ROOT = Path(__file__).parents[1]
ROOMS = ("schema", "resolvers", "media", "loaders", "models")
SOURCES = [path for room in (*ROOMS, "ops") for path in sorted((ROOT / room).rglob("*.py"))]
NOUNS = {
    "accounts",
    "jobs",
    "proposals",
    "contracts",
    "payments",
    "connects",
    "control",
    "media",
    "config",
    "activity",
    "ledger",
    "idempotency",
    "transfers",
    "statements",
    "audit",
    "calls",
    "clock",
    "machines",
    "scaling",
}
TOOLS = {
    "schema": {"root", "edges", "errors", "scalars", "inputs", "limits", "plans"},
    "resolvers": {"context", "hub", "provider"},
    "loaders": {"batch", "compile", "offering", "pages", "together", "work"},
    "media": {
        *("answers", "counter", "depot", "forms", "kinds", "placeholders", "server", "shelf", "storage", "tickets"),
        *("workbench", "workshop", "paper", "press", "printer"),
    },
    "models": {"base", "errors", "states", "money"},
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


@pytest.mark.parametrize("room", TOOLS)
def test_files_are_nouns(room: str) -> None:
    found = {path.stem for path in (ROOT / room).glob("*.py")} - {"__init__"}
    assert found <= NOUNS | TOOLS[room]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_only_ops_reads_the_clock_and_the_environment(path: Path) -> None:
    text = path.read_text()
    if path.is_relative_to(ROOT / "ops"):
        assert "datetime.now" not in text or path.name in {"app.py", "seed.py"} or "transport" in path.parts
    else:
        assert not re.search(r"datetime\.now|date\.today|os\.environ|os\.getenv", text)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_what_comes_due_is_not_asked_of_the_clock_of_the_database(path: Path) -> None:
    # Failed attempts are forgiven by the world's time, and the queue keeps a time of its own.
    known = {"models/accounts.py", "loaders/calls.py", "ops/up.py"}
    found = re.search(r"func\.(now|current_timestamp)|(?<![\w.])now\(\)|_timestamp\(\)", path.read_text())
    assert (found is not None) == (named(path) in known)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_every_lock_is_in_loaders(path: Path) -> None:
    if not path.is_relative_to(ROOT / "loaders"):
        assert not re.search(r"with_for_update|for update", path.read_text(), re.IGNORECASE)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_nobody_commits_but_the_context(path: Path) -> None:
    committing = [call for call in calls(path) if call.endswith(".commit")]
    assert not committing or named(path) == "resolvers/context.py"


@pytest.mark.parametrize("path", sorted((ROOT / "resolvers").glob("*.py")), ids=named)
def test_resolvers_leave_the_selects_to_loaders(path: Path) -> None:
    found = set(calls(path)) & {"select", "update", "delete", "insert", "text", "sa.select"}
    assert not found


@pytest.mark.parametrize("path", sorted((ROOT / "resolvers").glob("*.py")), ids=named)
def test_resolvers_never_catch_a_refusal(path: Path) -> None:
    caught = [
        ast.unparse(node.type) if node.type else "everything"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
    ]
    # A commit whose outcome is unknown is said so; a follower waits for a database that is away; what the provider
    # was told is found out later, whatever keeps us from noting it now.
    known = {
        "resolvers/context.py": ["(DBAPIError, OSError)"],
        "resolvers/activity.py": ["Busy", "TimeoutError"],
        "resolvers/transfers.py": ["(Busy, OutcomeUnknown, TransferMismatch)"],
        # Acknowledgements are waited for, but not for ever, and not by a server that is stopping.
        "resolvers/control.py": ["(TimeoutError, GoingAway)", "TimeoutError"],
        # And so are machines.
        "resolvers/machines.py": ["TimeoutError"],
    }
    assert sorted(caught) == known.get(named(path), [])


def test_every_noun_that_is_shown_says_who_sees_it() -> None:
    nouns = [mapper.class_ for mapper in Base.registry.mappers if hasattr(mapper.class_, "noun")]
    assert nouns
    unguarded = [model.__name__ for model in nouns if not hasattr(model, "seen_by")]
    # Events are read by stream, by those who may follow it; never through a relation.
    assert unguarded == ["Event"]


def test_nothing_in_the_repository_names_a_machine() -> None:
    for path in [*ROOT.glob("*.*"), *ROOT.glob("docs/**/*.md"), *SOURCES]:
        if path.is_file() and path.name != ".git":
            assert not re.search(r"(?<![\w.])/(work|root|home)/|file:///", path.read_text()), path
