"""The time that counts for a window: it does not run down on the blocked days of its processing."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from b2cal.model import BlockedDay

from .errors import InvalidChoice

ZERO, DAY = timedelta(0), timedelta(days=1)
MOST_DAYS = 366
YEARS = range(1970, 3000)
"""Days at the ends of Python's calendar have no midnight in UTC."""

Blocked = Sequence[BlockedDay]
"""Blocked days of one processing, in their order."""


def blocked_days(days: Iterable[date], zone: str) -> list[BlockedDay]:
    """Days as people name them, from midnight to midnight in their zone, for the database in UTC.

    Raises:
        InvalidChoice: nobody knows the zone, there are too many days, or one of another millennium.
    """
    try:
        named = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidChoice(f"There is no time zone {zone!r}.", hint="Give a name such as Asia/Tokyo or UTC.") from None
    chosen = sorted(set(days))
    if len(chosen) > MOST_DAYS:
        raise InvalidChoice(f"{len(chosen):,} days cannot be blocked.", hint=f"Give at most {MOST_DAYS}.")
    for day in chosen:
        if day.year not in YEARS:
            raise InvalidChoice(f"{day} cannot be blocked.", hint=f"Give days from {YEARS[0]} to {YEARS[-1]}.")

    def midnight(day: date) -> datetime:
        return datetime.combine(day, time(), named).astimezone(UTC)

    return [BlockedDay(day=day, zone=zone, starts_at=midnight(day), ends_at=midnight(day + DAY)) for day in chosen]


def running(begin: datetime, end: datetime, blocked: Blocked) -> timedelta:
    """How much of the time from `begin` to `end` counts."""
    return end - begin - sum((max(ZERO, min(end, d.ends_at) - max(begin, d.starts_at)) for d in blocked), ZERO)


def after(begin: datetime, duration: timedelta, blocked: Blocked) -> datetime:
    """When, from `begin` on, so much time that counts has passed."""
    end = begin + duration
    for day in blocked:
        if day.starts_at < end and begin < day.ends_at:
            end += day.ends_at - max(day.starts_at, begin)
    return end


def spoken_days(blocked: Blocked) -> str:
    """Blocked days as people say them: `24 Dec 2026, 29 Dec 2026 to 3 Jan 2027 (Asia/Tokyo)`; empty for none."""
    runs = [
        [day.day for _, day in run]
        for _, run in groupby(enumerate(blocked), key=lambda pair: pair[1].day - pair[0] * DAY)
    ]
    texts = [_text(run[0]) if len(run) == 1 else f"{_text(run[0])} to {_text(run[-1])}" for run in runs]
    return f"{', '.join(texts)} ({blocked[0].zone})" if texts else ""


def _text(day: date) -> str:
    return f"{day.day} {day:%b %Y}"
