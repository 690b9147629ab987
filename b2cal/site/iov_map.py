"""The IoVs of a tag as bars: a row per payload, the same place for the same run in every row.

Runs are few and far apart on the number line, so the axis counts places where something changes, not run numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from b2cal.core.iov import OPEN, IoV, gaps

ROW, BAR, NAMES, AXIS = 26.0, 14.0, 190.0, 26.0
WIDTH = 1000.0
_MOST_TICKS = 10


@dataclass(frozen=True)
class Span:
    """Something valid from run number `first` to `last` (both included)."""

    name: str
    first: int
    last: int
    label: str


@dataclass(frozen=True)
class Bar:
    """A span, in pixels; a gap has no label."""

    x: float
    width: float
    span: Span
    is_gap: bool
    is_open: bool


@dataclass(frozen=True)
class Row:
    """All bars of one payload."""

    name: str
    y: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Tick:
    """A run on the axis."""

    x: float
    number: int


@dataclass(frozen=True)
class Map:
    """What the template draws."""

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    height: float
    is_open: bool


def iov_map(spans: Sequence[Span]) -> Map:
    """Lay the spans out; spans of one name must not overlap."""
    edges = sorted({edge for span in spans for edge in (span.first, _end(span.last))})
    place = {edge: NAMES + (WIDTH - NAMES) * index / max(1, len(edges) - 1) for index, edge in enumerate(edges)}
    rows = []
    ordered = sorted(spans, key=lambda span: (span.name, span.first))
    for index, (name, group) in enumerate(groupby(ordered, key=lambda span: span.name)):
        own = list(group)
        bars = [_bar(span, place, is_gap=False) for span in own]
        bars += [_bar(Span(name, gap.first.number, gap.last_number, ""), place, is_gap=True) for gap in _gaps(own)]
        rows.append(Row(name, AXIS + index * ROW, tuple(sorted(bars, key=lambda bar: bar.x))))
    step = max(1, -(-len(edges) // _MOST_TICKS))
    ticks = tuple(Tick(place[edge], edge) for edge in edges[::step] if edge != OPEN and place[edge] < WIDTH - 40)
    return Map(tuple(rows), ticks, AXIS + len(rows) * ROW, OPEN in place)


def _end(last: int) -> int:
    """The place where a span ends: that of the run after its last."""
    return OPEN if last == OPEN else last + 1


def _bar(span: Span, place: dict[int, float], *, is_gap: bool) -> Bar:
    x = place[span.first]
    return Bar(x, place[_end(span.last)] - x, span, is_gap, span.last == OPEN)


def _gaps(spans: Sequence[Span]) -> list[IoV]:
    within = IoV.from_numbers(spans[0].first, max(span.last for span in spans))
    return gaps([IoV.from_numbers(span.first, span.last) for span in spans], within)
