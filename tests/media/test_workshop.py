# ruff: noqa: SIM905 - words read better than lists
import asyncio
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from PIL import Image, ImageCms, PngImagePlugin

import media.workshop
from media.kinds import GROUPS, PNG, WEBP, Group, TooLarge, Unacceptable
from media.placeholders import page
from media.workbench import OBJECTS_MAX
from media.workshop import Answer, Bench, Made, Workshop
from models.errors import Busy, Refusal
from tests.media import files

DEADLINE_SECONDS = 30
RED, GREEN, BLUE = (200, 30, 40), (20, 180, 40), (20, 40, 200)
ROOT = Path(__file__).parents[2]

Makes = Callable[..., Awaitable[Made]]


@pytest.fixture(scope="module")
async def workshop() -> AsyncIterator[Workshop]:
    async with Workshop() as workshop:
        yield workshop


@pytest.fixture
def make(workshop: Workshop, tmp_path: Path) -> Makes:
    """Have something made of bytes in a group."""

    async def work(body: bytes, group: str = "photos", *, by: Workshop = workshop) -> Made:
        source, into = tmp_path / "arrived", tmp_path / "made"
        source.write_bytes(body)
        into.mkdir(exist_ok=True)
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await by.make(source, GROUPS[group], into)

    return work


@pytest.fixture
def refused(make: Makes, tmp_path: Path) -> Callable[..., Awaitable[str]]:
    """Have something refused, nothing left of it, and the next thing made; give the words of the refusal."""

    async def work(body: bytes, group: str, refusal: type[Refusal] = Unacceptable) -> str:
        with pytest.raises(refusal) as caught:
            await make(body, group)
        assert caught.type is refusal
        assert not list((tmp_path / "made").iterdir())
        await make(files.png(), "icons")
        return caught.value.message

    return work


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def colour(made: Made, x: float = 0.5, y: float = 0.5, variant: str = "avatar") -> tuple[int, ...]:
    """The colour at a place of a variant, roughly."""
    image = opened(made.files[variant].path).convert("RGBA")
    found: Any = image.getpixel((int(x * image.width), int(y * image.height)))
    return tuple(found)


def near(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return all(abs(one - other) < 16 for one, other in zip(found, expected, strict=False))


def peak_megabytes(bench: Bench) -> int:
    """The most memory that a bench has had."""
    assert bench._process is not None
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{bench._process.pid}/status").read_text())
    assert found
    return int(found[1]) // 1_000


# Images


async def test_a_photo_is_kept_in_three_sizes(make: Makes, tmp_path: Path):
    made = await make(files.noise(1200, 900))

    assert {name: (piece.width, piece.height) for name, piece in made.files.items()} == {
        "large": (512, 384),
        "avatar": (128, 128),
        "icon": (16, 16),
    }
    assert (made.path, made.mime, made.width, made.height) == (tmp_path / "made" / "large.webp", WEBP, 512, 384)
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"large.webp", "avatar.webp", "icon.webp"}
    for piece in made.files.values():
        body = piece.path.read_bytes()
        assert (piece.size_bytes, piece.sha256) == (len(body), sha256(body).hexdigest())
        assert (opened(piece.path).format, opened(piece.path).size) == ("WEBP", (piece.width, piece.height))


async def test_an_icon_is_a_small_png(make: Makes):
    made = await make(files.noise(300, 200), "icons")

    assert (made.mime, made.path.name, made.width, made.height) == (PNG, "icon.png", 16, 16)
    assert list(made.files) == ["icon"]
    assert opened(made.path).format == "PNG"


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (16, 16), (511, 513), (1024, 1025), (2600, 2049)])
async def test_any_shape_is_brought_into_its_frames(make: Makes, size: tuple[int, int]):
    made = await make(files.png(*size))

    assert [(piece.width, piece.height) for piece in made.files.values()][1:] == [(128, 128), (16, 16)]
    scale = min(1.0, 512 / max(size))
    assert (made.width, made.height) == pytest.approx([max(1, side * scale) for side in size], abs=1)
    assert near(colour(made), RED)


def with_frames(kind: str) -> bytes:
    frames = [Image.new("RGB", (60, 60), each) for each in (RED, GREEN, BLUE)]
    return files.encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)


def palette(**options: Any) -> bytes:
    return files.encoded(Image.new("RGB", (60, 60), RED).quantize(4), options.pop("kind", "PNG"), **options)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (files.png(), RED),
        (files.png(colour=(*RED, 255), mode="RGBA"), RED),
        (files.png(colour=90, mode="L"), (90, 90, 90)),
        (files.png(colour=1, mode="1"), (255, 255, 255)),
        (files.png(colour=30_000, mode="I;16"), (117, 117, 117)),
        (files.png(colour=30_000, mode="I;16", transparency=5), (117, 117, 117)),
        (palette(), RED),
        (palette(kind="GIF"), RED),
        (files.encoded(Image.new("RGB", (60, 60), RED), "JPEG"), RED),
        (files.encoded(Image.new("RGB", (60, 60), RED), "JPEG", progressive=True), RED),
        (files.encoded(Image.new("L", (60, 60), 90), "JPEG"), (90, 90, 90)),
        (files.encoded(Image.new("RGB", (60, 60), RED).convert("CMYK"), "JPEG"), RED),
        (files.encoded(Image.new("RGB", (60, 60), RED), "WEBP"), RED),
        (with_frames("GIF"), RED),
        (with_frames("PNG"), RED),
        (with_frames("WEBP"), RED),
    ],
    ids="png rgba grey bits grey16 grey16-transparent palette gif jpeg progressive grey-jpeg cmyk webp "
    "gif-frames png-frames webp-frames".split(),
)
async def test_images_of_every_make_keep_their_colours(make: Makes, body: bytes, expected: tuple[int, ...]):
    made = await make(body)

    assert near(colour(made), (*expected, 255))
    assert not getattr(opened(made.path), "is_animated", False)


@pytest.mark.parametrize(
    "body",
    [files.png(colour=(0, 0, 0, 0), mode="RGBA"), files.png(colour=(9, 0), mode="LA"), palette(transparency=0)],
    ids=["rgba", "grey", "palette"],
)
@pytest.mark.parametrize("group", ["photos", "icons"])
async def test_what_is_transparent_stays_so(make: Makes, body: bytes, group: str):
    assert colour(await make(body, group), variant="icon")[3] == 0


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_photo_is_turned_as_the_camera_was_held(make: Makes, orientation: int):
    scene = Image.new("RGB", (300, 200), RED)
    scene.paste(GREEN, (150, 0, 300, 200))
    scene.paste(BLUE, (0, 100, 150, 200))  # red above blue at the left, green at the right
    flip = Image.Transpose
    seen = {2: [flip.FLIP_LEFT_RIGHT], 3: [flip.ROTATE_180], 4: [flip.FLIP_TOP_BOTTOM], 5: [flip.TRANSPOSE]}
    seen |= {6: [flip.ROTATE_90], 7: [flip.TRANSVERSE], 8: [flip.ROTATE_270]}
    for step in seen.get(orientation, []):
        scene = scene.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation

    made = await make(files.encoded(scene, "JPEG", exif=exif))

    assert (made.width, made.height) == (300, 200)
    assert near(colour(made, 0.1, 0.25, "large"), RED)
    assert near(colour(made, 0.1, 0.75, "large"), BLUE)
    assert near(colour(made, 0.9, 0.5, "large"), GREEN)


async def test_nothing_is_kept_of_an_image_but_its_pixels(make: Makes):
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a secret place", zip=False)
    text.add_itxt("XML:com.adobe.xmp", "a secret place")
    image = Image.new("RGB", (60, 60), RED)
    jpeg = files.encoded(
        image, "JPEG", exif=exif, comment=b"a secret place", xmp=b"a secret place", icc_profile=profile
    )
    whole = files.encoded(image, "PNG", pnginfo=text, exif=exif, icc_profile=profile) + b"a secret place"

    for body in (jpeg, whole):
        assert b"a secret place" in body
        for group in ("photos", "icons"):
            for piece in (await make(body, group)).files.values():
                kept = piece.path.read_bytes()
                assert not re.search(b"a secret place|EXIF|eXIf|ICCP|iCCP|XMP |tEXt|iTXt", kept)


async def test_colours_are_meant_as_the_profile_says(make: Makes):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"----", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"----", b"bXYZ", 1)

    made = await make(files.png(colour=(255, 0, 0), icc_profile=swapped))

    assert near(colour(made), (0, 0, 255))


@pytest.mark.parametrize("profile", [b"no profile", bytes(2_000_000)], ids=["nonsense", "huge"])
async def test_a_profile_that_makes_no_sense_is_none(make: Makes, profile: bytes):
    body = files.encoded(Image.new("RGB", (60, 60), RED), "JPEG", icc_profile=profile)
    assert near(colour(await make(body)), RED)


@pytest.mark.parametrize(
    "body",
    [
        files.png() + files.SCRIPT,
        files.png() + files.archive(),
        files.raw_png(4, 4, files.chunk(b"tEXt", b"Comment\0" + files.SCRIPT), rows=bytes(20)),
        palette(kind="GIF", comment=b"*/=1;" + files.SCRIPT),
        palette(kind="GIF") + files.SCRIPT,
        files.encoded(Image.new("RGB", (60, 60)), "JPEG", comment=files.SCRIPT) + files.SCRIPT + files.archive(),
    ],
    ids=["png-html", "png-zip", "png-text", "gif-js", "gif-html", "jpeg-all"],
)
@pytest.mark.parametrize("group", ["photos", "icons"])
async def test_what_rides_on_an_image_is_left_behind(make: Makes, body: bytes, group: str):
    for piece in (await make(body, group)).files.values():
        kept = piece.path.read_bytes()
        assert b"script" not in kept
        assert b"PK\3\4" not in kept


TEXT_BOMB = files.chunk(b"zTXt", b"Comment\0\0" + files.inflating(100))
PROFILE_BOMB = files.chunk(b"iCCP", b"profile\0\0" + files.inflating(100))
WHOLE = files.noise(300, 200, "PNG")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (files.raw_png(50_000, 50_000), TooLarge),
        (files.raw_png(2**31 - 1, 2**31 - 1), TooLarge),
        (files.raw_png(0, 0), Unacceptable),
        (files.raw_png(5_000, 5_000, rows=bytes(100)), Unacceptable),
        (files.raw_png(10, 10, TEXT_BOMB, rows=bytes(110)), Unacceptable),
        (files.raw_png(10, 10, PROFILE_BOMB, rows=bytes(110)), Unacceptable),
        (b"GIF89a" + b"\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0;", TooLarge),
        (WHOLE[: len(WHOLE) // 2], Unacceptable),
        (WHOLE[:40], Unacceptable),
        (WHOLE[:16], Unacceptable),
        (WHOLE[:1_000] + bytes(100) + WHOLE[1_100:], Unacceptable),
        (files.noise(300, 200)[:9_000], Unacceptable),
        (files.noise(300, 200, "GIF")[:9_000], Unacceptable),
        (files.noise(300, 200, "WEBP")[:9_000], Unacceptable),
        (b"\xff\xd8\xff\xe0" + os.urandom(5_000), Unacceptable),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>" + files.SCRIPT + b"</svg>", Unacceptable),
        (b"<!DOCTYPE html>" + files.SCRIPT, Unacceptable),
        (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><svg>&y;</svg>", Unacceptable),
        (files.archive(), Unacceptable),
        (files.pdf(), Unacceptable),
        (b"\0" + files.png(), Unacceptable),
        (b"push graphic-context\nfill 'url(https://example.com/)'", Unacceptable),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", Unacceptable),
        (files.encoded(Image.new("RGB", (9, 9)), "TIFF"), Unacceptable),
        (files.encoded(Image.new("RGB", (9, 9)), "BMP"), Unacceptable),
        (b"", Unacceptable),
    ],
    ids="50000x50000 biggest no-size few-rows text-bomb profile-bomb gif-65535x65535 half-png start-of-png png-head "
    "png-checksum half-jpeg half-gif half-webp jpeg-noise svg html xml-entity zip pdf shifted mvg postscript tiff bmp "
    "empty".split(),
)
@pytest.mark.parametrize("group", ["photos", "icons"])
async def test_a_bad_image_is_refused(refused: Any, body: bytes, refusal: type[Refusal], group: str):
    assert (await refused(body, group, refusal)).endswith(".")


async def test_an_image_of_too_many_bytes_is_refused(refused: Any):
    assert await refused(files.png() + bytes(20_000_000), "photos", TooLarge) == "This file is larger than 20 MB."


# Documents


async def test_a_document_is_kept_byte_for_byte_beside_a_preview(make: Makes, tmp_path: Path):
    body = files.pdf()
    made = await make(body, "resume")

    assert (made.path, made.mime, made.width) == (tmp_path / "arrived", "application/pdf", None)
    assert (made.size_bytes, made.sha256) == (len(body), sha256(body).hexdigest())
    assert made.path.read_bytes() == body
    preview = made.files["preview"]
    assert (preview.path, preview.mime) == (tmp_path / "made" / "preview.png", PNG)
    assert opened(preview.path).size == (preview.width, preview.height) == (396, 512)
    assert min(opened(preview.path).convert("L").tobytes()) < 100  # something is written there


def rewritten(**options: Any) -> bytes:
    """A PDF as another program writes it."""
    body = BytesIO()
    with pikepdf.open(BytesIO(files.pdf())) as document:
        document.save(body, **options)
    return body.getvalue()


def amended(body: bytes) -> bytes:
    """A PDF with a later version behind it, as signatures and comments are put there."""
    table = re.findall(rb"startxref\n(\d+)", body)[-1]
    size = int(re.findall(rb"/Size (\d+)", body)[-1])
    font = b"5 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>\nendobj\n"
    return (
        body
        + font
        + b"xref\n5 1\n%010d 00000 n \ntrailer\n<< /Size %d /Root 1 0 R /Prev %s >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(body), size, table, len(body) + len(font))
    )


WORDS = files.stream(b"BT /F1 9 Tf 72 720 Td (HTML/JavaScript/JS, /S /JavaScript, Node /Launch) Tj ET")


@pytest.mark.parametrize(
    "body",
    [
        page("There is no file here."),
        files.pdf(catalog="/OpenAction [3 0 R /Fit]"),
        files.pdf(catalog="/OpenAction << /S /GoTo /D [3 0 R /Fit] >>"),
        files.pdf(page="/Annots [<< /Subtype /Link /Rect [0 0 9 9] /A << /S /URI /URI (https://example.com) >> >>]"),
        files.pdf("<< /Title (HTML/JavaScript /S /JavaScript) /Author (JavaScript) >>", contents=WORDS),
        files.pdf("<< /S /JavaScripting /JavaScript 1 >>"),
        files.pdf("[/JavaScript]", "42", "(text)", "null", "true", "3.5"),
        files.pdf().replace(b"startxref", b"%Written by something\nstartxref"),
        files.pdf() + b"\r\n\n",
        files.pdf().rstrip(),
        files.packed_pdf("<< /Harmless true >>", "[1 2 3]"),
        rewritten(object_stream_mode=pikepdf.ObjectStreamMode.generate),
        rewritten(linearize=True),
        amended(files.pdf()),
        amended(files.packed_pdf("null")),
    ],
    ids="placeholder open-at open-goto link title odd-names odd-objects comment blanks no-newline packed modern "
    "linearized amended amended-packed".split(),
)
async def test_a_harmless_document_is_taken(make: Makes, body: bytes):
    assert (await make(body, "attachments")).path.read_bytes() == body


SCRIPTED = "<< /S /JavaScript /JS (app.alert\\(1\\)) >>"
LOCKED = {"owner": pikepdf.Encryption(owner="x", user=""), "user": pikepdf.Encryption(owner="x", user="y")}


@pytest.mark.parametrize(
    "body",
    [
        files.pdf(catalog=f"/OpenAction {SCRIPTED}"),
        files.pdf(SCRIPTED, catalog="/OpenAction 6 0 R"),
        files.pdf(catalog="/OpenAction << /S /J#61va#53cript /JS (x) >>"),
        files.pdf("/JavaScript", catalog="/OpenAction << /S 6 0 R /JS (x) >>"),
        files.pdf(catalog=f"/OpenAction << /S /GoTo /D [3 0 R /Fit] /Next [{SCRIPTED}] >>"),
        files.pdf(catalog=f"/Names << /JavaScript << /Names [(a) {SCRIPTED}] >> >>"),
        files.pdf(page=f"/AA << /O {SCRIPTED} >>"),
        files.pdf(page=f"/Annots [<< /Subtype /Widget /FT /Tx /AA << /K {SCRIPTED} >> >>]"),
        files.pdf(SCRIPTED),
        files.pdf(trailer=f"/Extra {SCRIPTED}"),
        files.pdf(files.stream(b"x", f"/Extra {SCRIPTED}")),
        files.packed_pdf(SCRIPTED, catalog="/OpenAction 7 0 R"),
        files.packed_pdf("<< /S /J#61vaScript /JS (x) >>"),
        files.pdf(catalog="/OpenAction << /S /Launch /F (cmd.exe) >>"),
        files.pdf(catalog="/OpenAction << /S /GoToR /F (\\\\\\\\host\\\\share) /D [0 /Fit] >>"),
        files.pdf(catalog="/OpenAction << /S /SubmitForm /F (https://example.com) >>"),
        files.pdf(catalog="/Names << /EmbeddedFiles << /Names [(a) << /EF << /F 6 0 R >> >>] >> >>"),
        files.pdf(page="/Annots [<< /Subtype /FileAttachment /FS << /F (a.exe) /EF << /F 4 0 R >> >> >>]"),
        files.pdf(catalog="/AcroForm << /XFA [(a) 4 0 R] >>"),
    ],
    ids="open indirect escaped indirect-name next names page-event field-event orphan trailer stream packed "
    "packed-escaped launch unc submit embedded attached xfa".split(),
)
async def test_a_document_that_does_more_than_be_read_is_refused(refused: Any, body: bytes):
    assert "scripts, files or actions" in await refused(body, "resume")


END = b"%%EOF\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (files.archive(), "Send one of these: PDF"),
        (files.SCRIPT + files.pdf(), "Send one of these: PDF"),
        (b"\n" + files.pdf(), "Send one of these: PDF"),
        (b"\xef\xbb\xbf" + files.pdf(), "Send one of these: PDF"),
        (files.archive() + files.pdf(), "Send one of these: PDF"),
        (files.png(), "Send one of these: PDF"),
        (files.pdf() + files.SCRIPT, "does not end"),
        (files.pdf() + b"\0" * 5_000, "does not end"),
        (files.pdf() + files.archive(), "does not end"),
        (files.pdf() + files.archive() + END, "does not end"),
        (files.pdf()[:-8], "does not end"),
        (files.pdf()[:400], "does not end"),
        (b"%PDF-1.7\n", "does not end"),
        (b"%PDF-1.7\n" + os.urandom(9_000), "does not end"),
        (files.pdf(contents=files.stream(files.archive())), "another kind of file"),
        (
            files.pdf().replace(b"startxref", b"%" + files.archive().replace(b"\n", b" ") + b"\nstartxref"),
            "another kind",
        ),
        (files.pdf().replace(b"startxref\n", b"startxref\n9"), "damaged"),
        (files.pdf().replace(b"\nxref\n", b"\nxxxx\n"), "damaged"),
        (files.pdf(count=0), "no pages"),
        (rewritten(encryption=LOCKED["owner"]), "encrypted"),
        (rewritten(encryption=LOCKED["user"]), "encrypted"),
        (b"", "empty"),
    ],
    ids="zip html-first newline-first mark-first zip-first png html-last zeros-last zip-last zip-last-disguised cut "
    "half head noise zip-inside zip-in-comment wrong-place no-table no-pages locked locked-twice empty".split(),
)
async def test_a_bad_document_is_refused(refused: Any, body: bytes, words: str):
    assert words in await refused(body, "attachments")


async def test_a_document_that_inflates_is_refused(refused: Any):
    await refused(files.packed_pdf("null", data=files.inflating(100)), "resume")


async def test_a_document_nested_without_end_is_refused(refused: Any):
    await refused(files.pdf("[" * 100_000 + "]" * 100_000), "resume")


async def test_a_document_of_pages_that_hold_each_other_is_refused(refused: Any):
    await refused(files.pdf().replace(b"/Kids [3 0 R]", b"/Kids [2 0 R]"), "resume")


async def test_a_document_of_too_many_objects_is_refused(refused: Any):
    body = files.pdf().replace(b"/Size 6", b"/Size %d" % (OBJECTS_MAX + 1))
    assert "objects" in await refused(body, "resume", TooLarge)


async def test_a_document_that_cannot_be_drawn_in_time_is_kept_without_a_preview(
    make: Makes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(media.workshop, "PREVIEW_SECONDS", 0.0)

    made = await make(files.pdf(), "resume")

    assert list(made.files) == [Group.DOCUMENT]


# Memory


async def test_bad_files_are_refused_in_100_megabytes(make: Makes):
    async with Workshop(benches=1) as workshop:
        for body, group in (
            (files.raw_png(50_000, 50_000), "photos"),
            (files.raw_png(10, 10, TEXT_BOMB, rows=bytes(110)), "photos"),
            (files.raw_png(10, 10, PROFILE_BOMB, rows=bytes(110)), "photos"),
            (WHOLE[: len(WHOLE) // 2], "photos"),
            (files.SCRIPT, "photos"),
            (files.archive(), "resume"),
            (files.pdf() + files.archive(), "resume"),
            (files.packed_pdf("null", data=files.inflating(100)), "resume"),
        ):
            with pytest.raises(Refusal):
                await make(body, group, by=workshop)
        assert peak_megabytes(workshop._benches[0]) < 100


def told_by(script: str) -> subprocess.CompletedProcess[str]:
    """What another Python says."""
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_document_of_300_megabytes_takes_no_memory_here(tmp_path: Path):
    files.write_huge_pdf(tmp_path / "huge.pdf", 299_000_000)
    script = f"""
        import asyncio, resource
        from pathlib import Path
        from media.kinds import GROUPS
        from media.workshop import Workshop

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        async def main():
            place = Path({str(tmp_path)!r})
            async with Workshop() as workshop:
                before = peak()
                made = await workshop.make(place / "huge.pdf", GROUPS["resume"], place)
                status = Path(f"/proc/{{workshop._benches[0]._process.pid}}/status").read_text()
                print(made.size_bytes, peak() - before, status.split("VmHWM:")[1].split()[0])

        asyncio.run(main())
    """
    told = told_by(script)
    assert not told.returncode, told.stderr
    size_bytes, here, there = map(int, told.stdout.split())
    assert size_bytes == (tmp_path / "huge.pdf").stat().st_size
    assert here < 20_000
    assert there < 512_000


# Benches


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have benches run something smaller, which starts at once and does this with a job."""

    def write(does: str) -> None:
        (tmp_path / "media").mkdir()
        (tmp_path / "media" / "workbench.py").write_text(
            "import sys, time\nprint('ready', flush=True)\n"
            f"for line in sys.stdin:\n    {does}\n    sys.stdout.flush()\n"
        )
        monkeypatch.setattr(media.workshop, "ROOT", tmp_path)

    return write


def job(source: Path) -> dict[str, Any]:
    return {"task": "image", "source": str(source), "group": asdict(GROUPS["icons"])}


SLOW, QUICK = {"task": "slow"}, {"task": "quick"}
TOY = """print('{"drawn": []}') if "quick" in line else time.sleep(1_000)"""


async def begun(bench: Bench) -> tuple[asyncio.Task[Any], Process]:
    """Give a bench a job that never ends."""
    await bench.ready()
    working = asyncio.create_task(bench.work(SLOW, DEADLINE_SECONDS))
    await asyncio.sleep(0)  # the task has its first turn
    assert bench._process is not None
    return working, bench._process


async def test_a_job_that_takes_too_long_costs_the_bench_its_process(bench: Bench, tmp_path: Path):
    os.mkfifo(tmp_path / "endless")
    (tmp_path / "quick").write_bytes(files.png())
    await bench.ready()
    before = bench._process

    with pytest.raises(Busy):
        await bench.work(job(tmp_path / "endless"), 0.1)

    assert before is not None
    assert before.returncode == -signal.SIGKILL
    assert (await bench.work(job(tmp_path / "quick"), DEADLINE_SECONDS)).drawn


@pytest.mark.parametrize(("ending", "words"), [(signal.SIGXCPU, "too long"), (signal.SIGSEGV, "cannot be read")])
async def test_a_file_that_breaks_its_bench_is_refused(bench: Bench, toy: Any, ending: signal.Signals, words: str):
    toy(TOY)
    working, process = await begun(bench)
    os.kill(process.pid, ending)

    with pytest.raises(Unacceptable, match=words):
        await working
    assert await bench.work(QUICK, DEADLINE_SECONDS) == Answer({"drawn": []}, [])


async def test_a_job_that_nobody_waits_for_any_more_is_not_answered_to_the_next(bench: Bench, toy: Any):
    toy(TOY)
    working, process = await begun(bench)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working

    assert process.returncode == -signal.SIGKILL
    assert await bench.work(QUICK, DEADLINE_SECONDS) == Answer({"drawn": []}, [])


async def test_a_bench_that_is_closed_under_a_job_is_not_the_fault_of_the_file(bench: Bench, toy: Any):
    toy(TOY)
    working, process = await begun(bench)
    await bench.close()

    with pytest.raises(Busy):
        await working
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(Busy):
        await bench.work(QUICK, DEADLINE_SECONDS)


async def test_a_bench_is_given_a_new_process_after_some_jobs(bench: Bench, toy: Any, monkeypatch: pytest.MonkeyPatch):
    toy(TOY)
    monkeypatch.setattr(media.workshop, "JOBS_MAX", 2)
    processes = set()
    for _ in range(3):
        await bench.ready()
        processes.add(bench._process)
        await bench.work(QUICK, DEADLINE_SECONDS)

    assert len(processes) == 2


@pytest.mark.parametrize(
    "answer",
    [b"nonsense", b"5", b"[]", b"{}", b'{"drawn": [{"bytes": 9e9}]}', b'{"drawn": [{"bytes": 5}]}\n\0', b"x" * 99_000],
    ids="nonsense number list nothing huge cut endless".split(),
)
async def test_a_bench_that_was_taken_over_is_not_believed(bench: Bench, toy: Any, answer: bytes):
    toy(f"sys.stdout.buffer.write({answer!r} + b'\\n'); sys.stdout.flush(); sys.exit()")

    with pytest.raises(Unacceptable):
        await bench.work(QUICK, DEADLINE_SECONDS)


async def test_a_bench_that_cannot_start_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(media.workshop, "ROOT", tmp_path)
    with pytest.raises(RuntimeError, match="does not start"):
        await bench.ready()


async def test_a_bench_knows_no_secrets_and_may_do_little(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WORKUP_SECRET", "a secret")
    (tmp_path / "quick").write_bytes(files.png())
    await bench.work(job(tmp_path / "quick"), DEADLINE_SECONDS)
    assert bench._process is not None
    about = Path("/proc") / str(bench._process.pid)

    assert (about / "environ").read_bytes() == b"LANG=C.UTF-8\0"
    limits = (about / "limits").read_text()
    for limit, most in (("file size", 0), ("core file size", 0), ("address space", 512_000_000), ("open files", 32)):
        assert re.search(rf"Max {limit}\s+{most}\s+{most}", limits)
    assert re.search(r"Max cpu time\s+\d\s", limits)


def test_a_bench_ends_with_the_process_that_opened_it():
    script = """
        import asyncio, os, signal
        from media.workshop import Workshop

        async def main():
            workshop = Workshop()
            await workshop.open()
            print(workshop._benches[0]._process.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    told = told_by(script)
    with suppress(ProcessLookupError):
        bench = os.pidfd_open(int(told.stdout))
        assert select.select([bench], [], [], DEADLINE_SECONDS)[0]
        os.close(bench)


# The workshop


async def test_of_many_at_once_each_gets_its_own(workshop: Workshop, tmp_path: Path):
    async def one(shade: int) -> int:
        source, into = tmp_path / f"{shade}.png", tmp_path / str(shade)
        source.write_bytes(files.png(colour=(shade, 0, 0)))
        into.mkdir()
        made = await workshop.make(source, GROUPS["icons"], into)
        return colour(made, variant="icon")[0]

    async with asyncio.timeout(DEADLINE_SECONDS):
        assert await asyncio.gather(*(one(shade) for shade in range(0, 240, 12))) == [*range(0, 240, 12)]


async def test_a_line_that_is_too_long_is_not_joined(make: Makes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(media.workshop, "WAITING_MAX", 0)
    with pytest.raises(Busy):
        await make(files.png())
    assert not list((tmp_path / "made").iterdir())


async def test_who_waits_too_long_is_told_to_come_back(make: Makes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(media.workshop, "WAIT_SECONDS", 0.01)
    with pytest.raises(Busy):
        await make(files.png(), by=Workshop(benches=0))


async def test_what_cannot_be_put_away_is_nobodys_fault_and_leaves_nothing(make: Makes, tmp_path: Path):
    (tmp_path / "made" / "avatar.webp").mkdir(parents=True)

    with pytest.raises(IsADirectoryError):
        await make(files.png())

    assert [path.name for path in (tmp_path / "made").iterdir()] == ["avatar.webp"]


async def test_a_source_that_is_not_there_is_a_bug(workshop: Workshop, tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        await workshop.make(tmp_path / "nothing", GROUPS["icons"], tmp_path)
