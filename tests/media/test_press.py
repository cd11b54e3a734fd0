"""Documents as they are drawn: read back with another library than they were made with."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pikepdf
import pypdfium2
import pytest

import media.press
import media.workshop
from media import printer, workbench
from media.kinds import GROUPS, Unacceptable
from media.paper import Block, Kind, Paper, entry, facts, fingerprint, heading, sums, words
from media.press import Press
from models.errors import Busy

PAPER = Paper(
    "Build a shop",
    "Contract",
    "contract_1 · version 3",
    "2026-11-20T10:00:00.123456+00:00",
    (
        heading("Parties"),
        facts((("Client", "Clara"), ("Freelancer", "Fritz"))),
        entry("1. 300.00 USD · PAID", (("Due", "2026-12-01"),)),
        words("A shop,\nwith a till."),
        sums((("Agreed", "900.00 USD"),)),
        fingerprint("ab" * 32),
    ),
)
LATIN = "Ten words that say what is done in this part. "


@pytest.fixture(scope="module")
async def press() -> AsyncIterator[Press]:
    press = Press()
    yield press
    await press.close()


def pages(body: bytes) -> list[str]:
    with pypdfium2.PdfDocument(body) as pdf:
        return [page.get_textpage().get_text_range().replace("\r\n", "\n") for page in pdf]


def saying(*blocks: Block) -> Paper:
    return replace(PAPER, blocks=blocks)


def test_what_was_written_for_another_process_is_read_as_it_was():
    assert Paper.read(PAPER.written()) == PAPER
    assert {block.kind for block in PAPER.blocks} == set(Kind)


async def test_a_document_says_everything_in_its_order(press):
    (text,) = pages(await press.draw(PAPER))

    wanted = ["CONTRACT", "Build a shop", "Parties", "Clara", "Fritz", "1. 300.00 USD · PAID", "2026-12-01"]
    wanted += ["A shop,", "with a till.", "900.00 USD", "ab" * 32, "contract_1 · version 3", "1 / 1"]
    places = [text.index(one) for one in wanted]
    assert places == sorted(places)


async def test_the_same_document_is_the_same_file_whoever_draws_it(press):
    other = Press()
    try:
        assert await other.draw(PAPER) == await press.draw(PAPER)
    finally:
        await other.close()


async def test_the_file_is_dated_as_it_is_told_and_does_nothing_but_be_read(press, tmp_path):
    path = tmp_path / "paper.pdf"
    path.write_bytes(await press.draw(PAPER))

    with pikepdf.open(path) as pdf:
        assert str(pdf.docinfo["/CreationDate"]) == "D:20261120100000Z"
        assert str(pdf.docinfo["/Title"]) == "Build a shop"
        assert str(pdf.Root["/Lang"]) == "en"
    # As what people bring is judged.
    assert workbench.document(path, GROUPS["attachments"]) == sha256(path.read_bytes()).hexdigest()


WRITINGS = {
    "greek": "Σύμβαση έργου",
    "cyrillic": "Договор, Київ",
    "chinese": "你好世界合同条款",
    "japanese": "こんにちは契約書カタカナ",
    "korean": "안녕하세요 계약서",
    "emoji": "done 😀 ✓",
    "vietnamese": "Hợp đồng",
}


@pytest.mark.parametrize("name", WRITINGS)
async def test_words_of_many_writings_come_back_as_they_were(name, press):
    (text,) = pages(await press.draw(saying(words(WRITINGS[name]))))

    assert WRITINGS[name] in text
    assert printer.MISSING not in text


@pytest.mark.parametrize("text", ["שלום עולם", "مرحبا بالعالم", "नमस्ते", "தமிழ்", "สวัสดี", "বাংলা", "తెలుగు"])
async def test_letters_that_join_or_run_leftwards_are_all_there(text, press):
    (found,) = pages(await press.draw(saying(words(text))))

    # A reader tells some marks in another order than they were written in.
    wanted = {letter for letter in text if unicodedata.category(letter) in {"Lo", "L"}}
    assert wanted <= set(found)
    assert printer.MISSING not in found


async def test_arabic_begins_at_the_right(press):
    edges = {}
    for text in ("مرحبا", "Hello"):
        with pypdfium2.PdfDocument(await press.draw(saying(words(text)))) as pdf:
            page = pdf[0].get_textpage()
            edges[text] = page.get_charbox(page.get_text_range().index(text[0], len("CONTRACT Build a shop")))[0]

    arabic, english = edges.values()
    assert english < 100
    assert arabic > 400


@pytest.mark.parametrize("letter", ["\U0001f9d1", "\ue000", "\U000e0041", "\x07", "\u202e", "\u2066", "\uffff", "᠀"])
async def test_what_cannot_be_drawn_is_seen_to_be_missing(letter, press):
    (text,) = pages(await press.draw(saying(words(f"a{letter}b"))))

    assert f"a{printer.MISSING}b" in text


async def test_joiners_and_other_marks_that_are_not_seen_leave_no_trace(press):
    (text,) = pages(await press.draw(saying(words("he\u00adart ❤\ufe0f\u200b!"))))

    assert "heart ❤!" in text


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\r\n\t", "x" * 20_000, "**b** __i__ {nb} %s \\ (", "\n" * 300])
async def test_strange_texts_are_drawn_too(text, press):
    found = pages(await press.draw(replace(saying(words(text), facts((("", text),))), title=text or "-")))

    assert found[-1].rstrip().endswith(f"{len(found)} / {len(found)}")
    assert text[:5].strip() in found[0]


@pytest.mark.parametrize("text", [LATIN * 22, "مرحبا بالعالم عقد رقم " * 46], ids=["latin", "arabic"])
async def test_a_very_long_contract_is_drawn_whole_with_its_pages_numbered(text, press):
    text = text[:1_000].strip()
    blocks = [
        one for at in range(200) for one in (entry(f"{at}. 1.00 USD · OPEN", (("Due", "2030-01-01"),)), words(text))
    ]

    found = pages(await press.draw(saying(*blocks)))

    assert len(found) > 20
    for number, page in enumerate(found, 1):
        assert f"contract_1 · version 3 {number} / {len(found)}" in page.replace("\n", " ")
    whole = "".join(found)
    assert all(f"{at}. 1.00 USD · OPEN" in whole for at in range(200))
    if text.isascii():
        assert "".join(whole.split()).count("".join(LATIN.split())) > 200 * 20


async def test_no_heading_and_no_name_is_left_alone_at_the_foot_of_a_page(press):
    blocks = [
        one for at in range(60) for one in (heading(f"Heading {at}"), words("Words."), facts((("Name", "Said"),)))
    ]

    for page in pages(await press.draw(saying(*blocks))):
        body = page.split("contract_1")[0].split()
        assert body[-1] not in {"Name", *(str(at) for at in range(60))}


async def test_a_file_has_only_the_fonts_that_it_needs(press):
    plain, chinese = [await press.draw(saying(words(text))) for text in ("Hello", "你好")]

    assert b"Droid" in chinese
    assert b"Droid" not in plain
    assert len(plain) < 60_000


async def test_who_draws_may_use_little_and_write_nothing(press):
    await press.draw(PAPER)
    pid = press._benches[0]._process.pid
    limits, environment = [Path(f"/proc/{pid}/{name}").read_text() for name in ("limits", "environ")]  # noqa: ASYNC240

    assert any(line.startswith("Max file size") and line.split()[3] == "0" for line in limits.splitlines())
    assert str(printer.MEMORY_BYTES_MAX) in limits
    assert environment.strip("\0") == "LANG=C.UTF-8"


async def test_ten_at_once_are_drawn_one_after_the_other(press):
    found = await asyncio.gather(*(press.draw(PAPER) for _ in range(10)))

    assert len(set(found)) == 1


async def test_too_many_at_once_are_told_to_come_back(press, monkeypatch):
    monkeypatch.setattr(media.workshop, "WAITING_MAX", 0)

    with pytest.raises(Busy):
        await press.draw(PAPER)


async def test_a_document_that_takes_too_long_is_given_up_and_the_next_is_drawn(press, monkeypatch):
    monkeypatch.setattr(media.press, "DRAWING_SECONDS", 0.0)
    with pytest.raises(Busy):
        await press.draw(PAPER)
    monkeypatch.undo()

    assert await press.draw(PAPER)


async def test_a_document_that_breaks_the_press_breaks_no_other(press):
    with pytest.raises(Unacceptable):
        await press.draw(replace(PAPER, dated="never"))

    assert await press.draw(PAPER)
