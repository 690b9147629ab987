"""The same rules with a dictionary: which payload each run of a small universe has."""

from collections.abc import Iterable

from hypothesis import strategies as st

from b2cal.conditions import Entry
from b2cal.core.iov import OPEN

UNIVERSE = range(12)
"""Runs as numbers; the last one stands for everything that comes later."""


def identity(letter: str) -> str:
    return letter * 64


def runs_of(entry: Entry) -> range:
    return range(entry.first, UNIVERSE.stop if entry.last == OPEN else entry.last + 1)


def as_map(entries: Iterable[Entry]) -> dict[tuple[str, int], str]:
    """(payload name, run) -> identity; fails on overlaps."""
    found: dict[tuple[str, int], str] = {}
    for entry in entries:
        for run in runs_of(entry):
            assert (entry.name, run) not in found, f"two sets of constants for {entry.name}, run {run}"
            found[entry.name, run] = entry.identity
    return found


@st.composite
def an_entry(draw: st.DrawFn, names: tuple[str, ...] = ("Gains",)) -> Entry:
    first = draw(st.integers(0, UNIVERSE.stop - 1))
    last = draw(
        st.one_of(st.integers(first, UNIVERSE.stop - 2) if first < UNIVERSE.stop - 1 else st.nothing(), st.just(OPEN))
    )
    letter = draw(st.sampled_from("ab"))
    return Entry(draw(st.sampled_from(names)), first, last, "ab".index(letter) + 1, identity(letter))


@st.composite
def a_result(draw: st.DrawFn, names: tuple[str, ...] = ("Gains",)) -> list[Entry]:
    """What a processing brings: a range of runs, closed or open, cut into pieces without gap or overlap, per name."""
    whole = draw(an_entry(names))
    last = UNIVERSE.stop - 1 if whole.last == OPEN else whole.last
    result: list[Entry] = []
    for name in draw(st.sets(st.sampled_from(names), min_size=1)):
        firsts = sorted({whole.first, *draw(st.lists(st.integers(whole.first, last), max_size=3))})
        for first, following in zip(firsts, [*firsts[1:], None], strict=True):
            letter = draw(st.sampled_from("ab"))
            end = whole.last if following is None else following - 1
            result.append(Entry(name, first, end, "ab".index(letter) + 1, identity(letter)))
    return result
