"""How far the jobs of a calibration are: the same count in its sentence, on the page and in the terminal."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.agent.carry_out import note_failure
from b2cal.agent.settle import settle
from b2cal.model import Attempt, GroupState, JobGroup, JobState, Stage
from b2cal.settings import BatchSettings, Settings
from tests import factories
from tests.loop.world import World

N_JOBS = 10


@pytest.fixture
def running(world: World) -> World:
    """A runs; its ten jobs are wanted."""
    world.do("submit", "A")
    world.advance("A")

    def more_jobs(db: Session) -> None:
        (group,) = groups(world, db)
        for number in range(len(group.jobs), N_JOBS):
            factories.job(db, group, number)

    world.database.write(more_jobs)
    return world


def attempt_of(world: World, db: Session) -> Attempt:
    return db.get_one(Attempt, world.view(db).attempts["A"].id)


def groups(world: World, db: Session) -> list[JobGroup]:
    return list(
        db.scalars(select(JobGroup).where(JobGroup.attempt_id == attempt_of(world, db).id).order_by(JobGroup.id))
    )


def one_fails(world: World) -> None:
    """All but one succeed; that one is tried again in half an hour."""

    def unit(db: Session) -> None:
        (group,) = groups(world, db)
        group.state = GroupState.SUBMITTED
        for job in group.jobs:
            job.state = JobState.DONE
        group.jobs[3].state, group.jobs[3].exit_code = JobState.FAILED, 1
        group.jobs[3].error = "OSError: [Errno 5] Input/output error"
        db.flush()
        settle(db, group.id, Settings(batch=BatchSettings(retry_delay_s=1800.0)))

    world.database.write(unit)


def sentence(world: World) -> str:
    with world.database.read() as db:
        view = world.view(db)
        return loop.why(view, view.calibration("A"), world.clock.now()).sentence


def counted(world: World) -> tuple[int, int, int]:
    with world.database.read() as db:
        (jobs,) = loop.by_attempt(loop.stages_of(db, [attempt_of(world, db).id])).values()
        return jobs.done, jobs.total, jobs.retried


def test_a_job_that_is_tried_again_counts_once_and_the_sentence_says_when(running: World) -> None:
    one_fails(running)
    assert sentence(running) == "Runs: collect, 9 of 10 jobs done; 1 job is tried again at 12:30 UTC."
    assert counted(running) == (9, 10, 1)
    running.tick(1800)
    assert sentence(running) == "Runs: collect, 9 of 10 jobs done."


def test_a_job_that_succeeds_at_its_second_try_is_done(running: World) -> None:
    one_fails(running)

    def succeeds(db: Session) -> None:
        again = groups(running, db)[1]
        again.state, again.jobs[0].state = GroupState.SUBMITTED, JobState.DONE
        db.flush()
        settle(db, again.id, BatchSettings())

    running.database.write(succeeds)
    assert counted(running) == (10, 10, 1)
    assert sentence(running) == "The next step begins now."


def test_jobs_that_cannot_be_submitted_say_why(running: World) -> None:
    running.database.write(lambda db: note_failure(db, groups(running, db)[0].id, "No space left on device."))
    assert sentence(running) == (
        "Runs: collect, 0 of 10 jobs done. Not submitted yet, it is tried again: No space left on device."
    )


def test_the_sentence_is_about_the_stage_that_goes_on_and_the_count_about_all(running: World) -> None:
    one_fails(running)

    def next_stage(db: Session) -> None:
        for group in groups(running, db):
            group.state = GroupState.DONE
            group.jobs[-1].state = JobState.DONE
        later = running.clock.now() + timedelta(minutes=5)
        attempt = attempt_of(running, db)
        factories.group(db, attempt, jobs=2, stage=Stage.FIT, iteration=1, not_before=later)

    running.database.write(next_stage)
    assert sentence(running) == "Runs: fit, iteration 2, 0 of 2 jobs done."
    assert counted(running) == (10, 12, 1)
