"""What was paid for work, and what is still owed."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "payments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "MILESTONE", "BONUS", name="paymentkind_known", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("milestone_id", sa.Uuid(), nullable=True),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("freelancer_id", sa.Uuid(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("client_fee_cents", sa.BigInteger(), nullable=False),
        sa.Column("freelancer_fee_cents", sa.BigInteger(), nullable=False),
        sa.Column(
            "currency",
            sa.Enum("USD", name="currency_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("journal_id", sa.Uuid(), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(kind = 'MILESTONE') = (milestone_id is not null)", name=op.f("ck_payments_milestone_of_its_kind")
        ),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_payments_amount_positive")),
        sa.CheckConstraint("client_fee_cents >= 0", name=op.f("ck_payments_client_fee_not_negative")),
        sa.CheckConstraint(
            "freelancer_fee_cents between 0 and amount_cents", name=op.f("ck_payments_freelancer_fee_within_amount")
        ),
        sa.ForeignKeyConstraint(["client_id"], ["accounts.id"], name=op.f("fk_payments_client_id_accounts")),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_payments_contract_id_contracts")),
        sa.ForeignKeyConstraint(["freelancer_id"], ["accounts.id"], name=op.f("fk_payments_freelancer_id_accounts")),
        sa.ForeignKeyConstraint(["journal_id"], ["journals.id"], name=op.f("fk_payments_journal_id_journals")),
        sa.ForeignKeyConstraint(["milestone_id"], ["milestones.id"], name=op.f("fk_payments_milestone_id_milestones")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("journal_id", name=op.f("uq_payments_journal_id")),
    )
    op.create_index("ix_payments_client_id", "payments", ["client_id", "id"], unique=False)
    op.create_index("ix_payments_contract_id", "payments", ["contract_id", "id"], unique=False)
    op.create_index(
        "ix_payments_due", "payments", ["available_at"], unique=False, postgresql_where=sa.text("settled_at is null")
    )
    op.create_index("ix_payments_freelancer_id", "payments", ["freelancer_id", "id"], unique=False)
    op.create_index("ix_payments_milestone_id", "payments", ["milestone_id", "id"], unique=False)
    op.create_table(
        "payment_requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("milestone_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("freelancer_id", sa.Uuid(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column(
            "currency",
            sa.Enum("USD", name="currency_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "PENDING",
                "PAID",
                "CANCELLED",
                name="paymentrequeststate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("payment_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(state = 'PAID') = (payment_id is not null)", name=op.f("ck_payment_requests_paid_by_a_payment")
        ),
        sa.CheckConstraint(
            "(state = 'PENDING') = (decided_at is null)", name=op.f("ck_payment_requests_decided_at_some_time")
        ),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_payment_requests_amount_positive")),
        sa.ForeignKeyConstraint(["client_id"], ["accounts.id"], name=op.f("fk_payment_requests_client_id_accounts")),
        sa.ForeignKeyConstraint(
            ["contract_id"], ["contracts.id"], name=op.f("fk_payment_requests_contract_id_contracts")
        ),
        sa.ForeignKeyConstraint(
            ["freelancer_id"], ["accounts.id"], name=op.f("fk_payment_requests_freelancer_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["milestone_id"], ["milestones.id"], name=op.f("fk_payment_requests_milestone_id_milestones")
        ),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_payment_requests_payment_id_payments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_requests")),
        sa.UniqueConstraint("milestone_id", name=op.f("uq_payment_requests_milestone_id")),
        sa.UniqueConstraint("payment_id", name=op.f("uq_payment_requests_payment_id")),
    )
    op.create_index("ix_payment_requests_client_id", "payment_requests", ["client_id", "id"], unique=False)
    op.create_index("ix_payment_requests_contract_id", "payment_requests", ["contract_id", "id"], unique=False)
    op.create_index("ix_payment_requests_freelancer_id", "payment_requests", ["freelancer_id", "id"], unique=False)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_index("ix_payment_requests_freelancer_id", table_name="payment_requests")
    op.drop_index("ix_payment_requests_contract_id", table_name="payment_requests")
    op.drop_index("ix_payment_requests_client_id", table_name="payment_requests")
    op.drop_table("payment_requests")
    op.drop_index("ix_payments_milestone_id", table_name="payments")
    op.drop_index("ix_payments_freelancer_id", table_name="payments")
    op.drop_index("ix_payments_due", table_name="payments", postgresql_where=sa.text("settled_at is null"))
    op.drop_index("ix_payments_contract_id", table_name="payments")
    op.drop_index("ix_payments_client_id", table_name="payments")
    op.drop_table("payments")
