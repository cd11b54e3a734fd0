"""How files are carried over HTTP: told of, read, and brought.

A plain ASGI application: most of what it does is to answer with the same few bytes, and a framework would take longer
to find out that it is asked to than the answer takes.
"""

import asyncio
import base64
import binascii
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from urllib.parse import parse_qs

import orjson
import structlog
from starlette.types import Message, Receive, Scope, Send

from media import answers
from media.answers import Headers, Part, Unsatisfiable, header, without
from media.counter import Counter
from media.depot import IDLE_SECONDS, Depot, TooSlow, is_peoples
from media.forms import BadForm
from media.kinds import GROUPS, Group, TooLarge, Unacceptable
from media.shelf import Item, Shelf
from media.storage import KEY
from media.tickets import TicketExpired
from models.control import CommandDisabled, Overloaded, ServiceFrozen
from models.errors import Busy, Conflict, Forbidden, NotFound, OutcomeUnknown, Refusal
from models.media import Upload, UploadDiffers, UploadGone, UploadGroup

STATIC, UPLOAD, DESCRIBE = "/static/", "/upload/", "/describe"
READS = ("GET", "HEAD")
CHALLENGE = (b"www-authenticate", b'Basic realm="uploads", charset="UTF-8"')
LINGER_SECONDS = 10.0
"""How long a body is still read that was refused, so that the client gets to see why."""

PREFLIGHT_SECONDS = 86_400
EXPOSED = b"etag, content-range, accept-ranges, x-placeholder"

log = structlog.get_logger(__name__)

STATUSES: tuple[tuple[type[Refusal], int], ...] = (
    (TooLarge, 413),
    (Unacceptable, 422),
    (UploadDiffers, 400),
    (BadForm, 400),
    (TooSlow, 408),
    (UploadGone, 410),
    (TicketExpired, 410),
    (OutcomeUnknown, 503),
    (ServiceFrozen, 503),
    (Overloaded, 503),
    (CommandDisabled, 403),
    (Busy, 503),
    (NotFound, 404),
    (Forbidden, 403),
    (Conflict, 409),
)


class Declined(Exception):
    """A no that only HTTP knows, where there is nothing yet that a rule could be about."""

    def __init__(self, status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


def no_such_place() -> Declined:
    """There is nothing at this address."""
    return Declined(404, NotFound.code, "There is nothing at this address.")


def link_needed() -> Declined:
    """Private files are read through links; whether there is one is not said."""
    return Declined(403, "LINK_NEEDED", "This is private. Ask for a link to it.")


def not_here(*allowed: str) -> Declined:
    """The address is right, and the method is not."""
    return Declined(405, "METHOD_NOT_ALLOWED", "This is not done here.", (b"allow", ", ".join(allowed).encode()))


def who_are_you() -> Declined:
    """Uploads of machines take credentials (RFC 7617)."""
    return Declined(401, "UNAUTHENTICATED", "This takes the credentials for uploads.", CHALLENGE)


class Gate(Protocol):
    """Stands before every request, as before every operation; see `ops.transport.operations.Gate`."""

    def enter(self, commands: frozenset[str]) -> Awaitable[None] | None:
        """Let a request in, at once or when the answer has been awaited; or refuse it by raising."""

    def leave(self, commands: frozenset[str]) -> None:
        """Let go of what `enter` took."""

    def refuses(self, commands: frozenset[str]) -> bool:
        """Whether it would not let this in."""


READ, BRING, DESCRIBED = (frozenset({name}) for name in ("readFile", "uploadFile", "describeFiles"))
"""What is asked for here, as operators call it."""


class Gone(Exception):
    """Whoever asked is not there any more."""


Take = Callable[..., Awaitable[Upload]]


@dataclass(frozen=True)
class Desk:
    """What is done with what comes in; the verbs are `resolvers.media`'s, which this room does not know.

    `arrive(ticket=…, body=…, length=…)` takes what a person brings, `deliver(group=…, content_type=…, body=…)` a form
    that a machine sends.
    """

    arrive: Take
    deliver: Take


@dataclass(frozen=True)
class Credentials:
    """What machines say when they upload, or read what is private."""

    user: str
    password: str

    def are(self, given: bytes) -> bool:
        """Whether these were given, in a time that tells nothing about them."""
        scheme, _, encoded = given.partition(b" ")
        try:
            user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        except binascii.Error:
            return False
        same = hmac.compare_digest(user, self.user.encode()) & hmac.compare_digest(password, self.password.encode())
        return bool(same) and scheme.lower() == b"basic"


@dataclass(slots=True)
class Answer:
    """What is said back: a whole body, or a stream of it."""

    status: int
    headers: Headers
    body: bytes | AsyncIterator[bytes] = b""


def said(status: int, content: dict[str, Any], *headers: tuple[bytes, bytes]) -> Answer:
    """Answer in JSON."""
    body = orjson.dumps(content)
    return Answer(
        status,
        [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            *answers.SAFE,
            *headers,
        ],
        body,
    )


def declined(no: Declined) -> Answer:
    """Say no, in JSON."""
    return said(no.status, {"success": False, "code": no.code, "message": no.message}, *no.headers)


def refused(refusal: Refusal) -> Answer:
    """Say a refusal of the house, with the status that fits."""
    status = next((status for kind, status in STATUSES if isinstance(refusal, kind)), 400)
    again = refusal.retry_after_seconds
    headers = () if again is None else ((b"retry-after", b"%d" % again),)
    return declined(Declined(status, refusal.code, refusal.message, *headers))


class MediaServer:
    """Everything under `/static/`, `/upload/` and `/describe`."""

    def __init__(
        self,
        depot: Depot,
        desk: Desk,
        *,
        credentials: Credentials | None,
        gate: Gate,
        origins: Collection[str] = (),
        clock: Callable[[], datetime],
    ) -> None:
        self._depot = depot
        self._desk = desk
        self._credentials = credentials
        self._gate = gate
        self._origins = frozenset(origin.encode() for origin in origins)
        self._clock = clock
        self._shelf = Shelf(depot.storage, time.monotonic)
        more = answers.VARY if self._origins else ()
        self.counter = Counter(self._shelf, depot.addresses, clock, more, is_shut=partial(gate.refuses, READ))

    @staticmethod
    def serves(path: str) -> bool:
        """Whether an address is one of its own."""
        return path.startswith((STATIC, UPLOAD, DESCRIBE + "/")) or path == DESCRIBE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request, if the gate lets it in."""
        body, asked = Body(receive), _asked(scope["path"])
        try:
            if (room := self._gate.enter(asked)) is not None:
                await room
        except Refusal as refusal:
            await self._say(refused(refusal), scope, body, send)
            return
        try:
            await self._carry(scope, body, send)
        finally:
            self._gate.leave(asked)

    async def _carry(self, scope: Scope, body: "Body", send: Send) -> None:
        try:
            answer = await self._answer(scope, body)
        except Refusal as refusal:
            answer = refused(refusal)
        except Declined as no:
            answer = declined(no)
        except Gone:
            return
        except Exception:
            log.exception("media failed")
            answer = said(500, {"success": False, "code": "INTERNAL", "message": "Something went wrong here."})
        await self._say(answer, scope, body, send)

    async def _say(self, answer: Answer, scope: Scope, body: "Body", send: Send) -> None:
        self._allow(scope, answer)
        await _send(answer, scope, body, send)

    def _answer(self, scope: Scope, body: "Body") -> Awaitable[Answer]:
        path, method = scope["path"], scope["method"]
        if method == "OPTIONS":
            return self._preflight(scope)
        if path.startswith(STATIC):
            return self._read(scope, path.removeprefix(STATIC), method)
        if path.startswith(UPLOAD):
            return self._upload(scope, path.removeprefix(UPLOAD), method, body)
        return self._describe(scope, path.removeprefix(DESCRIBE), method)

    # What is there

    async def _describe(self, scope: Scope, rest: str, method: str) -> Answer:
        if method not in READS:
            raise not_here(*READS)
        if not rest:
            return said(200, {"success": True, "path": STATIC, "groups": list(GROUPS)})
        group = GROUPS.get(rest.removeprefix("/"))
        if group is None:
            raise no_such_place()
        is_machine = self._is_machine(scope)
        if group.private and not is_machine:
            raise link_needed()
        names = [name for name in await self._depot.storage.names(group.name) if answers.variant_of(name) is None]
        if not is_machine:
            # Anybody may see what people bring, and is shown it by them; nobody may go through all of it.
            names = [name for name in names if not is_peoples(name.partition(".")[0])]
        return said(200, {"success": True, "path": f"{STATIC}{group.name}/", "mimeType": group.stores, "files": names})

    def _is_machine(self, scope: Scope) -> bool:
        given = header(scope["headers"], b"authorization")
        if given is None or self._credentials is None:
            return False
        if not self._credentials.are(given):
            raise who_are_you()
        return True

    # Reading

    async def _read(self, scope: Scope, rest: str, method: str) -> Answer:
        if method not in READS:
            raise not_here(*READS)
        folder, _, name = rest.partition("/")
        group = GROUPS.get(folder)
        if group is None or not is_name(name):
            raise no_such_place()
        save_as = self._leave(scope, group, name) if group.private else None
        key = f"{folder}/{name}"
        item = await self._shelf.find(key) if KEY.fullmatch(key) else None
        if item is None:
            headers, body = answers.placeholder(group, name)
            return Answer(200, headers, body)
        return self._part(scope, item, answers.headers_of(item, group, name, save_as))

    def _leave(self, scope: Scope, group: Group, name: str) -> str | None:
        """Find out whether somebody may read a private file, and what it is to be saved as."""
        sealed = link_in(scope["query_string"])
        if sealed is not None:
            return self._depot.addresses.link(group.name, name, sealed, self._clock()).save_as
        if not self._is_machine(scope):
            raise link_needed()
        return None

    def _part(self, scope: Scope, item: Item, headers: Headers) -> Answer:
        asked = scope["headers"]
        etag = b'"%s"' % item.sha256.encode()
        known = header(asked, b"if-none-match")
        if known is not None and answers.is_known(etag, known):
            return Answer(304, without(headers, b"content-length", b"content-type", b"content-disposition"))
        try:
            part = answers.part_of(item.size, header(asked, b"range"), header(asked, b"if-range"), etag)
        except Unsatisfiable:
            size = (b"content-range", b"bytes */%d" % item.size)
            raise Declined(416, "RANGE_NOT_SATISFIABLE", "The file has no such bytes.", size) from None
        if part is None:
            return Answer(200, headers, self._bytes(item, Part(0, item.size)))
        said_of_part = [
            (b"content-length", b"%d" % (part.end - part.start)),
            (b"content-range", b"bytes %d-%d/%d" % (part.start, part.end - 1, item.size)),
        ]
        return Answer(206, [*without(headers, b"content-length"), *said_of_part], self._bytes(item, part))

    def _bytes(self, item: Item, part: Part) -> bytes | AsyncIterator[bytes]:
        if item.body is None:
            return self._shelf.read(item, part.start, part.end)
        return item.body if part.end - part.start == item.size else item.body[part.start : part.end]

    # Bringing

    async def _upload(self, scope: Scope, rest: str, method: str, body: "Body") -> Answer:
        if method == "PUT":
            return await self._arrive(scope, rest, body)
        if method != "POST":
            raise not_here("POST", "PUT")
        if self._credentials is None:
            raise Declined(403, "UPLOADS_OFF", "This server takes no uploads from machines.")
        if not self._is_machine(scope):
            raise who_are_you()
        if rest not in GROUPS:
            raise no_such_place()
        upload = await self._desk.deliver(
            group=UploadGroup(rest), content_type=header(scope["headers"], b"content-type") or b"", body=aiter(body)
        )
        return self._brought(201, upload)

    async def _arrive(self, scope: Scope, ticket: str, body: "Body") -> Answer:
        length = header(scope["headers"], b"content-length")
        upload = await self._desk.arrive(ticket=ticket, body=aiter(body), length=int(length) if length else None)
        return self._brought(201, upload)

    def _brought(self, status: int, upload: Upload) -> Answer:
        path = f"{STATIC}{upload.group.value}/{upload.stored_name}"
        self._shelf.forget(path.removeprefix(STATIC))
        log.info("upload", group=upload.group.value, bytes=upload.size, by_person=upload.owner_id is not None)
        return said(
            status,
            {
                "success": True,
                "path": path,
                "mimeType": upload.mime_type,
                "size": upload.size,
                "sha256": upload.sha256,
            },
        )

    # Other origins

    async def _preflight(self, scope: Scope) -> Answer:
        asked = header(scope["headers"], b"access-control-request-method")
        if asked is None:
            raise not_here(*READS, "POST", "PUT")
        return Answer(
            204,
            [
                (b"access-control-allow-methods", b"GET, HEAD, POST, PUT"),
                (b"access-control-allow-headers", b"authorization, content-type, range, if-none-match, if-range"),
                (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
            ],
        )

    def _allow(self, scope: Scope, answer: Answer) -> None:
        """Let pages of other origins read the answer, if they are among ours."""
        if not self._origins:
            return
        answer.headers = [*answer.headers, *answers.VARY]
        origin = header(scope["headers"], b"origin")
        if origin is not None and (origin in self._origins or b"*" in self._origins):
            answer.headers += [
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", EXPOSED),
            ]


def _asked(path: str) -> frozenset[str]:
    if path.startswith(STATIC):
        return READ
    return BRING if path.startswith(UPLOAD) else DESCRIBED


def is_name(name: str) -> bool:
    """Whether something could be a file's name: one step, that leads nowhere."""
    return bool(name) and name.isprintable() and not name.startswith(".") and not set(name) & set("/\\%:")


def link_in(query: bytes) -> str | None:
    """The link in a query string, if there is one."""
    if not query:
        return None
    found = parse_qs(query.decode("ascii", "replace"), max_num_fields=10).get("link")
    return found[0] if found else None


class Body:
    """The body of a request, as it comes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.has_begun = False
        self.has_ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self.has_ended:
            self.has_begun = True
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    message = await self._receive()
            except TimeoutError:
                raise TooSlow from None
            if message["type"] == "http.disconnect":
                self.has_ended = True
                raise Gone
            self.has_ended = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def left(self) -> None:
        """Wait until the client goes."""
        while (await self._receive())["type"] != "http.disconnect":
            continue

    async def linger(self) -> None:
        """Read on for a while what nobody wants any more: a client that is cut off while it sends hears nothing."""
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                async for _ in self:
                    continue
        except (TimeoutError, TooSlow, Gone):
            return


async def _send(answer: Answer, scope: Scope, body: Body, send: Send) -> None:
    lingers = answer.status >= 400 and not body.has_ended and scope["method"] in {"POST", "PUT"}
    if lingers:
        answer.headers.append((b"connection", b"close"))
    start: Message = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    await send(start)
    if isinstance(answer.body, bytes):
        content = b"" if scope["method"] == "HEAD" else answer.body
        if lingers:
            await send({"type": "http.response.body", "body": content, "more_body": True})
            await body.linger()
            content = b""
        await send({"type": "http.response.body", "body": content})
        return
    if scope["method"] == "HEAD" or await _stream(answer.body, body, send):
        await send({"type": "http.response.body"})


async def _stream(chunks: AsyncIterator[bytes], body: Body, send: Send) -> bool:
    """Send chunk after chunk as long as somebody is there to take them."""
    left = asyncio.ensure_future(body.left())
    try:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if left.done():
                return False
    finally:
        left.cancel()
    return True
