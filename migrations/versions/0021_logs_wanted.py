"""Running jobs whose log somebody wants to see

Revision: 0021, after 0020
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "wanted_log",
        sa.Column("job_id", BIG, nullable=False),
        sa.Column("wanted_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_wanted_log_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_wanted_log")),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_engine="InnoDB",
    )


def downgrade() -> None:
    op.drop_table("wanted_log")
