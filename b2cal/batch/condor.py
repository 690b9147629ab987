"""HTCondor behind the batch contract, through its current bindings: one cluster for each submission of a group.

Token and epoch are attributes of every job, and stand in the notes of its first event. What happens to jobs is read
from the event log that the schedd writes on this machine; the schedd itself is asked once for a group, before and after
it is submitted, never for single jobs. HTCondor keeps no ended job in its queue, so the event log is also what
remembers them.

Files are moved by HTCondor: no file system needs to be shared with the machines that run the jobs.
"""

import os
import re
import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import htcondor2

from b2cal.calibration.job import ARCHIVE, SHARED
from b2cal.core.files import replacing
from b2cal.model import JobState
from b2cal.settings import CondorSettings

from .condor_log import BY_HAND, TRANSIENT_HOLDS, EventLog
from .contract import BatchError, BatchGroup, BatchId, Cursor, Handle, JobEvent
from .report import NAME as REPORT
from .report import PRINTED, printed

FILES = ("job.py", "wrapper.json", "job.json")
OUTPUTS = (REPORT, "stdout", "stderr", "outputs")
"""What comes back from a job; the wrapper makes all of it, whatever becomes of the command."""

TAIL_PATIENCE_S = 10.0
ALL_OF_IT = 2**31 - 1

_BATCH_ID = re.compile(r"[1-9]\d*\.\d+", re.ASCII)
_IDENTITY = ("ClusterId", "ProcId", "B2calToken", "B2calEpoch", "B2calNumber", "B2calNumbers", "JobStatus")
_RUNNING, _REMOVED, _HELD, _SENDING = 2, 3, 5, 6  # JobStatus, see the HTCondor manual
_STATES = {_RUNNING: JobState.RUNNING, _SENDING: JobState.RUNNING, _REMOVED: JobState.CANCELLED}


class CondorBackend:
    """The schedd of one pool; `events` is a folder for the event log, which the schedd writes on this machine."""

    def __init__(self, pool: CondorSettings, events: Path) -> None:
        self._pool = pool
        events.mkdir(parents=True, exist_ok=True)
        self._log = EventLog(events / "jobs.log")

    def submit(self, group: BatchGroup) -> None:
        if any(handle.epoch == group.epoch for handle in self.find(group.token)):
            return
        parent = Path(os.path.commonpath([job.folder.parent for job in group.jobs]))
        common = _packed(group.jobs[0].folder / SHARED, parent)
        items = [{"number": str(job.number), "place": str(job.folder.relative_to(parent))} for job in group.jobs]
        description = htcondor2.Submit(self._description(group, parent, [*FILES, *common]))
        with _asking("submit jobs"):
            htcondor2.Schedd().submit(description, itemdata=iter(items))

    def find(self, token: str) -> list[Handle]:
        mine = f"B2calToken == {_quoted(token)}"
        with _asking("tell which jobs there are"):
            ads = htcondor2.Schedd().query(mine, list(_IDENTITY), opts=htcondor2.QueryOpt.IncludeClusterAd)
        self._log.read()
        queued = {handle.batch_id: handle for ad in ads for handle in _handles(ad)}
        logged = {job.batch_id: job.handle for job in self._log.jobs() if job.handle.token == token}
        return sorted((queued | logged).values(), key=lambda handle: (handle.epoch, handle.number))

    def events(self, since: Cursor) -> Iterator[JobEvent]:
        self._log.read()
        return iter([JobEvent(job.handle, job.at, self._log.cursor(job), job.reason) for job in self._log.after(since)])

    def cancel(self, jobs: Sequence[BatchId]) -> None:
        clusters: dict[str, list[str]] = defaultdict(list)
        for job in jobs:
            if _BATCH_ID.fullmatch(job):
                clusters[job.partition(".")[0]].append(job)
        for cluster, ids in clusters.items():
            self._remove(cluster, ids)

    def log(self, job: BatchId, tail: int | None = None) -> bytes:
        self._log.read()
        known = self._log.job(job)
        if known is None:
            raise BatchError(f"There is no HTCondor job {job}.", hint="It may belong to another schedd.")
        if known.handle.state is JobState.RUNNING:
            return b"".join(_peek(job, name, tail) for name in PRINTED)
        return printed(known.folder, tail)

    def _remove(self, cluster: str, ids: Sequence[BatchId]) -> None:
        """Remove jobs of one cluster; all of it where none is to stay, so that what has not materialised goes too."""
        with _asking("remove jobs"):
            schedd = htcondor2.Schedd()
            ads = schedd.query(f"ClusterId == {cluster}", list(_IDENTITY), opts=htcondor2.QueryOpt.IncludeClusterAd)
            others = {handle.batch_id for ad in ads for handle in _handles(ad)} - set(ids)
            schedd.act(
                htcondor2.JobAction.Remove,
                list(ids) if others else f"ClusterId == {cluster}",
                reason=("b2cal does not want it any more", 1),  # a plain text is dropped by the bindings
            )

    def _description(self, group: BatchGroup, parent: Path, files: Sequence[str]) -> dict[str, str]:
        """The submit description: see the manual page of condor_submit."""
        pool = self._pool
        numbers = " ".join(str(job.number) for job in group.jobs)
        codes = ", ".join(map(str, sorted(TRANSIENT_HOLDS)))
        passing = f"member(HoldReasonCode, {{{codes}}}) && NumHolds <= {pool.max_holds}"
        return {
            "request_memory": "2 GB",
            "request_disk": "2 GB",
            **pool.submit,
            "universe": "vanilla",
            "executable": pool.python,
            "arguments": "-I -S job.py",
            "transfer_executable": "false",
            "initialdir": f"{parent}/$(place)",
            "log": str(self._log.path),
            "output": "wrapper.log",
            "error": "wrapper.log",
            "should_transfer_files": "YES",
            "when_to_transfer_output": "ON_EXIT",
            "transfer_input_files": ",".join(files),
            "transfer_output_files": ",".join(OUTPUTS),
            "submit_event_notes": f"b2cal {group.token} {group.epoch} $(number) {parent}/$(place)",
            "batch_name": group.name,
            "max_materialize": str(pool.max_materialized),
            "next_job_start_delay": str(pool.start_delay_s),
            "job_lease_duration": str(pool.job_lease_s),
            "periodic_release": f"{passing} && time() - EnteredCurrentStatus >= {pool.release_after_s}",
            "periodic_remove": f"JobStatus == {_HELD} && HoldReasonCode =!= {BY_HAND} && !({passing})",
            "My.B2calToken": _quoted(group.token),
            "My.B2calEpoch": str(group.epoch),
            "My.B2calNumber": "$(number)",
            "My.B2calNumbers": _quoted(numbers),
        }


def _packed(shared: Path, parent: Path) -> list[str]:
    """What the jobs of a group have in common as one archive, links followed; the wrapper unpacks it."""
    if not shared.exists():
        return []
    archive = parent / ARCHIVE
    with replacing(archive) as temporary, tarfile.open(temporary, "w", dereference=True) as tar:
        tar.add(shared, arcname=shared.name)
    return [str(archive)]


@contextmanager
def _asking(what: str) -> Iterator[None]:
    try:
        yield
    except htcondor2.HTCondorException as error:
        raise BatchError(
            f"The schedd could not {what}: {error}", hint="Look with condor_status -schedd; it is asked again."
        ) from error


def _peek(job: BatchId, name: str, tail: int | None) -> bytes:
    """What a running job has written into one of its files; nothing where the machine does not answer."""
    size = ALL_OF_IT if tail is None else tail
    file = "stdout" if name == PRINTED[0] else f"./{name}"
    try:
        return subprocess.run(
            ["condor_tail", "-maxbytes", str(size), job, file],
            capture_output=True,
            check=False,
            timeout=TAIL_PATIENCE_S,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return b""


def _quoted(text: str) -> str:
    """A text as a ClassAd string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _handles(ad: Mapping[str, Any]) -> Iterator[Handle]:
    """The jobs that an ad of the queue speaks of: itself, or all of a cluster that has not materialised them yet."""
    token, epoch, cluster = ad["B2calToken"], ad["B2calEpoch"], ad["ClusterId"]
    if "ProcId" in ad:
        state = _STATES.get(ad["JobStatus"], JobState.QUEUED)
        yield Handle(token, epoch, ad["B2calNumber"], f"{cluster}.{ad['ProcId']}", state)
        return
    for proc, number in enumerate(ad["B2calNumbers"].split()):
        yield Handle(token, epoch, int(number), f"{cluster}.{proc}", JobState.QUEUED)
