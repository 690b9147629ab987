import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from b2cal.airflow import metadata
from b2cal.airflow.__main__ import environment, prepare
from b2cal.settings import Settings


def empty(file: Path) -> None:
    file.touch()  # what a process makes that opens a deleted database


def garbage(file: Path) -> None:
    file.write_bytes(b"This is not a database. " * 500)


def without_tables(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE something_else (id INTEGER)")


def complete(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('abc')")
        database.commit()


@pytest.mark.parametrize("make", [empty, garbage, without_tables])
def test_a_file_that_is_no_complete_database_is_made_anew(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "airflow.db")
    assert not metadata._is_readable(tmp_path / "airflow.db")


def test_a_complete_one_is_kept(tmp_path: Path) -> None:
    complete(tmp_path / "airflow.db")
    assert metadata._is_readable(tmp_path / "airflow.db")
    assert not metadata._is_readable(tmp_path / "missing.db")


def test_one_that_is_only_busy_is_not_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "PATIENCE_S", 0.05)
    complete(tmp_path / "airflow.db")
    with closing(sqlite3.connect(tmp_path / "airflow.db", isolation_level=None)) as busy:
        busy.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            metadata._is_readable(tmp_path / "airflow.db")


@pytest.mark.end_to_end
def test_airflows_own_command_makes_it_and_the_unreadable_one_is_set_aside(home: Path) -> None:
    settings = Settings(home=home)
    folder = settings.folder("airflow")
    garbage(folder / "airflow.db")
    (folder / "airflow.db-wal").write_bytes(b"pages of another file")
    prepare(settings, environment(settings, os.environ))
    assert metadata._is_readable(folder / "airflow.db")
    assert (folder / "airflow.unreadable").read_bytes().startswith(b"This is not a database.")
    assert not (folder / "airflow.new").exists()
    made = (folder / "airflow.db").stat().st_ino
    prepare(settings, environment(settings, os.environ))
    assert (folder / "airflow.db").stat().st_ino == made
