"""Incomplete inputs are put to the manager

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "inputs that stay incomplete for so long are put to the manager"
    column = sa.Column("inputs_patience_s", sa.Double(), nullable=False, server_default="86400", comment=comment)
    op.add_column("processing", column)

    moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    comment = "since when only its inputs keep it from starting"
    op.add_column("calibration", sa.Column("incomplete_since", moment, nullable=True, comment=comment))


def downgrade() -> None:
    op.drop_column("calibration", "incomplete_since")

    op.drop_column("processing", "inputs_patience_s")
