"""Code that is given for a command while the house runs: who signed it, whether it can stand there, and which runs.

The signature is what guards the house; everything else here finds mistakes, and keeps nobody out who may sign. See
docs/decisions/0019-code-at-run-time.md.
"""

import ast
import base64
import binascii
import functools
import importlib
import inspect
import linecache
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from models.config import OPTIONS
from models.control import BadCode, BadSignature, CodeOff
from models.errors import Invalid, Problem, Refusal
from ops.settings import KEY_BYTES, BadSettings

ROOMS = ("resolvers", "media", "loaders", "models")
LIBRARY = frozenset(
    {"asyncio", "collections", "contextlib", "dataclasses", "datetime", "decimal", "enum", "functools", "itertools"}
    | {"math", "re", "statistics", "typing", "uuid"}
)
"""What verbs are made of, besides the rooms below them."""
NOT_CALLED = frozenset({"eval", "exec", "compile", "open", "__import__", "globals", "breakpoint", "input"})

Verb: TypeAlias = Callable[..., Awaitable[Any]]


def signed_bytes(command: str, source: str) -> bytes:
    """What is signed: source for one command is none for another."""
    return b"workup command\n" + command.encode() + b"\n" + source.encode()


def sign(seed: bytes, command: str, source: str) -> str:
    """Sign source for a command."""
    return _text(Ed25519PrivateKey.from_private_bytes(seed).sign(signed_bytes(command, source)))


def public_key(seed: bytes) -> str:
    """The key to verify with, as WORKUP_CODE_KEY has it."""
    return _text(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())


def make_key(path: Path) -> str:
    """Put a new private key into a file that only its owner can read, and answer the public one."""
    seed = secrets.token_bytes(KEY_BYTES)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(_text(seed) + "\n")
    return public_key(seed)


def read_key(path: Path) -> bytes:
    """Read the private key that `make_key` has put there."""
    seed = bytes_of(path.read_text().strip())
    if len(seed) != KEY_BYTES:
        raise BadSettings(f"{path} is not a key that `python -m ops sign` has made")
    return seed


def bytes_of(text: str) -> bytes:
    """Read base64url."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class Place:
    """Where a verb stands: the room's module, its name there, and what stood there when the process started."""

    module: ModuleType
    name: str
    usual: Verb


class ProcessCodebook:
    """The code of this process."""

    def __init__(self, key: str | None, verbs: Callable[[], Mapping[str, str]]) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(bytes_of(key)) if key else None
        self._verbs = verbs
        self._places: dict[str, Place] = {}

    def judge(self, command: str, source: str, signature: str) -> None:
        """Refuse code that was not signed, or could not stand where it is to stand."""
        self.load(command, source, signature)

    def load(self, command: str, source: str, signature: str) -> Verb:
        """Make a verb of signed source, without letting anybody run it."""
        self._must_be_signed(command, source, signature)
        place = self._place(command)
        tree = _parsed(source)
        for problem in _forbidden(tree):
            raise BadCode(problem)
        return _fitting(_run(command, source, tree), place)

    def let_run(self, command: str, new: Verb | None, beside: Verb | None, percent: int) -> None:
        """Let calls that begin from here on run this; nothing is what the process started with."""
        place = self._place(command)
        chosen = new or place.usual
        if percent < 100:
            chosen = shared(chosen, beside or place.usual, percent)
        setattr(place.module, place.name, chosen)

    def restore(self) -> None:
        """Put everything back as it was when the process started."""
        for place in self._places.values():
            setattr(place.module, place.name, place.usual)

    def _place(self, command: str) -> Place:
        if command not in self._places:
            verb = self._verbs().get(command)
            module, name = _found(verb) if verb else (None, "")
            usual = getattr(module, name, None)
            if module is None or not inspect.iscoroutinefunction(usual):
                raise Invalid((Problem(("command",), "There is no verb behind this command that could be another."),))
            self._places[command] = Place(module, name, usual)
        return self._places[command]

    def _must_be_signed(self, command: str, source: str, signature: str) -> None:
        if self._key is None:
            raise CodeOff
        try:
            self._key.verify(bytes_of(signature), signed_bytes(command, source))
        except InvalidSignature:
            raise BadSignature from None


def shared(new: Verb, old: Verb, percent: int) -> Verb:
    """Let one verb run for so many of a hundred calls, evenly spread, and another for the rest."""
    owed = 0

    @functools.wraps(new)
    async def verb(*given: Any, **named: Any) -> Any:
        nonlocal owed
        owed += percent
        if owed < 100:
            return await old(*given, **named)
        owed -= 100
        return await new(*given, **named)

    return verb


def _found(verb: str) -> tuple[ModuleType, str]:
    module, _, name = verb.rpartition(".")
    return importlib.import_module(module), name


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise BadCode(f"This is not Python{f', in line {line}' if line else ''}: {error}") from None


def _forbidden(tree: ast.Module) -> Iterator[str]:
    """What verbs do not do."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for name in _imported(node):
            if name.split(".")[0] not in {*ROOMS, *LIBRARY}:
                yield f"Line {line}: a verb does not import {name or 'from beside itself'}."
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name.startswith("__") or (isinstance(node, ast.Name) and name in NOT_CALLED):
                yield f"Line {line}: a verb does not use {name}."


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["" if node.level else node.module or ""]
    return []


def _run(command: str, source: str, tree: ast.Module) -> dict[str, Any]:
    """Run the module that the source is, and give what it defines."""
    name = f"given_{command}"
    file = f"<{name}>"
    # So that a traceback shows the line.
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    made: dict[str, Any] = {"__name__": name, "__file__": file}
    known = set(OPTIONS)
    try:
        exec(compile(tree, file, "exec"), made)  # noqa: S102 - it was signed by whom the operator trusts
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the fault of the source
        raise BadCode(f"It cannot be loaded: {type(error).__name__}: {error}") from None
    for added in set(OPTIONS) - known:
        del OPTIONS[added]
        raise BadCode(f"An option, {added}, is of a release.")
    for kind in made.values():
        if isinstance(kind, type) and issubclass(kind, Refusal) and kind.__module__ == name and "code" in vars(kind):
            raise BadCode(f"A code, {kind.code}, is of a release: refuse with one that callers know.")
    return made


def _fitting(made: Mapping[str, Any], place: Place) -> Verb:
    verb = made.get(place.name)
    if not inspect.iscoroutinefunction(verb):
        raise BadCode(f"There is no `async def {place.name}` in it.")
    try:
        wanted, given = (inspect.signature(one, eval_str=True) for one in (place.usual, verb))
    except (NameError, SyntaxError, TypeError, AttributeError) as error:
        raise BadCode(f"Its annotations cannot be read: {error}") from None
    if wanted != given:
        raise BadCode(f"It is called and answers otherwise: {place.name}{given}, not {place.name}{wanted}.")
    return verb
