"""Files, good and bad, made here so that none has to be kept."""

import os
import struct
import zipfile
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

SCRIPT = b"<script>alert(1)</script>"


def png(width: int = 40, height: int = 30, colour: Any = (200, 30, 40), mode: str = "RGB", **options: Any) -> bytes:
    return encoded(Image.new(mode, (width, height), colour), "PNG", **options)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    body = BytesIO()
    image.save(body, kind, **options)
    return body.getvalue()


def noise(width: int, height: int, kind: str = "JPEG") -> bytes:
    """An image that does not compress."""
    return encoded(Image.effect_noise((width, height), 80).convert("RGB"), kind)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width: int, height: int, *chunks: bytes, rows: bytes = b"") -> bytes:
    """A PNG of greys that claims a size, and may hold anything."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@cache
def inflating(megabytes: int) -> bytes:
    """A few bytes that become many."""
    deflate = zlib.compressobj(1)
    return b"".join(deflate.compress(bytes(1_000_000)) for _ in range(megabytes)) + deflate.flush()


def archive(name: str = "hidden.txt", body: bytes = b"hidden") -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr(zipfile.ZipInfo(name), body)
    return packed.getvalue()


def stream(data: bytes, words: str = "") -> bytes:
    return f"<< /Length {len(data)} {words} >>\nstream\n".encode() + data + b"\nendstream"


PLAIN_PAGE = stream(b"BT /F1 24 Tf 72 720 Td (Ada) Tj ET")


def pdf(
    *more: bytes | str,
    catalog: str = "",
    page: str = "",
    trailer: str = "",
    contents: bytes = PLAIN_PAGE,
    count: int = 1,
    head: bytes = b"%PDF-1.7\n",
) -> bytes:
    """A PDF with a page; what is `more` are objects from number 6 on."""
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{'3 0 R' if count else ''}] /Count {count} >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R {page}"
        " /Resources << /Font << /F1 5 0 R >> >> >>",
        contents,
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        *more,
    ]
    body, places = head, []
    for number, written in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, written.encode() if isinstance(written, str) else written)
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    return (
        body
        + (
            f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
            f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(body)}\n%%EOF\n"
        ).encode()
    )


def write_huge_pdf(path: Path, size: int) -> None:
    """Write a PDF with a stream of zeros, which take no room on the disk."""
    before, after = pdf(b"<< /Length %d >>\nstream\n\nendstream" % size).split(b"stream\n\n")
    table = len(before) + len(b"stream\n\n") + after.index(b"xref\n")
    with path.open("wb") as file:
        file.write(before + b"stream\n")
        file.seek(size, os.SEEK_CUR)
        file.write(b"\n" + after.replace(b"\n%d\n" % table, b"\n%d\n" % (table + size)))


def packed_pdf(*packed: str, catalog: str = "", data: bytes | None = None) -> bytes:
    """A PDF whose objects from number 7 on are in a compressed object stream, or in whatever `data` is."""
    numbers = range(7, 7 + len(packed))
    places, inner = [], ""
    for number, written in zip(numbers, packed, strict=True):
        places.append(f"{number} {len(inner)}")
        inner += written + " "
    first = " ".join(places) + " "
    inside = zlib.compress((first + inner).encode()) if data is None else data
    holder = stream(inside, f"/Type /ObjStm /N {len(packed)} /First {len(first)} /Filter /FlateDecode")
    plain = pdf(holder, catalog=catalog)
    body = plain[: plain.rindex(b"xref\n0 ")]
    where = [body.index(b"\n%d 0 obj\n" % number) + 1 for number in range(1, 7)]
    rows = [(0, 0, 65535), *((1, place, 0) for place in where), *((2, 6, index) for index in range(len(packed)))]
    rows.append((1, len(body), 0))
    table = b"".join(struct.pack(">BIH", *row) for row in rows)
    words = f"/Type /XRef /W [1 4 2] /Size {len(rows)} /Root 1 0 R"
    return body + b"%d 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (len(rows) - 1, stream(table, words), len(body))
