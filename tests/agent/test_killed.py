"""A real agent, killed by SIGKILL at every gap between two steps: nothing is lost, nothing is doubled."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from b2cal.core.processes import ProcessIdentity
from b2cal.model import Attempt, GroupState, JobState, LocalJob, Outbox, Processing, now
from tests.waiting import wait_for

pytestmark = pytest.mark.kill

GAPS = [
    "intent-to-submit",
    "submit-to-record",
    "row-to-spawn",
    "spawn-to-lock",
    "ended-to-row",
    "end-to-record",
    "sent-to-row",
]
FINAL = (GroupState.DONE, GroupState.FAILED)


@contextmanager
def running_agent(site, **environment: str) -> Iterator[subprocess.Popen]:
    """`python -m b2cal.agent`, killed at the end if it still runs."""
    settings = {
        "B2CAL_HOME": str(site.settings.home),
        "B2CAL_BATCH__SLOTS": "2",
        "B2CAL_BATCH__RETRY_DELAY_S": "0.2",
        "B2CAL_BATCH__MAX_TRIES": "3",
        "B2CAL_BATCH__POLL_INTERVAL_S": "0.05",
    }
    log = (site.settings.home / "agent.log").open("ab")
    command = [sys.executable, "-m", "b2cal.agent"]
    with log, subprocess.Popen(command, env=os.environ | settings | environment, stdout=log, stderr=log) as agent:
        try:
            yield agent
        finally:
            agent.kill()


def killed_at(site, gap: str, **environment: str) -> None:
    """Let an agent run until it is killed at this gap."""
    marker = site.settings.home / "marker"
    marker.touch()
    with running_agent(site, B2CAL_CRASH_AT=f"{gap}:{marker}", **environment) as agent:
        assert agent.wait(timeout=60) == -signal.SIGKILL
    assert not marker.exists()


def want_with_a_retry(site) -> int:
    """Four jobs, of which one fails at its first try; and a message for the outbox."""
    temporary = {"do": "time.sleep(0.1); sys.exit(75 if '/r0' in os.getcwd() else 0)"}
    group_id = site.want({}, temporary, {}, {"do": "time.sleep(0.3)"})

    def tell(db):
        processing = db.query(Processing).one()
        body = {"processing_id": processing.id}
        db.add(Outbox(key="graph:1", kind="graph", about="processing 1", body=body, created_at=now(db), tries=0))

    site.database.write(tell)
    return group_id


def is_over(site, group_id: int) -> bool:
    with site.database.read() as db:
        unsent = db.query(Outbox).where(Outbox.sent_at.is_(None)).count()
    return site.rounds(group_id)[-1]["state"] in FINAL and not unsent


def assert_as_without_a_fault(site, group_id: int) -> None:
    first, second = site.rounds(group_id)
    assert (first["state"], second["state"]) == (GroupState.FAILED, GroupState.DONE)
    assert [job["state"] for job in second["jobs"]] == [JobState.DONE]
    assert second["signal"] == 2
    assert site.executions() == [1] * 5
    with site.database.read() as db:
        assert all(row.state.ended for row in db.query(LocalJob))
        assert db.query(LocalJob).count() == 5
    (graph,) = (site.settings.home / "dags").iterdir()
    assert graph.name == "bucket1.json"


@pytest.mark.parametrize("gap", GAPS)
def test_killed_at_a_gap_the_next_agent_ends_in_the_same_state_as_without_the_fault(site, gap):
    group_id = want_with_a_retry(site)
    killed_at(site, gap)
    with running_agent(site):
        wait_for(lambda: is_over(site, group_id), "the stage is over")
    assert_as_without_a_fault(site, group_id)


def test_killed_again_and_again_at_any_moment_nothing_is_lost_and_nothing_doubled(site):
    group_id = want_with_a_retry(site)
    moments = random.Random(20261122)  # noqa: S311
    for _ in range(5):
        with running_agent(site):
            time.sleep(moments.uniform(1, 5))
    with running_agent(site):
        wait_for(lambda: is_over(site, group_id), "the stage is over")
    assert_as_without_a_fault(site, group_id)


@pytest.mark.parametrize("gap", ["intent-to-submit", "submit-to-record", "end-to-record", "race-to-record"])
def test_killed_in_a_race_exactly_one_try_counts_and_nothing_is_left_of_the_other(site, gap):
    group_id = site.want({}, {}, {"do": "if '/r0' in os.getcwd(): time.sleep(600)"})
    rules = [{"source": "slow", "remedy": "race", "because": "old machines"}]
    racing = {
        "B2CAL_BATCH__SLOW_SIBLINGS": "2",
        "B2CAL_BATCH__SLOW_AFTER_S": "1",
        "B2CAL_BATCH__RULES": json.dumps(rules),
    }
    with running_agent(site):
        wait_for(lambda: [job["state"] for job in site.group(group_id)["jobs"]].count(JobState.DONE) == 2, "two ended")
    killed_at(site, gap, **racing)
    with running_agent(site, **racing):
        wait_for(lambda: site.group(group_id)["state"] in FINAL, "the stage is over")
    first, copies = site.rounds(group_id)
    assert (first["jobs"][2]["state"], copies["jobs"][0]["state"]) == (JobState.CANCELLED, JobState.DONE)
    assert (copies["state"], copies["signal"]) == (GroupState.DONE, 2)
    with site.database.read() as db:
        assert sorted(row.state for row in db.query(LocalJob)) == [JobState.CANCELLED, *[JobState.DONE] * 3]


@pytest.mark.parametrize("gap", ["killed-to-row", "cancel-to-record"])
def test_killed_while_it_takes_back_a_group_the_next_agent_completes_it(site, gap):
    group_id = site.want({"do": "time.sleep(600)"}, {"do": "time.sleep(600)"}, {})
    with running_agent(site):
        wait_for(lambda: len(site.executions()) == 2, "two jobs run")
    processes = [int(trace.read_text()) for trace in site.settings.attempts.rglob("ran")]
    site.change(Attempt, site.group(group_id)["attempt_id"], live=None)
    killed_at(site, gap)
    with running_agent(site):
        wait_for(lambda: site.group(group_id)["state"] is GroupState.CANCELLED, "the group is cancelled")
    assert {job["state"] for job in site.group(group_id)["jobs"]} == {JobState.CANCELLED}
    wait_for(lambda: not any(ProcessIdentity.of(pid) for pid in processes), "their processes are gone")
    assert site.executions() == [1, 1]


def test_asked_to_end_it_ends_at_once_and_leaves_its_jobs(site):
    group_id = site.want({"do": "time.sleep(600)"})
    with running_agent(site) as agent:
        wait_for(site.executions, "the job runs")
        agent.terminate()
        assert agent.wait(timeout=20) == 0
    assert site.group(group_id)["jobs"][0]["state"] in (JobState.QUEUED, JobState.RUNNING)
    (trace,) = site.settings.attempts.rglob("ran")
    assert ProcessIdentity.of(int(trace.read_text())) is not None


def test_two_agents_at_once_are_one(site):
    group_id = want_with_a_retry(site)
    with running_agent(site), running_agent(site):
        wait_for(lambda: is_over(site, group_id), "the stage is over")
    assert_as_without_a_fault(site, group_id)


def test_a_log_of_the_agent_holds_no_traceback(site):
    group_id = want_with_a_retry(site)
    with running_agent(site):
        wait_for(lambda: is_over(site, group_id), "the stage is over")
    assert "Traceback" not in Path(site.settings.home / "agent.log").read_text()
