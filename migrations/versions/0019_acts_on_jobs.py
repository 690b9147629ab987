"""Why a job does not run now, and from which round tries count

Revision: 0019, after 0018
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

PROSE = sa.Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    with op.batch_alter_table("job_group") as group:
        comment = "the round from which tries count: somebody asked anew"
        group.add_column(sa.Column("tries_from", sa.Integer(), nullable=False, server_default="0", comment=comment))
    with op.batch_alter_table("job") as job:
        comment = "why it does not run now, as its batch system says"
        job.add_column(sa.Column("pending_reason", PROSE, nullable=False, server_default="", comment=comment))


def downgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.drop_column("pending_reason")
    with op.batch_alter_table("job_group") as group:
        group.drop_column("tries_from")
