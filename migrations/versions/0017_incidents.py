"""Incidents

Revision: 0017, after 0016
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

COLLATION = "utf8mb4_bin"
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
PROSE = sa.Text().with_variant(mysql.LONGTEXT(collation=COLLATION), "mysql", "mariadb")
KINDS = sa.Enum("storm", "host", name="incidentkind", native_enum=False, create_constraint=True, length=24)


def text(length: int) -> sa.String:
    return sa.String(length).with_variant(mysql.VARCHAR(length, collation=COLLATION), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "incident",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("centre", text(64), nullable=False),
        sa.Column("kind", KINDS, nullable=False),
        sa.Column("about", text(128), nullable=False, comment="kind of failure, or name of the host"),
        sa.Column("live", sa.Boolean(), nullable=True, comment="true or null: marker of one that is not over"),
        sa.Column("reason", PROSE, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("probe", sa.JSON(), nullable=False, comment="the job that is sent: what its folder is made from"),
        sa.Column("probe_token", text(32), nullable=True, comment="of the probe that is under way"),
        sa.Column("probe_due", MOMENT, nullable=False, comment="when the next one is sent"),
        sa.Column("probes", sa.Integer(), nullable=False, comment="how many have been sent"),
        sa.CheckConstraint("live is null or live = 1", name=op.f("ck_incident_live_marker")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
        sa.UniqueConstraint("centre", "kind", "about", "live", name=op.f("uq_incident_centre_kind_about_live")),
        sa.UniqueConstraint("probe_token", name=op.f("uq_incident_probe_token")),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_engine="InnoDB",
    )
    with op.batch_alter_table("job_group") as group:
        group.add_column(sa.Column("incident_id", BIG, nullable=True, comment="it waits until that is over"))
        group.create_foreign_key(op.f("fk_job_group_incident_id"), "incident", ["incident_id"], ["id"])
    with op.batch_alter_table("job") as job:
        comment = "what it has in common with those that fail alike"
        job.add_column(sa.Column("failure_kind", text(128), nullable=False, server_default="", comment=comment))
    op.create_index(op.f("ix_job_ended_at"), "job", ["ended_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_job_ended_at"), "job")
    with op.batch_alter_table("job") as job:
        job.drop_column("failure_kind")
    with op.batch_alter_table("job_group") as group:
        group.drop_constraint(op.f("fk_job_group_incident_id"), type_="foreignkey")
        group.drop_column("incident_id")
    op.drop_table("incident")
