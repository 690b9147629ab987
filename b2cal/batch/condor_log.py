"""What the event logs of a schedd tell about jobs: read from their start by whoever begins, then where they were left.

There is one for the jobs of each day, so that what is old can go.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import htcondor2
import structlog
from htcondor2 import JobEventType as Type

from b2cal.core.failures import Failure, Source
from b2cal.model import JobState

from .contract import BatchId, Handle
from .known import KnownJob, LearningJobs

_NOTES = re.compile(r"b2cal (?P<token>\S+) (?P<epoch>\d+) (?P<number>\d+) (?P<folder>/.*)", re.ASCII)

_END = b"...\n"  # the last line of every event

BY_HAND = 1
"""Somebody holds the job, and will release it; HTCondor manual, HoldReasonCode."""

TRANSIENT_HOLDS = frozenset({*range(6, 15), 18, 22, 23})
"""Reasons of a hold that pass by themselves now and then; HTCondor manual, HoldReasonCode: the job could not be
started (6), its files or folder not be opened or transferred (7 to 14, 18), its log not be written (22), its account
not be used (23)."""


HOLD = ("HoldReason", "HoldReasonCode", "HoldReasonSubCode")
"""What tells of a hold, in events as in the attributes of a job."""

log = structlog.get_logger(__name__)

Standing = tuple[JobState, Failure | None]
"""The state of a job, and what is wrong with it, if anything is."""


class EventLogs(LearningJobs):
    """One reader of the logs in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._logs: dict[tuple[Path, int], _EventLog] = {}  # by path and number of the file

    def of_day(self, at: datetime) -> Path:
        """The log for jobs that are submitted on a day."""
        path = self._folder / f"{at:%Y-%m-%d}.log"
        path.touch()
        return path

    def read(self) -> bool:
        """Take in what has been written since.

        False if a log is gone, or an event damaged, which is passed over: what it told must be asked for elsewhere.
        """
        there = [(path, path.stat().st_ino) for path in sorted(self._folder.glob("*.log"))]
        whole = self._logs.keys() <= set(there)
        self._logs = {one: self._logs.get(one) or _EventLog(one[0]) for one in there}
        for each in self._logs.values():
            whole &= each.read(self._take_in)
        return whole

    def forget_before(self, then: datetime) -> None:
        """Know nothing more of what has ended before; logs that have told nothing since go if all has ended."""
        if all(job.ended for job in self.jobs() if job.at < then):
            for path, number in list(self._logs):
                if path.stat().st_mtime < then.timestamp():
                    path.unlink()
                    del self._logs[path, number]
        super().forget_before(then)

    def learn(self, jobs: Iterable[KnownJob]) -> None:
        """Take in what queue or history tell and the log does not: jobs that it has not, and ends."""
        for job in jobs:
            known = self.job(job.batch_id)
            if known is None or (job.ended and not known.ended):
                self.note(job, job.handle.state, job.failure, job.at)

    def _take_in(self, event: htcondor2.JobEvent) -> None:
        batch_id = f"{event.cluster}.{event.proc}"
        known = self.job(batch_id)
        if event.type is Type.SUBMIT:
            self._begin(batch_id, event)
        elif known is None or known.ended:
            return
        elif event.type is Type.JOB_ABORTED:
            self.note(known, *removal(event.get("Reason", ""), known.failure), _moment(event))
        elif event.type in _CHANGES:
            if event.type is Type.EXECUTE:
                known = replace(known, began=_moment(event))
            self.note(known, *_CHANGES[event.type](event), _moment(event))

    def _begin(self, batch_id: BatchId, event: htcondor2.JobEvent) -> None:
        notes = _NOTES.fullmatch(str(event.get("LogNotes", "")).strip())
        if notes is None:
            return  # it is somebody else's job
        handle = Handle(notes["token"], int(notes["epoch"]), int(notes["number"]), batch_id, JobState.QUEUED)
        known = self.job(batch_id)
        if known is None or replace(known.handle, state=JobState.QUEUED) != handle:
            self.note(KnownJob(handle, Path(notes["folder"]), _moment(event)), JobState.QUEUED, None, _moment(event))


class _EventLog:
    """One log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = -1
        self._reader = htcondor2.JobEventLog(str(path))

    def read(self, take_in: Callable[[htcondor2.JobEvent], None]) -> bool:
        """Read what has been written since, nothing while the last event is being written.

        False if an event is damaged: HTCondor's reader has gone past it, and goes on behind it the next time.
        """
        size = self._path.stat().st_size
        if size == self._size or not self._is_whole():
            return True
        self._size = size
        try:
            for event in self._reader.events(0):
                take_in(event)
        except htcondor2.HTCondorException as error:
            log.warning("an event in the log of HTCondor is damaged", path=str(self._path), error=str(error))
            self._size = -1
            return False
        return True

    def _is_whole(self) -> bool:
        """Whether the log ends with a whole event: where it does not, HTCondor's reader loses its place for good."""
        with self._path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - len(_END)))
            return log.read() in (b"", _END)


def _moment(event: htcondor2.JobEvent) -> datetime:
    return datetime.fromtimestamp(event.timestamp, UTC)


def exit_state(exit_code: int | None) -> JobState:
    """What the batch system believes of a job that ended by itself, None: by a signal. Its report knows better."""
    return JobState.DONE if exit_code == 0 else JobState.FAILED


def hold(told: Mapping[str, Any]) -> Standing:
    """What a hold means and how it is told, from an event or the attributes of a job."""
    said, code, subcode = (told.get(name) for name in HOLD)
    code, subcode = code or 0, subcode or 0
    failure = Failure(Source.HOLD, code, f"Held by HTCondor, code {code}/{subcode}: {said or ''}")
    return (JobState.QUEUED if code in {BY_HAND, *TRANSIENT_HOLDS} else JobState.FAILED), failure


def removal(said: str, held: Failure | None) -> Standing:
    """How a job ended that was removed: by its own rule because it was held, else by somebody."""
    if held and "PeriodicRemove" in said:
        return JobState.FAILED, held
    return JobState.CANCELLED, Failure(Source.LOST, None, f"Removed from HTCondor: {said}")


def _terminated(event: Mapping[str, Any]) -> Standing:
    return exit_state(event["ReturnValue"] if event["TerminatedNormally"] else None), None


def _queued(_event: Mapping[str, Any]) -> Standing:
    return JobState.QUEUED, None


def _running(_event: Mapping[str, Any]) -> Standing:
    return JobState.RUNNING, None


_CHANGES: Mapping[Type, Callable[[Mapping[str, Any]], Standing]] = {
    Type.EXECUTE: _running,
    Type.JOB_RECONNECTED: _running,
    Type.JOB_EVICTED: _queued,
    Type.SHADOW_EXCEPTION: _queued,
    Type.JOB_RECONNECT_FAILED: _queued,
    Type.JOB_RELEASED: _queued,
    Type.JOB_HELD: hold,
    Type.JOB_TERMINATED: _terminated,
}
