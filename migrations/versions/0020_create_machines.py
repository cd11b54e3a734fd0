"""Machines that were asked for, and who keeps them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

STATES = ("WANTED", "STARTING", "READY", "RETIRING", "GONE", "FAILED")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "keepers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("providers", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keepers")),
    )
    op.create_table(
        "machines",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(*STATES, name="machinestate_known", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("keeper_id", sa.Uuid(), nullable=True),
        sa.Column("dies_with_keeper", sa.Boolean(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("wanted_by", sa.Text(), nullable=False),
        sa.Column("wanted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("drained_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["keeper_id"], ["keepers.id"], name=op.f("fk_machines_keeper_id_keepers"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machines")),
    )
    op.create_index(op.f("ix_machines_keeper_id"), "machines", ["keeper_id"])
    op.create_index(op.f("ix_machines_ended_at"), "machines", ["ended_at"])
    op.create_index(
        "ix_machines_standing", "machines", ["provider"], postgresql_where=sa.text("state not in ('GONE', 'FAILED')")
    )
    op.add_column("server_nodes", sa.Column("machine_id", sa.Uuid(), nullable=True))
    op.create_index(op.f("ix_server_nodes_machine_id"), "server_nodes", ["machine_id"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_index(op.f("ix_server_nodes_machine_id"), "server_nodes")
    op.drop_column("server_nodes", "machine_id")
    op.drop_table("machines")
    op.drop_table("keepers")
