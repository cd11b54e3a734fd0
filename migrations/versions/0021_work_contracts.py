"""Contracts are worked, looked at, paid and ended, and remember how."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
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
)
NEW_KINDS = (
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

MILESTONE_RULES = {
    "gross_with_fee": "gross_cents >= amount_cents",
    "escrow_within_gross": "escrow_cents between 0 and gross_cents",
    "accepted_within_amount": "accepted_cents between 1 and amount_cents",
    "accepted_amount": "(state in ('ACCEPTED', 'PAID')) = (accepted_cents is not null)",
    "paid_at_some_time": "(state = 'PAID') = (paid_at is not null)",
    "paid_from_escrow": "state <> 'PAID' or escrow_cents = 0",
    "review_ends": "(state = 'IN_REVIEW') = (review_ends_at is not null)",
}

PRICE = """
UPDATE milestones SET gross_cents = amount_cents + whole
    + CASE WHEN rest * 2 > 10000 OR (rest * 2 = 10000 AND whole % 2 = 1) THEN 1 ELSE 0 END
FROM (
    SELECT m.id, m.amount_cents * c.client_fee_bps / 10000 AS whole, m.amount_cents * c.client_fee_bps % 10000 AS rest
    FROM milestones m JOIN contracts c ON c.id = m.contract_id
) fee
WHERE fee.id = milestones.id
"""
"""The price with the client's fee, rounded half to even."""

REMEMBER = """
UPDATE milestones SET
    submitted_at = CASE WHEN state IN ('IN_REVIEW', 'ACCEPTED', 'PAID') THEN started_at END,
    review_ends_at = CASE WHEN state = 'IN_REVIEW' THEN now() + interval '14 days' END,
    accepted_cents = CASE WHEN state IN ('ACCEPTED', 'PAID') THEN amount_cents END,
    accepted_at = CASE WHEN state IN ('ACCEPTED', 'PAID') THEN started_at END,
    paid_at = CASE WHEN state = 'PAID' THEN coalesce(started_at, now()) END
WHERE state IN ('IN_REVIEW', 'ACCEPTED', 'PAID')
"""
"""What the demo of earlier days said of milestones before there was any money."""

REQUEST = """
INSERT INTO payment_requests
    (id, contract_id, milestone_id, client_id, freelancer_id, amount_cents, currency, state, made_at)
SELECT gen_random_uuid(), c.id, m.id, c.client_id, c.freelancer_id, m.accepted_cents, m.currency, 'PENDING', now()
FROM milestones m JOIN contracts c ON c.id = m.contract_id
WHERE m.state = 'ACCEPTED' AND NOT EXISTS (SELECT FROM payment_requests r WHERE r.milestone_id = m.id)
"""


def know_kinds(kinds: tuple[str, ...]) -> None:
    """Let events be of these kinds and no others."""
    op.drop_constraint(op.f("ck_events_eventkind_known"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_eventkind_known"), "events", sa.column("kind").in_(kinds))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    know_kinds(OLD_KINDS + NEW_KINDS)
    op.create_table(
        "terminations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("requester_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column(
            "requested_by",
            sa.Enum(
                "CLIENT",
                "FREELANCER",
                "ADMIN",
                "SYSTEM",
                name="actor_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "REQUESTED",
                "ACCEPTED",
                "REJECTED",
                "WITHDRAWN",
                "LAPSED",
                name="terminationstate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'REQUESTED') = (decided_at is null)", name=op.f("ck_terminations_decided_at_some_time")
        ),
        sa.CheckConstraint("requester_id <> other_id", name=op.f("ck_terminations_two_parties")),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_terminations_contract_id_contracts")),
        sa.ForeignKeyConstraint(["other_id"], ["accounts.id"], name=op.f("fk_terminations_other_id_accounts")),
        sa.ForeignKeyConstraint(["requester_id"], ["accounts.id"], name=op.f("fk_terminations_requester_id_accounts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terminations")),
    )
    op.create_index("ix_terminations_contract_id", "terminations", ["contract_id", "id"], unique=False)
    op.create_index(
        "uq_terminations_open",
        "terminations",
        ["contract_id", "requester_id"],
        unique=True,
        postgresql_where=sa.text("state = 'REQUESTED'"),
    )
    op.create_table(
        "contract_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contract_id", sa.Uuid(), nullable=False),
        sa.Column("milestone_id", sa.Uuid(), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "CONTRACT_STARTED",
                "MILESTONE_ADDED",
                "MILESTONE_EDITED",
                "MILESTONE_FUNDED",
                "MILESTONE_STARTED",
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
                name="changekind_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "actor",
            sa.Enum(
                "CLIENT",
                "FREELANCER",
                "ADMIN",
                "SYSTEM",
                name="actor_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("amount_cents", sa.BigInteger(), nullable=True),
        sa.Column(
            "currency",
            sa.Enum("USD", name="currency_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["accounts.id"], name=op.f("fk_contract_changes_actor_id_accounts")),
        sa.ForeignKeyConstraint(
            ["contract_id"], ["contracts.id"], name=op.f("fk_contract_changes_contract_id_contracts")
        ),
        sa.ForeignKeyConstraint(
            ["milestone_id"], ["milestones.id"], name=op.f("fk_contract_changes_milestone_id_milestones")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract_changes")),
    )
    op.create_index("ix_contract_changes_contract_id", "contract_changes", ["contract_id", "id"], unique=False)
    op.create_index("ix_contract_changes_milestone_id", "contract_changes", ["milestone_id", "id"], unique=False)
    op.create_table(
        "change_attachments",
        sa.Column("change_id", sa.Uuid(), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["change_id"], ["contract_changes.id"], name=op.f("fk_change_attachments_change_id_contract_changes")
        ),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], name=op.f("fk_change_attachments_upload_id_uploads")),
        sa.PrimaryKeyConstraint("change_id", "upload_id", name=op.f("pk_change_attachments")),
        sa.UniqueConstraint("upload_id", name=op.f("uq_change_attachments_upload_id")),
    )
    op.add_column("contracts", sa.Column("client_done_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("contracts", sa.Column("freelancer_done_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("milestones", sa.Column("gross_cents", sa.BigInteger(), nullable=True))
    op.add_column("milestones", sa.Column("escrow_cents", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("milestones", sa.Column("accepted_cents", sa.BigInteger(), nullable=True))
    op.add_column("milestones", sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("milestones", sa.Column("review_ends_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("milestones", sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("milestones", sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("milestones", sa.Column("waived_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(PRICE)
    op.execute(REMEMBER)
    op.execute(REQUEST)
    op.alter_column("milestones", "gross_cents", nullable=False)
    op.alter_column("milestones", "escrow_cents", server_default=None)
    for name, rule in MILESTONE_RULES.items():
        op.create_check_constraint(op.f(f"ck_milestones_{name}"), "milestones", rule)
    op.create_index(
        "ix_milestones_review_ends_at",
        "milestones",
        ["review_ends_at"],
        unique=False,
        postgresql_where=sa.text("state = 'IN_REVIEW'"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_index(
        "ix_milestones_review_ends_at", table_name="milestones", postgresql_where=sa.text("state = 'IN_REVIEW'")
    )
    for name in MILESTONE_RULES:
        op.drop_constraint(op.f(f"ck_milestones_{name}"), "milestones", type_="check")
    op.drop_column("milestones", "waived_at")
    op.drop_column("milestones", "paid_at")
    op.drop_column("milestones", "accepted_at")
    op.drop_column("milestones", "review_ends_at")
    op.drop_column("milestones", "submitted_at")
    op.drop_column("milestones", "accepted_cents")
    op.drop_column("milestones", "escrow_cents")
    op.drop_column("milestones", "gross_cents")
    op.drop_column("contracts", "freelancer_done_at")
    op.drop_column("contracts", "client_done_at")
    op.drop_table("change_attachments")
    op.drop_index("ix_contract_changes_milestone_id", table_name="contract_changes")
    op.drop_index("ix_contract_changes_contract_id", table_name="contract_changes")
    op.drop_table("contract_changes")
    op.drop_index("uq_terminations_open", table_name="terminations", postgresql_where=sa.text("state = 'REQUESTED'"))
    op.drop_index("ix_terminations_contract_id", table_name="terminations")
    op.drop_table("terminations")
    op.execute(sa.delete(sa.table("events", sa.column("kind"))).where(sa.column("kind").in_(NEW_KINDS)))
    know_kinds(OLD_KINDS)
