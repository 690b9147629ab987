"""Which payload is valid for which runs: the algebra of entries, on the number line of `core.iov`."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from b2cal.core.iov import IoV, gaps, overlaps


@dataclass(frozen=True, order=True, slots=True)
class Entry:
    """A payload is valid from run number `first` to `last`, both included; `last` = `core.iov.OPEN` has no end."""

    name: str
    first: int
    last: int
    payload_id: int
    identity: str

    @property
    def iov(self) -> IoV:
        return IoV.from_numbers(self.first, self.last)

    def __str__(self) -> str:
        return f"{self.name} {self.iov}"


def clipped(entries: Iterable[Entry], within: IoV) -> list[Entry]:
    """What of the entries lies inside a range of runs, sorted by name and run."""
    first, last = within.first.number, within.last_number
    inside = (entry for entry in entries if entry.first <= last and first <= entry.last)
    return sorted(replace(entry, first=max(entry.first, first), last=min(entry.last, last)) for entry in inside)


def effective(base: Iterable[Entry], *later: Iterable[Entry]) -> list[Entry]:
    """Lay entries over a base: where later ones are valid they take its place, elsewhere the base shows through.

    Neighbours with equal payload are joined. Sorted by name and run; the same entries always give the same answer.
    """
    layers: dict[str, list[Entry]] = {}
    for layer in (base, *later):
        for entry in sorted(layer):
            _lay(layers.setdefault(entry.name, []), entry)
    return [entry for name in sorted(layers) for entry in joined(layers[name])]


def joined(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Sorted entries of one name, with neighbours of equal payload made one."""
    current: Entry | None = None
    for entry in entries:
        if current and current.identity == entry.identity and current.last + 1 == entry.first:
            current = replace(current, last=entry.last)
            continue
        if current:
            yield current
        current = entry
    if current:
        yield current


def by_name(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Entries of each name, sorted by run."""
    return {name: list(group) for name, group in groupby(sorted(entries), key=lambda entry: entry.name)}


def coverage_problems(
    entries: Iterable[Entry], requested: IoV, names: Collection[str] = (), without_data: Sequence[IoV] = ()
) -> list[str]:
    """Whether every payload covers exactly the runs that were asked for, but for those that had too few data.

    Args:
        entries: what a calibration made.
        requested: the runs that it was asked for.
        names: payloads that must be among them.
        without_data: runs among those asked for that no payload may cover.

    Returns:
        A sentence, without full stop, for each thing that is wrong.
    """
    found = by_name(entries)
    problems = [f"{name} is missing; the calibration declares it" for name in sorted(set(names) - set(found))]
    if not found and not names:
        problems.append("there are no payloads")
    for name, of_name in found.items():
        problems += _coverage_problems(name, [entry.iov for entry in of_name], requested, without_data)
    return problems


def _coverage_problems(name: str, iovs: Sequence[IoV], requested: IoV, without_data: Sequence[IoV]) -> Iterator[str]:
    for gap in (gap for wanted in gaps(without_data, requested) for gap in gaps(iovs, wanted)):
        yield f"{name} has no constants for {gap}, which was asked for"
    for overlap in overlaps(iovs):
        yield f"{name} has more than one set of constants for {overlap}"
    for iov in iovs:
        if iov.overlap(requested) != iov:
            yield f"{name} is valid for {iov}, which reaches beyond {requested}, the runs asked for"
        for poor in (poor for poor in without_data if iov.overlap(poor)):
            yield f"{name} is valid for {iov}, but its fit reported too few data for {poor}"


def _lay(pieces: list[Entry], over: Entry) -> None:
    """Put one entry on top of sorted entries that do not overlap."""
    start = bisect_left(pieces, over.first, key=lambda piece: piece.last)
    end = start
    kept: list[Entry] = []
    while end < len(pieces) and pieces[end].first <= over.last:
        under = pieces[end]
        if under.first < over.first:
            kept.append(replace(under, last=over.first - 1))
        if over.last < under.last:
            kept.append(replace(under, first=over.last + 1))
        end += 1
    pieces[start:end] = sorted([*kept, over])
