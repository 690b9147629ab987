"""A copy from a subsystem's tag: what it reads is fixed at its start, like everything that an attempt reads."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy.orm import Session

from b2cal import conditions, loop
from b2cal.core.checksums import digest
from b2cal.core.iov import OPEN, ExpRun
from b2cal.loop import Act, Choice, Workplace
from b2cal.model import Attempt, Database, Kind, PublishPolicy, Step
from tests.loop.world import MANAGER, Defined, World

Result = TypeVar("Result")

pytestmark = pytest.mark.processes  # payload files are opened in processes of their own

COPY = Defined("A", step=Step.LOCAL, kind=Kind.COPY, config={"source_tag": "local", "unchanged": False})


def put(world: World, value: object, first: int = 0, tag: str = "local") -> None:
    """The subsystem puts constants into its tag, from a run of experiment 26 on."""

    def unit(db: Session) -> None:
        it = conditions.tag_named(db, tag)
        loop.add_to_tag(db, it, [world.constants(db, "A", value, ExpRun(26, first))], Act(MANAGER, it.version))

    world.database.write(unit)


def live(world: World) -> Attempt:
    with world.database.read() as db:
        return world.view(db).attempts["A"]


def read_and_made(world: World) -> tuple[list[str], list[str]]:
    attempt = live(world)
    return [r.payload.identity for r in attempt.reads], [p.payload.identity for p in attempt.payloads]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A calibration B that depends on a copy from the tag "local", which holds constants for all runs."""
    world = World(tmp_path, (COPY, Defined("B", ("A",))))
    world.database.write(lambda db: conditions.create_tag(db, "local"))
    put(world, 1)
    world.process(publish=PublishPolicy.MANUAL)
    return world


class Interrupted(Database):
    """Lets something happen after the first unit of work that is written."""

    def __init__(self, database: Database, then: Callable[[], None]) -> None:
        super().__init__(str(database.engine.url), database.clock)
        self._then: Callable[[], None] | None = then

    def write(self, unit: Callable[[Session], Result]) -> Result:
        result = super().write(unit)
        then, self._then = self._then, None
        if then is not None:
            then()
        return result


def test_what_comes_into_the_source_tag_after_the_start_is_not_copied_by_that_attempt(world: World) -> None:
    world.do("submit", "A")
    interrupted = Interrupted(world.database, lambda: put(world, 2, first=102))
    loop.advance(Workplace(world.workplace.settings, interrupted), "bucket1", "A")
    read, made = read_and_made(world)
    assert made == read == [digest(["A", value]) for value in (1, 2)]
    with world.database.read() as db:
        first, second = db.query(Attempt).order_by(Attempt.number)
        assert (first.live, first.payloads, len(first.reads)) == (None, [], 1)
        assert second.live
        assert first.combination != second.combination


def test_a_copy_reads_its_source_tag_for_its_runs_and_nothing_else(world: World) -> None:
    put(world, 2, first=105)
    world.do("submit", "A")
    world.advance("A")
    attempt = live(world)
    assert [(r.name, r.first, r.last) for r in attempt.reads] == [
        ("PA", ExpRun(26, 100).number, ExpRun(26, 104).number)
    ]
    assert [(p.first, p.last) for p in attempt.payloads] == [(ExpRun(26, 100).number, OPEN)]
    assert [read.used for read in attempt.reads] == [True]


def test_a_signed_off_copy_is_stale_when_its_tag_changes_for_its_runs_and_may_be_kept(world: World) -> None:
    world.do("submit", "A")
    world.advance("A")
    world.do("sign_off", "A")
    before = world.processing().generation
    put(world, 2, first=101)
    assert world.freshness("A") == "stale"
    assert world.processing().generation == before + 1
    world.do("keep", "A")
    assert world.freshness("A") == "fresh"
    put(world, 3, first=105)
    assert world.freshness("A") == "fresh"
    assert world.processing().generation == before + 1


def test_a_copy_that_was_not_signed_off_is_done_again_by_itself(world: World) -> None:
    world.do("submit", "A")
    signal = world.advance("A").signal
    put(world, 2, first=101)
    assert world.advance("A").signal > signal
    assert read_and_made(world)[1] == [digest(["A", value]) for value in (1, 2)]


def test_a_copy_that_failed_for_lack_of_runs_is_done_again_when_they_come(world: World) -> None:
    world.database.write(lambda db: conditions.create_tag(db, "later"))
    world.do("submit", "A", Choice({"source_tag": "later"}))
    assert world.advance("A").state == "failed"
    put(world, 1, tag="later")
    assert world.advance("A").state == "review"


def test_the_same_copy_is_submitted_by_itself_again_once_the_tag_holds_something_else(world: World) -> None:
    world.do("submit", "A")
    world.advance("A")
    world.do("reject", "A")
    world.tick(60)
    progress = world.advance("A")
    assert progress.state == "open"
    put(world, 2, first=101)
    key = ("bucket1", "A")
    assert loop.signals(world.workplace, [key])[key][0] > progress.signal, "its task must look again at once"
    assert world.advance("A").state == "review"


def test_unchanged_reads_nothing_and_does_not_become_stale(world: World) -> None:
    world.do("submit", "A", Choice({"unchanged": True}))
    assert world.advance("A").state == "signed_off"
    put(world, 2, first=101)
    assert (live(world).reads, world.freshness("A")) == ([], "fresh")
