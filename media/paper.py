"""What a document says, from its first line to its last, before anybody draws it."""

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


class Kind(enum.Enum):
    """What a part of a document looks like."""

    HEADING = "HEADING"
    FACTS = "FACTS"
    SUMS = "SUMS"
    ENTRY = "ENTRY"
    WORDS = "WORDS"
    PRINT = "PRINT"


Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a document: words, or rows of a name and what is said of it."""

    kind: Kind
    text: str = ""
    rows: Rows = ()


@dataclass(frozen=True, slots=True)
class Paper:
    """A document. Whoever draws the same one twice makes the same bytes."""

    title: str
    kind: str
    """What sort of document it is, in a word or two; it stands above the title."""
    footing: str
    """What stands on every page, in plain letters, before the number of the page."""
    dated: str
    """The moment that the file itself is of, as ISO 8601 writes it in UTC."""
    blocks: tuple[Block, ...]

    def written(self) -> dict[str, Any]:
        """Write it for another process."""
        return asdict(self) | {"blocks": [asdict(block) | {"kind": block.kind.value} for block in self.blocks]}

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> "Paper":
        """Read what was `written`."""
        blocks = tuple(
            Block(Kind(block["kind"]), block["text"], tuple((name, value) for name, value in block["rows"]))
            for block in said["blocks"]
        )
        return cls(**{**said, "blocks": blocks})


def heading(text: str) -> Block:
    """What the parts below it are about."""
    return Block(Kind.HEADING, text)


def facts(rows: Rows) -> Block:
    """Names, and what is said of each."""
    return Block(Kind.FACTS, rows=rows)


def sums(rows: Rows) -> Block:
    """Names, and an amount for each."""
    return Block(Kind.SUMS, rows=rows)


def entry(text: str, rows: Rows) -> Block:
    """One of several things of a kind: what it is called, and what is said of it."""
    return Block(Kind.ENTRY, text, rows)


def words(text: str) -> Block:
    """What somebody wrote."""
    return Block(Kind.WORDS, text)


def fingerprint(text: str) -> Block:
    """Characters that are compared one by one."""
    return Block(Kind.PRINT, text)
