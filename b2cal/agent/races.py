"""Races: two tries of a job are under way, and the one that is done first counts; the other is cancelled.

What an agent does about it can be done again by the next one after a crash at any point: which job has lost follows
from how the jobs stand.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session, aliased

from b2cal.batch import Backend, crashpoint
from b2cal.model import Attempt, Calibration, GroupState, Job, JobGroup, JobState, Processing, now
from b2cal.settings import Settings

from .desk import Desk
from .settle import settle

_UNFINISHED = (JobState.QUEUED, JobState.RUNNING)
_LOST = Job.retry + " Another try was done first: this one is cancelled."


@dataclass(frozen=True)
class _Lost:
    """A job that its batch system still has, while another try of it is done."""

    id: int
    group_id: int
    batch_id: str


def end_races(desk: Desk, centre: str, backend: Backend) -> None:
    """Cancel the jobs of a centre that have lost a race.

    Raises:
        BatchError: some of them may still run; to be tried again.
    """
    with desk.database.read() as db:
        lost = _lost(db, centre)
    if lost:
        backend.cancel([job.batch_id for job in lost])
        crashpoint("race-to-record")
        desk.write(partial(_record, settings=desk.settings, lost=lost))


def rivals(db: Session, jobs: Collection[int]) -> dict[int, int]:
    """Those of these jobs that race another, or are raced, each with that one."""
    copies = select(Job.id, Job.copy_of).where(Job.copy_of.is_not(None), or_(Job.id.in_(jobs), Job.copy_of.in_(jobs)))
    pairs = [(copy, raced) for copy, raced in db.execute(copies) if raced]
    return dict(pairs) | {raced: copy for copy, raced in pairs}


def beaten(db: Session, rival: int | None, ending: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the end of a job is written down that may have a rival: it has lost if that one is done, however it ended."""
    if rival is None or db.scalar(select(Job.state).where(Job.id == rival)) is not JobState.DONE:
        return ending
    of_failures = ("error", "source", "code", "failure_kind")
    told = {name: value for name, value in ending.items() if name not in of_failures}
    return told | {"state": JobState.CANCELLED, "retry": _LOST}


def _lost(db: Session, centre: str) -> Sequence[_Lost]:
    copy, raced = aliased(Job), aliased(Job)
    found = []
    for lost, done in ((raced, copy), (copy, raced)):
        rows = db.execute(
            select(lost.id, lost.group_id, lost.batch_id)
            .select_from(copy)
            .join(raced, raced.id == copy.copy_of)
            .join(JobGroup, JobGroup.id == lost.group_id)
            .join(Attempt, Attempt.id == JobGroup.attempt_id)
            .join(Calibration, Calibration.id == Attempt.calibration_id)
            .join(Processing, Processing.id == Calibration.processing_id)
            .where(copy.copy_of.is_not(None), done.state == JobState.DONE, lost.state.in_(_UNFINISHED))
            .where(JobGroup.state == GroupState.SUBMITTED, Processing.centre == centre)
        )
        found += [_Lost(*row) for row in rows]
    return found


def _record(db: Session, settings: Settings, lost: Sequence[_Lost]) -> None:
    still = update(Job).where(Job.id.in_([job.id for job in lost]), Job.state.in_(_UNFINISHED))
    db.execute(still.values(state=JobState.CANCELLED, ended_at=now(db), pending_reason="", retry=_LOST))
    for group_id in sorted({job.group_id for job in lost}):
        settle(db, group_id, settings)
