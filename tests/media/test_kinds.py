# ruff: noqa: RUF001, SIM905 - what looks like a dot or a slash is what this is about; words read better than lists
import json
import os
import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PureWindowsPath
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.kinds import (
    GIF,
    GROUPS,
    HEAD_BYTES,
    JPEG,
    NAME_CHARS_MAX,
    PDF,
    PNG,
    SUFFIXES,
    WEBP,
    Group,
    TooLarge,
    Unacceptable,
    is_safe,
    safe_name,
    sniff,
)
from models.errors import every_refusal

DOTS = ".. . ... %2e%2e %252e%252e ․․ ．． ‥ %c0%ae%c0%ae %uff0e%uff0e 。 ꓸ".split()
SLASHES = "/ \\ %2f %5c %252f %255c ∕ ／ ⁄ ⧸ ＼ ∖ ⧵ %c0%af %e0%80%af // :".split()
STARTS = ["", "-", "\0", *"/ \\\\host\\share\\ //host/share/ C:\\ c: \\\\?\\C:\\ file:///etc/ ~/ . ％ %00".split()]
PLACES = "etc/passwd passwd windows\\win.ini boot.ini .ssh/id_rsa .env ~root $HOME `id` |id ;id".split()
DEVICES = ["con ", *"con NUL.pdf Aux com1 LPT9.tar.pdf prn. ＣＯＮ COM¹".split()]
ENDS = ["", " ", "\0.pdf", "\n.pdf", "\u202efdp.exe", *".pdf .PDF .php %00.pdf .pdf.exe ::$DATA . .png/".split()]


def crafted_names(count: int) -> Iterator[str]:
    """Ways out of a directory in every spelling, and what else has been tried to confuse those who store files."""
    chance = random.Random(5)
    for _ in range(count):
        way = "".join(chance.choice(DOTS) + chance.choice(SLASHES) for _ in range(chance.randrange(5)))
        place = chance.choice((*PLACES, *DEVICES, chr(chance.randrange(0xD800)), "a" * chance.randrange(400)))
        yield chance.choice(STARTS) + way + place + chance.choice(ENDS)


def must_be_harmless(text: str, suffix: str) -> None:
    name = safe_name(text, suffix)
    base = Path("/base")

    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name)
    assert name.endswith(suffix)
    assert len(name) <= NAME_CHARS_MAX
    assert ".." not in name
    assert os.path.normpath(base / name) == f"/base/{name}"
    assert PureWindowsPath(name).name == name
    assert not PureWindowsPath(name).is_reserved()
    assert quote(name) == name
    assert is_safe(name)
    assert safe_name(name, suffix) == name


def test_ten_thousand_crafted_names_are_harmless():
    for text in crafted_names(10_000):
        must_be_harmless(text, ".pdf")


@given(st.text(), st.sampled_from(sorted(SUFFIXES.values())))
def test_any_text_becomes_a_harmless_name(text: str, suffix: str):
    must_be_harmless(text, suffix)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("resume.pdf", "resume.pdf"),
        ("My Resume.PDF", "my_resume.pdf"),
        ("  Ada   Lovelace\t2.pdf ", "ada_lovelace_2.pdf"),
        ("cv.v2.pdf", "cv.v2.pdf"),
        ("Résumé Žofie Ł.pdf", "resume_zofie.pdf"),
        ("Ａｄａ①.pdf", "ada1.pdf"),
        ("me.jpeg", "me.pdf"),
        ("run.exe", "run.exe.pdf"),
        ("резюме.pdf", "file.pdf"),
        ("", "file.pdf"),
        (".pdf", "file.pdf"),
        (".htaccess", "htaccess.pdf"),
        ("..", "file.pdf"),
        ("../../etc/passwd", "passwd.pdf"),
        ("..%2f..%2fetc%2fpasswd", "2f.2fetc2fpasswd.pdf"),
        ("..∕..∕etc∕passwd", "etcpasswd.pdf"),
        ("․․／etc／passwd", "passwd.pdf"),
        ("C:\\Users\\Ada\\cv.pdf", "cv.pdf"),
        ("\\\\host\\share\\cv.pdf", "cv.pdf"),
        ("cv.php\0.pdf", "cv.php.pdf"),
        ("CON.pdf", "file-con.pdf"),
        ("nul.tar.pdf", "file-nul.tar.pdf"),
        ("console.pdf", "console.pdf"),
        ("-rf.pdf", "rf.pdf"),
        ("a" * 500, "a" * 96 + ".pdf"),
        ("con" + "." * 5 + "a" * 500, "file-con." + "a" * 87 + ".pdf"),
    ],
)
def test_a_name_keeps_what_is_harmless_of_a_text(text: str, name: str):
    assert safe_name(text, ".pdf") == name


@given(st.text())
def test_spellings_that_mean_the_same_become_one_name(text: str):
    names = {safe_name(unicodedata.normalize(form, text), ".pdf") for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert len(names) == 1


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".env", "../a.png", "a/b.png", "a\\b.png", "a..png", "A.png", "a b.png", "a%2fb.png", "a\0.png",
     "ä.png", "/etc/passwd", "c:a.png", "nul", "con.png", "-a.png", "_a.png", "a.png\n", "a" * 101],
)  # fmt: skip
def test_no_file_has_a_name_that_is_not_safe(name: str):
    assert not is_safe(name)


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", PNG),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", JPEG),
        (b"GIF87a\1\0", GIF),
        (b"GIF89a\1\0", GIF),
        (b"RIFF\n\r\0\0WEBPVP8 ", WEBP),
        (b"%PDF-1.7\n", PDF),
        (b"%PDF-2.0\r", PDF),
        (b"", None),
        (b"\x89PNG\n\x1a\n", None),
        (b"GIF88a", None),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b" %PDF-1.7\n", None),
        (b"\xef\xbb\xbf%PDF-1.7", None),
        (b"%PDF-x.y\n", None),
        (b"%!PS-Adobe-3.0", None),
        (b"PK\3\4\x14\0\0\0", None),
        (b"<!DOCTYPE html>", None),
        (b"<svg onload=x()>", None),
        (b"MZ\x90\0", None),
        (b"\x7fELF", None),
    ],
)
def test_a_type_is_told_from_the_first_bytes_alone(head: bytes, mime: str | None):
    assert sniff(head[:HEAD_BYTES]) == mime


def test_groups_say_what_they_are_for():
    assert list(GROUPS) == ["icons", "photos", "resume", "attachments"]
    assert [group.name for group in GROUPS.values() if group.private] == ["resume", "attachments"]
    assert {group.suffix for group in GROUPS.values() if group.private} == {".pdf"}
    assert {group.bytes_max for group in GROUPS.values() if group.private} == {300_000_000}
    assert {group.bytes_max for group in GROUPS.values() if not group.private} == {20_000_000}
    assert all(group.meaning.endswith(".") for group in GROUPS.values())


def test_an_icon_is_16_by_16_and_covered():
    (icon,) = GROUPS["icons"].variants
    assert (icon.width, icon.height, icon.fit) == (16, 16, "cover")
    assert GROUPS["icons"].suffix == ".png"


def test_variants_are_found_by_their_names():
    avatar = GROUPS["photos"].variant("avatar")
    assert avatar is not None
    assert (avatar.width, avatar.height) == (128, 128)
    assert GROUPS["photos"].variant("poster") is None


@pytest.mark.parametrize("group", GROUPS.values(), ids=list(GROUPS))
def test_a_group_survives_json(group: Group):
    assert Group.restored(json.loads(json.dumps(asdict(group)))) == group


def test_a_group_takes_only_its_types():
    assert GROUPS["photos"].must_take(b"\xff\xd8\xff\xe0") == JPEG
    assert GROUPS["resume"].must_take(b"%PDF-1.4") == PDF
    with pytest.raises(Unacceptable, match=r"Send one of these: PNG, JPEG, GIF, WebP\."):
        GROUPS["photos"].must_take(b"%PDF-1.4")
    with pytest.raises(Unacceptable, match=r"Send one of these: PDF\."):
        GROUPS["resume"].must_take(b"\xff\xd8\xff\xe0")


def test_a_group_takes_files_of_some_size():
    GROUPS["photos"].must_hold(20_000_000)
    with pytest.raises(TooLarge, match="larger than 20 MB"):
        GROUPS["photos"].must_hold(20_000_001)
    with pytest.raises(Unacceptable, match="empty"):
        GROUPS["resume"].must_hold(0)


def test_refusals_have_codes_of_their_own():
    codes = [kind.code for kind in every_refusal()]
    assert codes.count("UPLOAD_NOT_ACCEPTABLE") == codes.count("UPLOAD_TOO_LARGE") == 1
