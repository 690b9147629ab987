"""Trouble at centres that b2cal looks after by itself: what it is about, and who waits for its end."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal.model import (
    Attempt,
    Calibration,
    GroupState,
    Incident,
    IncidentKind,
    Job,
    JobGroup,
    Processing,
    stage_in_words,
)


@dataclass(frozen=True)
class OpenIncident:
    """Trouble at a centre that is not over, and how its probes stand.

    Attributes:
        next_probe: when the next one is sent; None while one is under way.
    """

    id: int
    centre: str
    kind: IncidentKind
    about: str
    since: datetime
    reason: str
    probes: int
    next_probe: datetime | None


@dataclass(frozen=True)
class HeldUp:
    """Jobs that were wanted together and wait for the end of an incident."""

    incident_id: int
    processing: str
    calibration_id: int
    calibration: str
    attempt: int
    stage: str
    n_jobs: int


def open_incidents(db: Session, centre: str | None = None) -> list[OpenIncident]:
    """All of a centre (None: of all centres), the oldest first."""
    rows = select(Incident).where(Incident.live.is_(True)).order_by(Incident.id)
    if centre is not None:
        rows = rows.where(Incident.centre == centre)
    return [
        OpenIncident(
            id=row.id,
            centre=row.centre,
            kind=row.kind,
            about=row.about,
            since=row.opened_at,
            reason=row.reason,
            probes=row.probes,
            next_probe=row.probe_due if row.probe_token is None else None,
        )
        for row in db.scalars(rows)
    ]


def closed_incidents(db: Session, before: int | None, limit: int) -> Sequence[Incident]:
    """Incidents that are over, the latest first; those that began before the one of number `before`, if given."""
    rows = select(Incident).where(Incident.live.is_(None)).order_by(Incident.id.desc()).limit(limit)
    return db.scalars(rows if before is None else rows.where(Incident.id < before)).all()


def held_up(db: Session, incidents: Collection[int]) -> list[HeldUp]:
    """The jobs that wait for the end of these incidents, by stage, those that wait longest first."""
    if not incidents:
        return []
    rows = db.execute(
        select(
            JobGroup.incident_id,
            Processing.name,
            Calibration.id,
            Calibration.name,
            Attempt.number,
            JobGroup.stage,
            JobGroup.iteration,
            func.count(Job.id),
        )
        .join(Attempt, Attempt.id == JobGroup.attempt_id)
        .join(Calibration, Calibration.id == Attempt.calibration_id)
        .join(Processing, Processing.id == Calibration.processing_id)
        .join(Job, Job.group_id == JobGroup.id)
        .where(JobGroup.incident_id.in_(incidents), JobGroup.state == GroupState.WANTED, Attempt.live.is_(True))
        .group_by(JobGroup.id, Processing.name, Calibration.id, Calibration.name, Attempt.number)
        .order_by(JobGroup.wanted_at, JobGroup.id)
    )
    return [
        HeldUp(number, processing, calibration_id, calibration, attempt, stage_in_words(stage, iteration), n_jobs)
        for number, processing, calibration_id, calibration, attempt, stage, iteration, n_jobs in rows
        if number is not None
    ]
