"""Jobs that failed and wait say when they are tried again, in the table and each on its page."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Database, GroupState, JobGroup, JobState

from .conftest import Browser
from .sample import NOW


def test_a_job_that_waits_for_its_next_try_says_in_how_long_that_is(expert: Browser, database: Database) -> None:
    def unit(db: Session) -> tuple[int, int]:
        group = db.scalars(select(JobGroup).where(JobGroup.round == 1)).one()
        group.state, group.not_before = GroupState.WANTED, NOW + timedelta(minutes=24)
        for job in group.jobs:
            job.state = JobState.QUEUED
        return group.attempt.calibration_id, len(group.jobs)

    calibration, n_jobs = database.write(unit)
    said = "tried again <time"
    assert expert.get(f"/calibrations/{calibration}/jobs?state=queued").text.count(said) == n_jobs
    assert expert.get(f"/calibrations/{calibration}/jobs?state=failed").text.count(said) == 0
    with database.read() as db:
        job = db.scalars(select(JobGroup).where(JobGroup.round == 1)).one().jobs[0]
    assert said in expert.get(f"/jobs/{job.id}").text
