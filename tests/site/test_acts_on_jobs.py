"""Failed jobs done again alone, and jobs cancelled, on the pages."""

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Calibration, Database, Job, JobGroup, JobState, State

from .conftest import Browser

Find = Callable[..., Calibration]


def test_the_failed_jobs_of_an_attempt_are_done_again_and_the_form_says_how_many(
    manager: Browser, find: Find, database: Database
) -> None:
    it = find("Channel masks", "proc12-chunk3")

    def three_are_done(db: Session) -> int:
        group = db.scalars(select(JobGroup).join(Job).where(Job.state == JobState.FAILED).order_by(JobGroup.id.desc()))
        last = group.first()
        assert last is not None
        for job in last.jobs[:3]:
            job.state, job.error, job.folder = JobState.DONE, "", "nowhere"
        return len(last.jobs) - 3

    n_failed = database.write(three_are_done)
    for page in (f"/calibrations/{it.id}", f"/calibrations/{it.id}/jobs"):
        assert f'href="/calibrations/{it.id}/do/retry_jobs">Retry failed jobs…</a>' in manager.get(page).text
    said = f"collect: {n_failed} jobs that failed or were cancelled are done again, 3 are kept."
    assert said in manager.get(f"/calibrations/{it.id}/do/retry_jobs").text

    gone = manager.post(f"/calibrations/{it.id}/do/retry_jobs", seen=str(it.version))
    assert gone.status_code == 409
    assert "files that jobs of Channel masks have brought are gone" in gone.text

    def none_is_done(db: Session) -> None:
        for job in db.scalars(select(Job).where(Job.folder == "nowhere")):
            job.state = JobState.FAILED

    database.write(none_is_done)
    done = manager.post(f"/calibrations/{it.id}/do/retry_jobs", seen=str(it.version), reason="mended")
    assert done.status_code == 303
    page = manager.get(done.location).text
    assert "Channel masks goes on: its failed jobs are done again." in page
    assert "Failed jobs done again" in page
    assert find("Channel masks", "proc12-chunk3").state is State.RUNNING


def test_jobs_of_a_running_attempt_are_cancelled_with_a_reason(manager: Browser, find: Find) -> None:
    running = find("Crystal energy", "proc12-chunk3")
    where = f"/calibrations/{running.id}/do/cancel_jobs"
    assert where in manager.get(f"/calibrations/{running.id}/jobs").text
    assert manager.post(where, seen=str(running.version)).status_code == 422
    done = manager.post(where, seen=str(running.version), reason="wrong gain")
    page = manager.get(done.location).text
    assert "Failed: manager cancelled its jobs: wrong gain." in page
    assert find("Crystal energy", "proc12-chunk3").state is State.FAILED
