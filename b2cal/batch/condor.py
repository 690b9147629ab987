"""HTCondor behind the batch contract, through its current bindings: one cluster for each submission of a group.

Token and epoch are attributes of every job, and stand in the notes of its first event. What happens to jobs is read
from the event logs that the schedd writes on this machine; the schedd itself is asked once for a group, before and
after it is submitted, never for single jobs. HTCondor keeps no ended job in its queue, so the event logs are also what
remembers them. Under them lies a net: at the beginning, and now and then while jobs are under way, queue and history
are asked for all jobs at once, should a log have been lost or a full disk have kept the schedd from writing it.

Files are moved by HTCondor: no file system needs to be shared with the machines that run the jobs.
"""

import os
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from b2cal.calibration.job import ARCHIVE, SHARED
from b2cal.core.checksums import digest
from b2cal.core.failures import Failure, Source
from b2cal.core.files import replacing
from b2cal.model import JobState
from b2cal.settings import CondorSettings

from .condor_log import BY_HAND, TRANSIENT_HOLDS, EventLogs
from .condor_schedd import HELD, Schedd, quoted
from .contract import BatchError, BatchGroup, BatchId, Cursor, Handle, JobEvent
from .known import KnownJob
from .ranges import in_ranges
from .report import NAME as REPORT
from .report import printed

FILES = ("job.py", "wrapper.json", "job.json")
OUTPUTS = (REPORT, "stdout", "stderr", "outputs")
"""What comes back from a job; the wrapper makes all of it, whatever becomes of the command."""

ANY_HOST = "any"

HISTORY_MARGIN = timedelta(minutes=10)
"""How long a job that has ended may take to leave the queue."""

LOST = "HTCondor has it neither in its queue nor in its history."

_BATCH_ID = re.compile(r"[1-9]\d*\.\d+", re.ASCII)

log = structlog.get_logger(__name__)


class CondorBackend:
    """The schedd of one pool; `events` is a folder for the event logs, which the schedd writes on this machine."""

    def __init__(self, pool: CondorSettings, events: Path) -> None:
        self._pool = pool
        events.mkdir(parents=True, exist_ok=True)
        self._schedd = Schedd(pool)
        self._log = EventLogs(events)
        self._home = quoted(digest(str(events.resolve()))[:8])
        self._ours = f"B2calHome == {self._home}"
        self._looked: datetime | None = None
        self._missing: set[BatchId] = set()
        self._removed: set[BatchId] = set()
        self._avoided = ""

    def ready(self) -> None:
        self._schedd.ping()

    def submit(self, group: BatchGroup) -> None:
        self._schedd.ping()
        if any(handle.epoch == group.epoch for handle in self.find(group.token)):
            return
        parent = Path(os.path.commonpath([job.folder.parent for job in group.jobs]))
        common = _packed(group.jobs[0].folder / SHARED, parent)
        items = [
            {
                "number": str(job.number),
                "place": str(job.folder.relative_to(parent)),
                "memory": str(job.memory_mb or self._pool.memory_mb),
                "host": job.host or ANY_HOST,
            }
            for job in group.jobs
        ]
        token = [self._pool.token] if self._pool.token else []
        self._schedd.submit(self._description(group, parent, [*FILES, *common, *token]), items)

    def find(self, token: str) -> list[Handle]:
        if self._looked is None:
            self._look()
        queued = self._schedd.queued(f"B2calToken == {quoted(token)}")
        self._read_log()
        self._log.learn(queued)
        ours = [job.handle for job in self._log.jobs() if job.handle.token == token]
        return sorted(ours, key=lambda handle: (handle.epoch, handle.number))

    def events(self, since: Cursor) -> Iterator[JobEvent]:
        self._read_log()
        if self._look_is_due():
            try:
                self._look()
            except BatchError as error:
                log.warning("the event log alone tells what happens", error=str(error))
        changed = list(self._log.after(since))
        self._remove_what_came_late(changed)
        return (self._log.event(job) for job in changed)

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
        self._read_log()
        known = self._log.job(job)
        if known is None:
            raise BatchError(f"There is no HTCondor job {job}.", hint="It may belong to another schedd.")
        if known.handle.state is JobState.RUNNING:
            return self._schedd.printed(job, tail)
        return printed(known.folder, tail)

    def _remove_what_came_late(self, changed: Sequence[KnownJob]) -> None:
        """A job that has not materialised cannot be removed alone; it is when it comes up."""
        late = [job.batch_id for job in changed if job.batch_id in self._removed and not job.ended]
        if late:
            self._schedd.remove(late)

    def _read_log(self) -> None:
        if not self._log.read():
            self._looked = None  # queue and history tell what the log does not

    def _look_is_due(self) -> bool:
        if self._looked is None:
            return True
        since = datetime.now(UTC) - self._looked
        return since.total_seconds() >= self._pool.look_every_s and self._log.any_going

    def _look(self) -> None:
        """Ask queue and history for all jobs, and take in what the event log does not tell.

        A job that is in neither at two looks is lost. At one look that may be a log which is being written.
        """
        at = datetime.now(UTC)
        oldest = at - timedelta(days=self._pool.history_days)
        if self._looked:  # since then all that had ended was told
            self._log.forget_before(oldest)
        queued = self._schedd.queued(self._ours)
        self._read_log()
        missing = {job.batch_id for job in self._log.jobs() if not job.ended} - {job.batch_id for job in queued}
        self._log.learn(queued)
        if missing or self._looked is None:
            begin = self._looked or oldest
            self._log.learn(self._schedd.ended(self._ours, begin - HISTORY_MARGIN))
        gone = [job for job in self._log.jobs() if job.batch_id in missing and not job.ended]
        self._log.learn(self._lost(job, at) for job in gone if job.batch_id in self._missing)
        self._missing = {job.batch_id for job in gone}
        self._removed &= {job.batch_id for job in self._log.jobs() if not job.ended}
        self._looked = at

    def _lost(self, job: KnownJob, at: datetime) -> KnownJob:
        # Of one that was removed before it materialised HTCondor keeps no trace.
        state = JobState.CANCELLED if job.batch_id in self._removed else JobState.FAILED
        return replace(job, handle=replace(job.handle, state=state), at=at, failure=Failure(Source.LOST, None, LOST))

    def _description(self, group: BatchGroup, parent: Path, files: Sequence[str]) -> dict[str, str]:
        """The submit description: see the manual page of condor_submit."""
        pool = self._pool
        numbers = " ".join(in_ranges(job.number for job in group.jobs))
        return {
            "request_disk": "4 GB",
            "request_memory": "$(memory)",
            **pool.submit,
            **_wishes(pool),
            **_holds(pool),
            "requirements": _requirements(pool),
            "executable": pool.python,
            "arguments": f"-I -S job.py $$([{_host(pool)}])",
            "transfer_executable": "false",
            "initialdir": f"{parent}/$(place)",
            "log": str(self._log.of_day(datetime.now(UTC))),
            "output": "wrapper.log",
            "error": "wrapper.log",
            "should_transfer_files": "YES",
            "when_to_transfer_output": "ON_EXIT",
            "transfer_input_files": ",".join(files),
            "transfer_output_files": ",".join(OUTPUTS),
            "submit_event_notes": f"b2cal {group.token} {group.epoch} $(number) {parent}/$(place)",
            "batch_name": group.name,
            "max_idle": str(pool.max_idle),
            "next_job_start_delay": str(pool.start_delay_s),
            "job_lease_duration": str(pool.job_lease_s),
            "My.B2calAvoid": self._avoided or quoted(""),
            "My.B2calHome": self._home,
            "My.B2calHost": quoted("$(host)"),
            "My.B2calToken": quoted(group.token),
            "My.B2calEpoch": str(group.epoch),
            "My.B2calNumber": "$(number)",
            "My.B2calNumbers": quoted(numbers),
        }


def _requirements(pool: CondorSettings) -> str:
    """Where a job may run: as the centre wants it; on its own host if it has one, else on none that is avoided."""
    host = _host(pool)
    free = f"MY.B2calHost == {quoted(ANY_HOST)} && !stringListMember({host}, MY.B2calAvoid)"
    return f"({pool.submit.get('requirements', 'true')}) && ({free} || {host} == MY.B2calHost)"


def _host(pool: CondorSettings) -> str:
    """What a machine is called; one without the centre's attribute by its own name, so that jobs start there too."""
    return f"(TARGET.{pool.host} ?: TARGET.Machine)"


def _wishes(pool: CondorSettings) -> dict[str, str]:
    """What a centre wants of its jobs beyond running them."""
    wishes = {"priority": str(pool.priority), "universe": "container" if pool.image else "vanilla"}
    if pool.image:
        wishes["container_image"] = pool.image
    if pool.accounting_group:
        wishes["accounting_group"] = pool.accounting_group
    if pool.proxy:
        wishes["x509userproxy"] = pool.proxy  # HTCondor brings it along, and brings a renewed one to jobs that run
    return wishes


def _holds(pool: CondorSettings) -> dict[str, str]:
    """What the schedd does by itself about held jobs: it releases those that may pass, and removes the others."""
    codes = ", ".join(map(str, sorted(TRANSIENT_HOLDS)))
    passing = f"(member(HoldReasonCode, {{{codes}}}) && NumHolds <= {pool.max_holds})"
    return {
        "periodic_release": f"{passing} && time() - EnteredCurrentStatus >= {pool.release_after_s}",
        "periodic_remove": f"JobStatus == {HELD} && HoldReasonCode =!= {BY_HAND} && !{passing}",
    }


def _packed(shared: Path, parent: Path) -> list[str]:
    """What the jobs of a group have in common as one archive, links followed; the wrapper unpacks it."""
    if not shared.exists():
        return []
    archive = parent / ARCHIVE
    with replacing(archive) as temporary, tarfile.open(temporary, "w", dereference=True) as tar:
        tar.add(shared, arcname=shared.name)
    return [str(archive)]
