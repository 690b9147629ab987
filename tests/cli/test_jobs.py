import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.cli.desk import local
from b2cal.cli.main import group
from b2cal.core.errors import B2calError
from b2cal.core.failures import Source
from b2cal.model import GroupState, Job, JobGroup, JobState, Stage
from tests import factories
from tests.loop.world import World

NOW = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)
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


@pytest.fixture
def busy(world: World) -> World:
    """Besides, 30 jobs that fit: each third failed for want of memory, the others are done."""

    def unit(db: Session) -> None:
        attempt = db.scalars(select(JobGroup)).one().attempt
        fit = factories.group(db, attempt, 0, stage=Stage.FIT, state=GroupState.FAILED)
        for number in range(30):
            failed = number % 3 == 0
            factories.job(
                db,
                fit,
                number,
                state=JobState.FAILED if failed else JobState.DONE,
                source=Source.SIGNAL if failed else None,
                code=9 if failed else None,
                error="bad_alloc" if failed else "",
                host=f"node{number % 2}",
                started_at=NOW - timedelta(minutes=30),
                ended_at=NOW - timedelta(minutes=18),
                cpu_s=60.0 * number,
                memory_bytes=(100 + number) * 2**20,
                memory_mb=2000,
                disk_bytes=40 * 2**20,
                limits={"wall_s": 7200, "cpu_s": 3600},
            )

    world.database.write(unit)
    return world


def rows(*more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(told("--json", more=more))
    return found


def refused(*words: str) -> tuple[int, str]:
    """Exit code and what is said, as on the terminal; the errors of b2cal itself are told by `main`."""
    ended = CliRunner().invoke(group, ["jobs", *words])
    hint = ended.exception.hint if isinstance(ended.exception, B2calError) else ""
    return ended.exit_code, f"{ended.output} {ended.exception} {hint}"


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
    waiting, failed = (line for line in told().splitlines() if "collect, job 1" in line)
    assert "failed" in failed
    assert "next try" not in failed
    assert f"queued, next try {local(LATER)}" in waiting
    assert [row["next_try"] for row in json.loads(told("--json"))] == ["2099-11-27T12:30:00+00:00", None]


def test_a_job_that_a_rule_asks_about_says_that_it_waits_for_a_decision(world: World) -> None:
    world.jobs_ask("A")
    waiting, failed = (line for line in told().splitlines() if "collect, job 1" in line)
    assert "held, waits for a decision" in waiting
    assert "the licences are used up" in waiting
    assert "waits" not in failed
    assert [row["waits_for_decision"] for row in json.loads(told("--json"))] == [True, False]
    assert [row["state"] for row in rows("--state", "held")] == ["held"]
    assert rows("--state", "queued") == []
    assert "1 failed, 1 held" in told()


def test_a_try_that_is_due_has_no_time_to_wait_for(world: World) -> None:
    tried_again(world, datetime(2026, 1, 1, tzinfo=UTC))
    assert "next try" not in told()
    assert [row["next_try"] for row in json.loads(told("--json"))] == [None, None]


def test_a_job_that_is_held_says_why(world: World) -> None:
    world.database.write(lambda db: setattr(db.scalars(select(Job)).first(), "pending_reason", "Held: disk full"))
    world.database.write(lambda db: setattr(db.scalars(select(Job)).first(), "state", JobState.QUEUED))
    assert rows()[0]["pending_reason"] == "Held: disk full"
    assert [row["state"] for row in rows("--state", "held")] == ["held"]
    assert rows("--state", "queued") == []
    assert "Held: disk full" in told()


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


def test_jobs_are_chosen_by_what_is_asked_for(busy: World) -> None:
    assert len(rows()) == 31
    assert [row["job"] for row in rows("--state", "failed", "--stage", "fit")] == list(range(0, 30, 3))
    assert [row["job"] for row in rows("--source", "signal", "--host", "NODE1")] == list(range(3, 30, 6))
    assert [row["stage"] for row in rows("--text", "oserror")] == ["collect"]
    assert [row["job"] for row in rows("--order", "memory", "--limit", "2")] == [29, 28]
    assert told(more=("--text", "nothing like it")) == "A: no job that fits.\n"
    assert told(more=("--state", "running")) == "A: no job is running; there are 11 failed, 20 done.\n"
    on_node1 = "A: no job that fits is running; there are 5 failed, 10 done.\n"
    assert told(more=("--state", "running", "--host", "node1")) == on_node1


def test_a_page_says_where_the_next_begins(busy: World) -> None:
    seen, after = [], ""
    while True:
        page = rows("--state", "done", "--order", "cpu", "--limit", "7", *(("--after", after) if after else ()))
        if not page:
            break
        seen += [row["job"] for row in page]
        after = page[-1]["after"]
    assert seen == [number for number in range(29, 0, -1) if number % 3]
    words = told(more=("--state", "done", "--order", "cpu", "--limit", "7"))
    place = rows("--state", "done", "--order", "cpu", "--limit", "7")[-1]["after"]
    assert f"7 of 20 stand here; the next: --after {place}" in words
    assert "--after" not in told(more=("--state", "done"))


def test_a_job_says_what_it_used_of_what_it_asked_for_and_who_says_that_it_failed(busy: World) -> None:
    (line,) = (line for line in told(more=("--text", "bad_alloc")).splitlines() if "fit, job 28 " in line)
    assert "node1, 12 min of 2 h 00, 27 min of 1 h 00 CPU, 127 of 2,000 MB, 40 MB disk" in line
    assert "signal 9; bad_alloc" in line
    assert "11 failed, 20 done" in told()


def test_jobs_of_a_whole_processing_say_of_which_calibration_they_are(busy: World) -> None:
    ended = CliRunner().invoke(group, ["jobs", "bucket1", "--state", "failed"])
    assert ended.exit_code == 0, ended.output
    (heading,) = (line for line in ended.output.splitlines() if "Works on" in line)
    assert heading.split()[1] == "Calibration"
    assert ended.output.count("│ A ") == 11


def test_an_earlier_attempt_is_chosen_by_its_number(busy: World) -> None:
    busy.database.write(lambda db: factories.attempt(db, db.scalars(select(JobGroup)).first().attempt.calibration))
    assert rows() == []
    assert {row["attempt"] for row in rows("--attempt", "1")} == {1}
    code, said = refused("bucket1", "A", "--attempt", "7")
    assert code == 1
    assert "A has no attempt 7." in said
    assert "It has: 1, 2." in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--attempt", "1"], "name that behind the processing"),
        (["--all-attempts"], "name that behind the processing"),
        (["A", "--attempt", "1", "--all-attempts"], "not both"),
        (["A", "--source", "hold", "--state", "running"], "A job that is running has not failed"),
        (["A", "--state", "lost"], "'lost' is not one of 'failed', 'held', 'running'"),
        (["A", "--limit", "0"], "0 is not in the range 1<=x<=1000000"),
    ],
)
def test_options_that_make_no_sense_are_explained(words: list[str], why: str) -> None:
    code, said = refused("bucket1", *words)
    assert code == 2
    assert why in said


def test_a_place_in_a_table_of_another_order_is_refused(world: World) -> None:
    code, said = refused("bucket1", "A", "--after", "cpu:1:2")
    assert code == 1
    assert "no place in a table of jobs by number" in said
