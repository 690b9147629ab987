"""What is due when: the window of a calibration, its reminders, its end."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from b2cal.model import Calibration, Processing, StartPolicy, State

from .calendar import Blocked, after, running
from .rules import GOING


def next_due(
    processing: Processing, calibration: Calibration, reminders: Sequence[float], at: datetime
) -> datetime | None:
    """The next point in time, after `at`, at which something happens to a calibration by itself.

    What is past was done, or waits for a signal: a hold that ends, or a person.
    """
    due: list[datetime | None] = []
    if calibration.state is State.OPEN:
        due = [next_reminder(calibration, reminders), calibration.window_ends_at]
    elif calibration.state is State.SUBMITTED:
        at_the_end = processing.start_policy is StartPolicy.DEADLINE
        due = [calibration.window_ends_at if at_the_end else None, inputs_asked_at(processing, calibration)]
    return None if processing.held else min((time for time in due if time is not None and time > at), default=None)


def next_reminder(calibration: Calibration, reminders: Sequence[float]) -> datetime | None:
    """When the expert is reminded next; None when all reminders were sent."""
    start, end = calibration.window_started_at, calibration.window_ends_at
    if start is None or end is None or calibration.reminders_sent >= len(reminders):
        return None
    blocked = calibration.processing.blocked_days
    share = sorted(reminders)[calibration.reminders_sent]
    return after(start, share * running(start, end, blocked), blocked)


def inputs_asked_at(processing: Processing, calibration: Calibration) -> datetime | None:
    """When inputs that stay incomplete are put to the manager; None while it is not the inputs that it waits for."""
    since = calibration.incomplete_since
    return None if since is None else since + timedelta(seconds=processing.inputs_patience_s)


def asks_for_inputs(processing: Processing, calibration: Calibration, at: datetime) -> bool:
    """Whether its inputs have been incomplete for so long that the manager decides."""
    asked_at = inputs_asked_at(processing, calibration)
    return asked_at is not None and at >= asked_at and processing.state in GOING


def asks_to_be_submitted(calibration: Calibration, at: datetime) -> bool:
    """Whether its window is over and it could not be submitted by itself: `problem` says why."""
    ends_at = calibration.window_ends_at
    over = ends_at is None or ends_at <= at
    return calibration.state is State.OPEN and over and bool(calibration.problem)


def open_window(calibration: Calibration, at: datetime, length_s: float, blocked: Blocked) -> datetime:
    """Begin a window of `length_s` seconds that are not blocked; tells its end."""
    calibration.window_started_at = at
    calibration.window_ends_at = ends_at = after(at, timedelta(seconds=length_s), blocked)
    calibration.reminders_sent = 0
    return ends_at


def spoken(duration: timedelta) -> str:
    """A duration as people say it: `9 h 20`, `14 min`, `8 s`."""
    seconds = max(0, round(duration.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 2 * 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d}"
    return f"{seconds // 86400} days"


_SPOKEN = re.compile(r"\b\d+ (?:s|min|h \d\d|days)\b")


def without_durations(sentence: str) -> str:
    """A sentence to compare: the same for two in which only durations, as `spoken` says them, differ."""
    return _SPOKEN.sub("…", sentence)
