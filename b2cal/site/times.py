"""Times as the reader wants them: kept in UTC, shown in her zone with the zone named, durations in words."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup

from b2cal.loop import spoken

ZONES = {"UTC": "UTC", "Asia/Tokyo": "KEK", "America/New_York": "BNL", "Europe/Berlin": "DESY"}
"""Zones that a reader can choose besides that of her browser, and what they are called in the field."""


@dataclass(frozen=True)
class Reader:
    """In whose zone a page is written, and when."""

    zone: ZoneInfo
    now: datetime

    def moment(self, at: datetime | None) -> Markup:
        """A point in time: `22:00 JST` today, `20 Nov, 18:02 JST` otherwise; machine-readable and in UTC besides."""
        if at is None:
            return Markup("–")
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            at.astimezone(UTC).isoformat(timespec="seconds"),
            f"{at.astimezone(UTC):%a %d %b %Y, %H:%M:%S} UTC",
            self.plain(at),
        )

    def plain(self, at: datetime) -> str:
        """The same without mark-up."""
        local, today = at.astimezone(self.zone), self.now.astimezone(self.zone)
        if local.date() == today.date():
            return f"{local:%H:%M} {local.tzname()}"
        year = "" if local.year == today.year else f" {local.year}"
        return f"{local.day} {local:%b}{year}, {local:%H:%M} {local.tzname()}"

    def ago(self, at: datetime | None) -> Markup:
        """How long ago, or in how long: `1 h 05 ago`, `in 9 h 20`."""
        if at is None:
            return Markup("–")
        text = f"in {spoken(at - self.now)}" if at > self.now else f"{spoken(self.now - at)} ago"
        return self._titled(at, text)

    def age(self, at: datetime | None) -> Markup:
        """The same without a direction: `1 h 05`."""
        return Markup("–") if at is None else self._titled(at, spoken(abs(self.now - at)))

    def _titled(self, at: datetime, text: str) -> Markup:
        local = at.astimezone(self.zone)
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            at.astimezone(UTC).isoformat(timespec="seconds"), f"{local:%a %d %b %Y, %H:%M:%S %Z}", text
        )


def zone_named(name: str | None) -> ZoneInfo:
    """The zone of this IANA name; UTC for none, and for a name that nobody knows."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
