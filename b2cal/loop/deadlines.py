"""What is due when: the window of a calibration, its reminders, its end."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from b2cal.model import Calibration, State


def next_due(calibration: Calibration, reminders: Sequence[float]) -> datetime | None:
    """The next point in time at which something happens to an open calibration by itself."""
    if calibration.state is not State.OPEN or calibration.window_ends_at is None:
        return None
    reminder = next_reminder(calibration, reminders)
    return calibration.window_ends_at if reminder is None else min(reminder, calibration.window_ends_at)


def next_reminder(calibration: Calibration, reminders: Sequence[float]) -> datetime | None:
    """When the expert is reminded next; None when all reminders were sent."""
    start, end = calibration.window_started_at, calibration.window_ends_at
    if start is None or end is None or calibration.reminders_sent >= len(reminders):
        return None
    return start + sorted(reminders)[calibration.reminders_sent] * (end - start)


def open_window(calibration: Calibration, at: datetime, length_s: float) -> None:
    """Begin a window of `length_s` seconds."""
    calibration.window_started_at = at
    calibration.window_ends_at = at + timedelta(seconds=length_s)
    calibration.reminders_sent = 0


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
