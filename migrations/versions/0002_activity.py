"""What happened, numbered in each stream."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "stream_heads",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_stream_heads")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
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
                name="eventkind_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("stream", "sequence", name=op.f("uq_events_stream_sequence")),
    )
    op.create_index(op.f("ix_events_subject_id"), "events", ["subject_id"], unique=False)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_table("stream_heads")
    op.drop_index(op.f("ix_events_subject_id"), table_name="events")
    op.drop_table("events")
