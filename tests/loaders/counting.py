"""How often the database is asked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import event

from ops.app import House
from ops.lines import Lines


@contextmanager
def statements(house: House) -> Iterator[list[str]]:
    """Gather every statement that is sent while the block lasts."""
    engine, found = house.database.engine.sync_engine, list[str]()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    asked = Lines.value

    async def value(self: Lines, text: str, arguments: Sequence[Any], *, keep: bool) -> Any:
        found.append(text)
        return await asked(self, text, arguments, keep=keep)

    event.listen(engine, "before_cursor_execute", note)
    try:
        with patch.object(Lines, "value", value):
            yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)
