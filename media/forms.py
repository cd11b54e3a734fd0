"""How a machine's form is read: `resource` and `filename`, in either order, the file never wholly in memory."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from media.depot import Intake
from media.kinds import Group
from models.errors import Refusal

FILENAME_BYTES_MAX = 1_000
OVERHEAD_BYTES_MAX = 64 * 1024
"""How much a form may have around its file."""

BOUNDARY = re.compile(rb"[\x21-\x7e ]{1,70}")


class BadForm(Refusal):
    """The form is not what was asked for."""

    code = "BAD_FORM"
    message = "Send a multipart/form-data body with a file `resource` and a text `filename`."


class Form:
    """A form as it comes in: the file goes where it belongs, and the name is remembered."""

    def __init__(self, content_type: bytes, intake: Intake) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not BOUNDARY.fullmatch(boundary):
            raise BadForm
        self._intake = intake
        self._around = 0
        self._header: list[bytes] = [b"", b""]
        self._disposition = b""
        self._part: str | None = None
        self._seen: set[str] = set()
        self._filename = bytearray()
        self._data: list[bytes] = []
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._field,
                "on_header_value": self._value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_end": self._end,
            },
        )

    def _begin(self) -> None:
        self._disposition = b""

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _header_ends(self) -> None:
        if self._header[0].lower() == b"content-disposition":
            self._disposition = self._header[1]
        self._header = [b"", b""]

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._part = options.get(b"name", b"").decode("utf-8", "replace")
        if self._part in self._seen or self._part not in {"resource", "filename"}:
            raise BadForm
        self._seen.add(self._part)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part == "resource":
            self._data.append(data[start:end])
            return
        self._filename += data[start:end]
        if len(self._filename) > FILENAME_BYTES_MAX:
            raise BadForm(f"A filename has at most {FILENAME_BYTES_MAX} bytes.")

    def _part_ends(self) -> None:
        self._part = None

    def _end(self) -> None:
        self._ended = True

    async def take(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise BadForm from None
        data, self._data = self._data, []
        self._around += len(chunk) - sum(map(len, data))
        if self._around > OVERHEAD_BYTES_MAX:
            raise BadForm
        for piece in data:
            await self._intake.take(piece)

    async def finish(self) -> str:
        """Say what the file is to be called, when all of it has come."""
        if not self._ended or self._seen != {"resource", "filename"}:
            raise BadForm
        await self._intake.finish()
        try:
            filename = self._filename.decode()
        except UnicodeDecodeError:
            raise BadForm("A filename is UTF-8.") from None
        if not filename.strip():
            raise BadForm("The filename is empty.")
        return filename


async def read_form(body: AsyncIterator[bytes], content_type: bytes, target: Path, kind: Group, *, most: int) -> str:
    """Write the file of a form down as it comes, and say what it is to be called."""
    intake = Intake(target, kind, most)
    try:
        form = Form(content_type, intake)
        async for chunk in body:
            await form.take(chunk)
        return await form.finish()
    finally:
        intake.close()
