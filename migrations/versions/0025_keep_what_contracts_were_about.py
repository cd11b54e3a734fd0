"""A contract keeps the description of its job as it was agreed upon, whatever the job says later."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

# What a job said on the day is not known of contracts that are there already; what it says now is the best there is.
FILL = """
UPDATE contracts SET description = jobs.description FROM jobs WHERE jobs.id = contracts.job_id
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.add_column("contracts", sa.Column("description", sa.Text(), nullable=True))
    op.execute(FILL)
    op.alter_column("contracts", "description", nullable=False)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_column("contracts", "description")
