"""Life of files: watched folders, until when files are kept, copies in a second place

Revision: 0020, after 0019
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COLLATION = "utf8mb4_bin"
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
PROSE = sa.Text().with_variant(mysql.LONGTEXT(collation=COLLATION), "mysql", "mariadb")
STATES = sa.Enum(
    "wanted", "copying", "done", "failed", name="copystate", native_enum=False, create_constraint=True, length=24
)
TABLE = {
    "mysql_charset": "utf8mb4",
    "mysql_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
}


def text(length: int) -> sa.String:
    return sa.String(length).with_variant(mysql.VARCHAR(length, collation=COLLATION), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "watch",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("place", text(700), nullable=False, comment="a folder, or its address behind a door"),
        sa.Column("stream", text(64), nullable=False, comment="only its files; empty = those of all streams"),
        sa.Column("keep_days", sa.Integer(), nullable=True, comment="new files may go so long after their arrival"),
        sa.Column("live", sa.Boolean(), nullable=True, comment="true or null: marker of a watch that goes on"),
        sa.Column("begun_by", text(64), nullable=False),
        sa.Column("begun_at", MOMENT, nullable=False),
        sa.Column("ended_by", text(64), nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("scanned_at", MOMENT, nullable=True, comment="the last time that this succeeded"),
        sa.Column("failing_since", MOMENT, nullable=True),
        sa.Column("error", PROSE, nullable=False),
        sa.CheckConstraint("live is null or live = 1", name=op.f("ck_watch_live_marker")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watch")),
        sa.UniqueConstraint("place", "stream", "live", name=op.f("uq_watch_place_stream_live")),
        **TABLE,
    )
    op.create_table(
        "file_copy",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("data_file_id", BIG, nullable=False),
        sa.Column("target", text(700), nullable=False, comment="where it lies when it is done"),
        sa.Column("state", STATES, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", PROSE, nullable=False, comment="of the last try"),
        sa.Column("not_before", MOMENT, nullable=False, comment="when it is tried again"),
        sa.Column("wanted_at", MOMENT, nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["data_file_id"], ["data_file.id"], name=op.f("fk_file_copy_data_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_copy")),
        sa.UniqueConstraint("data_file_id", name=op.f("uq_file_copy_data_file_id")),
        **TABLE,
    )
    op.create_index(op.f("ix_file_copy_state_not_before"), "file_copy", ["state", "not_before"])
    with op.batch_alter_table("data_file") as file:
        comment = "its storage may delete it from then on; null = never"
        file.add_column(sa.Column("expires_at", MOMENT, nullable=True, comment=comment))


def downgrade() -> None:
    op.drop_table("file_copy")
    with op.batch_alter_table("data_file") as file:
        file.drop_column("expires_at")
    op.drop_table("watch")
