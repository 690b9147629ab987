"""The jobs that one client of a batch system knows: the last state of each, and in which order they came into it.

A cursor counts the changes that one client has seen; a cursor of another client means the beginning, so what is told
then may have been told before.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from pathlib import Path

from b2cal.core.failures import Failure
from b2cal.core.ids import new_token
from b2cal.model import JobState

from .contract import START, BatchId, Cursor, Handle, JobEvent


@dataclass(frozen=True)
class KnownJob:
    """A job as its batch system tells it: where it stands since when, and what is wrong with it, if anything is.

    `change` counts the changes that the client has seen; `began` is when it was started the last time, if that is told.
    """

    handle: Handle
    folder: Path
    at: datetime
    failure: Failure | None = None
    change: int = 0
    began: datetime | None = None

    @property
    def batch_id(self) -> BatchId:
        return self.handle.batch_id

    @property
    def ended(self) -> bool:
        return self.handle.state.ended


class KnownJobs:
    """What one client was told, in the order of the last change of each job."""

    def __init__(self) -> None:
        self._name = new_token()
        self._changes = 0
        self._jobs: dict[BatchId, KnownJob] = {}
        self._n_going = 0

    def note(self, job: KnownJob, state: JobState, failure: Failure | None, at: datetime) -> None:
        """A job has come into a state."""
        self._changes += 1
        before = self._jobs.pop(job.batch_id, None)  # it goes to the end
        self._n_going += (not state.ended) - (before is not None and not before.ended)
        handle = replace(job.handle, state=state)
        self._jobs[job.batch_id] = replace(job, handle=handle, failure=failure, at=at, change=self._changes)

    def jobs(self) -> Iterator[KnownJob]:
        """All of them, in the order of their last change."""
        return iter(list(self._jobs.values()))

    @property
    def any_going(self) -> bool:
        """Whether one has not ended."""
        return self._n_going > 0

    def forget_before(self, then: datetime) -> None:
        """Know nothing more of what has ended before."""
        self.forget([job.batch_id for job in self.jobs() if job.ended and job.at < then])

    def forget(self, jobs: Iterable[BatchId]) -> None:
        """Know nothing more of jobs that have ended."""
        for job in jobs:
            self._jobs.pop(job, None)

    def job(self, batch_id: BatchId) -> KnownJob | None:
        """One of them."""
        return self._jobs.get(batch_id)

    def after(self, cursor: Cursor) -> Iterator[KnownJob]:
        """The jobs that have changed since."""
        client, _, seen = cursor.partition(":")
        since = int(seen) if cursor != START and client == self._name else 0
        new = list(takewhile(lambda job: job.change > since, reversed(self._jobs.values())))
        return reversed(new)

    def event(self, job: KnownJob) -> JobEvent:
        """The last change of a job."""
        return JobEvent(job.handle, job.at, f"{self._name}:{job.change}", job.failure, job.began)


class LearningJobs(KnownJobs, ABC):
    """The same, where what was told may be less than what one hears when one asks."""

    @abstractmethod
    def learn(self, jobs: Iterable[KnownJob]) -> None:
        """Take in how jobs stand, from an answer to a question."""
