"""What every backend must do, whatever batch system lies behind it."""

import os
import signal
from dataclasses import replace

import pytest

from b2cal.batch import START, BatchError, JobReport
from b2cal.core.ids import new_token
from b2cal.core.processes import ProcessIdentity
from b2cal.model import JobState
from tests.waiting import wait_for

from .conftest import executions, hosts, pid_of

pytestmark = pytest.mark.contract

FOREVER = "time.sleep(600)"


def test_every_job_of_a_group_runs_once_and_its_end_is_told(centre):
    group = centre.submitted(*["print('done')"] * 10)
    assert centre.wait_until_ended(group) == dict.fromkeys(range(10), JobState.DONE)
    assert executions(group) == [1] * 10


def test_a_job_that_fails_is_told_from_one_that_does_its_work_and_its_report_says_why(centre):
    group = centre.submitted("pass", "raise ZeroDivisionError('by zero')", "sys.exit(75)")
    states = centre.wait_until_ended(group)
    assert states == {0: JobState.DONE, 1: JobState.FAILED, 2: JobState.FAILED}
    reports = [JobReport.read(job.folder) for job in group.jobs]
    assert [report.exit_code for report in reports] == [0, 1, 75]
    assert reports[1].error == "ZeroDivisionError: by zero"
    assert reports[0].host
    assert reports[0].cpu_s > 0
    assert reports[0].memory_bytes > 1_000_000


def test_a_job_that_is_killed_has_failed_and_frees_its_place(centre):
    group = centre.submitted(FOREVER, FOREVER)
    centre.wait_until_running(group)
    for job in group.jobs:
        os.kill(pid_of(job), signal.SIGKILL)
    assert centre.wait_until_ended(group) == {0: JobState.FAILED, 1: JobState.FAILED}
    assert JobReport.read(group.jobs[0].folder).exit_code == 128 + signal.SIGKILL
    after = centre.submitted("pass")
    assert centre.wait_until_ended(after) == {0: JobState.DONE}


def test_the_same_submission_twice_is_one(centre):
    group = centre.submitted("pass", "pass")
    centre.backend.submit(group)
    centre.wait_until_ended(group)
    centre.reconnect()
    centre.backend.submit(group)
    centre.wait_until_ended(group)
    assert executions(group) == [1, 1]
    assert len(centre.backend.find(group.token)) == 2


def test_a_token_finds_the_jobs_of_every_epoch_and_nothing_else(centre):
    token = new_token()
    first = centre.submitted("pass", "pass", token=token)
    second = centre.submitted("pass", epoch=2, token=token)
    centre.submitted("pass")
    for group in (first, second):
        centre.wait_until_ended(group)
    found = centre.backend.find(token)
    assert sorted((job.token, job.epoch, job.number) for job in found) == [(token, 1, 0), (token, 1, 1), (token, 2, 0)]
    assert {job.state for job in found} == {JobState.DONE}
    assert centre.backend.find(new_token()) == []


def test_of_a_submission_that_came_twice_in_two_epochs_one_is_removed_and_the_other_runs(centre):
    token = new_token()
    late = centre.submitted(FOREVER, FOREVER, token=token)
    counts = centre.submitted("pass", "pass", epoch=2, token=token)
    centre.backend.cancel(centre.ids(late))
    assert centre.wait_until_ended(counts) == {0: JobState.DONE, 1: JobState.DONE}
    assert centre.wait_until_ended(late) == {0: JobState.CANCELLED, 1: JobState.CANCELLED}


def test_a_submitter_that_hung_and_wakes_up_after_its_successor_is_told_apart_and_removed(centre):
    token = new_token()
    hung = centre.group(FOREVER, FOREVER, token=token)
    counts = centre.submitted("pass", "pass", epoch=2, token=token)
    centre.backend.submit(hung)
    assert sorted((job.epoch, job.number) for job in centre.backend.find(token)) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    centre.backend.cancel(centre.ids(hung))
    assert centre.wait_until_ended(counts) == {0: JobState.DONE, 1: JobState.DONE}
    assert centre.wait_until_ended(hung) == {0: JobState.CANCELLED, 1: JobState.CANCELLED}
    assert executions(counts) == [1, 1]


def test_what_waits_runs_and_has_ended_is_cancelled_in_one_call(centre):
    group = centre.submitted("pass", FOREVER, FOREVER, FOREVER)
    wait_for(lambda: centre.follow() or executions(group) == [1, 1, 1, 0], "one has ended, two run, one waits")
    wait_for(lambda: centre.states(group).get(0) is JobState.DONE, "its end is told")
    centre.backend.cancel(centre.ids(group))
    expected = {0: JobState.DONE, **dict.fromkeys((1, 2, 3), JobState.CANCELLED)}
    assert centre.wait_until_ended(group) == expected
    assert executions(group) == [1, 1, 1, 0]


def test_a_group_of_a_thousand_jobs_is_handed_over_found_and_taken_back_whole(centre):
    group = centre.submitted(*["pass"] * 1000)
    centre.backend.submit(group)
    assert sorted(job.number for job in centre.backend.find(group.token)) == list(range(1000))
    wait_for(lambda: list(centre.states(group).values()).count(JobState.DONE) >= 10, "some have ended")
    centre.backend.cancel(centre.ids(group))
    states = centre.wait_until_ended(group)
    assert set(states.values()) == {JobState.DONE, JobState.CANCELLED}
    runs = executions(group)
    assert max(runs) == 1
    assert all(runs[number] == 1 for number, state in states.items() if state is JobState.DONE)


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_each_of_a_thousand_jobs_of_a_group_runs_once(centre):
    group = centre.submitted(*["pass"] * 1000)
    assert centre.wait_until_ended(group, patience_s=800) == dict.fromkeys(range(1000), JobState.DONE)
    assert executions(group) == [1] * 1000


def test_a_job_that_waits_is_cancelled_and_never_runs(centre):
    occupying = centre.submitted(FOREVER, FOREVER)
    centre.wait_until_running(occupying)
    waiting = centre.submitted("pass")
    centre.follow()
    centre.backend.cancel(centre.ids(waiting))
    centre.backend.cancel(centre.ids(occupying))
    assert centre.wait_until_ended(waiting) == {0: JobState.CANCELLED}
    assert centre.wait_until_ended(occupying) == {0: JobState.CANCELLED, 1: JobState.CANCELLED}
    assert executions(waiting) == [0]


def test_a_running_job_is_cancelled_with_everything_that_it_has_started(centre):
    child = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, file=open('child', 'w'), flush=True)"
    group = centre.submitted(f"{child}\n{FOREVER}")
    trace = group.jobs[0].folder / "child"
    wait_for(lambda: centre.follow() or (trace.exists() and trace.read_text().strip()), "the job has a child")
    processes = [pid_of(group.jobs[0]), int(trace.read_text())]
    centre.backend.cancel(centre.ids(group))
    assert centre.wait_until_ended(group) == {0: JobState.CANCELLED}
    wait_for(lambda: not any(ProcessIdentity.of(pid) for pid in processes), "its processes are gone")


def test_to_cancel_what_has_ended_or_is_unknown_or_cancelled_does_not_matter(centre):
    group = centre.submitted("pass")
    centre.wait_until_ended(group)
    centre.backend.cancel([])
    centre.backend.cancel([*centre.ids(group), "987654", "a job of another system"])
    assert centre.wait_until_ended(group) == {0: JobState.DONE}
    gone = centre.submitted(FOREVER)
    for _ in range(2):
        centre.backend.cancel(centre.ids(gone))
    assert centre.wait_until_ended(gone) == {0: JobState.CANCELLED}


def test_a_job_that_was_cancelled_before_it_came_up_never_runs(centre):
    for _ in range(5):
        group = centre.submitted(FOREVER)
        centre.follow()
        centre.backend.cancel(centre.ids(group))
        centre.wait_until_ended(group)
        processes = [pid_of(job) for job in group.jobs if (job.folder / "ran").exists()]
        assert not any(ProcessIdentity.of(pid) for pid in processes)


def test_a_client_that_starts_again_is_told_the_last_state_of_every_job(centre):
    ended = centre.submitted("pass", "sys.exit(1)")
    centre.wait_until_ended(ended)
    running = centre.submitted(FOREVER)
    centre.wait_until_running(running)
    centre.reconnect()
    assert centre.states(ended) == {0: JobState.DONE, 1: JobState.FAILED}
    assert centre.states(running) == {0: JobState.RUNNING}


def test_a_client_that_starts_again_at_every_look_misses_no_end(centre):
    group = centre.submitted(*["time.sleep(0.05)"] * 6)

    def ended() -> bool:
        centre.reconnect()
        return all(state.ended for state in centre.states(group).values())

    wait_for(ended, "all jobs have ended")
    assert centre.wait_until_ended(group) == dict.fromkeys(range(6), JobState.DONE)
    assert executions(group) == [1] * 6


def test_after_a_cursor_only_what_happened_since_is_told(centre):
    group = centre.submitted("pass")
    centre.wait_until_ended(group)
    assert list(centre.backend.events(centre.cursor)) == []
    later = centre.submitted("pass")
    told = []

    def something_is_told():
        told.extend(centre.backend.events(centre.cursor))
        return told

    wait_for(something_is_told)
    assert {event.handle.token for event in told} == {later.token}
    assert len(list(centre.backend.events(START))) >= 2


def test_the_log_of_a_running_and_of_an_ended_job_can_be_read(centre):
    group = centre.submitted(f"print('begun', flush=True)\n{FOREVER}", "print('x' * 100)\nraise ValueError('oops')")
    running, failing = centre.ids(group)
    wait_for(lambda: centre.follow() or b"begun" in _log_or_nothing(centre, running), "the first line is there")
    wait_for(lambda: centre.states(group).get(1) is JobState.FAILED, "the second job has failed")
    assert b"ValueError: oops" in centre.backend.log(failing)
    assert b"x" * 100 in centre.backend.log(failing)
    tail = centre.backend.log(failing, tail=30)
    assert b"ValueError: oops" in tail
    assert b"x" * 100 not in tail


@pytest.mark.parametrize("unknown", ["987654", "", "a job of another system"])
def test_the_log_of_an_unknown_job_is_refused(centre, unknown):
    with pytest.raises(BatchError, match=f"job {unknown}"):
        centre.backend.log(unknown)


def _log_or_nothing(centre, job: str) -> bytes:
    try:
        return centre.backend.log(job)
    except BatchError:
        return b""


def test_what_waits_and_what_comes_starts_on_no_host_that_is_avoided_until_it_is_not_avoided_any_more(
    two_hosts, tmp_path
):
    go = tmp_path / "go"
    busy = two_hosts.submitted(*[f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"] * 2)
    two_hosts.wait_until_running(busy)
    waits = two_hosts.submitted(*["pass"] * 4)
    two_hosts.backend.avoid(["h1", "elsewhere"])
    comes = two_hosts.submitted("pass", "pass")
    go.touch()
    for group in (waits, comes):
        assert set(two_hosts.wait_until_ended(group).values()) == {JobState.DONE}
        assert hosts(group) == {"h2"}
    two_hosts.backend.avoid([])
    together = tmp_path / "together"
    both = two_hosts.submitted(*[f"while not os.path.exists({str(together)!r}): time.sleep(0.01)"] * 2)
    two_hosts.wait_until_running(both)
    together.touch()
    assert set(two_hosts.wait_until_ended(both).values()) == {JobState.DONE}
    assert hosts(both) == {"h1", "h2"}


def test_a_job_for_one_host_runs_there_and_nowhere_else_even_if_it_is_avoided(two_hosts):
    two_hosts.backend.avoid(["h2"])
    group = two_hosts.group("pass", "pass", "pass")
    group = replace(group, jobs=tuple(replace(job, host="h2") for job in group.jobs))
    two_hosts.backend.submit(group)
    assert set(two_hosts.wait_until_ended(group).values()) == {JobState.DONE}
    assert hosts(group) == {"h2"}


def test_a_job_does_not_run_on_the_host_of_the_one_that_it_is_not_to_run_beside(two_hosts, tmp_path):
    ends = [tmp_path / "first", tmp_path / "second"]
    busy = [two_hosts.submitted(f"while not os.path.exists({str(end)!r}): time.sleep(0.01)") for end in ends]
    for group in busy:
        two_hosts.wait_until_running(group)
    (beside,) = two_hosts.backend.find(busy[0].token)
    copy = two_hosts.group("pass")
    copy = replace(copy, jobs=(replace(copy.jobs[0], not_beside=beside.batch_id),))
    two_hosts.backend.submit(copy)
    ends[0].touch()
    assert set(two_hosts.wait_until_ended(busy[0]).values()) == {JobState.DONE}
    comes = two_hosts.submitted("pass")  # there is room for it, and none for the copy
    assert set(two_hosts.wait_until_ended(comes).values()) == {JobState.DONE}
    assert two_hosts.states(copy)[0] is JobState.QUEUED
    ends[1].touch()
    assert set(two_hosts.wait_until_ended(copy).values()) == {JobState.DONE}
    assert (hosts(comes), hosts(copy)) == (hosts(busy[0]), hosts(busy[1]))


def test_a_system_of_one_host_runs_jobs_whatever_is_to_be_avoided(local):
    local.backend.avoid(["here", ""])
    group = local.submitted("pass")
    assert local.wait_until_ended(group) == {0: JobState.DONE}
