"""The schedd of a pool: what it has in its queue and in its history, and what to do when it does not answer."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import htcondor2

from b2cal.core.failures import Failure
from b2cal.model import JobState
from b2cal.settings import CondorSettings

from .condor_log import HOLD, Standing, exit_state, hold, removal
from .contract import BatchError, BatchId, Handle
from .known import KnownJob
from .ranges import from_ranges
from .report import PRINTED

_HINT = (
    "Look whether HTCondor runs and lets you submit (condor_ping WRITE). Which pool it is, CONDOR_CONFIG says to the"
    " processes of b2cal; which schedd of it, `schedd` and `collector` of the centre in b2cal.toml."
)

RUNNING, REMOVED, COMPLETED, HELD, SENDING = 2, 3, 4, 5, 6
"""JobStatus; HTCondor manual, job ClassAd attributes."""

SPOOLING = 16
"""A job waits for its files from the machine of its submitter; HTCondor manual, HoldReasonCode."""

_IDENTITY = ["ClusterId", "ProcId", "B2calToken", "B2calEpoch", "B2calNumber", "B2calNumbers", "B2calFolder", "Iwd"]
_BEGAN = "JobCurrentStartDate"
_STANDING = ["JobStatus", "EnteredCurrentStatus", "QDate", _BEGAN, *HOLD]
_ENDING = ["ExitCode", "RemoveReason", *(f"Last{name}" for name in HOLD)]

_NEXT = "JobMaterializeNextProcId"
"""The first job of a cluster that has not materialised yet; those before it are in the queue or have left it."""

WHOLE = "StageInFinish =!= undefined"
"""All files of a job have been sent, and it waits for no more; HTCondor manual, job ClassAd attributes."""

TOOL_PATIENCE_S = 20.0
TAIL_PATIENCE_S = 8.0
ALL_OF_IT = 2**31 - 1

Ad = Mapping[str, Any]


class Schedd:
    """One schedd. Every call raises BatchError if it does not answer, or refuses."""

    def __init__(self, pool: CondorSettings) -> None:
        self._pool = pool

    def ping(self) -> None:
        """See that it is there and that this user may submit to it."""
        with self._asked_to("take jobs from this user"):
            htcondor2.ping(self._location(), "WRITE")

    def submit(self, description: Mapping[str, str], items: Sequence[Mapping[str, str]]) -> None:
        """Submit one cluster with a job for each item."""
        with self._asked_to("take jobs"):
            htcondor2.Schedd(self._location()).submit(htcondor2.Submit(dict(description)), itemdata=iter(items))

    def send(self, description: Mapping[str, str], items: Sequence[Mapping[str, str]]) -> None:
        """Submit one cluster together with its files, to a schedd that does not see them. No job starts before."""
        with self._asked_to("take jobs and their files"):
            schedd = htcondor2.Schedd(self._location())
            submitted = schedd.submit(htcondor2.Submit(dict(description)), itemdata=iter(items), spool=True)
            schedd.spool(submitted)
            self._wait_until_taken_in(schedd, submitted.cluster())

    def _wait_until_taken_in(self, schedd: Any, cluster: int) -> None:
        """The schedd puts the files of a job into their place after it has got them all."""
        patience_ends = time.monotonic() + TOOL_PATIENCE_S
        while schedd.query(f"ClusterId == {cluster} && !({WHOLE})", ["ProcId"]):
            if time.monotonic() > patience_ends:
                raise BatchError(f"{self._name()} has got the files of jobs, but does not take them in.", hint=_HINT)
            time.sleep(0.1)

    def completed(self, constraint: str) -> list[KnownJob]:
        """The jobs that have ended and wait in the queue until what they bring back is fetched."""
        attributes = [*_IDENTITY, *_STANDING, *_ENDING]
        with self._asked_to("tell its queue"):
            ads = htcondor2.Schedd(self._location()).query(f"{constraint} && JobStatus == {COMPLETED}", attributes)
        return [_job(ad, ad["ProcId"], ad["B2calNumber"], *_ending(ad)) for ad in ads]

    def fetch(self, jobs: Sequence[BatchId]) -> None:
        """Bring what jobs have made into their folders here."""
        with self._asked_to("give back the files of a job"):
            htcondor2.Schedd(self._location()).retrieve(list(jobs))

    def let_go(self, jobs: Sequence[BatchId]) -> None:
        """Let jobs leave the queue that have ended and whose files were fetched: by themselves they do it later."""
        with suppress(htcondor2.HTCondorException):
            if jobs:
                htcondor2.Schedd(self._location()).edit(list(jobs), "LeaveJobInQueue", "false")

    def queued(self, constraint: str) -> list[KnownJob]:
        """The jobs in the queue, with those of a cluster that have not materialised yet."""
        attributes = [*_IDENTITY, *_STANDING, _NEXT]
        with self._asked_to("tell its queue"):
            schedd = htcondor2.Schedd(self._location())
            ads = schedd.query(constraint, attributes, opts=htcondor2.QueryOpt.IncludeClusterAd)
        jobs: dict[BatchId, KnownJob] = {}
        for ad in ads:
            if "ProcId" in ad:
                job = _job(ad, ad["ProcId"], ad["B2calNumber"], *_standing(ad))
                jobs[job.batch_id] = job
            else:
                numbers = from_ranges(ad["B2calNumbers"].split())
                for proc in range(ad.get(_NEXT, 0), len(numbers)):
                    job = _job(ad, proc, numbers[proc], JobState.QUEUED, None)
                    jobs.setdefault(job.batch_id, job)
        return list(jobs.values())

    def hosts(self, jobs: Sequence[BatchId]) -> dict[BatchId, str]:
        """What the machines are called on which these jobs run, as far as the schedd knows."""
        if not jobs:
            return {}
        which = " || ".join("(ClusterId == {} && ProcId == {})".format(*job.split(".")) for job in jobs)
        names = [f"MachineAttr{self._pool.host}0", "MachineAttrMachine0"]
        with self._asked_to("tell its queue"):
            ads = htcondor2.Schedd(self._location()).query(which, ["ClusterId", "ProcId", *names])
        told = {f"{ad['ClusterId']}.{ad['ProcId']}": [ad.get(name) for name in names] for ad in ads}
        return {job: next((host for host in hosts if isinstance(host, str)), "") for job, hosts in told.items()}

    def ended(self, constraint: str, since: datetime) -> list[KnownJob]:
        """The jobs that have left the queue since then. The history is read from its end, and only so far."""
        attributes = [*_IDENTITY, *_STANDING, *_ENDING]
        with self._asked_to("tell its history"):
            ads = htcondor2.Schedd(self._location()).history(
                constraint, attributes, since=f"EnteredCurrentStatus < {int(since.timestamp())}"
            )
        return [_job(ad, ad["ProcId"], ad["B2calNumber"], *_ending(ad)) for ad in ads if "ProcId" in ad]

    def remove(self, jobs: Sequence[BatchId]) -> None:
        """Remove these jobs."""
        self._remove(list(jobs))

    def remove_all(self, constraint: str) -> None:
        """Remove all jobs that fit, those that have not materialised included."""
        self._remove(constraint)

    def _remove(self, which: list[BatchId] | str) -> None:
        with self._asked_to("remove jobs"):
            htcondor2.Schedd(self._location()).act(
                htcondor2.JobAction.Remove,
                which,
                reason=("b2cal does not want it any more", 1),  # a plain text is dropped by the bindings
            )

    def edit(self, constraint: str, attribute: str, value: str) -> None:
        """Give an attribute another value in all jobs that fit, those that have not materialised included."""
        ads = self._in_queue(constraint)
        with self._asked_to("edit jobs"):
            if any("ProcId" in ad for ad in ads):
                try:
                    htcondor2.Schedd(self._location()).edit(constraint, attribute, value)
                except htcondor2.HTCondorException:
                    if any("ProcId" in ad for ad in self._in_queue(constraint)):  # else the last has just ended
                        raise
        for cluster in {ad["ClusterId"] for ad in ads if "ProcId" not in ad}:
            try:
                self._edit_cluster(cluster, attribute, value)
            except BatchError:
                if self._in_queue(f"ClusterId == {cluster}"):  # else it has just ended
                    raise

    def _in_queue(self, constraint: str) -> list[Any]:
        """Which jobs and clusters are there; what has no process number is a cluster."""
        with self._asked_to("tell its queue"):
            schedd = htcondor2.Schedd(self._location())
            wanted = ["ClusterId", "ProcId"]
            return list(schedd.query(constraint, wanted, opts=htcondor2.QueryOpt.IncludeClusterAd))

    def _edit_cluster(self, cluster: int, attribute: str, value: str) -> None:
        """The bindings edit jobs only; what has not materialised takes its attributes from the cluster."""
        call = ["condor_qedit", *self._where(), str(cluster), attribute, value]
        try:
            done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=TOOL_PATIENCE_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BatchError(f"{self._name()} could not edit jobs: {error}", hint=_HINT) from error
        if done.returncode:
            raise BatchError(f"{self._name()} could not edit jobs: {done.stderr.strip()}", hint=_HINT)

    def printed(self, job: BatchId, tail: int | None) -> bytes:
        """What a running job has printed so far, or the end of that; nothing where its machine does not answer."""
        call = ["condor_tail", *self._where(), "-maxbytes", str(ALL_OF_IT if tail is None else tail), job]
        _, *others = PRINTED
        files = ["stdout", *(f"./{name}" for name in others)]  # HTCondor calls stdout what the wrapper prints
        with ThreadPoolExecutor(len(files)) as at_once:
            return b"".join(at_once.map(_output, [[*call, file] for file in files]))

    def _where(self) -> list[str]:
        """How HTCondor's commands are told which schedd it is."""
        schedd, collector = self._pool.schedd, self._pool.collector
        return [*(["-name", schedd] if schedd else []), *(["-pool", collector] if collector else [])]

    def _location(self) -> Any:
        collector = htcondor2.Collector(self._pool.collector or None)
        if not self._pool.schedd:
            return collector.locate(htcondor2.DaemonType.Schedd)
        found = collector.locate(htcondor2.DaemonType.Schedd, self._pool.schedd)
        if found is None:
            raise htcondor2.HTCondorException("the collector does not know it")
        return found

    def _name(self) -> str:
        return f"The schedd {self._pool.schedd}" if self._pool.schedd else "The schedd of this machine"

    @contextmanager
    def _asked_to(self, what: str) -> Iterator[None]:
        try:
            yield
        except htcondor2.HTCondorException as error:
            raise BatchError(f"{self._name()} could not {what}: {error}", hint=_HINT) from error


def _output(call: Sequence[str]) -> bytes:
    try:
        return subprocess.run(call, capture_output=True, check=False, timeout=TAIL_PATIENCE_S).stdout
    except (OSError, subprocess.TimeoutExpired):
        return b""


def quoted(text: str) -> str:
    """A text as a ClassAd string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _job(ad: Ad, proc: int, number: int, state: JobState, failure: Failure | None) -> KnownJob:
    handle = Handle(ad["B2calToken"], ad["B2calEpoch"], number, f"{ad['ClusterId']}.{proc}", state)
    at = datetime.fromtimestamp(ad.get("EnteredCurrentStatus", ad["QDate"]), UTC)
    began = datetime.fromtimestamp(ad[_BEGAN], UTC) if _BEGAN in ad else None
    return KnownJob(handle, Path(ad.get("B2calFolder", ad["Iwd"])), at, failure, began=began)


def _standing(ad: Ad) -> Standing:
    """How a job in the queue stands. One that has ended is told when it has left: only then its files are back."""
    if ad["JobStatus"] == HELD:
        return hold(ad)
    return (JobState.RUNNING if ad["JobStatus"] in (RUNNING, SENDING, COMPLETED) else JobState.QUEUED), None


def _ending(ad: Ad) -> Standing:
    """How a job in the history has ended: by itself, or removed by somebody, or by its own rule because of a hold."""
    if ad["JobStatus"] == COMPLETED:
        return exit_state(ad.get("ExitCode")), None
    held = hold({name: ad.get(f"Last{name}") for name in HOLD})[1] if "LastHoldReason" in ad else None
    return removal(ad.get("RemoveReason", ""), held)
