"""Lots of Connects, what moved them, and what proposals cost."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# What `models.connects.BANDS` and `models.jobs.HOURS` were on this day.
REVALUE = """
UPDATE jobs SET connects_cost = (
    SELECT CASE
        WHEN size <= 10000 THEN 2 WHEN size <= 25000 THEN 4 WHEN size <= 50000 THEN 6 WHEN size <= 100000 THEN 8
        WHEN size <= 250000 THEN 10 WHEN size <= 500000 THEN 12 WHEN size <= 1000000 THEN 14 ELSE 16
    END
    FROM (
        SELECT coalesce(budget_amount_cents, budget_minimum_cents * CASE duration
            WHEN 'LESS_THAN_A_MONTH' THEN 20 WHEN 'ONE_TO_THREE_MONTHS' THEN 80 WHEN 'THREE_TO_SIX_MONTHS' THEN 180
            ELSE 260
        END) AS size
    ) AS sized
)
"""

# Whoever is a freelancer already begins today: the worker gives the welcome, and the grants from next month on.
BEGIN = """
INSERT INTO allowances (account_id, since, given, next_at) SELECT id, now(), 0, now() FROM freelancer_profiles
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "allowances",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("given", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("given >= 0", name=op.f("ck_allowances_given_not_negative")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_allowances_account_id_accounts")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_allowances")),
    )
    op.create_index(op.f("ix_allowances_next_at"), "allowances", ["next_at"], unique=False)
    op.create_table(
        "lots",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "source",
            sa.Enum(
                "REGISTRATION",
                "GRANT",
                "BUNDLE",
                name="lotsource_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("month", sa.Date(), nullable=True),
        sa.Column("purse_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("(source = 'GRANT') = (month is not null)", name=op.f("ck_lots_month_of_its_grant")),
        sa.CheckConstraint("issued_at < expires_at", name=op.f("ck_lots_lasts")),
        sa.CheckConstraint("remaining between 0 and size", name=op.f("ck_lots_remaining_within_size")),
        sa.CheckConstraint("size > 0", name=op.f("ck_lots_size_positive")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_lots_account_id_accounts")),
        sa.ForeignKeyConstraint(["purse_id"], ["ledger_accounts.id"], name=op.f("fk_lots_purse_id_ledger_accounts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lots")),
        sa.UniqueConstraint("account_id", "month", name=op.f("uq_lots_account_id_month")),
        sa.UniqueConstraint("purse_id", name=op.f("uq_lots_purse_id")),
    )
    op.create_index("ix_lots_account_id", "lots", ["account_id", "expires_at", "id"], unique=False)
    op.create_index("ix_lots_due", "lots", ["expires_at"], unique=False, postgresql_where=sa.text("remaining > 0"))
    op.create_index(
        "uq_lots_welcome", "lots", ["account_id"], unique=True, postgresql_where=sa.text("source = 'REGISTRATION'")
    )
    op.create_table(
        "connects_movements",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "ISSUED",
                "SPENT",
                "RETURNED",
                "EXPIRED",
                name="movementkind_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("journal_id", sa.Uuid(), nullable=False),
        sa.Column("lot_id", sa.Uuid(), nullable=True),
        sa.Column("proposal_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(kind in ('ISSUED', 'EXPIRED')) = (lot_id is not null)", name=op.f("ck_connects_movements_lot_of_its_kind")
        ),
        sa.CheckConstraint(
            "(kind in ('ISSUED', 'RETURNED')) = (amount > 0) and amount <> 0",
            name=op.f("ck_connects_movements_amount_of_its_kind"),
        ),
        sa.CheckConstraint(
            "(kind in ('SPENT', 'RETURNED')) = (proposal_id is not null)",
            name=op.f("ck_connects_movements_proposal_of_its_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_connects_movements_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["journal_id"], ["journals.id"], name=op.f("fk_connects_movements_journal_id_journals")
        ),
        sa.ForeignKeyConstraint(["lot_id"], ["lots.id"], name=op.f("fk_connects_movements_lot_id_lots")),
        sa.ForeignKeyConstraint(
            ["proposal_id"], ["proposals.id"], name=op.f("fk_connects_movements_proposal_id_proposals")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connects_movements")),
        sa.UniqueConstraint("journal_id", name=op.f("uq_connects_movements_journal_id")),
        sa.UniqueConstraint("proposal_id", "kind", name=op.f("uq_connects_movements_proposal_id_kind")),
    )
    op.create_index("ix_connects_movements_account_id", "connects_movements", ["account_id", "id"], unique=False)
    # The defaults are for servers that do not know of Connects yet, and for what they wrote.
    op.add_column("jobs", sa.Column("connects_cost", sa.BigInteger(), server_default=sa.text("2"), nullable=False))
    op.add_column("proposals", sa.Column("connects_cost", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_check_constraint(op.f("ck_jobs_connects_cost_positive"), "jobs", "connects_cost > 0")
    op.create_check_constraint(op.f("ck_proposals_connects_cost_not_negative"), "proposals", "connects_cost >= 0")
    op.execute(REVALUE)
    op.execute(BEGIN)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_constraint(op.f("ck_proposals_connects_cost_not_negative"), "proposals", type_="check")
    op.drop_constraint(op.f("ck_jobs_connects_cost_positive"), "jobs", type_="check")
    op.drop_column("proposals", "connects_cost")
    op.drop_column("jobs", "connects_cost")
    op.drop_index("ix_connects_movements_account_id", table_name="connects_movements")
    op.drop_table("connects_movements")
    op.drop_index("uq_lots_welcome", table_name="lots", postgresql_where=sa.text("source = 'REGISTRATION'"))
    op.drop_index("ix_lots_due", table_name="lots", postgresql_where=sa.text("remaining > 0"))
    op.drop_index("ix_lots_account_id", table_name="lots")
    op.drop_table("lots")
    op.drop_index(op.f("ix_allowances_next_at"), table_name="allowances")
    op.drop_table("allowances")
