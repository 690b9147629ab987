"""Units of work: all of one or nothing, and again when somebody else was in the way."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from b2cal.model import Database, Person
from tests import factories


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = factories.database(tmp_path)
    yield database
    database.dispose()


def people(database: Database) -> int:
    with database.read() as db:
        return db.scalar(select(func.count()).select_from(Person)) or 0


def test_a_unit_waits_for_another_writer_even_when_the_database_refuses_at_once(
    database: Database, tmp_path: Path
) -> None:
    refused = threading.Event()
    without_patience(database.engine, refused)
    with closing(sqlite3.connect(tmp_path / "b2cal.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer = threading.Thread(target=lambda: database.write(factories.person))
        writer.start()
        assert refused.wait(timeout=30)
        other.execute("COMMIT")
        writer.join()
    assert people(database) == 1


def without_patience(engine: Engine, refused: threading.Event) -> None:
    """Let SQLite say at once that it is locked, and tell that it has said so."""

    @event.listens_for(engine, "connect")
    def impatient(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout = 0")

    @event.listens_for(engine, "handle_error")
    def note(_context: ExceptionContext) -> None:
        refused.set()


CONFLICTS = {
    "SQLite": sqlite3.OperationalError("database is locked"),
    "lock wait of MariaDB": Exception(1205, "Lock wait timeout exceeded; try restarting transaction"),
    "deadlock of MariaDB": Exception(1213, "Deadlock found when trying to get lock; try restarting transaction"),
}


@pytest.mark.parametrize("said", CONFLICTS.values(), ids=CONFLICTS.keys())
def test_a_unit_that_meets_a_conflict_is_repeated_as_a_whole(database: Database, said: Exception) -> None:
    tries = []

    def unit(db: Session) -> int:
        tries.append(len(tries))
        factories.person(db, f"try-{len(tries)}")
        if len(tries) < 3:
            raise OperationalError("UPDATE", {}, said)
        return len(tries)

    assert database.write(unit) == 3
    with database.read() as db:
        assert db.scalars(select(Person.username)).all() == ["try-3"]


@pytest.mark.parametrize("error", [OperationalError("UPDATE", {}, Exception(1064, "syntax")), KeyError("a defect")])
def test_what_is_no_conflict_is_raised_at_once_and_nothing_is_written(database: Database, error: Exception) -> None:
    tries = []

    def unit(db: Session) -> None:
        tries.append(1)
        factories.person(db)
        raise error

    with pytest.raises(type(error)):
        database.write(unit)
    assert (len(tries), people(database)) == (1, 0)


def test_from_what_a_unit_reads_to_what_it_writes_nobody_else_writes(database: Database, tmp_path: Path) -> None:
    def unit(db: Session) -> None:
        db.scalars(select(Person)).all()
        with (
            closing(sqlite3.connect(tmp_path / "b2cal.db", timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("DELETE FROM person")
        factories.person(db)

    database.write(unit)
    assert people(database) == 1


def test_a_reader_sees_one_snapshot_while_others_write(database: Database) -> None:
    with database.read() as db:
        before = db.scalar(select(func.count()).select_from(Person))
        database.write(factories.person)
        after: Any = db.scalar(select(func.count()).select_from(Person))
    assert (before, after, people(database)) == (0, 0, 1)
