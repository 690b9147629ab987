"""What the centres have to do, as the database knows."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.loop import JobWord, workloads
from b2cal.model import GroupState, Job, JobGroup, JobState, Processing, now
from tests import factories
from tests.loop.world import World


def test_each_centre_has_its_own_jobs_and_what_waits_there_longest(world: World) -> None:
    def unit(db: Session) -> None:
        here, there = db.scalars(select(Processing)).one(), factories.processing(db, name="far", centre="bnl")
        for processing, name, minutes in ((here, "Old", 3), (here, "Young", 1), (there, "Far", 9)):
            attempt = factories.attempt(db, factories.calibration(db, processing, name))
            factories.group(db, attempt, jobs=2, wanted_at=now(db) - timedelta(minutes=minutes))
        runs = factories.attempt(db, factories.calibration(db, there, "Runs"))
        group = factories.group(
            db, runs, jobs=3, state=GroupState.SUBMITTED, wanted_at=now(db) - timedelta(hours=1), submitted_at=now(db)
        )
        group.jobs[0].state = JobState.RUNNING

    world.database.write(unit)
    with world.database.read() as db:
        found = workloads(db)
    assert {name: load.oldest.calibration for name, load in found.items() if load.oldest} == {
        "local": "Old",
        "bnl": "Far",
    }
    assert found["local"].jobs == {JobWord.QUEUED: 4}
    assert found["bnl"].jobs == {JobWord.QUEUED: 4, JobWord.RUNNING: 1}


def test_a_centre_that_was_chosen_and_has_nothing_to_do_is_there(world: World) -> None:
    with world.database.read() as db:
        assert db.scalars(select(JobGroup)).first() is None
        assert db.scalars(select(Job)).first() is None
        (load,) = workloads(db).values()
    assert (dict(load.jobs), load.oldest) == ({}, None)
