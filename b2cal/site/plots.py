"""Small plots, drawn on the server as SVG: a quantity per channel with its limits, and a trend over processings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 640.0, 210.0
LEFT, RIGHT, TOP, BOTTOM = 60.0, 10.0, 26.0, 42.0
"""The frame in pixels; there is room for the names of the axes and for text of twice the size on small screens."""

_MOST_POINTS = 600
_MOST_ERROR_BARS = 120
_MOST_STRETCHES = 4


@dataclass(frozen=True)
class Point:
    """One channel, in pixels."""

    x: float
    y: float
    title: str
    error: tuple[float, float] | None = None


@dataclass(frozen=True)
class Tick:
    """A number beside an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Plot:
    """What the template draws.

    Attributes:
        band: top and bottom of the range inside the limits; None: there is no limit.
        limits: heights of the limits that there are, with their numbers.
        inside, outside: channels within and beyond the limits, each list thinned where it would be too long.
        n_outside: how many channels are beyond the limits.
        where: the channels beyond the limits, in words; empty if there are none.
        previous: the constants before.
        thinned: how many channels stand for one point inside; 1 = all are drawn.
    """

    title: str
    axis: str
    unit: str
    band: tuple[float, float] | None
    limits: tuple[Tick, ...]
    inside: tuple[Point, ...]
    outside: tuple[Point, ...]
    previous: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    thinned: int
    n_outside: int
    where: str

    @property
    def y_title(self) -> str:
        """The name of the vertical axis, with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


def plot_of(measurement: Mapping[str, Any], low: float | None, high: float | None) -> Plot | None:
    """A measurement as `Measurement.to_json` writes it, one point per channel; None for a single number or yes/no."""
    values = _numbers(measurement.get("values"))
    if values is None or len(values) < 2:
        return None
    previous = _numbers(measurement.get("previous")) or []
    errors = (_numbers(measurement.get("errors")) or []) if len(values) <= _MOST_ERROR_BARS else []
    seen = [v for v in (*values, *previous, low, high) if v is not None and math.isfinite(v)]
    if not seen:
        return None
    scale = _Scale.of(seen, len(values))
    outside = [i for i, v in enumerate(values) if v is not None and is_outside(v, low, high)]
    thinned = max(1, math.ceil(len(values) / _MOST_POINTS))
    inside = [i for i, v in enumerate(values) if v is not None and i % thinned == 0 and not is_outside(v, low, high)]
    axis = str(measurement.get("axis") or "channel")

    def point(index: int, series: Sequence[float | None]) -> Point:
        value = series[index]
        assert value is not None
        error = errors[index] if index < len(errors) else None
        bar = None if error is None or series is not values else (scale.y(value + error), scale.y(value - error))
        return Point(scale.x(index), scale.y(value), f"{axis} {index}: {value:.5g}", bar)

    return Plot(
        title=str(measurement.get("name", "")),
        axis=axis,
        unit=str(measurement.get("unit") or ""),
        band=_band(scale, low, high),
        limits=tuple(Tick(scale.y(v), number(v)) for v in (low, high) if v is not None),
        inside=tuple(point(i, values) for i in inside),
        outside=tuple(point(i, values) for i in outside[:: math.ceil(len(outside) / _MOST_POINTS) or 1]),
        previous=tuple(
            point(i, previous) for i in range(0, len(previous), thinned) if previous[i] is not None and i < len(values)
        ),
        x_ticks=tuple(Tick(scale.x(i), str(i)) for i in _channel_ticks(len(values))),
        y_ticks=tuple(Tick(scale.y(v), number(v)) for v in scale.round_values()),
        thinned=thinned,
        n_outside=len(outside),
        where=_where(axis, outside),
    )


def number(value: float) -> str:
    """A number beside an axis."""
    return f"{value:.4g}".replace("-", "−")


@dataclass(frozen=True)
class _Scale:
    """From values and channel numbers to pixels."""

    bottom: float
    top: float
    n_channels: int

    @classmethod
    def of(cls, values: Sequence[float], n_channels: int) -> "_Scale":
        low, high = min(values), max(values)
        margin = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
        return cls(low - margin, high + margin, n_channels)

    def round_values(self) -> list[float]:
        """Three to six round numbers inside the range."""
        step = 10 ** math.floor(math.log10((self.top - self.bottom) / 3))
        step *= next((factor for factor in (1, 2, 5) if (self.top - self.bottom) / (step * factor) <= 6), 10)
        first = math.ceil(self.bottom / step)
        return [round(n * step, 12) for n in range(first, math.floor(self.top / step) + 1)]

    def x(self, channel: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (channel + 0.5) / self.n_channels

    def y(self, value: float) -> float:
        clipped = min(max(value, self.bottom), self.top)
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.top - clipped) / (self.top - self.bottom)


def _numbers(values: Any) -> list[float | None] | None:
    """A flat list of numbers; None for anything else, yes/no among it."""
    if not isinstance(values, list) or not values:
        return None
    flat = [item for row in values for item in (row if isinstance(row, list) else [row])]
    if any(isinstance(value, (bool, str, list, dict)) for value in flat):
        return None
    return [None if value is None else float(value) for value in flat]


def is_outside(value: float, low: float | None, high: float | None) -> bool:
    """Beyond a limit; None is no limit."""
    return (low is not None and value < low) or (high is not None and value > high)


def _band(scale: _Scale, low: float | None, high: float | None) -> tuple[float, float] | None:
    if low is None and high is None:
        return None
    top = scale.y(scale.top if high is None else high)
    return top, scale.y(scale.bottom if low is None else low)


def _where(axis: str, channels: Sequence[int]) -> str:
    """Which channels, as stretches: `board 60 to 73`; where there are many, from where to where they are spread."""
    stretches: list[list[int]] = []
    for channel in channels:
        if stretches and channel == stretches[-1][1] + 1:
            stretches[-1][1] = channel
        else:
            stretches.append([channel, channel])
    if not stretches:
        return ""
    if len(stretches) > _MOST_STRETCHES:
        return f"spread from {axis} {channels[0]} to {channels[-1]}"
    return f"{axis} " + ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in stretches)


def _channel_ticks(n_channels: int) -> list[int]:
    if n_channels <= 8:
        return list(range(n_channels))
    step = 10 ** math.floor(math.log10(n_channels / 2))
    step *= next((factor for factor in (1, 2, 5) if n_channels / (step * factor) <= 8), 5)
    return list(range(0, n_channels, int(step)))
