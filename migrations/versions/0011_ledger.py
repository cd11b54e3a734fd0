"""Accounts, journals, holds, and the only ways to write them."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = "ledger_accounts, journals, entries, unfolded_entries, holds"

# Plans are kept by each connection, some of them from a time when these tables were empty: every function here looks
# for its rows through indexes, whatever the table was like when it was planned, and does not plan again for each call.

# What is checked when a transaction commits: by then a journal has all the entries it will ever have.
WEIGH = """
CREATE FUNCTION ledger_weigh() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    found record;
BEGIN
    SELECT count(*) AS legs, sum(e.amount) AS total, min(a.currency) <> max(a.currency) AS mixed INTO found
    FROM entries e JOIN ledger_accounts a ON a.id = e.account_id
    WHERE e.journal_id = new.id;
    IF found.legs <> new.legs OR found.total <> 0 OR found.mixed THEN
        RAISE EXCEPTION 'journal % has % of % legs in known accounts, which sum to %, mixed: %',
            new.id, found.legs, new.legs, found.total, found.mixed
            USING ERRCODE = 'check_violation', TABLE = 'journals', CONSTRAINT = 'journals_balance';
    END IF;
    IF new.reverses IS NOT NULL AND EXISTS (
        SELECT FROM entries e WHERE e.journal_id IN (new.id, new.reverses)
        GROUP BY e.account_id HAVING sum(e.amount) <> 0
    ) THEN
        RAISE EXCEPTION 'journal % is not the opposite of journal %', new.id, new.reverses
            USING ERRCODE = 'check_violation', TABLE = 'journals', CONSTRAINT = 'journals_reverse_whole';
    END IF;
    RETURN NULL;
END
$$
"""
WEIGHING = """
CREATE CONSTRAINT TRIGGER journals_balance AFTER INSERT ON journals
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_weigh()
"""

KEEP = """
CREATE FUNCTION ledger_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what is in % stays as it is: % refused', tg_table_name, tg_op
        USING ERRCODE = 'restrict_violation', TABLE = tg_table_name, CONSTRAINT = 'ledger_is_immutable';
END
$$
"""
KEEPING = (
    "CREATE TRIGGER journals_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON journals EXECUTE FUNCTION ledger_keep()",
    "CREATE TRIGGER entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON entries EXECUTE FUNCTION ledger_keep()",
    "CREATE TRIGGER accounts_stay BEFORE DELETE OR TRUNCATE ON ledger_accounts EXECUTE FUNCTION ledger_keep()",
    "CREATE TRIGGER holds_stay BEFORE DELETE OR TRUNCATE ON holds EXECUTE FUNCTION ledger_keep()",
    """
    CREATE TRIGGER holds_resolve_once BEFORE UPDATE ON holds FOR EACH ROW
    WHEN (old.state <> 'HELD' OR (old.id, old.account_id, old.amount) <> (new.id, new.account_id, new.amount))
    EXECUTE FUNCTION ledger_keep()
    """,
    """
    CREATE TRIGGER accounts_stay_whose_they_are BEFORE UPDATE ON ledger_accounts FOR EACH ROW
    WHEN ((old.id, old.kind, old.owner_id, old.currency, old.hot)
        IS DISTINCT FROM (new.id, new.kind, new.owner_id, new.currency, new.hot))
    EXECUTE FUNCTION ledger_keep()
    """,
)

# Two that open the same accounts at once make them in the same order, so that they never wait for each other in turn.
OPEN = """
CREATE FUNCTION ledger_open(
    ids uuid[], kinds text[], owner_ids uuid[], currencies text[], floors bigint[], hots boolean[], moment timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    INSERT INTO ledger_accounts (id, kind, owner_id, currency, floor, hot, balance, held, opened_at)
    SELECT g.id, g.kind, g.owner_id, g.currency, g.floor, g.hot, 0, 0, moment
    FROM unnest(ids, kinds, owner_ids, currencies, floors, hots) AS g(id, kind, owner_id, currency, floor, hot)
    ORDER BY g.kind, g.owner_id, g.currency
    ON CONFLICT (kind, owner_id, currency) DO NOTHING
$$
"""

LOCK = """
CREATE FUNCTION ledger_lock(ids uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM FROM ledger_accounts a WHERE a.id = ANY (ids) AND NOT a.hot ORDER BY a.id FOR NO KEY UPDATE;
END
$$
"""

# The first statement waits for whoever has these accounts, so that the next ones see what they left behind.
# An account's row is touched once, however many entries it gets: its floor is a matter of all of them together.
# Each entry's balance is the new one, less what comes after it. A hot account's row is neither locked nor touched.
POST = """
CREATE FUNCTION ledger_post(
    journal_ids uuid[], kinds text[], moments timestamptz[], subjects text[], subject_ids uuid[], reversed_ids uuid[],
    leg_counts smallint[], hold_ids uuid[],
    entry_journal_ids uuid[], positions smallint[], entry_legs smallint[], account_ids uuid[], amounts bigint[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM FROM ledger_accounts a WHERE a.id = ANY (account_ids) AND NOT a.hot ORDER BY a.id FOR NO KEY UPDATE;

    INSERT INTO journals (id, kind, at, subject, subject_id, reverses, legs)
    SELECT * FROM unnest(journal_ids, kinds, moments, subjects, subject_ids, reversed_ids, leg_counts);

    IF cardinality(hold_ids) > 0 THEN
        PERFORM ledger_post_holds(journal_ids, moments, hold_ids, entry_journal_ids, account_ids, amounts);
    END IF;

    UPDATE ledger_accounts a SET balance = a.balance + moved.amount
    FROM (
        SELECT g.account_id, sum(g.amount)::bigint AS amount
        FROM unnest(account_ids, amounts) AS g(account_id, amount) GROUP BY g.account_id
    ) AS moved
    WHERE a.id = moved.account_id AND NOT a.hot;

    WITH written AS (
        INSERT INTO entries (journal_id, position, legs, account_id, amount, balance_after)
        SELECT g.journal_id, g.position, g.legs, g.account_id, g.amount, a.balance - coalesce(
            sum(g.amount) OVER later, 0
        )
        FROM unnest(entry_journal_ids, positions, entry_legs, account_ids, amounts)
            WITH ORDINALITY AS g(journal_id, position, legs, account_id, amount, place)
        LEFT JOIN ledger_accounts a ON a.id = g.account_id AND NOT a.hot
        WINDOW later AS (
            PARTITION BY g.account_id ORDER BY g.place ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
        )
        ORDER BY g.place
        RETURNING account_id, journal_id, position, amount, balance_after
    )
    INSERT INTO unfolded_entries (account_id, journal_id, position, amount)
    SELECT w.account_id, w.journal_id, w.position, w.amount FROM written w WHERE w.balance_after IS NULL;
END
$$
"""
POST_HOLDS = """
CREATE FUNCTION ledger_post_holds(
    journal_ids uuid[], moments timestamptz[], hold_ids uuid[],
    entry_journal_ids uuid[], account_ids uuid[], amounts bigint[]
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    hold record;
    debit numeric;
BEGIN
    FOR hold IN
        SELECT h.*, g.journal_id AS posted_by, g.moment
        FROM unnest(journal_ids, moments, hold_ids) AS g(journal_id, moment, hold_id) JOIN holds h ON h.id = g.hold_id
        ORDER BY h.id
    LOOP
        SELECT -sum(g.amount) INTO debit
        FROM unnest(entry_journal_ids, account_ids, amounts) AS g(journal_id, account_id, amount)
        WHERE g.journal_id = hold.posted_by AND g.account_id = hold.account_id;
        IF debit IS NULL OR debit NOT BETWEEN 1 AND hold.amount THEN
            RAISE EXCEPTION 'hold % of % is posted with %', hold.id, hold.amount, debit
                USING ERRCODE = 'check_violation', TABLE = 'holds', CONSTRAINT = 'holds_not_exceeded';
        END IF;
        UPDATE holds h SET state = 'POSTED', resolved_at = hold.moment, journal_id = hold.posted_by
        WHERE h.id = hold.id AND h.state = 'HELD' AND (h.expires_at IS NULL OR h.expires_at > hold.moment);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'hold % is resolved, or over', hold.id
                USING ERRCODE = 'check_violation', TABLE = 'holds', CONSTRAINT = 'holds_resolved_once';
        END IF;
        UPDATE ledger_accounts a SET held = a.held - hold.amount WHERE a.id = hold.account_id;
    END LOOP;
END
$$
"""

HOLD = """
CREATE FUNCTION ledger_hold(
    hold_id uuid, of_account_id uuid, held_amount bigint, placed timestamptz, expires timestamptz
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    UPDATE ledger_accounts a SET held = a.held + held_amount WHERE a.id = of_account_id;
    INSERT INTO holds (id, account_id, amount, state, placed_at, expires_at)
    VALUES (hold_id, of_account_id, held_amount, 'HELD', placed, expires);
END
$$
"""
# Holds are touched by those alone who have their accounts, so whoever comes second finds them resolved.
FREE = """
CREATE FUNCTION ledger_free(hold_ids uuid[], outcome text, moment timestamptz) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM FROM ledger_accounts a WHERE a.id IN (SELECT h.account_id FROM holds h WHERE h.id = ANY (hold_ids))
    ORDER BY a.id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH freed AS (
        UPDATE holds h SET state = outcome, resolved_at = moment
        WHERE h.id = ANY (hold_ids) AND h.state = 'HELD' AND (outcome <> 'EXPIRED' OR h.expires_at <= moment)
        RETURNING h.id, h.account_id, h.amount
    ), given_back AS (
        UPDATE ledger_accounts a SET held = a.held - of_account.amount
        FROM (SELECT f.account_id, sum(f.amount)::bigint AS amount FROM freed f GROUP BY f.account_id) AS of_account
        WHERE a.id = of_account.account_id
    )
    SELECT f.id FROM freed f;
END
$$
"""

# One folds an account at a time; those who come meanwhile have nothing to wait for. What is deleted here is added
# there in the same statement, so that nobody ever sees an entry twice or not at all.
FOLD = """
CREATE FUNCTION ledger_fold(most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    account uuid;
    folded bigint := 0;
    added bigint;
BEGIN
    FOR account IN
        SELECT a.id FROM ledger_accounts a
        WHERE a.hot AND EXISTS (SELECT FROM unfolded_entries u WHERE u.account_id = a.id)
        ORDER BY a.id FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        WITH gone AS (
            DELETE FROM unfolded_entries u USING (
                SELECT w.journal_id, w.position FROM unfolded_entries w WHERE w.account_id = account LIMIT most
            ) AS next
            WHERE u.account_id = account AND u.journal_id = next.journal_id AND u.position = next.position
            RETURNING u.amount
        ), kept AS (
            UPDATE ledger_accounts a SET balance = a.balance + (SELECT coalesce(sum(g.amount), 0) FROM gone g)
            WHERE a.id = account
        )
        SELECT count(*) INTO added FROM gone;
        folded := folded + added;
    END LOOP;
    RETURN folded;
END
$$
"""

FUNCTIONS = {
    "ledger_open(uuid[], text[], uuid[], text[], bigint[], boolean[], timestamptz)": OPEN,
    "ledger_lock(uuid[])": LOCK,
    "ledger_post(uuid[], text[], timestamptz[], text[], uuid[], uuid[], smallint[], uuid[], "
    "uuid[], smallint[], smallint[], uuid[], bigint[])": POST,
    "ledger_hold(uuid, uuid, bigint, timestamptz, timestamptz)": HOLD,
    "ledger_free(uuid[], text, timestamptz)": FREE,
    "ledger_fold(bigint)": FOLD,
}
"""What the application may call."""

OWN = {
    "ledger_weigh()": WEIGH,
    "ledger_keep()": KEEP,
    "ledger_post_holds(uuid[], timestamptz[], uuid[], uuid[], uuid[], bigint[])": POST_HOLDS,
}
"""What the database calls itself."""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    create_tables()
    op.execute(f"REVOKE INSERT, UPDATE, DELETE ON {TABLES} FROM workup_app")
    op.execute("REVOKE USAGE ON SEQUENCE entries_number_seq FROM workup_app")
    # Rows come and go here all day; it is to stay small.
    op.execute("ALTER TABLE unfolded_entries SET (autovacuum_vacuum_scale_factor = 0.05)")
    for name, body in (OWN | FUNCTIONS).items():
        op.execute(body)
        op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    for name in FUNCTIONS:
        op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO workup_app")
    for trigger in (WEIGHING, *KEEPING):
        op.execute(trigger)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    for table in ("holds", "unfolded_entries", "entries", "journals", "ledger_accounts"):
        op.drop_table(table)
    for name in OWN:
        op.execute(f"DROP FUNCTION {name}")


def create_tables() -> None:
    op.create_table(
        "journals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("reverses", sa.Uuid(), nullable=True),
        sa.Column("legs", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("legs between 2 and 1000", name=op.f("ck_journals_two_legs")),
        sa.ForeignKeyConstraint(["reverses"], ["journals.id"], name=op.f("fk_journals_reverses_journals")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journals")),
        sa.UniqueConstraint("id", "legs", name=op.f("uq_journals_id_legs")),
        sa.UniqueConstraint("reverses", name=op.f("uq_journals_reverses")),
    )
    op.create_index("ix_journals_subject_id", "journals", ["subject_id"], unique=False)
    op.create_table(
        "ledger_accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=True),
        sa.Column("hot", sa.Boolean(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("balance - held >= floor", name=op.f("ck_ledger_accounts_within_floor")),
        sa.CheckConstraint("held >= 0", name=op.f("ck_ledger_accounts_held_not_negative")),
        sa.CheckConstraint(
            "not hot or (floor is null and held = 0)", name=op.f("ck_ledger_accounts_hot_without_floor")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_accounts")),
        sa.UniqueConstraint(
            "kind",
            "owner_id",
            "currency",
            name=op.f("uq_ledger_accounts_kind_owner_id_currency"),
            postgresql_nulls_not_distinct=True,
        ),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "unfolded_entries",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("journal_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "journal_id", "position", name=op.f("pk_unfolded_entries")),
    )
    op.create_table(
        "entries",
        sa.Column("journal_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("legs", sa.SmallInteger(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_entries_amount_moves")),
        sa.CheckConstraint("position between 1 and legs", name=op.f("ck_entries_position_within_legs")),
        sa.ForeignKeyConstraint(
            ["journal_id", "legs"], ["journals.id", "journals.legs"], name=op.f("fk_entries_journal_id_legs_journals")
        ),
        sa.PrimaryKeyConstraint("journal_id", "position", name=op.f("pk_entries")),
    )
    op.create_index("ix_entries_account_id_number", "entries", ["account_id", "number"], unique=False)
    op.create_table(
        "holds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "HELD",
                "POSTED",
                "VOIDED",
                "EXPIRED",
                name="holdstate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("journal_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("(state = 'HELD') = (resolved_at is null)", name=op.f("ck_holds_resolved_at_some_time")),
        sa.CheckConstraint("(state = 'POSTED') = (journal_id is not null)", name=op.f("ck_holds_posted_by_a_journal")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_holds_amount_positive")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["ledger_accounts.id"], name=op.f("fk_holds_account_id_ledger_accounts")
        ),
        sa.ForeignKeyConstraint(["journal_id"], ["journals.id"], name=op.f("fk_holds_journal_id_journals")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
        sa.UniqueConstraint("journal_id", name=op.f("uq_holds_journal_id")),
    )
    op.create_index("ix_holds_account_id", "holds", ["account_id", "id"], unique=False)
    op.create_index(
        "ix_holds_expires_at", "holds", ["expires_at"], unique=False, postgresql_where=sa.text("state = 'HELD'")
    )
