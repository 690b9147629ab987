"""How jobs failed, and what memory they ask for

Revision: 0016, after 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SOURCES = ("signal", "exit", "output", "hold", "lsf", "lost")


def upgrade() -> None:
    source = sa.Enum(*SOURCES, name="source", native_enum=False, create_constraint=True, length=24)
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("source", source, nullable=True, comment="who says that it failed"))
        comment = "signal, exit code, or code of the hold reason"
        job.add_column(sa.Column("code", sa.Integer(), nullable=True, comment=comment))
        comment = "what it asks for; NULL = the usual of its centre"
        job.add_column(sa.Column("memory_mb", sa.Integer(), nullable=True, comment=comment))


def downgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.drop_constraint(op.f("ck_job_source"), type_="check")
        job.drop_column("memory_mb")
        job.drop_column("code")
        job.drop_column("source")
