"""How soon after the end of a job its owner knows: b2cal beside other clients of HTCondor, one after the other.

    python -m benchmarks.time_to_notice [--jobs 200]

Jobs of a few hundred milliseconds on a real pool of four slots write the time as the last thing that they do. Their
owner knows when b2cal's database says that the job is done; when b2luigi informs its scheduler; when snakemake says
`Finished jobid`; when `condor_wait` says that the job is completed; when it is no longer in what `condor_q` shows, for
which a loop asks every ten seconds. Each has the times that it has by itself; b2luigi, which asks every two minutes,
and snakemake, which looks every ten seconds, once more with one second. What a system's own program does in a job
after that last thing is part of the time. Queries are what the schedd says that it was asked, from the start of a
system until it has ended; b2cal asks a few times at its start, so that their rate needs some minutes to be told.
"""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.side_by_side import (
    B2LUIGI,
    B2LUIGI_QUICK,
    NOT_HERE,
    SNAKEMAKE,
    SNAKEMAKE_QUICK,
    SUBMIT_AND_ASK,
    SUBMIT_AND_WAIT,
    Ours,
    Peer,
    complaint,
    empty,
    n_jobs_asked_for,
    pool_with,
    runs,
    wait_for,
)
from tests.agent.test_killed import running_agent

SLOTS = 4
OTHERS = (SUBMIT_AND_WAIT, SUBMIT_AND_ASK, B2LUIGI, B2LUIGI_QUICK, SNAKEMAKE, SNAKEMAKE_QUICK)

ROW = "{:30}{:>12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>9}{:>10}"
HEAD = ROW.format("", "ends known", "median", "95 %", "latest", "ratio", "queries", "a min", "ratio")

Seen = tuple[dict[int, float], str]
"""When the owner knew of which job, and what the system complained of at its end."""


@dataclass(frozen=True)
class Noticed:
    """How late the ends of jobs were known, and how often the schedd was asked meanwhile."""

    late_s: list[float]
    n_queries: int
    took_s: float
    said: str

    @property
    def queries_a_min(self) -> float:
        return 60 * self.n_queries / self.took_s

    def at(self, percent: float) -> float:
        return float(np.percentile(self.late_s, percent))


def main(n_jobs: int) -> None:
    """Measure one after the other, and print the table as it grows."""
    with pool_with(SLOTS, "SCHEDD_DEBUG = D_COMMAND\nMAX_SCHEDD_LOG = 1 Gb\n") as (pool, work):
        print(HEAD)
        log = Path(pool, "log", "SchedLog")
        place = Ours(Path(work, "b2cal"), n_jobs)
        ours = measured(log, place.folder, partial(by_b2cal, place, n_jobs))
        tell("b2cal", n_jobs, ours, ours)
        for number, peer in enumerate(OTHERS):
            try:
                its = peer.furnish(Path(work, f"peer{number}"), n_jobs)
                theirs = measured(log, its, partial(by_peer, peer, its))
            except NOT_HERE as why:
                print(f"{peer.name:30} not measured: {why}")
            else:
                tell(peer.name, n_jobs, theirs, ours)
            empty()


def measured(log: Path, folder: Path, by_one: Callable[[], Seen]) -> Noticed:
    """One system, whose jobs write in the folder."""
    before, started = queries(log), time.monotonic()
    known, said = by_one()
    took_s = time.monotonic() - started
    ended = {number: times[-1] for number, times in runs(folder).items()}
    return Noticed([known[it] - ended[it] for it in known if it in ended], queries(log) - before, took_s, said)


def by_b2cal(ours: Ours, n_jobs: int) -> Seen:
    """When the database says of a job that it is done."""
    known: dict[int, float] = {}

    def all_done() -> bool:
        done, at = ours.done(), time.time()
        known.update({number: at for number in done if number not in known})
        return len(known) == n_jobs

    with running_agent(ours.site, **ours.environment):
        wait_for(all_done)
    return known, ""


def by_peer(peer: Peer, folder: Path) -> Seen:
    """When its output says of a job that it has ended."""
    with peer.running(folder, subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [(time.time(), line) for line in process.stdout]
        process.wait()
    return peer.known(lines), complaint(process, "".join(line for _, line in lines))


def queries(log: Path) -> int:
    """How often the schedd has been asked for jobs."""
    return log.read_text().count("(QUERY_JOB_ADS")


def tell(name: str, n_jobs: int, it: Noticed, ours: Noticed) -> None:
    """Print one row; ratios are to b2cal, of the 95 % and of the queries a minute."""
    if not it.late_s:
        print(f"{name:30} told of no end {it.said}")
        return
    late = [f"{it.at(percent):.2f} s" for percent in (50, 95, 100)]
    asked = [it.n_queries, f"{it.queries_a_min:.1f}", ratio(it.queries_a_min, ours.queries_a_min)]
    row = [name, f"{len(it.late_s)}/{n_jobs}", *late, ratio(it.at(95), ours.at(95)), *asked]
    print(ROW.format(*row), it.said, flush=True)


def ratio(theirs: float, ours: float) -> str:
    return f"{theirs / ours:.2f}" if ours else "-"


if __name__ == "__main__":
    main(n_jobs_asked_for(__doc__, 200))
