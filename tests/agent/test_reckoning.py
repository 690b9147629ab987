"""Jobs that their batch system has forgotten."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, insert, select

from b2cal.agent.reckon import EVERY, FORGOTTEN
from b2cal.core.clock import ManualClock
from b2cal.model import GroupState, JobState, LocalJob
from tests.waiting import wait_for

pytestmark = pytest.mark.processes

FOREVER = {"do": "time.sleep(600)"}


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def group_id(site):
    """Three jobs, of which the last waits for a place."""
    return site.want(FOREVER, FOREVER, FOREVER)


def forgotten(site, group_id, number):
    """The batch system loses a job; what it knew of it is returned."""

    def unit(db):
        row = select(LocalJob.__table__).where(
            LocalJob.token == site.group(group_id)["token"], LocalJob.number == number
        )
        known = dict(db.execute(row).one()._mapping)
        db.execute(delete(LocalJob).where(LocalJob.id == known["id"]))
        return known

    return site.database.write(unit)


def states(site, group_id):
    return [job["state"] for job in site.group(group_id)["jobs"]]


def next_reckoning(site, clock, agent):
    clock.advance(EVERY)
    agent.round()


def test_a_job_that_is_missing_twice_is_lost_and_the_others_go_on(site, clock, group_id):
    agent = site.agent()
    site.run_until(agent, group_id, GroupState.SUBMITTED)
    site.run(agent, lambda: states(site, group_id)[:2] == [JobState.RUNNING] * 2, "two run")
    forgotten(site, group_id, 2)
    next_reckoning(site, clock, agent)
    assert states(site, group_id) == [JobState.RUNNING, JobState.RUNNING, JobState.QUEUED]
    next_reckoning(site, clock, agent)
    assert states(site, group_id) == [JobState.RUNNING, JobState.RUNNING, JobState.FAILED]
    assert site.group(group_id)["jobs"][2]["error"] == FORGOTTEN.message


def test_a_job_that_is_found_again_is_not_lost_when_it_is_missing_once_more(site, clock, group_id):
    agent = site.agent()
    site.run_until(agent, group_id, GroupState.SUBMITTED)
    known = forgotten(site, group_id, 2)
    next_reckoning(site, clock, agent)
    site.database.write(lambda db: db.execute(insert(LocalJob).values(known)))
    next_reckoning(site, clock, agent)
    forgotten(site, group_id, 2)
    next_reckoning(site, clock, agent)
    assert states(site, group_id)[2] is JobState.QUEUED


def test_a_forgotten_job_that_has_left_its_report_has_ended_as_that_says(site, clock, tmp_path):
    go = tmp_path / "go"
    group_id = site.want({"do": f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"})
    agent = site.agent()
    site.run(agent, lambda: states(site, group_id) == [JobState.RUNNING], "it runs")
    go.touch()
    report = site.settings.attempts / site.group(group_id)["jobs"][0]["folder"] / "job_report.json"
    wait_for(report.exists, "it has ended, and the agent has not heard of it")
    forgotten(site, group_id, 0)
    next_reckoning(site, clock, agent)
    assert not states(site, group_id)[0].ended
    next_reckoning(site, clock, agent)
    assert site.group(group_id)["state"] is GroupState.DONE
