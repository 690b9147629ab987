import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.cli.desk import local
from b2cal.cli.main import group
from b2cal.model import GroupState, Job, JobGroup, JobState
from tests import factories
from tests.loop.world import World

LATER = datetime(2099, 11, 27, 12, 30, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A calibration whose one job has failed."""
    monkeypatch.setenv("B2CAL_HOME", str(tmp_path))
    world = World(tmp_path)
    world.process()
    world.do("submit", "A")
    world.advance("A")

    def unit(db: Session) -> None:
        job = db.scalars(select(Job)).one()
        job.group.state, job.state, job.error = GroupState.FAILED, JobState.FAILED, "OSError: no answer"

    world.database.write(unit)
    return world


def tried_again(world: World, at: datetime) -> None:
    def unit(db: Session) -> None:
        failed = db.scalars(select(JobGroup)).one()
        factories.group(db, failed.attempt, round=1, state=GroupState.WANTED, not_before=at)

    world.database.write(unit)


def told(*options: str, more: tuple[str, ...] = ()) -> str:
    ended = CliRunner().invoke(group, [*options, "jobs", "bucket1", "A", *more])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_a_job_that_waits_for_its_next_try_says_when_that_is(world: World) -> None:
    assert "next try" not in told()
    tried_again(world, LATER)
    failed, waiting = (line for line in told().splitlines() if "collect, job 1" in line)
    assert "failed" in failed
    assert "next try" not in failed
    assert f"queued, next try {local(LATER)}" in waiting
    assert [row["next_try"] for row in json.loads(told("--json"))] == [None, "2099-11-27T12:30:00+00:00"]


def test_a_try_that_is_due_has_no_time_to_wait_for(world: World) -> None:
    tried_again(world, datetime(2026, 1, 1, tzinfo=UTC))
    assert "next try" not in told()
    assert [row["next_try"] for row in json.loads(told("--json"))] == [None, None]


def test_error_what_was_done_and_folder_all_stand_there(world: World) -> None:
    def unit(db: Session) -> None:
        job = db.scalars(select(Job)).one()
        job.retry, job.folder = "tried again: the storage did not answer", "A/1/collect"

    world.database.write(unit)
    (line,) = (line for line in told().splitlines() if "collect, job 1" in line)
    (row,) = json.loads(told("--json"))
    assert "OSError: no answer; tried again: the storage did not answer" in line
    assert row["folder"].endswith("/A/1/collect")
    assert row["folder"] in line
    assert (row["name"], row["job"]) == ("collect, job 1", 0)


def test_jobs_of_all_attempts_say_of_which_they_are(world: World) -> None:
    assert "Attempt" not in told()
    words = told(more=("--all-attempts",))
    (heading,) = (line for line in words.splitlines() if "Works on" in line)
    (line,) = (line for line in words.splitlines() if "collect, job 1" in line)
    assert heading.split()[1] == "Attempt"
    assert line.split()[1] == "1"
