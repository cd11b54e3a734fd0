"""Time that is let pass in a sandbox."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

OLD_KINDS = (
    "JOB_PUBLISHED",
    "JOB_EDITED",
    "JOB_CLOSED",
    "JOB_FILLED",
    "JOB_EXPIRES_SOON",
    "JOB_EXPIRED",
    "JOB_RENEWED",
    "JOB_REMOVED",
    "PROPOSAL_SUBMITTED",
    "PROPOSAL_EDITED",
    "PROPOSAL_WITHDRAWN",
    "PROPOSAL_SHORTLISTED",
    "PROPOSAL_ARCHIVED",
    "PROPOSAL_REJECTED",
    "PROPOSAL_ACCEPTED",
    "CONTRACT_STARTED",
    "MILESTONE_STARTED",
    "ATTACHMENT_ADDED",
    "ATTACHMENT_REMOVED",
    "WALLET_CHANGED",
    "TRANSFER_SUCCEEDED",
    "TRANSFER_FAILED",
)
NEW_KINDS = ("CLOCK_ADVANCED",)


def know_kinds(kinds: tuple[str, ...]) -> None:
    """Let events be of these kinds and no others."""
    op.drop_constraint(op.f("ck_events_eventkind_known"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_eventkind_known"), "events", sa.column("kind").in_(kinds))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "clock_steps",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ahead_seconds", sa.BigInteger(), nullable=False),
        sa.Column("by_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("ahead_seconds between 1 and 316224000", name=op.f("ck_clock_steps_ahead_within_bounds")),
        sa.ForeignKeyConstraint(["by_id"], ["accounts.id"], name=op.f("fk_clock_steps_by_id_accounts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock_steps")),
    )
    know_kinds(OLD_KINDS + NEW_KINDS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute(sa.delete(sa.table("events", sa.column("kind"))).where(sa.column("kind").in_(NEW_KINDS)))
    know_kinds(OLD_KINDS)
    op.drop_table("clock_steps")
