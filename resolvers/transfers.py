"""What is done with money from and to outside: brought, taken out, and found out about."""

import asyncio
from uuid import UUID

import loaders.ledger
import loaders.transfers
import resolvers.payments
from loaders.work import UnitOfWork
from models.activity import EventKind, account_stream, event
from models.errors import Busy, OutcomeUnknown
from models.idempotency import Once
from models.payments import RAIL
from models.transfers import Answer, PaymentsUnavailable, Transfer, TransferMismatch, TransferState, TransferWords
from resolvers.context import Context
from resolvers.idempotency import first_answer
from resolvers.provider import Provider

ASKED_MAX = 20
"""Transfers that one worker asks about at once."""


async def deposit(ctx: Context, *, words: TransferWords, key: str) -> Transfer:
    """Bring money in: it is in the wallet when the provider says so, which may be at once, later, or never."""
    me, provider = ctx.me, _provider(ctx)
    once = Once.of(me, key, "deposit", words.cents, words.currency, words.method)
    async with ctx.writing() as work:
        if first := await first_answer(ctx, work, once, Transfer):
            return first
        transfer = Transfer.deposit(me, words, transfer_id=once.subject_id, at=ctx.now(), config=ctx.config)
        work.add(transfer)
    return await _submitted(ctx, provider, transfer)


async def withdraw(ctx: Context, *, words: TransferWords, key: str) -> Transfer:
    """Take money out: it is held at once, and gone when the provider says so; if it does not go, it is free again."""
    me, provider, now = ctx.me, _provider(ctx), ctx.now()
    once = Once.of(me, key, "withdraw", words.cents, words.currency, words.method, words.purse)
    async with ctx.writing() as work:
        if first := await first_answer(ctx, work, once, Transfer):
            return first
        transfer = Transfer.withdraw(me, words, transfer_id=once.subject_id, at=now, config=ctx.config)
        (purse,) = await loaders.ledger.accounts(work, words.purse.kind.of(me.id, words.currency.value), at=now)
        await loaders.ledger.hold(work, transfer.hold(purse, at=now))
        work.add(transfer)
        resolvers.payments.tell_wallets(ctx, work, me.id)
    return await _submitted(ctx, provider, transfer)


def _provider(ctx: Context) -> Provider:
    if ctx.provider is None:
        raise PaymentsUnavailable
    return ctx.provider


async def _submitted(ctx: Context, provider: Provider, transfer: Transfer) -> Transfer:
    """Tell the provider, outside any transaction, and note what it says; if that fails, it is asked again later."""
    answer = await provider.submit(transfer.order)
    try:
        return await hear(ctx, transfer_id=transfer.id, answer=answer)
    except (Busy, OutcomeUnknown, TransferMismatch):
        # The request is kept, and nobody is to think that nothing was done; what came of it is found out later.
        return transfer


async def hear(ctx: Context, *, transfer_id: UUID, answer: Answer) -> Transfer:
    """Take note of what the provider says of a transfer, whoever brings it, however often and in whatever order."""
    async with ctx.writing() as work:
        transfer = await loaders.transfers.lock(work, transfer_id)
        if transfer.hear(answer, at=ctx.now()) and transfer.is_decided:
            if transfer.state is TransferState.SUCCEEDED:
                await _book(ctx, work, transfer)
            elif transfer.hold_id is not None:
                await loaders.ledger.void_hold(work, transfer.hold_id, at=ctx.now())
            _tell(ctx, work, transfer)
    return transfer


async def _book(ctx: Context, work: UnitOfWork, transfer: Transfer) -> None:
    currency = transfer.currency.value
    keys = transfer.purse.kind.of(transfer.account_id, currency), RAIL.of(None, currency)
    # The transfer names its journal, and is to be written after it.
    with work.no_autoflush:
        purse, rail = await loaders.ledger.accounts(work, *keys, at=ctx.now())
        journal = transfer.journal(purse=purse, rail=rail, at=ctx.now())
        if transfer.hold_id is None:
            await loaders.ledger.post(work, journal)
        else:
            await loaders.ledger.post_hold(work, transfer.hold_id, journal)


def _tell(ctx: Context, work: UnitOfWork, transfer: Transfer) -> None:
    succeeded = transfer.state is TransferState.SUCCEEDED
    kind = EventKind.TRANSFER_SUCCEEDED if succeeded else EventKind.TRANSFER_FAILED
    by = ctx.viewer.id if ctx.viewer else None
    work.leave(event(account_stream(transfer.account_id), kind, transfer, by=by, at=ctx.now()))
    if succeeded or transfer.hold_id is not None:
        resolvers.payments.tell_wallets(ctx, work, transfer.account_id)


async def ask_due(ctx: Context) -> int:
    """Ask the provider what became of transfers that are not decided, as often as it takes, ever more slowly.

    Each is noted as asked about before it is, so that no other worker asks meanwhile; it would do no harm.
    """
    if ctx.provider is None:
        return 0
    async with ctx.writing() as work:
        due = await loaders.transfers.lock_due(work, ctx.now(), ASKED_MAX)
        for transfer in due:
            transfer.try_again(at=ctx.now(), config=ctx.config)
    await asyncio.gather(*(_ask(ctx, ctx.provider, transfer) for transfer in due))
    return len(due)


async def _ask(ctx: Context, provider: Provider, transfer: Transfer) -> None:
    # What the provider has not confirmed it may never have got; to submit it again is to ask.
    answered = provider.submit if transfer.state is TransferState.REQUESTED else provider.ask
    await hear(ctx, transfer_id=transfer.id, answer=await answered(transfer.order))
