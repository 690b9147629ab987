"""Where the nodes and lines of a dependency graph stand on the page.

Columns from left to right: an arrow always points to the right, and the columns of one step stand together. Long arrows
get a lane of their own through the columns between, so no arrow crosses a node. The order inside the columns is
improved by sweeps (each item towards the mean of its neighbours), the heights by least squares under the condition
that nothing overlaps. The same graph always gives the same drawing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise

NODE_WIDTH, NODE_HEIGHT = 124.0, 46.0
COLUMN_GAP, ROW_GAP, LANE = 20.0, 14.0, 12.0
HEADER, MARGIN = 26.0, 4.0
_SWEEPS = 8


@dataclass(frozen=True)
class Box:
    """A node; its corner with the smallest x and y, in pixels."""

    name: str
    column: int
    x: float
    y: float

    @property
    def middle(self) -> float:
        return self.y + NODE_HEIGHT / 2


@dataclass(frozen=True)
class Arrow:
    """A line from the right side of `source` to the left side of `target`, as an SVG path."""

    source: str
    target: str
    path: str


@dataclass(frozen=True)
class Heading:
    """The name of a step above its columns."""

    text: str
    x: float
    width: float


@dataclass(frozen=True)
class Drawing:
    """A graph, ready to be drawn."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    headings: tuple[Heading, ...]


@dataclass(eq=False)
class _Item:
    """A node, or the lane of a long arrow in one column."""

    name: str | None
    column: int
    y: float = 0.0

    @property
    def height(self) -> float:
        return LANE if self.name is None else NODE_HEIGHT


def draw(upstream: Mapping[str, Sequence[str]], group: Mapping[str, str], groups: Sequence[str]) -> Drawing:
    """Lay out a graph.

    Args:
        upstream: node -> the nodes that it depends on; without cycles.
        group: node -> the step it belongs to, one of `groups`.
        groups: the steps in their order.
    """
    needs = {name: [other for other in others if other in upstream] for name, others in upstream.items()}
    columns, headings = _columns(needs, group, groups)
    items = {name: _Item(name, columns[name]) for name in needs}
    chains = [_chain(items[source], items[target]) for source, target in _reduced(needs)]
    if not items:
        return Drawing(0.0, 0.0, (), (), ())
    rows = _rows(items.values(), chains)
    neighbours = _neighbours(chains)
    _order(rows, neighbours)
    _settle(rows, neighbours)
    return Drawing(
        width=2 * MARGIN + len(rows) * (NODE_WIDTH + COLUMN_GAP) - COLUMN_GAP,
        height=HEADER + MARGIN + max(item.y + item.height / 2 for row in rows for item in row),
        boxes=tuple(
            Box(name, item.column, _left(item.column), HEADER + item.y - NODE_HEIGHT / 2)
            for name, item in items.items()
        ),
        arrows=tuple(Arrow(chain[0].name or "", chain[-1].name or "", _path(chain)) for chain in chains),
        headings=tuple(headings),
    )


def _columns(
    needs: Mapping[str, Sequence[str]], group: Mapping[str, str], groups: Sequence[str]
) -> tuple[dict[str, int], list[Heading]]:
    """A column for each node; a node that depends on a later step is drawn with that step."""
    drawn_in: dict[str, int] = {}
    depth: dict[str, int] = {}
    for name in _upstream_first(needs):
        drawn_in[name] = max([groups.index(group[name]), *(drawn_in[other] for other in needs[name])])
        inside = [other for other in needs[name] if drawn_in[other] == drawn_in[name]]
        depth[name] = 1 + max((depth[other] for other in inside), default=-1)
    headings, columns, start = [], {}, 0
    for index, text in enumerate(groups):
        members = [name for name in needs if drawn_in[name] == index]
        if not members:
            continue
        columns.update({name: start + depth[name] for name in members})
        width = 1 + max(depth[name] for name in members)
        headings.append(Heading(text, _left(start), width * (NODE_WIDTH + COLUMN_GAP) - COLUMN_GAP))
        start += width
    return columns, headings


def _upstream_first(needs: Mapping[str, Sequence[str]]) -> Iterator[str]:
    done: set[str] = set()
    while len(done) < len(needs):
        ready = [name for name, others in needs.items() if name not in done and done.issuperset(others)]
        if not ready:
            raise ValueError(f"a cycle among {sorted(set(needs) - done)}")
        yield from ready
        done.update(ready)


def _reduced(needs: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """The arrows that say something: one that a longer way says too is left out."""
    above: dict[str, set[str]] = {}
    for name in _upstream_first(needs):
        above[name] = set(needs[name]).union(*(above[other] for other in needs[name]))
    return [
        (other, name)
        for name, others in needs.items()
        for other in dict.fromkeys(others)
        if not any(other in above[between] for between in others)
    ]


def _chain(source: _Item, target: _Item) -> list[_Item]:
    lanes = [_Item(None, column) for column in range(source.column + 1, target.column)]
    return [source, *lanes, target]


def _rows(nodes: Iterable[_Item], chains: Sequence[Sequence[_Item]]) -> list[list[_Item]]:
    items = [*nodes, *(lane for chain in chains for lane in chain[1:-1])]
    return [[item for item in items if item.column == column] for column in range(1 + max(i.column for i in items))]


def _neighbours(chains: Sequence[Sequence[_Item]]) -> dict[_Item, list[_Item]]:
    found: dict[_Item, list[_Item]] = {}
    for left, right in _links(chains):
        found.setdefault(left, []).append(right)
        found.setdefault(right, []).append(left)
    return found


def _links(chains: Sequence[Sequence[_Item]]) -> list[tuple[_Item, _Item]]:
    return [link for chain in chains for link in pairwise(chain)]


def _order(rows: list[list[_Item]], neighbours: Mapping[_Item, Sequence[_Item]]) -> None:
    """Sort each column by the mean place of its neighbours, over and over; keep the order with fewest crossings."""
    best, fewest = [list(row) for row in rows], _crossings(rows, neighbours)
    for sweep in range(_SWEEPS):
        for column in range(len(rows)) if sweep % 2 == 0 else reversed(range(len(rows))):
            place = {item: index / len(row) for row in rows for index, item in enumerate(row)}
            rows[column].sort(key=lambda item: _mean([place[n] for n in neighbours.get(item, ())], place[item]))
        crossings = _crossings(rows, neighbours)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    rows[:] = best


def _crossings(rows: Sequence[Sequence[_Item]], neighbours: Mapping[_Item, Sequence[_Item]]) -> int:
    place = {item: index for row in rows for index, item in enumerate(row)}
    total = 0
    for row in rows:
        ends = [(place[i], place[n]) for i in row for n in neighbours.get(i, ()) if n.column == i.column + 1]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(ends, 2))
    return total


def _settle(rows: Sequence[Sequence[_Item]], neighbours: Mapping[_Item, Sequence[_Item]]) -> None:
    """Give each item the height of its neighbours, as far as its column has room."""
    for row in rows:
        _place(row, [0.0] * len(row))
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            _place(row, [_mean([n.y for n in neighbours.get(item, ())], item.y) for item in row])
    top = min(item.y - item.height / 2 for row in rows for item in row)
    for row in rows:
        for item in row:
            item.y -= top


def _place(row: Sequence[_Item], wanted: Sequence[float]) -> None:
    """Heights as near to `wanted` as the distances allow: least squares, by pooling adjacent violators."""
    apart = [(above.height + below.height) / 2 + ROW_GAP for above, below in pairwise(row)]
    shift = list(accumulate(apart, initial=0.0))
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, shift, strict=False):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, weight = pools.pop()
            mean, count = (mean * count + other * weight) / (count + weight), count + weight
        pools.append((mean, count))
    settled = [mean for mean, count in pools for _ in range(count)]
    for item, height, offset in zip(row, settled, shift, strict=False):
        item.y = height + offset


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _left(column: int) -> float:
    return MARGIN + column * (NODE_WIDTH + COLUMN_GAP)


def _path(chain: Sequence[_Item]) -> str:
    """Curves through the gaps between columns, straight through the columns."""
    parts = [f"M{_left(chain[0].column) + NODE_WIDTH:g} {HEADER + chain[0].y:.1f}"]
    for item, following in pairwise(chain):
        x, bend = _left(following.column), COLUMN_GAP / 2
        y, target = HEADER + item.y, HEADER + following.y
        parts.append(f"C{x - bend:g} {y:.1f} {x - bend:g} {target:.1f} {x:g} {target:.1f}")
        if following.name is None:
            parts.append(f"H{x + NODE_WIDTH:g}")
    return "".join(parts)
