"""Whether the ledger is right, and says the same as everything that refers to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from sqlalchemy import BigInteger, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

import loaders.ledger
from loaders.ledger import Report, Wrong
from loaders.work import in_our_words
from models.ledger import LedgerAccount, UnfoldedEntry

# Each says what does not agree: when it happened (the number of an entry, if there is one), what is wrong, with which
# account, in which journal, and what it should be and is. Amounts are credits, as in the ledger.
REFERENCES: dict[str, str] = {
    "payments and what was moved for them": """
        SELECT paid.number, 'payment ' || paid.id || ' moved something else ' || part.moved,
            (SELECT a.id FROM entries e JOIN ledger_accounts a ON a.id = e.account_id
                WHERE e.journal_id = paid.journal_id AND a.kind = ANY (part.kinds) ORDER BY e.position LIMIT 1),
            paid.journal_id, part.expected, part.found
        FROM (
            SELECT p.*, max(e.number) AS number, (j.subject = 'payment' AND j.subject_id = p.id)::int AS is_for_it,
                coalesce(sum(e.amount) FILTER (WHERE a.kind = 'PENDING' AND a.owner_id = p.freelancer_id), 0) AS earned,
                coalesce(sum(e.amount) FILTER (WHERE a.kind = 'FEES'), 0) AS fees,
                coalesce(sum(e.amount) FILTER (
                    WHERE a.kind = 'ESCROW' AND a.owner_id = p.contract_id
                        OR a.kind = 'FUNDS' AND a.owner_id = p.client_id
                ), 0) AS taken
            FROM payments p
            JOIN journals j ON j.id = p.journal_id
            JOIN entries e ON e.journal_id = p.journal_id
            JOIN ledger_accounts a ON a.id = e.account_id AND a.currency = p.currency
            GROUP BY p.id, j.id
        ) paid
        CROSS JOIN LATERAL (VALUES
            ('than it says, or for something else', '{PENDING}'::text[], 1::numeric, is_for_it::numeric),
            ('to who worked', '{PENDING}', amount_cents - freelancer_fee_cents, earned),
            ('to the house', '{FEES}', client_fee_cents + freelancer_fee_cents, fees),
            ('from who paid', '{ESCROW,FUNDS}', -amount_cents - client_fee_cents, taken)
        ) AS part (moved, kinds, expected, found)
        WHERE part.expected <> part.found AND (
            is_for_it <> 1 OR earned <> amount_cents - freelancer_fee_cents
            OR fees <> client_fee_cents + freelancer_fee_cents OR taken <> -amount_cents - client_fee_cents
        )
    """,
    "journals of payments that do not know of them": """
        SELECT (SELECT max(e.number) FROM entries e WHERE e.journal_id = j.id),
            'payment ' || j.subject_id || ' does not know of this', e.account_id, j.id, 0, e.amount
        FROM journals j
        LEFT JOIN payments p ON p.journal_id = j.id
        JOIN entries e ON e.journal_id = j.id AND e.position = 1
        WHERE j.subject = 'payment' AND j.kind <> 'SETTLE' AND p.id IS NULL
    """,
    "payments and what was settled of them": """
        SELECT settled.number, 'payment ' || coalesce(p.id, settled.id) || ' was settled with something else',
            settled.account_id, settled.journal_id, due.cents, coalesce(settled.cents, 0)
        FROM payments p
        FULL JOIN (
            SELECT j.subject_id AS id, (array_agg(j.id))[1] AS journal_id, max(e.number) AS number,
                sum(e.amount) AS cents, (array_agg(a.id))[1] AS account_id, (array_agg(a.owner_id))[1] AS owner_id
            FROM journals j
            JOIN entries e ON e.journal_id = j.id
            JOIN ledger_accounts a ON a.id = e.account_id AND a.kind = 'EARNINGS'
            WHERE j.kind = 'SETTLE'
            GROUP BY j.subject_id
        ) settled ON settled.id = p.id AND settled.owner_id = p.freelancer_id
        CROSS JOIN LATERAL (
            SELECT CASE WHEN p.settled_at IS NULL THEN 0 ELSE p.amount_cents - p.freelancer_fee_cents END AS cents
        ) due
        WHERE due.cents <> coalesce(settled.cents, 0)
    """,
    "what is pending and what was paid": """
        SELECT NULL::bigint,
            'what is pending of ' || coalesce(a.owner_id, due.freelancer_id) || ' is not what was paid and not settled',
            a.id, NULL::uuid, coalesce(due.cents, 0), coalesce(a.balance, 0)
        FROM (SELECT * FROM ledger_accounts WHERE kind = 'PENDING') a
        FULL JOIN (
            SELECT freelancer_id, currency, sum(amount_cents - freelancer_fee_cents) AS cents
            FROM payments WHERE settled_at IS NULL GROUP BY freelancer_id, currency
        ) due ON due.freelancer_id = a.owner_id AND due.currency = a.currency
        WHERE coalesce(due.cents, 0) <> coalesce(a.balance, 0)
    """,
    "escrow and what lies aside for milestones": """
        SELECT NULL::bigint,
            'what lies aside for contract ' || coalesce(a.owner_id, m.contract_id) || ' is not what its milestones say',
            a.id, NULL::uuid, coalesce(m.cents, 0), coalesce(a.balance, 0)
        FROM (SELECT * FROM ledger_accounts WHERE kind = 'ESCROW') a
        FULL JOIN (
            SELECT contract_id, currency, sum(escrow_cents) AS cents FROM milestones GROUP BY contract_id, currency
        ) m ON m.contract_id = a.owner_id AND m.currency = a.currency
        WHERE coalesce(m.cents, 0) <> coalesce(a.balance, 0)
    """,
    "milestones and what was paid for them": """
        SELECT NULL::bigint, 'milestone ' || m.id || ' is ' || m.state || ', and paid with something else',
            (SELECT a.id FROM ledger_accounts a
                WHERE paid.cents IS NULL AND (a.kind, a.owner_id, a.currency) = ('ESCROW', m.contract_id, m.currency)),
            paid.journal_id, due.cents, coalesce(paid.cents, 0)
        FROM milestones m
        LEFT JOIN (
            SELECT milestone_id, sum(amount_cents) AS cents, (array_agg(journal_id))[1] AS journal_id
            FROM payments WHERE milestone_id IS NOT NULL GROUP BY milestone_id
        ) paid ON paid.milestone_id = m.id
        CROSS JOIN LATERAL (SELECT CASE m.state WHEN 'PAID' THEN m.accepted_cents ELSE 0 END) AS due (cents)
        WHERE due.cents <> coalesce(paid.cents, 0)
    """,
    "payment requests and what was paid for them": """
        SELECT NULL::bigint, 'payment request ' || r.id || ' was paid with something else', NULL::uuid, p.journal_id,
            r.amount_cents, coalesce(p.amount_cents, 0)
        FROM payment_requests r LEFT JOIN payments p ON p.id = r.payment_id
        WHERE r.state = 'PAID' AND (p.milestone_id, p.amount_cents, p.currency)
            IS DISTINCT FROM (r.milestone_id, r.amount_cents, r.currency)
    """,
    "milestones that are owed and the requests to pay for them": """
        SELECT NULL::bigint,
            'milestone ' || coalesce(m.id, r.milestone_id) || ' is owed something else than its payment request says',
            (SELECT a.id FROM ledger_accounts a WHERE (a.kind, a.owner_id, a.currency)
                = ('ESCROW', coalesce(m.contract_id, r.contract_id), coalesce(m.currency, r.currency))),
            NULL::uuid, coalesce(m.accepted_cents, 0), coalesce(r.amount_cents, 0)
        FROM (SELECT * FROM milestones WHERE state = 'ACCEPTED' AND waived_at IS NULL) m
        FULL JOIN (SELECT * FROM payment_requests WHERE state = 'PENDING') r ON r.milestone_id = m.id
        WHERE coalesce(m.accepted_cents, 0) <> coalesce(r.amount_cents, 0)
    """,
    "whom money is between and the contract that it is for": """
        SELECT NULL::bigint, due.noun || ' ' || due.id || ' is not between the parties of its contract', NULL::uuid,
            due.journal_id, 1, 0
        FROM (
            SELECT 'payment' AS noun, id, contract_id, milestone_id, client_id, freelancer_id, currency, journal_id
            FROM payments
            UNION ALL
            SELECT 'payment request', id, contract_id, milestone_id, client_id, freelancer_id, currency, NULL
            FROM payment_requests
        ) due
        LEFT JOIN contracts c ON c.id = due.contract_id
        LEFT JOIN milestones m ON m.id = due.milestone_id
        WHERE (c.client_id, c.freelancer_id, c.currency)
                IS DISTINCT FROM (due.client_id, due.freelancer_id, due.currency)
            OR due.milestone_id IS NOT NULL AND m.contract_id IS DISTINCT FROM due.contract_id
    """,
    "transfers and what was moved for them": """
        SELECT e.number, 'transfer ' || t.id || ' moved something else than it says', a.id, t.journal_id,
            moved.cents, coalesce(e.amount, 0)
        FROM transfers t
        JOIN journals j ON j.id = t.journal_id
        LEFT JOIN ledger_accounts a ON a.kind = t.purse AND a.owner_id = t.account_id AND a.currency = t.currency
        LEFT JOIN entries e ON e.journal_id = t.journal_id AND e.account_id = a.id
        CROSS JOIN LATERAL (
            SELECT CASE t.kind WHEN 'DEPOSIT' THEN t.amount_cents ELSE -t.amount_cents END
        ) AS moved (cents)
        WHERE e.amount IS DISTINCT FROM moved.cents
            OR (j.kind, j.subject, j.subject_id) IS DISTINCT FROM (t.kind, 'transfer', t.id)
    """,
    "journals of transfers that do not know of them": """
        SELECT e.number, 'transfer ' || j.subject_id || ' does not know of this', e.account_id, j.id, 0, e.amount
        FROM journals j
        LEFT JOIN transfers t ON t.journal_id = j.id
        JOIN entries e ON e.journal_id = j.id AND e.position = 1
        WHERE j.subject = 'transfer' AND t.id IS NULL
    """,
    "withdrawals and what is held for them": """
        SELECT NULL::bigint,
            CASE
                WHEN t.id IS NULL THEN 'hold ' || h.id || ' is for nothing'
                ELSE 'transfer ' || t.id || ' is ' || t.state || ', and its hold is ' || h.state
            END,
            h.account_id, h.journal_id, coalesce(t.amount_cents, 0), h.amount
        FROM holds h
        LEFT JOIN transfers t ON t.hold_id = h.id
        JOIN ledger_accounts a ON a.id = h.account_id
        WHERE CASE
            WHEN t.id IS NULL THEN h.state = 'HELD' AND h.expires_at IS NULL
            ELSE (h.amount, a.kind, a.owner_id, h.state, h.journal_id) IS DISTINCT FROM (
                t.amount_cents, t.purse, t.account_id,
                CASE t.state WHEN 'SUCCEEDED' THEN 'POSTED' WHEN 'FAILED' THEN 'VOIDED' ELSE 'HELD' END, t.journal_id
            )
        END
    """,
    "lots and what is left of them": """
        SELECT NULL::bigint,
            CASE
                WHEN l.id IS NULL THEN 'there is no lot ' || a.owner_id || ' that has this account'
                WHEN a.id IS NULL OR a.owner_id <> l.id OR a.currency <> 'CNX'
                    THEN 'lot ' || l.id || ' has the account of something else'
                WHEN l.size <> coalesce(filled.size, 0) THEN 'lot ' || l.id || ' was not filled with its size'
                ELSE 'lot ' || l.id || ' says other than what is left of it'
            END,
            coalesce(a.id, l.purse_id), NULL::uuid,
            CASE WHEN l.size <> coalesce(filled.size, 0) THEN l.size ELSE coalesce(a.balance, 0) END,
            CASE WHEN l.size <> coalesce(filled.size, 0) THEN coalesce(filled.size, 0) ELSE coalesce(l.remaining, 0) END
        FROM lots l
        FULL JOIN (SELECT * FROM ledger_accounts WHERE kind = 'LOT') a ON a.id = l.purse_id
        LEFT JOIN (
            SELECT lot_id, sum(amount) AS size FROM connects_movements WHERE kind = 'ISSUED' GROUP BY lot_id
        ) filled ON filled.lot_id = l.id
        WHERE (a.owner_id, a.currency, a.balance, filled.size) IS DISTINCT FROM (l.id, 'CNX', l.remaining, l.size)
    """,
    "movements of Connects and their journals": """
        SELECT moved.number,
            CASE
                WHEN m.id IS NULL THEN 'nobody was told that her lots were moved'
                ELSE 'movement ' || m.id || ' is not what its journal did'
            END,
            moved.purse_id, coalesce(moved.journal_id, m.journal_id), coalesce(moved.amount, 0), coalesce(m.amount, 0)
        FROM (
            SELECT e.journal_id, l.account_id, max(e.number) AS number, sum(e.amount) AS amount,
                (array_agg(l.purse_id))[1] AS purse_id, CASE count(*) WHEN 1 THEN (array_agg(l.id))[1] END AS lot_id
            FROM lots l JOIN entries e ON e.account_id = l.purse_id
            GROUP BY e.journal_id, l.account_id
        ) moved
        FULL JOIN connects_movements m ON m.journal_id = moved.journal_id
        LEFT JOIN journals j ON j.id = m.journal_id
        WHERE (m.account_id, m.amount) IS DISTINCT FROM (moved.account_id, moved.amount)
            OR (j.kind, j.subject_id) IS DISTINCT FROM (
                CASE m.kind
                    WHEN 'ISSUED' THEN 'CONNECTS_ISSUE' WHEN 'SPENT' THEN 'CONNECTS_SPEND'
                    WHEN 'RETURNED' THEN 'CONNECTS_RETURN' ELSE 'CONNECTS_EXPIRE'
                END, coalesce(m.lot_id, m.proposal_id)
            )
            OR m.lot_id IS NOT NULL AND m.lot_id IS DISTINCT FROM moved.lot_id
    """,
    "journals of Connects that nobody knows of": """
        SELECT (SELECT max(e.number) FROM entries e WHERE e.journal_id = j.id), 'nobody was told of these Connects',
            e.account_id, j.id, 0, e.amount
        FROM journals j
        LEFT JOIN connects_movements m ON m.journal_id = j.id
        JOIN entries e ON e.journal_id = j.id AND e.position = 1
        WHERE j.kind IN ('CONNECTS_ISSUE', 'CONNECTS_SPEND', 'CONNECTS_RETURN', 'CONNECTS_EXPIRE') AND m.id IS NULL
    """,
    "lots that were sold and what was paid for them": """
        SELECT sold.number,
            CASE
                WHEN l.id IS NULL THEN 'lot ' || sold.lot_id || ' was paid for, and is no bundle'
                ELSE 'lot ' || l.id || ' was not paid for by its owner, or not once'
            END,
            coalesce(sold.account_id, l.purse_id), sold.journal_id, (l.id IS NOT NULL)::int, coalesce(sold.times, 0)
        FROM (SELECT * FROM lots WHERE source = 'BUNDLE') l
        FULL JOIN (
            SELECT j.subject_id AS lot_id, a.owner_id, count(*) AS times, max(e.number) AS number,
                (array_agg(j.id ORDER BY e.number DESC))[1] AS journal_id,
                (array_agg(a.id ORDER BY e.number DESC))[1] AS account_id
            FROM journals j
            JOIN entries e ON e.journal_id = j.id
            JOIN ledger_accounts a ON a.id = e.account_id AND a.kind = 'FUNDS'
            WHERE j.kind = 'CONNECTS_SALE'
            GROUP BY j.subject_id, a.owner_id
        ) sold ON sold.lot_id = l.id
        WHERE (l.account_id, 1) IS DISTINCT FROM (sold.owner_id, sold.times)
    """,
    "proposals and what was paid for them": """
        SELECT NULL::bigint, 'proposal ' || coalesce(p.id, s.proposal_id) || ' was not paid for as it costs',
            NULL::uuid, s.journal_id, -coalesce(p.connects_cost, 0), coalesce(s.amount, 0)
        FROM proposals p
        FULL JOIN (SELECT * FROM connects_movements WHERE kind = 'SPENT') s ON s.proposal_id = p.id
        WHERE p.connects_cost <> coalesce(-s.amount, 0) OR p.freelancer_id <> s.account_id
    """,
    "proposals and what was returned of them": """
        SELECT NULL::bigint, 'proposal ' || p.id || ' got back something else than it cost', NULL::uuid,
            r.journal_id, p.connects_cost, r.amount
        FROM connects_movements r
        JOIN proposals p ON p.id = r.proposal_id
        JOIN journals j ON j.id = r.journal_id
        LEFT JOIN connects_movements s ON s.proposal_id = p.id AND s.kind = 'SPENT'
        WHERE r.kind = 'RETURNED'
            AND (r.amount, r.account_id, j.reverses) IS DISTINCT FROM (p.connects_cost, p.freelancer_id, s.journal_id)
    """,
}
"""What has to agree with the ledger, and the question that finds what does not."""


def _first_wrong() -> str:
    # What is wrong with a payment shows in several of its entries: whom it went to is named before whom it came from.
    found = " UNION ALL ".join(
        f"SELECT {rank}, w.* FROM ({question}) AS w (number, problem, account_id, journal_id, expected, found)"  # noqa: S608 - ours
        for rank, question in enumerate(REFERENCES.values())
    )
    return f"""
        SELECT first.problem, coalesce(first.account_id, e.account_id), a.kind, a.owner_id, first.journal_id,
            e.position, first.expected::bigint, first.found::bigint
        FROM ({found}) AS first (rank, number, problem, account_id, journal_id, expected, found)
        LEFT JOIN LATERAL (
            SELECT e.account_id, e.position FROM entries e
            WHERE e.journal_id = first.journal_id AND (e.account_id = first.account_id OR first.account_id IS NULL)
            ORDER BY e.position LIMIT 1
        ) e ON true
        LEFT JOIN ledger_accounts a ON a.id = coalesce(first.account_id, e.account_id)
        ORDER BY first.number, first.rank, array_position(ARRAY['PENDING', 'FEES'], a.kind), first.account_id,
            first.journal_id
        LIMIT 1
    """  # noqa: S608 - ours


async def audit(session: AsyncSession) -> Report:
    """Recompute the ledger from its entries; then look whether all that refers to it says the same.

    These are two questions, each about one moment, whoever posts meanwhile.
    """
    report = await loaders.ledger.audit(session)
    if report.wrong is not None:
        return report
    with in_our_words():
        row = (await session.execute(text(_first_wrong()))).one_or_none()
    return report if row is None else replace(report, wrong=Wrong(*row))


@dataclass(frozen=True, slots=True)
class KindTotal:
    """What all accounts of a kind and a currency have together."""

    currency: str
    kind: str
    accounts: int
    balance: int
    held: int


@dataclass(frozen=True, slots=True)
class Total:
    """What there is of a currency: nothing at all together, wherever it is."""

    currency: str
    kinds: Sequence[KindTotal]

    @property
    def balance(self) -> int:
        """All balances together."""
        return sum(kind.balance for kind in self.kinds)


_UNFOLDED = (
    select(UnfoldedEntry.account_id, func.sum(UnfoldedEntry.amount).label("amount"))
    .group_by(UnfoldedEntry.account_id)
    .subquery()
)
_TOTALS = (
    select(
        LedgerAccount.currency,
        LedgerAccount.kind,
        func.count(),
        func.sum(LedgerAccount.balance + func.coalesce(_UNFOLDED.c.amount, 0)).cast(BigInteger),
        func.sum(LedgerAccount.held).cast(BigInteger),
    )
    .outerjoin(_UNFOLDED, _UNFOLDED.c.account_id == LedgerAccount.id)
    .group_by(LedgerAccount.currency, LedgerAccount.kind)
    .order_by(LedgerAccount.currency, LedgerAccount.kind)
)


async def totals(session: AsyncSession) -> Sequence[Total]:
    """What the accounts of each kind have, by currency, all at the same moment."""
    with in_our_words():
        found = [KindTotal(*row) for row in await session.execute(_TOTALS)]
    return [Total(currency, list(kinds)) for currency, kinds in groupby(found, lambda one: one.currency)]
