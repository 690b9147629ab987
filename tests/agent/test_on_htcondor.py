"""The agent with a real HTCondor pool: what a crash or a stopped pool leaves behind."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import htcondor2
import pytest

from b2cal.batch import SO_FAR, START, BatchError, BatchGroup
from b2cal.batch.condor import CondorBackend
from b2cal.batch.condor_remote import RemoteCondorBackend
from b2cal.core.clock import ManualClock, SystemClock
from b2cal.loop import Conflict, want_log, wanted_logs
from b2cal.model import GroupState, Job, JobState
from b2cal.settings import CondorSettings
from tests.services.pool import Pool, running_pool
from tests.waiting import wait_for

from .conftest import Site

pytestmark = pytest.mark.contract


class Crash(BaseException):
    """The process is gone."""


class CrashesAfterSubmission(CondorBackend):
    """The batch system has the group, nobody has written it down."""

    def submit(self, group: BatchGroup) -> None:
        super().submit(group)
        raise Crash


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(SystemClock().now())


@pytest.fixture
def own_pool() -> Iterator[Pool]:
    """A pool for one test alone, which may stop it."""
    with (
        TemporaryDirectory(prefix="b2cal-pool-", dir="/tmp") as folder,
        running_pool(Path(folder), CONDOR_SLOTS="2") as pool,
    ):
        yield pool


def in_history(token: str) -> int:
    return len(htcondor2.Schedd().history(f'B2calToken == "{token}"', ["ProcId"]))


def left_the_queue(token: str, n_jobs: int) -> None:
    """Wait until the history has them, which is a moment after their end is told."""
    wait_for(lambda: in_history(token) >= n_jobs, "its jobs have left the queue")


def test_a_job_that_ended_between_submission_and_record_is_adopted_from_the_history(
    site: Site, clock: ManualClock, pool_settings: CondorSettings, tmp_path: Path
) -> None:
    group_id = site.want({}, centre="pool")
    with pytest.raises(Crash):
        site.agent(pool=CrashesAfterSubmission(pool_settings, tmp_path / "events")).round()
    token = site.group(group_id)["token"]
    wait_for(lambda: in_history(token), "the job has ended and left the queue")
    (event_log,) = (tmp_path / "events").glob("*.log")
    event_log.unlink()
    next_agent = site.agent(holder="the next one", pool=CondorBackend(pool_settings, tmp_path / "events"))
    clock.advance(timedelta(minutes=1))  # the lease of the first one
    done = site.run_until(next_agent, group_id, GroupState.DONE, GroupState.FAILED)
    assert (done["state"], done["epoch"]) == (GroupState.DONE, 1)
    assert [job["state"] for job in done["jobs"]] == [JobState.DONE]
    assert in_history(token) == 1


def test_while_the_pool_is_stopped_a_group_says_why_it_waits_and_is_handed_over_when_it_is_back(
    site: Site, clock: ManualClock, own_pool: Pool, pool_settings: CondorSettings, tmp_path: Path
) -> None:
    backend = CondorBackend(pool_settings, tmp_path / "events")
    agent = site.agent(pool=backend)
    running = site.want({"do": "time.sleep(5)"}, centre="pool")
    site.run(agent, lambda: site.group(running)["jobs"][0]["state"] is JobState.RUNNING, "it runs")
    backend.ready()
    own_pool.stop()
    with pytest.raises(BatchError, match="The schedd of this machine could not take jobs from this user"):
        backend.ready()
    waiting = site.want({}, {}, centre="pool")
    agent.round()
    seen = site.group(waiting)
    assert (seen["state"], seen["epoch"]) == (GroupState.WANTED, 0)
    assert seen["jobs"][0]["error"].startswith(
        "Not submitted yet, it is tried again: The schedd of this machine could not"
    )
    own_pool.start()
    clock.advance(timedelta(minutes=1))
    for group_id in (waiting, running):
        done = site.run_until(agent, group_id, GroupState.DONE, GroupState.FAILED)
        assert done["state"] is GroupState.DONE
        left_the_queue(done["token"], len(done["jobs"]))
        assert in_history(done["token"]) == len(done["jobs"])
    assert {event.handle.state for event in backend.events(START)} == {JobState.DONE}


def test_a_job_that_somebody_holds_says_so_and_by_whom_until_it_runs_again(
    site: Site, pool_settings: CondorSettings, tmp_path: Path
) -> None:
    agent = site.agent(pool=CondorBackend(pool_settings, tmp_path / "events"))
    go = tmp_path / "go"
    group_id = site.want({"do": f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"}, centre="pool")

    def job() -> dict[str, Any]:
        (only,) = site.group(group_id)["jobs"]
        return dict(only)

    site.run(agent, lambda: job()["state"] is JobState.RUNNING, "it runs")
    htcondor2.Schedd().act(htcondor2.JobAction.Hold, [job()["batch_id"]], reason=("the disk is full", 1))
    site.run(agent, lambda: job()["pending_reason"], "it is held")
    assert (job()["state"], job()["started_at"]) == (JobState.QUEUED, None)
    assert job()["pending_reason"].startswith("Held by HTCondor, code 1/")
    assert "the disk is full" in job()["pending_reason"]
    htcondor2.Schedd().act(htcondor2.JobAction.Release, [job()["batch_id"]])
    site.run(agent, lambda: job()["state"] is JobState.RUNNING, "it runs again")
    assert job()["pending_reason"] == ""
    go.touch()
    assert site.run_until(agent, group_id, GroupState.DONE, GroupState.FAILED)["state"] is GroupState.DONE


@pytest.mark.parametrize("remote", [False, True])
def test_a_job_that_loses_its_machine_counts_from_its_new_start(
    site: Site, pool_settings: CondorSettings, tmp_path: Path, *, remote: bool
) -> None:
    pool = pool_settings.model_copy(update={"remote": remote, "ask_every_s": 0.2})
    system = RemoteCondorBackend(pool, tmp_path / "centre") if remote else CondorBackend(pool, tmp_path / "events")
    agent = site.agent(pool=system)
    group_id = site.want({"do": "time.sleep(600)"}, centre="pool")

    def job() -> dict[str, Any]:
        return dict(site.group(group_id)["jobs"][0])

    site.run(agent, lambda: job()["state"] is JobState.RUNNING, "it runs")
    first = job()
    site.change(Job, first["id"], slow="Runs far longer than its siblings")
    htcondor2.Schedd().act(htcondor2.JobAction.Vacate, [first["batch_id"]])
    site.run(agent, lambda: job()["started_at"] > first["started_at"], "it has been started anew")
    assert (job()["state"], job()["slow"]) == (JobState.RUNNING, "")
    system.cancel([first["batch_id"]])


def test_a_job_that_needs_more_memory_gets_the_double_until_it_is_enough_and_says_so(
    site: Site, pool_settings: CondorSettings, tmp_path: Path
) -> None:
    needs_200_mb = {"My.MemoryNeededMB": "200"}
    pool = pool_settings.model_copy(
        update={"submit": pool_settings.submit | needs_200_mb, "memory_mb": 64, "max_memory_mb": 512}
    )
    site.settings = site.settings.model_copy(update={"centres": {"pool": pool}})
    agent = site.agent(pool=CondorBackend(pool, tmp_path / "events"))
    too_little = "'RequestMemory = 256\\n' not in pathlib.Path(os.environ['_CONDOR_JOB_AD']).read_text()"
    group_id = site.want({"do": f"if {too_little}: time.sleep(60)"}, centre="pool")
    site.run(agent, lambda: site.rounds(group_id)[-1]["state"] is GroupState.DONE, "the third try is enough")
    *held, last = [group["jobs"][0] for group in site.rounds(group_id)]
    assert [job["memory_mb"] for job in held] == [None, 128]
    assert last["memory_mb"] == 256
    assert [job["retry"].partition("Tried again ")[2] for job in held] == [
        "at once with 128 MB, as try 2 of 3.",
        "at once with 256 MB, as try 3 of 3.",
    ]
    assert all(job["retry"].startswith("Rule hold 21, more memory: it used more memory") for job in held)


def test_who_may_look_at_the_pool_but_not_submit_is_told_so(
    site: Site, pool_settings: CondorSettings, tmp_path: Path
) -> None:
    (tmp_path / "deny.conf").write_text("SCHEDD.DENY_WRITE = prod@localhost\n")
    closed = {"CONDOR_SLOTS": "1", "CONDOR_EXTRA": str(tmp_path / "deny.conf")}
    with TemporaryDirectory(prefix="b2cal-pool-", dir="/tmp") as folder, running_pool(Path(folder), **closed):
        waiting = site.want({}, centre="pool")
        backend = CondorBackend(pool_settings, tmp_path / "events")
        site.agent(pool=backend).round()
        with pytest.raises(BatchError, match="take jobs from this user"):
            backend.ready()
    seen = site.group(waiting)
    assert seen["state"] is GroupState.WANTED
    assert "The schedd of this machine could not take jobs from this user" in seen["jobs"][0]["error"]


def test_a_job_tells_how_much_of_what_htcondor_gave_it_it_used(
    site: Site, pool_settings: CondorSettings, tmp_path: Path
) -> None:
    group_id = site.want({"do": "pathlib.Path('x').write_bytes(bytes(5_000_000))"}, centre="pool")
    agent = site.agent(pool=CondorBackend(pool_settings, tmp_path / "events"))
    (job,) = site.run_until(agent, group_id, GroupState.DONE, GroupState.FAILED)["jobs"]
    asked = {
        "memory_bytes": pool_settings.memory_mb * 2**20,
        "disk_bytes": int(pool_settings.submit["request_disk"]) * 2**10,
    }
    assert job["limits"].items() >= asked.items()
    assert 5_000_000 < job["disk_bytes"] < 7_000_000


def test_what_a_running_job_has_printed_so_far_is_brought_once_for_who_asks(
    site: Site, pool_settings: CondorSettings, tmp_path: Path
) -> None:
    agent = site.agent(pool=CondorBackend(pool_settings, tmp_path / "events"))
    go, step = tmp_path / "go", "print('step', os.environ['_CONDOR_SLOT'], flush=True)"
    group_id = site.want({"do": f"{step}\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)"}, centre="pool")
    site.run(agent, lambda: site.group(group_id)["jobs"][0]["state"] is JobState.RUNNING, "it runs")
    (job,) = site.group(group_id)["jobs"]
    brought = site.settings.attempts / job["folder"] / SO_FAR

    def printed() -> str:
        site.database.write(lambda db: want_log(db, job["id"]))
        agent.round()
        return brought.read_text()

    wait_for(lambda: "step slot" in printed(), "it is brought")
    written = brought.stat().st_mtime_ns
    agent.round()
    assert brought.stat().st_mtime_ns == written
    assert not (brought.parent / "stderr").exists()
    go.touch()
    assert site.run_until(agent, group_id, GroupState.DONE, GroupState.FAILED)["state"] is GroupState.DONE
    with pytest.raises(Conflict, match="does not run now"):
        site.database.write(lambda db: want_log(db, job["id"]))


def test_a_log_that_cannot_be_brought_holds_up_nothing(
    site: Site, pool_settings: CondorSettings, tmp_path: Path
) -> None:
    agent = site.agent(pool=CondorBackend(pool_settings, tmp_path / "events"))
    go = tmp_path / "go"
    group_id = site.want({"do": f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"}, centre="pool")
    site.run(agent, lambda: site.group(group_id)["jobs"][0]["state"] is JobState.RUNNING, "it runs")
    (job,) = site.group(group_id)["jobs"]
    site.change(Job, job["id"], batch_id="77777.0")
    site.database.write(lambda db: want_log(db, job["id"]))
    agent.round()
    with site.database.read() as db:
        assert wanted_logs(db) == []
    go.touch()
    assert site.run_until(agent, group_id, GroupState.DONE, GroupState.FAILED)["state"] is GroupState.DONE
