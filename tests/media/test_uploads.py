"""Files brought over HTTP: by machines with credentials, by people with tickets, and by those who mean no good."""

import asyncio
import base64
from io import BytesIO

import pytest
from PIL import Image

import media.depot
import media.server
from models.config import Config
from models.media import UPLOAD_SECONDS, UploadGroup, UploadState
from tests.media import files
from tests.media.site import heard

PDF = files.pdf()
BOUNDARY = b"--frontier"


def form(*parts: tuple[bytes, bytes], end: bytes = b"--frontier--\r\n") -> bytes:
    """A form of parts, each with its headers and its body."""
    return b"".join(BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts) + end


RESOURCE = b'Content-Disposition: form-data; name="resource"; filename="x.pdf"'
FILENAME = b'Content-Disposition: form-data; name="filename"'


async def send(site, body: bytes, kind: str = "multipart/form-data; boundary=frontier", group: str = "resume"):
    return await site.client.post(f"/upload/{group}", content=body, auth=site.machine, headers={"Content-Type": kind})


# Machines


async def test_a_machine_is_told_where_its_file_is(site):
    answer = await site.deliver("resume", "Curriculum Vitæ (final).PDF", PDF)

    assert answer.status_code == 201
    said = answer.json()
    assert (said["success"], said["path"]) == (True, "/static/resume/curriculum_vit_final.pdf")
    assert (said["mimeType"], said["size"]) == ("application/pdf", len(PDF))
    assert (await site.get(said["path"], Authorization=site.basic)).content == PDF


async def test_the_name_may_come_after_the_file(site):
    answer = await send(site, form((RESOURCE, PDF), (FILENAME, b"cv")))

    assert answer.json()["path"] == "/static/resume/cv.pdf"


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic", "Basic x", "Bearer abc", "Basic eDp5", "Digest eDp5", "basic " + "A" * 10_000],
)
async def test_whoever_is_not_a_machine_is_asked_who_she_is(site, authorization):
    headers = {"Authorization": authorization} if authorization is not None else {}
    answer = await site.client.post("/upload/resume", files={"resource": PDF}, data={"filename": "x"}, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="uploads", charset="UTF-8"'
    assert answer.json() == {
        "success": False,
        "code": "UNAUTHENTICATED",
        "message": "This takes the credentials for uploads.",
    }
    assert site.files() == []


@pytest.mark.parametrize(
    "wrong", [("machine", "other"), ("other", "{}"), ("", ""), ("machine", ""), ("machine", "{}x")]
)
async def test_both_the_name_and_the_password_have_to_be_right(site, wrong):
    user, password = wrong
    given = base64.b64encode(f"{user}:{password.format(site.machine[1])}".encode()).decode()

    answer = await site.client.post("/upload/resume", content=b"x", headers={"Authorization": f"Basic {given}"})

    assert answer.status_code == 401


async def test_machines_upload_nothing_while_nobody_has_said_who_may(site, monkeypatch):
    monkeypatch.setattr(site.media, "_credentials", None)

    for auth in (None, ("", ""), ("None", "None"), site.machine):
        answer = await site.client.post("/upload/resume", files={"resource": PDF}, data={"filename": "x"}, auth=auth)
        assert (answer.status_code, answer.json()["code"]) == (403, "UPLOADS_OFF")
    assert site.files() == []


async def test_a_group_that_is_none_takes_nothing(site):
    assert (await site.deliver("nothing", "x", PDF)).status_code == 404


@pytest.mark.parametrize("name", ["0" * 32, "0192F3C4A1B27C3D9E8F001122334455.pdf"])
async def test_a_machine_cannot_take_the_name_of_what_a_person_brought(site, people, name):
    upload = await site.brought(people.freelancer, UploadGroup.RESUME, PDF)

    for wanted in (name, upload.stored_name, upload.stored_name.upper()):
        answer = await site.deliver("resume", wanted, files.pdf("<< /Evil true >>"))
        assert (answer.status_code, answer.json()["code"]) == (422, "UPLOAD_NOT_ACCEPTABLE")
    assert (site.root / "resume" / upload.stored_name).read_bytes() == PDF


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data; boundary=frontier"),
        (PDF, "multipart/form-data; boundary=frontier"),
        (form((RESOURCE, PDF), (FILENAME, b"x")), "multipart/form-data"),
        (form((RESOURCE, PDF), (FILENAME, b"x")), "application/json"),
        (form((RESOURCE, PDF), (FILENAME, b"x")), "multipart/form-data; boundary=other"),
        (form((RESOURCE, PDF), (FILENAME, b"x")), "multipart/form-data; boundary=" + "x" * 500),
        (form((RESOURCE, PDF), (FILENAME, b"x"), end=b""), "multipart/form-data; boundary=frontier"),
        (form((RESOURCE, PDF)), "multipart/form-data; boundary=frontier"),
        (form((FILENAME, b"x")), "multipart/form-data; boundary=frontier"),
        (form((RESOURCE, PDF), (FILENAME, b" ")), "multipart/form-data; boundary=frontier"),
        (form((RESOURCE, PDF), (FILENAME, b"\xff")), "multipart/form-data; boundary=frontier"),
        (form((RESOURCE, PDF), (FILENAME, b"x" * 1_001)), "multipart/form-data; boundary=frontier"),
        (form((RESOURCE, PDF), (RESOURCE, PDF), (FILENAME, b"x")), "multipart/form-data; boundary=frontier"),
        (form((RESOURCE, PDF), (FILENAME, b"x"), (FILENAME, b"y")), "multipart/form-data; boundary=frontier"),
        (form((RESOURCE, PDF), (b"Content-Disposition: form-data", b"x")), "multipart/form-data; boundary=frontier"),
        (form((b"X: " + b"y" * 100_000, b"x")), "multipart/form-data; boundary=frontier"),
        (b"x" * 200_000, "multipart/form-data; boundary=frontier"),
        (b"\r\n" * 200_000, "multipart/form-data; boundary=frontier"),
    ],
)
async def test_a_form_that_is_none_leaves_nothing(site, body, kind):
    answer = await send(site, body, kind)

    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_FORM")
    assert site.files() == []


@pytest.mark.parametrize(
    ("group", "body"),
    [
        ("resume", files.archive()),
        ("resume", files.png()),
        ("resume", b"<!doctype html>" + files.SCRIPT),
        ("resume", PDF[:200]),
        ("photos", files.noise(64, 64, "PNG")[:3_000]),
        ("photos", b"<svg xmlns='http://www.w3.org/2000/svg'>" + files.SCRIPT + b"</svg>"),
        ("photos", files.raw_png(50_000, 50_000)),
        ("photos", PDF),
        ("icons", b"x"),
    ],
)
async def test_what_is_not_of_its_group_is_refused_with_a_reason(site, group, body):
    answer = await site.deliver(group, "file", body)

    assert answer.status_code in {413, 422}
    assert answer.json()["code"] in {"UPLOAD_NOT_ACCEPTABLE", "UPLOAD_TOO_LARGE"}
    assert len(answer.json()["message"]) > 10
    assert site.files() == []


async def test_the_pixels_are_made_anew_and_nothing_else_is_kept(site):
    body = files.png() + b"<?php evil() ?>"

    answer = await site.deliver("icons", "home", body)

    kept = (site.root / "icons" / "home.png").read_bytes()
    assert answer.status_code == 201
    assert b"php" not in kept
    with Image.open(BytesIO(kept)) as image:
        assert (image.format, image.size) == ("PNG", (16, 16))


async def test_of_many_files_of_one_name_at_once_the_last_is_there_whole(site):
    bodies = [files.pdf(f"<< /Number {number} >>") for number in range(6)]

    answers = await asyncio.gather(*(site.deliver("resume", "same", body) for body in bodies))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert (site.root / "resume" / "same.pdf").read_bytes() in bodies
    assert [name for name in site.files() if "@" not in name] == ["resume/same.pdf"]


# People


async def test_a_ticket_needs_nothing_but_itself(site, people):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))

    answer = await site.put(ticket, PDF)

    assert answer.status_code == 201
    assert answer.json()["path"] == f"/static/resume/{ticket.upload.stored_name}"


async def test_a_body_of_unknown_length_may_come_in_chunks(site, people):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))

    async def chunks():
        for at in range(0, len(PDF), 100):
            yield PDF[at : at + 100]

    assert (await site.put(ticket, chunks())).status_code == 201


async def test_a_ticket_that_was_used_says_so(site, people):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))
    await site.put(ticket, PDF)

    again = await site.put(ticket, PDF)

    assert (again.status_code, again.json()["code"]) == (409, "UPLOAD_ARRIVED")


async def test_a_ticket_that_is_used_twice_at_once_is_used_once(site, people, stored):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))

    answers = await asyncio.gather(*(site.put(ticket, PDF) for _ in range(8)))

    codes = [answer.status_code for answer in answers]
    assert codes.count(201) == 1
    assert codes.count(409) == 7
    assert (await stored(ticket.upload)).state is UploadState.ARRIVED
    assert [name for name in site.files() if "@" not in name] == [f"resume/{ticket.upload.stored_name}"]


@pytest.mark.parametrize("ticket", ["x", "x" * 5_000, "%00", "%2e%2e", "a%2fb", "ä", "0" * 64])
async def test_a_ticket_that_is_none_is_not_valid(site, ticket):
    answer = await site.client.put(f"/upload/{ticket}", content=PDF)

    assert (answer.status_code, answer.json()["code"]) == (403, "BAD_TICKET")


async def test_a_link_is_no_ticket(site, people):
    upload = await site.brought(people.freelancer, UploadGroup.RESUME, PDF)
    link = site.address(upload).partition("?link=")[2]

    assert (await site.client.put(f"/upload/{link}", content=PDF)).status_code == 403


async def test_an_expired_ticket_says_so(site, people, clock):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))
    clock.advance(hours=1)

    answer = await site.put(ticket, PDF)

    assert (answer.status_code, answer.json()["code"]) == (410, "TICKET_EXPIRED")


@pytest.mark.parametrize("length", [0, len(PDF) - 1, len(PDF) + 1, 10**15])
async def test_a_length_that_is_not_the_announced_one_is_refused_before_anything_comes(site, people, length):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))

    answer = await site.says(f"PUT {ticket.url} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())

    assert answer.status == 400
    assert b"UPLOAD_DIFFERS" in answer.body


# Bodies that lie, stop, or never end


async def test_a_body_that_ends_before_its_length_leaves_nothing(site, people):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))

    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"PUT {ticket.url} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PDF)}\r\n\r\n".encode() + PDF[:-9])
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    # Sooner or later the server notices, and then the ticket is good again.
    async with asyncio.timeout(10):
        while (answer := await site.put(ticket, PDF)).status_code == 409:
            continue

    assert answer.status_code == 201
    assert [name for name in site.files() if "@" not in name] == [f"resume/{ticket.upload.stored_name}"]


async def test_a_form_that_is_cut_half_way_leaves_nothing(site):
    body = form((FILENAME, b"x"), (RESOURCE, PDF))
    head = (
        f"POST /upload/resume HTTP/1.1\r\nHost: x\r\nAuthorization: {site.basic}\r\n"
        f"Content-Type: multipart/form-data; boundary=frontier\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for cut in (1, 50, len(body) // 2, len(body) - 1):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(head.encode() + body[:cut])
        await writer.drain()
        writer.transport.abort()
        del reader
    async with asyncio.timeout(10):
        while site.house.depot._places:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)

    assert site.files() == []


async def test_what_follows_the_announced_length_is_no_part_of_the_file(site, people):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))

    head = f"PUT {ticket.url} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PDF)}\r\n\r\n"
    await site.says(head.encode() + PDF + b"more of it")

    async with asyncio.timeout(10):
        while site.house.depot._places:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    for name in site.files():
        assert "@" in name or (site.root / name).read_bytes() == PDF


async def test_a_body_in_chunks_that_never_ends_is_refused_when_it_is_too_long(site, people):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))

    head = f"PUT {ticket.url} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{len(PDF) + 1:x}\r\n"
    answer = await site.says(head.encode() + PDF + b"x\r\n")

    assert (answer.status, b"UPLOAD_DIFFERS" in answer.body) == (400, True)
    assert site.files() == []


async def test_a_body_that_stops_coming_is_given_up(site, people, monkeypatch, stored):
    monkeypatch.setattr(media.server, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(media.server, "LINGER_SECONDS", 0.01)
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))

    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"PUT {ticket.url} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PDF)}\r\n\r\n".encode() + PDF[:99])
    answer = await heard(reader)
    writer.close()

    assert (answer.status, b"UPLOAD_TOO_SLOW" in answer.body) == (408, True)
    assert (await stored(ticket.upload)).taken_until is None
    assert site.files() == []


async def test_a_body_that_comes_drop_by_drop_has_a_deadline(site, people, monkeypatch):
    monkeypatch.setattr(media.server, "LINGER_SECONDS", 0.01)
    monkeypatch.setattr(site.house.tuning, "config", Config({UPLOAD_SECONDS.name: 0.2}))
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))

    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"PUT {ticket.url} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PDF)}\r\n\r\n".encode())

    async def drip():
        for at in range(len(PDF)):
            writer.write(PDF[at : at + 1])
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    answer = await heard(reader)
    dripping.cancel()
    writer.close()

    assert answer.status == 408
    assert site.files() == []


@pytest.mark.parametrize(("group", "begin"), [("photos", files.png()), ("resume", PDF)])
async def test_too_much_is_too_much_as_soon_as_it_is(site, group, begin, monkeypatch):
    monkeypatch.setattr(site.house.tuning, "config", Config({UploadGroup(group).bytes_max.name: 10_000}))
    head = (
        f"POST /upload/{group} HTTP/1.1\r\nHost: x\r\nAuthorization: {site.basic}\r\n"
        "Content-Type: multipart/form-data; boundary=frontier\r\nContent-Length: 250000000\r\n\r\n"
    ).encode()

    part = form((FILENAME, b"x"), end=b"") + BOUNDARY + b"\r\n" + RESOURCE + b"\r\n\r\n"
    answer = await site.says(head + part + begin.ljust(10_001, b"x") + b"x" * 100)

    assert (answer.status, b"UPLOAD_TOO_LARGE" in answer.body) == (413, True)
    assert answer.headers["connection"] == "close"
    assert site.files() == []


async def test_the_first_bytes_of_what_is_not_of_its_group_are_enough(site, people):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, 250_000_000)

    head = f"PUT {ticket.url} HTTP/1.1\r\nHost: x\r\nContent-Length: 250000000\r\n\r\n"
    answer = await site.says(head.encode() + files.png())

    assert (answer.status, b"UPLOAD_NOT_ACCEPTABLE" in answer.body) == (422, True)


async def test_a_client_that_sends_on_is_listened_to_for_a_while_so_that_it_hears_why(site, people, monkeypatch):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, 20_000_000)

    answer = await site.put(ticket, files.png().ljust(20_000_000, b"x"))
    assert (answer.status_code, answer.json()["code"]) == (422, "UPLOAD_NOT_ACCEPTABLE")

    monkeypatch.setattr(media.server, "LINGER_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"PUT {ticket.url} HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n".encode() + files.png())
    assert (await heard(reader)).status == 422
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_a_client_that_waits_to_be_told_to_go_on_is_told(site, people):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    head = f"PUT {ticket.url} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(PDF)}\r\n\r\n"

    writer.write(head.encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    writer.write(PDF)
    answer = await heard(reader)
    writer.close()

    assert answer.status == 201


async def test_a_client_that_asks_first_need_not_send_what_is_refused(site):
    answer = await site.says(
        b"PUT /upload/nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 300000000\r\n\r\n"
    )

    assert answer.status in {100, 403}


async def test_more_than_a_process_takes_at_once_are_told_to_come_back(site, people):
    ticket = await site.requested(people.freelancer, UploadGroup.RESUME, len(PDF))
    places = [site.house.depot.place() for _ in range(media.depot.AT_ONCE_MAX)]
    for place in places:
        place.__enter__()

    answers = [await site.put(ticket, PDF), await site.deliver("resume", "x", PDF)]
    for place in places:
        place.__exit__(None, None, None)

    for answer in answers:
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "BUSY", "1")
    assert (await site.put(ticket, PDF)).status_code == 201


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
async def test_what_is_brought_is_not_read_from_there(site, method):
    answer = await site.client.request(method, "/upload/resume")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST, PUT"
