"""Failed jobs that wait for somebody's decision

Revision: 0021, after 0020
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    with op.batch_alter_table("job_group") as group:
        comment = "it waits until somebody decides whether it is tried"
        group.add_column(sa.Column("asks_since", MOMENT, nullable=True, comment=comment))


def downgrade() -> None:
    with op.batch_alter_table("job_group") as group:
        group.drop_column("asks_since")
