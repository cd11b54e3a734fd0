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


def _id(noun: str, column: str = "id") -> str:
    return f"'{noun}_' || replace({column}::text, '-', '')"


def _moment(column: str) -> str:
    return f"""to_char({column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _money(cents: str, currency: str) -> str:
    return f"""(select row_to_json(m) from (select ({cents} * 0.01)::text as amount, {currency} as currency) m)"""


def _list(rows: str) -> str:
    return f"""('[' || coalesce((select string_agg(row_to_json(r)::text, ',') from ({rows}) r), '') || ']')::json"""


def _named(noun: str, row: str, more: str, table: str, key: str) -> str:
    return f"(select row_to_json(o) from (select {_id(noun)} as id, {more} from {table} where id = {row}.{key}) o)"


def _page(nodes: str, size: str) -> str:
    more = f'(select row_to_json(i) from (select (select count(*) from page) > {size} as "hasNextPage") i)'
    return f'{_list(nodes)} as nodes, {more} as "pageInfo"'


def _parts(columns: str, table: str, key: str) -> str:
    return _list(f"select {columns} from {table} where {key} = page.id order by position")


_AMOUNT = f"{_money('amount_cents', 'currency')} as amount"

JOB = f"""
select '{{"data":{{"job":' || coalesce((select row_to_json(q)::text from (
    select {_id("job")} as id, title, description, state, experience, duration,
        freelancers_wanted as "freelancersWanted", hired_count as "hiredCount",
        {_moment("published_at")} as "publishedAt", {_moment("expires_at")} as "expiresAt", version,
        (select row_to_json(b) from (
            select budget_kind as kind, case when budget_amount_cents is not null then
                {_money("budget_amount_cents", "budget_currency")} end as amount
        ) b) as budget
    from jobs where id = $1 and state not in ('DRAFT', 'REMOVED')
) q), 'null') || '}}}}'
"""

_NEWEST = f"""
select {_id("job", "page.id")} as id, title, state, {_moment("published_at")} as "publishedAt",
    {_named("client", "page", 'company_name as "companyName"', "client_profiles", "client_id")} as client,
    (select count(*) from proposals where job_id = page.id and state <> 'WITHDRAWN') as "proposalCount"
from page order by published_at desc, page.id desc limit $1
"""
NEWEST = f"""
with page as materialized (
    select id, title, state, published_at, client_id from jobs
    where state = 'OPEN' and expires_at > now() order by published_at desc, id desc limit $1 + 1
)
select '{{"data":{{"jobs":' || row_to_json(q)::text || '}}}}' from (select {_page(_NEWEST, "$1")}) q
"""

_OFFERS = f"""
select {_id("proposal", "page.id")} as id, cover_letter as "coverLetter", state,
    {_money("bid_cents", "page.currency")} as bid, {_moment("submitted_at")} as "submittedAt",
    {_named("freelancer", "page", 'full_name as "fullName", title', "freelancer_profiles", "freelancer_id")}
        as freelancer,
    {_parts(f'position, description, {_AMOUNT}, due_on as "dueOn"', "proposal_milestones", "proposal_id")}
        as milestones
from page order by page.id limit $2
"""
OFFERS = f"""
with seen as materialized (
    select id, title, client_id from jobs where id = $1 and (state not in ('DRAFT', 'REMOVED') or client_id = $3)
), page as materialized (
    select p.* from seen join proposals p on p.job_id = seen.id
    where p.freelancer_id = $3 or seen.client_id = $3 order by p.id limit $2 + 1
)
select '{{"data":{{"job":' || coalesce((select row_to_json(q)::text from (
    select {_id("job", "seen.id")} as id, title,
        (select row_to_json(n) from (select {_page(_OFFERS, "$2")}) n) as proposals from seen
) q), 'null') || '}}}}'
"""

_CONTRACTS = f"""
select {_id("contract", "page.id")} as id, title, state, {_money("bid_cents", "page.currency")} as bid,
    {_moment("started_at")} as "startedAt",
    {
    _parts(
        f'{_id("milestone")} as id, position, description, {_AMOUNT}, state, due_on as "dueOn"',
        "milestones",
        "contract_id",
    )
} as milestones
from page order by page.id desc limit $1
"""
CONTRACTS = f"""
with page as materialized (
    (select * from contracts where client_id = $2 order by id desc limit $1 + 1)
    union all (select * from contracts where freelancer_id = $2 order by id desc limit $1 + 1)
    order by id desc limit $1 + 1
)
select '{{"data":{{"viewer":{{"contracts":' || row_to_json(q)::text || '}}}}}}' from (
    select (select count(*) from contracts where client_id = $2)
        + (select count(*) from contracts where freelancer_id = $2) as "totalCount",
    {_page(_CONTRACTS, "$1")}
) q
"""

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


def _key(text: str) -> UUID:
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
    return (_key(said["jobId"]), viewer, *kept, ids, words, amounts, key, fingerprint, uuid7())


ASKED: dict[str, tuple[str, Any]] = {
    "Job": (JOB, lambda told, _: (_key(told["id"]),)),
    "Newest": (NEWEST, lambda told, _: (told["first"],)),
    "Offers": (OFFERS, lambda told, viewer: (_key(told["id"]), told["first"], viewer)),
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
