"""Deposits and withdrawals."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "transfers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "DEPOSIT", "WITHDRAWAL", name="transferkind_known", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column(
            "purse",
            sa.Enum("FUNDS", "EARNINGS", name="purse_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column(
            "currency",
            sa.Enum("USD", name="currency_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "REQUESTED",
                "SUBMITTED",
                "SUCCEEDED",
                "FAILED",
                name="transferstate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hold_id", sa.Uuid(), nullable=True),
        sa.Column("journal_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(kind = 'WITHDRAWAL') = (hold_id is not null)", name=op.f("ck_transfers_held_until_withdrawn")
        ),
        sa.CheckConstraint(
            "(state = 'SUCCEEDED') = (journal_id is not null)", name=op.f("ck_transfers_succeeded_by_a_journal")
        ),
        sa.CheckConstraint(
            "(state in ('SUCCEEDED', 'FAILED')) = (decided_at is not null)",
            name=op.f("ck_transfers_decided_at_some_time"),
        ),
        sa.CheckConstraint("kind = 'WITHDRAWAL' or purse = 'FUNDS'", name=op.f("ck_transfers_deposited_into_funds")),
        sa.CheckConstraint(
            "(decided_at is null) = (next_attempt_at is not null)", name=op.f("ck_transfers_asked_until_decided")
        ),
        sa.CheckConstraint("amount_cents > 0", name=op.f("ck_transfers_amount_positive")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_transfers_account_id_accounts")),
        sa.ForeignKeyConstraint(["hold_id"], ["holds.id"], name=op.f("fk_transfers_hold_id_holds")),
        sa.ForeignKeyConstraint(["journal_id"], ["journals.id"], name=op.f("fk_transfers_journal_id_journals")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sa.UniqueConstraint("hold_id", name=op.f("uq_transfers_hold_id")),
        sa.UniqueConstraint("journal_id", name=op.f("uq_transfers_journal_id")),
        sa.UniqueConstraint("reference", name=op.f("uq_transfers_reference")),
    )
    op.create_index("ix_transfers_account_id", "transfers", ["account_id", "id"], unique=False)
    op.create_index(
        "ix_transfers_due",
        "transfers",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("decided_at is null"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_index("ix_transfers_due", table_name="transfers", postgresql_where=sa.text("decided_at is null"))
    op.drop_index("ix_transfers_account_id", table_name="transfers")
    op.drop_table("transfers")
