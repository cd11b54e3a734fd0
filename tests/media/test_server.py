"""Files over HTTP: told of, found, not found, and found to be unchanged."""

import asyncio
from hashlib import sha256

import pytest

import media.server
import media.shelf
import resolvers.media
from media.kinds import GROUPS
from media.shelf import SMALL_BYTES
from models.control import Desired, Kind
from models.errors import Busy
from models.media import LINK_SECONDS, UploadGroup
from tests.media import files
from tests.media.site import Site, heard

PDF = files.pdf()
ICON = "/static/icons/home.png"


def without_chance(answer):
    """Everything an answer says but when it said so."""
    return answer.status_code, {k: v for k, v in answer.headers.items() if k != "date"}, answer.content


@pytest.fixture
async def icon(site: Site) -> bytes:
    """An icon that is there."""
    await site.deliver("icons", "home", files.noise(64, 64))
    return (site.root / "icons" / "home.png").read_bytes()


@pytest.fixture
async def resume(site, people):
    """A resume of the freelancer's."""
    return await site.brought(people.freelancer, UploadGroup.RESUME, PDF, name="Ada's résumé.pdf")


# What is there


async def test_the_groups_are_told(site):
    answer = await site.get("/describe")

    assert answer.status_code == 200
    assert answer.json() == {"success": True, "path": "/static/", "groups": list(GROUPS)}


@pytest.mark.usefixtures("icon")
async def test_a_public_group_tells_what_machines_brought(site, people):
    await site.brought(people.admin, UploadGroup.ICONS, files.png())

    answer = await site.get("/describe/icons")

    assert answer.json() == {
        "success": True,
        "path": "/static/icons/",
        "mimeType": "image/png",
        "files": ["home.png"],
    }


async def test_a_private_group_tells_machines_alone(site, resume):
    assert (await site.get("/describe/resume")).status_code == 403
    assert (await site.get("/describe/resume", Authorization="Basic eDp5")).status_code == 401

    answer = await site.get("/describe/resume", Authorization=site.basic)

    assert answer.json()["files"] == [resume.stored_name]


@pytest.mark.parametrize("path", ["/describe/nothing", "/describe/", "/describe/icons/x", "/static/nothing/a.png"])
async def test_a_group_that_is_none_is_not_found(site, path):
    answer = await site.get(path)

    assert answer.status_code == 404
    assert answer.json()["success"] is False
    assert answer.json()["code"] == "NOT_FOUND"


# Reading


async def test_an_icon_is_read_by_everybody_and_may_be_remembered(site, icon):
    answer = await site.get(ICON)

    assert answer.status_code == 200
    assert answer.content == icon
    assert dict(answer.headers) == {
        "date": answer.headers["date"],
        "content-type": "image/png",
        "content-length": str(len(icon)),
        "etag": f'"{sha256(icon).hexdigest()}"',
        "cache-control": "public, max-age=300",
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
    }


async def test_what_people_bring_may_be_remembered_for_ever(site, people):
    photo = await site.brought(people.client, UploadGroup.PHOTOS, files.png())

    for variant in (None, "large", "avatar", "icon"):
        answer = await site.get(site.address(photo, variant))
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"] == "image/webp"


@pytest.mark.parametrize("group", GROUPS)
async def test_what_stands_for_a_file_is_of_its_kind_and_says_so_and_is_remembered_by_nobody(site, group):
    suffix = GROUPS[group].suffix

    for name in (f"none{suffix}", f"None of these{suffix}", f"keine-{'x' * 150}{suffix}"):
        answer = await site.get(f"/static/{group}/{name}", Authorization=site.basic)
        assert answer.status_code == 200
        assert answer.headers["x-placeholder"] == "true"
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers
        magic = {"image/png": b"\x89PNG", "application/pdf": b"%PDF"}[answer.headers["content-type"]]
        assert answer.content.startswith(magic)


async def test_what_stands_for_a_file_gives_way_to_it(site):
    assert "x-placeholder" in (await site.get(ICON)).headers

    await site.deliver("icons", "home", files.png())

    assert "x-placeholder" not in (await site.get(ICON)).headers


async def test_another_file_of_the_same_name_takes_its_place(site, icon):
    await site.deliver("icons", "home", files.noise(64, 64))

    answer = await site.get(ICON)

    assert answer.content != icon
    assert answer.headers["etag"] == f'"{sha256(answer.content).hexdigest()}"'


async def test_what_another_process_does_is_noticed_when_a_second_is_over(site, icon, monkeypatch):
    await site.get(ICON)
    other = files.noise(16, 16, "PNG")
    (site.root / "icons" / "home.png").write_bytes(other)

    assert (await site.get(ICON)).content == icon
    monkeypatch.setattr(media.shelf, "FRESH_SECONDS", -1.0)
    assert (await site.get(ICON)).content == other
    (site.root / "icons" / "home.png").unlink()
    assert "x-placeholder" in (await site.get(ICON)).headers


@pytest.mark.usefixtures("icon")
async def test_the_head_alone_says_the_same(site, resume):
    for path in (ICON, "/static/icons/none.png", site.address(resume), "/describe"):
        whole, head = await site.get(path), await site.client.head(path)
        assert without_chance(head) == (*without_chance(whole)[:2], b"")


@pytest.mark.usefixtures("icon")
@pytest.mark.parametrize("known", ["{}", "W/{}", '"a", {}', "*", '{} , "b"'])
async def test_what_the_client_has_is_not_sent_again(site, known):
    etag = (await site.get(ICON)).headers["etag"]

    answer = await site.get(ICON, If_None_Match=known.format(etag))

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag
    assert answer.headers["cache-control"] == "public, max-age=300"


@pytest.mark.parametrize("known", ['"a"', "", '"', "a, b", "W/"])
async def test_what_the_client_has_of_another_file_does_not_matter(site, icon, known):
    assert (await site.get(ICON, If_None_Match=known)).content == icon


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("0-9", 0, 10), ("5-", 5, None), ("-7", -7, None), ("0-0", 0, 1), ("3-99999999", 3, None), ("-99999999", 0, None)],
)
async def test_a_part_is_sent_as_a_part(site, icon, wanted, start, end):
    answer = await site.get(ICON, Range=f"bytes={wanted}")

    assert answer.status_code == 206
    assert answer.content == icon[start:end]
    first = start % len(icon)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(icon)}"
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize("wanted", ["bytes=0-1,4-5", "bytes=-", "bytes=x-1", "lines=1-2", "bytes=9-3", "", "bytes=1"])
async def test_what_is_no_single_part_is_answered_whole(site, icon, wanted):
    answer = await site.get(ICON, Range=wanted)

    assert (answer.status_code, answer.content) == (200, icon)


@pytest.mark.parametrize("wanted", ["bytes=99999999-", "bytes=-0", "bytes=9999999999999999999-"])
async def test_a_part_that_is_not_there_is_refused_with_the_size(site, icon, wanted):
    answer = await site.get(ICON, Range=wanted)

    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(icon)}"
    assert answer.json()["code"] == "RANGE_NOT_SATISFIABLE"


@pytest.mark.usefixtures("icon")
async def test_a_part_is_sent_only_of_the_file_that_the_client_has_begun(site):
    etag = (await site.get(ICON)).headers["etag"]

    assert (await site.get(ICON, Range="bytes=0-3", If_Range=etag)).status_code == 206
    for other in ('"other"', f"W/{etag}", "Sat, 21 Nov 2026 01:00:00 GMT"):
        assert (await site.get(ICON, Range="bytes=0-3", If_Range=other)).status_code == 200


async def test_a_part_of_what_stands_for_a_file_is_all_of_it(site):
    answer = await site.get("/static/icons/none.png", Range="bytes=0-3", If_None_Match="*")

    assert answer.status_code == 200
    assert len(answer.content) > 4


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_what_is_read_is_not_written(site, icon, method):
    for path in (ICON, "/describe", "/describe/icons"):
        answer = await site.client.request(method, path, content=b"x")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD"
        assert answer.json()["code"] == "METHOD_NOT_ALLOWED"
    assert (await site.get(ICON)).content == icon


async def test_a_big_file_is_sent_as_it_is_read(site):
    body = files.pdf(b"%" + files.noise(1200, 1200).ljust(2 * SMALL_BYTES, b"x").replace(b"\n", b" "))
    name = "0" * 31 + "1.pdf"
    (site.root / "resume").mkdir(exist_ok=True)
    (site.root / "resume" / name).write_bytes(body)

    whole = await site.get(f"/static/resume/{name}", Authorization=site.basic)
    part = await site.get(f"/static/resume/{name}", Authorization=site.basic, Range=f"bytes={SMALL_BYTES}-")

    assert whole.content == body
    assert whole.headers["etag"] == f'"{sha256(body).hexdigest()}"'
    assert part.content == body[SMALL_BYTES:]


async def test_a_client_that_leaves_in_the_middle_is_let_go(site, monkeypatch):
    name = "0" * 31 + "2.pdf"
    (site.root / "resume").mkdir(exist_ok=True)
    (site.root / "resume" / name).write_bytes(b"%PDF-1.7\n".ljust(60 * SMALL_BYTES, b"x"))
    read = site.media._shelf._storage.read
    sent, ended = 0, asyncio.Event()

    async def counted(key, start, end):
        nonlocal sent
        try:
            async for chunk in read(key, start, end):
                sent += len(chunk)
                yield chunk
        finally:
            ended.set()

    address = f"/static/resume/{name}"
    await site.client.head(address, headers={"Authorization": site.basic})
    monkeypatch.setattr(site.media._shelf._storage, "read", counted)
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"GET {address} HTTP/1.1\r\nHost: x\r\nAuthorization: {site.basic}\r\n\r\n".encode())
    await writer.drain()
    writer.transport.abort()
    async with asyncio.timeout(10):
        await ended.wait()

    assert sent < 60 * SMALL_BYTES


async def test_many_who_ask_at_once_for_what_nobody_asked_for_yet_are_answered_by_one_look(site, icon, monkeypatch):
    site.media._shelf._items.clear()
    head, looks = site.media._shelf._storage.head, 0

    async def counted(key):
        nonlocal looks
        looks += 1
        await asyncio.sleep(0.01)
        return await head(key)

    monkeypatch.setattr(site.media._shelf._storage, "head", counted)
    answers = await asyncio.gather(*(site.get(ICON) for _ in range(20)))

    assert {answer.content for answer in answers} == {icon}
    assert looks == 1


# Private files


async def test_a_private_file_is_saved_under_the_name_it_came_with(site, resume):
    answer = await site.get(site.address(resume))

    assert answer.content == PDF
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["content-disposition"] == 'attachment; filename="adas_resume.pdf"'
    assert answer.headers["content-type"] == "application/pdf"


async def test_the_first_page_of_a_document_is_as_private_as_the_document(site, resume):
    address = site.address(resume, "preview")

    answer = await site.get(address)

    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "private, no-store"
    assert (await site.get(address.partition("?")[0])).status_code == 403


async def test_a_link_is_good_for_some_minutes(site, resume, clock, house):
    address = site.address(resume)
    assert (await site.get(address)).status_code == 200

    clock.advance(seconds=house.context().config[LINK_SECONDS] + 1)
    for _ in range(2):
        answer = await site.get(address)
        assert (answer.status_code, answer.json()["code"]) == (410, "TICKET_EXPIRED")


async def test_somebody_elses_resume_is_not_read_by_any_address(site, resume, people):
    own = await site.brought(people.other_freelancer, UploadGroup.RESUME, files.pdf("<< /Own true >>"))
    link = site.address(own).partition("?link=")[2]
    preview = site.address(resume, "preview").partition("?link=")[2]
    there = f"/static/resume/{resume.stored_name}"
    ticket = (await site.requested(people.other_freelancer, UploadGroup.RESUME, 10)).url.rpartition("/")[2]
    good = site.address(resume).partition("?link=")[2]
    spoilt = [good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in range(len(good) - 1)]

    for query in (
        *("", "?", "?link", "?link=", "?link=x", f"?link={link}", f"?link={preview}", f"?link={ticket}"),
        *(f"?LINK={good}", f"?link={good}x", f"?link={good[:-1]}", f"?link={'A' * 5_000}"),
        *(f"?link={each}" for each in spoilt),
        *("?link=%00", "?link=\N{SNOWMAN}", f"#link={good}", f"?link={good[::-1]}"),
    ):
        for method in ("GET", "HEAD"):
            answer = await site.client.request(method, there + query)
            assert answer.status_code == 403, query
            assert PDF not in answer.content
    assert (await site.get(there + f"?link={good}")).content == PDF


async def test_whether_there_is_a_private_file_is_not_told_either(site, resume):
    there = await site.get(f"/static/resume/{resume.stored_name}")
    nowhere = await site.get("/static/resume/nothing.pdf")

    assert without_chance(there) == without_chance(nowhere)
    assert there.json()["code"] == "LINK_NEEDED"


async def test_machines_read_private_files_with_their_credentials(site, resume):
    there = f"/static/resume/{resume.stored_name}"

    assert (await site.get(there, Authorization=site.basic)).content == PDF
    for wrong in ("Basic eDp5", "Bearer x", "Basic", "Basic \xff", site.basic[:-4], site.basic.replace("Basic", "Bas")):
        answer = await site.client.get(there, headers={"Authorization": wrong.encode("latin-1")})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")


async def test_a_file_that_was_deleted_cannot_be_read_with_an_old_link(site, resume, as_, people, monkeypatch):
    address = site.address(resume)
    assert (await site.get(address)).content == PDF

    await resolvers.media.delete(as_(people.freelancer), upload_id=resume.id)
    await resolvers.media.sweep(as_(None))
    monkeypatch.setattr(media.shelf, "FRESH_SECONDS", -1.0)

    assert "x-placeholder" in (await site.get(address)).headers


# The two ways to answer


@pytest.mark.usefixtures("icon")
async def test_what_is_at_hand_is_answered_as_what_is_not(site, resume, monkeypatch):
    paths = [
        *(ICON, "/static/icons/none.png", "/static/icons/none@icon.png"),
        *(site.address(resume), site.address(resume, "preview")),
    ]
    asked = 0
    read = site.media._read

    async def counted(*given):
        nonlocal asked
        asked += 1
        return await read(*given)

    monkeypatch.setattr(site.media, "_read", counted)
    for path in paths:
        first = await site.get(path)
        before = asked
        second = await site.get(path)
        assert asked == before, path
        # A header that has to be thought about takes the long way.
        third = await site.get(path, If_None_Match='"other"')
        assert asked == before + 1
        assert without_chance(first) == without_chance(second) == without_chance(third)


@pytest.mark.usefixtures("icon")
async def test_requests_that_come_together_are_answered_in_order(site, resume):
    ask = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"
    paths = [ICON, "/describe", ICON, site.address(resume), "/static/icons/none.png", ICON]
    alone = [(await site.get(path)).content for path in paths]

    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write("".join(ask.format(path) for path in paths * 20).encode())
    together = [(await heard(reader)).body for _ in paths * 20]
    writer.close()

    assert together == alone * 20


async def test_old_clients_are_answered_and_hung_up_on(site, icon):
    for head in ("GET {} HTTP/1.0\r\n\r\n", "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(head.format(ICON).encode())
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert answer.endswith(icon)


# Other origins


@pytest.mark.usefixtures("icon")
async def test_pages_of_our_origins_may_read_and_bring_and_others_may_not(site, monkeypatch):
    monkeypatch.setattr(site.media, "_origins", frozenset({b"https://app.example.org"}))
    ours = await site.get(ICON, Origin="https://app.example.org")
    others = await site.get(ICON, Origin="https://evil.example.org")

    assert ours.headers["access-control-allow-origin"] == "https://app.example.org"
    assert "etag" in ours.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in others.headers
    assert ours.headers["vary"] == others.headers["vary"] == "origin"
    asking = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "PUT"}
    preflight = await site.client.options("/upload/x", headers=asking)
    assert preflight.status_code == 204
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-origin"] == "https://app.example.org"


# When things break


async def test_storage_that_is_away_is_said_to_be_away_for_a_moment(site, monkeypatch):
    async def away(_key):
        raise Busy

    monkeypatch.setattr(site.media._shelf._storage, "head", away)
    answer = await site.get("/static/icons/never-asked-for.png")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["success"] is False


async def test_a_fault_of_ours_is_not_explained(site, monkeypatch):
    async def broken(_key):
        raise RuntimeError("a secret")

    monkeypatch.setattr(site.media._shelf._storage, "head", broken)
    answer = await site.get("/static/icons/never-asked-for-either.png")

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["code"] == "INTERNAL"


def test_every_status_is_for_a_refusal_of_its_own():
    kinds = [kind for kind, _ in media.server.STATUSES]

    for at, kind in enumerate(kinds):
        assert not any(issubclass(kind, before) for before in kinds[:at]), kind


# What stands before it


@pytest.fixture
def wanted(site):
    """Want something of the gate, and take it back at the end."""

    def obey(line_most=0, **rulings):
        found = {(Kind[name], subject): value for name, (subject, value) in rulings.items()}
        site.house.gate.obey(Desired(1, found), line_most)

    yield obey
    site.house.gate.obey(Desired(), 1_000)


async def test_while_files_are_frozen_nothing_is_carried_not_even_what_is_at_hand(site, icon, wanted):
    assert (await site.get(ICON)).content == icon
    wanted(FROZEN=("MEDIA", True))

    answers = [await site.get(ICON), await site.get("/describe"), await site.deliver("icons", "x", files.png())]

    assert [answer.status_code for answer in answers] == [503] * 3
    assert {answer.json()["code"] for answer in answers} == {"SERVICE_FROZEN"}
    assert {answer.headers["retry-after"] for answer in answers} == {"5"}
    wanted()
    assert (await site.get(ICON)).content == icon


async def test_a_way_of_carrying_files_is_taken_away_alone(site, icon, wanted):
    wanted(DELETED=("uploadFile", True))

    refused = await site.deliver("icons", "x", files.png())

    assert (refused.status_code, refused.json()["code"]) == (403, "COMMAND_DISABLED")
    assert (await site.get(ICON)).content == icon


async def test_where_there_is_no_room_the_next_is_refused_at_once(site, wanted):
    wanted(THREADS=("MEDIA", 1))
    assert site.house.gate.enter(frozenset({"uploadFile"})) is None
    try:
        refused = await site.get("/describe")
    finally:
        site.house.gate.leave(frozenset({"uploadFile"}))

    assert (refused.status_code, refused.json()["code"]) == (503, "OVERLOADED")
    assert (await site.get("/describe")).status_code == 200
    assert site.house.gate.running == 0
