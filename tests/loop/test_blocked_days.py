"""Blocked days: a window does not run down on them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from b2cal import loop
from b2cal.loop.calendar import after, blocked_days, running, spoken_days
from b2cal.model import BlockedDay, Processing
from tests.loop.world import World

HOUR = 3600.0
NOVEMBER = [date(2026, 11, day) for day in range(1, 11)]
MOMENTS = st.integers(0, 12 * 24).map(lambda hours: datetime(2026, 10, 31, tzinfo=UTC) + timedelta(hours=hours))
DAYS = st.sets(st.sampled_from(NOVEMBER)).map(lambda days: blocked_days(days, "Asia/Tokyo"))


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def world_with(folder: Path, *days: int, **policies: object) -> World:
    """A processing from Sunday 1 November, 12:00 UTC, with windows of 48 h; the days are those of Tokyo."""
    world = World(folder)
    blocked = tuple(date(2026, 11, day) for day in days)
    world.process(blocked=blocked, zone="Asia/Tokyo", window_s=48 * HOUR, reject_window_s=24 * HOUR, **policies)
    return world


def ends_at(world: World, name: str = "A") -> datetime:
    with world.database.read() as db:
        return world.view(db).calibration(name).window_ends_at


@given(begin=MOMENTS, hours=st.integers(0, 100), blocked=DAYS)
def test_so_much_time_counts_until_the_end_as_was_asked_for(
    begin: datetime, hours: int, blocked: list[BlockedDay]
) -> None:
    end = after(begin, timedelta(hours=hours), blocked)
    hour_by_hour = [begin + timedelta(hours=n) for n in range(int((end - begin) / timedelta(hours=1)))]
    free = [moment for moment in hour_by_hour if not any(day.starts_at <= moment < day.ends_at for day in blocked)]
    assert len(free) == hours
    assert running(begin, end, blocked) == timedelta(hours=hours)
    assert hours == 0 or free[-1] == hour_by_hour[-1]


def test_a_day_is_that_of_its_zone_whatever_its_length() -> None:
    (tokyo,) = blocked_days([date(2026, 11, 3)], "Asia/Tokyo")
    assert (tokyo.starts_at, tokyo.ends_at) == (at(2, 15), at(3, 15))
    short, long = blocked_days([date(2026, 10, 25), date(2026, 3, 29)], "Europe/Berlin")
    assert (short.ends_at - short.starts_at, long.ends_at - long.starts_at) == (
        timedelta(hours=23),
        timedelta(hours=25),
    )


def test_blocked_days_are_said_as_people_say_them() -> None:
    days = [date(2026, 12, 24), *(date(2026, 12, 29) + timedelta(days=n) for n in range(6))]
    assert spoken_days(blocked_days(days, "Asia/Tokyo")) == "24 Dec 2026, 29 Dec 2026 to 3 Jan 2027 (Asia/Tokyo)"
    assert spoken_days([]) == ""


def test_the_window_stands_still_on_blocked_days_and_so_do_its_reminders(tmp_path: Path) -> None:
    world = world_with(tmp_path, 3, 4)
    assert ends_at(world) == at(5, 12)
    reminders = []
    while world.advance("A").next_due < ends_at(world):
        reminders.append(world.advance("A").next_due)
        world.tick((reminders[-1] - world.clock.now()).total_seconds())
    assert reminders == [at(2, 12), at(5, 2, 24)]  # after 24 h and 38.4 h that count
    world.tick((ends_at(world) - world.clock.now()).total_seconds() - 1)
    assert world.advance("A").state == "open"
    world.tick(1)
    assert world.advance("A").state == "running"


def test_the_window_that_a_reject_opens_stands_still_too(tmp_path: Path) -> None:
    world = world_with(tmp_path, 3)
    world.do("submit", "A")
    world.advance("A")
    world.jobs_end("A", 1)
    world.judged("A")
    world.tick(24 * HOUR)
    world.do("reject", "A")
    assert ends_at(world) == at(4, 12)


def test_hours_that_a_manager_gives_are_hours_that_count(tmp_path: Path) -> None:
    world = world_with(tmp_path, 4)
    assert ends_at(world) == at(3, 12)
    world.do("extend", "A", 6.0)
    assert ends_at(world) == at(4, 18)


@pytest.mark.parametrize(("away", "end"), [
    ((1, 12, 1, 22), at(5, 22)),  # 10 h of 48
    ((2, 10, 3, 20), at(5, 17)),  # 5 h before the blocked day
    ((2, 16, 4, 14), at(5, 12)),  # nothing but blocked time
    ((2, 14, 4, 17), at(5, 12)),  # 1 h before and 2 h after: less than a tenth of the window
])  # fmt: skip
def test_an_outage_on_a_blocked_day_takes_nothing(
    tmp_path: Path, away: tuple[int, int, int, int], end: datetime
) -> None:
    world = world_with(tmp_path, 3, 4)
    gone, back = at(*away[:2]), at(*away[2:])
    loop.site_is_there(world.workplace)
    while world.clock.now() < gone:
        world.tick(600)
        loop.site_is_there(world.workplace)
    world.tick((back - gone).total_seconds())
    loop.site_is_there(world.workplace)
    world.advance("A")
    assert ends_at(world) == end


def test_a_zone_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(loop.InvalidChoice, match="Asia/Kyoto"):
        world.process(blocked=(date(2026, 11, 3),), zone="Asia/Kyoto")
    with pytest.raises(loop.InvalidChoice, match="400 days"):
        world.process(blocked=tuple(date(2026, 1, 1) + timedelta(days=n) for n in range(400)))
    with world.database.read() as db:
        assert db.query(Processing).count() == 0


@given(day=st.dates(), zone=st.sampled_from(["UTC", "Asia/Tokyo", "Pacific/Kiritimati", "America/Adak"]))
@example(date.min, "Asia/Tokyo")
@example(date.max, "UTC")
def test_every_day_can_be_blocked_or_is_refused_with_those_that_can(day: date, zone: str) -> None:
    if 1970 <= day.year <= 2999:
        (blocked,) = blocked_days([day], zone)
        assert blocked.starts_at < blocked.ends_at
        return
    with pytest.raises(loop.InvalidChoice) as refused:
        blocked_days([day], zone)
    assert "1970 to 2999" in refused.value.hint
