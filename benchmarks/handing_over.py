"""How soon an HTCondor pool has many jobs: b2cal beside HTCondor's own command and other clients, in one run.

    python -m benchmarks.handing_over [--jobs 10000]

The pool is a real one whose machines start nothing, so that only handing over is measured. With b2cal it begins with a
wanted group of so many jobs in the database, and ends when the schedd has them and each has its row, with its number in
HTCondor; what is made for a job on the way is a folder with all that it needs. A client that hands over job by job gets
a tenth of the jobs. Rates are between the first job in the queue and the last, for b2cal from the first call on.
"""

import resource
import subprocess
import time
from pathlib import Path

from b2cal.batch.condor import CondorBackend
from b2cal.core.clock import SystemClock
from b2cal.model import GroupState
from benchmarks.side_by_side import (
    B2LUIGI,
    NOT_HERE,
    SNAKEMAKE,
    Peer,
    centre,
    empty,
    in_queue,
    n_jobs_asked_for,
    pool_with,
    wait_for,
)
from tests.agent.conftest import Site
from tests.agent.test_many_jobs import want

PATIENCE_S = 300

SUBMIT = """executable = /bin/true
transfer_executable = false
request_memory = 32
request_disk = 1024
queue {n_jobs}
"""


def main(n_jobs: int) -> None:
    """Measure one after the other, and print the table."""
    few = max(n_jobs // 10, 10)
    rows: list[tuple[str, int, float]] = []
    with pool_with(slots=1, settings="START = False\n") as (_, work):
        rows.append(("b2cal", n_jobs, by_b2cal(work, n_jobs)))
        used_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append(("condor_submit, one file for all", n_jobs, by_condor_submit(work, n_jobs, 1)))
        rows.append(("condor_submit, job by job", few, by_condor_submit(work, 1, few)))
        for peer in (B2LUIGI, SNAKEMAKE):
            try:
                rows.append((peer.name, few, by_peer(peer, work / peer.name, few)))
            except NOT_HERE as why:
                print(f"{peer.name} not measured: {why}")
                empty()
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
    backend = CondorBackend(centre(), home / "events")
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


def by_peer(peer: Peer, folder: Path, n_jobs: int) -> float:
    """From its first job in the queue to its last, in seconds."""
    with peer.running(peer.furnish(folder, n_jobs), subprocess.DEVNULL):
        wait_for(lambda: in_queue() >= 1, PATIENCE_S)
        first, started = in_queue(), time.perf_counter()
        wait_for(lambda: in_queue() >= n_jobs, PATIENCE_S)
        took_s = time.perf_counter() - started
    empty()
    return took_s * n_jobs / max(n_jobs - first, 1)


if __name__ == "__main__":
    main(n_jobs_asked_for(__doc__, 10_000))
