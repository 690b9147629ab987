"""Drawings in SVG, in the colours of the page: the life of something as states, and layers of rooms."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from html import escape

NODE_WIDTH, NODE_HEIGHT, PITCH = 112, 36, 66
LANE = 78
READABLE = 520
ROOM_WIDTH, ROOM_HEIGHT, ROOM_GAP = 104, 32, 12

_LINE = 'fill="none" stroke="currentColor" stroke-width="1.2"'
_BOX = 'style="fill: var(--color-background-secondary, none)" stroke="currentColor"'
_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 L8 4 L0 8 z" fill="currentColor"/></marker></defs>'
)


@dataclass(frozen=True)
class Edge:
    """Something leads from each of `sources` to `target`; drawn dashed where no person may do it."""

    label: str
    sources: frozenset[str]
    target: str
    by_people: bool


@dataclass(frozen=True)
class _Lane:
    """An edge that runs beside the states: backwards on the left, forwards on the right."""

    edge: Edge
    sources: tuple[str, ...]
    side: int
    number: int

    @property
    def states(self) -> tuple[str, ...]:
        return (*self.sources, self.edge.target)


def states(order: Sequence[str], edges: Sequence[Edge], finished: Collection[str]) -> str:
    """States from top to bottom. An edge to the next state is a straight arrow, each other has a lane of its own."""
    place = {state: number for number, state in enumerate(order)}
    straight = [edge for edge in edges if {place[state] + 1 for state in edge.sources} == {place[edge.target]}]
    lanes = [lane for side in (-1, 1) for lane in _lanes([e for e in edges if e not in straight], place, side)]
    left = max((lane.number for lane in lanes if lane.side < 0), default=0) * LANE + 8
    right = max((lane.number for lane in lanes if lane.side > 0), default=0) * LANE + 8
    parts = [_node(state, left, place[state] * PITCH, double=state in finished) for state in order]
    parts += [_straight(edge, left + NODE_WIDTH / 2, place[edge.target] * PITCH) for edge in straight]
    parts += [part for lane in lanes for part in _lane(lane, left, place, lanes)]
    text = "; ".join(f"{edge.label}: {', '.join(sorted(edge.sources))} to {edge.target}" for edge in edges)
    return _svg(left + NODE_WIDTH + right, len(order) * PITCH - PITCH + NODE_HEIGHT, parts, text)


def layers(rooms: Sequence[Sequence[str]]) -> str:
    """Layers from top to bottom, with an arrow at their side that says which way imports go."""
    widest = max(len(layer) for layer in rooms)
    width = widest * (ROOM_WIDTH + ROOM_GAP)
    parts = []
    for row, layer in enumerate(rooms):
        start = (width - len(layer) * (ROOM_WIDTH + ROOM_GAP)) / 2
        for column, room in enumerate(layer):
            x, y = start + column * (ROOM_WIDTH + ROOM_GAP) + ROOM_GAP / 2, row * (ROOM_HEIGHT + ROOM_GAP)
            parts.append(_box(room, x, y, ROOM_WIDTH, ROOM_HEIGHT))
    height = len(rooms) * (ROOM_HEIGHT + ROOM_GAP) - ROOM_GAP
    parts.append(_path(f"M{width + 16} 0 V{height}", dashed=False, arrow=True))
    parts.append(_text("may import", width + 24, height / 2, anchor="start"))
    text = "; then ".join(", ".join(layer) for layer in rooms)
    return _svg(width + 100, height, parts, f"Rooms from top to bottom: {text}")


def _lanes(edges: Sequence[Edge], place: dict[str, int], side: int) -> list[_Lane]:
    """The lanes on one side; shorter ones run nearer to the states."""
    found = []
    for edge in edges:
        goal = place[edge.target]
        sources = tuple(sorted((s for s in edge.sources if (goal - place[s]) * side > 0), key=place.__getitem__))
        if sources:
            found.append((max(abs(goal - place[state]) for state in sources), edge, sources))
    found.sort(key=lambda each: each[0])
    return [_Lane(edge, sources, side, number) for number, (_, edge, sources) in enumerate(found, 1)]


def _lane(lane: _Lane, left: float, place: dict[str, int], lanes: Sequence[_Lane]) -> Iterator[str]:
    edge_of_nodes = left if lane.side < 0 else left + NODE_WIDTH
    x = edge_of_nodes + lane.side * lane.number * LANE
    dashed = not lane.edge.by_people
    heights = {state: place[state] * PITCH + _port(lane, state, lanes) for state in lane.states}
    yield _path(f"M{x} {min(heights.values())} V{max(heights.values())}", dashed=dashed)
    for state in lane.sources:
        yield _path(f"M{edge_of_nodes} {heights[state]} H{x}", dashed=dashed)
    goal = heights[lane.edge.target]
    yield _path(f"M{x} {goal} H{edge_of_nodes}", dashed=dashed, arrow=True)
    yield _text(lane.edge.label, x - lane.side * LANE / 2, goal - 4, size=11)


def _port(lane: _Lane, state: str, lanes: Sequence[_Lane]) -> float:
    """Where on the side of a state the line of this lane ends: all that end there share its height."""
    there = [other for other in lanes if other.side == lane.side and state in other.states]
    return NODE_HEIGHT * (there.index(lane) + 1) / (len(there) + 1)


def _node(name: str, x: float, y: float, *, double: bool) -> str:
    inner = f'<rect x="{x + 3}" y="{y + 3}" width="{NODE_WIDTH - 6}" height="{NODE_HEIGHT - 6}" rx="5" {_LINE}/>'
    return _box(name, x, y, NODE_WIDTH, NODE_HEIGHT) + (inner if double else "")


def _straight(edge: Edge, x: float, y: float) -> str:
    arrow = _path(f"M{x} {y - PITCH + NODE_HEIGHT} V{y}", dashed=not edge.by_people, arrow=True)
    return arrow + _text(edge.label, x + 6, y - (PITCH - NODE_HEIGHT) / 2 + 3, anchor="start", size=11)


def _box(name: str, x: float, y: float, width: float, height: float) -> str:
    label = _text(name, x + width / 2, y + height / 2 + 4.5)
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" {_BOX}/>{label}'


def _path(steps: str, *, dashed: bool, arrow: bool = False) -> str:
    more = (' stroke-dasharray="4 3"' if dashed else "") + (' marker-end="url(#arrow)"' if arrow else "")
    return f'<path d="{steps}" {_LINE}{more}/>'


def _text(text: str, x: float, y: float, *, anchor: str = "middle", size: int = 13) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'


def _svg(width: float, height: float, parts: Sequence[str], text: str) -> str:
    least = min(width + 8, READABLE)  # as narrow as the page, but not too small to read: then it scrolls
    style = f"display: block; width: 100%; min-width: {least}px; max-width: {width + 8}px; height: auto"
    size = f'viewBox="-4 -4 {width + 8} {height + 8}" style="{style}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(text)}">'
    # Markdown takes everything up to an empty line as HTML.
    return "\n".join(['<div style="overflow-x: auto">', head, _ARROW, *parts, "</svg>", "</div>"])
