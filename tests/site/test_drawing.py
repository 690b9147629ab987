"""Plots and IoV maps, as numbers."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from b2cal.core.iov import OPEN, ExpRun
from b2cal.site.iov_map import NAMES, WIDTH, Span, iov_map
from b2cal.site.plots import HEIGHT, plot_of
from b2cal.site.plots import WIDTH as PLOT_WIDTH

numbers = st.none() | st.floats(-1e6, 1e6)


@given(
    st.lists(numbers, min_size=2, max_size=900),
    st.lists(numbers, max_size=20),
    st.none() | st.floats(-10, 0),
    st.none() | st.floats(0, 10),
)
def test_channels_beyond_the_limits_are_drawn_and_all_points_lie_inside(
    values: list[float | None], previous: list[float | None], low: float | None, high: float | None
) -> None:
    plot = plot_of({"name": "shift", "values": values, "previous": previous or None}, low, high)
    beyond = [v for v in values if v is not None and ((low is not None and v < low) or (high is not None and v > high))]
    if plot is None:
        assert all(value is None for value in [*values, *previous])
        return
    assert plot.n_outside == len(beyond)
    assert len(plot.outside) == len(beyond) or 300 <= len(plot.outside) <= 600 < len(beyond)
    for point in (*plot.inside, *plot.outside, *plot.previous):
        assert 0 <= point.x <= PLOT_WIDTH
        assert 0 <= point.y <= HEIGHT
    assert len(plot.inside) <= 600
    assert len(plot.y_ticks) <= 7


def test_channels_beyond_the_limits_are_named_as_stretches() -> None:
    def where(outside: set[int]) -> str:
        values = [9.0 if channel in outside else 0.0 for channel in range(60)]
        plot = plot_of({"name": "shift", "axis": "board", "values": values}, -1.0, 1.0)
        assert plot is not None
        return plot.where

    assert where(set()) == ""
    assert where({7}) == "board 7"
    assert where({3, 4, 5, 20}) == "board 3 to 5, 20"
    assert where(set(range(1, 59, 2))) == "spread from board 1 to 57"


@given(st.sampled_from([True, 3.5, [1.0], [True, False], "text", None, [[1, "x"]]]))
def test_what_is_no_series_of_numbers_has_no_plot(values: Any) -> None:
    assert plot_of({"name": "x", "values": values}, None, None) is None


@st.composite
def tags(draw: st.DrawFn) -> list[Span]:
    """IoVs without overlap, with gaps, some open."""
    spans = []
    for name in draw(st.lists(st.sampled_from("ABCD"), unique=True, max_size=4)):
        edges = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=8)))
        for first, last in zip(edges[::2], edges[1::2], strict=False):
            spans.append(Span(name, ExpRun(26, first).number, ExpRun(26, last - 1).number, ""))
        if draw(st.booleans()):
            spans.append(Span(name, ExpRun(26, 70).number, OPEN, ""))
    return spans


@given(tags())
def test_bars_stand_in_the_order_of_their_runs_without_overlap(spans: list[Span]) -> None:
    drawn = iov_map(spans)
    assert [row.name for row in drawn.rows] == sorted({span.name for span in spans})
    for row in drawn.rows:
        assert [bar.span for bar in row.bars if not bar.is_gap] == sorted(
            (span for span in spans if span.name == row.name), key=lambda span: span.first
        )
        for bar, following in zip(row.bars, row.bars[1:], strict=False):
            assert bar.x + bar.width <= following.x + 1e-6
            assert not (bar.is_gap and following.is_gap)
        for bar in row.bars:
            assert bar.x >= NAMES - 1e-6
            assert bar.x + bar.width <= WIDTH + 1e-6
    assert len(drawn.ticks) <= 11


def test_runs_between_two_iovs_of_a_payload_are_shown_as_a_gap() -> None:
    spans = [Span("A", 10, 19, "x"), Span("A", 30, OPEN, "y")]
    (row,) = iov_map(spans).rows
    assert [(bar.is_gap, bar.is_open) for bar in row.bars] == [(False, False), (True, False), (False, True)]
    assert (row.bars[1].span.first, row.bars[1].span.last) == (20, 29)
