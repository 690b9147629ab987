"""What is too long for its column is refused on SQLite as on MariaDB, with a sentence for people."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from b2cal.model import Database, Person, UnreadableFile, now
from b2cal.model.lengths import TooLong
from tests import factories


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.service)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = factories.database(tmp_path)
    else:
        database = request.getfixturevalue("emptied").database()
    yield database
    database.dispose()


def added(db: Session, name: str) -> None:
    factories.person(db, full_name=name)


def changed(db: Session, name: str) -> None:
    factories.person(db).full_name = name


def updated(db: Session, name: str) -> None:
    factories.person(db)
    db.execute(update(Person).values(full_name=name))


def in_bulk(db: Session, name: str) -> None:
    row = {"username": "ruth", "role": "expert", "password_hash": ""}
    db.execute(insert(Person), [{**row, "full_name": "Ruth"}, {**row, "username": "tracking", "full_name": name}])


@pytest.mark.parametrize("write", [added, changed, updated, in_bulk])
def test_one_character_too_many_is_refused_and_nothing_is_written(
    database: Database, write: Callable[[Session, str], None]
) -> None:
    with pytest.raises(TooLong, match="The full name of a person may have at most 128 characters, not 129: µµµ"):
        database.write(lambda db: write(db, "µ" * 129))
    with database.read() as db:
        assert db.scalars(select(Person)).all() == []
    database.write(lambda db: write(db, "µ" * 128))
    with database.read() as db:
        assert db.get_one(Person, "tracking").full_name == "µ" * 128


def test_a_text_without_limit_may_be_long_and_who_looks_for_something_long_finds_nothing(database: Database) -> None:
    database.write(lambda db: db.add(UnreadableFile(path="/data", reason="x" * 100_000, seen_at=now(db))))
    with database.read() as db:
        assert db.get(Person, "x" * 1000) is None
