"""Where the time of a processing went: data, open windows, people, queue, running, retries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from b2cal.model import State

ZERO = timedelta(0)


class Cause(StrEnum):
    """What a calibration spent its time on. Waiting for another calibration is that one's time and counted there.

    While its window is open nobody has to do anything; people are waited for when they have to decide.
    """

    DATA = "data"
    WINDOWS = "open windows"
    PEOPLE = "decisions of people"
    QUEUE = "queue"
    RUNNING = "running"
    RETRIES = "retries"


@dataclass(frozen=True)
class Stay:
    """A calibration was in one state from `begin` to `end`."""

    calibration: str
    state: State
    begin: datetime
    end: datetime


@dataclass(frozen=True)
class Batch:
    """A job group of a calibration: wanted, its first job running, all ended; round > 0 is a retry."""

    calibration: str
    round: int
    wanted: datetime
    running: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class Share:
    """A part of the whole; `percent` of all shares add up to 100."""

    cause: Cause
    time: timedelta
    percent: float


def shares(
    stays: Sequence[Stay], batches: Sequence[Batch], upstream: Mapping[str, Sequence[str]], now: datetime
) -> list[Share]:
    """The time of all calibrations together, by cause; empty while there is none."""
    spent = dict.fromkeys(Cause, ZERO)
    for stay in stays:
        match stay.state:
            case State.OPEN:
                spent[Cause.WINDOWS] += stay.end - stay.begin
            case State.REVIEW | State.FAILED:
                spent[Cause.PEOPLE] += stay.end - stay.begin
            case State.SUBMITTED:
                spent[Cause.DATA] += stay.end - max(stay.begin, min(stay.end, _upstream_done(stay, stays, upstream)))
            case _:
                pass
    for batch in batches:
        running, ended = batch.running or batch.ended or now, batch.ended or now
        if batch.round:
            spent[Cause.RETRIES] += max(ZERO, ended - batch.wanted)
        else:
            spent[Cause.QUEUE] += max(ZERO, running - batch.wanted)
            spent[Cause.RUNNING] += max(ZERO, ended - running)
    total = sum(spent.values(), ZERO)
    return [Share(cause, time, 100 * (time / total)) for cause, time in spent.items()] if total else []


def _upstream_done(stay: Stay, stays: Sequence[Stay], upstream: Mapping[str, Sequence[str]]) -> datetime:
    """Until when, within a stay, one of its upstream calibrations was at work."""
    needed = _all_upstream(stay.calibration, upstream)
    at_work = [
        other.end
        for other in stays
        if other.calibration in needed
        and other.state not in (State.SIGNED_OFF, State.VETOED)
        and other.begin < stay.end
        and other.end > stay.begin
    ]
    return max(at_work, default=stay.begin)


def _all_upstream(name: str, upstream: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    frontier = set(upstream.get(name, ()))
    while frontier:
        found |= frontier
        frontier = {above for other in frontier for above in upstream.get(other, ())} - found
    return found
