"""Work on offer."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("category_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column(
            "experience",
            sa.Enum(
                "ENTRY_LEVEL",
                "INTERMEDIATE",
                "EXPERT",
                name="experience_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
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
        sa.Column(
            "budget_kind",
            sa.Enum("FIXED", "HOURLY", name="budgetkind_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column(
            "budget_currency",
            sa.Enum("USD", name="currency_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("budget_amount_cents", sa.BigInteger(), nullable=True),
        sa.Column("budget_minimum_cents", sa.BigInteger(), nullable=True),
        sa.Column("budget_maximum_cents", sa.BigInteger(), nullable=True),
        sa.Column("freelancers_wanted", sa.BigInteger(), nullable=False),
        sa.Column("hired_count", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "DRAFT",
                "OPEN",
                "FILLED",
                "CLOSED",
                "EXPIRED",
                "REMOVED",
                name="jobstate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("warned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("hired_count <= freelancers_wanted", name=op.f("ck_jobs_hired_within_wanted")),
        sa.ForeignKeyConstraint(["category_id"], ["categories.id"], name=op.f("fk_jobs_category_id_categories")),
        sa.ForeignKeyConstraint(["client_id"], ["client_profiles.id"], name=op.f("fk_jobs_client_id_client_profiles")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(
        "ix_jobs_category_newest_open",
        "jobs",
        ["category_id", "published_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'OPEN'"),
    )
    op.create_index("ix_jobs_client_id", "jobs", ["client_id", "id"], unique=False)
    op.create_index(
        "ix_jobs_expires_at", "jobs", ["expires_at"], unique=False, postgresql_where=sa.text("state = 'OPEN'")
    )
    op.create_index(
        "ix_jobs_newest_open", "jobs", ["published_at", "id"], unique=False, postgresql_where=sa.text("state = 'OPEN'")
    )
    op.create_table(
        "job_skills",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("skill_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_skills_job_id_jobs")),
        sa.ForeignKeyConstraint(["skill_id"], ["skills.id"], name=op.f("fk_job_skills_skill_id_skills")),
        sa.PrimaryKeyConstraint("job_id", "skill_id", name=op.f("pk_job_skills")),
    )
    op.create_index(op.f("ix_job_skills_skill_id_job_id"), "job_skills", ["skill_id", "job_id"], unique=False)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_index(op.f("ix_job_skills_skill_id_job_id"), table_name="job_skills")
    op.drop_table("job_skills")
    op.drop_index("ix_jobs_newest_open", table_name="jobs", postgresql_where=sa.text("state = 'OPEN'"))
    op.drop_index("ix_jobs_expires_at", table_name="jobs", postgresql_where=sa.text("state = 'OPEN'"))
    op.drop_index("ix_jobs_client_id", table_name="jobs")
    op.drop_index("ix_jobs_category_newest_open", table_name="jobs", postgresql_where=sa.text("state = 'OPEN'"))
    op.drop_table("jobs")
