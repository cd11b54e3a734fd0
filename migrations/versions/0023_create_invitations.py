"""Clients invite freelancers to their jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
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
    "CLOCK_ADVANCED",
    "CONTROL_CHANGED",
    "CONTROL_ACKNOWLEDGED",
    "MILESTONE_ADDED",
    "MILESTONE_EDITED",
    "MILESTONE_FUNDED",
    "MILESTONE_SUBMITTED",
    "CHANGES_REQUESTED",
    "MILESTONE_DECLINED",
    "MILESTONE_ACCEPTED",
    "MILESTONE_REFUNDED",
    "PAYMENT_REQUESTED",
    "PAYMENT_WAIVED",
    "MILESTONE_PAID",
    "BONUS_PAID",
    "TERMINATION_REQUESTED",
    "TERMINATION_WITHDRAWN",
    "TERMINATION_REJECTED",
    "TERMINATION_ACCEPTED",
    "TERMINATION_LAPSED",
    "COMPLETION_AGREED",
    "CONTRACT_COMPLETED",
    "CONTRACT_TERMINATED",
)
NEW_KINDS = ("FREELANCER_INVITED",)


def know_kinds(kinds: tuple[str, ...]) -> None:
    """Let events be of these kinds and no others."""
    op.drop_constraint(op.f("ck_events_eventkind_known"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_eventkind_known"), "events", sa.column("kind").in_(kinds))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "invitations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("freelancer_id", sa.Uuid(), nullable=False),
        sa.Column("invited_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["freelancer_id"], ["freelancer_profiles.id"], name=op.f("fk_invitations_freelancer_id_freelancer_profiles")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_invitations_job_id_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("job_id", "freelancer_id", name=op.f("uq_invitations_job_id_freelancer_id")),
    )
    op.create_index("ix_invitations_freelancer_id", "invitations", ["freelancer_id", "id"], unique=False)
    op.create_index("ix_invitations_job_id", "invitations", ["job_id", "id"], unique=False)
    know_kinds(OLD_KINDS + NEW_KINDS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute(sa.delete(sa.table("events", sa.column("kind"))).where(sa.column("kind").in_(NEW_KINDS)))
    know_kinds(OLD_KINDS)
    op.drop_index("ix_invitations_job_id", table_name="invitations")
    op.drop_index("ix_invitations_freelancer_id", table_name="invitations")
    op.drop_table("invitations")
