"""The revisions make what the tables say, and can be taken back."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect

from b2cal.core.clock import SystemClock
from b2cal.model import Base, Database, migrate
from b2cal.model.migrate import NotUpgraded, alembic_config


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


def test_what_was_rejected_before_is_known_afterwards(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'b2cal.db'}"
    migrate(url, "0022")
    with closing(sqlite3.connect(tmp_path / "b2cal.db")) as connection, connection:
        connection.execute(
            "INSERT INTO attempt (calibration_id, submission_id, number, seed, runs, started_at, converged,"
            " without_data, message, rejected) VALUES (1, 1, 1, '5eed', '[]', '2026-11-01', 1, '[]', '', 1)"
        )
    migrate(url)
    with closing(sqlite3.connect(tmp_path / "b2cal.db")) as connection:
        assert connection.execute("SELECT combination, rejected FROM attempt").fetchall() == [("5eed", 1)]


KILLED = """
import os, signal, sys
from sqlalchemy import Engine, event
from b2cal.model import migrate

@event.listens_for(Engine, "before_cursor_execute")
def die(_connection, _cursor, statement, *_rest):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

migrate(sys.argv[1])
"""


def migrating(script: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.processes
@pytest.mark.parametrize(
    "before",
    [
        "CREATE TABLE alembic_version",
        "CREATE TABLE payload",
        "INSERT INTO alembic_version",
        "ADD COLUMN without_data",
        "SET version_num='0003'",
        "DROP TABLE decision",
        "RENAME TO calibration",
        "SET version_num='0014'",
    ],
)
def test_who_is_killed_at_a_statement_leaves_nothing_that_the_next_would_stumble_over(
    tmp_path: Path, before: str
) -> None:
    url = f"sqlite:///{tmp_path / 'b2cal.db'}"
    killed = migrating(KILLED, url, before)
    assert (killed.wait(60), killed.communicate()[0]) == (-9, "")
    migrate(url)
    database = Database(url, SystemClock())
    assert differences(database) == []
    database.dispose()


TELLING = """
import sys
from sqlalchemy import Engine, event
from b2cal.model import migrate

event.listen(Engine, "begin", lambda _connection: print("begins", flush=True))
migrate(sys.argv[1])
"""


@pytest.mark.processes
def test_of_two_at_once_one_waits_for_the_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'b2cal.db'}"
    with closing(sqlite3.connect(tmp_path / "b2cal.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        both = [migrating(TELLING, url) for _ in range(2)]
        assert [one.stdout and one.stdout.readline() for one in both] == ["begins\n", "begins\n"]
        other.execute("COMMIT")
    told = [one.communicate(timeout=60)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    database = Database(url, SystemClock())
    assert differences(database) == []
    database.dispose()


def test_a_revision_that_cannot_be_carried_through_changes_nothing_and_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'b2cal.db'}"
    migrate(url, "0013")
    with closing(sqlite3.connect(tmp_path / "b2cal.db")) as connection:
        connection.execute("CREATE TABLE _alembic_tmp_decision (id INTEGER)")
    with pytest.raises(NotUpgraded, match="stopped: table _alembic_tmp_decision already exists") as told:
        migrate(url)
    assert told.value.hint.startswith("It is as it was before")
    with closing(sqlite3.connect(tmp_path / "b2cal.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0013",)]
        connection.execute("DROP TABLE _alembic_tmp_decision")
    migrate(url)
