"""`kill -9` of each part at each named moment: the same constants, nothing doubled, nothing left, healed by itself.

What each case showed is recorded for the table that `make proof` writes.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import psutil
import pytest
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from b2cal.batch.crashpoints import VARIABLE
from b2cal.loop import ProcessingView
from b2cal.model import (
    Attempt,
    Calibration,
    Decision,
    GroupEpoch,
    GroupState,
    Job,
    JobGroup,
    JobState,
    LocalJob,
    State,
)
from tests.small_loop import BUCKET, Identities, SmallLoop
from tests.waiting import wait_for

MOMENTS = ("intent-to-submit", "submit-to-record", "end-to-transition")
A_JOB, UP = "a job", "b2cal up"
PARTS = (
    "scheduler",
    "scheduler with its workers",
    "triggerer",
    "api-server",
    "dag-processor",
    "agent",
    "site",
    A_JOB,
    UP,
)
ON_EVERY_DAY = {
    ("scheduler with its workers", "end-to-transition"),
    ("agent", "submit-to-record"),
    (A_JOB, "intent-to-submit"),
    (UP, "intent-to-submit"),
}
HEALED_WITHIN_S = 60.0

STOPPED = "Layer alignment"
"""Whose job is killed: what runs beside it, Time offsets, brings the moment about while that job is stopped."""

pytestmark = pytest.mark.timeout(900)

Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Undisturbed:
    """What a loop leaves in which nothing was killed."""

    identities: Identities
    history: list[tuple[str, ...]]


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, furnished: Path, record_testsuite_property: Record
) -> Undisturbed:
    """The loop in which nothing was killed, run once."""
    small = SmallLoop(tmp_path_factory.mktemp("undisturbed") / "home", furnished)
    started = time.monotonic()
    try:
        small.begin()
        small.up()
        small.until_published()
        record_testsuite_property("undisturbed_s", round(time.monotonic() - started, 1))
        return Undisturbed(small.identities(), small.history())
    finally:
        small.end()


@pytest.fixture
def small(tmp_path: Path, furnished: Path) -> Iterator[SmallLoop]:
    small = SmallLoop(tmp_path / "home", furnished)
    yield small
    small.end()


def cases() -> Iterator[object]:
    for part in PARTS:
        for moment in MOMENTS:
            mark = pytest.mark.kill if (part, moment) in ON_EVERY_DAY else pytest.mark.proof
            yield pytest.param(part, moment, marks=[mark, pytest.mark.kill], id=f"{part} at {moment}")


@pytest.mark.parametrize(("part", "moment"), list(cases()))
def test_the_loop_ends_as_if_nothing_had_been_killed(
    small: SmallLoop, undisturbed: Undisturbed, part: str, moment: str, record_property: Record
) -> None:
    started = time.monotonic()
    small.watch_for(moment)
    small.begin()
    if part != A_JOB:
        small.arm()
    small.up()
    if part == A_JOB:
        job = stopped_job(small)
        small.arm()
    with small.held():
        assert STANDS_AT[moment](small)
        before = progress(small)
        killed_at = time.monotonic()
        killed = kill_job(job) if part == A_JOB else kill(small, part)
    wait_for(lambda: is_healed(small, part, killed, before), f"a healed {part}", HEALED_WITHIN_S)
    record_property("healed_s", round(time.monotonic() - killed_at, 1))
    small.until_published()
    record_property("total_s", round(time.monotonic() - started, 1))
    equal = small.identities() == undisturbed.identities
    lost = [it for it in undisturbed.history if small.history().count(it) < undisturbed.history.count(it)]
    more = [it for it in small.history() if small.history().count(it) > undisturbed.history.count(it)]
    doubled = [*small.doubled(), *map(str, more)]
    exit_code = small.down()
    orphans = small.processes()
    for name, value in (("equal", equal), ("lost", len(lost)), ("doubled", len(doubled)), ("orphans", len(orphans))):
        record_property(name, value)
    assert equal
    assert (lost, doubled, orphans) == ([], [], [])
    assert exit_code == 0


# --- the moments ------------------------------------------------------------------------------------------------------


def found(small: SmallLoop, *conditions: object) -> bool:
    with small.workplace.database.read() as db:
        return bool(db.scalar(select(exists().where(*conditions))))


def is_submitted() -> object:
    """Whether the batch system has jobs of the epoch of a group."""
    return exists().where(LocalJob.token == JobGroup.token, LocalJob.epoch == GroupEpoch.epoch)


def intent_is_written(small: SmallLoop) -> bool:
    """An epoch is in the database, and the batch system has nothing of it."""
    return found(
        small,
        JobGroup.state == GroupState.WANTED,
        GroupEpoch.group_id == JobGroup.id,
        ~is_submitted(),
    )


def is_submitted_and_not_recorded(small: SmallLoop) -> bool:
    """The batch system has the jobs, and the database does not know."""
    return found(small, JobGroup.state == GroupState.WANTED, GroupEpoch.group_id == JobGroup.id, is_submitted())


def has_ended_and_still_runs(small: SmallLoop) -> bool:
    """All jobs of an attempt have ended well and are recorded; its calibration is still said to run."""
    unfinished = exists().where(
        JobGroup.attempt_id == Attempt.id, JobGroup.state.in_((GroupState.WANTED, GroupState.SUBMITTED))
    )
    return found(
        small,
        Calibration.state == State.RUNNING,
        Attempt.calibration_id == Calibration.id,
        Attempt.live.is_(True),
        Attempt.outcome.is_(None),
        exists().where(JobGroup.attempt_id == Attempt.id, JobGroup.state == GroupState.DONE),
        ~unfinished,
    )


STANDS_AT = dict(
    zip(MOMENTS, (intent_is_written, is_submitted_and_not_recorded, has_ended_and_still_runs), strict=True)
)


# --- the kill ---------------------------------------------------------------------------------------------------------


def kill(small: SmallLoop, part: str) -> int:
    """Kill a part with -9; the process number that it had."""
    if part == UP:
        assert small.process is not None
        killed = small.process.pid
        small.process.kill()
        small.process.wait()
        small.environment.pop(VARIABLE)
        small.up()  # ends what was left, also whoever waits at the moment
        return killed
    pid = small.component(component_of(part))
    workers = psutil.Process(pid).children(recursive=True) if "workers" in part else []
    os.kill(pid, signal.SIGKILL)
    for worker in workers:
        worker.kill()
    return pid


def component_of(part: str) -> str:
    return part.split(" with", maxsplit=1)[0]


@dataclass(frozen=True)
class RunningJob:
    """The wrapper of a batch job, and its folder below the attempts."""

    wrapper: psutil.Process
    folder: str


def stopped_job(small: SmallLoop) -> RunningJob:
    """Stop the wrapper of a job of a calibration that runs: it does not end before it is killed."""
    work = small.workplace.settings.attempts
    stopped: list[Path] = []

    def one_is_stopped() -> bool:
        with small.workplace.database.read() as db:
            attempts = ProcessingView.of(db, BUCKET).attempts
        if STOPPED in attempts:
            locks = (work / str(attempts[STOPPED].id)).rglob("job.lock")
            stopped.extend(islice((lock for lock in locks if is_stopped(lock)), 1))
        return bool(stopped)

    wait_for(one_is_stopped, f"a job of {STOPPED}", 180)
    return RunningJob(wrapper_of(stopped[0]), str(stopped[0].parent.relative_to(work)))


def is_stopped(lock: Path) -> bool:
    """Stop the wrapper that holds this lock, if killing it loses the job.

    One that has not come up would be started again in its place, and one that has left its report has ended.
    """
    report = lock.with_name("job_report.json")
    if report.exists() or not lock.read_text():
        return False
    try:
        wrapper = wrapper_of(lock)
        wrapper.suspend()
        wait_for(lambda: wrapper.status() == psutil.STATUS_STOPPED, "its stop", 10)
    except psutil.NoSuchProcess:
        return False
    if report.exists():
        wrapper.resume()
        return False
    return True


def wrapper_of(lock: Path) -> psutil.Process:
    return psutil.Process(json.loads(lock.read_text())["pid"])


def kill_job(job: RunningJob) -> str:
    """Kill a stopped job; its folder."""
    job.wrapper.kill()
    return job.folder


# --- healed -----------------------------------------------------------------------------------------------------------


def progress(small: SmallLoop) -> int:
    """How many decisions and ended jobs there are."""

    def count(db: Session) -> int:
        ended = db.scalars(select(Job.id).where(Job.state.in_((JobState.DONE, JobState.FAILED)))).all()
        return len(ended) + len(db.scalars(select(Decision.id)).all())

    with small.workplace.database.read() as db:
        return count(db)


def is_healed(small: SmallLoop, part: str, killed: int | str, before: int) -> bool:
    """Every component works, the killed one as another process, and the loop has gone on; or the job was done again."""
    if part == A_JOB:
        return is_done_again(small, str(killed))
    if not small.all_run() or progress(small) <= before:
        return False
    return part == UP or small.component(component_of(part)) != killed


def is_done_again(small: SmallLoop, folder: str) -> bool:
    """Whether the job of this folder is known to have failed, and the next round has done it."""
    with small.workplace.database.read() as db:
        lost = db.scalars(select(Job).where(Job.folder == folder, Job.state == JobState.FAILED)).one_or_none()
        if lost is None:
            return False
        again = (
            select(Job.id)
            .join(JobGroup, Job.group_id == JobGroup.id)
            .where(
                JobGroup.attempt_id == lost.group.attempt_id,
                JobGroup.stage == lost.group.stage,
                JobGroup.iteration == lost.group.iteration,
                JobGroup.round > lost.group.round,
                Job.number == lost.number,
                Job.state == JobState.DONE,
            )
        )
        return db.scalar(again) is not None
