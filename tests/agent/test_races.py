"""A copy races a slow job: who is done first counts, exactly once, and the other is cancelled."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from b2cal.batch import BatchError, BatchGroup, BatchId, LocalBackend
from b2cal.core.clock import ManualClock, SystemClock
from b2cal.core.failures import Remedy
from b2cal.model import Attempt, GroupState, Incident, JobGroup, JobState, LocalJob, Outcome, Processing
from b2cal.settings import RetryRule
from tests import factories
from tests.waiting import wait_for

from .conftest import Site

SLOW = 2
"""Number of the job that is slow, behind two that are done at once."""

DONE, FAILED, CANCELLED = JobState.DONE, JobState.FAILED, JobState.CANCELLED
HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(SystemClock().now())


class Remembering(LocalBackend):
    """The batch system of this machine, which also remembers what it was asked to run, and may refuse to cancel."""

    def __init__(self, site: Site) -> None:
        super().__init__(site.database, site.settings.batch.slots)
        self.asked: list[BatchGroup] = []
        self.cancels = True

    def cancel(self, jobs: Sequence[BatchId]) -> None:
        if not self.cancels:
            raise BatchError("it does not answer")
        super().cancel(jobs)

    def submit(self, group: BatchGroup) -> None:
        self.asked.append(group)
        super().submit(group)


class Race:
    """A stage whose last job is slow; original and copy each end when they are told, and how."""

    def __init__(self, site: Site, clock: ManualClock) -> None:
        rule = RetryRule(source="slow", remedy=Remedy.RACE, because="old machines")
        batch = site.settings.batch.model_copy(update={"rules": (rule,), "slow_siblings": SLOW})
        site.settings = site.settings.model_copy(update={"batch": batch})
        site.backend = self.system = Remembering(site)
        self.site, self.clock, self.agent = site, clock, site.agent()
        told = f"{str(site.settings.home)!r} + '/' + os.getcwd().split('/')[-3][:2]"
        waits = f"while not os.path.exists({told}): time.sleep(0.02)\nsys.exit(int(open({told}).read()))"
        self.group_id = site.want(*[{}] * SLOW, {"do": waits})

    def begin(self, **columns: Any) -> None:
        """The job has become slow, and its copy is wanted."""
        self.run(lambda: [job["state"] for job in self.jobs(0)].count(DONE) == SLOW and self.runs(0), "one is left")
        self.site.change(Processing, 1, **columns)
        self.clock.advance(HOUR)
        self.run(lambda: len(self.site.rounds(self.group_id)) == 2, "a copy is wanted")

    def run(self, until: Any, what: str) -> None:
        self.site.run(self.agent, until, what)

    def jobs(self, number: int) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self.site.rounds(self.group_id)[number]["jobs"]
        return jobs

    def runs(self, number: int) -> bool:
        """Whether the try in this round works."""
        return any(f"/r{number}e" in str(trace.parent) for trace in self._traces())

    def _traces(self) -> list[Path]:
        return [it for it in self.site.settings.attempts.rglob("ran") if f"/{SLOW}/" in str(it)]

    def end(self, number: int, code: int) -> None:
        """The try in this round ends."""
        said = self.site.settings.home / f"half-{number}"
        said.write_text(str(code))
        said.rename(self.site.settings.home / f"r{number}")

    def over(self) -> bool:
        return all(it["state"].ended for it in self.site.rounds(self.group_id))

    @property
    def tries(self) -> list[JobState]:
        """How the tries of the slow job stand."""
        return [job["state"] for it in self.site.rounds(self.group_id) for job in it["jobs"] if job["number"] == SLOW]


@pytest.fixture
def race(site: Site, clock: ManualClock) -> Race:
    return Race(site, clock)


@pytest.mark.parametrize(("first", "tries"), [(0, [DONE, CANCELLED]), (1, [CANCELLED, DONE])])
def test_who_is_done_first_counts_and_the_other_is_cancelled(
    race: Race, site: Site, first: int, tries: list[JobState]
) -> None:
    race.begin()
    slow, copy = race.jobs(0)[SLOW], race.jobs(1)[0]
    assert slow["retry"].startswith("Rule slow, race: old machines. A copy races it from ")
    assert (copy["copy_of"], copy["spec"], copy["retry"]) == (slow["id"], slow["spec"], "A copy that races try 1.")
    race.clock.advance(HOUR)
    race.run(lambda: race.runs(1), "the copy works")
    assert [job.not_beside for group in race.system.asked for job in group.jobs] == ["", "", "", slow["batch_id"]]
    race.end(first, 0)
    race.run(race.over, "the stage is over")
    assert race.tries == tries
    rounds = site.rounds(race.group_id)
    assert (len(rounds), rounds[-1]["state"], rounds[-1]["signal"]) == (2, GroupState.DONE, 2)
    lost = race.jobs(1 - first)[SLOW if first else 0]
    assert lost["retry"].endswith("Another try was done first: this one is cancelled.")
    with site.database.read() as db:
        assert list(db.scalars(select(LocalJob.state).order_by(LocalJob.id)))[SLOW:] == tries


def test_a_copy_that_was_not_submitted_yet_is_taken_back_when_the_job_is_done(race: Race, site: Site) -> None:
    race.begin(held=True)
    race.end(0, 0)
    race.run(race.over, "the stage is over")
    assert race.tries == [DONE, CANCELLED]
    assert (site.rounds(race.group_id)[-1]["state"], site.rounds(race.group_id)[-1]["signal"]) == (GroupState.DONE, 2)
    assert not race.runs(1)


@pytest.mark.parametrize(("fails", "tries"), [(0, [FAILED, DONE]), (1, [DONE, FAILED])])
def test_while_one_try_lives_the_failure_of_the_other_does_not_matter(
    race: Race, site: Site, fails: int, tries: list[JobState]
) -> None:
    race.begin()
    race.run(lambda: race.runs(1), "the copy works")
    race.end(fails, 75)
    race.run(lambda: race.tries[fails] is FAILED, "one has failed")
    race.agent.round()
    assert (len(site.rounds(race.group_id)), site.group(race.group_id)["signal"]) == (2, 1)
    race.end(1 - fails, 0)
    race.run(race.over, "the stage is over")
    assert race.tries == tries
    last = site.rounds(race.group_id)[-1]
    assert (last["round"], last["state"], last["signal"]) == (1, GroupState.DONE, 2)


def test_where_both_have_failed_the_job_is_tried_again_and_both_were_one_try(race: Race, site: Site) -> None:
    race.begin()
    race.run(lambda: race.runs(1), "the copy works")
    for number in (0, 1):
        race.end(number, 75)
    race.run(lambda: len(site.rounds(race.group_id)) == 3, "it is tried again")
    assert "as try 2 of 3" in race.jobs(1)[0]["retry"]
    assert race.tries == [FAILED, FAILED, JobState.QUEUED]
    assert race.jobs(2)[0]["copy_of"] is None


def test_of_two_that_are_done_at_the_same_time_exactly_one_counts(race: Race, site: Site) -> None:
    race.begin()
    race.run(lambda: race.tries == [JobState.RUNNING] * 2 and race.runs(1), "both work")
    for number in (0, 1):
        race.end(number, 0)
    folders = [site.settings.attempts / race.jobs(number)[at]["folder"] for number, at in ((0, SLOW), (1, 0))]
    wait_for(lambda: all((folder / "job_report.json").exists() for folder in folders), "both are done")
    race.run(race.over, "the stage is over")
    assert sorted(race.tries) == [CANCELLED, DONE]
    assert site.rounds(race.group_id)[-1]["signal"] == 2


def test_a_race_ends_with_its_attempt(race: Race, site: Site) -> None:
    race.begin()
    race.run(lambda: race.runs(1), "the copy works")
    site.change(Attempt, site.group(race.group_id)["attempt_id"], outcome=Outcome.FAILED)
    race.run(race.over, "all is taken back")
    assert race.tries == [CANCELLED, CANCELLED]
    assert [it["state"] for it in site.rounds(race.group_id)] == [GroupState.CANCELLED] * 2


def test_a_race_that_cannot_be_ended_now_holds_up_nothing_and_is_ended_later(race: Race, site: Site) -> None:
    race.begin()
    race.run(lambda: race.runs(1), "the copy works")
    race.system.cancels = False
    race.end(0, 0)
    race.run(lambda: race.tries[0] is DONE, "one is done")
    attempt = site.group(race.group_id)["attempt_id"]
    probe = {"attempt": attempt, "stage": "collect", "interpreter": str(site.interpreter), "memory_mb": None}
    probe |= {"part": {}, "spec": site.group(race.group_id)["spec"]}
    incident = site.database.write(lambda db: factories.incident(db, probe=probe).id)

    def probed() -> bool:
        with site.database.read() as db:
            return db.get_one(Incident, incident).probes > 0

    race.agent.stop()
    race.agent = site.agent()  # it looks for incidents of before
    race.run(probed, "a probe is sent")
    assert race.tries == [DONE, JobState.RUNNING]
    race.system.cancels = True
    race.run(race.over, "the stage is over")
    assert race.tries == [DONE, CANCELLED]


def test_a_job_that_fails_after_its_rival_is_done_has_lost_and_not_failed(race: Race, site: Site) -> None:
    race.begin()
    race.run(lambda: race.runs(1), "the copy works")
    race.system.cancels = False
    race.end(1, 0)
    race.run(lambda: race.tries[1] is DONE, "the copy is done")
    race.end(0, 75)
    race.run(race.over, "the stage is over")
    assert race.tries == [CANCELLED, DONE]
    lost = race.jobs(0)[SLOW]
    assert (lost["source"], lost["code"], lost["failure_kind"], lost["error"]) == (None, None, "", "")
    race.system.cancels = True


def test_a_copy_that_had_lost_before_it_was_there_is_cancelled_at_once(race: Race, site: Site) -> None:
    """Another copy of its group has not lost, so that the group is handed over."""
    race.begin(held=True)
    done, copies = race.jobs(0)[0], site.rounds(race.group_id)[1]
    has_lost = {"copy_of": done["id"], "spec": {"do": "time.sleep(600)"}}
    site.database.write(lambda db: factories.job(db, db.get_one(JobGroup, copies["id"]), 0, **has_lost).id)
    site.change(Processing, 1, held=False)
    race.run(lambda: race.system.asked[-1].token == copies["token"], "they are handed over")
    race.agent.round()
    assert [job["state"] for job in race.jobs(1) if job["number"] == 0] == [CANCELLED]
    assert not any(state.ended for state in race.tries)
