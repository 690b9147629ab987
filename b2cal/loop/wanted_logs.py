"""What running jobs print, where it comes back only with the job: somebody asks, the agent brings it."""

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from b2cal.model import Attempt, Calibration, Job, JobGroup, JobState, Processing, WantedLog, now
from b2cal.settings import CondorSettings, Settings

from .errors import Conflict, NotFound


@dataclass(frozen=True)
class RunningJob:
    """A job of which somebody wants to see what it prints, as its batch system calls it.

    Attributes:
        folder: below the attempts folder.
    """

    id: int
    centre: str
    batch_id: str
    folder: str


def is_away(job: Job, settings: Settings, centre: str) -> bool:
    """Whether what a job prints comes back only with it."""
    return job.state is JobState.RUNNING and isinstance(settings.centres.get(centre), CondorSettings)


def want_log(db: Session, job_id: int) -> None:
    """Have brought what a running job has printed so far. Asking again while nobody has brought it changes nothing.

    Raises:
        NotFound: there is no such job.
        Conflict: it does not run.
    """
    job = db.get(Job, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}.", hint="The table of jobs shows those that there are.")
    if job.state is not JobState.RUNNING:
        raise Conflict("It does not run now.", hint="What it printed is shown as soon as it has ended.")
    if db.get(WantedLog, job_id) is None:
        db.add(WantedLog(job_id=job_id, wanted_at=now(db)))


def is_wanted(db: Session, job_id: int) -> bool:
    """Whether somebody has asked for what a job prints, and nobody has brought it yet."""
    return db.get(WantedLog, job_id) is not None


def wanted_logs(db: Session) -> list[RunningJob]:
    """Whose logs are to be brought, the first asked for first."""
    rows = (
        select(Job.id, Processing.centre, Job.batch_id, Job.folder)
        .join(WantedLog, WantedLog.job_id == Job.id)
        .join(JobGroup, Job.group_id == JobGroup.id)
        .join(Attempt, JobGroup.attempt_id == Attempt.id)
        .join(Calibration, Attempt.calibration_id == Calibration.id)
        .join(Processing, Calibration.processing_id == Processing.id)
        .order_by(WantedLog.wanted_at, Job.id)
    )
    return [RunningJob(*row) for row in db.execute(rows)]


def log_brought(db: Session, job_id: int) -> None:
    """Nobody waits for the log of a job any more."""
    db.execute(delete(WantedLog).where(WantedLog.job_id == job_id))
