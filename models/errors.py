"""How the house says no: a refusal has a code for programs, a sentence for people, and costs nothing to say."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

BY_CONSTRAINT: dict[str, "type[Refusal]"] = {}
"""The refusal that a broken database constraint stands for, by the constraint's name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one input field; `path` leads to it from the top of the input, in the house's names."""

    path: tuple[str, ...]
    message: str


class Refusal(Exception):
    """A no that the caller can understand and act upon; never a bug."""

    code: ClassVar[str]
    message: str
    retry_after_seconds: int | None = None

    def __init__(self, message: str | None = None, *, path: tuple[str, ...] | None = None) -> None:
        self.message = message or type(self).message
        self.path = path
        super().__init__(self.message)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every input field at fault, as far as the refusal is about the input."""
        return (Problem(self.path, self.message),) if self.path else ()

    @property
    def extensions(self) -> dict[str, Any]:
        """What a GraphQL error carries where there is no union to answer with."""
        if self.retry_after_seconds is None:
            return {"code": self.code}
        return {"code": self.code, "retryAfterSeconds": self.retry_after_seconds}


class Unauthenticated(Refusal):
    """Nobody is signed in, and somebody has to be."""

    code = "UNAUTHENTICATED"
    message = "Sign in first."


class Forbidden(Refusal):
    """The caller may see this but not do that."""

    code = "FORBIDDEN"
    message = "You may not do this."


class NotFound(Refusal):
    """There is no such thing, or none that the caller may see; the two are not told apart."""

    code = "NOT_FOUND"
    message = "There is nothing with this id."


class Conflict(Refusal):
    """It was a fair request, but things are not, or no longer, as it assumes."""

    code = "CONFLICT"
    message = "This is not possible as things stand."


class Stale(Conflict):
    """Somebody changed the thing since the caller read it; `current` is how it stands now."""

    code = "STALE"
    message = "This was changed since you read it."

    def __init__(self, current: Any) -> None:
        super().__init__(path=("version",))
        self.current = current


class Busy(Refusal):
    """Others hold what is needed, or the database is away for a moment; nothing was done."""

    code = "BUSY"
    message = "This could not be done just now. Try again in a moment."
    retry_after_seconds = 1


class OutcomeUnknown(Refusal):
    """The database was lost while it was told to commit: it may have happened, or not."""

    code = "OUTCOME_UNKNOWN"
    message = "The connection was lost at the last moment. Look whether this was done before you try again."


class Invalid(Refusal):
    """The input breaks rules that can be told from the input alone; it lists all of them."""

    code = "BAD_USER_INPUT"
    message = "Some fields are not right."

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems[0].message if len(problems) == 1 else None, path=problems[0].path)
        self._problems = problems

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every input field at fault."""
        return self._problems


class Checks:
    """Gathers what is wrong with an input, to say it all at once when the block ends."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def __enter__(self) -> "Checks":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._problems:
            raise Invalid(tuple(self._problems))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong so far."""
        return tuple(self._problems)

    def note(self, problems: Iterable[Problem]) -> None:
        """Take over what was found to be wrong before."""
        for problem in problems:
            self.require(False, problem.path, problem.message)

    def require(self, holds: bool, path: str | tuple[str, ...], message: str) -> bool:
        """Note a problem unless the rule holds; a field is at fault once, and so is whatever holds it."""
        way = (path,) if isinstance(path, str) else path
        if not holds and all(known.path[: len(way)] != way for known in self._problems):
            self._problems.append(Problem(way, message))
        return holds


R = TypeVar("R", bound=type[Refusal])


def refuses(constraint: str) -> Callable[[R], R]:
    """Say that breaking this database constraint is this refusal: a constraint is a rule too."""

    def register(refusal: R) -> R:
        assert constraint not in BY_CONSTRAINT, constraint
        BY_CONSTRAINT[constraint] = refusal
        return refusal

    return register


def every_refusal() -> list[type[Refusal]]:
    """List each refusal with a code of its own, by its code: processes need not agree on who is imported first."""
    found: list[type[Refusal]] = []
    waiting: list[type[Refusal]] = [Refusal]
    while waiting:
        kind = waiting.pop(0)
        waiting.extend(kind.__subclasses__())
        if "code" in vars(kind):
            found.append(kind)
    return sorted(found, key=lambda kind: kind.code)
