"""A processing with one calibration in each state, for tests of what can be done where."""

from pathlib import Path

from sqlalchemy import update
from sqlalchemy.orm import Session

from b2cal.model import Calibration, Grade, Person, State
from tests import factories
from tests.loop.world import Defined, World


def in_every_state(folder: Path, window_s: float = 100.0) -> World:
    """One calibration in each state, brought there by the verbs; each has the name of its state.

    A retry rule asks about the jobs of what runs. What is signed off is stale besides, for it may be kept only then:
    the fallback of what is vetoed has changed.
    """
    needs = {State.SIGNED_OFF: ("vetoed",)}
    world = World(folder, tuple(Defined(state, needs.get(state, ())) for state in State))
    world.curated_tag("stand_in", "vetoed")
    world.process(window_s=window_s)

    def with_a_deputy(db: Session) -> None:
        factories.person(db, "second")
        db.get_one(Person, "tracking").password_hash = "of a password"
        db.execute(update(Calibration).values(deputy="second"))

    world.database.write(with_a_deputy)
    world.do("veto", "vetoed", fallback_tag="stand_in")
    for name in ("submitted", "running", "validating", "review", "signed_off", "failed"):
        world.do("submit", name)
    for name in ("running", "validating", "review", "signed_off", "failed"):
        world.advance(name)
    for name in ("validating", "review", "signed_off"):
        world.jobs_end(name, 1)
    for name in ("review", "signed_off"):
        world.judged(name, Grade.WARN)
    world.do("sign_off", "signed_off")
    world.jobs_ask("running")
    world.jobs_fail("failed")
    world.add_to_tag("stand_in", "vetoed", "changed", first=103)
    return world
