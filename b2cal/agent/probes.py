"""Probes: a copy of a failed job goes ahead, and tells by its end whether an incident is over.

What a probe brings back is thrown away; the job itself is done again with the others.
"""

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.batch import Backend, BatchGroup, BatchJob, JobReport, plan, retry_policy
from b2cal.core.errors import B2calError
from b2cal.core.failures import Failure
from b2cal.core.ids import new_token
from b2cal.model import Incident, IncidentKind, JobState, Stage

from .carry_out import see_that_credentials_last
from .desk import Desk
from .endings import ending
from .folders import PlannedGroup, prepare
from .incidents import end, is_pointless

LONGEST_PAUSE = 4
"""Between two probes: at most so many times the pause before failed jobs are tried again."""

FORGIVEN_AFTER = timedelta(days=7)
"""A host is avoided so long, for it may be gone for good; one that still fails jobs is soon found out again."""

ASK_EVERY = timedelta(minutes=1)
"""How often the batch system is asked for a probe that has left no report."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Open:
    """An incident that is not over.

    Attributes:
        centre: where it is.
        token: of the probe that is under way, if one is.
        due: when the next is sent, or its batch system is asked for the one that is under way.
        probes: how many have been sent.
    """

    id: int
    centre: str
    kind: IncidentKind
    about: str
    probe: dict[str, Any]
    token: str | None
    opened_at: datetime
    due: datetime
    probes: int

    @property
    def plan(self) -> PlannedGroup:
        """What the folder of the probe that is under way is made from."""
        return PlannedGroup(
            name=f"incident {self.id}/probe {self.probes}",
            attempt_id=self.probe["attempt"],
            stage=f"probe-{self.id}",
            iteration=self.probes,
            round=0,
            interpreter=self.probe["interpreter"],
            environment=self.probe.get("environment", {}),  # not there in an incident that began before
            spec=self.probe["spec"],
            parts={0: self.probe["part"]},
        )

    def folder(self, attempts: Path) -> Path:
        """Where it lives."""
        return attempts / self.plan.job_folder(1, 0)


def send_and_judge(desk: Desk, centre: str, backend: Backend) -> bool:
    """Send the probes of a centre that are due; judge those that have ended. Tells whether there was any incident.

    What cannot be done about one incident now keeps no other waiting.

    Raises:
        BatchError, CannotPrepare, CredentialTrouble: it is tried again in a later round.
        OSError: what a probe has left cannot be read now.
    """
    at = desk.now()
    with desk.database.read() as db:
        rows = db.scalars(select(Incident).where(Incident.centre == centre, Incident.live.is_(True))).all()
        incidents = [_seen(row) for row in rows]
    trouble: B2calError | OSError | None = None
    for it in incidents:
        desk.lease.keep()  # a batch system that does not answer takes its time
        try:
            _look_after(desk, backend, it, at)
        except (B2calError, OSError) as error:
            log.warning("an incident has to wait", centre=centre, about=it.about, error=str(error))
            trouble = error
    if trouble is not None:
        raise trouble
    return bool(incidents)


def _look_after(desk: Desk, backend: Backend, it: Open, at: datetime) -> None:
    if it.kind is IncidentKind.HOST and at - it.opened_at >= FORGIVEN_AFTER:
        desk.write(lambda db: end(db, db.get_one(Incident, it.id), at))
    elif it.token is None:
        intended = _intended(desk, it, at) if it.due <= at else None
        if intended is not None:
            _send(desk, backend, intended)
    elif JobReport.read(it.folder(desk.settings.attempts)) is not None:
        _judge(desk, it, at)
    elif it.due <= at:
        _ask(desk, backend, it, at)


def _intended(desk: Desk, it: Open, at: datetime) -> Open | None:
    """A new probe, written down before the batch system hears of it; None if nobody waits for it any more."""

    def unit(db: Session) -> Open | None:
        row = db.get_one(Incident, it.id)
        if is_pointless(db, row):
            end(db, row, at)
            return None
        row.probe_token, row.probe_due, row.probes = new_token(), at + ASK_EVERY, row.probes + 1
        return _seen(row)

    return desk.write(unit)


def _seen(row: Incident) -> Open:
    return Open(
        row.id, row.centre, row.kind, row.about, row.probe, row.probe_token, row.opened_at, row.probe_due, row.probes
    )


def _send(desk: Desk, backend: Backend, it: Open) -> None:
    assert it.token is not None
    see_that_credentials_last(desk, it.centre)
    folder = it.folder(desk.settings.attempts)
    if not folder.exists():
        prepare(desk.settings.attempts, it.plan.at(it.centre, desk.settings), 1)
    host = it.about if it.kind is IncidentKind.HOST else ""
    job = BatchJob(0, folder, it.probe["memory_mb"], host)
    backend.submit(BatchGroup(it.token, 1, it.plan.name, (job,)))


def _ask(desk: Desk, backend: Backend, it: Open, at: datetime) -> None:
    """See whether a probe without a report is under way: it may never have been submitted, or be lost."""
    assert it.token is not None

    def unit(db: Session) -> None:
        db.get_one(Incident, it.id).probe_due = at + ASK_EVERY

    desk.write(unit)  # before the batch system is asked: one that refuses the probe is not asked in every round
    handles = backend.find(it.token)
    if not handles:
        _send(desk, backend, it)
    elif all(handle.state.ended for handle in handles):
        _judge(desk, it, at)


def _judge(desk: Desk, it: Open, at: datetime) -> None:
    """End the incident if its probe has come through, or has failed in another way that will not pass.

    What is proven, because it has ended well elsewhere, can only come through.
    """
    ended = ending(it.folder(desk.settings.attempts), Stage(it.probe["stage"]), at)
    policy = retry_policy(desk.settings, it.centre)
    over = ended["state"] is JobState.DONE
    if not over and not it.probe.get("proven"):  # not there in an incident that began before
        failure = Failure(ended["source"], ended["code"], ended["error"])
        over = failure.kind != it.about and plan(failure, it.probe["memory_mb"], policy).hopeless

    def unit(db: Session) -> None:
        row = db.get_one(Incident, it.id)
        if over:
            end(db, row, at)
        else:
            pause_s = policy.delay_s * min(2**row.probes, LONGEST_PAUSE)
            row.probe_token, row.probe_due = None, at + timedelta(seconds=pause_s)

    desk.write(unit)
    shutil.rmtree(it.folder(desk.settings.attempts).parents[2], ignore_errors=True)
