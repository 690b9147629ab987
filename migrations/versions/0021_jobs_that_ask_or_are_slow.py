"""Failed jobs that wait for somebody's decision, jobs that run far longer than their siblings

Revision: 0021, after 0020
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

PROSE = sa.Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), "mysql", "mariadb")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    with op.batch_alter_table("job_group") as group:
        comment = "it waits until somebody decides whether it is tried"
        group.add_column(sa.Column("asks_since", MOMENT, nullable=True, comment=comment))
    with op.batch_alter_table("job") as job:
        comment = "that it ran far longer than its siblings, and how long they needed"
        job.add_column(sa.Column("slow", PROSE, nullable=False, server_default="", comment=comment))


def downgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.drop_column("slow")
    with op.batch_alter_table("job_group") as group:
        group.drop_column("asks_since")
