"""A centre to test: a batch system of each kind, and jobs that leave a trace of every execution."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import htcondor2
import pytest

from b2cal.batch import START, Backend, BatchGroup, BatchJob, Handle, JobReport, LocalBackend
from b2cal.batch.condor import CondorBackend
from b2cal.batch.condor_remote import RemoteCondorBackend
from b2cal.batch.lsf import LsfBackend
from b2cal.calibration import job as wrapper
from b2cal.core.ids import new_token
from b2cal.model import Database, JobState
from b2cal.settings import CondorSettings, LsfSettings
from tests import factories
from tests.services.lsf.cluster import Cluster, running_lsf
from tests.waiting import wait_for

OFTEN = {"poll_every_s": 0.2, "report_late_s": 0.5}
"""How often LSF is asked in tests, and that their disk shows everything soon."""


class Centre:
    """One batch system under test, and its client."""

    def __init__(self, folder: Path, connect: Callable[[], Backend]) -> None:
        self.folder = folder
        self._connect = connect
        self.backend = connect()
        self.cursor = START
        self.seen: dict[str, Handle] = {}

    def reconnect(self) -> None:
        """The client was restarted: nothing is left of what it knew."""
        self.backend = self._connect()
        self.cursor, self.seen = START, {}

    def group(self, *commands: str, epoch: int = 1, token: str = "") -> BatchGroup:
        """Jobs that each run a piece of Python; every execution first leaves one line in the file `ran`."""
        token = token or new_token()
        jobs = []
        for number, command in enumerate(commands):
            folder = self.folder / token / f"r0e{epoch}" / str(number) / "1"
            folder.mkdir(parents=True)
            shutil.copy(wrapper.__file__, folder / "job.py")
            code = (
                f"import os, sys, time\nos.chdir({str(folder)!r})\n"
                f"print(os.getpid(), file=open('ran', 'a'), flush=True)\n{command}"
            )
            (folder / "job.json").write_text("{}")
            (folder / "wrapper.json").write_text(json.dumps({"command": [sys.executable, "-I", "-S", "-c", code]}))
            jobs.append(BatchJob(number, folder))
        return BatchGroup(token, epoch, "test", tuple(jobs))

    def submitted(self, *commands: str, epoch: int = 1, token: str = "") -> BatchGroup:
        group = self.group(*commands, epoch=epoch, token=token)
        self.backend.submit(group)
        return group

    def follow(self) -> None:
        """Take in what happened since the last look."""
        for event in self.backend.events(self.cursor):
            self.seen[event.handle.batch_id] = event.handle
            self.cursor = event.cursor

    def states(self, group: BatchGroup) -> dict[int, JobState]:
        """The last state of each job of this group, as events told it."""
        self.follow()
        ours = [job for job in self.seen.values() if (job.token, job.epoch) == (group.token, group.epoch)]
        return {job.number: job.state for job in ours}

    def wait_until_ended(self, group: BatchGroup, patience_s: float = 60.0) -> dict[int, JobState]:
        def ended() -> bool:
            states = self.states(group)
            return len(states) == len(group.jobs) and all(state.ended for state in states.values())

        wait_for(ended, "all jobs have ended", patience_s)
        return self.states(group)

    def wait_until_running(self, group: BatchGroup) -> None:
        def running() -> bool:
            self.follow()
            return all(executions(group))

        wait_for(running, "all jobs run")

    def ids(self, group: BatchGroup) -> list[str]:
        return [job.batch_id for job in self.backend.find(group.token) if job.epoch == group.epoch]


def executions(group: BatchGroup) -> list[int]:
    """How often each job of the group was run."""
    traces = [job.folder / "ran" for job in group.jobs]
    return [len(trace.read_text().splitlines()) if trace.exists() else 0 for trace in traces]


def hosts(group: BatchGroup) -> set[str]:
    """Where the jobs of a group ran, as the batch system calls it."""
    reports = [JobReport.read(job.folder) for job in group.jobs]
    return {report.host for report in reports if report}


def pid_of(job: BatchJob) -> int:
    """The process number of a running job's command."""
    return int((job.folder / "ran").read_text().split()[-1])


@pytest.fixture
def database(tmp_path) -> Iterator[Database]:
    database = factories.database(tmp_path)
    yield database
    database.dispose()


@pytest.fixture
def local(database, tmp_path) -> Iterator[Centre]:
    """This machine, with two slots."""
    centre = Centre(tmp_path, lambda: LocalBackend(database, slots=2))
    yield centre
    centre.backend.cancel([event.handle.batch_id for event in centre.backend.events(START)])


@pytest.fixture
def condor(pool_settings, tmp_path) -> Iterator[Centre]:
    """A real HTCondor pool."""
    yield Centre(tmp_path, lambda: CondorBackend(pool_settings, tmp_path / "events"))
    empty_pool()


@pytest.fixture
def remote_settings(pool_settings) -> CondorSettings:
    """The same pool, as if its schedd were on another machine: all files are sent to it, and fetched from it."""
    return pool_settings.model_copy(update={"remote": True, "ask_every_s": 0.2})


@pytest.fixture
def remote(remote_settings, tmp_path) -> Iterator[Centre]:
    yield Centre(tmp_path, lambda: RemoteCondorBackend(remote_settings, tmp_path / "centre"))
    empty_pool()


def empty_pool() -> None:
    """The next test finds all slots free, whatever became of this one."""
    htcondor2.Schedd().act(htcondor2.JobAction.Remove, "true")
    wait_for(lambda: not htcondor2.Schedd().query("true", opts=htcondor2.QueryOpt.IncludeClusterAd), "it is empty")


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    """LSF on this machine: its stand-in."""
    with running_lsf(tmp_path / "lsf") as cluster:
        yield cluster


@pytest.fixture
def lsf(cluster, tmp_path) -> Iterator[Centre]:
    """The stand-in for LSF, asked often."""
    settings = LsfSettings(backend="lsf", path=str(cluster.commands), python=sys.executable, **OFTEN)
    centre = Centre(tmp_path, lambda: LsfBackend(settings, tmp_path / "journal"))
    yield centre
    centre.backend.cancel([event.handle.batch_id for event in centre.backend.events(START)])


@pytest.fixture(params=["condor", pytest.param("remote", marks=pytest.mark.proof), "lsf"])
def two_hosts(request) -> Centre:
    """The batch systems with several hosts: h1 and h2 with one slot each."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["local", "condor", pytest.param("remote", marks=pytest.mark.proof), "lsf"])
def centre(request) -> Centre:
    """Every batch system that has to pass the contract suite."""
    return request.getfixturevalue(request.param)
