"""Groups are submitted, followed to their end, and the loop is woken; what is not wanted any more is taken back."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

import b2cal
from b2cal.agent import Agent, AgentLease
from b2cal.agent.folders import PlannedGroup, prepare, shipped_code
from b2cal.agent.lease import DURATION
from b2cal.batch import START, BatchError, BatchGroup, BatchJob, LocalBackend
from b2cal.core.clock import ManualClock
from b2cal.core.processes import ProcessIdentity
from b2cal.model import Attempt, GroupEpoch, GroupState, Job, JobState, Outcome, Processing, Release, Stage, now
from tests.waiting import wait_for

pytestmark = pytest.mark.processes

FOREVER = {"do": "time.sleep(600)"}
DONE, FAILED, CANCELLED = GroupState.DONE, GroupState.FAILED, GroupState.CANCELLED


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


def ran(site, group, number=0) -> Path:
    return site.settings.attempts / group["jobs"][number]["folder"] / "ran"


def test_a_wanted_group_is_run_and_its_end_wakes_the_loop(site):
    group_id = site.want({"inputs": ["a"]}, {"inputs": ["b"]})
    before = site.group(group_id)
    done = site.run_until(site.agent(), group_id, DONE, FAILED)
    assert done["state"] is DONE
    assert done["epoch"] == 1
    assert done["ended_at"]
    assert done["signal"] == before["signal"] + 1
    assert [job["state"] for job in done["jobs"]] == [JobState.DONE, JobState.DONE]
    assert site.executions() == [1, 1]


def test_a_job_row_tells_where_it_ran_and_what_it_took(site):
    group_id = site.want({}, {"do": "sys.exit('Out of patience')"})
    good, bad = site.run_until(site.agent(), group_id, DONE, FAILED)["jobs"]
    assert good["exit_code"] == 0
    assert good["error"] == ""
    assert good["host"]
    assert good["cpu_s"] > 0
    assert good["memory_bytes"] > 1_000_000
    assert good["started_at"] <= good["ended_at"]
    assert (bad["state"], bad["exit_code"], bad["error"]) == (JobState.FAILED, 1, "Out of patience")


def test_jobs_find_what_their_release_says_and_the_doors_and_patience_of_their_centre_before_they_begin(site):
    batch = site.settings.batch.model_copy(update={"doors": ("root://a//store", "root://b//store")})
    site.settings = site.settings.model_copy(update={"batch": batch})
    group_id = site.want({"do": "json.dump(dict(os.environ), open('seen', 'w'))"})
    site.change(Release, 1, environment={"BELLE2_TOOLS": "/cvmfs/tools", "XRD_CONNECTIONWINDOW": "7"})
    done = site.run_until(site.agent(), group_id, DONE, FAILED)
    folder = site.settings.attempts / done["jobs"][0]["folder"]
    assert json.loads((folder / "job.json").read_text())["doors"] == ["root://a//store", "root://b//store"]
    patience = {"XRD_CONNECTIONWINDOW": "30", "XRD_CONNECTIONRETRY": "481", "XRD_STREAMERRORWINDOW": "0"}
    seen = json.loads((folder / "seen").read_text())
    assert seen.items() >= patience.items()
    assert seen["BELLE2_TOOLS"] == "/cvmfs/tools"


def test_a_job_gets_what_the_group_shares_with_its_own_part_on_top_and_the_code_of_b2cal(site):
    group_id = site.want({"inputs": ["a"], "seed": "own"}, spec={"stage": "collect", "seed": "shared"})
    done = site.run_until(site.agent(), group_id, DONE, FAILED)
    folder = site.settings.attempts / done["jobs"][0]["folder"]
    assert done["jobs"][0]["folder"] == f"{done['attempt_id']}/collect-0/r0e1/0/1"
    job = json.loads((folder / "job.json").read_text())
    assert job == {"stage": "collect", "release": "shared/release", "seed": "own", "inputs": ["a"], "doors": []}
    assert (folder / job["release"]).readlink() == site.settings.releases
    code = folder / json.loads((folder / "wrapper.json").read_text())["env"]["PYTHONPATH"]
    assert {path.name for path in (code / "b2cal").iterdir()} == {"__init__.py", "core", "calibration"}
    assert (code / "b2cal/calibration/stage.py").is_file()
    with site.database.read() as db:
        attempt = db.get_one(Attempt, done["attempt_id"])
        assert attempt.code_version == b2cal.version()
        assert attempt.code_digest == shipped_code(site.settings.attempts / str(attempt.id)).digest


def test_a_group_waits_until_its_time_has_come(site, clock):
    group_id = site.want({}, not_before=clock.now() + timedelta(minutes=30))
    agent = site.agent()
    agent.round()
    assert site.group(group_id)["state"] is GroupState.WANTED
    clock.advance(timedelta(minutes=30))
    assert site.run_until(agent, group_id, DONE, FAILED)["state"] is DONE


def test_while_a_processing_is_held_nothing_is_submitted_and_what_runs_goes_on(site):
    running = site.want({"do": "time.sleep(0.2)"})
    held = site.want({}, held=True)
    agent = site.agent()
    agent.round()
    site.change(Processing, 1, held=True)
    assert site.run_until(agent, running, DONE, FAILED)["state"] is DONE
    assert site.group(held)["state"] is GroupState.WANTED
    site.change(Processing, 2, held=False)
    assert site.run_until(agent, held, DONE, FAILED)["state"] is DONE


@pytest.mark.parametrize("ends", [{"live": None}, {"outcome": Outcome.FAILED}])
def test_a_group_whose_attempt_does_not_count_any_more_or_was_given_up_is_taken_back_with_its_processes(site, ends):
    group_id = site.want(FOREVER, FOREVER, FOREVER)
    agent = site.agent()
    site.run(agent, lambda: len(site.executions()) == 2, "two of three jobs run")
    processes = [int(ran(site, site.group(group_id), number).read_text()) for number in (0, 1)]
    site.change(Attempt, site.group(group_id)["attempt_id"], **ends)
    group = site.run_until(agent, group_id, CANCELLED)
    assert {job["state"] for job in group["jobs"]} == {JobState.CANCELLED}
    wait_for(lambda: not any(ProcessIdentity.of(pid) for pid in processes), "their processes are gone")


def test_a_group_of_an_attempt_that_does_not_count_is_never_submitted(site):
    group_id = site.want({}, live=None)
    site.run_until(site.agent(), group_id, CANCELLED)
    assert site.backend.find(site.group(group_id)["token"]) == []
    assert not site.settings.attempts.exists()


def test_a_submission_that_arrives_after_its_successor_was_recorded_is_removed(site):
    group_id = site.want(FOREVER)
    agent = site.agent()
    site.run(agent, site.executions, "the job runs")
    group = site.group(group_id)
    folder = site.settings.attempts / "late"
    folder.mkdir()
    site.backend.submit(BatchGroup(group["token"], 7, "late", (BatchJob(0, folder),)))

    def removed() -> bool:
        return [job.state for job in site.backend.find(group["token"])] == [JobState.RUNNING, JobState.CANCELLED]

    site.run(agent, removed, "the late job is removed")
    assert site.group(group_id)["state"] is GroupState.SUBMITTED


def test_a_submission_that_arrives_after_its_group_has_ended_is_removed(site):
    group_id = site.want({})
    agent = site.agent()
    done = site.run_until(agent, group_id, DONE)
    folder = site.settings.attempts / "late"
    folder.mkdir()
    site.backend.submit(BatchGroup(done["token"], 7, "late", (BatchJob(0, folder),)))
    site.run(agent, lambda: all(job.state.ended for job in site.backend.find(done["token"])), "the late job is removed")
    assert site.group(group_id) == done


def test_jobs_that_ended_while_their_submission_was_not_recorded_are_not_forgotten(site):
    """Between submit and record an agent is killed, the processing is held, the jobs end, the processing goes on."""
    group_id = site.want({})
    group = site.group(group_id)
    plan = PlannedGroup("", group["attempt_id"], "collect", 0, 0, str(site.interpreter), group["spec"], {0: {}})
    prepare(site.settings.attempts, plan, 1)
    site.database.write(lambda db: db.add(GroupEpoch(group_id=group_id, epoch=1, intended_at=now(db))))
    folder = site.settings.attempts / plan.job_folder(1, 0)
    site.backend.submit(BatchGroup(group["token"], 1, "", (BatchJob(0, folder),)))
    site.change(Processing, 1, held=True)
    agent = site.agent()
    site.run(agent, (folder / "job_report.json").exists, "the job has ended")
    agent.round()
    assert site.group(group_id)["state"] is GroupState.WANTED
    site.change(Processing, 1, held=False)
    done = site.run_until(agent, group_id, DONE, FAILED)
    assert (done["state"], done["epoch"]) == (DONE, 1)
    assert site.executions() == [1]


class Remembers(LocalBackend):
    """Notes from where on its events were asked for."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.asked_since = []

    def events(self, since):
        self.asked_since.append(since)
        return super().events(since)


def test_neither_a_failure_nor_an_adoption_makes_the_agent_read_all_events_again(site, clock):
    site.backend = Remembers(site.database, 2)
    agent = site.agent()
    site.run_until(agent, site.want({}), DONE)
    site.backend.asked_since.clear()
    blocked = site.want({})
    obstacle = site.settings.attempts / str(site.group(blocked)["attempt_id"])
    obstacle.write_text("a file where the folder should be")
    agent.round()
    assert "cannot be made" in site.group(blocked)["jobs"][0]["error"]

    adopted = site.want({})
    group = site.group(adopted)
    spec = {"stage": "collect", "release": str(site.settings.releases)}
    plan = PlannedGroup("", group["attempt_id"], "collect", 0, 0, str(site.interpreter), spec, {0: {}})
    prepare(site.settings.attempts, plan, 1)
    site.database.write(lambda db: db.add(GroupEpoch(group_id=adopted, epoch=1, intended_at=now(db))))
    site.change(Processing, 3, held=True)
    folder = site.settings.attempts / plan.job_folder(1, 0)
    site.backend.submit(BatchGroup(group["token"], 1, "", (BatchJob(0, folder),)))
    site.run(agent, lambda: site.backend.find(group["token"])[0].state.ended, "its job has ended unheeded")
    agent.round()
    site.change(Processing, 3, held=False)

    done = site.run_until(agent, adopted, DONE, FAILED)
    assert (done["state"], done["epoch"]) == (DONE, 1)
    obstacle.unlink()
    clock.advance(timedelta(minutes=1))
    assert site.run_until(agent, blocked, DONE, FAILED)["state"] is DONE
    assert START not in site.backend.asked_since


def test_when_a_group_cannot_be_prepared_it_says_why_others_go_on_and_it_follows_when_it_can(site, clock):
    blocked = site.want({})
    other = site.want({})
    obstacle = site.settings.attempts / str(site.group(blocked)["attempt_id"])
    obstacle.parent.mkdir()
    obstacle.write_text("a file where the folder should be")
    agent = site.agent()
    assert site.run_until(agent, other, DONE, FAILED)["state"] is DONE
    waiting = site.group(blocked)
    assert waiting["state"] is GroupState.WANTED
    assert "tried again" in waiting["jobs"][0]["error"]
    assert "cannot be made" in waiting["jobs"][0]["error"]
    obstacle.unlink()
    clock.advance(timedelta(minutes=1))
    done = site.run_until(agent, blocked, DONE, FAILED)
    assert done["state"] is DONE
    assert done["jobs"][0]["error"] == ""
    assert [job.epoch for job in site.backend.find(done["token"])] == [done["epoch"]]


def test_a_group_that_can_never_be_prepared_stops_no_other(site):
    poison = site.want({"no JSON": float("nan")})
    other = site.want({})
    assert site.run_until(site.agent(), other, DONE, FAILED)["state"] is DONE
    assert "JSON compliant" in site.group(poison)["jobs"][0]["error"]


def test_a_group_for_a_centre_that_nobody_knows_waits_and_says_which_are_known(site):
    group_id = site.want({}, centre="kekcc")
    site.agent().round()
    assert "kekcc" in site.group(group_id)["jobs"][0]["error"]


def test_a_centre_that_hangs_is_asked_once_and_rests_while_the_others_go_on(site, clock):
    asked = []

    class Hangs(LocalBackend):
        def find(self, token):
            asked.append(token)
            clock.advance(timedelta(minutes=1))
            raise BatchError("it does not answer")

        def events(self, since):
            return iter(self.find(since))

    groups = [site.want({}, centre="centre") for _ in range(3)]
    other = site.want({})
    agent = site.agent(centre=Hangs(site.database, slots=0))
    assert site.run_until(agent, other, DONE, FAILED)["state"] is DONE
    assert asked == [site.group(groups[0])["token"]]
    clock.advance(timedelta(seconds=31))
    agent.round()
    assert asked == [site.group(group_id)["token"] for group_id in groups[:2]]  # each in turn


class KeepsItsJobs(LocalBackend):
    """A batch system that cannot cancel now."""

    def cancel(self, jobs):
        raise BatchError("it does not answer")


def test_a_group_that_cannot_be_taken_back_now_is_not_said_to_wait_for_its_submission(site, clock):
    unknown = site.want({}, centre="kekcc", live=None)
    group_id = site.want(FOREVER, FOREVER, FOREVER)
    agent = site.agent(local=KeepsItsJobs(site.database, slots=2))
    site.run(agent, lambda: len(site.executions()) == 2, "two jobs run, one is queued")
    site.change(Attempt, site.group(group_id)["attempt_id"], live=None)
    agent.round()
    assert site.group(group_id)["state"] is GroupState.SUBMITTED
    assert {job["error"] for one in (group_id, unknown) for job in site.group(one)["jobs"]} == {""}
    clock.advance(timedelta(minutes=1))
    site.run_until(site.agent(), group_id, CANCELLED)


def test_an_adopted_group_beside_which_another_submission_cannot_be_removed_goes_on_and_is_said_to(site, clock):
    group_id = site.want({})
    group = site.group(group_id)
    plan = PlannedGroup("", group["attempt_id"], "collect", 0, 0, str(site.interpreter), group["spec"], {0: {}})
    late = site.settings.attempts / "late"
    late.mkdir(parents=True)
    for epoch in (1, 2):
        prepare(site.settings.attempts, plan, epoch)
        site.database.write(
            lambda db, epoch=epoch: db.add(GroupEpoch(group_id=group_id, epoch=epoch, intended_at=now(db)))
        )
    adopted = site.settings.attempts / plan.job_folder(2, 0)
    site.backend.submit(BatchGroup(group["token"], 1, "", (BatchJob(0, late),)))
    site.backend.submit(BatchGroup(group["token"], 2, "", (BatchJob(0, adopted),)))
    site.change(Processing, 1, held=True)
    agent = site.agent(local=KeepsItsJobs(site.database, slots=2))
    site.run(agent, (adopted / "job_report.json").exists, "the job has ended")
    agent.round()
    site.change(Processing, 1, held=False)
    clock.advance(timedelta(minutes=1))
    done = site.run_until(agent, group_id, DONE, FAILED)
    assert (done["state"], done["epoch"], done["jobs"][0]["error"]) == (DONE, 2, "")


def test_a_job_whose_report_cannot_be_read_now_keeps_its_group_waiting_and_no_other(site):
    unread, other = site.want({}), site.want({})
    agent = site.agent()
    site.run(agent, lambda: all(site.group(group_id)["epoch"] for group_id in (unread, other)), "both are submitted")
    [job] = site.group(unread)["jobs"]
    report = site.settings.attempts / job["folder"] / "job_report.json"
    wait_for(lambda: all(handle.state.ended for handle in looked_after(site, unread)), "the job has ended")
    whole = report.rename(report.with_name("aside"))
    report.symlink_to(report)  # opening it fails as on a disk with errors
    assert site.run_until(agent, other, DONE, FAILED)["state"] is DONE
    assert site.group(unread)["state"] is GroupState.SUBMITTED
    whole.replace(report)
    assert site.run_until(agent, unread, DONE, FAILED)["state"] is DONE


def looked_after(site, group_id):
    """The jobs of a group, after the batch system has looked what has ended; the agent is not told."""
    list(site.backend.events(START))
    return site.backend.find(site.group(group_id)["token"])


def test_an_agent_with_much_to_do_in_one_round_keeps_its_lease(site, clock):
    taken_over = []

    class SlowToSubmit(LocalBackend):
        def submit(self, group):
            taken_over.append(AgentLease(site.database, "elsewhere 2 1 boot").keep())
            clock.advance(DURATION * 2 / 3)
            super().submit(group)

    for _ in range(4):
        site.want({})
    assert site.agent(local=SlowToSubmit(site.database, slots=0)).round()
    assert taken_over == [False] * 4


def test_a_large_group_is_handed_over_once_however_long_that_takes_and_another_agent_waits_no_longer(site, clock):
    n_jobs, taken_over = 60, []
    other = AgentLease(site.database, "elsewhere 2 1 boot")

    class SlowToSubmit(LocalBackend):
        def submit(self, group):
            clock.advance(timedelta(seconds=n_jobs))
            taken_over.append(other.keep())
            super().submit(group)

    group_id = site.want(*[{}] * n_jobs)
    assert site.agent(local=SlowToSubmit(site.database, slots=0)).round()
    assert (site.group(group_id)["state"], taken_over) == (GroupState.SUBMITTED, [False])
    clock.advance(DURATION)
    assert other.keep()


def test_an_agent_that_hears_much_for_long_keeps_its_lease(site, clock):
    taken_over = []

    class TellsSlowly(LocalBackend):
        def events(self, since):
            for told in super().events(since):
                clock.advance(DURATION * 2 / 3)
                taken_over.append(AgentLease(site.database, "elsewhere 2 1 boot").keep())
                yield told

    site.want(*[{}] * 4)
    assert site.agent(local=TellsSlowly(site.database, slots=0)).round()
    assert taken_over == [False] * 4


def test_a_job_that_comes_up_after_it_was_cancelled_is_removed(site):
    group_id = site.want(FOREVER, FOREVER)
    agent = site.agent()
    site.run(agent, lambda: len(site.executions()) == 2, "both jobs run")
    agent.stop()
    late = site.group(group_id)["jobs"][1]
    site.change(Job, late["id"], state=JobState.CANCELLED)

    def jobs() -> list[JobState]:
        return [job.state for job in site.backend.find(site.group(group_id)["token"])]

    site.run(site.agent(), lambda: jobs() == [JobState.RUNNING, JobState.CANCELLED], "the late job is removed")
    assert [job["state"] for job in site.group(group_id)["jobs"]] == [JobState.RUNNING, JobState.CANCELLED]


def test_a_killed_agent_leaves_jobs_that_the_next_one_follows_to_their_end(site, clock):
    group_id = site.want({"do": "time.sleep(0.3)"}, {"do": "time.sleep(0.3)"})
    site.run(site.agent(), lambda: len(site.executions()) == 2, "both jobs run")
    clock.advance(DURATION)
    assert site.run_until(site.agent(), group_id, DONE, FAILED)["state"] is DONE
    assert site.executions() == [1, 1]


def test_a_job_that_is_killed_is_tried_again_and_nothing_else_is(site, clock):
    group_id = site.want({}, {"do": "if 'r0' in os.getcwd(): time.sleep(600)"})
    agent = site.agent()
    site.run(agent, lambda: len(site.executions()) == 2 and site.group(group_id)["jobs"][0]["ended_at"], "one is left")
    os.kill(int(ran(site, site.group(group_id), 1).read_text()), signal.SIGKILL)
    site.run_until(agent, group_id, FAILED)
    clock.advance(timedelta(seconds=61))
    second = site.rounds(group_id)[1]
    assert site.run_until(agent, second["id"], DONE, FAILED)["state"] is DONE
    assert [job["number"] for job in second["jobs"]] == [1]
    assert site.executions() == [1, 1, 1]


def test_an_idle_round_asks_the_database_a_handful_of_questions_and_writes_nothing(site):
    agent = site.agent({"graph": print})
    agent.round()
    statements: list[str] = []
    event.listen(site.database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    agent.round()
    questions = [statement for statement in statements if statement != "BEGIN"]
    assert len(questions) <= 4
    assert all(question.startswith("SELECT") for question in questions)


def test_a_measure_job_without_its_measurements_has_not_done_its_work(site):
    group_id = site.want({}, stage=Stage.MEASURE)
    failed = site.run_until(site.agent(), group_id, DONE, FAILED)
    assert failed["state"] is FAILED
    assert "outputs/measurements.json is missing" in failed["jobs"][0]["error"]


def test_an_agent_that_stops_leaves_its_jobs_and_makes_room_at_once(site):
    group_id = site.want(FOREVER)
    agent: Agent = site.agent(holder="the first")
    site.run(agent, site.executions, "the job runs")
    agent.stop()
    assert site.agent(holder="the second").round()
    assert site.group(group_id)["jobs"][0]["state"] is JobState.RUNNING
