"""The revisions make what the tables say, and can be taken back."""

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect

from b2cal.core.clock import SystemClock
from b2cal.model import Base, Database, migrate
from b2cal.model.migrate import alembic_config


def differences(database: Database) -> list[object]:
    """Where the database is not what the tables of the code say."""
    with database.engine.connect() as connection:
        compared = compare_metadata(MigrationContext.configure(connection), Base.metadata)
        # A comment is for people; its wording may become better without a revision.
        found = [one for one in compared if not isinstance(one, list) or one[0][0] != "modify_comment"]
        inspector = inspect(connection)
        present = {(t, check["name"]) for t in Base.metadata.tables for check in inspector.get_check_constraints(t)}
    wanted = {
        (table.name, str(constraint.name))
        for table in Base.metadata.sorted_tables
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    return [*found, *sorted(present ^ wanted)]


def test_all_revisions_forth_and_back_and_forth_give_the_tables_of_the_code(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'b2cal.db'}"
    database = Database(url, SystemClock())
    try:
        migrate(url)
        assert differences(database) == []
        command.downgrade(alembic_config(url), "base")
        assert inspect(database.engine).get_table_names() == ["alembic_version"]
        migrate(url)
        assert differences(database) == []
    finally:
        database.dispose()


def test_files_that_were_read_under_the_name_of_their_stream_keep_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'b2cal.db'}"
    migrate(url, "0007")
    with closing(sqlite3.connect(tmp_path / "b2cal.db")) as connection, connection:
        for number, stream in ((1, "bhabha"), (2, "cosmic")):
            row = (number, f"/data/{number}", stream, "raw", 1, 1, 1, 1, "", "2026-11-01 00:00:00.000000", None)
            connection.execute("INSERT INTO data_file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            connection.execute("INSERT INTO attempt_file VALUES (1, ?, ?)", (number, f"sha-{number}"))
    migrate(url)
    with closing(sqlite3.connect(tmp_path / "b2cal.db")) as connection:
        rows = connection.execute("SELECT data_file_id, data_name, sha256 FROM attempt_file ORDER BY 1").fetchall()
    assert rows == [(1, "bhabha", "sha-1"), (2, "cosmic", "sha-2")]
