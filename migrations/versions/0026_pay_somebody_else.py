"""Nobody pays herself: a payment, and a request for one, is between two, as their contract is."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLES = ("payments", "payment_requests")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    for table in TABLES:
        op.create_check_constraint(op.f(f"ck_{table}_two_parties"), table, "client_id <> freelancer_id")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    for table in TABLES:
        op.drop_constraint(op.f(f"ck_{table}_two_parties"), table, type_="check")
