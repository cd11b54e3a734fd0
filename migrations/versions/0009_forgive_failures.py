"""Failed sign-ins are forgiven with time, and found by it to be forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    # A default, for servers that do not know the column yet.
    op.add_column(
        "sign_in_throttles",
        sa.Column("forgiven_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )
    op.create_index(op.f("ix_sign_in_throttles_last_at"), "sign_in_throttles", ["last_at"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_index(op.f("ix_sign_in_throttles_last_at"), "sign_in_throttles")
    op.drop_column("sign_in_throttles", "forgiven_at")
