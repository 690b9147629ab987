"""Jobs that run far longer than their siblings are reported, once, until they end."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from b2cal import loop
from b2cal.agent.slow import LOOK_EVERY
from b2cal.batch import BatchError, Cursor, Handle, JobEvent, LocalBackend
from b2cal.core.clock import ManualClock
from b2cal.core.failures import Remedy
from b2cal.model import Calibration, GroupState, Job, JobState, Outbox, Stage
from b2cal.settings import RetryRule

from .conftest import Site

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


def under_way(site: Site, at: datetime, n_done: int, running: dict[int, float], **columns: Any) -> int:
    """A stage of 12 jobs: some have needed 12 min each, others run for so many minutes, the rest waits."""
    group_id = site.want(*[{}] * 12, state=GroupState.SUBMITTED, epoch=1, submitted_at=at, **columns)
    for number, job in enumerate(site.group(group_id)["jobs"]):
        its: dict[str, Any] = {}
        if number < n_done:
            its = {"state": JobState.DONE, "started_at": at - 20 * MINUTE, "ended_at": at - 8 * MINUTE}
        elif number in running:
            its = {"state": JobState.RUNNING, "started_at": at - running[number] * MINUTE}
        site.change(Job, job["id"], **its)
    return group_id


def slow(site: Site, group_id: int) -> dict[int, str]:
    return {job["number"]: job["slow"] for job in site.group(group_id)["jobs"] if job["slow"]}


def sentence(site: Site) -> str:
    with site.database.read() as db:
        it = db.scalars(select(Calibration)).one()
        view = loop.ProcessingView(db, it.processing_id)
        return loop.why(view, view.calibrations[it.name], site.database.clock.now()).sentence


def test_a_job_that_runs_far_longer_than_its_siblings_is_reported_once_and_until_it_ends(
    site: Site, clock: ManualClock
) -> None:
    group_id = under_way(site, clock.now(), 9, {9: 36.5, 10: 35.5, 11: 1})
    agent = site.agent()
    agent.round()
    said = "Runs far longer than its siblings: half of 9 needed no more than 12 min"
    assert slow(site, group_id) == {9: said}
    assert site.group(group_id)["jobs"][9]["retry"].startswith("Passive rule slow, race: its machine may be to blame")
    site.database.write(lambda db: setattr(db.scalars(select(Calibration)).one(), "state", "running"))
    assert sentence(site) == "Runs: collect, 9 of 12 jobs done; 1 job runs far longer than the others needed."

    clock.advance(MINUTE)
    agent.round()
    assert len(site.rounds(group_id)) == 1
    assert list(slow(site, group_id)) == [9, 10]
    with site.database.read() as db:
        (told,) = db.scalars(select(Outbox).where(Outbox.kind == "message"))
        assert told.body["text"] == "collect: 1 job runs far longer than the others needed."
        jobs = db.scalars(select(Job).where(Job.slow != "")).all()
    site.change(Job, jobs[0].id, state=JobState.DONE)
    with site.database.read() as db:
        assert [loop.slow_in_words(job) for job in db.scalars(select(Job).where(Job.slow != ""))] == ["", said]
    assert "1 job runs far longer" in sentence(site)


@pytest.mark.parametrize(
    ("n_done", "settings"), [(5, {}), (9, {"slow_siblings": 10}), (9, {"slow_after_s": 3700}), (9, {"slow_times": 6})]
)
def test_none_is_slow_before_enough_have_ended_and_time_has_passed(
    site: Site, clock: ManualClock, n_done: int, settings: dict[str, float]
) -> None:
    batch = site.settings.batch.model_copy(update=settings)
    site.settings = site.settings.model_copy(update={"batch": batch})
    group_id = under_way(site, clock.now(), n_done, {10: 60})
    site.agent().round()
    assert slow(site, group_id) == {}


def test_jobs_that_write_behind_a_door_are_not_raced_by_a_copy_that_would_write_there_too(
    site: Site, clock: ManualClock
) -> None:
    rule = RetryRule(source="slow", remedy=Remedy.RACE, because="old machines")
    storage = {"doors": ("root://se//store",), "output": "root://se//store/made"}
    batch = site.settings.batch.model_copy(update={"rules": (rule,), **storage})
    site.settings = site.settings.model_copy(update={"batch": batch})
    group_id = under_way(site, clock.now(), 9, {10: 60}, stage=Stage.PRODUCE)
    site.agent().round()
    assert len(site.rounds(group_id)) == 1
    assert site.group(group_id)["jobs"][10]["retry"] == (
        "Rule slow, race: old machines. Not raced: both would write into the same place."
    )


def test_at_a_centre_that_does_not_answer_no_job_is_slow_before_it_has(site: Site, clock: ManualClock) -> None:
    class Silent(LocalBackend):
        answers = False

        def events(self, since: Cursor) -> Iterator[JobEvent]:
            if not self.answers:
                raise BatchError("it does not answer")
            return super().events(since)

    silent = Silent(site.database, slots=1)
    group_id = under_way(site, clock.now(), 9, {10: 60}, centre="centre")
    agent = site.agent(centre=silent)
    agent.round()
    assert slow(site, group_id) == {}
    silent.answers = True
    clock.advance(LOOK_EVERY)
    agent.round()
    assert list(slow(site, group_id)) == [10]


def test_a_job_that_lost_its_machine_is_judged_from_its_new_start(site: Site, clock: ManualClock) -> None:
    class StartsAnew(LocalBackend):
        began: datetime | None = None

        def events(self, since: Cursor) -> Iterator[JobEvent]:
            if self.began is None:
                return iter(())
            group = site.group(group_id)
            handle = Handle(group["token"], 1, 10, group["jobs"][10]["batch_id"], JobState.RUNNING)
            return iter([JobEvent(handle, clock.now(), since, began=self.began)])

    group_id = under_way(site, clock.now(), 9, {10: 60})
    system = StartsAnew(site.database, slots=1)
    agent = site.agent(local=system)
    agent.round()
    assert list(slow(site, group_id)) == [10]
    system.began = site.group(group_id)["jobs"][10]["started_at"]
    agent.round()
    assert list(slow(site, group_id)) == [10]
    system.began = clock.now() - 10 * MINUTE
    clock.advance(LOOK_EVERY)
    agent.round()
    assert (slow(site, group_id), site.group(group_id)["jobs"][10]["started_at"]) == ({}, system.began)
    clock.advance(27 * MINUTE)
    agent.round()
    assert list(slow(site, group_id)) == [10]


def test_slow_jobs_are_looked_for_by_one_question_now_and_then(site: Site, clock: ManualClock) -> None:
    under_way(site, clock.now(), 9, {9: 5, 10: 5})
    agent = site.agent()
    agent.round()
    asked: list[str] = []
    event.listen(site.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    def questions() -> int:
        asked.clear()
        agent.round()
        return sum("job.slow" in text for text in asked)

    assert questions() == 0
    clock.advance(LOOK_EVERY)
    assert (questions(), questions()) == (1, 0)
