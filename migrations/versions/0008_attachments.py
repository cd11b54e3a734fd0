"""Files on profiles, jobs, proposals and contracts."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
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
)
NEW_KINDS = ("ATTACHMENT_ADDED", "ATTACHMENT_REMOVED")


PROFILES = (("client_profiles", "photo_id"), ("freelancer_profiles", "photo_id"), ("freelancer_profiles", "resume_id"))


def know_kinds(kinds: tuple[str, ...]) -> None:
    """Let events be of these kinds and no others."""
    op.drop_constraint(op.f("ck_events_eventkind_known"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_eventkind_known"), "events", sa.column("kind").in_(kinds))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "job_attachments",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_attachments_job_id_jobs")),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], name=op.f("fk_job_attachments_upload_id_uploads")),
        sa.PrimaryKeyConstraint("job_id", "upload_id", name=op.f("pk_job_attachments")),
        sa.UniqueConstraint("upload_id", name=op.f("uq_job_attachments_upload_id")),
    )
    op.create_table(
        "contract_attachments",
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["contract_id"], ["contracts.id"], name=op.f("fk_contract_attachments_contract_id_contracts")
        ),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], name=op.f("fk_contract_attachments_upload_id_uploads")),
        sa.PrimaryKeyConstraint("contract_id", "upload_id", name=op.f("pk_contract_attachments")),
        sa.UniqueConstraint("upload_id", name=op.f("uq_contract_attachments_upload_id")),
    )
    op.add_column("client_profiles", sa.Column("photo_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_client_profiles_photo_id_uploads"), "client_profiles", "uploads", ["photo_id"], ["id"]
    )
    op.add_column("freelancer_profiles", sa.Column("photo_id", sa.Uuid(), nullable=True))
    op.add_column("freelancer_profiles", sa.Column("resume_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_freelancer_profiles_photo_id_uploads"), "freelancer_profiles", "uploads", ["photo_id"], ["id"]
    )
    op.create_foreign_key(
        op.f("fk_freelancer_profiles_resume_id_uploads"), "freelancer_profiles", "uploads", ["resume_id"], ["id"]
    )
    op.add_column("proposal_attachments", sa.Column("upload_id", sa.Uuid(), nullable=True))
    op.alter_column("proposal_attachments", "url", existing_type=sa.TEXT(), nullable=True)
    op.create_unique_constraint(op.f("uq_proposal_attachments_upload_id"), "proposal_attachments", ["upload_id"])
    op.create_foreign_key(
        op.f("fk_proposal_attachments_upload_id_uploads"), "proposal_attachments", "uploads", ["upload_id"], ["id"]
    )
    op.create_check_constraint(
        op.f("ck_proposal_attachments_address_or_upload"), "proposal_attachments", "num_nonnulls(url, upload_id) = 1"
    )
    for table, column in PROFILES:
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    know_kinds(OLD_KINDS + NEW_KINDS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute(sa.delete(sa.table("events", sa.column("kind"))).where(sa.column("kind").in_(NEW_KINDS)))
    know_kinds(OLD_KINDS)
    for table, column in PROFILES:
        op.drop_index(op.f(f"ix_{table}_{column}"), table)
    op.drop_constraint(op.f("ck_proposal_attachments_address_or_upload"), "proposal_attachments", type_="check")
    op.execute("DELETE FROM proposal_attachments WHERE url IS NULL")
    op.drop_constraint(op.f("fk_proposal_attachments_upload_id_uploads"), "proposal_attachments", type_="foreignkey")
    op.drop_constraint(op.f("uq_proposal_attachments_upload_id"), "proposal_attachments", type_="unique")
    op.alter_column("proposal_attachments", "url", existing_type=sa.TEXT(), nullable=False)
    op.drop_column("proposal_attachments", "upload_id")
    op.drop_constraint(op.f("fk_freelancer_profiles_resume_id_uploads"), "freelancer_profiles", type_="foreignkey")
    op.drop_constraint(op.f("fk_freelancer_profiles_photo_id_uploads"), "freelancer_profiles", type_="foreignkey")
    op.drop_column("freelancer_profiles", "resume_id")
    op.drop_column("freelancer_profiles", "photo_id")
    op.drop_constraint(op.f("fk_client_profiles_photo_id_uploads"), "client_profiles", type_="foreignkey")
    op.drop_column("client_profiles", "photo_id")
    op.drop_table("contract_attachments")
    op.drop_table("job_attachments")
