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


def test_a_client_of_another_home_sees_none_of_these_jobs(
    remote: Centre, remote_settings: CondorSettings, tmp_path: Path
) -> None:
    group = remote.submitted("pass")
    other = RemoteCondorBackend(remote_settings, tmp_path / "other")
    assert other.find(group.token) == []
    assert list(other.events("")) == []
