"""How long it takes to know that the books are right: the ledger, and all that refers to it.

    .venv/bin/python -m benchmarks.books [entries] [rounds]

A marketplace is made by the database itself, in seconds, and always the same: freelancers with lots of Connects,
proposals that were paid for and some that were returned, clients who brought money, contracts whose milestones were
paid for in advance, released, settled and withdrawn, or asked to be paid for. Then the audit looks at all of it, as
`python -m ops check ledger` and the query `ledgerAudit` do. Each round gives the time, and the CPU that the whole
machine spent meanwhile.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import asyncpg

import loaders.audit
import loaders.ledger
from benchmarks.ledger import busy_seconds
from ops import books, local, migrate
from ops.database import Database

ENTRIES = 100_000
ROUNDS = 7
ENTRIES_A_FREELANCER, ENTRIES_A_CONTRACT = 16.5, 19.5
"""What each comes to; most of the ledger is about contracts."""

FIRST = """
SET session_replication_role = replica;
CREATE FUNCTION pg_temp.id_of(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(1780000000000 + n), 12, '0') || '7' || lpad(to_hex(kind), 3, '0') || '8'
        || substr(md5(kind || ':' || n), 1, 15))::uuid
$$;
CREATE TEMP TABLE moves (
    moment bigint, journal_id uuid, kind text, subject text, subject_id uuid, reverses uuid, currency text,
    position smallint, account text, owner_id uuid, amount bigint
);
"""
"""Ids that sort by time, as those that the house makes; and a book where everything is noted before it is posted."""

CONNECTS = """
-- Freelancers are given 20 Connects and 10 more. Each makes five proposals for four of them, the last out of both lots.
INSERT INTO moves
SELECT 0, pg_temp.id_of(1, n), 'CONNECTS_ISSUE', 'lot', pg_temp.id_of(2, n), null, 'CNX', leg.*
FROM generate_series(2, 2 * {freelancers} + 1) n,
    LATERAL (SELECT CASE WHEN n % 2 = 0 THEN 20 ELSE 10 END) AS lot (size),
    LATERAL (VALUES (1, 'CONNECTS_ISSUED', null, -size), (2, 'LOT', pg_temp.id_of(2, n), size)) AS leg;

INSERT INTO moves
SELECT 1 + p % 5, pg_temp.id_of(3, p), 'CONNECTS_SPEND', 'proposal', pg_temp.id_of(4, p), null, 'CNX', leg.*
FROM generate_series(5, 5 * {freelancers} + 4) p, LATERAL (VALUES
    (1, 'LOT', pg_temp.id_of(2, p / 5 * 2), CASE WHEN p % 5 = 4 THEN -2 ELSE -4 END),
    (2, 'LOT', pg_temp.id_of(2, p / 5 * 2 + 1), CASE WHEN p % 5 = 4 THEN -2 END),
    (CASE WHEN p % 5 = 4 THEN 3 ELSE 2 END, 'CONNECTS_SPENT', null, 4)
) AS leg (position, account, owner_id, amount)
WHERE amount IS NOT NULL;

-- One proposal of every second freelancer is returned, and what is left of every fourth's first lot expires.
INSERT INTO moves
SELECT 6, pg_temp.id_of(5, p), 'CONNECTS_RETURN', 'proposal', pg_temp.id_of(4, p), pg_temp.id_of(3, p), 'CNX', leg.*
FROM generate_series(8, 5 * {freelancers} + 4, 10) p,
    LATERAL (VALUES (1, 'LOT', pg_temp.id_of(2, p / 5 * 2), 4), (2, 'CONNECTS_SPENT', null, -4)) AS leg;

INSERT INTO moves
SELECT 7, pg_temp.id_of(6, f), 'CONNECTS_EXPIRE', 'lot', pg_temp.id_of(2, 2 * f), null, 'CNX', leg.*
FROM generate_series(1, {freelancers}, 4) f,
    LATERAL (VALUES (1, 'LOT', pg_temp.id_of(2, 2 * f), -6), (2, 'CONNECTS_EXPIRED', null, 6)) AS leg;
"""

MONEY = """
-- Two contracts have the same client and the same freelancer. For each, money is brought, and put aside for three
-- milestones, of which two are released and the third is not.
INSERT INTO moves
SELECT 8, pg_temp.id_of(10, c), 'DEPOSIT', 'transfer', pg_temp.id_of(11, c), null, 'USD', leg.*
FROM generate_series(1, {contracts}) c,
    LATERAL (VALUES (1, 'RAIL', null, -40000), (2, 'FUNDS', pg_temp.id_of(20, c / 2), 40000)) AS leg;

INSERT INTO moves
SELECT 9, pg_temp.id_of(12, m), 'FUND', 'milestone', pg_temp.id_of(13, m), null, 'USD', leg.*
FROM generate_series(4, 4 * {contracts} + 3) m, LATERAL (VALUES
    (1, 'FUNDS', pg_temp.id_of(20, m / 8), -10500), (2, 'ESCROW', pg_temp.id_of(14, m / 4), 10500)
) AS leg
WHERE m % 4 < 3;

INSERT INTO moves
SELECT 10, pg_temp.id_of(15, m), 'RELEASE', 'payment', pg_temp.id_of(16, m), null, 'USD', leg.*
FROM generate_series(4, 4 * {contracts} + 3) m, LATERAL (VALUES
    (1, 'ESCROW', pg_temp.id_of(14, m / 4), -10500), (2, 'PENDING', pg_temp.id_of(21, m / 8), 9000),
    (3, 'FEES', null, 1500)
) AS leg
WHERE m % 4 < 2;

-- For every second there is a bonus. What was released first is settled, and a part of it withdrawn.
INSERT INTO moves
SELECT 11, pg_temp.id_of(22, c), 'BONUS', 'payment', pg_temp.id_of(23, c), null, 'USD', leg.*
FROM generate_series(2, {contracts}, 2) c, LATERAL (VALUES
    (1, 'FUNDS', pg_temp.id_of(20, c / 2), -1050), (2, 'PENDING', pg_temp.id_of(21, c / 2), 900), (3, 'FEES', null, 150)
) AS leg;

INSERT INTO moves
SELECT 12, pg_temp.id_of(17, m), 'SETTLE', 'payment', pg_temp.id_of(16, m), null, 'USD', leg.*
FROM generate_series(4, 4 * {contracts} + 3) m, LATERAL (VALUES
    (1, 'PENDING', pg_temp.id_of(21, m / 8), -9000), (2, 'EARNINGS', pg_temp.id_of(21, m / 8), 9000)
) AS leg
WHERE m % 4 = 0 OR m % 8 = 1;

INSERT INTO moves
SELECT 13, pg_temp.id_of(18, c), 'WITHDRAWAL', 'transfer', pg_temp.id_of(19, c), null, 'USD', leg.*
FROM generate_series(2, {contracts}, 2) c,
    LATERAL (VALUES (1, 'EARNINGS', pg_temp.id_of(21, c / 2), -1000), (2, 'RAIL', null, 1000)) AS leg;
"""

LEDGER = """
ANALYZE moves;

CREATE TEMP TABLE purses AS
SELECT pg_temp.id_of(30, row_number() OVER ()) AS id, account, owner_id, currency, owner_id IS NULL AS hot,
    sum(amount)::bigint AS balance
FROM moves GROUP BY account, owner_id, currency;
ANALYZE purses;

INSERT INTO journals (id, kind, at, subject, subject_id, reverses, legs)
SELECT journal_id, kind, now() - interval '1 day', subject, subject_id, reverses, count(*) FROM moves
GROUP BY moment, journal_id, kind, subject, subject_id, reverses ORDER BY moment, journal_id;
ANALYZE journals;

INSERT INTO entries (journal_id, position, legs, account_id, amount, balance_after)
SELECT m.journal_id, m.position, j.legs, p.id, m.amount, CASE WHEN NOT p.hot THEN
    sum(m.amount) OVER (PARTITION BY p.id ORDER BY m.moment, m.journal_id, m.position)
END
FROM moves m JOIN journals j ON j.id = m.journal_id
JOIN purses p ON p.account = m.account AND p.currency = m.currency
    AND coalesce(p.owner_id, '{nobody}') = coalesce(m.owner_id, '{nobody}')
ORDER BY m.moment, m.journal_id, m.position;

-- The last thousand entries of hot accounts are not folded yet.
INSERT INTO unfolded_entries (account_id, journal_id, position, amount)
SELECT account_id, journal_id, position, amount FROM entries WHERE balance_after IS NULL
ORDER BY number DESC LIMIT 1000;

INSERT INTO ledger_accounts (id, kind, owner_id, currency, floor, hot, balance, held, opened_at)
SELECT p.id, p.account, p.owner_id, p.currency, CASE WHEN NOT p.hot THEN 0 END, p.hot,
    p.balance - coalesce((SELECT sum(u.amount) FROM unfolded_entries u WHERE u.account_id = p.id), 0), 0,
    now() - interval '1 day'
FROM purses p;
"""

MARKET = """
INSERT INTO lots (id, account_id, source, size, remaining, issued_at, expires_at, month, purse_id)
SELECT p.owner_id, pg_temp.id_of(21, n / 2), CASE WHEN n % 2 = 0 THEN 'REGISTRATION' ELSE 'GRANT' END,
    CASE WHEN n % 2 = 0 THEN 20 ELSE 10 END, p.balance, now() - interval '1 day', now() + interval '1 year',
    CASE WHEN n % 2 = 1 THEN date '2026-11-01' END, p.id
FROM generate_series(2, 2 * {freelancers} + 1) n
JOIN purses p ON p.account = 'LOT' AND p.owner_id = pg_temp.id_of(2, n);

INSERT INTO proposals (id, job_id, freelancer_id, cover_letter, duration, bid_cents, currency, connects_cost, state,
    shortlisted, archived, submitted_at, version)
SELECT pg_temp.id_of(4, p), pg_temp.id_of(40, p), pg_temp.id_of(21, p / 5), 'I have done this before.',
    'LESS_THAN_A_MONTH', 10000, 'USD', 4, 'PENDING', false, false, now(), 1
FROM generate_series(5, 5 * {freelancers} + 4) p;

INSERT INTO connects_movements (id, account_id, kind, amount, at, journal_id, lot_id, proposal_id)
SELECT m.journal_id, (array_agg(l.account_id))[1],
    CASE m.kind WHEN 'CONNECTS_ISSUE' THEN 'ISSUED' WHEN 'CONNECTS_SPEND' THEN 'SPENT' WHEN 'CONNECTS_RETURN'
        THEN 'RETURNED' ELSE 'EXPIRED' END,
    sum(m.amount), now(), m.journal_id, CASE m.subject WHEN 'lot' THEN m.subject_id END,
    CASE m.subject WHEN 'proposal' THEN m.subject_id END
FROM moves m JOIN lots l ON l.id = m.owner_id GROUP BY m.journal_id, m.kind, m.subject, m.subject_id;

INSERT INTO contracts (id, proposal_id, job_id, client_id, freelancer_id, title, description, budget_kind, bid_cents,
    currency, freelancer_fee_bps, client_fee_bps, state, started_at, version)
SELECT pg_temp.id_of(14, c), pg_temp.id_of(4, c), pg_temp.id_of(40, c), pg_temp.id_of(20, c / 2),
    pg_temp.id_of(21, c / 2), 'A shop', 'A shop.', 'FIXED', 40000, 'USD', 1000, 500, 'ACTIVE', now(), 1
FROM generate_series(1, {contracts}) c;

-- Of the fourth milestone of every contract nobody put anything aside, and for every second one payment is asked for.
INSERT INTO milestones (id, contract_id, position, description, amount_cents, gross_cents, currency, state,
    escrow_cents, started_at, submitted_at, review_ends_at, accepted_cents, accepted_at, paid_at, version)
SELECT pg_temp.id_of(13, m), pg_temp.id_of(14, m / 4), m % 4, 'A part', 10000, 10500, 'USD', state,
    CASE WHEN m % 4 = 2 THEN 10500 ELSE 0 END, started, started, null,
    CASE WHEN started < now() THEN 10000 END, started, CASE state WHEN 'PAID' THEN started END, 1
FROM generate_series(4, 4 * {contracts} + 3) m,
    LATERAL (SELECT CASE WHEN m % 4 < 2 THEN 'PAID' WHEN m % 8 = 3 THEN 'ACCEPTED' ELSE 'OPEN' END) AS a (state),
    LATERAL (SELECT CASE WHEN state <> 'OPEN' THEN now() - interval '1 hour' END) AS b (started);

INSERT INTO payment_requests (id, contract_id, milestone_id, client_id, freelancer_id, amount_cents, currency, state,
    made_at)
SELECT pg_temp.id_of(41, m), pg_temp.id_of(14, m / 4), pg_temp.id_of(13, m), pg_temp.id_of(20, m / 8),
    pg_temp.id_of(21, m / 8), 10000, 'USD', 'PENDING', now()
FROM generate_series(4, 4 * {contracts} + 3) m WHERE m % 8 = 3;

INSERT INTO payments (id, kind, contract_id, milestone_id, client_id, freelancer_id, amount_cents, client_fee_cents,
    freelancer_fee_cents, currency, journal_id, paid_at, available_at, settled_at)
SELECT pg_temp.id_of(16, m), 'MILESTONE', pg_temp.id_of(14, m / 4), pg_temp.id_of(13, m), pg_temp.id_of(20, m / 8),
    pg_temp.id_of(21, m / 8), 10000, 500, 1000, 'USD', pg_temp.id_of(15, m), now(), now(),
    CASE WHEN m % 4 = 0 OR m % 8 = 1 THEN now() END
FROM generate_series(4, 4 * {contracts} + 3) m WHERE m % 4 < 2
UNION ALL
SELECT pg_temp.id_of(23, c), 'BONUS', pg_temp.id_of(14, c), null, pg_temp.id_of(20, c / 2),
    pg_temp.id_of(21, c / 2), 1000, 50, 100, 'USD', pg_temp.id_of(22, c), now(), now(), null
FROM generate_series(2, {contracts}, 2) c;

INSERT INTO holds (id, account_id, amount, state, placed_at, resolved_at, journal_id)
SELECT pg_temp.id_of(31, c), p.id, 1000, 'POSTED', now(), now(), pg_temp.id_of(18, c)
FROM generate_series(2, {contracts}, 2) c
JOIN purses p ON p.account = 'EARNINGS' AND p.owner_id = pg_temp.id_of(21, c / 2);

INSERT INTO transfers (id, account_id, kind, purse, amount_cents, currency, method, state, attempts, requested_at,
    decided_at, hold_id, journal_id)
SELECT pg_temp.id_of(11, c), pg_temp.id_of(20, c / 2), 'DEPOSIT', 'FUNDS', 40000, 'USD', 'card', 'SUCCEEDED', 1, now(),
    now(), null, pg_temp.id_of(10, c)
FROM generate_series(1, {contracts}) c
UNION ALL
SELECT pg_temp.id_of(19, c), pg_temp.id_of(21, c / 2), 'WITHDRAWAL', 'EARNINGS', 1000, 'USD', 'bank', 'SUCCEEDED', 1,
    now(), now(), pg_temp.id_of(31, c), pg_temp.id_of(18, c)
FROM generate_series(2, {contracts}, 2) c;

ANALYZE;
"""


async def settle(url: str, entries: int) -> None:
    """Let so many entries be made, and all that they are about."""
    many: dict[str, object] = {
        "freelancers": round(entries * 0.4 / ENTRIES_A_FREELANCER),
        "contracts": round(entries * 0.6 / ENTRIES_A_CONTRACT),
        "nobody": UUID(int=0),
    }
    line = await asyncpg.connect(url.replace("+asyncpg", ""))
    for step in (FIRST, CONNECTS, MONEY, LEDGER, MARKET):
        for name, value in many.items():
            step = step.replace(f"{{{name}}}", str(value))  # noqa: PLW2901 - the same step, filled in
        await line.execute(step)
    await line.close()


async def measure(url: str, rounds: int) -> None:
    """Audit it all again and again, and print the median of the times, the best, and the CPU of it."""
    database = Database.at(url, connections=1)
    async with database.reading() as session:
        for name, audit in (("the ledger", loaders.ledger.audit), ("all of it", loaders.audit.audit)):
            report, times, spent = await audit(session), [], []
            for _ in range(rounds):
                began, busy = time.perf_counter(), busy_seconds()
                report = await audit(session)
                times.append(time.perf_counter() - began)
                spent.append(busy_seconds() - busy)
            assert report.wrong is None, report.wrong
            print(
                f"{name}: {report.entries:,} entries, {report.journals:,} journals, {report.accounts:,} accounts:"
                f" {statistics.median(times):.2f} s (best {min(times):.2f}), CPU {statistics.median(spent):.2f} s"
            )
    await database.close()
    began = time.perf_counter()
    right, said = await books.check(url)
    assert right, said
    print(f"check ledger: {time.perf_counter() - began:.2f} s with its connection. {said}")


def main() -> None:
    """Make the books, and audit them."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    root = Path(tempfile.mkdtemp(prefix="workup-benchmark-"))
    with local.start(root, durable=False) as servers:
        migrate.to_head(servers.database_url)
        began = time.perf_counter()
        asyncio.run(settle(servers.database_url, entries))
        print(f"made in {time.perf_counter() - began:.1f} s")
        asyncio.run(measure(servers.database_url, rounds))
    local.remove(root)


if __name__ == "__main__":
    main()
