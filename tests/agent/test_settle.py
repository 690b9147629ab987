"""Failed jobs are tried again by the rules, as a new round, and the loop hears of it only at the end."""

from datetime import UTC, datetime, timedelta

import pytest

from b2cal.agent.settle import settle
from b2cal.core.clock import ManualClock
from b2cal.core.failures import Remedy, Source
from b2cal.model import Attempt, GroupState, Job, JobGroup, JobState, Outcome, Stage
from b2cal.settings import RetryRule

DONE, FAILED = GroupState.DONE, GroupState.FAILED
TEMPORARY = {"do": "sys.exit(75 if '/r0' in os.getcwd() else 0)"}
ALWAYS = {"do": "sys.exit(75)"}
HOPELESS = {"do": "raise ZeroDivisionError('by zero')"}


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


def test_only_the_failed_jobs_are_tried_again_after_the_delay_as_a_round_of_their_own(site, clock):
    group_id = site.want({}, TEMPORARY, {}, TEMPORARY)
    agent = site.agent()
    first = site.run_until(agent, group_id, DONE, FAILED)
    assert first["state"] is FAILED
    assert first["signal"] == 1
    (_, second) = site.rounds(group_id)
    assert [job["number"] for job in second["jobs"]] == [1, 3]
    assert second["not_before"] == clock.now() + timedelta(seconds=60)
    assert second["token"] != first["token"]
    agent.round()
    assert site.group(second["id"])["state"] is GroupState.WANTED
    clock.advance(timedelta(seconds=60))
    done = site.run_until(agent, second["id"], DONE, FAILED)
    assert done["state"] is DONE
    assert done["signal"] == 2
    assert site.executions() == [1] * 6


def test_a_retried_job_says_by_which_rule_and_when(site):
    group_id = site.want(TEMPORARY)
    failed = site.run_until(site.agent(), group_id, FAILED)["jobs"][0]
    assert "exit 75" in failed["retry"]
    assert "12:01:00 UTC" in failed["retry"]
    assert "try 2 of 3" in failed["retry"]


def test_after_the_last_try_the_stage_has_failed(site, clock):
    group_id = site.want(ALWAYS)
    agent = site.agent()
    site.run_until(agent, group_id, FAILED)
    for number in (1, 2):
        clock.advance(timedelta(minutes=2))
        last = site.run_until(agent, site.rounds(group_id)[number]["id"], FAILED)
    assert len(site.rounds(group_id)) == 3
    assert last["signal"] == 2
    assert "Given up after 3 tries" in last["jobs"][0]["retry"]


def test_who_asks_for_the_failed_jobs_gives_them_all_their_tries_anew(site):
    group_id = site.want(ALWAYS, round=3, tries_from=3)
    failed = site.run_until(site.agent(), group_id, FAILED)
    assert "try 2 of 3" in failed["jobs"][0]["retry"]
    assert [(it["round"], it["tries_from"]) for it in site.rounds(group_id)] == [(3, 3), (4, 3)]


def test_nothing_of_an_attempt_that_was_given_up_is_tried_again(site):
    group_id = site.want(TEMPORARY)
    agent = site.agent()
    site.run(agent, lambda: site.group(group_id)["state"] is GroupState.SUBMITTED, "it is submitted")
    group = site.group(group_id)
    site.change(Attempt, group["attempt_id"], outcome=Outcome.FAILED)
    site.change(Job, group["jobs"][0]["id"], state=JobState.FAILED, source="exit", code=75, error="passes")
    site.database.write(lambda db: settle(db, group_id, site.settings))
    assert (len(site.rounds(group_id)), site.group(group_id)["jobs"][0]["retry"]) == (1, "")


def test_a_script_that_fails_ends_the_stage_at_once_for_all(site):
    group_id = site.want(TEMPORARY, HOPELESS, {})
    failed = site.run_until(site.agent(), group_id, DONE, FAILED)
    assert len(site.rounds(group_id)) == 1
    assert failed["signal"] == 2
    assert [job["state"] for job in failed["jobs"]] == [JobState.FAILED, JobState.FAILED, JobState.DONE]
    assert "because collect, job 2 cannot be helped" in failed["jobs"][0]["retry"]
    assert "Not tried again" in failed["jobs"][1]["retry"]
    assert failed["jobs"][1]["error"] == "ZeroDivisionError: by zero"
    assert failed["jobs"][2]["retry"] == ""


def asks(site):
    rule = RetryRule(source=Source.EXIT, code=42, remedy=Remedy.ASK, because="the licences are used up")
    batch = site.settings.batch.model_copy(update={"rules": (rule,)})
    site.settings = site.settings.model_copy(update={"batch": batch})


def test_what_a_rule_asks_about_is_not_tried_before_somebody_decides_and_nothing_of_its_stage_either(site, clock):
    asks(site)
    group_id = site.want({"do": "sys.exit(42 if '/r0' in os.getcwd() else 0)"}, TEMPORARY, {})
    agent = site.agent()
    failed = site.run_until(agent, group_id, FAILED)
    assert (failed["signal"], [job["retry"] for job in failed["jobs"]]) == (
        1,
        [
            "Rule exit 42, ask: the licences are used up. Not tried again before somebody decides.",
            "Rule exit 75, later: it says itself that this passes. Not tried again before somebody decides.",
            "",
        ],
    )
    clock.advance(timedelta(days=2))
    agent.round()
    (_, asking) = site.rounds(group_id)
    assert (asking["state"], [job["number"] for job in asking["jobs"]]) == (GroupState.WANTED, [0, 1])
    site.change(JobGroup, asking["id"], asks_since=None)
    assert site.run_until(agent, asking["id"], DONE, FAILED)["state"] is DONE


@pytest.mark.parametrize(("stage", "beside"), [(Stage.COLLECT, HOPELESS), (Stage.MEASURE, {})])
def test_nobody_is_asked_where_the_stage_cannot_be_helped_or_has_failed_then_anyway(site, stage, beside):
    asks(site)
    group_id = site.want({"do": "sys.exit(42)"}, beside, stage=stage)
    failed = site.run_until(site.agent(), group_id, FAILED)
    assert (len(site.rounds(group_id)), failed["signal"]) == (1, 2)
    assert failed["jobs"][0]["retry"] == "Rule exit 42, ask: the licences are used up. Not tried again."


def test_a_job_that_leaves_no_output_is_tried_again_although_it_ended_well(site):
    group_id = site.want({"outputs": False})
    failed = site.run_until(site.agent(), group_id, DONE, FAILED)
    assert (failed["jobs"][0]["exit_code"], failed["jobs"][0]["state"]) == (0, JobState.FAILED)
    assert "outputs/collected.npz" in failed["jobs"][0]["error"]
    assert len(site.rounds(group_id)) == 2
