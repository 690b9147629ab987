"""The stand-in for LSF satisfies clients that other people wrote for LSF: what they can drive behaves as LSF does."""

import getpass
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.services.environment import interpreter
from tests.services.lsf.cluster import Cluster, running_lsf
from tests.services.pool import unpacked
from tests.waiting import wait_for

pytestmark = [pytest.mark.contract, pytest.mark.allow_hosts(["127.0.0.1"])]

WAITS, RUNS, ENDED = "1", "2", "4"
"""JobStatus, as HTCondor counts it."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_lsf(tmp_path / "lsf") as cluster:
        yield cluster


def with_lsf(cluster: Cluster, **more: str) -> dict[str, str]:
    """An environment in which the commands of LSF are found."""
    return {**os.environ, "PATH": f"{cluster.commands}:{os.environ['PATH']}", **more}


def run_script(cluster: Cluster, folder: Path, code: str, *arguments: str) -> str:
    """What a script prints that uses one of the clients; it may fail."""
    script = folder / "work.py"
    script.write_text(code)
    done = subprocess.run(
        [interpreter("clients"), script, *arguments],
        cwd=folder,
        env=with_lsf(cluster),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=110,
    )
    return done.stdout


# --- HTCondor: its scripts for LSF ------------------------------------------------------------------------------------


@pytest.fixture
def blahp(cluster: Cluster, tmp_path: Path) -> Mapping[str, str]:
    """The environment in which they find the cluster."""
    scripts = unpacked() / "usr/libexec/blahp"
    (tmp_path / "lsf.conf").write_text(f"LSB_SHAREDIR={tmp_path}\nLSF_CONFDIR={tmp_path}\n")
    config = tmp_path / "blah.config"
    config.write_text(
        f"lsf_binpath={cluster.commands}\nlsf_confpath={tmp_path}\nlsf_nologaccess=yes\nlsf_nochecksubmission=yes\n"
        f"blah_libexec_directory={scripts}\n"
    )
    return with_lsf(cluster, BLAHPD_CONFIG_LOCATION=str(config))


def called(script: str, *words: str, env: Mapping[str, str]) -> str:
    path = unpacked() / "usr/libexec/blahp" / script
    runner = "bash" if path.suffix == ".sh" else sys.executable
    return subprocess.run([runner, path, *words], env=env, capture_output=True, text=True, check=False).stdout


def submitted(command: Path, folder: Path, env: Mapping[str, str]) -> str:
    told = called("lsf_submit.sh", "-c", str(command), "-w", str(folder), "-q", "short", env=env)
    match = re.search(r"BLAHP_JOBID_PREFIX(lsf/\d+/\d+)", told)
    assert match is not None, told
    return match[1]


def standing(job: str, env: Mapping[str, str]) -> str:
    # It would answer from what it was told within the last minute, whichever cluster that was.
    Path(f"/var/tmp/bjobs_cache_{getpass.getuser()}/blahp_results_cache").unlink(missing_ok=True)
    told = called("lsf_status.py", job, env=env)
    match = re.search(r"JobStatus=(\d)", told)
    assert match is not None, told
    return match[1]


def test_the_scripts_of_htcondor_submit_ask_and_cancel(blahp: Mapping[str, str], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    work = tmp_path / "work.sh"
    work.write_text(f"#!/bin/sh\necho done > {trace}\n")
    work.chmod(0o755)
    ends = submitted(work, tmp_path, blahp)
    wait_for(lambda: standing(ends, blahp) == ENDED)
    assert trace.read_text() == "done\n"

    work.write_text("#!/bin/sh\nsleep 600\n")
    runs = submitted(work, tmp_path, blahp)
    wait_for(lambda: standing(runs, blahp) == RUNS)
    assert called("lsf_cancel.sh", runs, env=blahp) == " 0 No\\ error\n"
    wait_for(lambda: standing(runs, blahp) == ENDED)


# --- b2luigi ----------------------------------------------------------------------------------------------------------

B2LUIGI = """
import sys

import b2luigi

class Work(b2luigi.Task):
    number = b2luigi.IntParameter()
    batch_system = "lsf"
    queue = "s"

    def output(self):
        yield self.add_to_output("result.txt")

    def run(self):
        assert self.number != 13, "an unlucky number"
        with open(self.get_output_file_name("result.txt"), "w") as result:
            result.write(str(self.number * 2))

class All(b2luigi.WrapperTask):
    def requires(self):
        for number in NUMBERS:
            yield Work(number=number)

b2luigi.set_setting("result_dir", "results")
b2luigi.set_setting("executable", [sys.executable])
b2luigi.set_setting("batch_status_cache_ttl", 0.5)
b2luigi.process(All(), batch=True, workers=4)
"""


@pytest.mark.parametrize(
    ("numbers", "made"), [((1, 2, 3), {"2", "4", "6"}), ((1, 13), {"2"})], ids=["good", "one fails"]
)
def test_b2luigi_runs_its_tasks(cluster: Cluster, tmp_path: Path, numbers: tuple[int, ...], made: set[str]) -> None:
    told = run_script(cluster, tmp_path, B2LUIGI.replace("NUMBERS", repr(numbers)), "--batch")
    assert {result.read_text() for result in tmp_path.rglob("result.txt")} == made, told


# --- dask-jobqueue ----------------------------------------------------------------------------------------------------

DASK = """
from dask.distributed import Client
from dask_jobqueue import LSFCluster

if __name__ == "__main__":
    with LSFCluster(cores=1, memory="500MB", queue="s", walltime="00:10", interface="lo") as cluster:
        cluster.scale(jobs=1)
        with Client(cluster) as client:
            print(client.submit(sum, [1, 2, 3]).result(timeout=60))
"""


def test_dask_jobqueue_starts_workers_and_ends_them(cluster: Cluster, tmp_path: Path) -> None:
    told = run_script(cluster, tmp_path, DASK)
    assert told.splitlines()[-1] == "6", told

    def nothing_is_left() -> bool:
        bjobs = subprocess.run(["bjobs"], env=with_lsf(cluster), capture_output=True, text=True, check=False)
        return "No unfinished job found" in bjobs.stderr

    wait_for(nothing_is_left)
