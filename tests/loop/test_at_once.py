"""Two transactions at once: whoever comes second sees what the first did, and who only looks sees one moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.loop import Act
from b2cal.model import Decision, Grade, PublishPolicy
from tests.loop.world import MANAGER, Defined, World

PATIENCE_S = 30.0
Unit = Callable[[Session], object]


@pytest.fixture
def complete(tmp_path: Path) -> World:
    """A is signed off, the processing complete; the manager has not published it yet."""
    world = World(tmp_path, (Defined("A"),))
    world.process(publish=PublishPolicy.MANUAL)
    world.do("submit", "A")
    world.finish("A", 1)
    assert loop.advance_processing(world.workplace, "bucket1").state == "complete"
    return world


def verb(world: World, verb: Callable[[Session, int, Act], object], name: str) -> Unit:
    """What a person does who has just looked."""
    with world.database.read() as db:
        it = world.view(db).calibration(name)
    return lambda db: verb(db, it.id, Act(MANAGER, it.version, "because"))


def publish(world: World) -> Unit:
    it = world.processing()
    with world.database.read() as db:
        previewed = loop.publication_preview(world.view(db)).fingerprint
    return lambda db: loop.publish(db, it.id, Act(MANAGER, it.version), previewed)


def meanwhile(world: World, first: Unit, second: Callable[[], object]) -> BaseException | None:
    """While the transaction of `first` is open `second` begins; it must wait. What it raised after all."""
    acted, may_commit = Event(), Event()

    def unit(db: Session) -> None:
        first(db)
        acted.set()
        assert may_commit.wait(PATIENCE_S)

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(world.database.write, unit)
        assert acted.wait(PATIENCE_S)
        other = pool.submit(second)
        wait([other], timeout=0.2)
        was_done = other.done()
        may_commit.set()
    one.result()
    assert not was_done
    return other.exception()


def test_what_is_published_meanwhile_cannot_be_rejected(complete: World) -> None:
    reject = verb(complete, loop.reject, "A")
    refusal = meanwhile(complete, publish(complete), lambda: complete.database.write(reject))
    assert isinstance(refusal, loop.Conflict)
    assert complete.processing().state.value == "published"
    assert complete.state("A") == "signed_off"


def test_what_is_rejected_meanwhile_cannot_be_published(complete: World) -> None:
    unit = publish(complete)
    refusal = meanwhile(complete, verb(complete, loop.reject, "A"), lambda: complete.database.write(unit))
    assert isinstance(refusal, loop.Conflict)
    assert complete.processing().state.value == "active"
    assert complete.state("A") == "open"


def test_what_stands_on_constants_that_are_rejected_meanwhile_cannot_be_signed_off(world: World) -> None:
    for name in "AB":
        world.do("submit", name)
    world.finish("A", 1)
    world.advance("B")
    world.jobs_end("B", 1)
    world.judged("B", Grade.WARN)
    sign_off = verb(world, loop.sign_off, "B")
    refusal = meanwhile(world, verb(world, loop.reject, "A"), lambda: world.database.write(sign_off))
    assert isinstance(refusal, loop.Conflict)
    assert world.state("B") == "review"


def test_nothing_starts_on_constants_that_are_rejected_meanwhile(world: World) -> None:
    for name in "AB":
        world.do("submit", name)
    world.finish("A", 1)
    assert meanwhile(world, verb(world, loop.reject, "A"), lambda: world.advance("B")) is None
    assert world.state("B") == "submitted"


def test_who_only_looks_sees_one_moment_whatever_others_write(world: World) -> None:
    with world.database.read() as db:
        before = db.scalar(select(func.count(Decision.id)))
        with ThreadPoolExecutor(1) as pool:
            pool.submit(world.do, "submit", "A").result()
        assert db.scalar(select(func.count(Decision.id))) == before
    with world.database.read() as db:
        assert db.scalar(select(func.count(Decision.id))) == (before or 0) + 1
