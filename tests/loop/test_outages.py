"""An outage of the site: open windows are extended by it, once each; nothing is submitted before."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from b2cal import loop
from b2cal.loop import Act
from b2cal.model import Calibration, Decision, SitePresence
from tests.loop.world import MANAGER, World

HOUR = 3600.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Windows of 48 h; the site is there."""
    world = World(tmp_path)
    loop.site_is_there(world.workplace)
    world.process(window_s=48 * HOUR, reject_window_s=24 * HOUR)
    return world


def hours(world: World, number: float) -> None:
    """Time passes with the site there."""
    for _ in range(round(number * 6)):
        world.tick(600)
        loop.site_is_there(world.workplace)


def outage(world: World, number: float) -> None:
    """The site is away and comes back."""
    world.tick(number * HOUR)
    loop.site_is_there(world.workplace)


def window_h(world: World, name: str = "A") -> float:
    """Length of a window in hours, as it stands."""
    with world.database.read() as db:
        it = world.view(db).calibration(name)
        return (it.window_ends_at - it.window_started_at).total_seconds() / HOUR


def extensions(world: World) -> list[Decision]:
    with world.database.read() as db:
        return list(db.scalars(select(Decision).where(Decision.verb == "extend").order_by(Decision.id)))


def test_a_window_is_extended_by_the_outage_with_a_decision(world: World) -> None:
    hours(world, 10)
    outage(world, 6)
    assert world.advance("A").next_due is not None
    assert window_h(world) == 54
    (decision,) = extensions(world)
    assert (decision.actor, decision.role.value, decision.from_state, decision.to_state) == (
        "b2cal",
        "loop",
        "open",
        "open",
    )
    assert decision.reason == "nobody could reach the site from 1 Nov, 22:00 to 2 Nov, 04:00 UTC"


def test_exactly_once_per_outage_and_window_however_often_it_is_looked_at(world: World) -> None:
    hours(world, 1)
    outage(world, 6)
    for _ in range(3):
        for name in "ABCD":
            world.advance(name)
    hours(world, 1)
    outage(world, 7)
    for _ in range(3):
        for name in "ABCD":
            world.advance(name)
    assert [window_h(world, name) for name in "ABCD"] == [48 + 6 + 7] * 4
    assert len(extensions(world)) == 8


def test_all_who_look_at_the_same_moment_extend_it_once(world: World) -> None:
    hours(world, 1)
    outage(world, 6)
    with ThreadPoolExecutor(4) as pool:
        for looked in [pool.submit(world.advance, "A") for _ in range(12)]:
            assert looked.result().state == "open"
    assert (window_h(world), len(extensions(world))) == (54, 1)


def test_a_site_that_stays_away_does_not_stop_the_loop(world: World) -> None:
    hours(world, 45)
    world.tick(6 * 24 * HOUR)
    progress = world.advance("A")
    assert progress.state == "open"
    assert progress.next_due is not None
    world.tick((progress.next_due - world.clock.now()).total_seconds())
    assert world.advance("A").state == "running"


@pytest.mark.parametrize(("window_s", "away_s", "extended"), [
    (48 * HOUR, 4.8 * HOUR, False),
    (48 * HOUR, 4.8 * HOUR + 1, True),
    (1 * HOUR, 600, False),
    (1 * HOUR, 601, True),
])  # fmt: skip
def test_what_is_too_short_for_a_window_is_no_outage(
    tmp_path: Path, window_s: float, away_s: float, extended: bool
) -> None:
    world = World(tmp_path)
    world.process(window_s=window_s)
    loop.site_is_there(world.workplace)
    world.tick(away_s)
    loop.site_is_there(world.workplace)
    world.advance("A")
    assert bool(extensions(world)) == extended


def test_nothing_is_submitted_between_the_return_of_everything_and_the_first_sign_of_the_site(world: World) -> None:
    hours(world, 45)
    world.tick(72 * HOUR)  # all is off for a weekend; Airflow is the first that is back
    progress = world.advance("A")
    assert progress.state == "open"
    with world.database.read() as db:
        view = world.view(db)
        sentence = loop.why(view, view.calibration("A"), world.clock.now()).sentence
    assert sentence == "The window is over, but nobody could reach the site for 3 days: it waits for the site."
    key = ("bucket1", "A")
    before = loop.signals(world.workplace, [key])[key]
    loop.site_is_there(world.workplace)
    assert loop.signals(world.workplace, [key])[key] > before
    returned = world.clock.now()
    progress = world.advance("A")
    assert (progress.next_due - returned).total_seconds() == 3 * HOUR
    hours(world, 3)
    assert world.advance("A").state == "running"


def test_a_site_that_never_was_there_keeps_nothing_from_being_submitted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process()
    world.tick(24 * HOUR)
    assert world.advance("A").state == "running"


def test_the_first_start_of_the_site_is_no_outage(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process(window_s=48 * HOUR)
    world.tick(24 * HOUR)
    loop.site_is_there(world.workplace)
    world.advance("A")
    assert extensions(world) == []


def test_a_window_that_opens_during_an_outage_is_extended_by_its_part(world: World) -> None:
    world.tick(20 * HOUR)
    world.process("bucket2", first=105, last=109, window_s=48 * HOUR)
    outage(world, 10)
    world.advance("A", processing="bucket2")
    with world.database.read() as db:
        it = world.view(db, "bucket2").calibration("A")
        left = it.window_ends_at - world.clock.now()
    assert left.total_seconds() == 48 * HOUR


def test_a_window_that_was_over_before_is_not_extended(world: World) -> None:
    world.do("submit", "A")
    world.advance("A")
    world.jobs_end("A", 1)
    world.judged("A")
    world.do("reject", "A")  # its defaults are not submitted again: it stays open
    hours(world, 25)
    world.advance("A")
    outage(world, 10)
    assert world.advance("A").state == "open"
    assert extensions(world) == []
    world.do("extend", "A", 12.0)
    world.advance("A")
    assert window_h(world) == 12
    assert len(extensions(world)) == 1


def test_what_a_manager_extends_comes_on_top_of_the_outage(world: World) -> None:
    hours(world, 45)
    outage(world, 10)
    world.do("extend", "A", 2.0)
    world.advance("A")
    assert window_h(world) == 48 + 10 + 2
    assert [decision.actor for decision in extensions(world)] == ["manager", "b2cal"]


def test_what_a_manager_extends_while_the_site_is_away_is_not_lost_and_not_doubled(world: World) -> None:
    hours(world, 45)
    world.tick(10 * HOUR)
    world.do("extend", "A", 2.0)
    assert world.advance("A").state == "open"
    loop.site_is_there(world.workplace)
    returned = world.clock.now()
    assert (world.advance("A").next_due - returned).total_seconds() == 5 * HOUR


def test_a_held_processing_is_given_back_the_outage_when_it_is_released(world: World) -> None:
    it = world.processing()
    world.database.write(lambda db: loop.hold(db, it.id, Act(MANAGER, it.version, "power cut")))
    outage(world, 6)
    assert world.advance("A").state == "open"
    it = world.processing()
    world.database.write(lambda db: loop.release(db, it.id, Act(MANAGER, it.version)))
    world.advance("A")
    assert window_h(world) == 54


def test_only_open_windows_are_extended(world: World) -> None:
    world.do("submit", "A")
    outage(world, 6)
    world.advance("A")
    assert extensions(world) == []


def test_short_absences_and_several_workers_leave_one_row(world: World) -> None:
    for seconds in (5, 20, 40, 599, 600):
        world.tick(seconds)
        loop.site_is_there(world.workplace)
    with world.database.read() as db:
        (row,) = db.scalars(select(SitePresence))
        assert row.seen_at == world.clock.now()
        assert db.scalars(select(Calibration.signal)).all() == [1, 1, 1, 1]
