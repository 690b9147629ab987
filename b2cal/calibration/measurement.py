"""What a calibration measures about its new constants, and the limits that it suggests for them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from b2cal.core.errors import B2calError


class Grade(StrEnum):
    """How one check, or a whole verdict, came out."""

    PASS = auto()
    WARN = auto()
    FAIL = auto()


@dataclass(frozen=True)
class Limit:
    """Where a measurement may lie, ends included; None leaves a side free.

    Attributes:
        beyond: what a value outside means.
    """

    low: float | None = None
    high: float | None = None
    beyond: Grade = Grade.FAIL

    def to_json(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "beyond": str(self.beyond)}


class InvalidMeasurement(B2calError):
    """A measurement that nobody could compare with a limit."""


@dataclass(frozen=True)
class Measurement:
    """One measured property of new constants.

    Attributes:
        name: what was measured; a script's `limits` are found by it.
        values: a number, one number per channel, or a yes/no (True is good). NaN: this channel was not measured.
        errors: one standard deviation for each value.
        unit: of values, errors and previous.
        axis: what the channels are, for instance "layer".
        previous: the same for the constants that were valid before.
    """

    name: str
    values: ArrayLike
    errors: ArrayLike | None = None
    unit: str = ""
    axis: str = ""
    previous: ArrayLike | None = None

    def __post_init__(self) -> None:
        """Check that there is one error and one previous value for each value.

        Raises:
            InvalidMeasurement: there is not, or the values are no numbers.
        """
        shape = np.shape(self.values)
        for what in ("values", "errors", "previous"):
            given = getattr(self, what)
            if given is None and what != "values":
                continue
            if np.asarray(given).dtype.kind not in "biuf" or np.ndim(given) > 1 or np.shape(given) != shape:
                raise InvalidMeasurement(
                    f"The {what} of the measurement {self.name!r} are {np.asarray(given).dtype} of shape"
                    f" {np.shape(given)}, the values have the shape {shape}.",
                    hint="Give a number, a yes/no or one of them for each channel, and as many errors and previous.",
                )

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON; numbers that are not finite become null."""
        return {
            "name": self.name,
            "values": _plain(self.values),
            "errors": _plain(self.errors),
            "unit": self.unit,
            "axis": self.axis,
            "previous": _plain(self.previous),
        }


def as_measurements(answer: Any) -> list[Measurement]:
    """What a script's `measure` returned, checked.

    Raises:
        InvalidMeasurement: it is no list of measurements, or two have the same name.
    """
    measurements = list(answer) if isinstance(answer, Iterable) else [answer]
    for measurement in measurements:
        if not isinstance(measurement, Measurement):
            raise InvalidMeasurement(f"measure returned {measurement!r}.", hint="Return a list of Measurement.")
    names = [measurement.name for measurement in measurements]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidMeasurement(f"measure returned {', '.join(sorted(twice))} twice.", hint="Give each its own name.")
    return measurements


def _plain(values: ArrayLike | None) -> Any:
    if values is None:
        return None
    array = np.asarray(values)
    if array.dtype.kind == "f":
        array = np.where(np.isfinite(array), array, None)  # type: ignore[call-overload]
    return array.tolist()
