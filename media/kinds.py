"""What files may be: the groups they belong to, the types that are taken, the names they go by."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from models.errors import Refusal

MEGABYTE = 1_000_000
IMAGE_BYTES_MAX = 20 * MEGABYTE
DOCUMENT_BYTES_MAX = 300 * MEGABYTE
HEAD_BYTES = 16
NAME_CHARS_MAX = 100

PNG, JPEG, GIF, WEBP, PDF = "image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"
IMAGES = (PNG, JPEG, GIF, WEBP)
SUFFIXES = {PNG: ".png", JPEG: ".jpg", GIF: ".gif", WEBP: ".webp", PDF: ".pdf"}
SPOKEN = {PNG: "PNG", JPEG: "JPEG", GIF: "GIF", WEBP: "WebP", PDF: "PDF"}

_MAGIC = {
    PNG: re.compile(rb"\x89PNG\r\n\x1a\n"),
    JPEG: re.compile(rb"\xff\xd8\xff"),
    GIF: re.compile(rb"GIF8[79]a"),
    WEBP: re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    PDF: re.compile(rb"%PDF-[12]\.\d"),
}
_OWN_SUFFIX = re.compile(r"\.(png|jpe?g|gif|webp|pdf)$")
_SAFE = re.compile(r"[a-z0-9][a-z0-9._-]*")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)")
"""What Windows takes for a device, whatever comes after the first dot."""


class Unacceptable(Refusal):
    """The file is not what it should be; the message says what is wrong with it."""

    code = "UPLOAD_NOT_ACCEPTABLE"
    message = "This file cannot be read. It may be damaged."


class TooLarge(Refusal):
    """The file has more bytes, or more in it, than is taken."""

    code = "UPLOAD_TOO_LARGE"
    message = "This file is too large."


class Fit(StrEnum):
    """How an image is brought into a frame of another shape."""

    COVER = "cover"  # fills the frame, and loses what stands out
    INSIDE = "inside"  # is shown whole, and never enlarged


@dataclass(frozen=True, slots=True)
class Variant:
    """A size in which an image is kept."""

    name: str
    width: int
    height: int
    fit: Fit


@dataclass(frozen=True, slots=True)
class Group:
    """A purpose that files serve, and what they have to be for it.

    Images are kept in each of the variants, and not as they came; the first variant is meant when none is named.
    A group without variants keeps documents, byte for byte.
    """

    name: str
    meaning: str
    private: bool
    accepts: tuple[str, ...]
    stores: str
    bytes_max: int
    variants: tuple[Variant, ...] = ()

    DOCUMENT: ClassVar[str] = "document"

    @property
    def suffix(self) -> str:
        """How the names of its files end."""
        return SUFFIXES[self.stores]

    @classmethod
    def restored(cls, words: dict[str, Any]) -> Self:
        """Read a group from what `asdict` and JSON have made of it."""
        variants = (Variant(**{**variant, "fit": Fit(variant["fit"])}) for variant in words["variants"])
        return cls(**{**words, "accepts": tuple(words["accepts"]), "variants": tuple(variants)})

    def variant(self, name: str) -> Variant | None:
        """Find a variant by its name."""
        return next((variant for variant in self.variants if variant.name == name), None)

    def must_take(self, head: bytes) -> str:
        """Tell the type of a file from its first `HEAD_BYTES`, and take it only if the group is for such files."""
        mime = sniff(head)
        if mime is None or mime not in self.accepts:
            raise Unacceptable(f"Send one of these: {', '.join(SPOKEN[kind] for kind in self.accepts)}. This is none.")
        return mime

    def must_hold(self, size_bytes: int) -> None:
        """Take no file that is empty, or larger than the group allows."""
        if size_bytes > self.bytes_max:
            raise TooLarge(f"This file is larger than {self.bytes_max // MEGABYTE} MB.")
        if not size_bytes:
            raise Unacceptable("This file is empty.")


PREVIEW = Variant("preview", 512, 512, Fit.INSIDE)
"""What the first page of a document looks like, in PNG, if it can be drawn in reasonable time."""

GROUPS = {
    group.name: group
    for group in (
        Group(
            "icons",
            "Small signs in lists and menus. Anybody may see them.",
            private=False,
            accepts=IMAGES,
            # At this size a PNG is smaller than anything else, loses nothing, and is shown everywhere.
            stores=PNG,
            bytes_max=IMAGE_BYTES_MAX,
            variants=(Variant("icon", 16, 16, Fit.COVER),),
        ),
        Group(
            "photos",
            "Pictures of people and of their work. Anybody may see them.",
            private=False,
            accepts=IMAGES,
            # A tenth of a photo's PNG; a quarter less than its JPEG, and other than that it can be transparent.
            stores=WEBP,
            bytes_max=IMAGE_BYTES_MAX,
            variants=(
                Variant("large", 512, 512, Fit.INSIDE),
                Variant("avatar", 128, 128, Fit.COVER),
                Variant("icon", 16, 16, Fit.COVER),
            ),
        ),
        Group(
            "resume",
            "What freelancers tell of their lives. Those may read it whom its owner shows it to.",
            private=True,
            accepts=(PDF,),
            stores=PDF,
            bytes_max=DOCUMENT_BYTES_MAX,
        ),
        Group(
            "attachments",
            "Papers that belong to a job, a proposal or a contract. Those may read them who may read that.",
            private=True,
            accepts=(PDF,),
            stores=PDF,
            bytes_max=DOCUMENT_BYTES_MAX,
        ),
    )
}


def sniff(head: bytes) -> str | None:
    """Tell the type of a file from its first `HEAD_BYTES`; nothing that is not at byte 0 counts."""
    return next((mime for mime, magic in _MAGIC.items() if magic.match(head)), None)


def safe_name(text: str, suffix: str) -> str:
    """Make a name that is harmless in every file system, address and shell out of whatever somebody calls a file.

    It never refuses. Whatever leads to a place is left out and only the last part kept; nothing is decoded, so an
    encoded way is letters and digits. A name that this function gave comes back as it is.
    """
    # Compatibility forms first: what is only drawn like a dot or slash is one from here on.
    plain = unicodedata.normalize("NFKD", text).lower()
    last = re.split(r"[/\\:]", plain)[-1]
    stem = re.sub(r"[^a-z0-9._-]", "", re.sub(r"\s+", "_", last.strip()))
    stem = re.sub(r"\.{2,}", ".", _OWN_SUFFIX.sub("", stem)).strip("._-")
    if _RESERVED.match(stem):
        stem = f"file-{stem}"
    return (stem[: NAME_CHARS_MAX - len(suffix)].rstrip("._-") or "file") + suffix


def is_safe(name: str) -> bool:
    """Whether a name could have come from `safe_name`; no file has any other."""
    return (
        bool(_SAFE.fullmatch(name)) and len(name) <= NAME_CHARS_MAX and ".." not in name and not _RESERVED.match(name)
    )
