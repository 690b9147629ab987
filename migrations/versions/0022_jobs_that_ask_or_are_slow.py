"""Failed jobs that wait for somebody's decision, jobs that run far longer than their siblings, copies that race them

Revision: 0022, after 0021
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PROSE = sa.Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), "mysql", "mariadb")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    with op.batch_alter_table("job_group") as group:
        comment = "it waits until somebody decides whether it is tried"
        group.add_column(sa.Column("asks_since", MOMENT, nullable=True, comment=comment))
    with op.batch_alter_table("job") as job:
        comment = "that it ran far longer than its siblings, and how long they needed"
        job.add_column(sa.Column("slow", PROSE, nullable=False, server_default="", comment=comment))
        comment = "the job that it races: who is done first counts"
        job.add_column(sa.Column("copy_of", BIG, nullable=True, comment=comment))
        job.create_foreign_key(op.f("fk_job_copy_of"), "job", ["copy_of"], ["id"])
    op.create_index(op.f("ix_job_copy_of"), "job", ["copy_of"])


def downgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.drop_constraint(op.f("fk_job_copy_of"), type_="foreignkey")
    op.drop_index(op.f("ix_job_copy_of"), "job")
    with op.batch_alter_table("job") as job:
        job.drop_column("copy_of")
        job.drop_column("slow")
    with op.batch_alter_table("job_group") as group:
        group.drop_column("asks_since")
