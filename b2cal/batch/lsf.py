"""LSF behind the batch contract, through its commands: job arrays, as many as a group needs.

Token and epoch are in the name of each array, `b2cal.HOME.TOKEN.EPOCH.FIRST`; HOME tells one installation from another
of the same account. One bjobs for all of them, now and then, tells how they stand. LSF forgets what has ended
(CLEAN_PERIOD, an hour by default), so a journal remembers what was submitted. What bjobs has no more is looked up in
LSF's event logs (bhist); what these have not is known by the report in its folder, if it left one.

The machines that run the jobs see the home folder under the same name, as they do at the centres that have LSF.
"""

import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import structlog

from b2cal.core.checksums import digest
from b2cal.core.failures import Failure, Source
from b2cal.core.files import CannotWrite, write_atomically
from b2cal.core.ids import new_token
from b2cal.model import JobState
from b2cal.settings import LsfSettings

from .contract import BatchError, BatchGroup, BatchId, BatchJob, Cursor, Handle, JobEvent
from .known import KnownJob, KnownJobs
from .lsf_commands import LsfCommands
from .lsf_journal import Array, Journal
from .lsf_output import LsfJob
from .report import NAME as REPORT
from .report import JobReport, printed

LOST = "LSF knows it no more, and it left no report."

SHOWN_WITHIN = timedelta(seconds=60)
"""How long bjobs may take to show what was submitted."""

log = structlog.get_logger(__name__)

_SCRIPT = """\
job=$(sed -n "${{LSB_JOBINDEX}}p" {folders})
cd "${{job#* }}" || exit 74
exec {python} -I -S job.py "${{LSB_HOSTS%% *}}" >>wrapper.log 2>&1
"""


class LsfBackend:
    """LSF as one account of one centre sees it; `folder` keeps the journal."""

    def __init__(self, centre: LsfSettings, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._centre = centre
        self._lsf = LsfCommands(centre)
        self._journal = Journal(folder / "journal.jsonl")
        self._prefix = f"b2cal.{digest(str(folder.resolve()))[:8]}"
        self._known = KnownJobs()
        self._looked_s: float | None = None
        self._missing: set[BatchId] = set()
        self._awaited: dict[BatchId, datetime] = {}
        self._killed: set[BatchId] = set()
        self._avoided: tuple[str, ...] = ()

    def ready(self) -> None:
        self._lsf.jobs(f"{self._prefix}.{new_token()}.*")

    def submit(self, group: BatchGroup) -> None:
        hosts = self._hosts() if any(job.not_beside for job in group.jobs) else {}
        not_on = {job.number: hosts.get(job.not_beside, "") for job in group.jobs}
        for first, jobs in _arrays(group, self._centre, not_on):
            name = f"{self._prefix}.{group.token}.{group.epoch}.{first}"
            array = self._journal.get(name)
            if array is None:
                folders = str(_written(jobs, first, self._centre))
                memory_mb = jobs[0].memory_mb or self._centre.memory_mb
                where = {"host": jobs[0].host, "not_on": not_on[jobs[0].number]}
                wanted = Array(name, group.token, group.epoch, folders, time.time(), "", memory_mb, **where)
                array = self._journal.begin(wanted)
            if not array.number:
                array = self._found(array)
            if not array.number:
                options = self._options(array, len(jobs), group.name)
                number = self._lsf.submit(options, ["sh", f"{array.folders}.sh"])
                array = self._journal.submitted(array, number)
            self._learn(array)

    def find(self, token: str) -> list[Handle]:
        for array in self._journal.of(token):
            self._learn(array if array.number else self._found(array))
        self._take_in(self._lsf.jobs(f"{self._prefix}.{token}.*"))
        ours = [job.handle for job in self._known.jobs() if job.handle.token == token]
        return sorted(ours, key=lambda handle: (handle.epoch, handle.number))

    def events(self, since: Cursor) -> Iterator[JobEvent]:
        if self._looked_s is None or time.monotonic() >= self._looked_s + self._centre.poll_every_s:
            self._look()
        return (self._known.event(job) for job in self._known.after(since))

    def cancel(self, jobs: Sequence[BatchId]) -> None:
        ours = [job for job in jobs if (known := self._known.job(job)) is not None and not known.ended]
        self._killed.update(ours)
        self._lsf.kill(ours)

    def avoid(self, hosts: Sequence[str]) -> None:
        avoided = tuple(sorted(hosts))
        waiting = {_number(job.batch_id) for job in self._known.jobs() if job.handle.state is JobState.QUEUED}
        for array in self._journal:
            if array.number in waiting and not array.host:
                self._lsf.modify(array.number, ["-R", _resources(array.memory_mb, _refused(array, avoided))])
        self._avoided = avoided

    def log(self, job: BatchId, tail: int | None = None) -> bytes:
        known = self._known.job(job)
        if known is None:
            raise BatchError(f"There is no LSF job {job}.", hint="It may belong to another centre.")
        return printed(known.folder, tail)

    def _look(self) -> None:
        """Ask for all jobs at once; look up those that LSF does not show any more."""
        if self._looked_s is not None:  # since then all that had ended was told
            self._forget(datetime.now(UTC) - timedelta(days=self._centre.remember_days))
        shown = self._lsf.jobs(f"{self._prefix}.*")
        numbers = {job.name: _number(job.batch_id) for job in shown}
        for array in self._journal:
            late = not array.number and array.name in numbers  # LSF took it without saying so
            self._learn(self._journal.submitted(array, numbers[array.name]) if late else array)
        self._take_in(shown)
        self._looked_s = time.monotonic()
        at = datetime.now(UTC)
        ids = {job.batch_id for job in shown}
        going = (it for it in self._known.jobs() if not it.ended and it.at < at - SHOWN_WITHIN)
        gone = [it for it in going if it.batch_id not in ids]
        if gone:
            self._take_in(self._lsf.histories(sorted({_number(it.batch_id) for it in gone})))
        still = [it for it in gone if not self._is_settled(it) and not self._is_awaited(it, at)]
        for it in still:
            if it.batch_id in self._missing:
                self._known.note(it, *_by_its_report(it.folder), at)
        self._missing = {it.batch_id for it in still}

    def _forget(self, before: datetime) -> None:
        """Know nothing more of arrays that are older and of which all has ended."""
        if all(array.at >= before.timestamp() for array in self._journal):
            return
        going = {_number(job.batch_id) for job in self._known.jobs() if not job.ended}
        old = [array for array in self._journal if array.at < before.timestamp() and array.number not in going]
        numbers = {array.number for array in old}
        try:
            self._journal.forget(old)
        except CannotWrite as error:
            log.warning("what has long ended is remembered, for want of room", error=str(error))
            return
        self._known.forget(job.batch_id for job in self._known.jobs() if _number(job.batch_id) in numbers)

    def _is_settled(self, job: KnownJob) -> bool:
        known = self._known.job(job.batch_id)
        return known is not None and known.ended

    def _is_awaited(self, job: KnownJob, at: datetime) -> bool:
        """Whether LSF has told the end of a job, and the report is still awaited."""
        return job.batch_id in self._awaited and self._may_still_report(job, at)

    def _found(self, array: Array) -> Array:
        """An array of which only the intent was written down, with its number if LSF has it."""
        shown = self._lsf.jobs(array.name)
        numbers = {_number(job.batch_id) for job in shown}
        return self._journal.submitted(array, min(numbers)) if numbers else array

    def _hosts(self) -> dict[BatchId, str]:
        """Where our jobs run, as far as LSF says."""
        return {job.batch_id: job.host for job in self._lsf.jobs(f"{self._prefix}.*")}

    def _learn(self, array: Array) -> None:
        """Know the jobs of an array that LSF has."""
        if not array.number or self._known.job(f"{array.number}[1]") is not None:
            return
        at = datetime.fromtimestamp(array.at, UTC)
        for index, (number, folder) in enumerate(array.jobs(), 1):
            handle = Handle(array.token, array.epoch, number, f"{array.number}[{index}]", JobState.QUEUED)
            self._known.note(KnownJob(handle, folder, at), JobState.QUEUED, None, at)

    def _take_in(self, told: Iterable[LsfJob]) -> None:
        at = datetime.now(UTC)
        for job in told:
            known = self._known.job(job.batch_id)
            if known is None or known.ended or job.state is None:
                continue
            if job.state.ended and self._may_still_report(known, at):
                continue
            if (job.state, _failure(job.reason)) == (known.handle.state, known.failure):
                continue
            killed = job.state is JobState.FAILED and job.batch_id in self._killed
            self._known.note(known, JobState.CANCELLED if killed else job.state, _failure(job.reason), at)

    def _may_still_report(self, job: KnownJob, at: datetime) -> bool:
        """Whether a job that has ended may have left a report that is not seen here yet: NFS takes its time."""
        if job.batch_id in self._killed or (job.folder / REPORT).exists():
            self._awaited.pop(job.batch_id, None)
            return False
        since = self._awaited.setdefault(job.batch_id, at)
        late = at - since >= timedelta(seconds=self._centre.report_late_s)
        if late:
            del self._awaited[job.batch_id]
        return not late

    def _options(self, array: Array, n_jobs: int, about: str) -> list[str]:
        """The options of bsub; LSF 10.1 command reference."""
        centre = self._centre
        limit = f"%{centre.max_running}" if centre.max_running else ""
        options = ["-J", f"{array.name}[1-{n_jobs}]{limit}", "-Jd", about, "-o", "/dev/null", "-env", "none"]
        options += ["-M", f"{array.memory_mb}MB"]
        options += ["-R", _resources(array.memory_mb, () if array.host else _refused(array, self._avoided))]
        if array.host:
            options += ["-m", array.host]
        if centre.queue:
            options += ["-q", centre.queue]
        if centre.project:
            options += ["-P", centre.project]
        return [*options, *centre.options]


def _number(job: BatchId) -> str:
    """Of the array to which a job belongs."""
    return job.partition("[")[0]


def _refused(array: Array, avoided: Sequence[str]) -> Sequence[str]:
    """Where the jobs of an array may not run."""
    return sorted({*avoided, array.not_on} - {""})


def _resources(memory_mb: int, avoided: Sequence[str]) -> str:
    """A resource requirement of LSF."""
    others = " && ".join(f"hname!='{host}'" for host in avoided)
    return f"select[{others}] rusage[mem={memory_mb}MB]" if avoided else f"rusage[mem={memory_mb}MB]"


def _arrays(
    group: BatchGroup, centre: LsfSettings, not_on: Mapping[int, str]
) -> Iterator[tuple[int, Sequence[BatchJob]]]:
    """The jobs of a group by arrays, whose jobs want the same of LSF; each with how many jobs come before it."""

    def wants(job: BatchJob) -> tuple[int, str, str]:
        return job.memory_mb or centre.memory_mb, job.host, not_on[job.number]

    before = 0
    for _, alike in groupby(sorted(group.jobs, key=wants), key=wants):
        jobs = list(alike)
        for first in range(0, len(jobs), centre.max_array):
            array = jobs[first : first + centre.max_array]
            yield before, array
            before += len(array)


def _written(jobs: Sequence[BatchJob], first: int, centre: LsfSettings) -> Path:
    """Write down, beside the folders of the jobs, which element of the array runs which, and how."""
    folders = jobs[0].folder.parents[1] / f"lsf-{first}"
    write_atomically(folders, "".join(f"{job.number} {job.folder}\n" for job in jobs))
    script = _SCRIPT.format(folders=shlex.quote(str(folders)), python=shlex.quote(centre.python))
    write_atomically(folders.with_name(f"{folders.name}.sh"), script)
    return folders


def _failure(reason: str) -> Failure | None:
    return Failure(Source.LSF, None, reason) if reason else None


def _by_its_report(folder: Path) -> tuple[JobState, Failure | None]:
    """How a job ended that LSF does not know any more."""
    report = JobReport.read(folder)
    if report is None:
        return JobState.FAILED, Failure(Source.LOST, None, LOST)
    return (JobState.DONE if report.exit_code == 0 else JobState.FAILED), None
