"""What pages tell of the past: counted from what it is about, and from nothing else."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.core.checksums import digest
from b2cal.core.iov import ExpRun
from b2cal.data import NewFile
from b2cal.loop import results
from b2cal.model import Attempt, JobState, Kind, Outcome, ProcessingState
from b2cal.runtime import Ended
from b2cal.site.queries import board as boards
from b2cal.site.queries.board import board
from b2cal.site.queries.dossier import Dossier, dossier
from b2cal.site.queries.history import durations
from b2cal.site.queries.tags import makers
from tests import factories
from tests.loop.world import Defined, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, (Defined("A"),))


def seen(world: World, name: str, processing: str = "bucket1") -> Dossier:
    with world.database.read() as db:
        number = world.view(db, processing).calibration(name).id
        return dossier(db, number, world.workplace.settings)


def test_what_is_going_on_stands_on_the_board_however_many_newer_ones_are_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "MOST", 2)
    world.process()

    def ended(db: Session) -> None:
        for number in range(3):
            factories.processing(db, name=f"ended{number}", state=ProcessingState.CANCELLED)

    world.database.write(ended)
    with world.database.read() as db:
        assert [row.processing.name for row in board(db)] == ["bucket1", "ended2", "ended1"]


def test_a_payload_equals_the_base_only_where_the_base_has_it_for_the_same_runs(world: World) -> None:
    world.add_to_tag("main", "A", "new", first=102)
    world.process(first=100, last=104)
    world.do("submit", "A")
    world.finish("A", "new")
    assert [made.unchanged for made in seen(world, "A").made] == [False]

    world.process("bucket2", first=105, last=106)
    world.do("submit", "A", processing="bucket2")
    world.finish("A", "new", processing="bucket2")
    assert [made.unchanged for made in seen(world, "A", "bucket2").made] == [True]


def test_files_of_other_processings_are_not_later_files_of_this_one(tmp_path: Path) -> None:
    both = (
        Defined("S", kind=Kind.PRODUCE, data_name="bhabha"),
        Defined("R", ("S",), data_name="bhabha", data_format="cdst"),
    )
    world = World(tmp_path, both)
    world.database.write(lambda db: conditions.create_tag(db, "other"))
    for name, tag in (("bucket1", "main"), ("bucket2", "other")):
        world.process(name, target_tag=tag)
        world.do("submit", "S", processing=name)
    world.advance("S")
    world.files_made("S", set())
    world.judged("S")
    world.advance("S")
    world.do("submit", "R")
    assert world.advance("R").state == "running"
    world.tick(1)

    world.advance("S", "bucket2")
    with world.database.read() as db:
        attempt_id = world.view(db, "bucket2").attempts["S"].id
    made = NewFile("/cdst/other.root", "bhabha", ExpRun(26, 100).number, 100, 1000, 1, digest("other"))
    results.write_down(world.workplace, "bucket2", "S", attempt_id, results.Harvest(Ended(Outcome.FILES), files=[made]))
    assert seen(world, "R").n_later == 0


def test_only_tries_that_failed_are_failures(world: World) -> None:
    world.process()
    world.do("submit", "A")
    world.advance("A")

    def jobs(db: Session) -> None:
        attempt = world.view(db).attempts["A"]
        group = factories.group(db, attempt, jobs=0, iteration=7)
        factories.job(db, group, 0, state=JobState.FAILED, error="boom")
        factories.job(db, group, 1, state=JobState.CANCELLED, error="Not submitted yet: the disk is full")

    world.database.write(jobs)
    assert [(failure.job.error, failure.n_tries) for failure in seen(world, "A").failures] == [("boom", 1)]


def test_how_long_it_will_take_is_not_told_by_what_failed(world: World) -> None:
    world.process()
    world.do("submit", "A")
    world.advance("A")
    world.tick(3600)
    world.jobs_end("A", 1)
    world.do("restart", "A")
    world.advance("A")
    world.tick(5)
    world.jobs_fail("A")
    with world.database.read() as db:
        assert db.query(Attempt).count() == 2
        assert durations(db, ["A"]) == {"A": [timedelta(hours=1)]}


def test_the_makers_of_constants_are_those_that_were_published(world: World) -> None:
    world.process("bucket1", first=100, last=102)
    world.do("submit", "A")
    world.finish("A", 1)
    loop.advance_processing(world.workplace, "bucket1")
    world.process("bucket2", first=103, last=104)
    world.do("submit", "A", processing="bucket2")
    world.finish("A", 2, processing="bucket2")
    with world.database.read() as db:
        assert makers(db) == {"PA": world.view(db, "bucket1").calibration("A").id}
