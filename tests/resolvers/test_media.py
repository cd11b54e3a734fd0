"""What is kept and refused of files that are announced, brought and let go, and what is left when things break."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

import resolvers.media
from media.depot import AT_ONCE_MAX, SPOOL
from media.kinds import Unacceptable
from media.tickets import BadTicket, TicketExpired
from models.errors import Busy, Forbidden, Invalid, NotFound, Unauthenticated
from models.media import (
    LOOSE_HOURS,
    OPEN_MAX,
    TICKET_SECONDS,
    TooManyUploads,
    Upload,
    UploadArrived,
    UploadDiffers,
    UploadGone,
    UploadGroup,
    UploadInUse,
    UploadState,
    UploadUnderWay,
    UploadWords,
)
from tests import make
from tests.media import files

PDF = files.pdf()
RESUME = UploadWords(UploadGroup.RESUME, "cv.pdf", len(PDF))


@pytest.fixture(autouse=True)
def root(house):
    """Where the house keeps its files; nothing is in it."""
    path = Path(unquote(urlsplit(house.settings.media_url).path))
    yield path
    for entry in path.iterdir():
        if entry.name != SPOOL:
            shutil.rmtree(entry)


@pytest.fixture
def left(root):
    """Every file that is anywhere under it, also where uploads wait."""
    return lambda: sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


async def pieces(body: bytes, size: int = 1_000) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def sealed(ticket) -> str:
    return str(ticket.url.rpartition("/")[2])


async def bring(ctx, ticket, body: bytes = PDF, length: int | None = None) -> Upload:
    return await resolvers.media.arrive(ctx, ticket=sealed(ticket), body=pieces(body), length=length)


async def brought(ctx, body: bytes = PDF, group: UploadGroup = UploadGroup.RESUME) -> Upload:
    return await bring(ctx, await resolvers.media.request(ctx, words=UploadWords(group, "file", len(body))), body)


class Interrupted(Exception):
    """The network, as it is."""


# Announcing


async def test_a_wish_is_kept_and_answered_with_a_ticket(as_, people, stored):
    ticket = await resolvers.media.request(as_(people.freelancer), words=RESUME)

    kept = await stored(ticket.upload)
    assert (kept.state, kept.owner_id, kept.size) == (UploadState.REQUESTED, people.freelancer.id, len(PDF))
    assert ticket.expires_at == kept.arrives_before
    assert ticket.url.startswith("/upload/")


async def test_somebody_has_to_be_signed_in_to_announce_a_file(as_, refuses):
    async with refuses(Unauthenticated):
        await resolvers.media.request(as_(None), words=RESUME)


async def test_a_wish_that_breaks_the_rules_leaves_nothing(as_, people, refuses):
    async with refuses(Invalid):
        await resolvers.media.request(as_(people.client), words=UploadWords(UploadGroup.RESUME, "", 0))
    async with refuses(Forbidden):
        await resolvers.media.request(as_(people.client), words=UploadWords(UploadGroup.ICONS, "a", 1))


async def test_of_many_wishes_at_once_no_more_are_granted_than_one_may_have(as_, people):
    ctx = as_(people.freelancer)
    most = ctx.config[OPEN_MAX]

    answers = await asyncio.gather(
        *(resolvers.media.request(ctx, words=RESUME) for _ in range(most + 5)), return_exceptions=True
    )

    assert [type(answer) for answer in answers].count(resolvers.media.Ticket) == most
    assert [type(answer) for answer in answers].count(TooManyUploads) == 5


# Bringing


async def test_a_document_arrives_as_it_is(as_, people, stored, left):
    upload = await brought(as_(people.freelancer))

    kept = await stored(upload)
    assert (kept.state, kept.mime_type) == (UploadState.ARRIVED, "application/pdf")
    assert (kept.size, kept.sha256) == (len(PDF), sha256(PDF).hexdigest())
    assert f"resume/{kept.stored_name}" in left()
    assert not any(name.startswith(SPOOL) for name in left())


async def test_a_photo_arrives_in_every_size_made_anew(as_, people, root):
    upload = await brought(as_(people.client), files.noise(900, 600), UploadGroup.PHOTOS)

    sizes = {}
    for path in (root / "photos").iterdir():
        with Image.open(BytesIO(path.read_bytes())) as image:
            sizes[path.name.partition("@")[2]] = (image.format, *image.size)
    assert sizes == {"": ("WEBP", 512, 341), "avatar.webp": ("WEBP", 128, 128), "icon.webp": ("WEBP", 16, 16)}
    assert upload.sha256 == sha256((root / "photos" / upload.stored_name).read_bytes()).hexdigest()


async def test_two_uploads_of_one_name_by_two_people_do_not_touch_each_other(as_, people, root):
    bodies = [files.pdf("<< /Ada true >>"), files.pdf("<< /Bob false >>")]
    people_ = [people.freelancer, people.other_freelancer]

    uploads = await asyncio.gather(*(brought(as_(who), body) for who, body in zip(people_, bodies, strict=True)))

    assert uploads[0].name == uploads[1].name
    assert [(root / "resume" / upload.stored_name).read_bytes() for upload in uploads] == bodies


async def test_a_ticket_works_once(as_, people, refuses):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)
    await bring(ctx, ticket)

    async with refuses(UploadArrived):
        await bring(ctx, ticket)


async def test_of_two_who_use_a_ticket_at_once_one_arrives(as_, people, left, stored):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)

    answers = await asyncio.gather(*(bring(ctx, ticket) for _ in range(6)), return_exceptions=True)

    kinds = [type(answer) for answer in answers]
    assert kinds.count(Upload) == 1
    assert kinds.count(UploadUnderWay) + kinds.count(UploadArrived) == 5
    kept = await stored(ticket.upload)
    assert [name for name in left() if "@" not in name] == [f"resume/{kept.stored_name}"]


async def test_a_ticket_expires(as_, people, clock, refuses):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)
    clock.advance(seconds=ctx.config[TICKET_SECONDS])

    async with refuses(TicketExpired):
        await bring(ctx, ticket)


# Not its last letter, which holds bits that mean nothing.
@pytest.mark.parametrize(
    "spoil",
    [lambda text: text[:9] + ("B" if text[9] == "A" else "A") + text[10:], lambda text: text[1:], lambda _: "x"],
)
async def test_a_ticket_that_was_changed_is_none(spoil, as_, people, refuses):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)

    async with refuses(BadTicket):
        await resolvers.media.arrive(ctx, ticket=spoil(sealed(ticket)), body=pieces(PDF), length=None)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (PDF[:-1], UploadDiffers),
        (PDF + b"x", UploadDiffers),
        (b"", Unacceptable),
        (b"<html>" + PDF[6:], Unacceptable),
        (files.png().ljust(len(PDF), b"\0")[: len(PDF)], Unacceptable),
    ],
    ids=["cut", "longer", "empty", "html", "png"],
)
async def test_what_is_not_as_announced_leaves_nothing_and_may_be_tried_again(
    body, refusal, as_, people, refuses, left
):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)

    async with refuses(refusal):
        await bring(ctx, ticket, body)
    assert left() == []

    assert (await bring(ctx, ticket)).state is UploadState.ARRIVED


async def test_a_body_that_says_it_is_of_another_length_is_not_even_begun(as_, people, refuses):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)

    async with refuses(UploadDiffers):
        await bring(ctx, ticket, length=len(PDF) + 1)


async def test_a_connection_that_breaks_half_way_leaves_nothing(as_, people, left, stored):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)

    async def broken():
        yield PDF[:100]
        raise Interrupted

    with pytest.raises(Interrupted):
        await resolvers.media.arrive(ctx, ticket=sealed(ticket), body=broken(), length=None)

    assert left() == []
    assert (await stored(ticket.upload)).taken_until is None
    assert (await bring(ctx, ticket)).state is UploadState.ARRIVED


async def test_a_request_that_is_cancelled_leaves_nothing(as_, people, left, stored):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)
    begun = asyncio.Event()

    async def endless():
        yield PDF[:100]
        begun.set()
        await asyncio.Event().wait()

    coming = asyncio.create_task(resolvers.media.arrive(ctx, ticket=sealed(ticket), body=endless(), length=None))
    await begun.wait()
    coming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await coming

    assert left() == []
    assert (await stored(ticket.upload)).taken_until is None


async def test_storage_that_fails_half_way_through_a_photo_leaves_nothing(as_, people, left, monkeypatch, house):
    ctx = as_(people.freelancer)
    put = house.depot.storage.put
    body = files.noise(300, 300)
    ticket = await resolvers.media.request(ctx, words=UploadWords(UploadGroup.PHOTOS, "me.jpg", len(body)))

    async def failing(key, path, **facts):
        if "@" not in key:
            raise Busy
        await put(key, path, **facts)

    monkeypatch.setattr(house.depot.storage, "put", failing)
    with pytest.raises(Busy):
        await bring(ctx, ticket, body)
    monkeypatch.undo()

    assert left() == []
    assert (await bring(ctx, ticket, body)).state is UploadState.ARRIVED


async def test_an_upload_that_its_owner_deletes_while_it_comes_in_does_not_arrive(as_, people, left, stored):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)

    async def body():
        yield PDF[:100]
        await resolvers.media.delete(ctx, upload_id=ticket.upload.id)
        yield PDF[100:]

    with pytest.raises(UploadGone):
        await resolvers.media.arrive(ctx, ticket=sealed(ticket), body=body(), length=None)

    assert left() == []
    assert (await stored(ticket.upload)).state is UploadState.SWEPT


async def test_more_at_once_than_a_process_takes_are_told_to_come_back(as_, people, house, left):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)
    places = [house.depot.place() for _ in range(AT_ONCE_MAX)]
    for place in places:
        place.__enter__()

    with pytest.raises(Busy):
        await bring(ctx, ticket)
    for place in places:
        place.__exit__(None, None, None)

    assert left() == []
    assert (await bring(ctx, ticket)).state is UploadState.ARRIVED


# Letting go


async def test_an_upload_is_deleted_by_its_owner_and_its_bytes_a_little_later(as_, people, stored, left):
    ctx = as_(people.freelancer)
    upload = await brought(ctx)

    await resolvers.media.delete(ctx, upload_id=upload.id)
    assert (await stored(upload)).state is UploadState.SWEPT
    await resolvers.media.sweep(as_(None))

    assert left() == []
    assert (await stored(upload)).stored_name is None


async def test_others_do_not_find_an_upload_to_delete(as_, people, refuses):
    upload = await brought(as_(people.freelancer))

    for stranger in (people.client, people.other_freelancer):
        async with refuses(NotFound):
            await resolvers.media.delete(as_(stranger), upload_id=upload.id)
    async with refuses(Forbidden):
        await resolvers.media.delete(as_(people.admin), upload_id=upload.id)
    async with refuses(Unauthenticated):
        await resolvers.media.delete(as_(None), upload_id=upload.id)


async def test_an_upload_that_is_attached_is_not_deleted(as_, people, keep, refuses):
    upload = await keep(make.upload(people.freelancer, state=UploadState.KEPT))

    async with refuses(UploadInUse):
        await resolvers.media.delete(as_(people.freelancer), upload_id=upload.id)


async def test_time_sweeps_what_was_never_brought_and_what_was_never_attached(as_, people, clock, stored, left):
    ctx = as_(people.freelancer)
    never_brought = (await resolvers.media.request(ctx, words=RESUME)).upload
    never_attached = await brought(ctx)

    clock.advance(seconds=ctx.config[TICKET_SECONDS] + 1)
    assert await resolvers.media.sweep(as_(None)) == 1
    states = [(await stored(upload)).state for upload in (never_brought, never_attached)]
    assert states == [UploadState.SWEPT, UploadState.ARRIVED]
    assert left() != []
    clock.advance(hours=ctx.config[LOOSE_HOURS])
    assert await resolvers.media.sweep(as_(None)) == 1
    assert (await stored(never_attached)).state is UploadState.SWEPT
    assert left() == []
    assert await resolvers.media.sweep(as_(None)) == 0


async def test_two_sweepers_at_once_do_it_once(as_, people, clock):
    ctx = as_(people.freelancer)
    for _ in range(10):
        await resolvers.media.request(ctx, words=RESUME)
    clock.advance(seconds=ctx.config[TICKET_SECONDS] + 1)

    swept = await asyncio.gather(*(resolvers.media.sweep(as_(None)) for _ in range(4)))

    assert sum(swept) == 10


async def test_bytes_that_cannot_be_deleted_now_are_deleted_later(as_, people, clock, stored, left, monkeypatch, house):
    ctx = as_(people.freelancer)
    upload = await brought(ctx)
    await resolvers.media.delete(ctx, upload_id=upload.id)

    async def away(*_keys):
        raise Busy

    monkeypatch.setattr(house.depot.storage, "delete", away)
    with pytest.raises(Busy):
        await resolvers.media.sweep(as_(None))
    monkeypatch.undo()
    assert await resolvers.media.sweep(as_(None)) == 0
    clock.advance(minutes=1)
    assert await resolvers.media.sweep(as_(None)) == 1

    assert left() == []
    assert (await stored(upload)).stored_name is None


async def test_what_was_swept_is_forgotten_after_a_month(as_, people, clock, stored):
    ctx = as_(people.freelancer)
    upload = (await resolvers.media.request(ctx, words=RESUME)).upload
    clock.advance(seconds=ctx.config[TICKET_SECONDS] + 1)
    await resolvers.media.sweep(as_(None))

    clock.advance(days=29)
    assert await resolvers.media.sweep(as_(None)) == 0
    clock.advance(days=2)
    assert await resolvers.media.sweep(as_(None)) == 1

    assert await stored(upload) is None


async def test_the_sweeper_removes_what_a_process_left_behind_that_is_gone(as_, root, clock):
    dead = root / SPOOL / "dead"
    (dead / "place").mkdir(parents=True)
    (dead / "place" / "body").write_bytes(b"half of it")

    await resolvers.media.sweep(as_(None))
    assert dead.exists()
    clock.advance(minutes=5)
    await resolvers.media.sweep(as_(None))

    assert not dead.exists()


async def test_the_sweeper_leaves_alone_what_other_processes_are_at(as_, root, clock):
    alive = root / SPOOL / "alive"
    alive.mkdir(parents=True)
    holder = await asyncio.create_subprocess_exec(
        *("flock", str(alive), "sh", "-c", "echo held; read _"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout
    assert holder.stdin
    assert await holder.stdout.readline() == b"held\n"
    clock.advance(minutes=5)

    await resolvers.media.sweep(as_(None))
    assert alive.exists()
    holder.stdin.write_eof()
    await holder.wait()
    await resolvers.media.sweep(as_(None))

    assert not alive.exists()


# Addresses


async def test_a_public_file_has_one_address_and_a_private_one_a_new_one_each_time(as_, people, clock):
    photo = await brought(as_(people.client), files.png(), UploadGroup.PHOTOS)
    resume = await brought(as_(people.freelancer))

    assert resolvers.media.address(as_(None), photo) == f"/static/photos/{photo.stored_name}"
    first = resolvers.media.address(as_(None), resume)
    clock.advance(seconds=2)
    assert first != resolvers.media.address(as_(None), resume)


async def test_there_is_no_address_for_what_is_not_there(as_, people):
    ctx = as_(people.freelancer)
    ticket = await resolvers.media.request(ctx, words=RESUME)
    assert resolvers.media.address(ctx, ticket.upload) is None

    upload = await bring(ctx, ticket)
    assert resolvers.media.address(ctx, upload, "avatar") is None
    assert resolvers.media.address(ctx, upload, "preview") is not None
    deleted = await resolvers.media.delete(ctx, upload_id=upload.id)
    assert resolvers.media.address(ctx, deleted) is None
