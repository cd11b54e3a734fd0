"""How a text is written as JSON: `json_text`, put in its place when a statement is planned.

`to_json` looks its argument's type up for each row. From Postgres 17 on there is a constructor that does so once.
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

JSON_TEXT = """
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 170000 THEN
        CREATE FUNCTION json_text(text) RETURNS json LANGUAGE sql STABLE RETURN json_scalar($1);
    ELSE
        CREATE FUNCTION json_text(text) RETURNS json LANGUAGE sql STABLE RETURN to_json($1);
    END IF;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute(JSON_TEXT)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute("DROP FUNCTION json_text(text)")
