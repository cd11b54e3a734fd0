"""What is shown where there is no file: a picture of nobody, a page that says so. Drawn here, the same each time."""

import struct
import zlib
from dataclasses import dataclass
from functools import cache
from math import isqrt

from media.kinds import PDF, PNG, PREVIEW, Group

LIGHT, DARK = 0xE8, 0xB4
PAGE_WIDTH, PAGE_HEIGHT = 595, 842
WORDS = "There is no file here."
LETTER_POINTS = 18


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A file that stands for none."""

    mime: str
    body: bytes


def of(group: Group, variant: str | None = None) -> Placeholder:
    """Give what stands for a file of the group, in the size of one of its variants; the first if there is no such."""
    if variant == PREVIEW.name:
        return Placeholder(PNG, picture(PREVIEW.width, PREVIEW.height))
    if not group.variants:
        return Placeholder(PDF, page(WORDS))
    shape = (variant and group.variant(variant)) or group.variants[0]
    return Placeholder(PNG, picture(shape.width, shape.height))


@cache
def picture(width: int, height: int) -> bytes:
    """Draw a head and shoulders, light grey behind and darker in front, as a PNG (ISO/IEC 15948)."""
    rows = b"".join(b"\0" + _row(y, width, height) for y in range(height))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _row(y: int, width: int, height: int) -> bytes:
    unit = min(width, height)
    # Two circles, in hundredths of the shorter side: where the middle is from the top, and the radius.
    half = max(_half(y, unit * 38 // 100, unit * 19 // 100), _half(y, unit * 105 // 100, unit * 42 // 100))
    half = min(half, width // 2)
    side = bytes([LIGHT]) * (width // 2 - half)
    return side + bytes([DARK]) * (width - 2 * len(side)) + side if half else bytes([LIGHT]) * width


def _half(y: int, middle: int, radius: int) -> int:
    """Tell half the width of a circle at a height."""
    return isqrt(max(0, radius * radius - (y - middle) ** 2))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def page(words: str) -> bytes:
    """Write a line of plain letters on a page, as a PDF (ISO 32000-2)."""
    text = f"BT /F1 {LETTER_POINTS} Tf 0.4 g 72 {PAGE_HEIGHT - 108} Td ({words}) Tj ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {PAGE_WIDTH} {PAGE_HEIGHT}] /Contents 4 0 R"
        " /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, places = "%PDF-1.4\n", []
    for number, written in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{written}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return (body + f"xref\n0 {size}\n0000000000 65535 f \n" + table + trailer).encode("ascii")
