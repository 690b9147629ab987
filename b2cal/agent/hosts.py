"""Hosts that fail jobs: one that does so quickly and again and again, while work can go on elsewhere, gets no more.

A storm is none of that: where jobs fail alike on most hosts the cause lies elsewhere, see `storms`.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, load_only

from b2cal.batch import plan, retry_policy
from b2cal.core.failures import Failure
from b2cal.loop import rounds_of
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
    now,
)
from b2cal.settings import Settings

from .incidents import begin

LATEST = 2000
"""So many of the latest ends at a centre tell how its hosts do."""

RECENT = timedelta(days=7)
"""A host on which no job has ended for so long is none on which work could go on."""

Jobs = TypeVar("Jobs", bound=Select[*tuple[Any, ...]])
"""A question about jobs."""


def look_at_hosts(db: Session, failed: Collection[int], settings: Settings) -> None:
    """Begin an incident for each host that has failed one of these jobs, if it is to blame.

    What would fail anywhere, as the rules say, is only held against a host where siblings have ended well elsewhere,
    and where the job itself has not failed in the same way.
    """
    named = select(Job.host, Processing.centre).where(Job.id.in_(failed), Job.host != "")
    rows = db.execute(_with_centre(named).distinct()).all()
    suspects: defaultdict[str, set[str]] = defaultdict(set)
    for host, centre in rows:
        suspects[centre].add(host)
    for centre, hosts in suspects.items():
        ends = _latest_ends(db, centre)
        for host in sorted(hosts.difference(avoided(db, centre))):
            _look_at(db, host, centre, ends, settings)


def avoided(db: Session, centre: str) -> list[str]:
    """The hosts of a centre on which nothing may start now."""
    incidents = select(Incident.about).where(
        Incident.centre == centre, Incident.kind == IncidentKind.HOST, Incident.live.is_(True)
    )
    return sorted(db.scalars(incidents))


def _latest_ends(db: Session, centre: str) -> Sequence[Job]:
    """The jobs of a centre that have ended last, the latest first; read once for all of its hosts."""
    judged = load_only(
        Job.host, Job.state, Job.source, Job.code, Job.error, Job.memory_mb, Job.started_at, Job.ended_at
    )
    return db.scalars(_ended(select(Job), centre, now(db) - RECENT).limit(LATEST).options(judged)).all()


def _look_at(db: Session, host: str, centre: str, ends: Sequence[Job], settings: Settings) -> None:
    most = settings.batch.host_failures
    last = [job for job in ends if job.host == host][:most]
    if len(last) < most or not all(_failed_quickly(job, settings) for job in last):
        return
    probes = [_to_probe_with(db, job, centre, settings) for job in last]
    since = min(job.ended_at for job in last if job.ended_at)
    if probes[0] is not None and all(probes) and _goes_well_elsewhere(db, host, centre, since, ends):
        _begin(db, host, last[0], probes[0], settings)


def _failed_quickly(job: Job, settings: Settings) -> bool:
    if job.state is not JobState.FAILED or job.source is None or job.started_at is None or job.ended_at is None:
        return False
    return job.ended_at - job.started_at <= timedelta(seconds=settings.batch.host_quick_s)


def _to_probe_with(db: Session, failed: Job, centre: str, settings: Settings) -> Job | None:
    """The job that tells whether a host works: the failed one, or a sibling that has ended well on another.

    None: the rules say that the job would fail anywhere, and it has done so, or no sibling speaks against that.
    """
    assert failed.source is not None
    failure = Failure(failed.source, failed.code, failed.error)
    if not plan(failure, failed.memory_mb, retry_policy(settings, centre)).hopeless:
        return failed
    group = failed.group
    siblings = select(Job).join(JobGroup, Job.group_id == JobGroup.id).where(rounds_of(group))
    elsewhere = siblings.where(Job.host.not_in(["", failed.host])).order_by(Job.id).limit(1)
    alike = elsewhere.where(Job.number == failed.number, Job.failure_kind == failure.kind)
    if db.scalars(alike).first() is not None:
        return None
    return db.scalars(elsewhere.where(Job.state == JobState.DONE)).first()


def _goes_well_elsewhere(db: Session, host: str, centre: str, since: datetime, ends: Sequence[Job]) -> bool:
    """Whether the last job of at least half of the other hosts has ended well since then.

    Where none has ended one: whether there are others, and work goes on; on which host a job runs is not known.
    """
    not_there = [host, "", *avoided(db, centre)]
    last: dict[str, JobState] = {}
    for job in ends:
        if job.host not in not_there and job.ended_at and job.ended_at >= since:
            last.setdefault(job.host, job.state)
    if last:
        return 2 * list(last.values()).count(JobState.DONE) >= len(last)
    works = _with_centre(select(Job.id)).where(Processing.centre == centre, JobGroup.state == GroupState.SUBMITTED)
    on_others = _ended(select(Job.id), centre, now(db) - RECENT).where(Job.host.not_in(not_there))
    questions = works.where(Job.state == JobState.RUNNING, Job.started_at < since), on_others
    return all(db.execute(question.limit(1)).first() is not None for question in questions)


def _begin(db: Session, host: str, last: Job, example: Job, settings: Settings) -> None:
    batch, at = settings.batch, now(db)
    reason = (
        f"{host} has failed {batch.host_failures} jobs in succession, each within {batch.host_quick_s:g} s, the last by"
        f" {last.error}: since {at:%Y-%m-%d %H:%M} UTC nothing starts there until a probe has come through"
    )
    begin(db, IncidentKind.HOST, host, reason, example, at, batch.retry_delay_s)


def _with_centre(jobs: Jobs) -> Jobs:
    """A question about jobs, which may ask for their processing as well."""
    return (
        jobs.join(JobGroup, Job.group_id == JobGroup.id)
        .join(Attempt, JobGroup.attempt_id == Attempt.id)
        .join(Calibration, Attempt.calibration_id == Calibration.id)
        .join(Processing, Calibration.processing_id == Processing.id)
    )


def _ended(jobs: Jobs, centre: str, after: datetime) -> Jobs:
    """A question about the jobs of a centre that have ended after that, the latest first."""
    told = Job.state.in_((JobState.DONE, JobState.FAILED))  # what was cancelled says nothing of its host
    ended = _with_centre(jobs).where(Processing.centre == centre, Job.ended_at > after, told)
    return ended.order_by(Job.ended_at.desc(), Job.id.desc())
