"""`kill -9` of each part at each named moment: the same constants, nothing doubled, nothing left, healed by itself."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from b2cal.batch.crashpoints import VARIABLE
from tests.small_loop import SmallLoop, wait_for

MOMENTS = ("intent-to-submit", "submit-to-record", "end-to-transition")
A_JOB = "a job"
PARTS = (
    "scheduler",
    "scheduler with its workers",
    "triggerer",
    "api-server",
    "dag-processor",
    "agent",
    "site",
    A_JOB,
    "b2cal up",
)
ON_EVERY_DAY = {
    ("scheduler with its workers", "end-to-transition"),
    ("agent", "submit-to-record"),
    (A_JOB, "end-to-transition"),
    ("b2cal up", "intent-to-submit"),
}
HEALED_WITHIN_S = 60.0

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, simulated: Path) -> list[tuple[str, int, int, str]]:
    """The constants of a loop in which nothing was killed."""
    small = SmallLoop(tmp_path_factory.mktemp("undisturbed") / "home", simulated)
    try:
        small.up()
        small.prepare()
        small.until_published()
        return small.identities()
    finally:
        small.end()


@pytest.fixture
def small(tmp_path: Path, simulated: Path) -> Iterator[SmallLoop]:
    small = SmallLoop(tmp_path / "home", simulated)
    yield small
    small.end()


def cases() -> Iterator[object]:
    for part in PARTS:
        for moment in MOMENTS:
            mark = pytest.mark.kill if (part, moment) in ON_EVERY_DAY else pytest.mark.proof
            yield pytest.param(part, moment, marks=[mark, pytest.mark.kill], id=f"{part} at {moment}")


@pytest.mark.parametrize(("part", "moment"), list(cases()))
def test_the_loop_ends_as_if_nothing_had_been_killed(
    small: SmallLoop, undisturbed: list[tuple[str, int, int, str]], part: str, moment: str
) -> None:
    small.hold_at(moment)
    small.up()
    small.prepare()
    with small.held_at(moment):
        killed = kill(small, part) if part != A_JOB else 0
    if part == A_JOB:
        kill_a_job(small)
    wait_for(f"a new {part}", lambda: is_healed(small, part, killed), HEALED_WITHIN_S)
    small.until_published()
    assert small.identities() == undisturbed
    assert small.doubled() == []
    assert small.down() == 0
    assert small.processes() == []


def kill(small: SmallLoop, part: str) -> int:
    """Kill a part with -9; the process number that it had."""
    if part == "b2cal up":
        assert small.process is not None
        small.process.kill()
        small.process.wait()
        small.environment.pop(VARIABLE)
        small.up()  # ends what was left, the waiting agent among it
        return small.process.pid
    name = part.split(" with", maxsplit=1)[0]
    pid = small.component(name)
    assert pid is not None
    workers = psutil.Process(pid).children(recursive=True) if "workers" in part else []
    os.kill(pid, signal.SIGKILL)
    for worker in workers:
        worker.kill()
    return pid


def kill_a_job(small: SmallLoop) -> None:
    """Kill the wrapper of the first job that runs."""

    def killed() -> bool:
        for wrapper in running_jobs(small):
            with suppress(psutil.NoSuchProcess):  # it was quicker
                wrapper.kill()
                return True
        return False

    wait_for("a job", killed, 60)


def is_healed(small: SmallLoop, part: str, killed: int) -> bool:
    if part in (A_JOB, "b2cal up"):
        return True
    pid = small.component(part.split(" with", maxsplit=1)[0])
    return pid is not None and pid != killed


def running_jobs(small: SmallLoop) -> Iterator[psutil.Process]:
    """The job wrappers that run."""
    for process in small.processes():
        try:
            if any(part.endswith("job.py") for part in process.cmdline()):
                yield process
        except psutil.Error:
            continue
