"""Where the time went, when it will end, and how times are written."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from b2cal.model import State
from b2cal.site.forecast import Remaining, forecast
from b2cal.site.timeline import Batch, Cause, Stay, shares
from b2cal.site.times import Reader, zone_named

T0 = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def h(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def hours(**parts: float) -> dict[str, float]:
    return {cause.name.lower(): parts.get(cause.name.lower(), 0.0) for cause in Cause}


def spent(stays: list[Stay], batches: list[Batch], upstream: dict[str, list[str]]) -> dict[str, float]:
    found = shares(stays, batches, upstream, h(100))
    return {share.cause.name.lower(): share.time.total_seconds() / 3600 for share in found} or hours()


def test_an_open_window_is_told_apart_from_waiting_for_people_in_review_or_failed() -> None:
    stays = [
        Stay("a", State.OPEN, h(0), h(10)),
        Stay("a", State.REVIEW, h(12), h(13)),
        Stay("a", State.FAILED, h(13), h(15)),
        Stay("a", State.SIGNED_OFF, h(15), h(99)),
    ]
    assert spent(stays, [], {}) == hours(windows=10, people=3)


def test_waiting_for_another_calibration_is_not_waiting_for_data() -> None:
    stays = [
        Stay("up", State.RUNNING, h(0), h(4)),
        Stay("up", State.SIGNED_OFF, h(4), h(99)),
        Stay("down", State.SUBMITTED, h(1), h(6)),
    ]
    assert spent(stays, [], {"down": ["up"]}) == hours(data=2)
    assert spent(stays, [], {"down": []}) == hours(data=5)
    assert spent([*stays[1:]], [], {"down": ["middle"], "middle": ["up"]}) == hours(data=5)


def test_jobs_queue_run_and_are_tried_again() -> None:
    batches = [Batch("a", 0, h(0), h(1), h(5)), Batch("a", 1, h(5), h(5.5), h(6)), Batch("b", 0, h(98), None, None)]
    assert spent([], batches, {}) == hours(queue=1 + 2, running=4, retries=1)


@given(st.lists(st.tuples(st.sampled_from(State), st.integers(0, 50), st.integers(0, 50)), max_size=12))
def test_shares_add_up(parts: list[tuple[State, int, int]]) -> None:
    stays = [Stay("a", state, h(min(x, y)), h(max(x, y))) for state, x, y in parts]
    found = shares(stays, [], {}, h(60))
    assert not found or abs(sum(share.percent for share in found) - 100) < 1e-6


def left(state: State, upstream: list[str], took: list[float], **facts: Any) -> Remaining:
    return Remaining(state, upstream, [timedelta(hours=x) for x in took], **facts)


def test_the_end_is_that_of_the_longest_way() -> None:
    found = forecast(
        {
            "a": left(State.REVIEW, [], [1], decides=True),
            "b": left(State.SUBMITTED, ["a"], [2, 3, 10]),
            "c": left(State.SUBMITTED, ["b"], [1]),
            "d": left(State.RUNNING, [], [2], running_since=h(-1)),
            "e": left(State.SIGNED_OFF, [], [50]),
        },
        T0,
    )
    assert found is not None
    assert found.likely == h(4)
    assert found.late == h(11)
    assert found.path == ("a", "b", "c")
    assert found.decisions == ("a",)
    assert found.unknown == ()


def test_an_open_calibration_waits_for_its_window_and_an_unknown_one_is_named() -> None:
    found = forecast({"a": left(State.OPEN, [], [], window_ends=h(7)), "b": left(State.SUBMITTED, ["a"], [1])}, T0)
    assert found is not None
    assert found.likely == h(8)
    assert found.unknown == ("a",)


def test_jobs_that_are_held_and_failed_ones_that_wait_for_a_decision_make_a_forecast_conditional() -> None:
    found = forecast(
        {
            "a": left(State.RUNNING, [], [1], running_since=T0, decides=True),
            "b": left(State.RUNNING, ["a"], [1], running_since=T0, held=True),
        },
        T0,
    )
    assert found is not None
    assert (found.decisions, found.held) == (("a",), ("b",))


def test_nothing_is_forecast_when_all_is_finished() -> None:
    assert forecast({"a": left(State.SIGNED_OFF, [], [1]), "b": left(State.VETOED, [], [])}, T0) is None


def test_a_run_that_takes_longer_than_ever_ends_now_at_the_earliest() -> None:
    found = forecast({"a": left(State.RUNNING, [], [1], running_since=h(-5))}, T0)
    assert found is not None
    assert found.likely == T0


def test_a_time_is_written_in_the_readers_zone_and_kept_in_utc() -> None:
    reader = Reader(ZoneInfo("Asia/Tokyo"), T0)
    assert reader.plain(T0) == "21:00 JST"
    assert reader.plain(h(-24)) == "26 Nov, 21:00 JST"
    assert reader.plain(h(-24 * 400)) == "23 Oct 2025, 21:00 JST"
    assert 'datetime="2026-11-27T12:00:00+00:00"' in reader.moment(T0)
    assert "Fri 27 Nov 2026, 12:00:00 UTC" in reader.moment(T0)
    assert ">1 h 05 ago<" in reader.ago(h(-1) - timedelta(minutes=5))
    assert ">in 9 h 20<" in reader.ago(h(9) + timedelta(minutes=20))
    assert reader.moment(None) == "–"


def test_a_zone_that_nobody_knows_is_utc() -> None:
    for name in (None, "", "Mars/Olympus", "../../etc/passwd", "\0", "Europe"):
        assert zone_named(name).key == "UTC"
    assert zone_named("Europe/Berlin").key == "Europe/Berlin"
