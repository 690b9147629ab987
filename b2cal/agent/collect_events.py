"""Bring what the batch systems tell into the rows of the jobs.

Only the recorded epoch of a submitted group counts. A living job of another epoch, or of a group that has ended, came
from a submission that was overtaken: it is removed. So is one that has ended as far as the database knows: it was
cancelled before it came up, or its batch system had forgotten it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import structlog
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from b2cal.batch import START, Backend, Cursor, Handle, JobEvent, crashpoint
from b2cal.model import GroupState, Job, JobGroup, JobState

from .desk import Desk
from .endings import UNFINISHED, Change, OpenJob, ending, write_down

log = structlog.get_logger(__name__)


@dataclass
class Stream:
    """Where the agent is in the events of one centre.

    Attributes:
        cursor: what came before it was taken in.
        unheeded: tokens of groups whose events may have come before they were recorded: these are asked for by name.
    """

    cursor: Cursor = START
    unheeded: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Group:
    """A group as far as events are concerned."""

    id: int
    epoch: int
    state: GroupState

    def accepts(self, handle: Handle) -> bool:
        return self.state is GroupState.SUBMITTED and handle.epoch == self.epoch


def collect_events(desk: Desk, backend: Backend, stream: Stream) -> bool:
    """Take in what happened since the last time, and how the jobs of unheeded groups stand; whether any has ended.

    Jobs, the end of their groups, new rounds and signals are written in one transaction. A job whose folder cannot be
    read now is looked at again next time, with all that comes after it; the others go on.

    Raises:
        BatchError: the batch system does not answer; nothing was taken in.
    """
    events = list(desk.lease.kept_over(backend.events(stream.cursor)))
    standing = [
        JobEvent(handle, desk.now(), stream.cursor)
        for token in desk.lease.kept_over(sorted(stream.unheeded))
        for handle in backend.find(token)
        if handle.state is not JobState.QUEUED  # that is how it was written down; why it waits only events tell
    ]
    latest = {(event.handle.token, event.handle.epoch, event.handle.number): event for event in [*standing, *events]}
    if not latest:
        stream.unheeded.clear()
        return False
    with desk.database.read() as db:
        groups = _groups(db, {event.handle.token for event in latest.values() if not event.handle.state.ended})
        known = [event for event in latest.values() if event.handle.token in groups]
        jobs = _open_jobs(
            db,
            desk.settings.attempts,
            {groups[event.handle.token].id for event in known},
            {event.handle.number for event in known},
        )
    changes: list[Change] = []
    unread: list[JobEvent] = []
    for event in known:
        group = groups[event.handle.token]
        job = jobs.get((group.id, event.handle.number))
        if job is None or not group.accepts(event.handle):
            continue
        try:
            change = _change(job, event)
        except OSError as error:
            log.warning("a job cannot be looked at, others go on", folder=str(job.folder), error=str(error))
            unread.append(event)
            continue
        if change is not None:
            changes.append(change)
    any_ended = any(change.is_end for change in changes)
    if any_ended:
        crashpoint("end-to-record")
    if changes:
        desk.write(lambda db: write_down(db, desk, changes))
    _remove_strays(backend, groups, jobs, known)
    taken_in = takewhile(lambda event: event not in unread, events)
    stream.cursor = [stream.cursor, *(event.cursor for event in taken_in)][-1]
    stream.unheeded &= {event.handle.token for event in unread}
    return any_ended


def _groups(db: Session, with_living_jobs: set[str]) -> dict[str, _Group]:
    """The submitted groups, and those of these tokens: how a job of any other group ended is known."""
    rows = db.execute(
        select(JobGroup.token, JobGroup.id, JobGroup.epoch, JobGroup.state).where(
            or_(JobGroup.state == GroupState.SUBMITTED, JobGroup.token.in_(with_living_jobs))
        )
    )
    return {token: _Group(group_id, epoch, state) for token, group_id, epoch, state in rows}


def _open_jobs(db: Session, attempts: Path, group_ids: set[int], numbers: set[int]) -> dict[tuple[int, int], OpenJob]:
    rows = db.execute(
        select(
            Job.id,
            Job.group_id,
            Job.number,
            JobGroup.stage,
            Job.state,
            Job.folder,
            Job.pending_reason,
            Job.started_at,
        )
        .join(JobGroup, Job.group_id == JobGroup.id)
        .where(Job.group_id.in_(group_ids), Job.number.in_(numbers), Job.state.in_(UNFINISHED))
    )
    return {
        (group_id, number): OpenJob(job_id, group_id, stage, state, attempts / folder, reason, started_at)
        for job_id, group_id, number, stage, state, folder, reason, started_at in rows
    }


def _remove_strays(
    backend: Backend, groups: dict[str, _Group], jobs: Mapping[tuple[int, int], OpenJob], events: Sequence[JobEvent]
) -> None:
    strays = []
    for event in events:
        handle, group = event.handle, groups[event.handle.token]
        # A group that is still wanted may have been submitted by an agent that was killed: carry_out decides about it.
        if handle.state.ended or group.state is GroupState.WANTED:
            continue
        if not group.accepts(handle) or (group.id, handle.number) not in jobs:
            strays.append(handle.batch_id)
    if strays:
        backend.cancel(strays)


def _change(job: OpenJob, event: JobEvent) -> Change | None:
    if event.handle.state.ended:
        return Change(job, ending(job.folder, job.stage, event.at, event.failure))
    state, reason = event.handle.state, event.failure.message if event.failure else ""
    if state is JobState.QUEUED and not reason:
        state = job.state  # one that ran and has lost its machine is started again by itself
    anew = event.began is not None and job.started_at is not None and event.began > job.started_at
    if (state, reason) == (job.state, job.pending_reason) and not anew:
        return None
    began = event.began or event.at if state is JobState.RUNNING else None
    started = {"started_at": began, "slow": ""} if anew or state is not job.state else {}
    return Change(job, {"state": state, "pending_reason": reason, **started})
