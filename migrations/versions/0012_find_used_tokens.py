"""Refresh tokens that were used long ago are found to be forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_index(
        op.f("ix_refresh_tokens_used_at"),
        "refresh_tokens",
        ["used_at"],
        postgresql_where=sa.text("used_at is not null"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_index(op.f("ix_refresh_tokens_used_at"), "refresh_tokens")
