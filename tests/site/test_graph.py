"""The drawing of the dependency graph, for any graph."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from b2cal.site.graph import HEADER, NODE_HEIGHT, NODE_WIDTH, Drawing, draw

STEPS = ("local", "pre-tracking", "alignment", "cdst-production", "post-tracking", "analysis")


@st.composite
def graphs(draw_: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Any graph without cycles, in which a node may even depend on a later step."""
    names = [f"n{index}" for index in range(draw_(st.integers(1, 16)))]
    upstream = {
        name: draw_(st.lists(st.sampled_from(names[:index]), max_size=4)) if index else []
        for index, name in enumerate(names)
    }
    order = draw_(st.permutations(names))
    return {name: upstream[name] for name in order}, {name: draw_(st.sampled_from(STEPS)) for name in names}


def ends(path: str) -> tuple[float, float]:
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    return numbers[0], numbers[-2]


@given(graphs())
def test_no_two_nodes_overlap_and_all_lie_inside(graph: tuple[dict[str, list[str]], dict[str, str]]) -> None:
    drawing = draw(*graph, STEPS)
    assert {box.name for box in drawing.boxes} == set(graph[0])
    for a, b in combinations(drawing.boxes, 2):
        assert abs(a.x - b.x) >= NODE_WIDTH or abs(a.y - b.y) >= NODE_HEIGHT + 1
    for box in drawing.boxes:
        assert 0 <= box.x <= drawing.width - NODE_WIDTH
        assert HEADER - 1e-6 <= box.y <= drawing.height - NODE_HEIGHT


@given(graphs())
def test_every_arrow_goes_from_left_to_right(graph: tuple[dict[str, list[str]], dict[str, str]]) -> None:
    drawing = draw(*graph, STEPS)
    columns = {box.name: box.column for box in drawing.boxes}
    for arrow in drawing.arrows:
        assert columns[arrow.source] < columns[arrow.target]
        start, end = ends(arrow.path)
        assert start < end


@given(graphs())
def test_an_arrow_is_left_out_only_where_a_longer_way_says_the_same(
    graph: tuple[dict[str, list[str]], dict[str, str]],
) -> None:
    drawing = draw(*graph, STEPS)
    drawn: dict[str, set[str]] = {name: set() for name in graph[0]}
    for arrow in drawing.arrows:
        assert arrow.source in graph[0][arrow.target]
        drawn[arrow.target].add(arrow.source)
    for name, needs in graph[0].items():
        assert set(needs) <= above(drawn, name)


@given(graphs())
def test_a_lane_of_a_long_arrow_crosses_no_node(graph: tuple[dict[str, list[str]], dict[str, str]]) -> None:
    drawing = draw(*graph, STEPS)
    for arrow in drawing.arrows:
        for x, y in lanes(arrow.path):
            for box in drawing.boxes:
                assert box.x != x or not box.y <= y <= box.y + NODE_HEIGHT


@given(graphs())
def test_the_same_graph_is_drawn_the_same(graph: tuple[dict[str, list[str]], dict[str, str]]) -> None:
    assert draw(*graph, STEPS) == draw(*graph, STEPS)


def test_the_columns_of_a_step_stand_under_its_name() -> None:
    drawing = draw(
        {"pedestals": [], "mask": ["pedestals"], "times": ["mask"], "scale": ["times"]},
        {"pedestals": "local", "mask": "pre-tracking", "times": "pre-tracking", "scale": "analysis"},
        STEPS,
    )
    assert [heading.text for heading in drawing.headings] == ["local", "pre-tracking", "analysis"]
    columns = {box.name: box.column for box in drawing.boxes}
    assert columns == {"pedestals": 0, "mask": 1, "times": 2, "scale": 3}


def test_an_empty_graph_needs_no_room() -> None:
    assert draw({}, {}, STEPS) == Drawing(0, 0, (), (), ())


def above(needs: Mapping[str, set[str]], name: str) -> set[str]:
    found = set(needs[name])
    for other in needs[name]:
        found |= above(needs, other)
    return found


def lanes(path: str) -> Sequence[tuple[float, float]]:
    """Where the path runs straight through a column: left end and height."""
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)H", path)]
