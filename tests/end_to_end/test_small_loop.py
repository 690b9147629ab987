"""Whole loops with the four real processes of Airflow, the agent and the site."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal import loop, releases
from b2cal.cli import furnishing
from b2cal.cli.data import TOYDETECTOR
from b2cal.core.iov import IoV
from b2cal.loop import Act, NewProcessing, ProcessingView
from b2cal.model import Decision, Job, JobGroup, JobState, Run, Stage
from tests.end_to_end.conftest import DemoRun
from tests.small_loop import BUCKET, MANAGER, SmallLoop
from tests.waiting import wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(900)]

MASK, LAST = "Channel mask", "Momentum scale"
TUNED = "tuned"
BROKEN = "this release is not finished"


@pytest.fixture
def small(tmp_path: Path, furnished: Path) -> Iterator[SmallLoop]:
    small = SmallLoop(tmp_path / "home", furnished)
    yield small
    small.end()


# --- two at once ------------------------------------------------------------------------------------------------------


def test_of_two_processings_at_once_one_fails_and_the_other_publishes_what_it_does_alone(
    small: SmallLoop, small_demo: DemoRun, simulated: Path, tmp_path: Path
) -> None:
    """Other tag, overlapping runs, modules of the same names with other code in them."""
    releases.add(small.workplace.database, small.workplace.settings, tuned_release(tmp_path / "release"))
    furnishing.seed_tag(small.workplace, TUNED, simulated / "nominal")
    begin_tuned(small)
    before = small.identities(TUNED)
    small.begin()
    small.up()
    wait_for(lambda: tuned_states(small).get("Time offsets") == "failed", "the failure", 300)
    assert small.state == "active"  # both at once
    small.until_published()
    assert small.identities() == small_demo.identities()
    assert tuned_states(small) == {"Pedestals": "signed_off", MASK: "signed_off", "Time offsets": "failed"}
    with small.workplace.database.read() as db:
        ours, tuned = ProcessingView.of(db, BUCKET), ProcessingView.of(db, TUNED)
        assert BROKEN in tuned.calibration("Time offsets").problem
        assert mask_of(ours).isdisjoint(mask_of(tuned))
        assert tuned.runs != ours.runs
        assert ours.runs.overlap(tuned.runs) is not None
    assert small.identities(TUNED) == before
    assert small.doubled() == []
    assert small.down() == 0
    assert small.processes() == []


def tuned_release(folder: Path) -> Path:
    """The first scripts of the toy detector with other contents: one marks channels otherwise, one raises."""
    shutil.copytree(TOYDETECTOR / "release", folder, ignore=shutil.ignore_patterns("__pycache__"))
    change(folder / "channel_mask.py", "GOOD, DEAD, HOT = range(3)", "GOOD, DEAD, HOT = 0, 2, 1")
    change(folder / "time_offsets.py", 'crystal = events["cell_crystal"]', f'raise RuntimeError("{BROKEN}")')
    manifest = folder / "release.toml"
    first, _, _ = manifest.read_text().partition('[[definition]]\nscript = "alignment"')
    manifest.write_text(first)
    change(manifest, 'name = "toydetector"', f'name = "{TUNED}"')
    return folder


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def begin_tuned(small: SmallLoop) -> None:
    """Activate a second processing, into a tag of its own, over all runs but the first."""

    def unit(db: Session) -> None:
        runs = sorted(db.scalars(select(Run.exprun)))
        wanted = NewProcessing(
            name=TUNED,
            runs=IoV.from_numbers(runs[1], runs[-1]),
            release=TUNED,
            manager=furnishing.MANAGER,
            base_tag=TUNED,
            target_tag=TUNED,
            window_s=furnishing.SMALL.window_s,
        )
        planned = loop.create_processing(db, wanted)
        loop.activate(db, planned.id, loop.Room(), Act(MANAGER, planned.version))

    small.workplace.database.write(unit)


def tuned_states(small: SmallLoop) -> dict[str, str]:
    with small.workplace.database.read() as db:
        return {name: it.state.value for name, it in ProcessingView.of(db, TUNED).calibrations.items()}


def mask_of(view: ProcessingView) -> set[str]:
    """Identities of the channel masks that a processing has made."""
    return {made.payload.identity for made in view.attempts[MASK].payloads}


# --- without the scheduler --------------------------------------------------------------------------------------------


def test_without_the_scheduler_only_people_change_states_and_batch_jobs_go_on(small: SmallLoop) -> None:
    small.watch_for("end-to-record")
    small.begin()
    small.up()
    wait_for(lambda: count(small, JobGroup, JobGroup.stage == Stage.FIT) > 0, "the fit", 180)
    small.arm()
    with small.held():
        wait_for(lambda: run_of_mask(small) == "deferred", "its task in the trigger", 60)
        scheduler = psutil.Process(small.component("scheduler"))
        stopped = [scheduler, *scheduler.children(recursive=True)]
        for process in stopped:
            process.suspend()
        assert small.states()[MASK] == "running"
        before = count(small, Decision), count(small, JobGroup), count(small, Job, Job.state == JobState.DONE)
    # The agent has recorded the end and raised the signal, and the trigger has seen it: only the scheduler is missing.
    wait_for(lambda: run_of_mask(small) == "scheduled", "the task that the trigger woke", 60)
    decisions, groups, done = before
    assert count(small, Job, Job.state == JobState.DONE) > done
    assert (count(small, Decision), count(small, JobGroup)) == (decisions, groups)
    assert small.states()[MASK] == "running"
    small.act(LAST, loop.veto, "for this test")
    assert small.states()[LAST] == "vetoed"
    assert count(small, Decision) == decisions + 1
    for process in stopped:
        process.resume()
    small.until_published()
    assert small.down() == 0
    assert small.processes() == []


def run_of_mask(small: SmallLoop) -> str:
    """The state of the task `run` of the channel mask in Airflow's own database."""
    query = "SELECT state FROM task_instance WHERE dag_id = ? AND task_id LIKE '%channel_mask.run'"
    metadata = f"file:{small.home / 'airflow' / 'airflow.db'}?mode=ro"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(metadata, uri=True, timeout=30)) as airflow:
        return str(next(iter(airflow.execute(query, (BUCKET,)).fetchone() or ("",))))
    return ""


def count(small: SmallLoop, table: type[Decision] | type[Job] | type[JobGroup], *where: object) -> int:
    with small.workplace.database.read() as db:
        return db.scalar(select(func.count()).select_from(table).where(*where)) or 0


# --- without Airflow's database ---------------------------------------------------------------------------------------


def test_with_airflows_metadata_deleted_in_the_middle_the_processing_goes_on(
    small: SmallLoop, small_demo: DemoRun
) -> None:
    metadata = small.home / "airflow" / "airflow.db"
    small.watch_for("submit-to-record")
    small.begin()
    small.arm()
    small.up()
    with small.held():
        assert {"signed_off", "running", "submitted"} <= set(small.states().values())
        lost = metadata.stat().st_ino
        for file in metadata.parent.glob("airflow.db*"):
            file.unlink()
    small.until_published()
    assert metadata.stat().st_ino != lost
    assert small.told()["scheduler"]["restarts"] >= 1
    assert small.identities() == small_demo.identities()
    assert small.doubled() == []
    assert small.down() == 0
    assert small.processes() == []
