"""How far the batch jobs of attempts are."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from b2cal.model import Attempt, Calibration, GroupState, Job, JobGroup, JobState


@dataclass(frozen=True)
class Progress:
    """Batch jobs of an attempt. A job that failed and is tried again counts once.

    Attributes:
        total: jobs of all stages so far.
        failed: ended without success, and nobody tries again.
        retried: tries beyond the first.
        cpu_s: of all tries.
    """

    total: int
    done: int
    running: int
    queued: int
    failed: int
    retried: int
    cpu_s: float

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """Tone and number, in the order of a bar."""
        return ("good", self.done), ("busy", self.running), ("idle", self.queued), ("bad", self.failed)

    def __str__(self) -> str:
        return f"{self.done:,} / {self.total:,}"


def progress(db: Session, attempts: Collection[int]) -> dict[int, Progress]:
    """By attempt; those without jobs are left out."""
    rows = db.execute(
        select(
            JobGroup.attempt_id,
            _number(JobGroup.round == 0).label("total"),
            _number(Job.state == JobState.DONE).label("done"),
            _number(Job.state == JobState.RUNNING).label("running"),
            _number(Job.state == JobState.QUEUED).label("queued"),
            func.count(Job.id).label("tries"),
            func.sum(Job.cpu_s).label("cpu_s"),
        )
        .join(Job, Job.group_id == JobGroup.id)
        .where(JobGroup.attempt_id.in_(attempts))
        .group_by(JobGroup.attempt_id)
    )
    found = {}
    for row in rows:
        total, done, running, queued = int(row.total), int(row.done), int(row.running), int(row.queued)
        failed = max(0, total - done - running - queued)
        retried = int(row.tries) - total
        found[row.attempt_id] = Progress(total, done, running, queued, failed, retried, float(row.cpu_s or 0.0))
    return found


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def together(parts: Iterable[Progress]) -> Progress:
    """The jobs of several attempts as one."""
    columns = zip(*((p.total, p.done, p.running, p.queued, p.failed, p.retried, p.cpu_s) for p in parts), strict=True)
    sums = [sum(column) for column in columns] or [0] * 7
    total, done, running, queued, failed, retried = (int(number) for number in sums[:6])
    return Progress(total, done, running, queued, failed, retried, sums[6])


@dataclass(frozen=True)
class NextTry:
    """Failed jobs that wait until they are tried again."""

    n_jobs: int
    at: datetime


def next_try(db: Session, processing_id: int, now: datetime) -> NextTry | None:
    """The jobs of a processing that are tried again later, and when the first of them is."""
    n_jobs, at = db.execute(
        select(func.count(Job.id), func.min(JobGroup.not_before))
        .join(JobGroup, JobGroup.id == Job.group_id)
        .join(Attempt, Attempt.id == JobGroup.attempt_id)
        .join(Calibration, Calibration.id == Attempt.calibration_id)
        .where(
            Calibration.processing_id == processing_id,
            Attempt.live.is_(True),
            JobGroup.round > 0,
            JobGroup.state == GroupState.WANTED,
            JobGroup.not_before > now,
        )
    ).one()
    return NextTry(n_jobs, at) if n_jobs else None
