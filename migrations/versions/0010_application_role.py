"""The role that the application works as: it reads and writes rows, and owns nothing."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Roles belong to all databases of a server, of which others may be migrating just now: whoever comes second finds
# the role there. Superusers are members of everything; others are made one, unless that has been done for them.
ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'workup_app') THEN
        CREATE ROLE workup_app NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$
"""
MEMBERSHIP = """
DO $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        GRANT workup_app TO CURRENT_USER;
    END IF;
EXCEPTION
    WHEN unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        IF NOT pg_has_role('workup_app', 'MEMBER') THEN
            RAISE EXCEPTION 'whoever migrates has to be a member of the role workup_app, and cannot become one'
                USING HINT = 'Ask somebody who may: GRANT workup_app TO ' || quote_ident(current_user),
                ERRCODE = 'insufficient_privilege';
        END IF;
END
$$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute(ROLE)
    op.execute(MEMBERSHIP)
    op.execute("GRANT USAGE ON SCHEMA public TO workup_app")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO workup_app")
    op.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO workup_app")
    # What has been migrated is for migrations to say.
    op.execute("REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM workup_app")
    op.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO workup_app")
    op.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO workup_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE USAGE ON SEQUENCES FROM workup_app")
    op.execute(
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT, INSERT, UPDATE, DELETE ON TABLES FROM workup_app"
    )
    op.execute("REVOKE USAGE ON ALL SEQUENCES IN SCHEMA public FROM workup_app")
    op.execute("REVOKE SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public FROM workup_app")
    op.execute("REVOKE USAGE ON SCHEMA public FROM workup_app")
    # The role stays: other databases of the server may have given it something.
