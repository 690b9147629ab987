"""Ranges of runs and of days, as people type them."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import click

from b2cal.core.errors import B2calError
from b2cal.core.iov import ExpRun, IoV


class Runs(click.ParamType[IoV]):
    """FIRST-LAST, for instance e26r180-e26r1967."""

    name = "FIRST-LAST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> IoV:
        if isinstance(value, IoV):
            return value
        first, _, last = str(value).partition("-")
        try:
            return IoV(ExpRun.parse(first), ExpRun.parse(last or first))
        except B2calError as error:
            self.fail(f"{error} {error.hint}", param, ctx)


class Days(click.ParamType[tuple[date, ...]]):
    """A day, or the first and the last of several: 2026-12-24 or 2026-12-29..2027-01-03."""

    name = "DAY[..DAY]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[date, ...]:
        if isinstance(value, tuple):
            return value
        first_text, _, last_text = str(value).partition("..")
        try:
            first, last = date.fromisoformat(first_text), date.fromisoformat(last_text or first_text)
        except ValueError:
            self.fail(f"{value!r} is no day. Write 2026-12-24, or 2026-12-29..2027-01-03 for several.", param, ctx)
        if not first <= last:
            self.fail(f"{value!r}: the last day comes before the first.", param, ctx)
        return tuple(first + timedelta(days=number) for number in range((last - first).days + 1))


_EXPIRY_YEARS = range(2000, 2200)
"""What lies further off is a slip of the pen."""


class Expiry(click.ParamType[datetime]):
    """The day from which on files may be deleted: 2026-12-24."""

    name = "DAY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            day = date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day. Write 2026-12-24.", param, ctx)
        if day.year not in _EXPIRY_YEARS:
            self.fail(f"{day} lies too far off. Give a day of {_EXPIRY_YEARS[0]} to {_EXPIRY_YEARS[-1]}.", param, ctx)
        return datetime.combine(day, time(), UTC)
