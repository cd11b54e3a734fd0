"""A reversal is weighed with the entries of two journals alone, whenever the plan for it was made."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# The function is planned once for each connection, and for some of them when there are no entries yet: then an index by
# account looks as good as any other, because it has the groups in order, and each reversal would read all entries that
# there are by then. What is grouped is found first.
FOUND_FIRST = "(SELECT e.account_id, e.amount FROM entries e WHERE e.journal_id IN (new.id, new.reverses) OFFSET 0) e"
AT_ONCE = "entries e WHERE e.journal_id IN (new.id, new.reverses)"

WEIGH = """
CREATE OR REPLACE FUNCTION ledger_weigh() RETURNS trigger
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
        SELECT FROM {entries}
        GROUP BY e.account_id HAVING sum(e.amount) <> 0
    ) THEN
        RAISE EXCEPTION 'journal % is not the opposite of journal %', new.id, new.reverses
            USING ERRCODE = 'check_violation', TABLE = 'journals', CONSTRAINT = 'journals_reverse_whole';
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute(WEIGH.replace("{entries}", FOUND_FIRST))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute(WEIGH.replace("{entries}", AT_ONCE))
