"""How people carry files without credentials: sealed addresses, for one file, until a moment."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from loaders.pages import EPOCH, Seal
from models.errors import Forbidden, Refusal

TICKET, LINK = "media.ticket", "media.link"
NAME_CHARS_MAX = 80
"""Characters of the name a link proposes for saving the file; the rest of a longer one is left out."""


class BadTicket(Forbidden):
    """The ticket was not made here, or was changed."""

    code = "BAD_TICKET"
    message = "This address is not valid."


class TicketExpired(Refusal):
    """The ticket was good once."""

    code = "TICKET_EXPIRED"
    message = "This address has expired. Ask for another one."


@dataclass(frozen=True, slots=True)
class Link:
    """What a good link says: until when, and what to call the file when it is saved."""

    expires_at: datetime
    save_as: str


class Addresses:
    """Makes the addresses of files and of uploads, and reads what is sealed in them.

    They begin with `origin`, or are relative to the server's when there is none.
    """

    def __init__(self, seal: Seal, origin: str = "") -> None:
        self._seal = seal
        self._origin = origin

    def upload(self, upload_id: UUID, expires_at: datetime) -> str:
        """Where to put the bytes of an upload; whoever has the address may."""
        sealed = self._seal.close(TICKET, f"{_written(expires_at)}:{upload_id.hex}")
        return f"{self._origin}/upload/{sealed}"

    def upload_id(self, ticket: str, at: datetime) -> UUID:
        """The upload that a ticket is for."""
        return UUID(hex=self._opened(TICKET, ticket, at)[2])

    def public(self, group: str, name: str) -> str:
        """Where anybody may read a file."""
        return f"{self._origin}/static/{group}/{name}"

    def private(self, group: str, name: str, *, save_as: str, expires_at: datetime) -> str:
        """Where whoever has the address may read a file until it expires; this file, and no other variant of it."""
        sealed = self._seal.close(f"{LINK}:{group}/{name}", f"{_written(expires_at)}:{save_as[:NAME_CHARS_MAX]}")
        return f"{self.public(group, name)}?link={sealed}"

    def link(self, group: str, name: str, sealed: str, at: datetime) -> Link:
        """What a link to a file says, if it is one and has not expired."""
        expires_at, _, save_as = self._opened(f"{LINK}:{group}/{name}", sealed, at)
        return Link(_read(expires_at), save_as)

    def _opened(self, purpose: str, sealed: str, at: datetime) -> tuple[str, str, str]:
        text = self._seal.open(purpose, sealed)
        if text is None:
            raise BadTicket
        parts = text.partition(":")
        if at >= _read(parts[0]):
            raise TicketExpired
        return parts


def _written(moment: datetime) -> str:
    return str((moment - EPOCH) // timedelta(seconds=1))


def _read(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
