"""How a document is drawn as a PDF: the program of a process that `media/press.py` starts and can do without.

It reads one document a line, and answers each with a line and the PDF. People write in any script there is: what the
first font does not have is taken from the next that has it, and what no font has is shown as �, so that nobody takes
a text for whole that is not. Scripts whose letters join, or run from right to left, are shaped, which takes several
times as long; the others are not.
"""

import functools
import json
import logging
import os
import resource
import sys
import unicodedata
import warnings
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from media.paper import Block, Kind, Paper

MEMORY_BYTES_MAX = 512_000_000
CPU_SECONDS_MAX = 30
FILES_MAX = 32
NICENESS = 5

FONTS = Path(__file__).parent / "fonts"
TEXT = "text"
REGULAR, BOLD = "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"
OTHERS = {
    "han": "DroidSansFallback.ttf",
    "devanagari": "NotoSansDevanagari-Regular.ttf",
    "bengali": "NotoSansBengali-Regular.ttf",
    "tamil": "NotoSansTamil-Regular.ttf",
    "telugu": "NotoSansTelugu-Regular.ttf",
    "thai": "NotoSansThai-Regular.ttf",
}
"""What has the letters that the first font has not; each is read when it is needed."""

MISSING = "\N{REPLACEMENT CHARACTER}"
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
UNSEEN = {0xFE0E: None, 0xFE0F: None, 0x00AD: None, 0xFEFF: None, 0x200B: None, 0x2060: None, 0x0009: "    "}
"""What chooses between looks of a character, or says where a word may be parted: the text is the same without."""

SHAPED = ((0x0590, 0x08FF), (0x0900, 0x0DFF), (0x0E00, 0x0EFF), (0x0F00, 0x109F), (0x1780, 0x17FF), (0xFB1D, 0xFEFC))
"""Hebrew, Arabic and their neighbours; the scripts of India; Thai and Lao; Tibetan and Burmese; Khmer; old forms."""

MARGIN, FOOT = 20.0, 22.0
LABEL_WIDTH = 42.0
AMOUNT_WIDTH = 45.0
SMALL, NORMAL, LARGE, HUGE = 8.0, 9.5, 12.0, 18.0
LEADING = 0.5
"""The height of a line, in millimetres for each point of its letters."""
BLACK, GREY, LINE = 25, 110, 200


@functools.cache
def letters(name: str) -> frozenset[int]:
    """The characters that a font has."""
    with TTFont(FONTS / name) as font:
        return frozenset(font.getBestCmap())


def fonts_for(texts: Iterable[str]) -> list[str]:
    """The fonts besides the first that it takes to write these texts."""
    left = {ord(letter) for text in texts for letter in text} - letters(REGULAR)
    needed = []
    for name, file in OTHERS.items():
        if left and (has := left & letters(file)):
            needed.append(name)
            left -= has
    return needed


def drawable(text: str) -> str:
    """A text as it can be drawn: with a sign in place of each character that no font has, or that is none to be seen.

    What turns the direction of letters around is among these: a text is to read as it is written.
    """
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").translate(UNSEEN)
    return "".join(letter if _is_known(letter) else MISSING for letter in text)


@functools.lru_cache(maxsize=20_000)
def _is_known(letter: str) -> bool:
    if letter == "\n" or letter in JOINERS:
        return True
    if unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp"}:
        return False
    return any(ord(letter) in letters(file) for file in (REGULAR, *OTHERS.values()))


def has_to_be_shaped(text: str) -> bool:
    """Whether letters of a text join, or run from right to left."""
    return not text.isascii() and any(first <= ord(letter) <= last for letter in text for first, last in SHAPED)


def runs_leftwards(text: str) -> bool:
    """Whether a paragraph begins at the right: its first letter that has a direction says so (UAX #9, P2)."""
    strong = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind for kind in strong if kind in {"L", "R", "AL"}), "L") != "L"


class Sheet(FPDF):
    """The pages of a document, A4."""

    def __init__(self, paper: Paper) -> None:
        super().__init__(format="A4", unit="mm")
        self._paper = paper
        self.set_margins(MARGIN, MARGIN, MARGIN)
        self.set_auto_page_break(True, margin=FOOT)
        self.add_font(TEXT, fname=FONTS / REGULAR)
        self.add_font(TEXT, "B", fname=FONTS / BOLD)
        needed = fonts_for(texts_of(paper))
        for name in needed:
            self.add_font(name, fname=FONTS / OTHERS[name])
        # The bold letters are fewer: what is missing among them is written as all else.
        self.set_fallback_fonts([TEXT, *needed], exact_match=False)
        self.set_creation_date(datetime.fromisoformat(paper.dated))
        self.set_title(paper.title)
        self.set_creator("WorkUp")
        self.set_lang("en")

    def footer(self) -> None:
        """Say on every page which document it is of, and the how manieth of how many."""
        shaping, self.text_shaping = self.text_shaping, None
        self.set_y(-FOOT + 8)
        self._pen(SMALL, grey=GREY)
        self.cell(0, 4, self._paper.footing, align="L")
        self.set_x(MARGIN)
        self.cell(0, 4, f"{self.page_no()} / {{nb}}", align="R")
        self.text_shaping = shaping

    def draw(self) -> bytes:
        """Draw it from the first page to the last."""
        self.add_page()
        self._write(self._paper.kind.upper(), SMALL, grey=GREY)
        self._write(self._paper.title, HUGE, bold=True)
        self.ln(2)
        for block in self._paper.blocks:
            self._draw(block)
        return bytes(self.output())

    def _draw(self, block: Block) -> None:
        match block.kind:
            case Kind.HEADING:
                self._heading(block.text)
            case Kind.FACTS:
                self._rows(block)
            case Kind.SUMS:
                self._sums(block)
            case Kind.ENTRY:
                self._entry(block)
            case Kind.WORDS:
                self._write(block.text, NORMAL)
                self.ln(2)
            case Kind.PRINT:
                self._write(block.text, NORMAL, bold=True)
                self.ln(1)

    def _heading(self, text: str) -> None:
        # Not as the last line of a page, with what it is about on the next.
        if self.will_page_break(30):
            self.add_page()
        self.ln(4)
        self._write(text, LARGE, bold=True)
        self.set_draw_color(LINE)
        self.line(MARGIN, self.get_y() + 0.5, self.w - MARGIN, self.get_y() + 0.5)
        self.ln(3)

    def _entry(self, block: Block) -> None:
        if self.will_page_break(25):
            self.add_page()
        self._write(block.text, NORMAL, bold=True)
        self._rows(block)

    def _rows(self, block: Block) -> None:
        for name, value in block.rows:
            if self.will_page_break(NORMAL * LEADING):
                self.add_page()
            top = self.get_y()
            self._write(name, NORMAL, width=LABEL_WIDTH, grey=GREY)
            page, bottom = self.page, self.get_y()
            self.set_y(top)
            self._write(value, NORMAL, left=MARGIN + LABEL_WIDTH)
            # A value that goes on over the page is longer than its name.
            if self.page == page:
                self.set_y(max(bottom, self.get_y()))
        self.ln(2)

    def _sums(self, block: Block) -> None:
        for name, value in block.rows:
            if self.will_page_break(NORMAL * LEADING):
                self.add_page()
            self._pen(NORMAL, grey=GREY)
            self.cell(LABEL_WIDTH + 30, NORMAL * LEADING, name)
            self._pen(NORMAL)
            self.cell(AMOUNT_WIDTH, NORMAL * LEADING, value, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(2)

    def _write(
        self, text: str, size: float, *, bold: bool = False, grey: int = BLACK, left: float = MARGIN, width: float = 0
    ) -> None:
        """Write paragraphs below each other, each in the direction that its letters have."""
        for paragraph in drawable(text).split("\n"):
            self._pen(size, bold=bold, grey=grey)
            if not paragraph.strip():
                self.ln(size * LEADING)
                continue
            self.set_text_shaping(has_to_be_shaped(paragraph))
            self.set_x(left)
            align = "R" if runs_leftwards(paragraph) else "L"
            self.multi_cell(width, size * LEADING, paragraph, align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            self.set_text_shaping(False)

    def _pen(self, size: float, *, bold: bool = False, grey: int = BLACK) -> None:
        self.set_font(TEXT, "B" if bold else "", size)
        self.set_text_color(grey)


def texts_of(paper: Paper) -> list[str]:
    """Everything that a document says."""
    rows = [text for block in paper.blocks for row in block.rows for text in row]
    return [drawable(text) for text in (paper.title, *(block.text for block in paper.blocks), *rows)]


def drawn(paper: Paper) -> tuple[int, bytes]:
    """Draw a document; how many pages it has, and the PDF."""
    sheet = Sheet(paper)
    body = sheet.draw()
    return sheet.page_no(), body


def confine() -> None:
    """Give up what drawing never needs, for good."""
    os.nice(NICENESS)
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, FILES_MAX),
    ):
        resource.setrlimit(what, (most, most))


def allow_time() -> None:
    """Let the coming document use a share of CPU time; the kernel ends the process when it is used up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + CPU_SECONDS_MAX
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main() -> None:
    """Answer documents until whoever asks for them is gone."""
    # Only answers go where answers are read, whatever a library may print.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    confine()
    answers.write(b"ready\n")
    answers.flush()
    for line in sys.stdin.buffer:
        allow_time()
        said: dict[str, Any] = json.loads(line)
        pages, body = drawn(Paper.read(said))
        facts = {"pages": pages, "drawn": [{"width": 0, "height": 0, "bytes": len(body)}]}
        answers.write(json.dumps(facts).encode() + b"\n" + body)
        answers.flush()


if __name__ == "__main__":
    main()
