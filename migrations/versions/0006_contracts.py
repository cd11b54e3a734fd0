"""Work agreed upon, its milestones, and the fees that hold from the first day."""

from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
FEES = (
    {"id": UUID("019b76da-a800-7000-8000-000000000bb8"), "kind": "FREELANCER_FEE", "bps": 1_000},
    {"id": UUID("019b76da-a800-7000-8000-000000000bb9"), "kind": "CLIENT_FEE", "bps": 500},
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    tariffs = op.create_table(
        "tariffs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "FREELANCER_FEE",
                "CLIENT_FEE",
                name="tariffkind_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("bps", sa.BigInteger(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("bps between 0 and 10000", name=op.f("ck_tariffs_bps_within_whole")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariffs")),
        sa.UniqueConstraint("kind", "effective_at", name=op.f("uq_tariffs_kind_effective_at")),
    )
    op.create_table(
        "contracts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("proposal_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("freelancer_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column(
            "budget_kind",
            sa.Enum("FIXED", "HOURLY", name="budgetkind_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("bid_cents", sa.BigInteger(), nullable=False),
        sa.Column(
            "currency",
            sa.Enum("USD", name="currency_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("freelancer_fee_bps", sa.BigInteger(), nullable=False),
        sa.Column("client_fee_bps", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "ACTIVE",
                "COMPLETED",
                "TERMINATED",
                name="contractstate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("client_fee_bps between 0 and 10000", name=op.f("ck_contracts_client_fee_within_whole")),
        sa.CheckConstraint("client_id <> freelancer_id", name=op.f("ck_contracts_two_parties")),
        sa.CheckConstraint(
            "freelancer_fee_bps between 0 and 10000", name=op.f("ck_contracts_freelancer_fee_within_whole")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client_profiles.id"], name=op.f("fk_contracts_client_id_client_profiles")
        ),
        sa.ForeignKeyConstraint(
            ["freelancer_id"], ["freelancer_profiles.id"], name=op.f("fk_contracts_freelancer_id_freelancer_profiles")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_contracts_job_id_jobs")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_contracts_proposal_id_proposals")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contracts")),
        sa.UniqueConstraint("proposal_id", name=op.f("uq_contracts_proposal_id")),
    )
    op.create_index("ix_contracts_client_id", "contracts", ["client_id", "id"], unique=False)
    op.create_index("ix_contracts_freelancer_id", "contracts", ["freelancer_id", "id"], unique=False)
    op.create_index("ix_contracts_job_id", "contracts", ["job_id", "id"], unique=False)
    op.create_table(
        "milestones",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column(
            "currency",
            sa.Enum("USD", name="currency_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "OPEN",
                "IN_PROGRESS",
                "IN_REVIEW",
                "ACCEPTED",
                "PAID",
                name="milestonestate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_milestones_amount_positive")),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_milestones_contract_id_contracts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_milestones")),
        sa.UniqueConstraint("contract_id", "position", name=op.f("uq_milestones_contract_id_position")),
    )
    op.bulk_insert(tariffs, [{**fee, "effective_at": FIRST_DAY} for fee in FEES])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_table("milestones")
    op.drop_index("ix_contracts_job_id", table_name="contracts")
    op.drop_index("ix_contracts_freelancer_id", table_name="contracts")
    op.drop_index("ix_contracts_client_id", table_name="contracts")
    op.drop_table("contracts")
    op.drop_table("tariffs")
