"""What the centres have to do for b2cal, as the database knows: their jobs, and what waits longest and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, contains_eager

from b2cal.model import (
    Attempt,
    Calibration,
    GroupState,
    Job,
    JobGroup,
    JobState,
    Processing,
    ProcessingState,
    now,
    stage_in_words,
)

from .agents import agent_at_work
from .jobs import IS_HELD, JobWord, tried_again_at
from .windows_and_reminders import spoken


@dataclass(frozen=True)
class WaitingGroup:
    """Jobs that were wanted together, of which none has started.

    Attributes:
        stage: what they do, in words.
        since: when they were wanted.
        why: what they wait for, in a sentence.
    """

    processing: str
    calibration: str
    stage: str
    n_jobs: int
    since: datetime
    why: str


@dataclass(frozen=True)
class Workload:
    """The jobs of attempts that count in the active processings of one centre; `oldest` of those that wait."""

    jobs: Mapping[JobWord, int]
    oldest: WaitingGroup | None


NOTHING_TO_DO = Workload({}, None)


def workloads(db: Session) -> dict[str, Workload]:
    """What each centre has to do that an active processing has chosen."""
    counts: dict[str, Counter[JobWord]] = {}
    of_centre = (
        select(Processing.centre, Job.state, func.count(), func.sum(case((IS_HELD, 1), else_=0)))
        .select_from(Processing)
        .join(Calibration, Calibration.processing_id == Processing.id)
        .join(Attempt, Attempt.calibration_id == Calibration.id)
        .join(JobGroup, JobGroup.attempt_id == Attempt.id)
        .join(Job, Job.group_id == JobGroup.id)
        .where(Processing.state == ProcessingState.ACTIVE, Attempt.live.is_(True))
        .group_by(Processing.centre, Job.state)
    )
    for centre, state, number, n_held in db.execute(of_centre):
        of_words = counts.setdefault(centre, Counter())
        of_words[JobWord(state)] += number - int(n_held)
        of_words[JobWord.HELD] += int(n_held)
    oldest: dict[str, JobGroup] = {}
    for group in db.scalars(_WAITING):
        oldest.setdefault(group.attempt.calibration.processing.centre, group)
    chosen = select(Processing.centre).where(Processing.state == ProcessingState.ACTIVE).distinct()
    return {
        centre: Workload(+counts.get(centre, Counter()), _waiting(db, oldest[centre]) if centre in oldest else None)
        for centre in db.scalars(chosen.order_by(Processing.centre))
    }


_STARTED = select(Job.id).where(Job.group_id == JobGroup.id, Job.state != JobState.QUEUED)
_WAITING = (
    select(JobGroup)
    .join(JobGroup.attempt)
    .join(Attempt.calibration)
    .join(Calibration.processing)
    .where(
        JobGroup.state.in_((GroupState.WANTED, GroupState.SUBMITTED)),
        Attempt.live.is_(True),
        Processing.state == ProcessingState.ACTIVE,
        ~_STARTED.exists(),
    )
    .options(
        contains_eager(JobGroup.attempt).contains_eager(Attempt.calibration).contains_eager(Calibration.processing)
    )
    .order_by(JobGroup.wanted_at, JobGroup.id)
)


def _waiting(db: Session, group: JobGroup) -> WaitingGroup:
    calibration = group.attempt.calibration
    n_jobs, hindrance = db.execute(select(func.count(), func.max(Job.error)).where(Job.group_id == group.id)).one()
    return WaitingGroup(
        processing=calibration.processing.name,
        calibration=calibration.name,
        stage=stage_in_words(group.stage, group.iteration),
        n_jobs=n_jobs,
        since=group.wanted_at,
        why=_why(db, group, hindrance),
    )


def _why(db: Session, group: JobGroup, hindrance: str) -> str:
    processing, at = group.attempt.calibration.processing, now(db)
    if group.submitted_at is not None:
        waits = f"Its batch system has it for {spoken(at - group.submitted_at)}, and has started no job of it"
        return f"{waits}{_said_of_most(db, group)}."
    if processing.held:
        return f"{processing.name} is held: nothing new starts."
    if agent_at_work(db) is None:
        return "b2cal does not run: nothing is submitted."
    again_at = tried_again_at(group, at)
    if again_at is not None:
        return f"Its jobs failed, and are tried again in {spoken(again_at - at)}."
    return hindrance or "It is submitted within seconds."


def _said_of_most(db: Session, group: JobGroup) -> str:
    """What a batch system says of most of the jobs that it stops, and of how many; empty if of none."""
    number = func.count()
    said = select(Job.pending_reason, number).where(Job.group_id == group.id, Job.pending_reason != "")
    found = db.execute(said.group_by(Job.pending_reason).order_by(number.desc()).limit(1)).one_or_none()
    return f"; it says of {found[1]:,}: {found[0].rstrip('.')}" if found else ""
