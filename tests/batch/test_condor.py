"""What HTCondor does by itself with jobs that it cannot run, and what is told of them."""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import htcondor2
import pytest

from b2cal.batch import START, BatchError, BatchGroup
from b2cal.batch.condor import CondorBackend
from b2cal.core.failures import Source
from b2cal.model import JobState
from b2cal.settings import CondorSettings
from tests.batch.conftest import Centre, empty_pool, executions, hosts
from tests.services.credentials import Authority, private, token
from tests.waiting import wait_for

pytestmark = pytest.mark.contract

Connect = Callable[..., Centre]


@pytest.fixture
def connect(pool_settings: CondorSettings, tmp_path: Path) -> Iterator[Connect]:
    """A client of the pool with some settings of its own."""

    def connected(submit: dict[str, str], **own: int | str) -> Centre:
        settings = pool_settings.model_copy(update={"submit": pool_settings.submit | submit, **own})
        return Centre(tmp_path, lambda: CondorBackend(settings, tmp_path / "events"))

    yield connected
    empty_pool()


def reasons(centre: Centre) -> list[str]:
    return [event.failure.message for event in centre.backend.events(START) if event.failure]


def queued(centre: Centre, token: str) -> int:
    """How many jobs the schedd has in its queue."""
    return len(htcondor2.Schedd().query(f'B2calToken == "{token}"', ["ProcId"]))


def materialised(token: str) -> set[int]:
    """The numbers of the jobs that the schedd has in its queue."""
    return {ad["B2calNumber"] for ad in htcondor2.Schedd().query(f'B2calToken == "{token}"', ["B2calNumber"])}


def act(action: htcondor2.JobAction, batch_id: str) -> None:
    htcondor2.Schedd().act(action, [batch_id], reason=("by hand", 1))


def in_history(token: str) -> list[int]:
    """The exit codes of the jobs that the schedd has had."""
    return [ad["ExitCode"] for ad in htcondor2.Schedd().history(f'B2calToken == "{token}"', ["ExitCode"])]


def event_log(centre: Centre) -> Path:
    (log,) = (centre.folder / "events").glob("*.log")
    return log


def lose_log(centre: Centre) -> None:
    """Nobody knows any more what happened."""
    event_log(centre).unlink()


def test_jobs_that_ended_unseen_and_whose_event_log_is_lost_are_found_in_the_history(connect: Connect) -> None:
    centre = connect({})
    group = centre.submitted("print('worked')", "sys.exit(3)")
    wait_for(lambda: len(in_history(group.token)) == 2, "they have left the queue")
    lose_log(centre)
    centre.reconnect()
    found = {job.number: job for job in centre.backend.find(group.token)}
    assert {number: job.state for number, job in found.items()} == {0: JobState.DONE, 1: JobState.FAILED}
    centre.backend.submit(group)
    assert centre.states(group) == {0: JobState.DONE, 1: JobState.FAILED}
    assert len(in_history(group.token)) == 2
    assert executions(group) == [1, 1]
    assert centre.backend.log(found[0].batch_id) == b"worked\n"


def test_the_history_is_read_only_so_far_back(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    centre = connect({}, history_days=1)
    group = centre.submitted("pass")
    wait_for(lambda: in_history(group.token), "it has left the queue")
    lose_log(centre)
    monkeypatch.setattr("b2cal.batch.condor.HISTORY_MARGIN", timedelta(days=-1, seconds=-60))
    centre.reconnect()
    assert centre.backend.find(group.token) == []


def test_a_running_client_whose_event_log_is_lost_still_sees_the_end_of_its_jobs(connect: Connect) -> None:
    centre = connect({})
    group = centre.submitted("time.sleep(3)", "time.sleep(3)\nsys.exit(1)")
    centre.wait_until_running(group)
    lose_log(centre)
    assert centre.wait_until_ended(group) == {0: JobState.DONE, 1: JobState.FAILED}
    later = centre.submitted("pass")
    assert centre.wait_until_ended(later) == {0: JobState.DONE}


def test_ends_whose_events_are_damaged_are_found_in_the_history(connect: Connect) -> None:
    centre = connect({})
    group = centre.submitted("pass", "sys.exit(1)")
    wait_for(lambda: len(in_history(group.token)) == 2, "they have left the queue")
    events = event_log(centre)
    wait_for(lambda: events.read_text().count("\n005 (") == 2, "both ends are written down")
    events.write_text(re.sub(r"(?s)\n005 \(.*?\n\.\.\.\n", "\n005 (\n...\n", events.read_text()))
    assert centre.wait_until_ended(group) == {0: JobState.DONE, 1: JobState.FAILED}


def test_why_a_job_was_held_and_removed_is_told_from_the_history_too(connect: Connect) -> None:
    centre = connect({"periodic_hold": "true", "periodic_hold_reason": '"against the rules"'})
    group = centre.submitted("time.sleep(60)")
    wait_for(lambda: not queued(centre, group.token), "nothing of it stays in the queue")
    lose_log(centre)
    centre.reconnect()
    assert centre.wait_until_ended(group) == {0: JobState.FAILED}
    assert reasons(centre) == ["Held by HTCondor, code 3/0: against the rules"]


def test_a_job_of_which_htcondor_has_no_trace_is_lost(connect: Connect) -> None:
    centre = connect({})
    recorded = (Path(__file__).parent / "recorded" / "condor_23.9.6.log").read_text()
    (centre.folder / "events" / "2026-01-01.log").write_text(recorded.partition("...\n001 ")[0] + "...\n")
    wait_for(lambda: "neither in its queue nor in its history" in "".join(reasons(centre)), "it is given up")
    assert {event.handle.state for event in centre.backend.events(START)} == {JobState.FAILED}


def test_a_schedd_that_is_not_there_is_an_error_that_says_which_setting_to_look_at(connect: Connect) -> None:
    centre = connect({}, schedd="nobody@nowhere.example")
    group = centre.group("pass")
    for call in (lambda: centre.backend.submit(group), lambda: centre.backend.find(group.token)):
        with pytest.raises(BatchError, match=r"schedd nobody@nowhere.example could not") as refused:
            call()
        assert "`schedd` and `collector` of the centre in b2cal.toml" in refused.value.hint
    assert list(centre.backend.events(START)) == []


def test_a_job_whose_files_cannot_be_sent_is_tried_again_and_then_fails_with_the_reason(connect: Connect) -> None:
    centre = connect({}, release_after_s=1, max_holds=2)
    group = centre.group("pass")
    (group.jobs[0].folder / "wrapper.json").unlink()
    centre.backend.submit(group)
    wait_for(lambda: any("wrapper.json" in reason for reason in reasons(centre)), "it is held")
    assert centre.wait_until_ended(group) == {0: JobState.FAILED}
    assert reasons(centre)[-1].startswith("Held by HTCondor, code 13/2: ")
    wait_for(lambda: not queued(centre, group.token), "nothing of it stays in the queue")


def test_a_job_whose_files_can_be_sent_at_the_second_try_is_done(connect: Connect) -> None:
    centre = connect({}, release_after_s=1, max_holds=10)
    group = centre.group("pass")
    wrapper = group.jobs[0].folder / "wrapper.json"
    contents = wrapper.read_bytes()
    wrapper.unlink()
    centre.backend.submit(group)
    wait_for(lambda: any("wrapper.json" in reason for reason in reasons(centre)), "it is held")
    wrapper.write_bytes(contents)
    assert centre.wait_until_ended(group) == {0: JobState.DONE}
    assert executions(group) == [1]


def test_a_hold_that_cannot_pass_is_a_failure_at_once_and_leaves_the_queue(connect: Connect) -> None:
    centre = connect({"periodic_hold": "true", "periodic_hold_reason": '"against the rules"'})
    group = centre.submitted("time.sleep(60)")
    assert centre.wait_until_ended(group) == {0: JobState.FAILED}
    assert reasons(centre) == ["Held by HTCondor, code 3/0: against the rules"]
    wait_for(lambda: not queued(centre, group.token), "nothing of it stays in the queue")


def held_by_somebody(centre: Centre) -> tuple[BatchGroup, BatchGroup, str]:
    """Jobs that take all slots, a group of one job that is held before it could start, and what HTCondor calls that."""
    busy = centre.submitted("time.sleep(60)", "time.sleep(60)")
    centre.wait_until_running(busy)
    group = centre.submitted("pass")
    (batch_id,) = centre.ids(group)
    act(htcondor2.JobAction.Hold, batch_id)
    wait_for(lambda: any("code 1/" in reason for reason in reasons(centre)), "it is held")
    return busy, group, batch_id


def test_a_job_that_somebody_holds_waits_until_it_is_released(connect: Connect) -> None:
    centre = connect({}, release_after_s=1)
    busy, group, batch_id = held_by_somebody(centre)
    centre.backend.cancel(centre.ids(busy))
    after = centre.submitted("pass")
    assert centre.wait_until_ended(after) == {0: JobState.DONE}
    assert centre.states(group) == {0: JobState.QUEUED}
    assert executions(group) == [0]
    act(htcondor2.JobAction.Release, batch_id)
    assert centre.wait_until_ended(group) == {0: JobState.DONE}


def test_a_job_that_is_held_is_cancelled_and_never_runs(connect: Connect) -> None:
    centre = connect({}, release_after_s=1)
    _, group, batch_id = held_by_somebody(centre)
    centre.backend.cancel([batch_id])
    assert centre.wait_until_ended(group) == {0: JobState.CANCELLED}
    assert executions(group) == [0]


def test_of_a_cluster_that_is_cancelled_when_some_have_ended_nothing_starts_any_more(connect: Connect) -> None:
    centre = connect({}, max_idle=2)
    group = centre.submitted("pass", *["time.sleep(60)"] * 9)
    wait_for(lambda: centre.states(group).get(0) is JobState.DONE, "the first is done")
    wait_for(lambda: 0 not in materialised(group.token), "it has left the queue")
    assert len(materialised(group.token)) < 9
    living = [job.batch_id for job in centre.backend.find(group.token) if not job.state.ended]
    assert len(living) == 9
    centre.backend.cancel(living)
    assert centre.wait_until_ended(group) == {0: JobState.DONE, **dict.fromkeys(range(1, 10), JobState.CANCELLED)}
    assert materialised(group.token) == set()
    assert htcondor2.Schedd().query(f'B2calToken == "{group.token}"', opts=htcondor2.QueryOpt.IncludeClusterAd) == []


def test_a_job_that_is_cancelled_before_it_materialises_does_not_stay_when_it_does(connect: Connect) -> None:
    centre = connect({}, max_idle=1)
    go = centre.folder / "go"
    wait = f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    group = centre.submitted(*[wait] * 5, "time.sleep(60)")
    wait_for(lambda: list(centre.states(group).values()).count(JobState.RUNNING) == 2, "both hosts are busy")
    assert 5 not in materialised(group.token)
    centre.backend.cancel([job.batch_id for job in centre.backend.find(group.token) if job.number == 5])
    go.touch()
    assert centre.wait_until_ended(group) == {**dict.fromkeys(range(5), JobState.DONE), 5: JobState.CANCELLED}


def test_what_has_long_ended_is_forgotten_with_its_log(connect: Connect) -> None:
    centre = connect({}, look_every_s=1, history_days=1)
    old = centre.folder / "events" / "2026-01-01.log"
    old.parent.mkdir(exist_ok=True)
    recorded = (Path(__file__).parent / "recorded" / "condor_23.9.6.log").read_text()
    old.write_text(recorded.replace("2026-11-27", "2026-01-01"))
    os.utime(old, (0, 0))
    group = centre.submitted("pass")
    centre.wait_until_ended(group)
    assert {event.handle.token for event in centre.backend.events(START)} > {group.token}
    later = centre.submitted(f"while os.path.exists({str(old)!r}): time.sleep(0.01)")
    assert centre.wait_until_ended(later) == {0: JobState.DONE}
    assert "aaaa1111" not in {event.handle.token for event in centre.backend.events(START)}


def test_a_job_that_needs_more_memory_than_it_asked_for_has_failed_with_the_code_of_its_hold(connect: Connect) -> None:
    centre = connect({"My.MemoryNeededMB": "200"}, memory_mb=64)
    group = centre.submitted("time.sleep(30)")
    assert centre.wait_until_ended(group) == {0: JobState.FAILED}
    *_, event = centre.backend.events(START)
    assert event.failure
    assert (event.failure.source, event.failure.code) == (Source.HOLD, 21)
    assert "code 21/102: " in event.failure.message
    assert "memory usage exceeded request_memory" in event.failure.message


def test_jobs_of_one_group_ask_for_what_each_of_them_needs(connect: Connect) -> None:
    centre = connect({}, memory_mb=64)
    group = centre.group("pass", "pass")
    centre.backend.submit(replace(group, jobs=(group.jobs[0], replace(group.jobs[1], memory_mb=96))))
    assert centre.wait_until_ended(group) == {0: JobState.DONE, 1: JobState.DONE}
    wait_for(lambda: len(in_history(group.token)) == 2, "they have left the queue")
    ads = htcondor2.Schedd().history(f'B2calToken == "{group.token}"', ["B2calNumber", "RequestMemory"])
    assert {ad["B2calNumber"]: ad.eval("RequestMemory") for ad in ads} == {0: 64, 1: 96}


def test_what_has_not_materialised_yet_starts_on_no_host_that_is_avoided_meanwhile(
    connect: Connect, tmp_path: Path
) -> None:
    centre = connect({}, max_idle=1)
    go = tmp_path / "go"
    busy = centre.submitted(*[f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"] * 2)
    wait_for(lambda: set(centre.states(busy).values()) == {JobState.RUNNING}, "both hosts are busy")
    waits = centre.submitted(*["pass"] * 6)
    centre.backend.avoid(["h1"])
    go.touch()
    assert set(centre.wait_until_ended(waits).values()) == {JobState.DONE}
    assert hosts(waits) == {"h2"}


def test_a_centre_says_who_pays_what_comes_first_and_in_which_container_jobs_run(connect: Connect) -> None:
    wishes = {"accounting_group": "group_belle2", "priority": 7, "image": "docker://belle2/b2cal", "job_lease_s": 90}
    centre = connect({"+Project": '"calibration"'}, **wishes)
    group = centre.submitted("pass")
    names = ["AcctGroup", "JobPrio", "ContainerImage", "JobLeaseDuration", "Project"]
    (ad,) = htcondor2.Schedd().query(f'B2calToken == "{group.token}" && ProcId == 0', names)
    assert [ad[name] for name in names] == ["group_belle2", 7, "docker://belle2/b2cal", 90, "calibration"]


def test_credentials_go_with_a_job_and_a_renewed_proxy_follows_it(connect: Connect, tmp_path: Path) -> None:
    authority = Authority()
    proxy = private(tmp_path / "proxy.pem", authority.proxy(timedelta(hours=2)))
    secret = token(timedelta(hours=2))
    centre = connect({}, token=str(private(tmp_path / "token.jwt", secret)), proxy=str(proxy))
    renewed = private(tmp_path / "renewed.pem", authority.proxy(timedelta(hours=5)))
    group = centre.group(
        "print(open(os.environ['BEARER_TOKEN_FILE']).read() == open(sys.argv[1]).read())\n"
        "for name in ('BEARER_TOKEN_FILE', 'X509_USER_PROXY'):\n"
        "    status = os.stat(os.environ[name])\n"
        "    print(oct(status.st_mode), os.environ[name].startswith(os.environ['_CONDOR_SCRATCH_DIR']), flush=True)\n"
        "while open(os.environ['X509_USER_PROXY']).read() != open(sys.argv[2]).read(): time.sleep(0.1)"
    )
    folder = group.jobs[0].folder
    wrapped = json.loads((folder / "wrapper.json").read_text())
    wrapped["command"] += [str(tmp_path / "token.jwt"), str(renewed)]
    credentials = {"BEARER_TOKEN_FILE": "token.jwt", "X509_USER_PROXY": "proxy.pem"}
    (folder / "wrapper.json").write_text(json.dumps(wrapped | {"credentials": credentials}))
    centre.backend.submit(group)
    # Not in the second in which it starts: what is as old as the job is none renewed.
    its = f'B2calToken == "{group.token}" && ResidentSetSize_RAW > 0'
    wait_for(lambda: htcondor2.Schedd().query(its), "it has run for a while")
    private(proxy, renewed.read_bytes())
    assert centre.wait_until_ended(group) == {0: JobState.DONE}
    assert (folder / "stdout").read_text().split() == ["True", "0o100600", "True", "0o100600", "True"]
    assert not {"token.jwt", "proxy.pem"} & {path.name for path in folder.rglob("*")}
    claims = secret.split(".")[1]
    written = [path for path in (tmp_path / "events", folder) for path in path.rglob("*") if path.is_file()]
    assert not [path for path in written if claims in path.read_text("latin1")]
