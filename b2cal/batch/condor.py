"""HTCondor behind the batch contract, through its current bindings: one cluster for each submission of a group.

Token and epoch are attributes of every job. The schedd is asked once for a group, before and after it is submitted, and
now and then for all jobs, never for single ones. HTCondor keeps no ended job in its queue: those are in its history.

Files are moved by HTCondor: no file system needs to be shared with the machines that run the jobs.
"""

import os
import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from b2cal.core.checksums import digest
from b2cal.core.failures import Failure, Source
from b2cal.model import JobState
from b2cal.settings import CondorSettings

from .condor_description import description, items
from .condor_log import EventLogs
from .condor_schedd import Schedd, quoted
from .contract import BatchError, BatchGroup, BatchId, Cursor, Handle, JobEvent
from .known import KnownJob, LearningJobs
from .report import printed

HISTORY_MARGIN = timedelta(minutes=10)
"""How long a job that has ended may take to leave the queue."""

LOST = "HTCondor has it neither in its queue nor in its history."

_BATCH_ID = re.compile(r"[1-9]\d*\.\d+", re.ASCII)

log = structlog.get_logger(__name__)


def home(folder: Path) -> str:
    """What tells the jobs of one installation from those of others of the same account, as a ClassAd string."""
    return quoted(digest(str(folder.resolve()))[:8])


class Condor(ABC):
    """One schedd. Where it runs decides how jobs and their files reach it, and how one hears of them.

    Args:
        pool: which schedd, and how its jobs are to be run.
        known: what was told of jobs.
        ours: a constraint that all our jobs fulfil, and no others.
    """

    def __init__(self, pool: CondorSettings, known: LearningJobs, ours: str) -> None:
        self._pool = pool
        self._schedd = Schedd(pool)
        self._known = known
        self._ours = ours
        self._looked: datetime | None = None
        self._missing: set[BatchId] = set()
        self._removed: set[BatchId] = set()
        self._avoided = ""

    @abstractmethod
    def _hand_over(self, group: BatchGroup, wanted: Mapping[str, str], each: Sequence[Mapping[str, str]]) -> None:
        """Submit one cluster: what its jobs have in common, and what each has of its own."""

    @abstractmethod
    def _hear(self) -> None:
        """Take in what is told without being asked."""

    @abstractmethod
    def events(self, since: Cursor) -> Iterator[JobEvent]: ...

    def ready(self) -> None:
        self._schedd.ping()

    def submit(self, group: BatchGroup) -> None:
        self._schedd.ping()
        if any(handle.epoch == group.epoch for handle in self.find(group.token)):
            return
        parent = Path(os.path.commonpath([job.folder.parent for job in group.jobs]))
        wanted = description(group, parent, self._pool, self._avoided or quoted(""))
        beside = self._schedd.hosts([job.not_beside for job in group.jobs if job.not_beside])
        self._hand_over(group, wanted, items(group, parent, self._pool, beside))

    def find(self, token: str) -> list[Handle]:
        if self._looked is None:
            self._look()
        queued = self._schedd.queued(f"B2calToken == {quoted(token)} && {self._ours}")
        self._hear()
        self._known.learn(queued)
        ours = [job.handle for job in self._known.jobs() if job.handle.token == token]
        return sorted(ours, key=lambda handle: (handle.epoch, handle.number))

    def cancel(self, jobs: Sequence[BatchId]) -> None:
        clusters: dict[str, list[str]] = defaultdict(list)
        for job in jobs:
            if _BATCH_ID.fullmatch(job):
                clusters[job.partition(".")[0]].append(job)
        for cluster, ids in clusters.items():
            # All of a cluster of which none is to stay, so that what has not materialised goes too.
            its = f"ClusterId == {cluster} && {self._ours}"
            others = {job.batch_id for job in self._schedd.queued(its)} - set(ids)
            if others:
                self._schedd.remove(ids)
            else:
                self._schedd.remove_all(its)
            self._removed.update(ids)

    def avoid(self, hosts: Sequence[str]) -> None:
        avoided = quoted(",".join(sorted(hosts)))
        self._schedd.edit(self._ours, "B2calAvoid", avoided)
        self._avoided = avoided

    def log(self, job: BatchId, tail: int | None = None) -> bytes:
        self._hear()
        known = self._known.job(job)
        if known is None:
            raise BatchError(f"There is no HTCondor job {job}.", hint="It may belong to another schedd.")
        if known.handle.state is JobState.RUNNING:
            return self._schedd.printed(job, tail)
        return printed(known.folder, tail)

    def _told(self, since: Cursor) -> Iterator[JobEvent]:
        changed = list(self._known.after(since))
        # A job that has not materialised cannot be removed alone; it is when it comes up.
        late = [job.batch_id for job in changed if job.batch_id in self._removed and not job.ended]
        if late:
            self._schedd.remove(late)
        return (self._known.event(job) for job in changed)

    def _look_is_due(self, every_s: float) -> bool:
        if self._looked is None:
            return True
        since = datetime.now(UTC) - self._looked
        return since.total_seconds() >= every_s and self._known.any_going

    def _look(self) -> None:
        """Ask queue and history for all jobs, and take in what the event log does not tell.

        A job that is in neither at two looks is lost. At one look that may be a log which is being written.
        """
        at = datetime.now(UTC)
        oldest = at - timedelta(days=self._pool.history_days)
        if self._looked:  # since then all that had ended was told
            self._known.forget_before(oldest)
        queued = self._schedd.queued(self._ours)
        self._hear()
        missing = {job.batch_id for job in self._known.jobs() if not job.ended} - {job.batch_id for job in queued}
        self._known.learn(queued)
        if missing or self._looked is None:
            begin = self._looked or oldest
            self._known.learn(self._schedd.ended(self._ours, begin - HISTORY_MARGIN))
        gone = [job for job in self._known.jobs() if job.batch_id in missing and not job.ended]
        self._known.learn(self._lost(job, at) for job in gone if job.batch_id in self._missing)
        self._missing = {job.batch_id for job in gone}
        self._removed &= {job.batch_id for job in self._known.jobs() if not job.ended}
        self._looked = at

    def _lost(self, job: KnownJob, at: datetime) -> KnownJob:
        # Of one that was removed before it materialised HTCondor keeps no trace.
        state = JobState.CANCELLED if job.batch_id in self._removed else JobState.FAILED
        return replace(job, handle=replace(job.handle, state=state), at=at, failure=Failure(Source.LOST, None, LOST))


class CondorBackend(Condor):
    """A schedd on this machine. What happens to jobs is read from the event logs that it writes into `folder`.

    Token and epoch stand in the notes of the first event of a job. The logs are also what remembers ended jobs. Queue
    and history are the net under them, should one have been lost or a full disk have kept the schedd from writing it.
    """

    def __init__(self, pool: CondorSettings, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = EventLogs(folder)
        self._home = home(folder)
        super().__init__(pool, self._log, f"B2calHome == {self._home}")

    def events(self, since: Cursor) -> Iterator[JobEvent]:
        self._hear()
        if self._look_is_due(self._pool.look_every_s):
            try:
                self._look()
            except BatchError as error:
                log.warning("the event logs alone tell what happens", error=str(error))
        return self._told(since)

    def _hand_over(self, group: BatchGroup, wanted: Mapping[str, str], each: Sequence[Mapping[str, str]]) -> None:
        told = {
            "log": str(self._log.of_day(datetime.now(UTC))),
            "My.B2calHome": self._home,
            "max_idle": str(self._pool.max_idle),
            "submit_event_notes": f"b2cal {group.token} {group.epoch} $(number) {wanted['initialdir']}",
        }
        self._schedd.submit({**wanted, **told}, each)

    def _hear(self) -> None:
        if not self._log.read():
            self._looked = None  # queue and history tell what the log does not
