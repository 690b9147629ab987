"""Incidents with who waits for them and a job that tells of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from b2cal import loop
from b2cal.model import Incident, IncidentKind, Job, JobGroup, JobState

PAGE = 50


@dataclass(frozen=True)
class Incidents:
    """A page of incidents.

    Attributes:
        held_up: the jobs that wait for the end of one, by its number.
        examples: a job that failed and made it known, by the number of the incident.
        older: the number to go on from.
    """

    open: Sequence[loop.OpenIncident]
    closed: Sequence[Incident]
    held_up: Mapping[int, Sequence[loop.HeldUp]]
    examples: Mapping[int, Job]
    older: int | None


def incidents(db: Session, before: int | None) -> Incidents:
    """Those that are open, and the latest that are over; or only those that are over and began before `before`."""
    going = loop.open_incidents(db) if before is None else []
    found = loop.closed_incidents(db, before, PAGE + 1)
    closed = found[:PAGE]
    waiting: dict[int, list[loop.HeldUp]] = {}
    for one in loop.held_up(db, [it.id for it in going]):
        waiting.setdefault(one.incident_id, []).append(one)
    return Incidents(
        open=going,
        closed=closed,
        held_up=waiting,
        examples=_examples(db, {it.id for it in going} | {it.id for it in closed}),
        older=closed[-1].id if len(found) > PAGE else None,
    )


def _examples(db: Session, numbers: Collection[int]) -> dict[int, Job]:
    """The last job of the attempt that a probe was copied from that failed like that, or on that host."""
    its_attempt = Incident.probe["attempt"].as_integer()
    alike = (
        (IncidentKind.STORM, Job.failure_kind == Incident.about),
        (IncidentKind.HOST, Job.host == Incident.about),
    )
    last: dict[int, int] = {}
    for kind, condition in alike:
        rows = (
            select(Incident.id, func.max(Job.id))
            .join(JobGroup, JobGroup.attempt_id == its_attempt)
            .join(Job, Job.group_id == JobGroup.id)
            .where(Incident.id.in_(numbers), Incident.kind == kind, condition, Job.state == JobState.FAILED)
            .group_by(Incident.id)
        )
        last.update(db.execute(rows).all())
    jobs = select(Job).where(Job.id.in_(last.values())).options(joinedload(Job.group))
    known = {job.id: job for job in db.scalars(jobs)}
    return {number: known[job_id] for number, job_id in last.items()}
