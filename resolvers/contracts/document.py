"""How the parties come by the document of their contract."""

from datetime import timedelta
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

import loaders.accounts
import loaders.contracts
import media.contracts
from loaders.contracts import Standing
from loaders.pages import EPOCH
from loaders.work import at_one_moment, read_steadily
from media.paper import Paper
from media.tickets import BadTicket, TicketExpired
from resolvers.context import Context

LINK = "contract.document"
LINK_SECONDS = 600
"""For how long the address of a document is good."""


def address(ctx: Context, contract_id: UUID) -> str:
    """Where whoever has the address may read the contract as a document, for some minutes, with the viewer's eyes."""
    until = (ctx.now() - EPOCH) // timedelta(seconds=1) + LINK_SECONDS
    sealed = ctx.seal.close(LINK, f"{until}:{contract_id.hex}:{ctx.me.id.hex}")
    return f"/contracts/document.pdf?link={sealed}"


async def document(ctx: Context, link: str) -> tuple[str, Paper]:
    """What the document that a link leads to is called, and what it says now.

    Whoever was given the link has to be one who may see the contract yet.
    """
    contract_id, viewer_id = _opened(ctx, link)
    found = await read_steadily(ctx.reading, partial(_read, contract_id=contract_id, viewer_id=viewer_id))
    return media.contracts.name_of(found.contract), media.contracts.document(found, ctx.now())


def _opened(ctx: Context, link: str) -> tuple[UUID, UUID]:
    text = ctx.seal.open(LINK, link)
    if text is None:
        raise BadTicket
    until, contract_id, viewer_id = text.split(":")
    if ctx.now() >= EPOCH + timedelta(seconds=int(until)):
        raise TicketExpired
    return UUID(hex=contract_id), UUID(hex=viewer_id)


async def _read(session: AsyncSession, contract_id: UUID, viewer_id: UUID) -> Standing:
    # Read one after the other, a milestone could be paid already, and its money be in escrow yet.
    await at_one_moment(session)
    viewer = await loaders.accounts.party(session, viewer_id)
    viewer.must_be_let_in()
    return await loaders.contracts.standing(session, contract_id, viewer.id, viewer.audience)
