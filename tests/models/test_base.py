"""Ids, rows, and the audience they are shown to."""

import time
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import exists, literal, select, true
from sqlalchemy.dialects import postgresql

import schema.root  # noqa: F401  # every table is defined
from loaders.compile import _text
from models.accounts import shown
from models.base import VIEWER, Audience, Base, uuid7
from models.jobs import Category, Job
from tests import make

TICK_NANOSECONDS = 250
"""A little more than the 1/4096 of a millisecond that an id tells apart."""

SHOWN = [mapper.class_ for mapper in sorted(Base.registry.mappers, key=str) if hasattr(mapper.class_, "seen_by")]

moments = st.integers(0, 2**48 * 10**6 - 1 - TICK_NANOSECONDS)


def made_at(nanoseconds: int) -> UUID:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: nanoseconds)
        return uuid7()


@given(moments, st.integers(TICK_NANOSECONDS, 10**18))
def test_an_id_made_later_sorts_later(moment, later):
    first, second = made_at(moment), made_at(min(moment + later, 2**48 * 10**6 - 1))

    assert first < second
    assert first.hex < second.hex
    assert first.bytes < second.bytes


@given(moments)
def test_an_id_tells_its_version_and_its_moment(nanoseconds):
    made = made_at(nanoseconds)

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == nanoseconds // 1_000_000


@given(moments)
def test_ids_of_one_moment_differ(nanoseconds):
    assert len({made_at(nanoseconds) for _ in range(20)}) == 20


def test_a_row_has_its_id_before_it_is_saved():
    one, two = Category(name="Design"), Category(name="Design")

    assert one.id != two.id


def test_a_row_keeps_the_id_it_is_given():
    assert Category(id=make.CATEGORY_ID, name="Design").id == make.CATEGORY_ID


def test_a_row_refuses_values_it_has_no_column_for():
    with pytest.raises(TypeError, match="Category has no colour"):
        Category(name="Design", colour="red")


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.__name__)
def test_what_the_public_sees_does_not_depend_on_who_looks(kind):
    shown = kind.seen_by(Audience.PUBLIC).compile(dialect=postgresql.dialect())

    assert VIEWER.key not in shown.params


def test_what_is_private_is_shown_to_members_by_who_looks():
    for kind in SHOWN:
        public = str(kind.seen_by(Audience.PUBLIC).compile(dialect=postgresql.dialect()))
        member = kind.seen_by(Audience.MEMBER).compile(dialect=postgresql.dialect())
        if public == "false":
            assert VIEWER.key in member.params, kind


def test_no_audience_but_its_client_sees_a_draft():
    seen = {audience: Job.seen_by(audience).compile(dialect=postgresql.dialect()) for audience in Audience}

    assert {audience for audience, shown in seen.items() if VIEWER.key in shown.params} == {
        Audience.MEMBER,
        Audience.ADMIN,
    }


@pytest.mark.parametrize("kind", [kind for kind in SHOWN if kind.seen_with], ids=lambda kind: kind.__name__)
def test_what_is_seen_with_another_row_is_seen_by_just_those_who_see_that_one(kind):
    column: Any = getattr(kind, kind.seen_with)
    (foreign,) = column.foreign_keys
    (parent,) = [one for one in SHOWN if one.__table__ is foreign.column.table]

    for audience in Audience:
        through = shown(audience, exists().where(parent.id == column, parent.seen_by(Audience.MEMBER)))
        assert written(kind.seen_by(audience)) == written(through)
    # Nobody who is signed out has come from such a row, and an administrator may come from any.
    assert written(parent.seen_by(Audience.PUBLIC)) == written(literal(False))
    assert written(parent.seen_by(Audience.ADMIN)) == written(true())


def written(condition: Any) -> str:
    return _text(select(condition))
