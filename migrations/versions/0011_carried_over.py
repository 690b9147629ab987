"""Defaults that are taken over from the last published processing

Revision: 0011, after 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "key -> value, of: defaults from the last published processing, frozen"
    column = sa.Column("carried_over", sa.JSON(), nullable=False, server_default="{}", comment=comment)
    op.add_column("calibration", column)


def downgrade() -> None:
    op.drop_column("calibration", "carried_over")
