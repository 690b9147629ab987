"""Which code the jobs of an attempt run

Revision: 0012, after 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NAME = sa.String(64).with_variant(mysql.VARCHAR(64, collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    comment = "of b2cal, which its jobs run; null before there are"
    op.add_column("attempt", sa.Column("code_version", NAME, nullable=True, comment=comment))

    op.add_column("attempt", sa.Column("code_digest", NAME, nullable=True, comment="hash over that code"))


def downgrade() -> None:
    op.drop_column("attempt", "code_digest")

    op.drop_column("attempt", "code_version")
