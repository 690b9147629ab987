"""Runs for which an attempt had too few data

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Attempts that were ended before have constants for all runs or for none.
    comment = "runs with too few data, as [first, last]; the constants before stay valid there"
    op.add_column("attempt", sa.Column("without_data", sa.JSON(), nullable=False, server_default="[]", comment=comment))


def downgrade() -> None:
    op.drop_column("attempt", "without_data")
