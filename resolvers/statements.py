"""What is told of what somebody's money did: a page at a time, or all of it for a spreadsheet."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

import loaders.statements
from loaders.pages import EPOCH
from loaders.work import read_steadily
from media.tickets import BadTicket, TicketExpired
from models.money import Currency
from models.statements import StatementEntry, WalletPart
from resolvers.context import Context

LINK = "payments.statement"
LINK_SECONDS = 600
"""For how long the address of a spreadsheet is good."""

ENTRIES_AT_ONCE = 1_000
"""Entries that are read together for a spreadsheet, however many there are."""


async def account(ctx: Context, owner_id: UUID, part: WalletPart, currency: Currency) -> UUID | None:
    """The account whose entries make up the statement of a part of a wallet, if there are any."""
    find = partial(loaders.statements.account_of, owner_id=owner_id, part=part, currency=currency)
    return await read_steadily(ctx.reading, find)


def address(ctx: Context, owner_id: UUID, part: WalletPart, currency: Currency) -> str:
    """Where whoever has the address may read the whole statement for some minutes."""
    until = (ctx.now() - EPOCH) // timedelta(seconds=1) + LINK_SECONDS
    sealed = ctx.seal.close(LINK, f"{until}:{owner_id.hex}:{part.value}:{currency.value}")
    return f"/payments/statement.csv?link={sealed}"


async def everything(ctx: Context, link: str) -> AsyncIterator[Sequence[StatementEntry]]:
    """All entries of the statement that a link leads to, the oldest first, some at a time."""
    owner_id, part, currency = _opened(ctx, link)
    found = await account(ctx, owner_id, part, currency)
    return _batches(ctx, found)


def _opened(ctx: Context, link: str) -> tuple[UUID, WalletPart, Currency]:
    text = ctx.seal.open(LINK, link)
    if text is None:
        raise BadTicket
    until, owner, part, currency = text.split(":")
    if ctx.now() >= EPOCH + timedelta(seconds=int(until)):
        raise TicketExpired
    return UUID(hex=owner), WalletPart(part), Currency(currency)


async def _batches(ctx: Context, account_id: UUID | None) -> AsyncIterator[Sequence[StatementEntry]]:
    number = 0
    while account_id is not None:
        some = partial(loaders.statements.after, account_id=account_id, number=number, limit=ENTRIES_AT_ONCE)
        entries: Sequence[StatementEntry] = await read_steadily(ctx.reading, some)
        if not entries:
            return
        yield entries
        number = entries[-1].number
