"""Who waits for whom: the upstream of each calibration, and full barriers between the steps where a processing asks."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from b2cal.model import BarrierPolicy, Step

Edges = Mapping[str, AbstractSet[str]]
"""For each name those directly before it."""


@dataclass(frozen=True)
class Place:
    """A calibration in the order of things: its step, and its direct upstream."""

    name: str
    step: Step
    upstream: frozenset[str]


def directly_before(places: Iterable[Place], barrier: BarrierPolicy) -> dict[str, set[str]]:
    """Whom each waits for before it starts: its upstream; with full barriers also the nearest step that has any.

    So, one after the other, it waits for everything in the steps before.
    """
    places = list(places)
    before = {place.name: set(place.upstream) for place in places}
    if barrier is BarrierPolicy.STEPS:
        for place in places:
            earlier = [other for other in places if other.step.order < place.step.order]
            nearest = max((other.step.order for other in earlier), default=0)
            before[place.name] |= {other.name for other in earlier if other.step.order == nearest}
    return before


def all_before(edges: Edges, name: str) -> set[str]:
    """Everything before `name`, directly or not."""
    found: set[str] = set()
    frontier = set(edges[name])
    while frontier:
        found |= frontier
        frontier = {needed for other in frontier for needed in edges[other]} - found
    return found


def all_after(edges: Edges, name: str) -> set[str]:
    """Everything that `name` is before of, directly or not."""
    found: set[str] = set()
    frontier = {name}
    while frontier:
        frontier = {other for other, needs in edges.items() if needs & frontier} - found
        found |= frontier
    return found
