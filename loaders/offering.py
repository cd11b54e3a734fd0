"""An offer in two statements: what it is about is read by one, and by the other it is written, if that is so yet.

The ordinary way of a mutation takes a round trip to hold each thing, and then one to write each. Here the rules are
asked about what was read without holding it. The statement that writes holds it, compares, uses up the request's key
and writes everything; if anything is another than it was read, it writes nothing, and the ordinary way is to be taken.
Both statements are for as many offers as are made at the same moment.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

import orjson
from asyncpg.pgproto.pgproto import UUID as FOUND_UUID
from sqlalchemy import Column, DateTime, Enum, Table, Text, Uuid, bindparam, exists, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

import loaders.ledger
from loaders.accounts import IS_STILL_SIGNED_IN
from loaders.compile import Statement, for_each, numbered, type_name
from loaders.work import EVENTS, HEADS, counted
from models.accounts import Account
from models.activity import Event
from models.base import NOW, STATE, VIEWER, Audience, Base
from models.connects import CURRENCY, LOT, SPENT, Lot, Movement, Moving
from models.idempotency import IdempotencyKey, Once
from models.jobs import Invitation, Job
from models.ledger import LedgerAccount
from models.proposals import Proposal, ProposalAttachment, ProposalMilestone

# What is read.

_COLUMNS = list(cast("Table", Job.__table__).columns)


def _kind(column: Column[Any]) -> Callable[[Any], Any] | None:
    """How a value of a column is read from JSON."""
    match column.type:
        case Enum(enum_class=kind):
            return kind
        case DateTime():
            return datetime.fromisoformat
        case Uuid():
            return FOUND_UUID
    return None


_KINDS = {column.key: kind for column in _COLUMNS if (kind := _kind(column))}


_OF_LOTS = ("id", "expires_at", "remaining", "purse_id")


@dataclass(frozen=True, slots=True)
class Terms:
    """What an offer is decided by, as it was a moment ago."""

    job: Job
    mark: str
    """Another one each time the job is written, whoever writes whatever."""
    is_invited: bool
    lots: Sequence[Lot]
    spent: LedgerAccount | None


@cache
def terms_for(audience: Audience) -> Statement:
    """Ask for the terms of new offers, each on a job `job_id`; no row says that it is for the ordinary way to tell.

    That is, unless the caller is signed in yet and sees the job, on which she has made no offer, its client is
    available, and `key` is a new one.
    """
    client = aliased(Account)
    lots = (func.array_agg(aggregate_order_by(getattr(Lot, name), Lot.id)).label(f"lots_{name}") for name in _OF_LOTS)
    hers = select(*lots).where(Lot.account_id == VIEWER, Lot.expires_at > NOW, Lot.remaining > 0).subquery()
    spent = select(LedgerAccount.id).where(
        LedgerAccount.kind == SPENT.name, LedgerAccount.owner_id.is_(None), LedgerAccount.currency == CURRENCY
    )
    invited = exists().where(Invitation.job_id == Job.id, Invitation.freelancer_id == VIEWER)
    offered = exists().where(Proposal.job_id == Job.id, Proposal.freelancer_id == VIEWER)
    used = exists().where(IdempotencyKey.account_id == VIEWER, IdempotencyKey.key == bindparam("key", type_=Text()))
    query = (
        select(
            *_COLUMNS,
            literal_column("jobs.xmin::text").label("mark"),
            invited.correlate(Job).label("is_invited"),
            *hers.columns,
            spent.scalar_subquery().label("spent_id"),
        )
        .select_from(Job)
        .join(client, client.id == Job.client_id)
        .join(hers, true())
        .where(Job.id == bindparam("job_id", type_=Uuid()), Job.seen_by(audience), client.suspended_at.is_(None))
        .where(~offered.correlate(Job), ~used, IS_STILL_SIGNED_IN)
    )
    return for_each(query)


def read(found: dict[str, Any]) -> Terms:
    """Read a row that was found, which others may read too."""
    found = found.copy()
    mark, is_invited, spent_id = (found.pop(name) for name in ("mark", "is_invited", "spent_id"))
    lots = zip(*(found.pop(f"lots_{name}") or () for name in _OF_LOTS), strict=True)
    for name, kind in _KINDS.items():
        if found[name] is not None:
            found[name] = kind(found[name])
    spent = LedgerAccount(id=FOUND_UUID(spent_id), currency=CURRENCY) if spent_id else None
    return Terms(Job(**found), mark, is_invited, [_lot(*said) for said in lots], spent)


def _lot(lot_id: str, expires_at: str, remaining: int, purse_id: str) -> Lot:
    purse = LedgerAccount(id=FOUND_UUID(purse_id), kind=LOT.name, owner_id=FOUND_UUID(lot_id), currency=CURRENCY)
    lot = Lot(
        id=purse.owner_id,
        expires_at=datetime.fromisoformat(expires_at),
        remaining=remaining,
        purse_id=purse.id,
    )
    vars(lot)["purse"] = purse
    return lot


# What is written.

SURE = "(SELECT sure FROM checked) = 1"
ATTACHED = (Proposal, ProposalMilestone, ProposalAttachment)
BARE = (Proposal, ProposalMilestone)
"""What an offer is made of, with or without attachments."""

_POSTING = ", ".join(
    f":posting_{name}::{type_name(bound.type)}" for name, bound in loaders.ledger.POST.compile().binds.items()
)


def _inserted(model: type[Base], only_if: str = SURE) -> str:
    """Write rows of a model, given as JSON: an array for each column would take longer to send than to write."""
    table = model.__tablename__
    return f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, :{table}) WHERE {only_if}"


# The keys first, then the jobs, then the lots, and the heads of the streams last, as everywhere; of each kind in the
# order of their names. What is not as it was divides by zero, which takes the keys back with everything else.
_HELD = f"""
WITH about AS (
    SELECT * FROM json_to_recordset(:jobs) AS about (id uuid, mark text)
), seen AS (
    SELECT * FROM json_to_recordset(:lots) AS seen (id uuid, remaining bigint, part bigint)
), claimed AS (
    {_inserted(IdempotencyKey, "true")} ON CONFLICT DO NOTHING RETURNING key
), job AS (
    SELECT id FROM jobs WHERE (SELECT count(*) FROM claimed) = :count AND id = ANY (ARRAY(SELECT id FROM about))
    AND EXISTS (SELECT FROM about WHERE about.id = jobs.id AND mark = xmin::text) ORDER BY id FOR SHARE
), held AS (
    SELECT id FROM lots WHERE (SELECT count(*) FROM job) = (SELECT count(*) FROM about)
    AND id = ANY (ARRAY(SELECT id FROM seen))
    AND remaining = (SELECT remaining FROM seen WHERE seen.id = lots.id) ORDER BY id FOR NO KEY UPDATE
), checked AS MATERIALIZED (
    SELECT 1 / CASE WHEN (SELECT count(*) FROM job) = (SELECT count(*) FROM about)
        AND (SELECT count(*) FROM held) = (SELECT count(*) FROM seen) THEN 1 ELSE 0 END AS sure
)"""

_PAID = f""", posted AS (
    SELECT ledger_post({_POSTING}) FROM checked WHERE sure = 1
), noted AS (
    {_inserted(Movement)}
), spent AS (
    UPDATE lots SET remaining = remaining + (SELECT part FROM seen WHERE seen.id = lots.id)
    WHERE id = ANY (ARRAY(SELECT id FROM seen)) AND {SURE}
)"""


@cache
def _writing(parts: tuple[type[Base], ...], *, is_paid: bool) -> Statement:
    kept = "".join(f", {model.__tablename__}_kept AS ({_inserted(model)})" for model in parts)
    heads = HEADS.format(
        grown="json_to_recordset(:heads) AS grown (stream text, more bigint)",
        only_if=f"{SURE} AND (SELECT count(*) FROM posted) = 1" if is_paid else SURE,
    )
    events = EVENTS.format(told="json_populate_recordset(NULL::events, :events) AS told")
    return numbered(
        f"{_HELD}{kept}{_PAID if is_paid else ''}, heads AS ({heads}), told AS ({events})"
        " SELECT json_object_agg(stream, sequence) FROM heads"
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """All that is to be written of an offer that was made on some terms."""

    terms: Terms
    once: Once
    rows: Sequence[Base]
    """The proposal and its parts, its attachments last."""
    spending: Moving | None
    events: Sequence[Event]
    at: datetime

    @property
    def kind(self) -> tuple[tuple[type[Base], ...], bool]:
        """Offers of one kind can be written together."""
        return ATTACHED if isinstance(self.rows[-1], ProposalAttachment) else BARE, self.spending is not None

    @property
    def by(self) -> UUID:
        """Whose it is."""
        return self.once.account_id

    def together(self, others: Sequence["Offer"]) -> tuple[str, list[Any]]:
        """What writes this and others of its kind, all of them or, if anything is not as their terms say, none.

        Its value tells the `numbers` of the last event of each stream.
        """
        parts, is_paid = self.kind
        made = _writing(parts, is_paid=is_paid)
        bound = _bound(sorted([self, *others], key=attrgetter("by")), parts)
        return made.text, [bound[name] for name in made.parameters]


def _bound(offers: Sequence[Offer], parts: Sequence[type[Base]]) -> dict[str, Any]:
    events = [event for offer in offers for event in offer.events]
    counts, later = counted(events)
    # A job with two marks is not found twice.
    jobs = {(offer.terms.job.id, offer.terms.mark) for offer in offers}
    found = {
        "count": len(offers),
        IdempotencyKey.__tablename__: _json([_key(offer) for offer in offers]),
        "jobs": _json([{"id": job_id, "mark": mark} for job_id, mark in jobs]),
        "heads": _json([{"stream": stream, "more": more} for stream, more in counts.items()]),
        "events": _json([_row(one) | {"sequence": after} for one, after in zip(events, later, strict=True)]),
    }
    for model in parts:
        rows = [_row(row) for offer in offers for row in offer.rows if isinstance(row, model)]
        found[model.__tablename__] = _json(rows)
    return found | _paid(offers)


def _key(offer: Offer) -> dict[str, Any]:
    once = offer.once
    return {
        "account_id": once.account_id,
        "key": once.key,
        "fingerprint": once.fingerprint,
        "subject_id": once.subject_id,
        "used_at": offer.at,
    }


def _paid(offers: Sequence[Offer]) -> dict[str, Any]:
    spendings = [offer.spending for offer in offers if offer.spending]
    if not spendings:
        return {"lots": "[]"}
    journals = [spending.journal for spending in spendings]
    parts = {entry.account_id: entry.amount for journal in journals for entry in journal.entries}
    lots = [
        {"id": lot.id, "remaining": lot.remaining, "part": parts[lot.purse_id]}
        for offer in offers
        for lot in offer.terms.lots
        if lot.purse_id in parts
    ]
    posting = {f"posting_{name}": given for name, given in loaders.ledger.posting(*journals).items()}
    movements = [_row(spending.movement) for spending in spendings]
    return posting | {"lots": _json(lots), Movement.__tablename__: _json(movements)}


def numbers(told: bytes) -> dict[str, int]:
    """Read what the statement that writes offers tells."""
    found: dict[str, int] = orjson.loads(told)
    return found


def _row(row: Base) -> dict[str, Any]:
    """A new row, which nobody follows, as its table has it."""
    found = vars(row)
    assert STATE not in found
    return found


def _json(value: Any) -> str:
    # The ids that asyncpg reads are of a kind of its own.
    return orjson.dumps(value, default=str).decode()
