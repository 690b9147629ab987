"""The data name under which an attempt reads a file

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAME = sa.String(64).with_variant(mysql.VARCHAR(64, collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    op.add_column("attempt_file", sa.Column("data_name", NAME, nullable=False, server_default=""))

    # Until now a file was read under the name of its stream.
    op.execute(
        "UPDATE attempt_file SET data_name ="
        " (SELECT data_file.data_name FROM data_file WHERE data_file.id = attempt_file.data_file_id)"
    )

    _set_primary_key("attempt_id", "data_file_id", "data_name")


def downgrade() -> None:
    # A file that is read under several names is kept once.
    op.execute(
        "DELETE FROM attempt_file WHERE EXISTS (SELECT 1 FROM (SELECT * FROM attempt_file) AS other"
        " WHERE other.attempt_id = attempt_file.attempt_id AND other.data_file_id = attempt_file.data_file_id"
        " AND other.data_name < attempt_file.data_name)"
    )

    _set_primary_key("attempt_id", "data_file_id")

    op.drop_column("attempt_file", "data_name")


def _set_primary_key(*columns: str) -> None:
    if op.get_context().dialect.name != "sqlite":
        # In one statement, because a foreign key needs an index at every moment.
        op.execute(f"ALTER TABLE attempt_file DROP PRIMARY KEY, ADD PRIMARY KEY ({', '.join(columns)})")
        return
    without_key = sa.Table(
        "attempt_file",
        sa.MetaData(),
        sa.Column("attempt_id", BIG, nullable=False),
        sa.Column("data_file_id", BIG, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("data_name", NAME, nullable=False, server_default=""),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_attempt_file_attempt_id")),
        sa.ForeignKeyConstraint(["data_file_id"], ["data_file.id"], name=op.f("fk_attempt_file_data_file_id")),
    )
    with op.batch_alter_table("attempt_file", copy_from=without_key) as attempt_file:
        attempt_file.create_primary_key(op.f("pk_attempt_file"), list(columns))
