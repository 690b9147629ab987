"""When will a processing end? The longest way through the graph, with what earlier processings took."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from b2cal.model import State

ZERO = timedelta(0)


@dataclass(frozen=True)
class Remaining:
    """What is left of one calibration.

    Attributes:
        state: where it stands.
        upstream: what it waits for.
        took: durations of earlier attempts of the same definition, in this processing or in others.
        running_since: start of the attempt that runs.
        window_ends: until when an open one may be left open.
        decides: it does not go on before somebody has decided.
        held: batch systems hold jobs of it.
    """

    state: State
    upstream: Sequence[str]
    took: Sequence[timedelta]
    running_since: datetime | None = None
    window_ends: datetime | None = None
    decides: bool = False
    held: bool = False


@dataclass(frozen=True)
class Forecast:
    """The end if people decide now, held jobs go on, and open calibrations wait for the end of their windows.

    Attributes:
        likely: with median durations.
        late: with the longest seen.
        path: the calibrations that decide it, in their order.
        decisions: those of them for which somebody has to decide first.
        held: all of which jobs are held.
        unknown: calibrations that never ran before: taken as instant, so `likely` is a lower bound.
    """

    likely: datetime
    late: datetime
    path: tuple[str, ...]
    decisions: tuple[str, ...]
    held: tuple[str, ...]
    unknown: tuple[str, ...]


def forecast(calibrations: Mapping[str, Remaining], now: datetime) -> Forecast | None:
    """The end of a processing; None if nothing is left to do."""
    left = [name for name, it in calibrations.items() if _is_left(it)]
    if not left:
        return None

    likely, late = _ends(calibrations, now, _median), _ends(calibrations, now, max)
    last = max(left, key=lambda name: likely[name])
    path = [last]
    while waiting := [n for n in calibrations[path[0]].upstream if n in calibrations and _is_left(calibrations[n])]:
        path.insert(0, max(waiting, key=lambda name: likely[name]))
    return Forecast(
        likely=likely[last],
        late=max(late[name] for name in left),
        path=tuple(path),
        decisions=tuple(n for n in path if calibrations[n].decides),
        held=tuple(n for n in left if calibrations[n].held),
        unknown=tuple(n for n in left if not calibrations[n].took and calibrations[n].state is not State.REVIEW),
    )


def _is_left(it: Remaining) -> bool:
    return it.state not in (State.SIGNED_OFF, State.VETOED)


def _ends(
    calibrations: Mapping[str, Remaining], now: datetime, typical: Callable[[Sequence[timedelta]], timedelta]
) -> dict[str, datetime]:
    """When each calibration ends if it takes what is `typical` of those before."""
    ends: dict[str, datetime] = {}

    def end(name: str) -> datetime:
        if name not in ends:
            ends[name] = _end(
                calibrations[name], now, typical, [end(o) for o in calibrations[name].upstream if o in calibrations]
            )
        return ends[name]

    for name in calibrations:
        end(name)
    return ends


def _end(
    it: Remaining, now: datetime, typical: Callable[[Sequence[timedelta]], timedelta], before: Sequence[datetime]
) -> datetime:
    if not _is_left(it):
        return now
    begin = max([now, *before])
    if it.state is State.OPEN and it.window_ends is not None:
        begin = max(begin, it.window_ends)
    if not it.took or it.state in (State.REVIEW, State.VALIDATING):
        return begin
    elapsed = now - it.running_since if it.running_since is not None and it.state is State.RUNNING else ZERO
    return begin + max(ZERO, typical(it.took) - elapsed)


def _median(durations: Sequence[timedelta]) -> timedelta:
    return timedelta(seconds=median(duration.total_seconds() for duration in durations))
