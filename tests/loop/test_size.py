"""What one look at a processing reads does not grow with what lies beside it: long tags, many runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.core.checksums import digest
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import Database, DataFile, TagIov
from tests.loop.world import DIAMOND, Defined, World

Asked = list[tuple[str, tuple[object, ...]]]


RUNS = "attempt.runs"


@contextmanager
def asked(database: Database) -> Iterator[Asked]:
    """The statements that are carried out meanwhile, with their parameters."""
    statements: Asked = []

    def note(_connection: object, _cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        statements.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


def n_rows(database: Database, statements: Asked) -> int:
    """How many rows these questions give."""
    with database.engine.connect() as connection:
        return sum(len(connection.exec_driver_sql(*one).fetchall()) for one in statements)


def long_tag(db: Session, names: str, n_before: int) -> None:
    """A tag with many IoVs before the runs of the processing, and one that covers these."""
    tag_id = conditions.create_tag(db, "long")
    for name in names:
        entry = World.constants(db, name, "curated", ExpRun(26, 0))
        conditions.publish(db, tag_id, [entry])
        before = [IoV(ExpRun(1, run), ExpRun(1, run)) for run in range(n_before)]
        db.add_all(
            TagIov(
                tag_id=tag_id, name=entry.name, payload_id=entry.payload_id, first=it.first.number, last=it.last_number
            )
            for it in before
        )


def test_of_the_fallback_of_vetoes_only_what_stands_in_is_read_and_only_once(tmp_path: Path) -> None:
    readers = tuple(Defined(f"R{number}", ("A", "B")) for number in range(8))
    world = World(tmp_path, (Defined("A"), Defined("B"), *readers))
    world.process()
    world.database.write(lambda db: long_tag(db, "ABCDE", n_before=50))
    for name in "AB":
        world.do("veto", name, fallback_tag="long")
    for reader in readers:
        world.do("submit", reader.name)
        world.finish(reader.name, 1)
    with asked(world.database) as statements, world.database.read() as db:
        view = world.view(db)
        assert {view.standing(name).freshness.value for name in view.calibrations} == {"fresh"}
        reads = {entry.identity for entry, who in view.would_read("R1", {}) if who in ("A", "B")}
    assert len(reads) == 2
    of_tags = [one for one in statements if "FROM tag_iov" in one[0]]
    assert len(of_tags) == 2
    assert n_rows(world.database, of_tags) == 2


def test_the_runs_of_attempts_are_not_read_where_nobody_looks_at_them(world: World) -> None:
    for it in DIAMOND:
        world.do("submit", it.name)
        world.advance(it.name)
        with asked(world.database) as statements:
            world.jobs_end(it.name, 1)
            world.judged(it.name)
            world.advance(it.name)
        assert not [statement for statement, _ in statements if RUNS in statement.partition("FROM")[0]]
    with world.database.read() as db:
        assert [run["taken"] for run in world.view(db).attempts["A"].runs] == [True] * 5


WRITING = ("BEGIN IMMEDIATE", "SELECT version_num FROM alembic_version FOR UPDATE")


def test_runs_and_files_are_looked_through_once_for_a_start_and_nobody_waits_for_that(world: World) -> None:
    world.do("submit", "A")
    with asked(world.database) as statements:
        world.advance("A")
    assert world.state("A") == "running"
    begins = next(number for number, (text, _) in enumerate(statements) if text in WRITING)
    looks = [number for number, (text, _) in enumerate(statements) if "exprun BETWEEN" in text]
    assert len(looks) == 2  # runs, and files
    assert max(looks) < begins


def test_what_arrives_between_the_look_and_the_start_counts(world: World) -> None:
    world.do("submit", "A")
    others = Database(world.database.engine.url.render_as_string(hide_password=False), world.clock)

    to_come = [late_file]

    def registers(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement in WRITING and to_come:
            others.write(to_come.pop())

    event.listen(world.database.engine, "before_cursor_execute", registers)
    world.advance("A")
    others.dispose()
    assert not to_come
    with world.database.read() as db:
        view = world.view(db)
        waits = loop.why(view, view.calibration("A"), world.clock.now())
    assert waits.sentence.startswith("Waits for its inputs. More than expected: 2,000 of 1,000 events of bhabha")


def late_file(db: Session) -> None:
    first = db.scalars(select(DataFile).order_by(DataFile.exprun)).first()
    assert first is not None
    same = {column.key: getattr(first, column.key) for column in DataFile.__table__.columns}
    late = {"id": None, "path": "/data/late.root", "sha256": digest("late")}
    db.add(DataFile(**same | late))
    loop.data_arrived(db)
