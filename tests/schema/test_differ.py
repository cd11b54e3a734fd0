"""The differ finds what is broken on purpose, on either side, and says it in few words."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import orjson
import pytest

import loaders.batch
import loaders.compile
import ops.transport.compiled
from loaders.batch import Loaders
from loaders.compile import Statement, Window
from loaders.pages import Page
from models.base import Audience
from tests.schema.differ import Difference, alike
from tests.schema.town import Town

pytestmark = pytest.mark.timeout(600)

CASES_MAX = 600
"""Within how many cases harm is found."""

Harm: TypeAlias = Callable[[pytest.MonkeyPatch, Town], None]


def ordinary_shows_what_is_not_to_be_seen(patch: pytest.MonkeyPatch, _town: Town) -> None:
    whole = loaders.batch.rows_statement
    patch.setattr(loaders.batch, "rows_statement", lambda relation, _audience: whole(relation, Audience.ADMIN))


def ordinary_turns_pages_round(patch: pytest.MonkeyPatch, _town: Town) -> None:
    whole = loaders.batch.page_statement

    def turned(*given: Any, backward: bool, **more: Any) -> Any:
        return whole(*given, backward=not backward, **more)

    patch.setattr(loaders.batch, "page_statement", turned)


def ordinary_cuts_pages_too_late(patch: pytest.MonkeyPatch, _town: Town) -> None:
    whole = Page.cut
    patch.setattr(Page, "cut", lambda found, part: whole(found, replace(part, limit=part.limit + 1)))


def ordinary_counts_from_one(patch: pytest.MonkeyPatch, _town: Town) -> None:
    whole = Loaders.count

    async def counted(self: Loaders, *given: Any) -> int:
        return await whole(self, *given) + 1

    patch.setattr(Loaders, "count", counted)


def ordinary_writes_moments_otherwise(patch: pytest.MonkeyPatch, town: Town) -> None:
    patch.setattr(town.schema.type_map["DateTime"], "coerce_output_value", lambda moment: moment.isoformat())


def ordinary_forgets_filters(patch: pytest.MonkeyPatch, _town: Town) -> None:
    whole = Loaders.page
    patch.setattr(Loaders, "page", lambda self, relation, key, part, _filters=(): whole(self, relation, key, part))


def tampered(
    patch: pytest.MonkeyPatch, change: Callable[[Callable[..., Statement], Any, Audience, Any], Statement]
) -> None:
    """Let somebody come between a plan and its statement."""
    whole = loaders.compile.statement
    patch.setattr(
        ops.transport.compiled, "statement", lambda thing, audience, shapes, _: change(whole, thing, audience, shapes)
    )


def rewritten(patch: pytest.MonkeyPatch, *pairs: tuple[str, str]) -> None:
    """Let other words stand in every statement."""

    def change(whole: Callable[..., Statement], *given: Any) -> Statement:
        made = whole(*given)
        for old, new in pairs:
            made = replace(made, text=made.text.replace(old, new))
        return made

    tampered(patch, change)


def resized(patch: pytest.MonkeyPatch, change: Callable[[Window], Window]) -> None:
    """Let every page be another one."""
    tampered(
        patch,
        lambda whole, thing, audience, shapes: whole(
            thing, audience, tuple(change(one) if isinstance(one, Window) else one for one in shapes)
        ),
    )


def compiled_shows_what_is_not_to_be_seen(patch: pytest.MonkeyPatch, _town: Town) -> None:
    tampered(patch, lambda whole, thing, _audience, shapes: whole(thing, Audience.ADMIN, shapes))


def compiled_turns_lists_round(patch: pytest.MonkeyPatch, _town: Town) -> None:
    rewritten(patch, (" DESC", " asc"), (" ASC", " DESC"))


def compiled_asks_for_one_row_more(patch: pytest.MonkeyPatch, _town: Town) -> None:
    resized(patch, lambda window: replace(window, limit=window.limit + 1))


def compiled_begins_where_the_last_page_ended(patch: pytest.MonkeyPatch, _town: Town) -> None:
    rewritten(patch, (") < (", ") <= ("), (") > (", ") >= ("))


def compiled_forgets_filters(patch: pytest.MonkeyPatch, _town: Town) -> None:
    resized(patch, lambda window: replace(window, names=frozenset()))


def compiled_writes_moments_otherwise(patch: pytest.MonkeyPatch, _town: Town) -> None:
    rewritten(patch, ('.US"', '.MS"'))


def compiled_says_empty_for_nothing(patch: pytest.MonkeyPatch, _town: Town) -> None:
    rewritten(patch, ("'null'", "'\"\"'"))


HARMS: tuple[Harm, ...] = (
    ordinary_shows_what_is_not_to_be_seen,
    ordinary_turns_pages_round,
    ordinary_cuts_pages_too_late,
    ordinary_counts_from_one,
    ordinary_writes_moments_otherwise,
    ordinary_forgets_filters,
    compiled_shows_what_is_not_to_be_seen,
    compiled_turns_lists_round,
    compiled_asks_for_one_row_more,
    compiled_begins_where_the_last_page_ended,
    compiled_forgets_filters,
    compiled_writes_moments_otherwise,
    compiled_says_empty_for_nothing,
)


def told(data: Any, **errors: str) -> bytes:
    """An answer with errors, by their paths."""
    told = [{"message": message, "path": path.split("_")} for path, message in errors.items()]
    return orjson.dumps({"errors": told, "data": data})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (told({"a": None}, a_b="no"), told({"a": None}, a_c="never"), True),
        (told(None, a_b="no"), told(None, c_d="never"), True),
        (told({"a": None, "d": None}, a_b="no", d="no"), told({"a": None, "d": None}, d="no", a_c="never"), True),
        (told({"a": None}, a_b="no"), told({"a": None}, a_b="never"), False),
        (told({"a": None}, a_b="no"), told({"a": None}, a="never"), False),
        (told({"a": None}, a="no"), told({"a": None}, a="never"), False),
        (told({"a": None}, a_b="no"), told({"a": None}), False),
        (told({"a": None, "d": None}, a_b="no"), told({"a": None, "d": None}, d_c="no"), False),
        (told({"a": {"b": None, "c": None}}, a_b="no"), told({"a": {"b": None, "c": None}}, a_c="no"), False),
        (told({"a": None, "d": 1}, a_b="no"), told({"d": 1, "a": None}, a_c="no"), False),
        (told({"a": None}, a_b="no"), b"(failed) " + told({"a": None}, a_c="no"), False),
    ],
)
def test_of_errors_that_leave_the_same_null_either_may_be_told(one: bytes, other: bytes, same: bool) -> None:
    assert alike(one, other) is same
    assert alike(other, one) is same


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
async def test_harm_on_either_side_is_found(town: Town, monkeypatch: pytest.MonkeyPatch, harm: Harm) -> None:
    harm(monkeypatch, town)

    difference = await found(town.anew())

    assert difference is not None
    # What fails is answered in the ordinary way, and shows nothing.
    assert difference.given.startswith(b"{")
    monkeypatch.undo()
    assert await town.anew().differ().compare(difference.case) is None


async def test_the_least_that_differs_is_shown(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_writes_moments_otherwise(monkeypatch, town)
    town = town.anew()

    difference = await found(town)

    assert difference is not None
    least = await town.differ().least(difference)
    assert len(least.case.document) <= len(difference.case.document)
    assert least.case.document in str(least)
    assert f"--seed {town.seed} --case {least.case.number}" in str(least)
    assert least.expected != least.given


async def found(town: Town) -> Difference | None:
    """Ask until a difference shows."""
    differ = town.differ()
    for number in range(CASES_MAX):
        if difference := await differ.compare(town.case(number)):
            return difference
    return None
