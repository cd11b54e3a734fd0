"""What operators want of the running house, what they said, what nodes made of it, and who did what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
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
)
NEW_KINDS = ("CONTROL_CHANGED", "CONTROL_ACKNOWLEDGED")
TABLES = (
    "command_versions",
    "audit_entries",
    "acknowledgements",
    "control_messages",
    "rulings",
    "server_nodes",
    "controls",
)


def know_kinds(kinds: tuple[str, ...]) -> None:
    """Let events be of these kinds and no others."""
    op.drop_constraint(op.f("ck_events_eventkind_known"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_eventkind_known"), "events", sa.column("kind").in_(kinds))


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "controls",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_controls")),
    )
    op.create_table(
        "server_nodes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "WEB", "MEDIA", "WORKER", name="nodekind_known", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "RUNNING",
                "FROZEN",
                "STOPPED",
                "SILENT",
                name="nodestate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("connections", sa.BigInteger(), nullable=False),
        sa.Column("cpu_percent", sa.BigInteger(), nullable=False),
        sa.Column("p95_ms", sa.BigInteger(), nullable=False),
        sa.Column("in_flight", sa.BigInteger(), nullable=False),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("figures", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server_nodes")),
        sa.UniqueConstraint("name", name=op.f("uq_server_nodes_name")),
    )
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("deed", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["accounts.id"], name=op.f("fk_audit_entries_actor_id_accounts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index(op.f("ix_audit_entries_actor_id"), "audit_entries", ["actor_id"])
    op.create_table(
        "control_messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "verb",
            sa.Enum(
                "SET_MAX_THREADS",
                "SET_MAX_DB_CONNECTIONS",
                "FREEZE",
                "START",
                "DELETE_COMMAND",
                "ADD_COMMAND",
                "STAGE_COMMAND",
                "UPDATE_COMMAND",
                "ROLLBACK_COMMAND",
                "SET_LOGGING_LEVEL",
                "SET_OPTION",
                name="verb_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "kind",
            sa.Enum(
                "THREADS",
                "DB_CONNECTIONS",
                "FROZEN",
                "DELETED",
                "CODE",
                "LOG_LEVEL",
                "OPTION",
                name="kind_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=True),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["accounts.id"], name=op.f("fk_control_messages_actor_id_accounts")),
        sa.ForeignKeyConstraint(
            ["node_id"], ["server_nodes.id"], name=op.f("fk_control_messages_node_id_server_nodes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_control_messages")),
        sa.UniqueConstraint("version", name=op.f("uq_control_messages_version")),
    )
    op.create_index(op.f("ix_control_messages_actor_id"), "control_messages", ["actor_id"])
    op.create_index(op.f("ix_control_messages_node_id"), "control_messages", ["node_id"])
    op.create_table(
        "rulings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "THREADS",
                "DB_CONNECTIONS",
                "FROZEN",
                "DELETED",
                "CODE",
                "LOG_LEVEL",
                "OPTION",
                name="kind_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=True),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["server_nodes.id"], name=op.f("fk_rulings_node_id_server_nodes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rulings")),
        sa.UniqueConstraint(
            "kind",
            "subject",
            "node_id",
            name=op.f("uq_rulings_kind_subject_node_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("ix_rulings_node_id"), "rulings", ["node_id"])
    op.create_table(
        "acknowledgements",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("node_name", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "PENDING",
                "APPLIED",
                "FAILED",
                name="ackstate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("took_ms", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"], ["control_messages.id"], name=op.f("fk_acknowledgements_message_id_control_messages")
        ),
        sa.ForeignKeyConstraint(
            ["node_id"], ["server_nodes.id"], name=op.f("fk_acknowledgements_node_id_server_nodes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acknowledgements")),
        sa.UniqueConstraint("message_id", "node_id", name=op.f("uq_acknowledgements_message_id_node_id")),
    )
    op.create_index(op.f("ix_acknowledgements_node_id"), "acknowledgements", ["node_id"])
    op.create_index(
        "ix_acknowledgements_pending",
        "acknowledgements",
        ["node_id"],
        postgresql_where=sa.text("state = 'PENDING'"),
    )
    op.create_table(
        "command_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command_versions")),
        sa.UniqueConstraint("command", "number", name=op.f("uq_command_versions_command_number")),
    )
    know_kinds(OLD_KINDS + NEW_KINDS)
    # What was done and what was signed stays as it is.
    op.execute("REVOKE UPDATE, DELETE ON audit_entries, command_versions FROM workup_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute(sa.delete(sa.table("events", sa.column("kind"))).where(sa.column("kind").in_(NEW_KINDS)))
    know_kinds(OLD_KINDS)
    for table in TABLES:
        op.drop_table(table)
