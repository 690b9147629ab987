"""Storms: where many jobs fail alike nothing is tried again until one, the probe, has come through."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from b2cal.model import (
    Attempt,
    Calibration,
    GroupState,
    Incident,
    IncidentKind,
    Job,
    JobGroup,
    JobState,
    Processing,
)
from b2cal.settings import BatchSettings

from .incidents import begin, open_incident


def storm_among(db: Session, failed: Sequence[Job], at: datetime, settings: BatchSettings) -> Incident | None:
    """The storm of which failed jobs of one group are part; it begins with them if they make it one.

    That is where so many jobs of their centre fail alike within the window, and fewer end well.
    """
    centre = failed[0].group.attempt.calibration.processing.centre
    for kind in sorted({job.failure_kind for job in failed} - {""}):
        storm = open_incident(db, centre, IncidentKind.STORM, kind)
        if storm is None and _is_storm(db, centre, kind, at, settings):
            example = next(job for job in failed if job.failure_kind == kind)
            storm = _begin(db, centre, example, at, settings)
        if storm is not None:
            return storm
    return None


def hold_back(groups: Sequence[JobGroup], storm: Incident) -> None:
    """Let groups that are wanted once more wait until a storm is over."""
    for group in groups:
        group.incident_id = storm.id
        for job in group.jobs:
            job.error = storm.reason


def _is_storm(db: Session, centre: str, kind: str, at: datetime, settings: BatchSettings) -> bool:
    ended = (
        select(JobGroup.attempt_id, JobGroup.stage, JobGroup.iteration, Job.number)
        .select_from(Job)
        .join(JobGroup, Job.group_id == JobGroup.id)
        .where(_at_centre(centre), Job.ended_at > at - timedelta(seconds=settings.storm_window_s))
        .distinct()
    )
    alike, well = (
        db.scalar(select(func.count()).select_from(ended.where(which).subquery())) or 0
        for which in (Job.failure_kind == kind, Job.state == JobState.DONE)
    )
    return alike >= settings.storm_jobs and alike > well


def _at_centre(centre: str) -> ColumnElement[bool]:
    """Whether a group is one of a centre."""
    its = (
        select(Attempt.id)
        .join(Calibration, Attempt.calibration_id == Calibration.id)
        .join(Processing, Calibration.processing_id == Processing.id)
        .where(Processing.centre == centre)
    )
    return JobGroup.attempt_id.in_(its)


def _begin(db: Session, centre: str, example: Job, at: datetime, settings: BatchSettings) -> Incident:
    kind = example.failure_kind
    reason = (
        f"Since {at:%Y-%m-%d %H:%M} UTC {settings.storm_jobs} jobs or more of {centre} have failed alike ({kind}):"
        " nothing is tried again there until a probe has come through"
    )
    storm = begin(db, IncidentKind.STORM, kind, reason, example, at, settings.retry_delay_s)
    others = select(JobGroup).where(
        _at_centre(centre),
        JobGroup.state == GroupState.WANTED,
        JobGroup.round > 0,
        JobGroup.incident_id.is_(None),
        JobGroup.asks_since.is_(None),
    )
    hold_back(db.scalars(others).all(), storm)
    return storm
