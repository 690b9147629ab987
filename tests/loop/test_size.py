"""What one look at a processing reads does not grow with what lies beside it: long tags, many runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.orm import Session

from b2cal import conditions
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import Database, TagIov
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
