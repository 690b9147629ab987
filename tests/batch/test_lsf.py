"""LSF in trouble: commands that fail or do not answer, jobs that it forgets, a journal that is gone."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from b2cal.batch import START, BatchError, BatchGroup
from b2cal.batch.lsf import LOST, LsfBackend
from b2cal.batch.lsf_commands import LsfCommands
from b2cal.model import JobState
from b2cal.settings import LsfSettings
from tests.services.lsf.cluster import Cluster
from tests.waiting import wait_for

from .conftest import OFTEN, Centre, executions

pytestmark = pytest.mark.contract

FOREVER = "time.sleep(600)"
Connect = Callable[..., Centre]


@pytest.fixture
def described(cluster: Cluster) -> dict[str, object]:
    """The settings of the centre."""
    return {"backend": "lsf", "path": str(cluster.commands), "python": sys.executable, **OFTEN}


@pytest.fixture
def connect(described: dict[str, object], tmp_path: Path) -> Connect:
    """A client with other settings of the centre; another one after `reconnect`."""

    def client(**changes: object) -> Centre:
        settings = LsfSettings.model_validate(described | changes)
        return Centre(tmp_path, lambda: LsfBackend(settings, tmp_path / "journal"))

    return client


def reasons(centre: Centre) -> set[str]:
    return {event.failure.message for event in centre.backend.events(START) if event.failure}


def shown(described: dict[str, object], group: BatchGroup) -> set[JobState | None]:
    """What LSF says of the jobs of a group."""
    own = LsfCommands(LsfSettings.model_validate(described))
    return {job.state for job in own.jobs("*") if group.token in job.name}


def test_what_lsf_took_without_saying_so_is_found_and_not_submitted_again(lsf: Centre, cluster: Cluster) -> None:
    group = lsf.group("pass", "pass")
    cluster.fails("bsub", "mute")
    with pytest.raises(BatchError, match="LSF could not take jobs"):
        lsf.backend.submit(group)
    cluster.works("bsub")
    lsf.reconnect()
    assert [job.number for job in lsf.backend.find(group.token)] == [0, 1]
    lsf.backend.submit(group)
    assert lsf.wait_until_ended(group) == {0: JobState.DONE, 1: JobState.DONE}
    assert executions(group) == [1, 1]


def test_what_lsf_took_without_saying_so_is_seen_by_who_only_looks_and_can_be_cancelled(
    lsf: Centre, cluster: Cluster
) -> None:
    group = lsf.group(FOREVER, FOREVER)
    cluster.fails("bsub", "mute")
    with pytest.raises(BatchError):
        lsf.backend.submit(group)
    wait_for(lambda: set(lsf.states(group)) == {0, 1}, "they are seen")
    lsf.backend.cancel([handle.batch_id for handle in lsf.seen.values()])
    assert lsf.wait_until_ended(group) == {0: JobState.CANCELLED, 1: JobState.CANCELLED}


def test_what_lsf_refused_is_not_there_and_is_submitted_later(lsf: Centre, cluster: Cluster) -> None:
    group = lsf.group("pass")
    cluster.fails("bsub", "refuse")
    with pytest.raises(BatchError, match="LSF is down") as refused:
        lsf.backend.submit(group)
    assert "`path`, `ssh` and `queue`" in (refused.value.hint or "")
    assert lsf.backend.find(group.token) == []
    cluster.works("bsub")
    lsf.backend.submit(group)
    assert lsf.wait_until_ended(group) == {0: JobState.DONE}


@pytest.mark.parametrize(("how", "said"), [("refuse", "LSF is down"), ("hang", "did not answer within 1 s")])
def test_while_lsf_does_not_answer_nothing_is_believed_of_its_jobs(
    cluster: Cluster, connect: Connect, how: str, said: str
) -> None:
    centre = connect(patience_s=1, poll_every_s=1e-6)
    group = centre.submitted(FOREVER)
    centre.wait_until_running(group)
    cluster.fails("bjobs", how)
    with pytest.raises(BatchError, match=said):
        list(centre.backend.events(START))
    with pytest.raises(BatchError, match=said):
        centre.backend.find(group.token)
    cluster.works("bjobs")
    assert centre.states(group) == {0: JobState.RUNNING}
    centre.backend.cancel(centre.ids(group))


def test_ends_that_bjobs_does_not_show_any_more_are_found_in_the_history(
    cluster: Cluster, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("b2cal.batch.lsf.SHOWN_WITHIN", __import__("datetime").timedelta(0))
    centre = connect()
    group = centre.submitted("pass", "sys.exit(7)", FOREVER)
    wait_for(lambda: sum(executions(group)) == 3, "all run or have run")
    cluster.forgets_after(0)
    centre.reconnect()
    expected = {0: JobState.DONE, 1: JobState.FAILED}
    wait_for(lambda: {number: state for number, state in centre.states(group).items() if state.ended} == expected)
    assert "LSF: Exited with exit code 7" in reasons(centre)
    centre.backend.cancel(centre.ids(group))
    assert centre.wait_until_ended(group)[2] is JobState.CANCELLED


def test_a_job_that_lsf_knows_no_more_is_known_by_its_report_or_is_lost(
    cluster: Cluster, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("b2cal.batch.lsf.SHOWN_WITHIN", __import__("datetime").timedelta(0))
    centre = connect()
    group = centre.submitted("pass", FOREVER)
    wait_for(lambda: (group.jobs[0].folder / "job_report.json").exists() and sum(executions(group)) == 2)
    cluster.forgets_everything()
    centre.reconnect()
    assert centre.wait_until_ended(group) == {0: JobState.DONE, 1: JobState.FAILED}
    assert LOST in reasons(centre)


def test_a_job_that_is_suspended_says_so_as_long_as_it_is(cluster: Cluster, connect: Connect) -> None:
    centre = connect(poll_every_s=1e-6)
    group = centre.submitted(FOREVER)
    centre.wait_until_running(group)
    assert reasons(centre) == set()
    cluster.says("SSUSP")
    assert [reason.endswith("(SSUSP)") for reason in reasons(centre)] == [True]
    assert centre.states(group) == {0: JobState.RUNNING}
    cluster.says("RUN")
    assert reasons(centre) == set()
    centre.backend.cancel(centre.ids(group))


def test_a_group_that_is_larger_than_an_array_is_several(connect: Connect) -> None:
    centre = connect(max_array=2)
    group = centre.submitted(*["pass"] * 5)
    assert len({job.batch_id.partition("[")[0] for job in centre.backend.find(group.token)}) == 3
    assert centre.wait_until_ended(group) == dict.fromkeys(range(5), JobState.DONE)
    assert executions(group) == [1] * 5


def test_where_the_jobs_run_that_a_group_races_is_asked_once(
    connect: Connect, cluster: Cluster, tmp_path: Path
) -> None:
    centre = connect()
    slow = centre.submitted(FOREVER, FOREVER)
    wait_for(lambda: executions(slow) == [1, 1], "both run")
    raced = centre.ids(slow)
    group = centre.group("pass", "pass")
    copies = [replace(job, not_beside=other) for job, other in zip(group.jobs, raced, strict=True)]
    bjobs, asked = cluster.commands / "bjobs", tmp_path / "asked"
    bjobs.write_text(bjobs.read_text().replace("exec ", f"echo once >>{asked}\nexec "))
    centre.backend.submit(replace(group, jobs=tuple(copies)))
    n_asked = len(asked.read_text().splitlines())
    n_arrays = len({job.partition("[")[0] for job in centre.ids(group)})
    assert (n_asked, n_arrays) == (1 + n_arrays, 2)  # once more for each array: it may be there
    centre.backend.cancel(raced)
    assert centre.wait_until_ended(group) == {0: JobState.DONE, 1: JobState.DONE}


def test_of_an_array_no_more_run_at_a_time_than_the_centre_wants(connect: Connect) -> None:
    centre = connect(max_running=1)
    group = centre.submitted(FOREVER, FOREVER)
    wait_for(lambda: executions(group)[0] == 1, "the first runs")
    other = centre.submitted("pass")
    assert centre.wait_until_ended(other) == {0: JobState.DONE}
    assert executions(group) == [1, 0]
    centre.backend.cancel(centre.ids(group))


def test_other_peoples_jobs_are_never_killed(lsf: Centre, described: dict[str, object], tmp_path: Path) -> None:
    theirs = lsf.submitted(FOREVER)
    lsf.wait_until_running(theirs)
    (job,) = lsf.ids(theirs)
    stranger = LsfBackend(LsfSettings.model_validate(described), tmp_path / "another home")
    stranger.cancel([job, "1", "999[1]"])
    after = lsf.submitted("pass")
    assert lsf.wait_until_ended(after) == {0: JobState.DONE}
    assert lsf.states(theirs) == {0: JobState.RUNNING}
    assert list(stranger.events(START)) == []


def test_a_job_has_not_ended_before_its_report_is_seen_or_can_be_seen_no_more(
    connect: Connect, described: dict[str, object]
) -> None:
    """Here the machines of LSF and this one share a disk; by NFS a file is seen later."""
    centre = connect(report_late_s=600)
    group = centre.group("pass", "pass")
    for job in group.jobs:
        (job.folder / "job.py").write_text("open('ran', 'a').write('1\\n')")
    centre.backend.submit(group)
    wait_for(lambda: executions(group) == [1, 1], "both have run")
    wait_for(lambda: shown(described, group) == {JobState.DONE}, "LSF knows it")
    assert not any(state.ended for state in centre.states(group).values())
    (group.jobs[0].folder / "job_report.json").write_text("{}")
    wait_for(lambda: centre.states(group)[0] is JobState.DONE, "its report is seen")
    assert not centre.states(group)[1].ended
    impatient = connect(report_late_s=0.1)
    assert impatient.wait_until_ended(group) == {0: JobState.DONE, 1: JobState.DONE}


def test_what_has_long_ended_is_forgotten_and_what_runs_is_not(connect: Connect, tmp_path: Path) -> None:
    centre = connect(remember_days=1)
    ended, runs = centre.submitted("pass"), centre.submitted(FOREVER)
    centre.wait_until_ended(ended)
    centre.wait_until_running(runs)
    journal = tmp_path / "journal" / "journal.jsonl"
    arrays = [json.loads(line) for line in journal.read_text().splitlines()]
    journal.write_text("".join(json.dumps({**array, "at": 0}) + "\n" for array in arrays))
    centre.reconnect()
    wait_for(lambda: centre.states(ended) == {0: JobState.DONE}, "it is told once more")
    wait_for(lambda: (centre.follow(), ended.token not in journal.read_text())[1], "it is forgotten")
    assert centre.backend.find(ended.token) == []
    assert {event.handle.token for event in centre.backend.events(START)} == {runs.token}
    centre.backend.cancel(centre.ids(runs))
    assert centre.wait_until_ended(runs) == {0: JobState.CANCELLED}
