"""Vetoes that are there from the beginning of a processing

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLLATION = "utf8mb4_bin"
SHORT = sa.String(64).with_variant(mysql.VARCHAR(64, collation=COLLATION), "mysql", "mariadb")
PROSE = sa.Text().with_variant(mysql.LONGTEXT(collation=COLLATION), "mysql", "mariadb")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    comment = "names of calibrations that are left out from the start"
    op.add_column("processing", sa.Column("vetoes", sa.JSON(), nullable=False, server_default="[]", comment=comment))

    op.create_table(
        "standing_veto",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", SHORT, nullable=False, comment="of the calibration, in every release"),
        sa.Column("live", sa.Boolean(), nullable=True, comment="true or null: marker of a veto that holds"),
        sa.Column("reason", PROSE, nullable=False),
        sa.Column("begun_by", SHORT, nullable=False),
        sa.Column("begun_at", MOMENT, nullable=False),
        sa.Column("ended_by", SHORT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint("live is null or live = 1", name=op.f("ck_standing_veto_live_marker")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_standing_veto")),
        sa.UniqueConstraint("name", "live", name=op.f("uq_standing_veto_name_live")),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_engine="InnoDB",
    )


def downgrade() -> None:
    op.drop_table("standing_veto")

    op.drop_column("processing", "vetoes")
