"""What comes and goes over HTTP beside the API where money is concerned: the provider's webhooks, and statements.

A webhook carries `Payments-Signature: t=<seconds since 1970>,v1=<HMAC-SHA-256 of "t.body", in hexadecimal>`. One that
is older or newer than a few minutes is refused, so that nobody keeps one and sends it again later; within those
minutes a second one changes nothing.
"""

import csv
import hmac
import io
import itertools
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import resolvers.statements
import resolvers.transfers
from media.tickets import BadTicket, TicketExpired
from models.errors import Busy, NotFound, OutcomeUnknown
from models.money import Currency, Money
from models.statements import StatementEntry
from models.transfers import Answer, Outcome, TransferMismatch
from resolvers.context import Context

log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]

SIGNATURE = "payments-signature"
SIGNED = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")
TOLERANCE = timedelta(minutes=5)
"""How far the time of a webhook may be from ours."""

BODY_BYTES_MAX = 16 * 1024
TEXT_MAX = 500
AGAIN_SECONDS = 5


CSV = {
    "content-type": "text/csv; charset=utf-8; header=present",
    "content-disposition": 'attachment; filename="statement.csv"',
    "cache-control": "private, no-store",
    "x-content-type-options": "nosniff",
}
HEADINGS = ("number", "at", "kind", "about", "amount", "currency", "balance")
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


class BadNews(Exception):
    """What was sent is no webhook of the provider's."""


def signed(secret: bytes, body: bytes, *, at: datetime) -> str:
    """Sign a webhook."""
    seconds = int(at.timestamp())
    return f"t={seconds},v1={_mark(secret, seconds, body)}"


def _mark(secret: bytes, seconds: int, body: bytes) -> str:
    return hmac.new(secret, f"{seconds}.".encode() + body, "sha256").hexdigest()


def must_be_signed(secret: bytes, header: str | None, body: bytes, *, at: datetime) -> None:
    """Refuse what the provider did not say, or said some time ago."""
    found = SIGNED.fullmatch(header or "")
    if found is None:
        raise BadNews("The signature is missing, or not in its form.")
    seconds = int(found[1])
    # Who cannot sign learns nothing about the time.
    if not hmac.compare_digest(_mark(secret, seconds, body), found[2]):
        raise BadNews("The signature is not right.")
    if abs(datetime.fromtimestamp(seconds, UTC) - at) > TOLERANCE:
        raise BadNews("The signature is too old, or of the future.")


@dataclass(frozen=True, slots=True)
class News:
    """What a webhook says: which transfer it is about, and what has come of it."""

    transfer_id: UUID
    answer: Answer

    def written(self) -> dict[str, Any]:
        """Write it as the provider does."""
        money = self.answer.money
        return {
            "transfer": self.transfer_id.hex,
            "outcome": self.answer.outcome.value,
            "reference": self.answer.reference,
            "reason": self.answer.reason,
            "cents": money and money.cents,
            "currency": money and money.currency.value,
        }

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read it with distrust: signed or not, it comes from outside."""
        try:
            said = orjson.loads(body)
            outcome = Outcome(said["outcome"])
            money = Money(said["cents"], Currency(said["currency"]))
            texts = said["reference"], said.get("reason")
            transfer_id = UUID(hex=said["transfer"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadNews("This is not what a webhook says.") from error
        if type(money.cents) is not int or outcome is Outcome.UNKNOWN or not all(map(_is_text, texts)):
            raise BadNews("This is not what a webhook says.")
        return cls(transfer_id, Answer(outcome, *texts, money))


def _is_text(value: object) -> bool:
    return value is None or (isinstance(value, str) and 0 < len(value) <= TEXT_MAX and value.isprintable())


class Till:
    """Where the provider, and people's spreadsheets, come to."""

    def __init__(self, context: Callable[[], Context], clock: Clock, secret: bytes) -> None:
        self._context, self._clock, self._secret = context, clock, secret

    def routes(self) -> list[Route]:
        """What is answered, and where."""
        return [
            Route("/payments/webhook", self.webhook, methods=["POST"]),
            Route("/payments/statement.csv", self.statement, methods=["GET"]),
        ]

    async def webhook(self, request: Request) -> Response:
        """POST /payments/webhook: 200 when it was taken, also for the second time; others are to be sent again."""
        try:
            body = await _body(request)
            must_be_signed(self._secret, request.headers.get(SIGNATURE), body, at=self._clock())
            news = News.read(body)
        except BadNews as bad:
            return _no(400, str(bad))
        try:
            await self._take(news)
        except NotFound:
            return _no(404, "There is no such transfer.")
        except TransferMismatch as mismatch:
            log.exception("the provider speaks of something else", transfer=news.transfer_id.hex)
            return _no(409, mismatch.message)
        except (Busy, OutcomeUnknown) as busy:
            return _no(503, busy.message, {"retry-after": str(AGAIN_SECONDS)})
        return JSONResponse({"success": True})

    async def _take(self, news: News) -> None:
        transfer = await resolvers.transfers.hear(self._context(), transfer_id=news.transfer_id, answer=news.answer)
        if transfer.contradicts(news.answer):
            log.error("the provider contradicts itself", transfer=news.transfer_id.hex, state=transfer.state.value)

    async def statement(self, request: Request) -> Response:
        """GET /payments/statement.csv: everything that a part of a wallet did, for whoever has the address."""
        try:
            batches = await resolvers.statements.everything(self._context(), request.query_params.get("link", ""))
        except (BadTicket, TicketExpired) as no:
            return _no(403, no.message)
        except Busy as busy:
            return _no(503, busy.message, {"retry-after": str(AGAIN_SECONDS)})
        return StreamingResponse(_spreadsheet(batches), headers=CSV)


async def _spreadsheet(batches: AsyncIterator[Sequence[StatementEntry]]) -> AsyncIterator[str]:
    yield _lines([HEADINGS])
    number = itertools.count(1)
    async for entries in batches:
        yield _lines([_row(next(number), entry) for entry in entries])


def _lines(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _row(number: int, entry: StatementEntry) -> list[object]:
    about = f"{entry.subject}_{entry.subject_id.hex}"
    amount, balance = (Money(cents, entry.currency).amount for cents in (entry.cents, entry.balance_cents))
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return [number, at, harmless(entry.kind), harmless(about), amount, entry.currency.value, balance]


def harmless(text: str) -> str:
    """Let a spreadsheet take a text for a text: what begins like a formula is preceded by an apostrophe."""
    return f"'{text}" if text.startswith(FORMULAS) else text


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise BadNews("This is too long for a webhook.")
    return body


def _no(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"success": False, "reason": reason}, status, headers)
