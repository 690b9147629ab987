"""A schedd on another machine: what becomes of submissions that break off, and of what cannot be fetched."""

import shutil
from pathlib import Path

import htcondor2
import pytest

from b2cal.batch import BatchError, JobReport
from b2cal.batch.condor_remote import RemoteCondorBackend
from b2cal.model import JobState
from b2cal.settings import CondorSettings
from tests.batch.conftest import Centre, executions
from tests.waiting import wait_for

pytestmark = pytest.mark.contract


def in_queue(token: str) -> int:
    return len(htcondor2.Schedd().query(f'B2calToken == "{token}"', ["ProcId"]))


def test_what_a_job_brings_back_is_fetched_before_its_end_is_told_and_then_it_is_let_go(remote: Centre) -> None:
    group = remote.submitted("open(os.environ['_CONDOR_SCRATCH_DIR'] + '/outputs/sums', 'w').write('1 2 3')")
    assert remote.wait_until_ended(group) == {0: JobState.DONE}
    report = JobReport.read(group.jobs[0].folder)
    assert report is not None
    assert report.exit_code == 0
    assert (group.jobs[0].folder / "outputs" / "sums").read_text() == "1 2 3"
    wait_for(lambda: in_queue(group.token) == 0, "it has left the queue")


def test_a_submission_that_broke_off_before_its_files_were_sent_does_not_count_and_is_removed(
    remote: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = remote.group("pass", "pass")
    with monkeypatch.context() as patch:
        patch.setattr(htcondor2.Schedd, "spool", broken)
        with pytest.raises(BatchError, match="could not take jobs and their files"):
            remote.backend.submit(group)
    assert in_queue(group.token) == 2
    remote.reconnect()
    assert remote.backend.find(group.token) == []
    wait_for(lambda: in_queue(group.token) == 0, "they are gone")
    again = remote.submitted("pass", "pass", epoch=2, token=group.token)
    assert remote.wait_until_ended(again) == {0: JobState.DONE, 1: JobState.DONE}
    assert {handle.epoch for handle in remote.backend.find(group.token)} == {2}
    assert executions(group) == [0, 0]


def broken(*_args: object) -> None:
    raise htcondor2.HTCondorException("the network is away")


def test_a_job_that_cannot_be_fetched_keeps_no_other_waiting(remote: Centre) -> None:
    group = remote.submitted("pass", "pass")
    wait_for(lambda: executions(group) == [1, 1], "both have run")
    lost = group.jobs[0].folder
    elsewhere = shutil.move(lost, lost.with_name("elsewhere"))
    lost.touch()  # nothing can be put there
    wait_for(lambda: remote.states(group).get(1) is JobState.DONE, "the other's end is told")
    assert remote.states(group)[0] is JobState.RUNNING
    lost.unlink()
    shutil.move(elsewhere, lost)
    assert remote.wait_until_ended(group) == {0: JobState.DONE, 1: JobState.DONE}


def completed(token: str) -> int:
    """How many jobs have ended and wait in the queue until they are fetched."""
    return len(htcondor2.Schedd().query(f'B2calToken == "{token}" && JobStatus == 4', ["ProcId"]))


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The jobs that HTCondor was asked to give back, call by call; it does so."""
    calls: list[list[str]] = []
    retrieve = htcondor2.Schedd.retrieve

    def noted(schedd: htcondor2.Schedd, jobs: list[str]) -> None:
        calls.append(jobs)
        retrieve(schedd, jobs)

    monkeypatch.setattr(htcondor2.Schedd, "retrieve", noted)
    return calls


def test_where_none_can_be_fetched_two_are_tried_at_a_look_and_when_there_is_room_all_come(
    remote: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = remote.submitted(*["pass"] * 5)
    wait_for(lambda: completed(group.token) == 5, "all have ended")
    asked: list[int] = []

    def no_room(_schedd: htcondor2.Schedd, jobs: list[str]) -> None:
        asked.append(len(jobs))
        raise htcondor2.HTCondorException("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(htcondor2.Schedd, "retrieve", no_room)
        assert set(remote.states(group).values()) == {JobState.RUNNING}
    assert asked == [5, 1, 1]
    assert remote.wait_until_ended(group) == dict.fromkeys(range(5), JobState.DONE)


def test_several_jobs_that_can_never_be_fetched_keep_no_other_waiting(remote: Centre) -> None:
    group = remote.submitted(*["pass"] * 5)
    wait_for(lambda: completed(group.token) == 5, "all have ended")
    for job in group.jobs[:4]:
        shutil.rmtree(job.folder)
        job.folder.touch()  # nothing can be put there
    wait_for(lambda: remote.states(group).get(4) is JobState.DONE, "the other's end is told")
    assert list(remote.states(group).values()).count(JobState.RUNNING) == 4


@pytest.mark.parametrize("starts_again", [False, True])
def test_a_job_that_was_fetched_and_not_let_go_is_let_go_later_and_not_fetched_again_by_who_knows_it(
    remote: Centre, monkeypatch: pytest.MonkeyPatch, fetched: list[list[str]], tmp_path: Path, *, starts_again: bool
) -> None:
    other = remote.submitted("time.sleep(600)")  # as long as one runs the schedd is asked
    group = remote.submitted(f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)")
    htcondor2.Schedd().edit(remote.ids(group), "LeaveJobInQueue", "JobStatus == 4")  # it is not let go by itself
    (tmp_path / "go").touch()
    with monkeypatch.context() as patch:
        patch.setattr(htcondor2.Schedd, "edit", broken)
        wait_for(lambda: remote.states(group) == {0: JobState.DONE}, "its end is told")
        assert completed(group.token) == 1
    if starts_again:
        remote.reconnect()

    def is_gone() -> bool:
        remote.follow()
        return in_queue(group.token) == 0

    wait_for(is_gone, "it is let go")
    assert len(fetched) == 1 + starts_again
    assert remote.states(group) == {0: JobState.DONE}
    remote.backend.cancel(remote.ids(other))


def test_what_is_fetched_is_told_before_the_rest_is(
    remote: Centre, monkeypatch: pytest.MonkeyPatch, fetched: list[list[str]], tmp_path: Path
) -> None:
    monkeypatch.setattr("b2cal.batch.condor_remote.AT_A_TIME", 2)
    go = tmp_path / "go"
    group = remote.submitted(*[f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"] * 5)
    remote.follow()
    go.touch()
    wait_for(lambda: completed(group.token) == 5, "all have ended")
    told = remote.backend.events(remote.cursor)
    assert next(told).handle.state is JobState.DONE
    assert len(fetched) == 1
    assert sum(event.handle.state is JobState.DONE for event in told) == 4
    assert len(fetched) == 3


def test_a_client_of_another_home_sees_none_of_these_jobs(
    remote: Centre, remote_settings: CondorSettings, tmp_path: Path
) -> None:
    group = remote.submitted("pass")
    other = RemoteCondorBackend(remote_settings, tmp_path / "other")
    assert other.find(group.token) == []
    assert list(other.events("")) == []
