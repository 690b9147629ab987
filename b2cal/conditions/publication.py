"""What publishing new entries does to a global tag: shown before, done in one step.

One rule: publishing changes what is valid only for runs that have no constants yet, and for runs inside the open last
IoV after its first one. So a closed IoV never changes and no run that was published with an end changes its constants;
corrections go into an empty tag. A tag that is RUNNING moreover grows only towards later runs.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from b2cal.core.errors import B2calError
from b2cal.core.iov import OPEN, IoV, gaps, overlaps
from b2cal.model import GlobalTag, TagIov, TagState

from .entries import Entry, by_name, clipped, effective, joined
from .tags import locked, tag_entries, takes_payloads, way_on


@dataclass(frozen=True)
class Change:
    """What publishing does to one payload of a tag.

    Attributes:
        name: of the payload.
        closed: the IoV that is open now, as it will stand; None if none ends.
        created: new IoVs.
        unchanged: runs asked for that have these very constants already: the IoV there simply goes on.
        gaps: runs between the payload's first and last that will have no constants.
        overlaps: runs asked for that have other constants which cannot change, or that were asked for twice.
        forbidden: why this cannot be published; empty if it can.
    """

    name: str
    closed: Entry | None
    created: tuple[Entry, ...]
    unchanged: tuple[IoV, ...]
    gaps: tuple[IoV, ...]
    overlaps: tuple[IoV, ...]
    forbidden: str

    def __str__(self) -> str:
        """What a person is told, in one sentence."""
        if self.forbidden:
            return self.forbidden
        parts = []
        if self.closed is not None:
            parts.append(f"the open IoV is closed with {self.closed.iov.last}")
        if self.created:
            parts.append(f"created: {_listed([entry.iov for entry in self.created])}")
        if self.unchanged:
            parts.append(f"goes on as it is: {_listed(self.unchanged)}")
        if self.gaps:
            parts.append(f"gap: {_listed(self.gaps)}")
        return f"{self.name}: {'; '.join(parts)}."

    def to_json(self) -> dict[str, Any]:
        """What is kept with the decision: runs as people write them, constants by their identity."""
        return {
            "name": self.name,
            "closed": None if self.closed is None else _written(self.closed),
            "created": [_written(entry) for entry in self.created],
            "unchanged": [_runs(iov) for iov in self.unchanged],
            "gaps": [str(iov) for iov in self.gaps],
            "overlaps": [str(iov) for iov in self.overlaps],
            "forbidden": self.forbidden,
        }


def _written(entry: Entry) -> dict[str, str]:
    return {**_runs(entry.iov), "identity": entry.identity}


def _runs(iov: IoV) -> dict[str, str]:
    return {"first": str(iov.first), "last": "open" if iov.last is None else str(iov.last)}


class PublicationRefused(B2calError):
    """Something that is published already would have to change. Nothing was published."""


def preview(db: Session, tag_id: int, new: Iterable[Entry]) -> list[Change]:
    """What `publish` would do now, per payload, in the order of their names. Nothing is written."""
    tag = db.get_one(GlobalTag, tag_id)
    return _changes(db, tag, new)


def fixed_for(db: Session, tag: GlobalTag, names: Collection[str], runs: IoV) -> list[str]:
    """Of these payloads those whose constants can change no more for some of these runs: only equal ones are taken."""
    reach = OPEN if tag.state is TagState.RUNNING else runs.last_number
    return sorted(
        {
            it.name
            for it in tag_entries(db, tag.id, names)
            if it.first <= reach and _fixed_until(it) >= runs.first.number
        }
    )


def publish(db: Session, tag_id: int, new: Iterable[Entry]) -> list[Change]:
    """Put new entries into a tag, all or nothing, in the caller's transaction.

    Raises:
        PublicationRefused: names every payload and its IoVs that stand in the way; nothing was written.
    """
    tag = locked(db, tag_id)
    changes = _changes(db, tag, new)
    forbidden = [change.forbidden for change in changes if change.forbidden]
    if forbidden:
        raise PublicationRefused(
            f"Nothing was published to {tag.name}: " + " ".join(forbidden),
            hint=way_on(tag),
        )
    for change in changes:
        _carry_out(db, tag_id, change)
    tag.version += 1
    db.flush()
    return changes


def _carry_out(db: Session, tag_id: int, change: Change) -> None:
    if change.closed is not None:
        its_row = (TagIov.tag_id == tag_id, TagIov.name == change.name, TagIov.first == change.closed.first)
        db.execute(update(TagIov).where(*its_row).values(last=change.closed.last))
    for entry in change.created:
        db.add(TagIov(tag_id=tag_id, name=entry.name, payload_id=entry.payload_id, first=entry.first, last=entry.last))


def _changes(db: Session, tag: GlobalTag, new: Iterable[Entry]) -> list[Change]:
    wanted = by_name(new)
    present = by_name(tag_entries(db, tag.id, names=wanted))
    return [_change(tag, name, present.get(name, []), entries) for name, entries in wanted.items()]


def _change(tag: GlobalTag, name: str, present: Sequence[Entry], new: Sequence[Entry]) -> Change:
    """One payload; `present` and `new` sorted."""
    twice = overlaps(entry.iov for entry in new)
    wanted = list(joined(new))
    last = present[-1] if present and present[-1].last == OPEN else None
    fixed = [entry for entry in present if entry is not last]

    differing = [piece for entry in wanted for piece in _differing(entry, present)]
    clashes = [
        clash
        for piece in differing
        for old in present
        if (clash := piece.iov.overlap(old.iov)) and (old is not last or piece.first <= old.first)
    ]
    too_early = [piece.iov for piece in differing if tag.state is TagState.RUNNING and _is_earlier(piece, present)]

    closed, created = _closed_and_created(last, differing)
    after = [*fixed, *([closed or last] if last else []), *created]
    return Change(
        name=name,
        closed=closed,
        created=tuple(created),
        unchanged=tuple(
            same
            for entry in wanted
            for old in present
            if old.identity == entry.identity
            if (same := old.iov.overlap(entry.iov))
        ),
        gaps=tuple(_inner_gaps(after)),
        overlaps=tuple(twice or clashes),
        forbidden=_forbidden(tag, name, twice, clashes, too_early),
    )


def _closed_and_created(last: Entry | None, differing: Sequence[Entry]) -> tuple[Entry | None, list[Entry]]:
    """Where the open IoV ends, and everything that is new; what was valid after a closed range goes on behind it."""
    inside = [piece for piece in differing if last and piece.first > last.first]
    if last is None or not inside:
        return None, list(joined(differing))
    cut = inside[0].first
    before = [piece for piece in differing if piece.first < cut]
    return replace(last, last=cut - 1), [*joined(before), *effective([replace(last, first=cut)], inside)]


def _differing(entry: Entry, present: Sequence[Entry]) -> list[Entry]:
    """The parts of an entry where other constants are valid now, or none."""
    same = [old.iov for old in present if old.identity == entry.identity]
    return [piece for gap in gaps(same, entry.iov) for piece in clipped([entry], gap)]


def _is_earlier(piece: Entry, present: Sequence[Entry]) -> bool:
    return any(piece.first <= _fixed_until(old) for old in present)


def _fixed_until(present: Entry) -> int:
    """The last run for which constants of a tag can change no more."""
    return present.first if present.last == OPEN else present.last


def _inner_gaps(entries: Sequence[Entry]) -> list[IoV]:
    within = IoV.from_numbers(min(entry.first for entry in entries), max(entry.last for entry in entries))
    return gaps((entry.iov for entry in entries), within)


def _forbidden(
    tag: GlobalTag, name: str, twice: Sequence[IoV], clashes: Sequence[IoV], too_early: Sequence[IoV]
) -> str:
    if not takes_payloads(tag):
        return f"{tag.name} is {tag.state}; only tags that are open or running take {name}."
    if twice:
        return f"{name} is to be published more than once for {_listed(twice)}."
    if clashes:
        return f"{name} is already published with other constants for {_listed(clashes)}."
    if too_early:
        return f"{name} is to be published for {_listed(too_early)}, but {tag.name} is running and grows only forwards."
    return ""


def _listed(iovs: Sequence[IoV]) -> str:
    return ", ".join(map(str, iovs))
