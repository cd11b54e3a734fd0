"""A town for benchmarks: thousands of everything, always the same, made by the database itself in seconds."""

from dataclasses import dataclass
from hashlib import md5
from typing import TypeAlias
from uuid import UUID

import asyncpg

JOBS_EACH, POPULAR, OFFERS, OFFERS_POPULAR, HIRED = 40, 10, 3, 23, 10
"""A client has 40 jobs. Every tenth job has 23 proposals, ten of which became contracts; the others have three."""

WRITERS = 100
"""Freelancers who have not proposed anything yet: whoever measures proposing does it in their names."""

PURSE = 100_000_000
"""Connects that each of them has for it, in one lot."""

BEGAN_MS = 1_780_000_000_000
CITIES = ["Lisbon", "Zürich", "São Paulo", "Osaka", "Nairobi", "Kraków", "Montréal"]

Line: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

IDS = """
create function pg_temp.town_id(kind int, n bigint) returns uuid language sql immutable as $$
    select (lpad(to_hex({began} + n), 12, '0') || '7' || lpad(to_hex(kind), 3, '0') || '8'
        || substr(md5(kind || ':' || n), 1, 15))::uuid
$$
"""
"""Ids that sort by time, as those that the house makes."""

STEPS = """
insert into accounts (id, email, password_hash, full_name, roles, created_at)
select pg_temp.town_id(1, n), 'n' || n || '@example.org', '', 'Neighbour ' || n,
    array[case when n < {clients} then 'CLIENT' else 'FREELANCER' end], now() - interval '1 year'
from generate_series(0, {accounts} - 1) n;

insert into client_profiles (id, company_name, industry, city, joined_at, version)
select pg_temp.town_id(1, n), 'Company ' || n, 'Software', ({cities})[1 + n % 7], now() - interval '1 year', 1
from generate_series(0, {clients} - 1) n;

insert into freelancer_profiles (id, full_name, title, city, hourly_rate_cents, currency, languages, skills,
    joined_at, version)
select pg_temp.town_id(1, n), 'Neighbour ' || n, 'Engineer', ({cities})[1 + n % 7], 3000 + n % 9000, 'USD',
    '{{English,German}}', '{{Python,SQL,Cooking}}', now() - interval '1 year', 1
from generate_series({clients}, {accounts} - 1) n;

insert into sessions (id, account_id, address, agent, created_at, refreshed_at, expires_at)
select pg_temp.town_id(2, n), pg_temp.town_id(1, n), '127.0.0.1', 'benchmark', now(), now(), now() + interval '30 days'
from generate_series(0, {accounts} - 1) n;

insert into jobs (id, client_id, category_id, title, description, experience, duration, budget_kind, budget_currency,
    budget_amount_cents, freelancers_wanted, hired_count, state, created_at, published_at, expires_at, version)
select pg_temp.town_id(3, n), pg_temp.town_id(1, n / {popular} % {clients}), category.id, 'Job number ' || n,
    repeat('There is a lot to do, and it has to be done well. ', 4), 'EXPERT', 'ONE_TO_THREE_MONTHS', 'FIXED', 'USD',
    100000 + n % 900000, 100, case when n % {popular} = 0 then {hired} else 0 end, 'OPEN',
    now() - interval '1 day' - n * interval '1 second', now() - interval '1 day' - n * interval '1 second',
    now() + interval '29 days', 1
from generate_series(0, {jobs} - 1) n, (select id from categories order by name limit 1) category;

select ledger_open(array[pg_temp.town_id(7, 0), pg_temp.town_id(7, 1)], array['CONNECTS_ISSUED', 'CONNECTS_SPENT'],
    array[null, null]::uuid[], array['CNX', 'CNX'], array[null, null]::bigint[], array[true, true], now());
select ledger_open(array_agg(pg_temp.town_id(6, n)), array_agg('LOT'::text), array_agg(pg_temp.town_id(8, n)),
    array_agg('CNX'::text), array_agg(0::bigint), array_agg(false), now())
from generate_series({accounts} - {writers}, {accounts} - 1) n;

insert into lots (id, account_id, source, size, remaining, issued_at, expires_at, purse_id)
select pg_temp.town_id(8, n), pg_temp.town_id(1, n), 'BUNDLE', {purse}, {purse}, now(), now() + interval '1 year',
    pg_temp.town_id(6, n)
from generate_series({accounts} - {writers}, {accounts} - 1) n;

select ledger_post(array[pg_temp.town_id(9, n)], array['CONNECTS_ISSUE'], array[now()], array['lot'],
    array[pg_temp.town_id(8, n)], array[null]::uuid[], array[2]::smallint[], array[]::uuid[],
    array[pg_temp.town_id(9, n), pg_temp.town_id(9, n)], array[1, 2]::smallint[], array[2, 2]::smallint[],
    array[pg_temp.town_id(7, 0), pg_temp.town_id(6, n)], array[-{purse}, {purse}]::bigint[])
from generate_series({accounts} - {writers}, {accounts} - 1) n;

insert into connects_movements (id, account_id, kind, amount, at, journal_id, lot_id)
select pg_temp.town_id(10, n), pg_temp.town_id(1, n), 'ISSUED', {purse}, now(), pg_temp.town_id(9, n),
    pg_temp.town_id(8, n)
from generate_series({accounts} - {writers}, {accounts} - 1) n;

insert into job_skills (job_id, skill_id)
select pg_temp.town_id(3, n), skill.id
from generate_series(0, {jobs} - 1) n,
    (select id, row_number() over (order by name) as at from skills order by name limit 12) skill
where (skill.at + n) % 4 = 0;

insert into proposals (id, job_id, freelancer_id, cover_letter, duration, bid_cents, currency, state, shortlisted,
    archived, submitted_at, decided_at, version)
select pg_temp.town_id(4, n * {offers_popular} + k), pg_temp.town_id(3, n),
    pg_temp.town_id(1, {clients} + (n * {offers_popular} + k) % ({accounts} - {clients} - {writers})),
    repeat('I have done this before and would gladly do it again. ', 3), 'ONE_TO_THREE_MONTHS',
    30000 + (n + k) % 50000 * 3, 'USD', case when n % {popular} = 0 and k < {hired} then 'ACCEPTED' else 'PENDING' end,
    false, false, now() - interval '20 hours', case when n % {popular} = 0 and k < {hired} then now() end, 1
from generate_series(0, {jobs} - 1) n,
    generate_series(0, case when n % {popular} = 0 then {offers_popular} else {offers} end - 1) k;

insert into proposal_milestones (id, proposal_id, position, description, amount_cents, currency, due_on)
select gen_random_uuid(), id, position, 'Part ' || position || ' of the work', bid_cents / 3, 'USD', date '2030-01-01'
from proposals, generate_series(0, 2) position;

insert into contracts (id, proposal_id, job_id, client_id, freelancer_id, title, description, budget_kind, bid_cents,
    currency, freelancer_fee_bps, client_fee_bps, state, started_at, version)
select pg_temp.town_id(5, row_number() over (order by proposal.id)), proposal.id, job.id, job.client_id,
    proposal.freelancer_id, job.title, job.description, 'FIXED', proposal.bid_cents, 'USD', 1000, 300, 'ACTIVE',
    now(), 1
from proposals proposal join jobs job on job.id = proposal.job_id where proposal.state = 'ACCEPTED';

-- The first is paid, a cent short; the second is owed, or in every other contract not any more; for the third the
-- money lies there.
insert into milestones (id, contract_id, position, description, amount_cents, gross_cents, escrow_cents, currency,
    due_on, state, accepted_cents, accepted_at, paid_at, waived_at, version)
select gen_random_uuid(), contract.id, part.position, part.description, part.amount_cents, gross_cents,
    case when part.position = 2 then gross_cents else 0 end, 'USD', part.due_on,
    (array['PAID', 'ACCEPTED', 'OPEN'])[1 + part.position],
    case part.position when 0 then part.amount_cents - 1 when 1 then part.amount_cents end,
    case when part.position < 2 then now() end, case when part.position = 0 then now() end,
    case when part.position = 1 and contract.bid_cents % 2 = 0 then now() end, 1
from contracts contract join proposal_milestones part on part.proposal_id = contract.proposal_id,
    lateral (select part.amount_cents + part.amount_cents * 3 / 100 as gross_cents) as its;
"""


@dataclass(frozen=True)
class Town:
    """How large it is: 20,000 jobs come with 10,000 accounts."""

    jobs: int

    @property
    def clients(self) -> int:
        """People who offer work."""
        return max(1, self.jobs // JOBS_EACH)

    @property
    def accounts(self) -> int:
        """All people: enough that nobody proposes twice on one job."""
        return max(self.jobs // 2, self.clients + WRITERS + 2 * OFFERS_POPULAR)

    async def settle(self, line: Line) -> None:
        """Let everybody come to live here, and let the database know its neighbours."""
        cities = f"array{CITIES}"
        sizes = {"accounts": self.accounts, "clients": self.clients, "jobs": self.jobs, "writers": WRITERS}
        sizes["purse"] = PURSE
        shares = {"popular": POPULAR, "offers": OFFERS, "offers_popular": OFFERS_POPULAR, "hired": HIRED}
        await line.execute(IDS.format(began=BEGAN_MS))
        await line.execute(STEPS.format(cities=cities, **sizes, **shares))
        await line.execute("vacuum analyze")

    def account(self, number: int) -> UUID:
        """Who is number so and so: clients first, writers last."""
        return _id(1, number)

    def session(self, number: int) -> UUID:
        """The session of an account."""
        return _id(2, number)

    def job(self, number: int) -> UUID:
        """A job; those whose number ends in 0 are popular."""
        return _id(3, number)

    def proposal(self, number: int) -> UUID:
        """A proposal; each job has room for as many numbers as a popular one has proposals."""
        return _id(4, number)

    def client_of(self, job: int) -> int:
        """Who offers a job, by number."""
        return job // POPULAR % self.clients

    def writer(self, number: int) -> int:
        """The number of an account that has not proposed anything."""
        return self.accounts - WRITERS + number


def _id(kind: int, number: int) -> UUID:
    tail = md5(f"{kind}:{number}".encode(), usedforsecurity=False).hexdigest()[:15]
    return UUID(hex=f"{BEGAN_MS + number:012x}7{kind:03x}8{tail}")
