"""What moves in wallets is told."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
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
)
NEW_KINDS = ("WALLET_CHANGED", "TRANSFER_SUCCEEDED", "TRANSFER_FAILED")


def know_kinds(kinds: tuple[str, ...]) -> None:
    """Let events be of these kinds and no others."""
    op.drop_constraint(op.f("ck_events_eventkind_known"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_eventkind_known"), "events", sa.column("kind").in_(kinds))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    know_kinds(OLD_KINDS + NEW_KINDS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute(sa.delete(sa.table("events", sa.column("kind"))).where(sa.column("kind").in_(NEW_KINDS)))
    know_kinds(OLD_KINDS)
