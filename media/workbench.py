"""How a file is judged and made anew: the program of a process that `media/workshop.py` starts and can do without.

It reads one job a line, and answers each with a line and the bytes it has made. It can write no file, open few, and
use little memory and time; what is too much for it is refused.
"""

import json
import os
import re
import resource
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pikepdf
import pikepdf.settings
import pypdfium2
from PIL import ExifTags, Image, ImageCms, ImageOps

from media.kinds import GIF, HEAD_BYTES, JPEG, PNG, PREVIEW, WEBP, Fit, Group, TooLarge, Unacceptable, Variant

MEMORY_BYTES_MAX = 512_000_000
CPU_SECONDS_MAX = 8
FILES_MAX = 32
NICENESS = 5

PIXELS_MAX = {PNG: 50_000_000, JPEG: 50_000_000, GIF: 50_000_000, WEBP: 24_000_000}
"""What a good camera makes, and what can be decoded in the memory there is: a WebP takes three times its pixels."""

BAND_ROWS = 64
PROFILE_BYTES_MAX = 1_000_000
WEBP_QUALITY = 82

TAIL_BYTES = 2_048
OBJECTS_MAX = 200_000
INFLATED_BYTES_MAX = 16_000_000
ANEW = "Print it to a new PDF, and send that."

DECODERS = {PNG: "PNG", JPEG: "JPEG", GIF: "GIF", WEBP: "WEBP"}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation that a camera notes (EXIF 2.32, tag 0x0112)."""

ENDING = re.compile(rb"(?:>>|endobj)(?:\s|%(?!%EOF)[^\r\n]*[\r\n])*startxref\s+\d+\s+%%EOF\s*\Z")
"""The cross-reference, the comment that some writers leave behind it, the last words; then blanks and nothing else."""

DEEDS = {"/GoToE", "/GoToR", "/ImportData", "/JavaScript", "/Launch", "/Rendition", "/SubmitForm"}
"""Actions that reach beyond the document: they run something, open other files, send data (ISO 32000-2, 12.6)."""

LUGGAGE = {"/EF", "/EmbeddedFiles", "/RichMediaContent", "/XFA"}
"""Keys of what travels in a document without being part of a page: files, films, forms that are programs."""

TELLTALE = re.compile(b"(?:%s)(?![^\\s()<>[\\]{}/%%])" % b"|".join(name.encode() for name in sorted(DEEDS | LUGGAGE)))


@dataclass(frozen=True, slots=True)
class Drawn:
    """An image, encoded."""

    width: int
    height: int
    body: bytes


def image(source: Path, group: Group) -> list[Drawn]:
    """Decode an image, and make each variant of it from nothing but its pixels."""
    with source.open("rb") as file:
        mime = group.must_take(file.read(HEAD_BYTES))
        file.seek(0)
        picture = _pixels(file, mime, max(max(variant.width, variant.height) for variant in group.variants))
    return [_drawn(picture, variant, group.stores) for variant in group.variants]


def _pixels(file: BinaryIO, mime: str, side: int) -> Image.Image:
    """Read the first frame, upright, in sRGB with or without alpha, and about as large as it is needed."""
    with Image.open(file, formats=[DECODERS[mime]]) as opened:
        if opened.width * opened.height > PIXELS_MAX[mime]:
            raise TooLarge(f"This image has more than {PIXELS_MAX[mime] // 1_000_000} million pixels.")
        # A JPEG is decoded at an eighth of its size and more, which is cheaper by as much.
        opened.draft(None, (2 * side, 2 * side))
        opened.load()
        orientation = opened.getexif().get(ExifTags.Base.Orientation)
        profile = opened.info.get("icc_profile")
        picture = _shrunken(opened, side)
    picture = _in_srgb(picture, profile)
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def _shrunken(picture: Image.Image, side: int) -> Image.Image:
    """Halve, third … a picture as long as its shorter side stays well above `side`; band by band, to save memory."""
    factor = max(1, min(picture.size) // (2 * side))
    whole: Image.Image | None = None
    for top in range(0, picture.height, BAND_ROWS * factor):
        bottom = min(picture.height, top + BAND_ROWS * factor)
        band = _of_few_modes(picture.crop((0, top, picture.width, bottom))).reduce(factor)
        if whole is None:
            whole = Image.new(band.mode, (band.width, -(-picture.height // factor)))
        whole.paste(band, (0, top // factor))
    assert whole is not None
    return whole


def _of_few_modes(picture: Image.Image) -> Image.Image:
    """Turn palettes, bits and 16-bit greys into modes that can be resized and have colours: L, RGB, RGBA, CMYK."""
    if picture.mode.startswith("I"):
        return picture.point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture if picture.mode in {"L", "RGB", "CMYK"} else picture.convert("RGB")


def _in_srgb(picture: Image.Image, profile: Any) -> Image.Image:
    """Show colours as the picture's profile means them; a profile that makes no sense is as good as none."""
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    if isinstance(profile, bytes) and len(profile) <= PROFILE_BYTES_MAX:
        try:
            meant = ImageCms.ImageCmsProfile(BytesIO(profile))
            shown = ImageCms.profileToProfile(picture, meant, ImageCms.createProfile("sRGB"), outputMode=mode)
        except (ImageCms.PyCMSError, OSError):
            return picture.convert(mode)
        assert shown is not None
        return shown
    return picture.convert(mode)


def _drawn(picture: Image.Image, variant: Variant, mime: str) -> Drawn:
    size = variant.width, variant.height
    if variant.fit is Fit.COVER:
        framed = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    else:
        framed = picture.copy()
        framed.thumbnail(size, Image.Resampling.LANCZOS)
    # Pillow would write what it remembers of the original: comments, profiles, the place where it was taken.
    framed.info = {}
    body = BytesIO()
    if mime == WEBP:
        framed.save(body, "WEBP", quality=WEBP_QUALITY)
    else:
        framed.save(body, "PNG", optimize=True)
    return Drawn(framed.width, framed.height, body.getvalue())


def document(source: Path, group: Group) -> str:
    """Judge a PDF, and give the SHA-256 of its bytes; it is kept as it is, for it may be signed."""
    with source.open("rb") as file:
        group.must_take(file.read(HEAD_BYTES))
        _must_end(file)
        _must_be_no_archive(file)
        _must_read(source)
        file.seek(0)
        return file_digest(file, "sha256").hexdigest()


def _must_end(file: BinaryIO) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL_BYTES))
    if not ENDING.search(file.read()):
        raise Unacceptable("This PDF does not end as one: it was cut, or something follows it.")


def _must_be_no_archive(file: BinaryIO) -> None:
    """Refuse what is a ZIP as well, from a place inside that a PDF reader has no reason to look at."""
    try:
        with zipfile.ZipFile(file) as archive:
            holds = bool(archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return
    if holds:
        raise Unacceptable("This PDF is another kind of file as well.")


def _must_read(source: Path) -> None:
    """Refuse a PDF that other programs might understand in another way, or that does more than be read."""
    try:
        # What has to be guessed is guessed otherwise by others, so a damaged file is not mended here.
        with pikepdf.open(source, attempt_recovery=False) as pdf:
            pdf.get_warnings()  # so far, of oddities in the table of objects that everybody understands alike
            if pdf.is_encrypted:
                raise Unacceptable("This PDF is encrypted.")
            if int(pdf.trailer["/Size"]) > OBJECTS_MAX:
                raise TooLarge(f"This PDF consists of more than {OBJECTS_MAX} objects.")
            if not len(pdf.pages):
                raise Unacceptable("This PDF has no pages.")
            if any(_reaches_out(thing) for thing in (pdf.trailer, *pdf.objects)):
                raise Unacceptable(f"This PDF holds scripts, files or actions. {ANEW}")
            # An object that qpdf cannot read it takes for nothing, with a warning; others may read it all the same.
            if warnings := pdf.get_warnings():
                raise _damaged() from ValueError(warnings[0])
    except pikepdf.PasswordError as error:
        raise Unacceptable("This PDF is encrypted.") from error
    except pikepdf.PdfError as error:
        raise _damaged() from error


def _damaged() -> Unacceptable:
    return Unacceptable(f"This PDF is damaged. {ANEW}")


def _reaches_out(thing: Any) -> bool:
    """Whether an object of a document, or a dictionary directly in it, is an action or luggage that is not taken."""
    if not isinstance(thing, pikepdf.Object):
        return False  # a number or the like
    words = thing.stream_dict if isinstance(thing, pikepdf.Stream) else thing
    # Written anew by qpdf, names have one spelling; only what mentions one is looked at closely.
    if not TELLTALE.search(words.unparse(resolved=True)):
        return False
    return _is_deed(words) or any(
        _is_deed(part.get("/S")) or not LUGGAGE.isdisjoint(part.keys()) for part in _dictionaries(words)
    )


def _is_deed(thing: Any) -> bool:
    return isinstance(thing, pikepdf.Name) and str(thing) in DEEDS


def _dictionaries(thing: pikepdf.Object) -> Iterator[pikepdf.Object]:
    waiting: list[Any] = [thing]
    while waiting:
        part = waiting.pop()
        if isinstance(part, pikepdf.Dictionary):
            yield part
        if isinstance(part, pikepdf.Array | pikepdf.Dictionary):
            inner: Iterable[Any] = (
                part.as_list() if isinstance(part, pikepdf.Array) else (value for _, value in part.items())
            )
            # What is an object of its own is met as such.
            waiting.extend(value for value in inner if isinstance(value, pikepdf.Object) and not value.is_indirect)


def preview(source: Path, _group: Group) -> list[Drawn]:
    """Draw the first page of a PDF."""
    with pypdfium2.PdfDocument(source) as pdf:
        page = pdf[0]
        scale = min(PREVIEW.width / page.get_width(), PREVIEW.height / page.get_height())
        picture = page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
    return [_drawn(picture, PREVIEW, PNG)]


def confine() -> None:
    """Give up what a decoder never needs, for good."""
    os.nice(NICENESS)
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, FILES_MAX),
    ):
        resource.setrlimit(what, (most, most))
    Image.MAX_IMAGE_PIXELS = None  # we count ourselves, and say so in words of ours
    pikepdf.settings.set_qpdf_limits(
        flate_max_memory=INFLATED_BYTES_MAX,
        png_max_memory=INFLATED_BYTES_MAX,
        tiff_max_memory=INFLATED_BYTES_MAX,
        run_length_max_memory=INFLATED_BYTES_MAX,
        max_stream_filters=4,
    )


def allow_time() -> None:
    """Let the coming job use a share of CPU time; the kernel ends the process when it is used up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + CPU_SECONDS_MAX
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def done(job: dict[str, Any]) -> tuple[dict[str, Any], list[Drawn]]:
    """Do a job, and say how it went."""
    source, group = Path(job["source"]), Group.restored(job["group"])
    try:
        if job["task"] == "document":
            return {"sha256": document(source, group)}, []
        return {}, (preview if job["task"] == "preview" else image)(source, group)
    except (TooLarge, Unacceptable) as refusal:
        return _refused(refusal, refusal.__cause__), []
    except MemoryError as error:
        return _refused(TooLarge("This file takes too much memory to read."), error), []
    except Exception as error:  # noqa: BLE001 - decoders break over hostile bytes in more ways than they list
        return _refused(Unacceptable(), error), []


def _refused(refusal: TooLarge | Unacceptable, why: BaseException | None) -> dict[str, Any]:
    return {"refused": refusal.code, "message": refusal.message, "why": repr(why)}


def main() -> None:
    """Answer jobs until whoever asks for them is gone."""
    # Only answers go where answers are read, whatever a library may print.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    warnings.simplefilter("ignore")
    confine()
    answers.write(b"ready\n")
    answers.flush()
    for line in sys.stdin.buffer:
        allow_time()
        facts, drawn = done(json.loads(line))
        sizes = [{"width": piece.width, "height": piece.height, "bytes": len(piece.body)} for piece in drawn]
        answers.write(json.dumps({**facts, "drawn": sizes}).encode() + b"\n")
        for piece in drawn:
            answers.write(piece.body)
        answers.flush()


if __name__ == "__main__":
    main()
