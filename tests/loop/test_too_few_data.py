"""Too few data in one of several experiments: the others give constants, there those before stay valid."""

from pathlib import Path
from typing import Any

import pytest

from b2cal import conditions, loop
from b2cal.core.iov import END_OF_EXPERIMENT, ExpRun, IoV
from b2cal.model import DataFile, DataFormat, ProcessingKind, Run, now
from tests.loop.outputs import COLLECTED, MEASURED, fitted, jobs_bring
from tests.loop.world import START, Defined, World

pytestmark = pytest.mark.processes

RICH = IoV(ExpRun(26, 108), ExpRun(26, END_OF_EXPERIMENT))
POOR = IoV(ExpRun(27, 0), ExpRun(27, 1))


def add_experiment_27(world: World) -> None:
    def unit(db: Any) -> None:
        run = ExpRun(27, 1)
        facts = {"attributes": {"Data Quality Tag": ["Good"]}, "expected": {"bhabha": 1000}}
        db.add(Run(exprun=run.number, started_at=START, duration_s=60.0, n_events=1000, **facts))
        db.flush()
        db.add(
            DataFile(
                path="/data/bhabha_27_1.root",
                data_name="bhabha",
                format=DataFormat.RAW,
                exprun=run.number,
                n_events=1000,
                size_bytes=1000,
                mtime_ns=1,
                sha256="2" * 64,
                registered_at=now(db),
            )
        )

    world.database.write(unit)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One calibration over two experiments, whose collect jobs have ended."""
    world = World(tmp_path, (Defined("A"),))
    add_experiment_27(world)
    world.process(runs=IoV(ExpRun(26, 108), ExpRun(27, 1)), kind=ProcessingKind.REPROCESSING)
    world.do("submit", "A")
    world.advance("A")
    jobs_bring(world, COLLECTED)
    world.advance("A")
    return world


def test_the_others_are_published_and_there_the_constants_before_stay_valid(world: World) -> None:
    jobs_bring(world, fitted(RICH, [POOR]))
    world.advance("A")
    jobs_bring(world, MEASURED)
    assert world.advance("A").state == "review"  # the old constants of this world are no file to compare with
    world.do("sign_off", "A")

    with world.database.read() as db:
        view = world.view(db)
        assert loop.why(view, view.calibration("A"), now(db)).sentence.startswith("Too few data;")
        coverage = next(c for c in view.attempts["A"].verdict.checks if c["name"] == "IoVs cover the runs asked for")
        seen = {str(entry.iov): producer for entry, producer in view.would_read("A", {})}
        (change,) = loop.publication_preview(view).changes
    assert coverage["note"] == "Too few data for e27r0 - e27r1: the constants before stay valid there."
    assert seen == {"e26r108 - e27r1": None}
    assert [str(entry.iov) for entry in change.created] == [str(RICH), "e27r0 - open"]

    assert loop.advance_processing(world.workplace, "bucket1").state == "published"
    with world.database.read() as db:
        entries = conditions.tag_entries(db, conditions.tag_named(db, "main").id)
    before, new, after = entries
    assert (before.identity, new.iov, after.iov) == (after.identity, RICH, IoV(ExpRun(27, 0), None))


@pytest.mark.parametrize(
    ("iov", "without_data", "problem"),
    [
        (RICH, [], "PA has no constants for e27r0 - e27r1, which was asked for"),
        (IoV(ExpRun(26, 109), RICH.last), [POOR], "PA has no constants for e26r108 - e26r108, which was asked for"),
        (IoV(RICH.first, POOR.last), [POOR], "but its fit reported too few data for e27r0 - e27r1"),
    ],
)
def test_what_was_not_reported_as_poor_must_be_covered_and_what_was_must_not(
    world: World, iov: IoV, without_data: list[IoV], problem: str
) -> None:
    jobs_bring(world, fitted(iov, without_data))
    assert world.advance("A").state == "failed"
    with world.database.read() as db:
        assert problem in world.view(db).calibration("A").problem
