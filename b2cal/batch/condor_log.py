"""What the event log of a schedd tells about jobs: the last state of each, and when it came.

The log is read from its start by whoever begins, and then where it was left. A cursor counts the changes that one
reader has seen; a cursor of another reader means the beginning, so what is told then may have been told before.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import htcondor2
from htcondor2 import JobEventType as Type

from b2cal.core.ids import new_token
from b2cal.model import JobState

from .contract import START, BatchId, Cursor, Handle

_NOTES = re.compile(r"b2cal (?P<token>\S+) (?P<epoch>\d+) (?P<number>\d+) (?P<folder>/.*)", re.ASCII)

_END = b"...\n"  # the last line of every event

BY_HAND = 1
"""Somebody holds the job, and will release it; HTCondor manual, HoldReasonCode."""

TRANSIENT_HOLDS = frozenset({6, 7, 8, 9, 11, 12, 13, 31})
"""Reasons of a hold that pass by themselves now and then; HTCondor manual, HoldReasonCode: the job could not be
started (6), its files not be written or read (7 to 9), its shadow's resources (11), transfers (12, 13), a full disk of
the machine (31)."""


@dataclass(frozen=True)
class LoggedJob:
    """A job as the log tells it: where it stands since when, behind which change, and why, if that needs a reason."""

    handle: Handle
    folder: Path
    at: datetime
    change: int
    reason: str = ""

    @property
    def batch_id(self) -> BatchId:
        return self.handle.batch_id


class EventLog:
    """One reader of one log. What has ended and was told is forgotten with the reader, not before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._reader = htcondor2.JobEventLog(str(path))
        self._name = new_token()
        self._changes = 0
        self._jobs: dict[BatchId, LoggedJob] = {}

    def read(self) -> None:
        """Take in what has been written since. While the last event is being written that is nothing."""
        if not self._is_whole():
            return
        for event in self._reader.events(0):
            batch_id = f"{event.cluster}.{event.proc}"
            known = self._jobs.get(batch_id)
            if event.type is Type.SUBMIT:
                self._begin(batch_id, event)
            elif known is not None and not known.handle.state.ended and event.type in _CHANGES:
                state, reason = _CHANGES[event.type](event)
                if event.type is Type.JOB_ABORTED and known.reason:
                    reason = known.reason  # it was held before: that is why, whoever removed it then
                self._note(replace(known.handle, state=state), known.folder, reason, event)

    def jobs(self) -> Iterator[LoggedJob]:
        """All jobs of the log, in the order of their last change."""
        return iter(sorted(self._jobs.values(), key=lambda job: job.change))

    def job(self, batch_id: BatchId) -> LoggedJob | None:
        """A job of this log."""
        return self._jobs.get(batch_id)

    def after(self, cursor: Cursor) -> Iterator[LoggedJob]:
        """The jobs that have changed since."""
        reader, _, seen = cursor.partition(":")
        since = int(seen) if cursor != START and reader == self._name else 0
        return (job for job in self.jobs() if job.change > since)

    def cursor(self, job: LoggedJob) -> Cursor:
        """The place behind the last change of a job."""
        return f"{self._name}:{job.change}"

    def _is_whole(self) -> bool:
        """Whether the log ends with a whole event: where it does not, HTCondor's reader loses its place for good."""
        with self.path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - len(_END)))
            return log.read() in (b"", _END)

    def _begin(self, batch_id: BatchId, event: htcondor2.JobEvent) -> None:
        notes = _NOTES.fullmatch(str(event.get("LogNotes", "")).strip())
        if notes is not None:  # else it is somebody else's job
            handle = Handle(notes["token"], int(notes["epoch"]), int(notes["number"]), batch_id, JobState.QUEUED)
            self._note(handle, Path(notes["folder"]), "", event)

    def _note(self, handle: Handle, folder: Path, reason: str, event: htcondor2.JobEvent) -> None:
        self._changes += 1
        at = datetime.fromtimestamp(event.timestamp, UTC)
        self._jobs[handle.batch_id] = LoggedJob(handle, folder, at, self._changes, reason)


def _terminated(event: Mapping[str, Any]) -> tuple[JobState, str]:
    if event["TerminatedNormally"] and event["ReturnValue"] == 0:
        return JobState.DONE, ""
    return JobState.FAILED, ""


def _held(event: Mapping[str, Any]) -> tuple[JobState, str]:
    code, said = event.get("HoldReasonCode", 0), event.get("HoldReason", "")
    reason = f"Held by HTCondor, code {code}/{event.get('HoldReasonSubCode', 0)}: {said}"
    return (JobState.QUEUED if code in {BY_HAND, *TRANSIENT_HOLDS} else JobState.FAILED), reason


def _queued(_event: Mapping[str, Any]) -> tuple[JobState, str]:
    return JobState.QUEUED, ""


def _running(_event: Mapping[str, Any]) -> tuple[JobState, str]:
    return JobState.RUNNING, ""


def _removed(event: Mapping[str, Any]) -> tuple[JobState, str]:
    return JobState.CANCELLED, f"Removed from HTCondor: {event.get('Reason', '')}"


_CHANGES: Mapping[Type, Callable[[Mapping[str, Any]], tuple[JobState, str]]] = {
    Type.EXECUTE: _running,
    Type.JOB_RECONNECTED: _running,
    Type.JOB_EVICTED: _queued,
    Type.SHADOW_EXCEPTION: _queued,
    Type.JOB_RECONNECT_FAILED: _queued,
    Type.JOB_RELEASED: _queued,
    Type.JOB_HELD: _held,
    Type.JOB_TERMINATED: _terminated,
    Type.JOB_ABORTED: _removed,
}
