"""How soon an HTCondor pool has many jobs: b2cal beside HTCondor's own command and another client, in one run.

    python -m benchmarks.handing_over [JOBS]

The pool is a real one whose machines start nothing, so that only handing over is measured. With b2cal it begins with a
wanted group of so many jobs in the database, and ends when the schedd has them and each has its row, with its number in
HTCondor; what is made for a job on the way is a folder with all that it needs. A client that hands over job by job gets
a tenth of the jobs. Rates are between the first job in the queue and the last, for b2cal from the first call on.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import htcondor2

from b2cal.batch.condor import CondorBackend
from b2cal.core.clock import SystemClock
from b2cal.model import GroupState
from b2cal.settings import CondorSettings
from tests.agent.conftest import Site
from tests.agent.test_many_jobs import want
from tests.services.environment import interpreter
from tests.services.pool import HERE, running_pool

SUBMIT = """executable = /bin/true
transfer_executable = false
request_memory = 32
request_disk = 1024
queue {n_jobs}
"""

B2LUIGI = """
import b2luigi

class Nothing(b2luigi.Task):
    number = b2luigi.IntParameter()
    batch_system = "htcondor"
    htcondor_settings = {"request_memory": "32", "request_disk": "1024"}

    def output(self):
        yield self.add_to_output("done")

    def run(self):
        open(self.get_output_file_name("done"), "w").close()

b2luigi.process([Nothing(number=number) for number in range(int(JOBS))], batch=True, workers=100_000)
"""


def main(n_jobs: int) -> None:
    """Measure one after the other, and print the table."""
    few = max(n_jobs // 10, 10)
    rows: list[tuple[str, int, float]] = []
    with TemporaryDirectory(prefix="b2cal-pool-", dir="/tmp") as folder, TemporaryDirectory() as work:
        quiet = Path(work, "quiet.conf")
        quiet.write_text("START = False\n")
        with running_pool(Path(folder), CONDOR_SLOTS="1", CONDOR_EXTRA=str(quiet)):
            rows.append(("b2cal", n_jobs, by_b2cal(Path(work), n_jobs)))
            used_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rows.append(("condor_submit, one file for all", n_jobs, by_condor_submit(Path(work), n_jobs, 1)))
            rows.append(("condor_submit, job by job", few, by_condor_submit(Path(work), 1, few)))
            rows.append(("b2luigi", few, by_b2luigi(Path(work), few)))
    ours = rows[0][1] / rows[0][2]
    print(f"{'':34}{'jobs':>7}{'time':>10}{'jobs/s':>10}{'b2cal is':>14}")
    for name, number, took_s in rows:
        print(
            f"{name:34}{number:7,}{took_s:8.1f} s{number / took_s:10,.0f}{ours * took_s / number:9.1f} times as quick"
        )
    print(f"largest memory of the process that hands over with b2cal: {used_mb:.0f} MB")


def by_b2cal(work: Path, n_jobs: int) -> float:
    """From the first call of the agent until the rows stand, in seconds."""
    home = work / "b2cal"
    home.mkdir()
    site = Site(home, SystemClock())
    pool = CondorSettings(backend="htcondor", python=sys.executable, memory_mb=32, submit={"request_disk": "1024"})
    backend = CondorBackend(pool, home / "events")
    group_id = want(site, n_jobs, sleep_s=0)
    agent = site.agent(pool=backend)
    started = time.perf_counter()
    agent.round()
    took_s = time.perf_counter() - started
    group = site.group(group_id)
    assert group["state"] is GroupState.SUBMITTED
    assert len({job["batch_id"] for job in group["jobs"]}) == n_jobs
    backend.cancel([job["batch_id"] for job in group["jobs"]])
    return took_s


def by_condor_submit(work: Path, per_call: int, calls: int) -> float:
    """So many calls of HTCondor's own command, in seconds."""
    (work / "jobs.sub").write_text(SUBMIT.format(n_jobs=per_call))
    started = time.perf_counter()
    for _ in range(calls):
        subprocess.run(["condor_submit", "-terse", "jobs.sub"], cwd=work, check=True, capture_output=True)
    took_s = time.perf_counter() - started
    empty()
    return took_s


def by_b2luigi(work: Path, n_jobs: int) -> float:
    """From its first job in the queue to its last, in seconds."""
    folder = work / "b2luigi"
    folder.mkdir()
    (folder / "work.py").write_text(B2LUIGI.replace("JOBS", json.dumps(n_jobs)))
    call = [interpreter("clients"), "work.py"]
    with subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            wait_for(lambda: in_queue() >= 1)
            first, started = in_queue(), time.perf_counter()
            wait_for(lambda: in_queue() >= n_jobs)
            took_s = time.perf_counter() - started
        finally:
            running.kill()
    empty()
    return took_s * n_jobs / max(n_jobs - first, 1)


def in_queue() -> int:
    return len(htcondor2.Schedd().query("true", ["ProcId"]))


def empty() -> None:
    htcondor2.Schedd().act(htcondor2.JobAction.Remove, "true")
    wait_for(lambda: in_queue() == 0)


def wait_for(condition: Callable[[], bool], patience_s: float = 300) -> None:
    give_up_at = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > give_up_at:
            raise TimeoutError(condition)
        time.sleep(0.05)


if __name__ == "__main__":
    os.chdir(HERE.parents[1])
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
