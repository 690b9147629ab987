"""Jobs and their logs, as the pages show them."""

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.core.failures import Source
from b2cal.model import (
    Calibration,
    Database,
    GroupState,
    Job,
    JobGroup,
    JobState,
)
from b2cal.settings import Settings
from tests import factories

from .conftest import Browser
from .sample import NOW

Find = Callable[..., Calibration]


def test_a_job_is_called_the_same_everywhere_and_people_count_from_1(expert: Browser, database: Database) -> None:
    def unit(db: Session) -> tuple[int, int]:
        job = db.scalars(select(Job).join(JobGroup).where(JobGroup.iteration == 0, Job.error != "")).first()
        assert job is not None
        job.group.iteration, job.number = 6, 7000
        return job.id, job.group.attempt.calibration_id

    job_id, calibration_id = database.write(unit)
    for page in (f"/jobs/{job_id}", f"/calibrations/{calibration_id}/jobs?state=failed"):
        assert "collect, iteration 7, job 7001<" in expert.get(page).text


def test_the_log_of_a_job_opens_at_its_end_and_leads_to_the_first_error(expert: Browser, database: Database) -> None:
    with database.read() as db:
        job = db.scalars(select(Job).where(Job.error.contains("Operation expired")).order_by(Job.id)).first()
    assert job is not None
    text = expert.get(f"/jobs/{job.id}").text
    assert "1,204 lines" in text
    assert 'id="L1204"' in text
    assert 'id="L1"' not in text
    assert "First error: line 1188" in text
    assert 'id="L1188" class="mono error"' in text
    assert 'id="L1"' in expert.get(f"/jobs/{job.id}?line=1").text
    assert expert.get(f"/jobs/{job.id}?stream=stdout").text.count("hello") == 1
    download = expert.get(f"/jobs/{job.id}/log/stderr")
    assert "attachment" in download.headers["Content-Disposition"]
    assert download.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert expert.get(f"/jobs/{job.id}/log/..%2fjob.json").status_code == 404


def test_all_tries_of_a_job_stand_in_one_table_with_what_was_done_after_each(
    expert: Browser, database: Database
) -> None:
    def unit(db: Session) -> tuple[int, int]:
        first = db.scalars(select(Job).where(Job.error.contains("KeyError"))).first()
        assert first is not None
        assert first.ended_at is not None
        group = first.group
        first.error, first.source, first.code = "Operation expired", Source.EXIT, 74
        first.retry = "Rule exit 74, later: an input could not be read. Tried again as try 2 of 3."
        later = factories.group(
            db, group.attempt, 0, round=1, stage=group.stage, iteration=group.iteration, state=GroupState.SUBMITTED,
            submitted_at=first.ended_at + timedelta(seconds=5),
        )  # fmt: skip
        second = factories.job(db, later, first.number, state=JobState.RUNNING, started_at=NOW, memory_mb=8000)
        return first.id, second.id

    first, second = database.write(unit)
    for number in (first, second):
        page = expert.get(f"/jobs/{number}").text
        tries = " ".join(re.sub(r"<[^>]*>", " ", page.partition('id="tries"')[2].partition("</table>")[0]).split())
        assert "Operation expired exit code 74 Rule exit 74, later: an input could not be read." in tries
        assert tries.index("try 1") < tries.index("try 2 ")
        assert "running 5 s" in tries
        assert "with 8,000 MB" in tries
    assert f'href="/jobs/{first}">try 1</a>' in expert.get(f"/jobs/{second}").text


def test_a_job_that_does_not_run_now_says_why(expert: Browser, database: Database, find: Find) -> None:
    held = "Held by HTCondor, code 1/0: via condor_hold"

    def unit(db: Session) -> int:
        job = db.scalars(select(Job).where(Job.state == JobState.QUEUED)).first()
        assert job is not None
        job.pending_reason = held
        job.group.attempt.calibration.processing.held = False
        return job.id

    job = database.write(unit)
    it = find("Crystal energy", "proc12-chunk3").id
    assert f"It does not run now: {held}" in expert.get(f"/jobs/{job}").text
    assert f"‖ {held}" in expert.get(f"/calibrations/{it}/jobs?state=held").text
    assert held not in expert.get(f"/calibrations/{it}/jobs?state=queued").text
    assert f"1 job is held at KEK: {held}. Whoever holds" in expert.get(f"/calibrations/{it}").text


def test_pages_agree_on_how_many_jobs_are_held_and_on_whom_that_asks(
    expert: Browser, database: Database, find: Find
) -> None:
    def unit(db: Session) -> int:
        held = db.scalars(select(Job).where(Job.state == JobState.QUEUED)).all()
        for job in held:
            job.pending_reason = "Held by HTCondor, code 1/0: via condor_hold"
        held[0].group.attempt.calibration.processing.held = False
        return len(held)

    number = database.write(unit)
    it = find("Crystal energy", "proc12-chunk3").id
    page = expert.get("/processings/proc12-chunk3").text
    assert f"{number} jobs held</a> at KEK" in page
    assert f"{number} held</a></b>" in page
    assert "0 queued" in page
    assert "everything runs by itself" not in page
    assert "if the held jobs of Crystal energy go on now" in page
    assert f"‖ {number} held" in expert.get(f"/calibrations/{it}").text
    assert f"‖ {number} jobs held" in expert.get("/processings").text
    table = expert.get("/processings/proc12-chunk3/jobs?state=held").text
    assert table.count("‖</span> held") == number


def test_a_held_processing_asks_its_manager(expert: Browser) -> None:
    page = expert.get("/processings/proc12-chunk3").text
    assert "it is held and asks <b>M. Manager</b>" in page
    assert "everything runs by itself" not in page
    assert "if it is released now" in page


def test_a_log_that_is_not_there_is_explained(expert: Browser, database: Database) -> None:
    with database.read() as db:
        done = db.scalars(select(Job).where(Job.state == JobState.DONE)).first()
    assert done is not None
    assert "Nothing in stdout." in expert.get(f"/jobs/{done.id}?stream=stdout").text
    assert "The job wrote nothing there" in expert.get(f"/jobs/{done.id}").text


def test_the_folder_of_a_job_is_told_in_full_to_be_copied(
    expert: Browser, database: Database, settings: Settings
) -> None:
    with database.read() as db:
        job = db.scalars(select(Job).where(Job.folder != "")).first()
    assert job is not None
    assert f">{settings.attempts / job.folder}</span>" in expert.get(f"/jobs/{job.id}").text
    database.write(lambda db: setattr(db.get_one(Job, job.id), "folder", ""))
    assert "Its folder:" not in expert.get(f"/jobs/{job.id}").text


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(seconds=40), ">40 s ago</time>: 2 min CPU, 600 MB memory, 20.0 MB disk"),
        (timedelta(minutes=7), "<b>no sign of life for 7 min</b>: 2 min CPU"),
    ],
)
def test_a_running_job_tells_how_old_its_last_sign_of_life_is_and_what_it_uses(
    expert: Browser, database: Database, settings: Settings, ago: timedelta, said: str
) -> None:
    def unit(db: Session) -> int:
        job = db.scalars(select(Job).where(Job.state == JobState.RUNNING)).first()
        assert job is not None
        job.folder = "77/collect-0/r0e1/0/1"
        return job.id

    page = f"/jobs/{database.write(unit)}"
    folder = settings.attempts / "77/collect-0/r0e1/0/1"
    folder.mkdir(parents=True)
    assert "sign of life" not in expert.get(page).text
    sign = {"time": (NOW - ago).isoformat(), "cpu_s": 120, "memory_bytes": 600_000_000, "disk_bytes": 20_000_000}
    (folder / "heartbeat").write_text(json.dumps(sign))
    assert said in expert.get(page).text
    (folder / "heartbeat").write_text("{")
    assert "sign of life" not in expert.get(page).text
