"""What comes and goes over HTTP beside the API where contracts are concerned: their documents."""

from collections.abc import Callable
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import resolvers.contracts
from media.kinds import Unacceptable
from media.paper import Paper
from media.tickets import BadTicket, TicketExpired
from models.control import CommandDisabled, Overloaded, ServiceFrozen
from models.errors import Busy, NotFound, Refusal, Unauthenticated
from ops.gate import HouseGate
from resolvers.context import Context

READ = frozenset({"contract"})
"""What reading a document is to the gate: what stops the one stops the other."""

AGAIN_SECONDS = 5

STATUS: dict[type[Refusal], int] = {
    BadTicket: 403,
    TicketExpired: 403,
    Unauthenticated: 403,
    NotFound: 404,
    Unacceptable: 500,
    CommandDisabled: 503,
    ServiceFrozen: 503,
    Overloaded: 503,
    Busy: 503,
}


class Draws(Protocol):
    """Whoever makes a PDF of what a document says."""

    async def draw(self, paper: Paper) -> bytes:
        """Draw it; `Busy` if there is too much to do."""


class Archive:
    """Where people fetch the documents of their contracts."""

    def __init__(self, context: Callable[[], Context], gate: HouseGate, press: Draws) -> None:
        self._context, self._gate, self._press = context, gate, press

    def routes(self) -> list[Route]:
        """What is answered, and where."""
        return [Route("/contracts/document.pdf", self.document, methods=["GET"])]

    async def document(self, request: Request) -> Response:
        """GET /contracts/document.pdf: the contract that a link is for, as it is now, for whoever has the link."""
        try:
            name, paper = await self._read(request.query_params.get("link", ""))
            body = await self._press.draw(paper)
        except tuple(STATUS) as no:
            return _no(STATUS[type(no)], no)
        return Response(body, headers=_headers(name))

    async def _read(self, link: str) -> tuple[str, Paper]:
        """Read what it says, as one of the operations that there is room for; drawing has a line of its own."""
        if (room := self._gate.enter(READ)) is not None:
            await room
        try:
            return await resolvers.contracts.document(self._context(), link)
        finally:
            self._gate.leave(READ)


def _headers(name: str) -> dict[str, str]:
    return {
        "content-type": "application/pdf",
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
    }


def _no(status: int, refusal: Refusal) -> Response:
    again = {"retry-after": str(AGAIN_SECONDS)} if status == 503 else None
    return JSONResponse({"success": False, "reason": refusal.message}, status, again)
