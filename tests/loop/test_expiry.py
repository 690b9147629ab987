"""Files are not kept for ever: what has read them cannot be done again then, and managers are told before."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from b2cal import data, loop
from b2cal.loop import Conflict, Verb
from b2cal.model import Calibration
from tests.loop.world import Defined, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, (Defined("A"), Defined("B", ("A",))))
    world.process()
    for name in "AB":
        world.do("submit", name)
    yield world
    world.database.dispose()


def expire(world: World, at: datetime | None, place: str = "/data/bhabha_102.root") -> None:
    world.database.write(lambda db: loop.keep_until(db, place, at))


def in_days(world: World, days: int) -> datetime:
    return world.clock.now() + timedelta(days=days)


def obstacle(world: World, name: str) -> tuple[str, bool]:
    """What stands in the way of a restart, and whether there is a button for it."""
    with world.database.read() as db:
        view = world.view(db)
        it: Calibration = view.calibration(name)
        buttons = {button.verb for button in loop.buttons(view, it, "manager")}
        return str(loop.in_the_way(view, it, Verb.RESTART, "manager") or ""), Verb.RESTART in buttons


def test_a_restart_is_refused_before_anything_is_written_when_a_file_that_was_read_has_expired(world: World) -> None:
    world.advance("A")
    world.jobs_end("A", 1)
    expire(world, in_days(world, 1))
    assert obstacle(world, "A") == ("", True)
    world.tick(86400)
    refusal, button = obstacle(world, "A")
    assert refusal.startswith("A cannot be restarted: the first of the files that it read expired on ")
    assert not button
    before = len(world.decisions())
    with pytest.raises(Conflict, match="cannot be restarted") as refused:
        world.do("restart", "A")
    assert "`b2cal data expire FOLDER DATE`" in refused.value.hint
    assert (world.state("A"), len(world.decisions())) == ("validating", before)
    expire(world, None, "/data")
    world.do("restart", "A")
    assert world.state("A") == "submitted"


def test_what_must_be_done_again_waits_for_expired_files_and_is_woken_when_they_stay(world: World) -> None:
    world.finish("A", 1)
    world.advance("B")
    world.jobs_end("B", 1)
    expire(world, in_days(world, 1))
    world.do("restart", "A")
    world.finish("A", 2)
    world.tick(86400)
    progress = world.advance("B")
    assert progress.state == "submitted"
    with world.database.read() as db:
        view = world.view(db)
        told = loop.why(view, view.calibration("B"), world.clock.now()).sentence
    assert told.startswith("1 of the 5 files of its inputs have expired, the first on ")
    expire(world, in_days(world, 10))
    assert loop.signals(world.workplace, [("bucket1", "B")])["bucket1", "B"][0] > progress.signal
    assert world.advance("B").state == "running"


def test_managers_are_told_a_week_before_by_what_calibrations_read_and_only_while_it_goes_on(world: World) -> None:
    def expiring() -> list[str]:
        with world.database.read() as db:
            return [it.told(world.clock.now()) for it in loop.all_expiring(db)]

    expire(world, in_days(world, 1), "/data/bhabha_109.root")  # of no run of it
    expire(world, in_days(world, 8))
    assert expiring() == []
    world.tick(86400)
    (told,) = expiring()
    assert told.startswith("Inputs of bucket1 expire on ")
    assert ", in 7 days: then nothing can be restarted." in told
    world.tick(8 * 86400)
    assert expiring()[0].startswith("Inputs of bucket1 have expired, the first on ")
    world.do_to_processing(loop.ProcessingVerb.CANCEL)
    assert expiring() == []


def test_a_place_without_files_is_refused(world: World) -> None:
    with pytest.raises(data.NothingThere, match="No file is registered at /dat"):
        expire(world, None, "/dat")
