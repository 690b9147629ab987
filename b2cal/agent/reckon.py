"""The reckoning: jobs that should be under way are asked for by name, in case their batch system has forgotten them.

A system that has lost its log and its memory together tells of no end. A job that it does not have at two reckonings
in succession is lost; at one, it may be on its way from the queue into the history.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.batch import Backend
from b2cal.core.failures import Failure, Source
from b2cal.model import Attempt, Calibration, GroupState, Job, JobGroup, Processing

from .desk import Desk
from .endings import UNFINISHED, Change, OpenJob, ending, write_down

EVERY = timedelta(minutes=5)
FORGOTTEN = Failure(Source.LOST, None, "Its batch system knows nothing of it any more, and it left no report.")

log = structlog.get_logger(__name__)


@dataclass
class Reckoning:
    """What came of the last reckoning with one centre: when the next is due, which rows of jobs were missing."""

    due: datetime
    missing: set[int] = field(default_factory=set)


def reckon(desk: Desk, centre: str, backend: Backend, last: Reckoning) -> Reckoning:
    """Ask for the jobs of a centre that have not ended, if that is due; what was missing twice has ended.

    Raises:
        BatchError: the batch system does not answer; nothing is written.
    """
    at = desk.now()
    if at < last.due:
        return last
    with desk.database.read() as db:
        groups = _under_way(db, desk, centre, at - EVERY)
    missing = {}
    for (token, epoch), jobs in desk.lease.kept_over(groups.items()):
        there = {handle.number for handle in backend.find(token) if handle.epoch == epoch}
        missing.update({job.id: job for number, job in jobs.items() if number not in there})
    lost = [job for row, job in missing.items() if row in last.missing]
    if lost:
        changes = _endings(lost, at)
        desk.write(lambda db: write_down(db, desk, changes))
    return Reckoning(at + EVERY, set(missing))


def _under_way(db: Session, desk: Desk, centre: str, before: datetime) -> dict[tuple[str, int], dict[int, OpenJob]]:
    """The jobs of each group submitted before then that have not ended, by token and epoch, and by number."""
    rows = db.execute(
        select(JobGroup.token, JobGroup.epoch, Job.number, Job.id, JobGroup.id, JobGroup.stage, Job.state, Job.folder)
        .join(Job, Job.group_id == JobGroup.id)
        .join(Attempt, JobGroup.attempt_id == Attempt.id)
        .join(Calibration, Attempt.calibration_id == Calibration.id)
        .join(Processing, Calibration.processing_id == Processing.id)
        .where(
            JobGroup.state == GroupState.SUBMITTED,
            JobGroup.submitted_at <= before,
            Job.state.in_(UNFINISHED),
            Processing.centre == centre,
        )
    )
    groups: defaultdict[tuple[str, int], dict[int, OpenJob]] = defaultdict(dict)
    for token, epoch, number, row, group_id, stage, state, folder in rows:
        groups[token, epoch][number] = OpenJob(row, group_id, stage, state, desk.settings.attempts / folder)
    return groups


def _endings(lost: Sequence[OpenJob], at: datetime) -> list[Change]:
    changes = []
    for job in lost:
        try:
            changes.append(Change(job, ending(job.folder, job.stage, at, FORGOTTEN)))
        except OSError as error:
            log.warning("a job cannot be looked at, others go on", folder=str(job.folder), error=str(error))
    return changes
