"""How jobs that have not ended as far as the database knows are written down anew, above all their ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from b2cal.batch import JobReport
from b2cal.core.failures import Failure, Source
from b2cal.model import Job, JobState, Stage
from b2cal.runtime import OUTPUTS

from .desk import Desk
from .hosts import look_at_hosts
from .races import beaten, rivals
from .settle import settle

UNFINISHED = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class OpenJob:
    """A job that has not ended as far as the database knows."""

    id: int
    group_id: int
    stage: Stage
    state: JobState
    folder: Path
    pending_reason: str = ""
    started_at: datetime | None = None


@dataclass(frozen=True)
class Change:
    """New values for a job's row."""

    job: OpenJob
    values: dict[str, Any]

    @property
    def is_end(self) -> bool:
        """Whether the job has ended."""
        return bool(self.values["state"].ended)


def ending(folder: Path, stage: Stage, at: datetime, told: Failure | None = None) -> dict[str, Any]:
    """How an ended job is written down: by its report and its outputs, not by what the batch system believes.

    `told` is what the batch system says of a job that left no report.

    Raises:
        OSError: they cannot be read now.
    """
    report = JobReport.read(folder) or JobReport(None, told.message if told else "It ended without a report.")
    missing = [name for name in OUTPUTS[stage] if not (folder / name).is_file()]
    error = report.error
    if report.exit_code == 0 and missing:
        error = f"It ended without error, but {' and '.join(missing)} is missing."
    elif report.exit_code != 0 and not error:
        error = f"Exit code {report.exit_code}, without a message."
    values: dict[str, Any] = {
        "exit_code": report.exit_code,
        "ended_at": report.ended_at or at,
        "host": report.host,
        "cpu_s": report.cpu_s,
        "memory_bytes": report.memory_bytes,
        "disk_bytes": report.disk_bytes,
        "limits": dict(report.limits),
        "pending_reason": "",
    }
    if report.started_at:
        values["started_at"] = report.started_at
    if report.exit_code == 0 and not missing:
        return values | {"state": JobState.DONE, "error": ""}
    failure = Failure.of(report.exit_code, error)
    if told and failure.source is Source.LOST:
        failure = told
    return values | {
        "state": JobState.FAILED,
        "error": error,
        "source": failure.source,
        "code": failure.code,
        "failure_kind": failure.kind,
    }


def write_down(db: Session, desk: Desk, changes: Sequence[Change]) -> None:
    """Write changes down, unless the database has come to know an end meanwhile; settle the groups concerned."""
    racing = rivals(db, [change.job.id for change in changes if change.is_end])
    for change in changes:
        values = beaten(db, racing.get(change.job.id), change.values) if change.is_end else change.values
        db.execute(update(Job).where(Job.id == change.job.id, Job.state.in_(UNFINISHED)).values(values))
    failed = [change.job.id for change in changes if change.values["state"] is JobState.FAILED]
    if failed:
        look_at_hosts(db, failed, desk.settings)
    for group_id in sorted({change.job.group_id for change in changes}):
        settle(db, group_id, desk.settings)
