"""Files that people and machines bring."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.create_table(
        "uploads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column(
            "group",
            sa.Enum(
                "icons",
                "photos",
                "resume",
                "attachments",
                name="uploadgroup_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "REQUESTED",
                "ARRIVED",
                "KEPT",
                "SWEPT",
                name="uploadstate_known",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("stored_name", sa.Text(), nullable=True),
        sa.Column("mime_type", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("arrives_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("swept_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state not in ('ARRIVED', 'KEPT') or "
            "(stored_name is not null and mime_type is not null and sha256 is not null and arrived_at is not null)",
            name=op.f("ck_uploads_arrived_whole"),
        ),
        sa.CheckConstraint("size > 0", name=op.f("ck_uploads_size_positive")),
        sa.ForeignKeyConstraint(["owner_id"], ["accounts.id"], name=op.f("fk_uploads_owner_id_accounts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(
        "ix_uploads_due_at", "uploads", ["due_at"], unique=False, postgresql_where=sa.text("due_at is not null")
    )
    op.create_index("ix_uploads_owner_id", "uploads", ["owner_id", "id"], unique=False)
    op.create_index(
        "uq_uploads_group_stored_name",
        "uploads",
        ["group", "stored_name"],
        unique=True,
        postgresql_where=sa.text("stored_name is not null"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_index(
        "uq_uploads_group_stored_name", table_name="uploads", postgresql_where=sa.text("stored_name is not null")
    )
    op.drop_index("ix_uploads_owner_id", table_name="uploads")
    op.drop_index("ix_uploads_due_at", table_name="uploads", postgresql_where=sa.text("due_at is not null"))
    op.drop_table("uploads")
