"""The batch system of one machine: kill anything between any two steps, and every job still counts exactly once."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from b2cal.batch import RULES, START, BatchError, JobReport, LocalBackend, RetryPolicy, plan
from b2cal.batch import local as module
from b2cal.core.clock import ManualClock
from b2cal.core.failures import Failure
from b2cal.core.processes import ProcessIdentity
from b2cal.model import JobState
from tests import factories
from tests.waiting import wait_for

from .conftest import Centre, executions, pid_of

pytestmark = pytest.mark.contract

PUMP = Path(__file__).parent / "pump.py"
FOREVER = "time.sleep(600)"


def lock_of(folder: Path) -> dict:
    return json.loads((folder / "job.lock").read_text())


@pytest.fixture
def full_disk():
    """Within its context no file may grow: what this process writes fails as on a full disk."""

    @contextmanager
    def full():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return full


def crash_at(database, tmp_path, point: str, *cancelled: str) -> None:
    """Let another process look after the jobs until it is killed at the crash point."""
    marker = tmp_path / "marker"
    marker.touch()
    command = [sys.executable, str(PUMP), str(database.engine.url), "2", *cancelled]
    ended = subprocess.run(command, env={**os.environ, "B2CAL_CRASH_AT": f"{point}:{marker}"}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not marker.exists()


@pytest.mark.parametrize("point", ["row-to-spawn", "spawn-to-lock", "ended-to-row"])
def test_killed_between_any_two_steps_every_job_still_runs_once(database, local, tmp_path, point):
    group = local.submitted("time.sleep(0.1)", "sys.exit(3)", "pass")
    crash_at(database, tmp_path, point)
    states = local.wait_until_ended(group)
    assert states == {0: JobState.DONE, 1: JobState.FAILED, 2: JobState.DONE}
    assert executions(group) == [1, 1, 1]


def test_killed_while_it_cancels_the_next_to_cancel_completes_it(database, local, tmp_path):
    group = local.submitted(FOREVER)
    local.wait_until_running(group)
    crash_at(database, tmp_path, "killed-to-row", *local.ids(group))
    local.backend.cancel(local.ids(group))
    assert local.wait_until_ended(group)[0] in (JobState.CANCELLED, JobState.FAILED)
    assert executions(group) == [1]


def test_jobs_outlive_the_process_that_started_them_and_are_not_its_children(database, local):
    group = local.submitted("time.sleep(0.3)", FOREVER)
    command = [sys.executable, str(PUMP), str(database.engine.url), "2"]
    with subprocess.Popen(command, start_new_session=True) as client:
        wait_for(lambda: all((job.folder / "ran").exists() for job in group.jobs), "both jobs run")
        os.killpg(client.pid, signal.SIGKILL)
    wait_for(lambda: JobReport.read(group.jobs[0].folder), "the first job has ended by itself")
    assert local.states(group) == {0: JobState.DONE, 1: JobState.RUNNING}
    assert ProcessIdentity.of(pid_of(group.jobs[1])) is not None


def test_a_job_whose_wrapper_is_killed_is_lost_and_nothing_of_it_is_left(local):
    group = local.submitted(FOREVER)
    local.wait_until_running(group)
    folder = group.jobs[0].folder
    os.kill(lock_of(folder)["pid"], signal.SIGKILL)
    assert local.wait_until_ended(group) == {0: JobState.FAILED}
    report = JobReport.read(folder)
    assert (report.exit_code, report.error) == (None, module.local_process.LOST)
    assert ProcessIdentity.of(pid_of(group.jobs[0])) is None


def test_a_job_that_ran_when_the_machine_was_restarted_has_failed_and_is_not_run_again(database, tmp_path):
    before = Centre(tmp_path, lambda: LocalBackend(database, slots=1))
    group = before.submitted(FOREVER)
    before.wait_until_running(group)
    folder = group.jobs[0].folder
    os.kill(lock_of(folder)["pid"], signal.SIGKILL)
    # After a restart the same number may well belong to a living process: here, to this one.
    other_boot = {"pid": os.getpid(), "start_time": ProcessIdentity.current().start_time, "boot_id": "another"}
    (folder / "job.lock").write_text(json.dumps(other_boot))
    before.reconnect()
    assert before.wait_until_ended(group) == {0: JobState.FAILED}
    assert executions(group) == [1]


def test_a_wrapper_that_comes_up_after_its_job_was_given_up_runs_nothing(local):
    cancelled = local.submitted("pass", "pass", "pass")
    local.backend.cancel(local.ids(cancelled))
    lost = local.submitted(FOREVER)
    local.wait_until_running(lost)
    os.kill(lock_of(lost.jobs[0].folder)["pid"], signal.SIGKILL)
    local.wait_until_ended(lost)
    module.local_process.start(lost.jobs[0].folder)
    wrapper_ends = subprocess.run([sys.executable, "-I", "job.py"], cwd=lost.jobs[0].folder, check=False)
    assert wrapper_ends.returncode == 0
    assert executions(cancelled) == [0, 0, 0]
    assert executions(lost) == [1]


def test_no_more_jobs_run_at_a_time_than_there_are_slots(local):
    overlap = (
        "open('began', 'w').write(repr(time.time()))\ntime.sleep(0.1)\nopen('ended', 'w').write(repr(time.time()))"
    )
    group = local.submitted(*[overlap] * 7)
    local.wait_until_ended(group)
    spans = [[float((job.folder / name).read_text()) for name in ("began", "ended")] for job in group.jobs]
    at_a_time = [sum(began <= moment < ended for began, ended in spans) for moment, _ in spans]
    assert max(at_a_time) == 2


def test_jobs_start_in_the_order_in_which_they_were_submitted(database, tmp_path):
    centre = Centre(tmp_path, lambda: LocalBackend(database, slots=1))
    began = "open('began', 'w').write(repr(time.time()))"
    groups = [centre.submitted(began, began), centre.submitted(began)]
    for group in groups:
        centre.wait_until_ended(group)
    times = [float((job.folder / "began").read_text()) for group in groups for job in group.jobs]
    assert times == sorted(times)


def test_a_wrapper_that_never_came_up_is_started_again_after_a_while(tmp_path):
    clock = ManualClock(datetime(2026, 11, 22, tzinfo=UTC))
    database = factories.database(tmp_path, clock)
    centre = Centre(tmp_path, lambda: LocalBackend(database, slots=1))
    group = centre.group("pass")
    folder = group.jobs[0].folder
    (folder / "job.py").rename(folder / "away")  # Python ends at once, before it can say that it is there
    centre.backend.submit(group)
    wait_for(lambda: centre.follow() or "job.py" in (folder / "wrapper.log").read_text(), "the first start has failed")
    (folder / "away").rename(folder / "job.py")
    assert centre.states(group) == {0: JobState.RUNNING}
    clock.advance(module.START_PATIENCE + timedelta(seconds=1))
    assert centre.wait_until_ended(group) == {0: JobState.DONE}
    database.dispose()


@pytest.mark.parametrize("left", ["", None])
def test_a_job_that_never_comes_up_ends_as_one_that_may_be_tried_again(tmp_path, left):
    """A power cut may leave an empty `job.py`: Python runs it, and nothing comes up."""
    clock = ManualClock(datetime(2026, 11, 22, tzinfo=UTC))
    database = factories.database(tmp_path, clock)
    centre = Centre(tmp_path, lambda: LocalBackend(database, slots=1))
    broken, whole = centre.group("pass"), centre.group("pass")
    folder = broken.jobs[0].folder
    (folder / "job.py").unlink() if left is None else (folder / "job.py").write_text(left)
    centre.backend.submit(broken)
    centre.backend.submit(whole)

    for _ in range(module.MOST_STARTS):
        assert centre.states(broken) == {0: JobState.RUNNING}
        clock.advance(module.START_PATIENCE + timedelta(seconds=1))
    assert centre.states(broken) == {0: JobState.FAILED}

    report = JobReport.read(folder)
    assert "never came up" in report.error
    assert not plan(Failure.of(report.exit_code, report.error), None, RetryPolicy(RULES, 1.0, 2)).hopeless
    assert centre.wait_until_ended(whole) == {0: JobState.DONE}
    database.dispose()


def test_a_job_whose_folder_is_gone_has_failed(local):
    group = local.group("pass")
    folder = group.jobs[0].folder
    folder.rename(folder.with_name("elsewhere"))
    local.backend.submit(group)
    assert local.wait_until_ended(group) == {0: JobState.FAILED}


def test_events_are_not_missed_when_the_clock_is_set_back(tmp_path):
    class SetBack:
        """A clock that goes backwards."""

        def __init__(self) -> None:
            self.time = datetime(2026, 11, 22, tzinfo=UTC)

        def now(self) -> datetime:
            self.time -= timedelta(minutes=1)
            return self.time

    database = factories.database(tmp_path, SetBack())
    centre = Centre(tmp_path, lambda: LocalBackend(database, slots=1))
    group = centre.submitted("pass", "pass")
    assert centre.wait_until_ended(group) == {0: JobState.DONE, 1: JobState.DONE}
    database.dispose()


def test_a_job_sees_no_secret_of_the_process_that_started_it(local, monkeypatch):
    monkeypatch.setenv("B2CAL_DATABASE_URL", "mysql://b2cal:secret@localhost/b2cal")
    group = local.submitted("print('secret' in repr(os.environ), 'PATH' in os.environ)")
    local.wait_until_ended(group)
    assert local.backend.log(local.ids(group)[0]).split() == [b"False", b"True"]


def test_a_job_that_does_not_end_is_not_called_cancelled_and_others_are(local, monkeypatch):
    group = local.group("pass", FOREVER)
    with open(group.jobs[0].folder / "job.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as by a process that hangs in the kernel
        local.backend.submit(group)
        local.follow()
        monkeypatch.setattr(module, "CANCEL_PATIENCE_S", 1.0)
        with pytest.raises(BatchError, match="1 of 2 jobs do not end"):
            local.backend.cancel(local.ids(group))
        assert local.states(group) == {0: JobState.RUNNING, 1: JobState.CANCELLED}


def test_a_lost_job_on_a_full_disk_has_failed_all_the_same(local, full_disk):
    group = local.submitted(FOREVER)
    local.wait_until_running(group)
    folder = group.jobs[0].folder
    os.kill(lock_of(folder)["pid"], signal.SIGKILL)
    wait_for(lambda: ProcessIdentity.of(pid_of(group.jobs[0])) is None, "its processes are gone")
    with full_disk():
        wait_for(lambda: module.local_process.look(folder) is module.Standing.FAILED, "it is given up")
    assert JobReport.read(folder) is None
    assert local.wait_until_ended(group) == {0: JobState.FAILED}


def test_a_report_that_makes_no_sense_is_a_failure(local):
    group = local.submitted("open('job_report.json', 'w').write('{')\ntime.sleep(600)")
    assert local.wait_until_ended(group) == {0: JobState.FAILED}
    assert JobReport.read(group.jobs[0].folder).exit_code is None
    module.local_process.kill(group.jobs[0].folder)


def test_the_stream_is_empty_where_there_are_no_jobs(database):
    assert list(LocalBackend(database).events(START)) == []


@contextmanager
def cannot_be_read(report: Path):
    """Within its context opening a report fails as on a disk with errors, whether it is there or not."""
    aside = report.with_name("aside")
    if report.exists():
        report.rename(aside)
    report.symlink_to(report)
    yield
    report.unlink(missing_ok=True)
    if aside.exists():
        aside.rename(report)


def test_a_job_that_cannot_be_looked_at_is_not_called_ended_and_others_go_on(local):
    group = local.submitted("while not os.path.exists('end'): time.sleep(0.01)", "pass")
    local.wait_until_running(group)
    folder = group.jobs[0].folder
    with cannot_be_read(folder / "job_report.json"):
        wait_for(lambda: local.states(group)[1] is JobState.DONE, "the other has ended")
        assert local.states(group)[0] is JobState.RUNNING
    (folder / "end").touch()
    assert local.wait_until_ended(group) == {0: JobState.DONE, 1: JobState.DONE}
    assert executions(group) == [1, 1]


def test_a_job_that_cannot_be_looked_at_is_not_called_cancelled_and_others_are(local):
    group = local.submitted(FOREVER, FOREVER)
    local.wait_until_running(group)
    with cannot_be_read(group.jobs[0].folder / "job_report.json"):
        with pytest.raises(BatchError, match="1 of 2 jobs"):
            local.backend.cancel(local.ids(group))
        assert local.states(group) == {0: JobState.RUNNING, 1: JobState.CANCELLED}
    local.backend.cancel(local.ids(group))
    assert local.states(group) == {0: JobState.CANCELLED, 1: JobState.CANCELLED}


def test_a_folder_in_place_of_a_report_is_a_failure(local):
    group = local.submitted("os.mkdir('job_report.json')\ntime.sleep(600)")
    assert local.wait_until_ended(group) == {0: JobState.FAILED}
    module.local_process.kill(group.jobs[0].folder)
