"""The numbers beside the worst channels of a plot: they can be read."""

from itertools import combinations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.text import Annotation

from b2cal.calibration import Measurement
from b2cal.validation import axes
from b2cal.validation.drawing import _measurement


def labels(values: list[float], high: float) -> list[Annotation]:
    """The numbers that stand in the plot of a measurement."""
    figure, _ = _measurement(Measurement("shift", np.array(values)).to_json(), (None, high))
    return [text for text in figure.axes[0].texts if isinstance(text, Annotation)]


@settings(max_examples=40, deadline=None)
@example(values=[0.0] * 3000 + [9.0, 9.0, 9.0, 9.0])
@example(values=[9.0, 9.0, 9.0, 9.0] + [0.0] * 3000)
@example(values=[0.0] * 100 + [9.0, 8.9, 8.8, 8.7] + [0.0] * 100)
@given(
    st.lists(st.sampled_from([0.0, 0.5, 5.0, 5.01, 5.4, 7.0, 9.0, -3.0]), min_size=2, max_size=300),
)
def test_the_numbers_of_the_worst_channels_never_overlap_nor_leave_the_plot(values: list[float]) -> None:
    found = labels(values, high=1.0)
    outside = sum(value > 1 for value in values)
    assert min(outside, 1) <= len(found) <= min(outside, axes.LABELLED)
    boxes = [label.get_window_extent() for label in found]
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    for label, box in zip(found, boxes, strict=True):
        frame = label.axes.get_window_extent()
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1


def test_the_worst_channel_always_has_its_number_and_neighbours_have_theirs_where_there_is_room() -> None:
    assert {label.get_text() for label in labels([0.0] * 50 + [7.0, 9.0] + [0.0] * 50, high=1.0)} == {"50", "51"}
    for worst in (0, 40, 2999):
        values = [0.0] * 3000
        values[worst] = 9.0
        assert [label.get_text() for label in labels(values, high=1.0)] == [str(worst)]
