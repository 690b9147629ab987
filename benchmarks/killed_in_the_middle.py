"""What a SIGKILL in the middle of a submission costs: b2cal beside other clients of HTCondor, one after the other.

    python -m benchmarks.killed_in_the_middle [--jobs 200]

Each system hands jobs over to a real pool of four slots, is killed with all that it has started as soon as the pool's
log shows half of them, and is started again as its manual says: the same call; for snakemake `--unlock` before it and
`--rerun-incomplete` with it. b2cal hands over all jobs in one step, and is killed before and after that: when it has
written that it will, and when it has not yet written that it did. When the second start has ended and the queue is
empty, what the jobs themselves have written is counted: a job that ran twice or more is a double, one that never ran a
loss. `at the kill` and `in all` say how many jobs had been handed over; `runs a job`, how often a job ran that did.
"""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.side_by_side import (
    B2LUIGI_QUICK,
    NOT_HERE,
    SNAKEMAKE_QUICK,
    SUBMIT_AND_WAIT,
    Ours,
    Peer,
    complaint,
    empty,
    in_queue,
    n_jobs_asked_for,
    pool_with,
    runs,
    wait_for,
)
from tests.agent.test_killed import killed_at, running_agent

SLOTS = 4
ROW = "{:30}{:>7}{:>13}{:>9}{:>10}{:>9}{:>12}"
HEAD = ROW.format("", "jobs", "at the kill", "in all", "doubles", "losses", "runs a job")
GAPS = {"b2cal, before the submission": "intent-to-submit", "b2cal, after the submission": "submit-to-record"}


class HandedOver:
    """How many jobs the pool's own log of events has seen come into the queue, from now on."""

    def __init__(self, pool: Path) -> None:
        self._log = pool / "log" / "EventLog"
        self._before = self._seen()

    def now(self) -> int:
        return self._seen() - self._before

    def _seen(self) -> int:
        return f"\n{self._log.read_text()}".count("\n000 (") if self._log.exists() else 0


@dataclass(frozen=True)
class Counted:
    """What became of the jobs."""

    at_the_kill: int
    in_all: int
    ran: list[int]
    said: str = ""


def main(n_jobs: int) -> None:
    """Kill one after the other, and print the table as it grows."""
    with pool_with(SLOTS, "EVENT_LOG = $(LOG)/EventLog\nEVENT_LOG_MAX_SIZE = 1000000000\n") as (pool, work):
        print(HEAD)
        for name, gap in GAPS.items():
            tell(name, n_jobs, by_b2cal(gap, Path(work, gap), n_jobs, HandedOver(pool)))
        for number, peer in enumerate((SUBMIT_AND_WAIT, B2LUIGI_QUICK, SNAKEMAKE_QUICK)):
            place = peer.furnish(Path(work, f"peer{number}"), n_jobs)
            try:
                tell(peer.name, n_jobs, by_peer(peer, place, n_jobs, HandedOver(pool)))
            except NOT_HERE as why:
                print(f"{peer.name:30} not measured: {why}")
                empty()


def by_b2cal(gap: str, folder: Path, n_jobs: int, handed_over: HandedOver) -> Counted:
    """Killed at a gap between two steps; the next agent goes on until all jobs are done."""
    ours = Ours(folder, n_jobs)
    killed_at(ours.site, gap, **ours.environment)
    at_the_kill = handed_over.now()
    with running_agent(ours.site, **ours.environment):
        wait_for(lambda: len(ours.done()) == n_jobs)
        wait_for(lambda: in_queue() == 0)
    return Counted(at_the_kill, handed_over.now(), ran(folder, n_jobs))


def by_peer(peer: Peer, folder: Path, n_jobs: int, handed_over: HandedOver) -> Counted:
    """Killed when half of the jobs are handed over, and started again until it ends."""
    log = folder / "output.log"
    with log.open("w") as output, peer.running(folder, output) as first:
        wait_for(lambda: handed_over.now() >= n_jobs // 2 or first.poll() is not None)
    at_the_kill = handed_over.now()
    peer.allow_again(folder)
    with log.open("w") as output, peer.running(folder, output) as second:
        wait_for(lambda: second.poll() is not None)
    wait_for(lambda: in_queue() == 0)
    return Counted(at_the_kill, handed_over.now(), ran(folder, n_jobs), complaint(second, log.read_text()))


def ran(folder: Path, n_jobs: int) -> list[int]:
    """How often each job ran."""
    seen = runs(folder)
    return [len(seen.get(number, [])) for number in range(n_jobs)]


def tell(name: str, n_jobs: int, it: Counted) -> None:
    """Print one row."""
    doubles, losses = sum(times > 1 for times in it.ran), it.ran.count(0)
    ratio = f"{sum(it.ran) / max(n_jobs - losses, 1):.2f}"
    print(ROW.format(name, n_jobs, it.at_the_kill, it.in_all, doubles, losses, ratio), it.said, flush=True)


if __name__ == "__main__":
    main(n_jobs_asked_for(__doc__, 200))
