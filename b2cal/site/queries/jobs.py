"""The batch jobs of a calibration, for its table of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, joinedload

from b2cal import loop
from b2cal.model import Attempt, Calibration, Job, JobGroup, JobState

PAGE = 200


@dataclass(frozen=True)
class JobPage:
    """Some jobs, the failed ones first; `total` is the number of all that fit the filter."""

    jobs: Sequence[Job]
    total: int
    counts: dict[JobState, int]


def jobs_of(db: Session, calibration_id: int, state: JobState | None, offset: int) -> JobPage:
    """Jobs of all attempts of a calibration, the latest attempt first."""
    of_it = (
        select(JobGroup.id)
        .join(Attempt, Attempt.id == JobGroup.attempt_id)
        .where(Attempt.calibration_id == calibration_id)
    )
    counts: dict[JobState, int] = {
        row[0]: row[1]
        for row in db.execute(select(Job.state, func.count()).where(Job.group_id.in_(of_it)).group_by(Job.state))
    }
    query = select(Job).join(JobGroup, JobGroup.id == Job.group_id).where(Job.group_id.in_(of_it))
    if state is not None:
        query = query.where(Job.state == state)
    urgency = case(
        {JobState.FAILED: 0, JobState.RUNNING: 1, JobState.QUEUED: 2, JobState.CANCELLED: 3}, value=Job.state, else_=4
    )
    rows = db.scalars(
        query.options(joinedload(Job.group).joinedload(JobGroup.attempt))
        .order_by(JobGroup.attempt_id.desc(), urgency, JobGroup.id.desc(), Job.number)
        .offset(offset)
        .limit(PAGE)
    ).all()
    return JobPage(rows, sum(counts.values()) if state is None else counts.get(state, 0), counts)


def job_of(db: Session, number: int) -> tuple[Job, Calibration]:
    """A job and the calibration that it works for.

    Raises:
        NotFound: there is none of this number.
    """
    row = db.execute(
        select(Job, Calibration)
        .join(JobGroup, JobGroup.id == Job.group_id)
        .join(Attempt, Attempt.id == JobGroup.attempt_id)
        .join(Calibration, Calibration.id == Attempt.calibration_id)
        .where(Job.id == number)
        .options(joinedload(Job.group).joinedload(JobGroup.attempt), joinedload(Calibration.processing))
    ).one_or_none()
    if row is None:
        raise loop.NotFound(f"There is no job number {number}.", hint="Look for it on the page of its calibration.")
    return row[0], row[1]


def tries_of(db: Session, job: Job) -> Sequence[Job]:
    """All tries of the same part of the work, the first one first."""
    group = job.group
    return db.scalars(
        select(Job)
        .join(JobGroup, JobGroup.id == Job.group_id)
        .where(
            JobGroup.attempt_id == group.attempt_id,
            JobGroup.stage == group.stage,
            JobGroup.iteration == group.iteration,
            Job.number == job.number,
        )
        .options(joinedload(Job.group))
        .order_by(JobGroup.round)
    ).all()
