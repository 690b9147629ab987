"""Days on which windows do not run down

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    name = sa.String(64).with_variant(mysql.VARCHAR(64, collation="utf8mb4_bin"), "mysql", "mariadb")
    moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.create_table(
        "blocked_day",
        sa.Column("processing_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("zone", name, nullable=False, comment="name of the time zone that the day is meant in"),
        sa.Column("starts_at", moment, nullable=False),
        sa.Column("ends_at", moment, nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_blocked_day_ordered")),
        sa.ForeignKeyConstraint(["processing_id"], ["processing.id"], name=op.f("fk_blocked_day_processing_id")),
        sa.PrimaryKeyConstraint("processing_id", "day", name=op.f("pk_blocked_day")),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_engine="InnoDB",
    )


def downgrade() -> None:
    op.drop_table("blocked_day")
