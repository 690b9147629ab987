"""What a calibration measures about its new constants, and the limits that it suggests for them."""

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class Outcome(StrEnum):
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
    beyond: Outcome = Outcome.FAIL

    def to_json(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "beyond": str(self.beyond)}


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


def _plain(values: ArrayLike | None) -> Any:
    if values is None:
        return None
    array = np.asarray(values)
    if array.dtype.kind == "f":
        array = np.where(np.isfinite(array), array, None)  # type: ignore[call-overload]
    return array.tolist()
