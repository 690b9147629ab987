"""Incidents: trouble at a centre that b2cal looks after by itself, until a probe has come through."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from b2cal.model import GroupState, Incident, IncidentKind, Job, JobGroup, JobState

log = structlog.get_logger(__name__)


def open_incident(db: Session, centre: str, kind: IncidentKind, about: str) -> Incident | None:
    """The incident of this kind about that, if there is one that is not over."""
    one = select(Incident).where(
        Incident.centre == centre, Incident.kind == kind, Incident.about == about, Incident.live.is_(True)
    )
    return db.scalar(one)


def begin(
    db: Session, kind: IncidentKind, about: str, reason: str, example: Job, at: datetime, pause_s: float
) -> Incident:
    """Begin an incident; copies of `example` are its probes, the first after the pause."""
    group = example.group
    calibration = group.attempt.calibration
    release = calibration.definition.release
    incident = Incident(
        centre=calibration.processing.centre,
        kind=kind,
        about=about,
        live=True,
        reason=reason,
        opened_at=at,
        probe={
            "attempt": group.attempt_id,
            "stage": group.stage.value,
            "proven": example.state is JobState.DONE,
            "interpreter": release.interpreter,
            "environment": release.environment,
            "spec": group.spec,
            "part": example.spec,
            "memory_mb": example.memory_mb,
        },
        probe_due=at + timedelta(seconds=pause_s),
        probes=0,
    )
    db.add(incident)
    db.flush()
    log.warning("an incident begins", centre=incident.centre, kind=kind.value, about=about)
    return incident


def end(db: Session, incident: Incident, at: datetime) -> None:
    """An incident is over: what waited for it is tried again at once."""
    incident.live, incident.closed_at, incident.probe_token = None, at, None
    waiting = select(JobGroup.id).where(JobGroup.incident_id == incident.id, JobGroup.state == GroupState.WANTED)
    ids = db.scalars(waiting).all()
    db.execute(update(JobGroup).where(JobGroup.id.in_(ids)).values(not_before=at))
    db.execute(update(Job).where(Job.group_id.in_(ids)).values(error=""))
    log.warning("an incident is over", centre=incident.centre, kind=incident.kind.value, about=incident.about)


def is_pointless(db: Session, incident: Incident) -> bool:
    """Whether nothing would come of its end: nobody waits for the end of the storm any more."""
    if incident.kind is not IncidentKind.STORM:
        return False
    waiting = select(JobGroup.id).where(JobGroup.incident_id == incident.id, JobGroup.state == GroupState.WANTED)
    return db.scalar(waiting.limit(1)) is None
