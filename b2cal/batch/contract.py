"""What b2cal asks of the batch system of a centre. Seven verbs; whatever differs between systems lies behind them.

Every call may be repeated after a crash at any point. A group of jobs is known by a token, which the client made, and
an epoch, which counts the tries to submit it: both are in the database before the batch system is asked, and every
batch job carries them. So a client that does not know whether its submission arrived asks `find`, and a submission
that arrives late, after its successor, is recognised by its epoch and removed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from b2cal.core.errors import B2calError
from b2cal.core.failures import Failure
from b2cal.model import JobState

Cursor = str
"""A place in the stream of events of one backend; only that backend understands it."""

START: Cursor = ""
"""The beginning of the stream: everything that the batch system still remembers."""

BatchId = str
"""What the batch system calls a job."""


class BatchError(B2calError):
    """The batch system cannot do what it was asked now; asking again may help."""


@dataclass(frozen=True)
class BatchJob:
    """One job: its number in the group, a folder made for one try, the memory that it asks for (None: the usual).

    `host` is the only one where it may run; empty: any that is not avoided. On the host of the job `not_beside`, which
    runs, it shall not, where the system can be told so.

    The folder holds `job.py`, which is to be run there by Python, `wrapper.json` and `job.json`; what the jobs of a
    group have in common lies behind a link, `shared`. The job is over when `job_report.json` lies in the folder, see
    `b2cal.calibration.job`.
    """

    number: int
    folder: Path
    memory_mb: int | None = None
    host: str = ""
    not_beside: BatchId = ""


@dataclass(frozen=True)
class BatchGroup:
    """Jobs to be submitted together; `name` is for people who look at the batch system."""

    token: str
    epoch: int
    name: str
    jobs: tuple[BatchJob, ...]


@dataclass(frozen=True)
class Handle:
    """A job as the batch system knows it."""

    token: str
    epoch: int
    number: int
    batch_id: BatchId
    state: JobState


@dataclass(frozen=True)
class JobEvent:
    """A job came into a state; `cursor` is the place in the stream behind this event.

    Whether an ended job did its work is told by its report, not by the batch system; `failure` is what the batch system
    says where there is no report. Of a job that has not ended it says why that does not run now: it is held, or
    suspended. `began` is when it was started the last time, where its system tells: one that loses its machine is
    started again.
    """

    handle: Handle
    at: datetime
    cursor: Cursor
    failure: Failure | None = None
    began: datetime | None = None


class Backend(Protocol):
    """Batch system of one centre. Every call may be repeated after a crash at any point."""

    def ready(self) -> None:
        """See that the batch system is there and takes jobs from this user; nothing is changed.

        Raises:
            BatchError: it is not, or does not.
        """

    def submit(self, group: BatchGroup) -> None:
        """Hand over a group. The same token and epoch again changes nothing.

        Raises:
            BatchError: it is not known whether the group arrived; `find` tells.
        """

    def find(self, token: str) -> list[Handle]:
        """All jobs that carry this token, of every epoch, ended ones included.

        Raises:
            BatchError: the batch system does not answer. An empty list means that there are none.
        """

    def events(self, since: Cursor) -> Iterator[JobEvent]:
        """What happened after `since`, oldest first; the last state of each job is always among it.

        An event may come more than once. After a restart a client begins again at `START`. Some may come while the rest
        is still asked for: that can take its time.

        Raises:
            BatchError: the batch system does not answer.
        """

    def cancel(self, jobs: Sequence[BatchId]) -> None:
        """End these jobs and whatever they have started; ended or unknown ones do not matter.

        Raises:
            BatchError: some may still run.
        """

    def avoid(self, hosts: Sequence[str]) -> None:
        """Start no job on these hosts from now on, and on all others again; jobs that wait are among them.

        A client that begins avoids none. A system of one host has nothing to do.

        Raises:
            BatchError: jobs that wait may still start there.
        """

    def log(self, job: BatchId, tail: int | None = None) -> bytes:
        """What a job has printed so far, at least the last `tail` bytes of it.

        Raises:
            BatchError: the job is unknown.
        """
