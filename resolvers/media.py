"""What is done with files: requested, brought, let go."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import loaders.accounts
import loaders.media
from loaders.work import UnitOfWork
from media.depot import delivered_name, gather, in_time, kind_of
from media.forms import read_form
from models.media import LINK_SECONDS, UPLOAD_SECONDS, Upload, UploadGroup, UploadWords
from resolvers.context import Context

METHOD = "PUT"
HEADERS = {"Content-Type": "application/octet-stream"}
"""How the bytes of an upload are sent; whatever the type is said to be, it is looked at and not believed."""

SWEEP_MAX = 100
"""Uploads swept in one transaction."""


@dataclass(frozen=True)
class Ticket:
    """Leave to bring one file: to `PUT` its bytes to an address, once, before a moment."""

    upload: Upload
    url: str
    expires_at: datetime


async def request(ctx: Context, *, words: UploadWords) -> Ticket:
    """Announce a file, and get an address to put its bytes to."""
    me = ctx.me
    async with ctx.writing() as work:
        await loaders.accounts.lock(work, me.id)
        usage = await loaders.media.usage(work, me.id)
        upload = Upload.request(me, words, usage, at=ctx.now(), config=ctx.config)
        work.add(upload)
    url = ctx.depot.addresses.upload(upload.id, upload.arrives_before)
    return Ticket(upload, url, upload.arrives_before)


async def arrive(ctx: Context, *, ticket: str, body: AsyncIterator[bytes], length: int | None) -> Upload:
    """Bring the bytes of an announced file; whoever has the ticket comes in the owner's name.

    The upload is taken first, so that of two at once one is refused before it sends anything. Its bytes are written
    down, judged and put away outside any transaction; only then has it arrived. An attempt that fails leaves nothing,
    and another may begin; of one that dies with its process the sweeper finds the rest.
    """
    upload_id = ctx.depot.addresses.upload_id(ticket, ctx.now())
    async with ctx.writing() as work:
        upload = await loaders.media.lock_any(work, upload_id)
        upload.must_have_size(length)
        until = upload.take(at=ctx.now(), config=ctx.config)
    kind = kind_of(upload.group)
    async with _attempt(ctx, upload, until):
        with ctx.depot.place() as place:
            source = place / "body"
            async with in_time(ctx.config[UPLOAD_SECONDS]):
                await gather(body, source, kind, exactly=upload.size)
            made = await ctx.depot.workshop.make(source, kind, place)
            upload.must_be_in_time(until, at=ctx.now())
            assert upload.stored_name is not None
            stored = await ctx.depot.put_away(made, upload.group, upload.stored_name)
        async with ctx.writing() as work:
            arrived = await loaders.media.lock_any(work, upload_id)
            arrived.arrive(until, stored, at=ctx.now(), config=ctx.config)
    return arrived


@asynccontextmanager
async def _attempt(ctx: Context, upload: Upload, until: datetime) -> AsyncIterator[None]:
    has_arrived = False
    try:
        yield
        has_arrived = True
    finally:
        if not has_arrived:
            # Also when it is cancelled: the client has gone, and nobody else will do it before the sweeper does.
            await asyncio.shield(_undo(ctx, upload, until))


async def _undo(ctx: Context, upload: Upload, until: datetime) -> None:
    # Until the ticket is given back nobody else writes under this name. If it did arrive after all, and only the
    # answer to the commit was lost, it stays.
    async with ctx.writing() as work:
        is_ours = (await loaders.media.lock_any(work, upload.id)).is_taken(until)
    if is_ours:
        await ctx.depot.remove(upload)
        async with ctx.writing() as work:
            (await loaders.media.lock_any(work, upload.id)).give_back(until)


async def deliver(ctx: Context, *, group: UploadGroup, content_type: bytes, body: AsyncIterator[bytes]) -> Upload:
    """Put the file in a machine's form in the place of whatever it brought under that name before.

    Of two at once the file is the one that was put away last, whole.
    """
    kind = kind_of(group)
    with ctx.depot.place() as place:
        source = place / "body"
        async with in_time(ctx.config[UPLOAD_SECONDS]):
            filename = await read_form(body, content_type, source, kind, most=ctx.config[group.bytes_max])
        stored_name = delivered_name(filename, group)
        made = await ctx.depot.workshop.make(source, kind, place)
        stored = await ctx.depot.put_away(made, group, stored_name)
    async with ctx.writing() as work:
        upload = await loaders.media.lock_delivered(work, group, stored_name)
        if upload is None:
            upload = Upload.delivered(group, stored_name, stored, at=ctx.now())
            work.add(upload)
        else:
            upload.deliver_again(stored, at=ctx.now())
    return upload


def address(ctx: Context, upload: Upload, variant: str | None = None) -> str | None:
    """Where a variant of an upload can be read by whoever may see it; in a private group only for some minutes."""
    expires_at = ctx.now() + timedelta(seconds=ctx.config[LINK_SECONDS])
    return ctx.depot.address(upload, variant, expires_at=expires_at)


async def delete(ctx: Context, *, upload_id: UUID) -> Upload:
    """Do without an upload of one's own that is attached to nothing; the sweeper deletes its bytes."""
    me = ctx.me
    async with ctx.writing() as work:
        upload = await loaders.media.lock(work, upload_id, *ctx.eyes)
        upload.delete(me, at=ctx.now())
    return upload


async def sweep(ctx: Context) -> int:
    """End uploads whose time is over, and delete the bytes of those that ended; safe to run twice, and at once.

    Returns the number of uploads touched, so that the caller knows whether there may be more.
    """
    ctx.depot.clean(ctx.now())
    async with ctx.writing() as work:
        due = await loaders.media.lock_due(work, ctx.now(), SWEEP_MAX)
        for upload in due:
            if upload.is_forgotten:
                await work.delete(upload)
            else:
                upload.sweep(at=ctx.now())
    ended = [upload for upload in due if not upload.is_forgotten]
    for upload in ended:
        await ctx.depot.remove(upload)
    async with ctx.writing() as work:
        for upload in await loaders.media.lock_swept(work, [upload.id for upload in ended]):
            upload.forget_bytes()
    return len(due)


async def exchange(
    ctx: Context, work: UnitOfWork, *, old: Collection[UUID], new: Collection[UUID], group: UploadGroup
) -> None:
    """Attach these uploads of one's own where those were: what is in both stays, what is only in `old` is let go."""
    coming, going = set(new) - set(old), set(old) - set(new)
    if not coming | going:
        return
    for upload in await loaders.media.lock_several(work, coming | going, *ctx.eyes):
        if upload.id in coming:
            upload.keep(ctx.me, group, at=ctx.now())
        else:
            upload.let_go(at=ctx.now())
