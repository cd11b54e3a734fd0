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
        SELECT moved.number, 'payment ' || p.id || ' moved something else ' || part.moved,
            (SELECT a.id FROM entries e JOIN ledger_accounts a ON a.id = e.account_id
                WHERE e.journal_id = p.journal_id AND a.kind = ANY (part.kinds) ORDER BY e.position LIMIT 1),
            p.journal_id, part.expected, part.found
        FROM (
            SELECT e.journal_id, max(e.number) AS number,
                coalesce(sum(e.amount) FILTER (WHERE a.kind = 'PENDING' AND a.owner_id = p.freelancer_id), 0) AS earned,
                coalesce(sum(e.amount) FILTER (WHERE a.kind = 'FEES'), 0) AS fees,
                coalesce(sum(e.amount) FILTER (
                    WHERE a.kind = 'ESCROW' AND a.owner_id = p.contract_id
                        OR a.kind = 'FUNDS' AND a.owner_id = p.client_id
                ), 0) AS taken
            FROM payments p
            JOIN entries e ON e.journal_id = p.journal_id
            JOIN ledger_accounts a ON a.id = e.account_id AND a.currency = p.currency
            GROUP BY e.journal_id
        ) moved
        JOIN payments p ON p.journal_id = moved.journal_id
        JOIN journals j ON j.id = p.journal_id
        CROSS JOIN LATERAL (VALUES
            ('than it says, or for something else', '{PENDING}'::text[],
                1, (j.subject = 'payment' AND j.subject_id = p.id)::int::numeric),
            ('to who worked', '{PENDING}', p.amount_cents - p.freelancer_fee_cents, moved.earned),
            ('to the house', '{FEES}', p.client_fee_cents + p.freelancer_fee_cents, moved.fees),
            ('from who paid', '{ESCROW,FUNDS}', -p.amount_cents - p.client_fee_cents, moved.taken)
        ) AS part (moved, kinds, expected, found)
        WHERE part.expected <> part.found
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
        SELECT NULL::bigint, 'milestone ' || m.id || ' is ' || m.state || ', and paid with something else', NULL::uuid,
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
            r.amount_cents, p.amount_cents
        FROM payment_requests r JOIN payments p ON p.id = r.payment_id
        WHERE r.state = 'PAID' AND (p.milestone_id, p.amount_cents, p.client_id, p.freelancer_id)
            IS DISTINCT FROM (r.milestone_id, r.amount_cents, r.client_id, r.freelancer_id)
    """,
    "milestones that are owed and the requests to pay for them": """
        SELECT NULL::bigint,
            'milestone ' || coalesce(m.id, r.milestone_id) || ' is owed something else than its payment request says',
            NULL::uuid, NULL::uuid, coalesce(m.owed, 0), coalesce(r.amount_cents, 0)
        FROM (
            SELECT id, accepted_cents AS owed FROM milestones WHERE state = 'ACCEPTED' AND waived_at IS NULL
        ) m
        FULL JOIN (SELECT * FROM payment_requests WHERE state = 'PENDING') r ON r.milestone_id = m.id
        WHERE coalesce(m.owed, 0) <> coalesce(r.amount_cents, 0)
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
                WHEN NOT lot.is_its_own THEN 'lot ' || lot.id || ' has the account of something else'
                WHEN lot.size <> lot.issued THEN 'lot ' || lot.id || ' was not filled with its size'
                ELSE 'lot ' || lot.id || ' says other than what is left of it'
            END,
            lot.purse_id, NULL::uuid, CASE WHEN lot.size <> lot.issued THEN lot.size ELSE lot.balance END,
            CASE WHEN lot.size <> lot.issued THEN lot.issued ELSE lot.remaining END
        FROM (
            SELECT l.id, l.size, l.remaining, l.purse_id, a.balance,
                (a.kind, a.owner_id, a.currency) = ('LOT', l.id, 'CNX') AS is_its_own,
                coalesce(sum(e.amount) FILTER (WHERE j.kind = 'CONNECTS_ISSUE'), 0) AS issued
            FROM lots l
            JOIN ledger_accounts a ON a.id = l.purse_id
            LEFT JOIN entries e ON e.account_id = l.purse_id
            LEFT JOIN journals j ON j.id = e.journal_id
            GROUP BY l.id, a.id
        ) lot
        WHERE NOT lot.is_its_own OR lot.size <> lot.issued OR lot.balance <> lot.remaining
    """,
    "movements of Connects and their journals": """
        SELECT moved.number,
            CASE
                WHEN m.id IS NULL THEN 'nobody was told that her lots were moved'
                ELSE 'movement ' || m.id || ' is not what its journal did'
            END,
            moved.purse_id, coalesce(moved.journal_id, m.journal_id), coalesce(moved.amount, 0), coalesce(m.amount, 0)
        FROM (
            SELECT e.journal_id, max(e.number) AS number, (array_agg(e.account_id ORDER BY e.position))[1] AS purse_id,
                sum(e.amount) AS amount, count(DISTINCT l.account_id) AS owners,
                (array_agg(l.account_id))[1] AS owner_id
            FROM lots l JOIN entries e ON e.account_id = l.purse_id
            GROUP BY e.journal_id
        ) moved
        FULL JOIN connects_movements m ON m.journal_id = moved.journal_id
        LEFT JOIN journals j ON j.id = m.journal_id
        WHERE moved.owners IS DISTINCT FROM 1
            OR (m.account_id, m.amount) IS DISTINCT FROM (moved.owner_id, moved.amount)
            OR coalesce(m.lot_id, m.proposal_id) IS DISTINCT FROM j.subject_id
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
        SELECT first.problem, first.account_id, a.kind, a.owner_id, first.journal_id, e.position,
            first.expected::bigint, first.found::bigint
        FROM ({found}) AS first (rank, number, problem, account_id, journal_id, expected, found)
        LEFT JOIN ledger_accounts a ON a.id = first.account_id
        LEFT JOIN LATERAL (
            SELECT min(position) AS position FROM entries e
            WHERE e.journal_id = first.journal_id AND e.account_id = first.account_id
        ) e ON true
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
