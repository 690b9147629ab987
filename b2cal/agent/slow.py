"""Jobs that run far longer than their siblings: that is said with each, once; by a rule a copy races it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from statistics import median

import structlog
from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from b2cal.batch import about_slow, retry_policy
from b2cal.core.failures import Slow
from b2cal.loop import race, spoken, tell_of_slow_jobs
from b2cal.model import (
    Attempt,
    Calibration,
    GroupState,
    Job,
    JobGroup,
    JobState,
    Processing,
    Stage,
    now,
    stage_in_words,
)
from b2cal.settings import BatchSettings, Settings

from .desk import Desk
from .orders import LIVE

LOOK_EVERY = timedelta(seconds=10)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Slow:
    """The jobs of a stage that began before `limit` and still run; their siblings needed about `usual`."""

    attempt_id: int
    stage: Stage
    iteration: int
    limit: datetime
    said: str

    @property
    def its_rounds(self) -> ColumnElement[bool]:
        return _rounds(self.attempt_id, self.stage, self.iteration)

    @property
    def jobs(self) -> ColumnElement[bool]:
        """Which jobs these are, as far as nothing is said with them yet."""
        under_way = select(JobGroup.id).where(self.its_rounds, JobGroup.state == GroupState.SUBMITTED)
        began = Job.started_at <= self.limit
        return and_(Job.group_id.in_(under_way), Job.state == JobState.RUNNING, Job.slow == "", began)


def look_for_slow_jobs(desk: Desk, at: datetime, centres: Collection[str]) -> None:
    """Say with jobs of these centres that they run far longer than those of their stage that have ended well."""
    with desk.database.read() as db:
        found = _slow(db, desk.settings.batch, at, centres)
    for slow in found:
        desk.write(partial(_write_down, slow=slow, settings=desk.settings))


def _slow(db: Session, batch: BatchSettings, at: datetime, centres: Collection[str]) -> Sequence[_Slow]:
    """The stages in which jobs have become slow: one question for all of them, more only where jobs may be."""
    before = at - timedelta(seconds=batch.slow_after_s)
    stages = db.execute(
        select(JobGroup.attempt_id, JobGroup.stage, JobGroup.iteration, func.min(Job.started_at))
        .join(Job, Job.group_id == JobGroup.id)
        .join(Attempt, JobGroup.attempt_id == Attempt.id)
        .join(Calibration, Attempt.calibration_id == Calibration.id)
        .join(Processing, Calibration.processing_id == Processing.id)
        .where(JobGroup.state == GroupState.SUBMITTED, LIVE, Processing.centre.in_(centres))
        .where(Job.state == JobState.RUNNING, Job.slow == "", Job.started_at <= before)
        .group_by(JobGroup.attempt_id, JobGroup.stage, JobGroup.iteration)
    ).all()
    found = []
    for attempt_id, stage, iteration, began in stages:
        needed = _needed(db, attempt_id, stage, iteration)
        if len(needed) < batch.slow_siblings or 2 * len(needed) < _n_jobs(db, attempt_id, stage, iteration):
            continue
        usual = timedelta(seconds=median(needed))
        limit = min(before, at - batch.slow_times * usual)
        if began and began <= limit:
            said = f"Runs far longer than its siblings: half of {len(needed):,} needed no more than {spoken(usual)}"
            found.append(_Slow(attempt_id, stage, iteration, limit, said))
    return found


def _needed(db: Session, attempt_id: int, stage: Stage, iteration: int) -> list[float]:
    """How many seconds the jobs of a stage took that have ended well."""
    done = select(Job.started_at, Job.ended_at).join(JobGroup, JobGroup.id == Job.group_id)
    done = done.where(_rounds(attempt_id, stage, iteration), Job.state == JobState.DONE)
    return [
        (ended - began).total_seconds() for began, ended in db.execute(done) if began is not None and ended is not None
    ]


def _n_jobs(db: Session, attempt_id: int, stage: Stage, iteration: int) -> int:
    """How many jobs a stage has."""
    jobs = select(func.count(Job.id)).join(JobGroup, JobGroup.id == Job.group_id)
    return db.scalar(jobs.where(_rounds(attempt_id, stage, iteration), JobGroup.round == 0)) or 0


def _write_down(db: Session, slow: _Slow, settings: Settings) -> None:
    jobs = db.scalars(select(Job).where(slow.jobs).order_by(Job.number)).all()
    if not jobs:
        return
    for job in jobs:
        job.slow = slow.said
    tell_of_slow_jobs(db, jobs[0].group, len(jobs))
    _race(db, [job for job in jobs if job.copy_of is None], slow.said, settings)
    stage = stage_in_words(slow.stage, slow.iteration)
    log.warning("jobs are slow", attempt=slow.attempt_id, stage=stage, jobs=len(jobs), said=slow.said)


def _race(db: Session, jobs: Sequence[Job], slow: str, settings: Settings) -> None:
    """Want copies of slow jobs if a rule says so, those aside that have one already."""
    have_one = db.scalars(select(Job.copy_of).where(Job.copy_of.in_([job.id for job in jobs]))).all()
    alone = [job for job in jobs if job.id not in have_one]
    if not alone:
        return
    group, at = alone[0].group, now(db)
    centre = group.attempt.calibration.processing.centre
    said, raced = about_slow(Slow(slow), retry_policy(settings, centre))
    storage = settings.storages.get(centre)
    if raced and group.stage is Stage.PRODUCE and storage is not None and storage.output:
        told = "Not raced: both would write into the same place."
    elif raced:
        copies = race(db, alone, at)
        told = f"A copy races it from {at:%Y-%m-%d %H:%M:%S} UTC on, as try {copies.round + 1}."
    else:
        told = ""
    for job in alone:
        job.retry = f"{said}. {told}".rstrip()


def _rounds(attempt_id: int, stage: Stage, iteration: int) -> ColumnElement[bool]:
    return and_(JobGroup.attempt_id == attempt_id, JobGroup.stage == stage, JobGroup.iteration == iteration)
