"""What the benchmarks beside other systems share: the same jobs, given to b2cal and to each of the others.

How each system is told of the jobs lies in `peers/`, as people write it; what a job does, in `peers/job.sh`.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import IO

import htcondor2
import pytest
from sqlalchemy import select

from b2cal.core.clock import SystemClock
from b2cal.model import Job, JobState
from b2cal.settings import BatchSettings, CondorSettings
from benchmarks.conditions import where_and_when
from tests.agent.conftest import Site
from tests.agent.test_many_jobs import want
from tests.services.environment import interpreter
from tests.services.pool import running_pool

PATIENCE_S = 3600.0
PEERS = Path(__file__).parent / "peers"
NOT_HERE = (pytest.skip.Exception, TimeoutError)
"""What keeps one system from being measured, and no other: it cannot be installed, or does not come to an end."""

INTERPRETER = """#!/bin/sh
# Stands where the Python of a release does; the shell starts sooner.
for name in collected.npz collected.json; do : >outputs/$name; done
number=$(sed -n 's/^B2calNumber = //p' "$_CONDOR_JOB_AD")
cd "{folder}" && exec sh job.sh "$number"
"""


@dataclass(frozen=True)
class Peer:
    """A system beside b2cal: how it is started, and how its output says that a job has ended.

    `named` finds in its output the `job` that it calls `number`; `ended` finds in a line the job that has ended.
    """

    name: str
    call: tuple[str, ...]
    named: str
    ended: str
    environment: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    unlock: tuple[str, ...] = ()

    def furnish(self, folder: Path, n_jobs: int) -> Path:
        """A new folder with all that it reads."""
        furnish(folder, n_jobs)
        for name, text in self.files.items():
            (folder / name).write_text(text)
        return folder

    @contextmanager
    def running(self, folder: Path, output: IO[str] | int) -> Iterator[subprocess.Popen[str]]:
        """It runs in the folder; at the end, or when it takes too long, SIGKILL ends it and all that it started."""
        call, errors = self._words(self.call), subprocess.STDOUT
        with subprocess.Popen(
            call, cwd=folder, stdout=output, stderr=errors, text=True, start_new_session=True
        ) as started:
            patience = Timer(PATIENCE_S, _kill, [started])
            patience.start()
            try:
                yield started
            finally:
                patience.cancel()
                _kill(started)

    def allow_again(self, folder: Path) -> None:
        """What its manual says to do after it was killed, before it is started again."""
        if self.unlock:
            subprocess.run(self._words(self.unlock), cwd=folder, check=True, capture_output=True)

    def known(self, lines: list[tuple[float, str]]) -> dict[int, float]:
        """When it said of a job that it has ended, from its output with the time of each line."""
        numbers = {it["job"]: int(it["number"]) for it in re.finditer(self.named, "".join(line for _, line in lines))}
        told = [(re.search(self.ended, line), at) for at, line in lines]
        return {numbers[it[1]]: at for it, at in told if it and it[1] in numbers}

    def _words(self, call: tuple[str, ...]) -> list[str]:
        return [str(interpreter(self.environment)), *call] if self.environment else list(call)


def _kill(started: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)


SUBMITTED = r"job (?P<number>\d+) is (?P<job>\d+\.\d+)"

SUBMIT_AND_WAIT = Peer("condor_submit, condor_wait", ("bash", "and_wait.sh"), SUBMITTED, r"^(\d+\.\d+)\.\d+ completed")
SUBMIT_AND_ASK = Peer("condor_submit, condor_q", ("bash", "and_ask.sh"), SUBMITTED, r"^(\d+\.\d+) has left the queue")
B2LUIGI = Peer(
    "b2luigi",
    ("by_b2luigi.py",),
    named=r"Job_(?P<number>\d+)_(?P<job>\w+)",
    ended=r"Job_\d+_(\w+) +has status +DONE",
    environment="clients",
)
B2LUIGI_QUICK = replace(
    B2LUIGI, name="b2luigi, asks each second", files={"settings.json": '{"batch_status_cache_ttl": 1}'}
)
SNAKEMAKE = Peer(
    "snakemake",
    ("-m", "snakemake", "--executor", "htcondor", "--jobs", "unlimited", "--rerun-incomplete"),
    named=r"output: done/(?P<number>\d+)\n +jobid: (?P<job>\d+)",
    ended=r"^Finished jobid: (\d+)",
    environment="snakemake",
    unlock=("-m", "snakemake", "--unlock"),
)
SNAKEMAKE_QUICK = replace(
    SNAKEMAKE,
    name="snakemake, looks each second",
    call=(*SNAKEMAKE.call, "--seconds-between-status-checks", "1"),
)


class Ours:
    """The same jobs as a wanted group of b2cal, with a home and a database of its own; agents are started by others."""

    def __init__(self, folder: Path, n_jobs: int) -> None:
        self.folder = folder
        furnish(folder, n_jobs)
        home = folder / "home"
        home.mkdir()
        self.site = Site(home, SystemClock())
        self.group_id = want(self.site, n_jobs, sleep_s=0)
        self.site.interpreter.write_text(INTERPRETER.format(folder=folder))
        self.environment = {
            "B2CAL_CENTRES": json.dumps({"pool": centre().model_dump(mode="json")}),
            "B2CAL_BATCH__POLL_INTERVAL_S": str(BatchSettings().poll_interval_s),
        }

    def done(self) -> list[int]:
        """The jobs whose rows say that they are done."""
        with self.site.database.read() as db:
            ours = select(Job.number).where(Job.group_id == self.group_id, Job.state == JobState.DONE)
            return list(db.scalars(ours))


def centre() -> CondorSettings:
    """The pool as b2cal is told of it, otherwise with the times that b2cal has by itself."""
    return CondorSettings(backend="htcondor", python=sys.executable, memory_mb=32, submit={"request_disk": "1024"})


@contextmanager
def pool_with(slots: int, settings: str) -> Iterator[tuple[Path, Path]]:
    """The folder of a pool that has settings of HTCondor beside its own, and a folder to work in."""
    with TemporaryDirectory(prefix="b2cal-pool-", dir="/tmp") as folder, TemporaryDirectory() as work:
        extra = Path(work, "extra.conf")
        extra.write_text(settings)
        with running_pool(Path(folder), CONDOR_SLOTS=str(slots), CONDOR_EXTRA=str(extra)):
            print(_conditions())
            yield Path(folder), Path(work)


def furnish(folder: Path, n_jobs: int) -> None:
    """A new folder in which jobs find what they do, and write that they ran."""
    shutil.copytree(PEERS, folder)
    (folder / "runs").mkdir()
    (folder / "n_jobs").write_text(str(n_jobs))


def runs(folder: Path) -> dict[int, list[float]]:
    """When a job ended, as itself says, for each time that it ran."""
    return {int(it.name): [float(line) for line in it.read_text().split()] for it in (folder / "runs").iterdir()}


def complaint(process: subprocess.Popen[str], output: str) -> str:
    """What a process that has ended said last, if it did not end well."""
    last = output.strip().rpartition("\n")[2]
    return f"ended with {process.returncode}: {last}" if process.returncode else ""


def in_queue() -> int:
    return len(htcondor2.Schedd().query("true", ["ProcId"]))


def empty() -> None:
    """Remove what is in the queue, and wait until nothing is."""
    htcondor2.Schedd().act(htcondor2.JobAction.Remove, "true")
    wait_for(lambda: in_queue() == 0)


def wait_for(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds.

    Raises:
        TimeoutError: it never did.
    """
    give_up_at = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"nothing more was seen for {patience_s:.0f} s")
        time.sleep(0.05)


def n_jobs_asked_for(what: str, usual: int) -> int:
    """From the command line of a benchmark; `what` is its docstring."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=usual, help=f"how many each system gets ({usual:,})")
    return int(parser.parse_args().jobs)


def _conditions() -> str:
    """Where and when, and beside which versions; the pool must be up."""
    pool = re.search(r"Version: ([\d.]+)", _said("condor_version"))
    peers = [("clients", "b2luigi"), ("snakemake", "snakemake"), ("snakemake", "snakemake-executor-plugin-htcondor")]
    return f"{where_and_when()}HTCondor {pool[1] if pool else '?'}, {', '.join(_version(*it) for it in peers)}\n"


def _version(environment: str, package: str) -> str:
    try:
        python = interpreter(environment)
    except pytest.skip.Exception:
        return f"no {package}"
    ask = f"from importlib.metadata import version; print(version('{package}'))"
    return f"{package} {_said(str(python), '-c', ask)}"


def _said(*call: str) -> str:
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout.strip()
