"""Times in which people could reach the site

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.create_table(
        "site_presence",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("away_since", moment, nullable=True, comment="last sign of life before; null = the first"),
        sa.Column("began_at", moment, nullable=False),
        sa.Column("seen_at", moment, nullable=False, comment="last sign of life of the site"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site_presence")),
        sa.UniqueConstraint("away_since", name=op.f("uq_site_presence_away_since")),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_engine="InnoDB",
    )


def downgrade() -> None:
    op.drop_table("site_presence")
