"""The jobs that one client of a batch system knows: the last state of each, and in which order they came into it.

A cursor counts the changes that one client has seen; a cursor of another client means the beginning, so what is told
then may have been told before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from b2cal.core.failures import Failure
from b2cal.core.ids import new_token
from b2cal.model import JobState

from .contract import START, BatchId, Cursor, Handle, JobEvent


@dataclass(frozen=True)
class KnownJob:
    """A job as its batch system tells it: where it stands since when, and what is wrong with it, if anything is.

    `change` counts the changes that the client has seen.
    """

    handle: Handle
    folder: Path
    at: datetime
    failure: Failure | None = None
    change: int = 0

    @property
    def batch_id(self) -> BatchId:
        return self.handle.batch_id

    @property
    def ended(self) -> bool:
        return self.handle.state.ended


class KnownJobs:
    """What one client was told. What has ended and was told is forgotten with the client, not before."""

    def __init__(self) -> None:
        self._name = new_token()
        self._changes = 0
        self._jobs: dict[BatchId, KnownJob] = {}

    def note(self, job: KnownJob, state: JobState, failure: Failure | None, at: datetime) -> None:
        """A job has come into a state."""
        self._changes += 1
        handle = replace(job.handle, state=state)
        self._jobs[job.batch_id] = replace(job, handle=handle, failure=failure, at=at, change=self._changes)

    def jobs(self) -> Iterator[KnownJob]:
        """All of them, in the order of their last change."""
        return iter(sorted(self._jobs.values(), key=lambda job: job.change))

    def job(self, batch_id: BatchId) -> KnownJob | None:
        """One of them."""
        return self._jobs.get(batch_id)

    def after(self, cursor: Cursor) -> Iterator[KnownJob]:
        """The jobs that have changed since."""
        client, _, seen = cursor.partition(":")
        since = int(seen) if cursor != START and client == self._name else 0
        return iter([job for job in self.jobs() if job.change > since])

    def event(self, job: KnownJob) -> JobEvent:
        """The last change of a job."""
        return JobEvent(job.handle, job.at, f"{self._name}:{job.change}", job.failure)
