"""What has arrived of a run range, stream by stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlalchemy import select as query
from sqlalchemy.orm import Session

from b2cal.core.iov import ExpRun
from b2cal.model import DataFile, DataFormat, Run, UnreadableFile


@dataclass
class StreamArrival:
    """Files of one stream: for how many runs all, some or none of the expected events are there.

    Attributes:
        last_at: when the newest of its files was registered.
    """

    stream: str
    complete: int = 0
    partial: int = 0
    none: int = 0
    n_files: int = 0
    n_events: int = 0
    expected_events: int = 0
    last_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return vars(self)


@dataclass(frozen=True)
class Arrival:
    """What has arrived of the runs from one to another.

    Attributes:
        n_runs: those that the registry knows.
        awaited: the registry knows no run yet between these two; None: it has come to the end of the range.
    """

    n_runs: int
    awaited: tuple[ExpRun, ExpRun] | None
    streams: list[StreamArrival] = field(default_factory=list)


def arrival(db: Session, first: int, last: int) -> Arrival:
    """Which of the events that the run registry promises for these runs (numbers, both included) are there."""
    rows = db.execute(query(Run.exprun, Run.expected).where(Run.exprun.between(first, last)))
    expected: dict[int, Mapping[str, int]] = {row.exprun: row.expected for row in rows}
    newest = db.scalar(query(func.max(Run.exprun)))
    behind = newest is not None and newest < last
    streams: dict[str, StreamArrival] = {}
    found: dict[tuple[int, str], int] = {}
    for exprun, stream, n_files, n_events, last_at in db.execute(_files(first, last)):
        it = streams.setdefault(stream, StreamArrival(stream))
        it.n_files += n_files
        it.n_events += int(n_events)
        it.last_at = max(filter(None, (it.last_at, last_at)))
        found[exprun, stream] = int(n_events)
    for exprun, promised in expected.items():
        for stream, n_events in promised.items():
            it = streams.setdefault(stream, StreamArrival(stream))
            it.expected_events += n_events
            _count(it, found.get((exprun, stream)), n_events)
    return Arrival(
        n_runs=len(expected),
        awaited=(ExpRun.from_number(newest), ExpRun.from_number(last)) if newest is not None and behind else None,
        streams=[streams[name] for name in sorted(streams)],
    )


def _count(it: StreamArrival, found: int | None, expected: int) -> None:
    """One more run. None: there is no file of it."""
    if (found or 0) >= expected:
        it.complete += 1
    elif found is None:
        it.none += 1
    else:
        it.partial += 1


def _files(first: int, last: int) -> Any:
    return (
        query(
            DataFile.exprun,
            DataFile.data_name,
            func.count(),
            func.sum(DataFile.n_events),
            func.max(DataFile.registered_at),
        )
        .where(DataFile.exprun.between(first, last), DataFile.format == DataFormat.RAW, DataFile.attempt_id.is_(None))
        .where(DataFile.path.not_in(query(UnreadableFile.path)))
        .group_by(DataFile.exprun, DataFile.data_name)
    )
