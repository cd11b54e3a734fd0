"""Offers, their milestones and attachments."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "proposals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("freelancer_id", sa.Uuid(), nullable=False),
        sa.Column("cover_letter", sa.Text(), nullable=False),
        sa.Column(
            "duration",
            sa.Enum(
                "LESS_THAN_A_MONTH",
                "ONE_TO_THREE_MONTHS",
                "THREE_TO_SIX_MONTHS",
                "MORE_THAN_SIX_MONTHS",
                name="duration_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("bid_cents", sa.BigInteger(), nullable=False),
        sa.Column(
            "currency",
            sa.Enum("USD", name="currency_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "PENDING",
                "ACCEPTED",
                "REJECTED",
                "WITHDRAWN",
                name="proposalstate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("shortlisted", sa.Boolean(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("bid_cents > 0", name=op.f("ck_proposals_bid_positive")),
        sa.ForeignKeyConstraint(
            ["freelancer_id"], ["freelancer_profiles.id"], name=op.f("fk_proposals_freelancer_id_freelancer_profiles")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_proposals_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
    )
    op.create_index("ix_proposals_freelancer_id", "proposals", ["freelancer_id", "id"], unique=False)
    op.create_index("ix_proposals_job_id", "proposals", ["job_id", "id"], unique=False)
    op.create_index(
        "uq_proposals_live",
        "proposals",
        ["job_id", "freelancer_id"],
        unique=True,
        postgresql_where=sa.text("state in ('PENDING', 'ACCEPTED')"),
    )
    op.create_table(
        "proposal_attachments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("proposal_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.id"],
            name=op.f("fk_proposal_attachments_proposal_id_proposals"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal_attachments")),
        sa.UniqueConstraint("proposal_id", "position", name=op.f("uq_proposal_attachments_proposal_id_position")),
    )
    op.create_table(
        "proposal_milestones",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("proposal_id", sa.Uuid(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column(
            "currency",
            sa.Enum("USD", name="currency_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_proposal_milestones_amount_positive")),
        sa.ForeignKeyConstraint(
            ["proposal_id"],
            ["proposals.id"],
            name=op.f("fk_proposal_milestones_proposal_id_proposals"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal_milestones")),
        sa.UniqueConstraint("proposal_id", "position", name=op.f("uq_proposal_milestones_proposal_id_position")),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_table("proposal_milestones")
    op.drop_table("proposal_attachments")
    op.drop_index(
        "uq_proposals_live", table_name="proposals", postgresql_where=sa.text("state in ('PENDING', 'ACCEPTED')")
    )
    op.drop_index("ix_proposals_job_id", table_name="proposals")
    op.drop_index("ix_proposals_freelancer_id", table_name="proposals")
    op.drop_table("proposals")
