"""The limit: what uvicorn and Postgres give when nothing stands between them but one statement written by hand.

It takes the same requests as our server and sends the same bytes, but it has no GraphQL: the name of the operation
chooses a statement, and whoever a token names is believed. There are no limits, sessions, logs, metrics or errors here;
who may see what is in the statements, as a careful person would write it.
"""

import base64
import hashlib
import os
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn
from starlette.types import Receive, Scope, Send

from models.base import uuid7
from ops.database import SERVER_SETTINGS

CONNECTIONS = 10
"""As many as our server reads through unless it is told otherwise."""

SETTINGS = SERVER_SETTINGS | {"plan_cache_mode": "force_generic_plan", "jit": "off", "enable_seqscan": "off"}
"""To plan or to translate such a statement again would take longer than to run it."""

INTROSPECTION = "BENCHMARK_INTROSPECTION"
"""Names the file with the answer to introspection: there is nothing to ask a database for."""


def _moment(column: str) -> str:
    return f"""to_char({column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _object(**shown: str) -> str:
    """Write JSON down piece by piece, each value as SQL says it: row_to_json takes half as long again."""
    pieces = " || ',".join(f'"{name}":\' || {value}' for name, value in shown.items())
    return f"'{{{pieces} || '}}'".replace("' || '", "")


def _quoted(value: str) -> str:
    """What never has anything in it that JSON would write otherwise."""
    return f"""'"' || {value} || '"'"""


def _words(column: str) -> str:
    """What anybody may have written."""
    return f"to_json({column})::text"


def _or_null(value: str) -> str:
    return f"coalesce({value}, 'null')"


def _key(noun: str, column: str) -> str:
    return f"""'"{noun}_' || encode(uuid_send({column}), 'hex') || '"'"""


def _at(column: str) -> str:
    return _quoted(_moment(column))


def _price(cents: str, currency: str) -> str:
    return _object(amount=_quoted(f"({cents} * 0.01)::text"), currency=_quoted(currency))


def _many(shown: str, rows: str) -> str:
    """What the rows, which are `r`, look like one after the other."""
    return f"'[' || coalesce((select string_agg({shown}, ',') from ({rows}) r), '') || ']'"


def _page(shown: str, rows: str, size: str) -> dict[str, str]:
    """Show so many of the rows, which are `r`, and whether there are more: one more was read."""
    return {
        "nodes": _many(shown, f"{rows} limit {size}"),
        "pageInfo": _object(hasNextPage=f"((select count(*) from page) > {size})::text"),
    }


def _data(name: str, found: str) -> str:
    return f"""select '{{"data":{{"{name}":' || {found} || '}}}}'"""


_BUDGET = _object(kind=_quoted("budget_kind"), amount=_or_null(_price("budget_amount_cents", "budget_currency")))
_JOB = _object(
    id=_key("job", "id"),
    title=_words("title"),
    description=_words("description"),
    state=_quoted("state"),
    experience=_quoted("experience"),
    duration=_quoted("duration"),
    freelancersWanted="freelancers_wanted",
    hiredCount="hired_count",
    publishedAt=_or_null(_at("published_at")),
    expiresAt=_or_null(_at("expires_at")),
    version="version",
    budget=_BUDGET,
)
JOB = _data("job", _or_null(f"(select {_JOB} from jobs where id = $1 and state not in ('DRAFT', 'REMOVED'))"))

_CLIENT = _object(id=_key("client", "id"), companyName=_words("company_name"))
_NEWEST = _object(
    id=_key("job", "r.id"),
    title=_words("r.title"),
    state=_quoted("r.state"),
    publishedAt=_at("r.published_at"),
    client=f"(select {_CLIENT} from client_profiles where id = r.client_id)",
    proposalCount="(select count(*) from proposals where job_id = r.id and state <> 'WITHDRAWN')",
)
NEWEST = f"""
with page as materialized (
    select id, title, state, published_at, client_id from jobs
    where state = 'OPEN' and expires_at > now() order by published_at desc, id desc limit $1 + 1
)
{_data("jobs", _object(**_page(_NEWEST, "select * from page order by published_at desc, id desc", "$1")))}
"""

_PART = _object(
    position="position",
    description=_words("description"),
    amount=_price("amount_cents", "currency"),
    dueOn=_or_null(_quoted("due_on")),
)
_FREELANCER = _object(id=_key("freelancer", "id"), fullName=_words("full_name"), title=_words("title"))
_OFFER = _object(
    id=_key("proposal", "r.id"),
    coverLetter=_words("r.cover_letter"),
    state=_quoted("r.state"),
    bid=_price("r.bid_cents", "r.currency"),
    submittedAt=_at("r.submitted_at"),
    freelancer=f"(select {_FREELANCER} from freelancer_profiles where id = r.freelancer_id)",
    milestones=_many(_PART, "select * from proposal_milestones where proposal_id = r.id order by position"),
)
_OFFERS = _object(
    id=_key("job", "id"),
    title=_words("title"),
    proposals=_object(**_page(_OFFER, "select * from page order by id", "$2")),
)
OFFERS = f"""
with seen as materialized (
    select id, title, client_id from jobs where id = $1 and (state not in ('DRAFT', 'REMOVED') or client_id = $3)
), page as materialized (
    select p.id, cover_letter, state, bid_cents, currency, submitted_at, freelancer_id
    from seen join proposals p on p.job_id = seen.id
    where p.freelancer_id = $3 or seen.client_id = $3 order by p.id limit $2 + 1
)
{_data("job", _or_null(f"(select {_OFFERS} from seen)"))}
"""

_MILESTONE = _object(
    id=_key("milestone", "id"),
    position="position",
    description=_words("description"),
    amount=_price("amount_cents", "currency"),
    state=_quoted("state"),
    dueOn=_or_null(_quoted("due_on")),
)
_TOTALS = _object(**{name: _price(name, "its.currency") for name in ("agreed", "escrowed", "owed", "paid")})
_CONTRACT = _object(
    id=_key("contract", "id"),
    title=_words("title"),
    state=_quoted("state"),
    bid=_price("bid_cents", "r.currency"),
    startedAt=_at("started_at"),
    milestones="'[' || coalesce(milestones, '') || ']'",
    totals="totals",
)
# Each contract's milestones are read once, for what is shown of them and for what they come to.
_CONTRACTS = f"""
select page.*, its.milestones, case when its.count > 0 then {_TOTALS} else 'null' end as totals
from page cross join lateral (
    select count(*), min(currency) as currency, string_agg({_MILESTONE}, ',' order by position) as milestones,
        sum(amount_cents) as agreed, sum(escrow_cents) as escrowed,
        coalesce(sum(accepted_cents) filter (where state = 'ACCEPTED' and waived_at is null), 0) as owed,
        coalesce(sum(accepted_cents) filter (where state = 'PAID'), 0) as paid
    from milestones where contract_id = page.id
) its order by page.id desc
"""
_MINE = "select id, title, state, bid_cents, currency, started_at from contracts where"
_COUNT = """
((select count(*) from contracts where client_id = $2) + (select count(*) from contracts where freelancer_id = $2))
"""
CONTRACTS = f"""
with page as materialized (
    ({_MINE} client_id = $2 order by id desc limit $1 + 1)
    union all ({_MINE} freelancer_id = $2 order by id desc limit $1 + 1)
    order by id desc limit $1 + 1
)
{_data("viewer", _object(contracts=_object(totalCount=_COUNT, **_page(_CONTRACT, _CONTRACTS, "$1"))))}
"""


def _id(noun: str, column: str = "id") -> str:
    return f"'{noun}_' || replace({column}::text, '-', '')"


def _money(cents: str, currency: str) -> str:
    return f"""(select row_to_json(m) from (select ({cents} * 0.01)::text as amount, {currency} as currency) m)"""


def _list(rows: str) -> str:
    return f"""('[' || coalesce((select string_agg(row_to_json(r)::text, ',') from ({rows}) r), '') || ']')::json"""


_AMOUNT = f"{_money('amount_cents', 'currency')} as amount"
_KEPT = f"select position, description, {_AMOUNT} from parts order by position"
SUBMIT = f"""
with job as (
    select jobs.id, client_id, connects_cost as cost from jobs join accounts client on client.id = client_id
    where jobs.id = $1 and state = 'OPEN' and expires_at > now() and client_id <> $2 and client.suspended_at is null
    and budget_currency = 'USD' for share of jobs
), lot as (
    select lots.id, purse_id, cost from lots, job
    where account_id = $2 and lots.expires_at > now() and remaining >= cost
    order by lots.expires_at, lots.id limit 1 for no key update of lots
), once as (
    insert into idempotency_keys (account_id, key, fingerprint, subject_id, used_at)
    select $2, $10, $11, $3, now() from lot on conflict do nothing returning key
), proposal as (
    insert into proposals (id, job_id, freelancer_id, cover_letter, duration, bid_cents, currency, connects_cost, state,
        shortlisted, archived, submitted_at, version)
    select $3, job.id, freelancer.id, $4, $5, $6, 'USD', cost, 'PENDING', false, false, now(), 1
    from once, job, freelancer_profiles freelancer where freelancer.id = $2 returning *
), paid as materialized (
    select ledger_post(array[$12::uuid], array['CONNECTS_SPEND'], array[now()], array['proposal'], array[$3],
        array[null]::uuid[], array[2]::smallint[], array[]::uuid[], array[$12, $12], array[1, 2]::smallint[],
        array[2, 2]::smallint[], array[purse_id, spent.id], array[-lot.cost, lot.cost])
    from proposal, lot, ledger_accounts spent
    where spent.kind = 'CONNECTS_SPENT' and spent.owner_id is null and spent.currency = 'CNX'
), moved as (
    insert into connects_movements (id, account_id, kind, amount, at, journal_id, proposal_id)
    select gen_random_uuid(), $2, 'SPENT', -lot.cost, now(), $12, proposal.id from proposal, lot
), left_over as (
    update lots set remaining = remaining - lot.cost from lot, proposal where lots.id = lot.id
), parts as (
    insert into proposal_milestones (id, proposal_id, position, description, amount_cents, currency)
    select part.id, proposal.id, part.position - 1, part.description, part.amount_cents, 'USD' from proposal,
        unnest($7::uuid[], $8::text[], $9::bigint[]) with ordinality as part (id, description, amount_cents, position)
    returning *
), heads as (
    insert into stream_heads (stream, sequence)
    select stream, 1 from paid, job, unnest(array[
        'account:' || replace(client_id::text, '-', ''),
        'job:' || replace(job.id::text, '-', ''),
        'proposal:' || replace(job.id::text, '-', '') || ':' || replace($2::text, '-', ''),
        'wallet:' || replace($2::text, '-', '')
    ]) stream order by stream
    on conflict (stream) do update set sequence = stream_heads.sequence + 1 returning *
), told as (
    insert into events (id, stream, sequence, kind, subject, subject_id, actor_id, at)
    select gen_random_uuid(), stream, sequence, case when is_hers then 'WALLET_CHANGED' else 'PROPOSAL_SUBMITTED' end,
        case when is_hers then 'wallet' else 'proposal' end, case when is_hers then $2 else proposal.id end, $2, now()
    from heads, proposal, lateral (select starts_with(stream, 'wallet:') as is_hers) as whose
)
select '{{"data":{{"submitProposal":' || row_to_json(q)::text || '}}}}' from (
    select 'Proposal' as __typename, {_id("proposal")} as id, state, {_money("bid_cents", "proposal.currency")} as bid,
        {_moment("submitted_at")} as "submittedAt",
        {_list(_KEPT)} as milestones
    from proposal
) q
"""


def _named(text: str) -> UUID:
    return UUID(hex=text[-32:])


def _cents(money: dict[str, str]) -> int:
    return int(Decimal(money["amount"]) * 100)


def _offer(said: dict[str, Any], viewer: UUID) -> tuple[Any, ...]:
    parts = said["milestones"]
    words = [part["description"] for part in parts]
    amounts = [_cents(part["amount"]) for part in parts]
    # What the rules of proposals say of the words alone.
    assert 0 < len(said["coverLetter"]) <= 5_000
    assert sum(amounts) == _cents(said["bid"])
    ids = [uuid7() for _ in parts]
    kept = (uuid7(), said["coverLetter"], said["duration"], sum(amounts))
    key = said["idempotencyKey"]
    fingerprint = hashlib.sha256(orjson.dumps(said)).hexdigest()
    return (_named(said["jobId"]), viewer, *kept, ids, words, amounts, key, fingerprint, uuid7())


ASKED: dict[str, tuple[str, Any]] = {
    "Job": (JOB, lambda told, _: (_named(told["id"]),)),
    "Newest": (NEWEST, lambda told, _: (told["first"],)),
    "Offers": (OFFERS, lambda told, viewer: (_named(told["id"]), told["first"], viewer)),
    "Contracts": (CONTRACTS, lambda told, viewer: (told["first"], viewer)),
    "Submit": (SUBMIT, lambda told, viewer: _offer(told["input"], viewer)),
}
"""What is asked for, by the name of the operation, and what is bound to it."""


class Limit:
    """An ASGI application of one function."""

    def __init__(self) -> None:
        self.viewers: dict[bytes, UUID] = {}
        self.pool: asyncpg.Pool[asyncpg.Record]
        told = os.environ.get(INTROSPECTION)
        self.introspection = Path(told).read_bytes() if told else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        answer = await self.answer(scope, orjson.loads(body)) if body else b"{}"
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def answer(self, scope: Scope, asked: dict[str, Any]) -> bytes:
        """Ask the database."""
        name = asked["operationName"]
        if name == "IntrospectionQuery":
            return self.introspection
        statement, bound = ASKED[name]
        values = bound(asked.get("variables"), self.viewer(scope))
        found: str = await self.pool.fetchval(statement, *values)
        return found.encode()

    def viewer(self, scope: Scope) -> UUID | None:
        """Believe a token, and remember whom it names."""
        for name, value in scope["headers"]:
            if name == b"authorization":
                if value not in self.viewers:
                    claims = orjson.loads(base64.urlsafe_b64decode(value.split(b".")[1] + b"=="))
                    self.viewers[value] = UUID(hex=claims["sub"])
                return self.viewers[value]
        return None

    async def live(self, receive: Receive, send: Send) -> None:
        """Open the pool and close it."""
        await receive()
        url = os.environ["DATABASE_URL"].replace("+asyncpg", "")
        # Nothing here leaves anything behind in a connection: to have it reset would be a second round trip.
        self.pool = await asyncpg.create_pool(
            url, min_size=CONNECTIONS, max_size=CONNECTIONS, reset=_leave_as_it_is, server_settings=SETTINGS
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.pool.close()
        await send({"type": "lifespan.shutdown.complete"})


async def _leave_as_it_is(_: Any) -> None:
    """Do nothing."""


app = Limit()

if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.limit:app",
        port=int(os.environ["PORT"]),
        workers=int(os.environ["WORKUP_WORKERS"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
