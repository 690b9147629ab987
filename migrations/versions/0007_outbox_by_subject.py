"""What each side effect is about, and when it is tried again

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLLATION = "utf8mb4_bin"
SHORT = sa.String(64).with_variant(mysql.VARCHAR(64, collation=COLLATION), "mysql", "mariadb")
PROSE = sa.Text().with_variant(mysql.LONGTEXT(collation=COLLATION), "mysql", "mariadb")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    about = "side effects of one kind about one thing keep their order"
    op.add_column("outbox", sa.Column("about", SHORT, nullable=False, server_default="", comment=about))

    op.add_column("outbox", sa.Column("not_before", MOMENT, nullable=True, comment="after a failure"))

    op.add_column("outbox", sa.Column("given_up_at", MOMENT, nullable=True))

    error = "of the last try that failed"
    op.add_column("outbox", sa.Column("error", PROSE, nullable=False, server_default="", comment=error))


def downgrade() -> None:
    op.drop_column("outbox", "error")

    op.drop_column("outbox", "given_up_at")

    op.drop_column("outbox", "not_before")

    op.drop_column("outbox", "about")
