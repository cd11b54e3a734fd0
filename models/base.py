"""What every table shares: ids that sort by time, names for constraints, and the audience a row is shown to."""

import enum
import os
import time
from datetime import datetime
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, BindParameter, DateTime, Enum, MetaData, Text, Uuid, bindparam, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.orm.decl_api import DeclarativeAttributeIntercept
from sqlalchemy.orm.instrumentation import manager_of_class

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Audience(enum.Enum):
    """The three kinds of viewer that a statement is built for; who exactly looks is bound to `VIEWER` when it runs."""

    PUBLIC = "public"
    MEMBER = "member"
    ADMIN = "admin"


VIEWER: BindParameter[UUID] = bindparam("viewer_id", type_=Uuid())
"""The id of the account that looks; only statements for `Audience.MEMBER` and `Audience.ADMIN` may use it."""

ROLES: BindParameter[Any] = bindparam("viewer_roles", type_=ARRAY(Text))
"""The roles of the account that looks."""

SESSION: BindParameter[UUID] = bindparam("session_id", type_=Uuid())
"""The session that the account that looks is signed in with."""

NOW: BindParameter[datetime] = bindparam("now", type_=DateTime(timezone=True))
"""What time it is in the house, by which everything comes due; `seen_by` may not use it, nor the two before it."""

WALL: BindParameter[datetime] = bindparam("wall", type_=DateTime(timezone=True))
"""What time it is in the world, by which people are signed in; it is for whatever may use `NOW`."""


def uuid7() -> UUID:
    """Make an id that sorts by the moment it was made (RFC 9562, version 7, with sub-millisecond order)."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    tail = int.from_bytes(os.urandom(8), "big") & (2**62 - 1)
    return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | tail)


def named(kind: type[enum.Enum]) -> Enum:
    """Keep an enum as its value in text, guarded by a check, so that adding a value is a small migration."""
    return Enum(
        kind,
        name=f"{kind.__name__.lower()}_known",
        native_enum=False,
        create_constraint=True,
        length=40,
        values_callable=lambda members: [member.value for member in members],
    )


STATE = "_sa_instance_state"
"""Where SQLAlchemy keeps what it knows of a row."""


class _Followed:
    """Has SQLAlchemy follow a row from the first time on that it looks for what it knows of it."""

    def __get__(self, row: Any, kind: type["Base"]) -> Any:
        if row is None:
            raise AttributeError(STATE)
        manager_of_class(kind).setup_instance(row)
        return vars(row)[STATE]


class _Rows(DeclarativeAttributeIntercept):
    """Makes rows that nobody follows yet: most of what a rule makes or is asked about meets no session at all.

    SQLAlchemy would begin with each row that is made, which takes longer than to make it.
    """

    def __call__(self, **values: Any) -> Any:
        kind: Any = self
        row = kind.__new__(kind)
        row.fill_in(values)
        return row


class Base(DeclarativeBase, metaclass=_Rows):
    """A row; one with an id has it from the moment it is made, so that others can point to it before it is saved."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {int: BigInteger(), str: Text(), datetime: DateTime(timezone=True)}

    _sa_instance_state = _Followed()

    noun: ClassVar[str]
    """The word before the underscore in the row's public id."""

    seen_with: ClassVar[str | None] = None
    """The column that leads to the row by which this one is seen, if it is seen by just those who see that one.

    It says nothing that `seen_by` does not say. Whoever has come from that row need not ask again.
    """

    def fill_in(self, values: dict[str, Any]) -> None:
        """Have these attributes, as a new row."""
        if values.keys() <= self._plain():
            # What a new row begins with is no change of it, and need not be tracked as one.
            vars(self).update(values)
            return
        for name, value in values.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no {name}")
            setattr(self, name, value)

    @classmethod
    @cache
    def _plain(cls) -> frozenset[str]:
        """The attributes that are columns, and lead to nothing else."""
        return frozenset(inspect(cls).column_attrs.keys())


class Identified(Base):
    """A row with a time-ordered id of its own."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)

    def fill_in(self, values: dict[str, Any]) -> None:
        """Have an id of its own, unless it is given one."""
        if "id" not in values:
            values["id"] = uuid7()
        super().fill_in(values)
