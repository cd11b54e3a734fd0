from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from media import placeholders
from media.kinds import GROUPS, PDF, PNG
from media.workbench import document, image


@pytest.mark.parametrize(
    ("group", "variant", "size"),
    [
        ("icons", None, (16, 16)),
        ("icons", "icon", (16, 16)),
        ("photos", None, (512, 512)),
        ("photos", "large", (512, 512)),
        ("photos", "avatar", (128, 128)),
        ("photos", "icon", (16, 16)),
        ("photos", "no such thing", (512, 512)),
        ("resume", "preview", (512, 512)),
    ],
)
def test_an_image_that_is_not_there_is_a_png_of_its_size(group: str, variant: str | None, size: tuple[int, int]):
    placeholder = placeholders.of(GROUPS[group], variant)

    assert placeholder.mime == PNG
    with Image.open(BytesIO(placeholder.body)) as shown:
        shown.load()
        assert (shown.format, shown.size) == ("PNG", size)
        assert shown.getextrema() == (placeholders.DARK, placeholders.LIGHT)


@pytest.mark.parametrize("group", ["resume", "attachments"])
def test_a_document_that_is_not_there_is_a_pdf_that_we_would_take(group: str, tmp_path: Path):
    placeholder = placeholders.of(GROUPS[group])
    (tmp_path / "none.pdf").write_bytes(placeholder.body)

    assert placeholder.mime == PDF
    assert document(tmp_path / "none.pdf", GROUPS[group])


def test_the_picture_of_nobody_is_one_that_we_would_take(tmp_path: Path):
    (tmp_path / "none.png").write_bytes(placeholders.of(GROUPS["photos"]).body)
    assert image(tmp_path / "none.png", GROUPS["photos"])


def test_a_placeholder_is_drawn_once():
    assert placeholders.of(GROUPS["photos"]).body is placeholders.of(GROUPS["photos"], "large").body
    assert placeholders.of(GROUPS["resume"]).body is placeholders.of(GROUPS["attachments"]).body


def test_a_placeholder_is_the_same_each_time():
    again = placeholders.picture.__wrapped__, placeholders.page.__wrapped__
    assert again[0](128, 128) == placeholders.picture(128, 128)
    assert again[1](placeholders.WORDS) == placeholders.page(placeholders.WORDS)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (33, 17), (17, 33)])
def test_a_placeholder_can_have_any_shape(size: tuple[int, int]):
    with Image.open(BytesIO(placeholders.picture(*size))) as shown:
        shown.load()
        assert shown.size == size
