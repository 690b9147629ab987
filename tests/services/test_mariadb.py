"""The calibration database on MariaDB: schema, constraints, and units of work that meet others."""

import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table, event, inspect, select, text, update
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from b2cal.core.clock import ManualClock, SystemClock
from b2cal.core.iov import OPEN
from b2cal.model import Attempt, Database, GlobalTag, LocalJob, Run, migrate
from b2cal.model.migrate import NotUpgraded, alembic_config
from tests import factories
from tests.model.test_migrations import KILLED, TELLING, differences, migrating
from tests.services.mariadb import Emptied, MariaDb

pytestmark = pytest.mark.service

LOCK_WAIT, DEADLOCK = 1205, 1213


@pytest.fixture
def database(emptied: Emptied) -> Iterator[Database]:
    database = emptied.database()
    yield database
    database.dispose()


# --- schema ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["mariadb+pymysql", "mysql+pymysql"])
def test_every_revision_goes_up_and_down_and_up_again_alone(mariadb: MariaDb, scheme: str) -> None:
    url = mariadb.new("migrated").replace("mariadb+pymysql", scheme)
    script = ScriptDirectory.from_config(alembic_config(url))
    revisions = [revision.revision for revision in script.walk_revisions()][::-1]
    database = Database(url, SystemClock())
    try:
        for revision in revisions:
            migrate(url, revision)
            command.downgrade(alembic_config(url), "-1")
            migrate(url, revision)
        assert differences(database) == []
        for _ in revisions:
            command.downgrade(alembic_config(url), "-1")
        assert inspect(database.engine).get_table_names() == ["alembic_version"]
    finally:
        database.dispose()


def test_two_upgrades_at_once_wait_for_each_other(mariadb: MariaDb) -> None:
    url = mariadb.new("at_once")
    both = [migrating(TELLING, url) for _ in range(2)]
    told = [one.communicate(timeout=120)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    database = Database(url, SystemClock())
    assert differences(database) == []
    database.dispose()


def test_an_upgrade_that_was_killed_is_told_with_the_way_back(mariadb: MariaDb) -> None:
    url = mariadb.new("killed")
    killed = migrating(KILLED, url, "CREATE TABLE payload")
    assert (killed.communicate(timeout=60)[0], killed.returncode) == ("", -signal.SIGKILL)
    with pytest.raises(NotUpgraded, match="calibration database stopped: Table 'global_tag' already exists") as it:
        migrate(url)
    assert "create it empty, load the dump from before the upgrade" in it.value.hint
    migrate(mariadb.new("killed"))


def test_all_tables_keep_transactions_and_all_characters(database: Database) -> None:
    with database.engine.connect() as connection:
        connection.execute(text("USE information_schema"))
        columns = Table("COLUMNS", MetaData(), autoload_with=connection)
        tables = Table("TABLES", MetaData(), autoload_with=connection)
        texts = connection.execute(
            select(columns.c.TABLE_NAME, columns.c.COLUMN_NAME, columns.c.CHARACTER_SET_NAME).where(
                columns.c.TABLE_SCHEMA == "emptied", columns.c.CHARACTER_SET_NAME.is_not(None)
            )
        ).all()
        engines = connection.execute(
            select(tables.c.TABLE_NAME, tables.c.ENGINE).where(tables.c.TABLE_SCHEMA == "emptied")
        ).all()
    assert {row for row in texts if row[0] != "alembic_version" and row[2] != "utf8mb4"} == set()
    assert {row for row in engines if row[1] != "InnoDB"} == set()


# --- what a row may hold ---------------------------------------------------------------------------------------------


def test_an_open_end_and_a_microsecond_come_back_as_they_were(database: Database) -> None:
    at = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)

    def unit(db: Session) -> None:
        facts: dict[str, Any] = {"duration_s": 0.1, "n_events": 1 << 40, "attributes": {"µ": [1]}, "expected": {}}
        db.add(Run(exprun=OPEN, started_at=at, **facts))

    database.write(unit)
    with database.read() as db:
        run = db.scalars(select(Run)).one()
        assert (run.exprun, run.started_at, run.duration_s, run.n_events) == (OPEN, at, 0.1, 1 << 40)
        assert run.attributes == {"µ": [1]}


def test_names_that_differ_in_case_or_an_accent_are_two(database: Database) -> None:
    for name in ("main", "Main", "maïn"):
        database.write(lambda db, name=name: factories.tag(db, name))
    with database.read() as db:
        assert db.scalar(select(GlobalTag.name).where(GlobalTag.name == "Main")) == "Main"


def second_live_attempt(db: Session) -> None:
    its = factories.attempt(db)
    columns = {column.key: getattr(its, column.key) for column in Attempt.__table__.columns if column.key != "id"}
    db.add(Attempt(**columns | {"number": its.number + 1}))


def second_group_of_a_token(db: Session) -> None:
    attempt = factories.attempt(db)
    for number in range(2):
        factories.group(db, attempt, token="a" * 32, iteration=number)


def second_job_of_an_epoch(db: Session) -> None:
    at = datetime.now(UTC)
    for _ in range(2):
        db.add(LocalJob(token="a" * 32, epoch=1, number=0, folder="f", state="queued", queued_at=at, changed_at=at))
        db.flush()


@pytest.mark.parametrize("unit", [second_live_attempt, second_group_of_a_token, second_job_of_an_epoch])
def test_what_must_be_alone_is_refused_twice(database: Database, unit: Callable[[Session], None]) -> None:
    with pytest.raises(IntegrityError, match="Duplicate entry"):
        database.write(unit)


def test_attempts_that_live_no_longer_may_be_many(database: Database) -> None:
    def unit(db: Session) -> None:
        calibration = factories.calibration(db)
        for _ in range(3):
            factories.attempt(db, calibration)

    database.write(unit)
    with database.read() as db:
        assert sorted(map(str, db.scalars(select(Attempt.live)))) == ["None", "None", "True"]


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE calibration SET state = 'asleep'", "ck_calibration_state"),
        ("UPDATE processing SET run_first = run_last + 1", "ck_processing_runs_ordered"),
        ("UPDATE person SET role = 'loop'", "ck_person_can_log_in"),
        ("UPDATE attempt SET live = 0", "ck_attempt_live_marker"),
        ("UPDATE attempt SET runs = 'no JSON'", "runs"),
    ],
)
def test_what_a_column_cannot_hold_is_refused(database: Database, statement: str, constraint: str) -> None:
    database.write(factories.attempt)
    with pytest.raises(DatabaseError, match=constraint):
        database.write(lambda db: db.execute(text(statement)))


def test_a_reference_to_nothing_is_refused(database: Database) -> None:
    database.write(factories.attempt)
    with pytest.raises(IntegrityError, match="foreign key"):
        database.write(lambda db: db.execute(text("UPDATE processing SET base_tag_id = 4711")))


# --- units of work ---------------------------------------------------------------------------------------------------


def two_tags(database: Database) -> None:
    database.write(lambda db: [factories.tag(db, name) for name in ("one", "two")])


def touch(db: Session, name: str) -> None:
    db.execute(update(GlobalTag).where(GlobalTag.name == name).values(version=GlobalTag.version + 1))


def versions(database: Database) -> dict[str, int]:
    with database.read() as db:
        return {tag.name: tag.version for tag in db.scalars(select(GlobalTag))}


class Errors:
    """The numbers of the errors that a database reports to its client."""

    def __init__(self, database: Database) -> None:
        self.numbers: list[int] = []
        event.listen(database.engine, "handle_error", self._note)

    def _note(self, context: Any) -> None:
        self.numbers.append(context.original_exception.args[0])


def test_a_unit_that_is_chosen_as_the_victim_of_a_deadlock_is_repeated_as_a_whole(database: Database) -> None:
    """Somebody else, not b2cal, takes the same two rows in the other order."""
    two_tags(database)
    errors = Errors(database)
    holds_two, tries = threading.Event(), []
    with database.engine.connect() as other:
        other.execute(text("UPDATE global_tag SET version = version + 10 WHERE name = 'two'"))
        # The transaction that wrote more is not the victim.
        other.execute(text("INSERT INTO unreadable_file SELECT CONCAT(seq, ''), '', NOW() FROM seq_1_to_100"))

        def unit(db: Session) -> None:
            tries.append(1)
            touch(db, "one")
            holds_two.set()
            touch(db, "two")

        writer = threading.Thread(target=database.write, args=(unit,))
        writer.start()
        assert holds_two.wait(30)
        other.execute(text("UPDATE global_tag SET version = version + 10 WHERE name = 'one'"))
        other.commit()
        writer.join(30)
    assert not writer.is_alive()
    assert errors.numbers == [DEADLOCK]
    assert len(tries) == 2
    assert versions(database) == {"one": 12, "two": 12}


def test_a_unit_that_waited_too_long_for_a_lock_is_repeated(database: Database) -> None:
    two_tags(database)
    errors = Errors(database)

    @event.listens_for(database.engine, "connect")
    def impatient(connection: Any, _record: Any) -> None:
        connection.cursor().execute("SET innodb_lock_wait_timeout = 1")

    database.dispose()
    with database.engine.connect() as other:
        other.execute(text("UPDATE global_tag SET version = version + 10 WHERE name = 'one'"))
        writer = threading.Thread(target=database.write, args=(lambda db: touch(db, "one"),))
        writer.start()
        while not errors.numbers:
            writer.join(0.05)
            assert writer.is_alive()
        other.commit()
        writer.join(30)
    assert set(errors.numbers) == {LOCK_WAIT}
    assert versions(database) == {"one": 12, "two": 1}


def test_units_are_carried_out_one_after_the_other_so_what_they_looked_at_holds(database: Database) -> None:
    """Each of the two adds a tag if there is none: only one does, although they begin at the same time."""
    at_once = threading.Barrier(2)

    def unit(db: Session) -> None:
        if db.scalar(select(GlobalTag.id)) is None:
            factories.tag(db)

    def begin() -> None:
        at_once.wait(30)
        database.write(unit)

    for _ in range(20):
        database.write(lambda db: db.execute(text("DELETE FROM global_tag")))
        writers = [threading.Thread(target=begin) for _ in range(2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(30)
        assert len(versions(database)) == 1


def test_who_reads_sees_one_moment_and_waits_for_nobody(database: Database) -> None:
    two_tags(database)
    with database.read() as db:
        before = db.execute(select(GlobalTag.version)).all()
        database.write(lambda other: touch(other, "one"))
        assert db.execute(select(GlobalTag.version)).all() == before
    assert versions(database)["one"] == 2

    def unit(db: Session) -> None:
        touch(db, "one")
        assert versions(database)["one"] == 2

    database.write(unit)


def test_the_databases_time_is_utc_whatever_the_server_is_set_to(database: Database) -> None:
    with database.read() as db:
        there = db.execute(text("SELECT CURRENT_TIMESTAMP")).scalar_one()
    assert abs(datetime.now(UTC) - there.replace(tzinfo=UTC)).total_seconds() < 60


def test_a_database_that_is_not_there_is_an_error_at_once(mariadb: MariaDb) -> None:
    database = Database(mariadb.url("missing"), ManualClock(datetime(2026, 11, 1, tzinfo=UTC)))
    with pytest.raises(OperationalError, match="missing"):
        database.write(lambda db: db.execute(text("SELECT 1")))
    database.dispose()
