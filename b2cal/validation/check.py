"""Checks and the verdict: quantities, the limits that are applied to them, and how that came out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np

from b2cal.model import Grade

Array = np.ndarray[Any, np.dtype[Any]]


class Origin(StrEnum):
    """Where a limit comes from."""

    SCRIPT = "script"
    GENERIC = "generic"
    NONE = "none"


@dataclass(frozen=True)
class Limits:
    """Where values may lie, ends included; None leaves a side free. `beyond` is the grade of a value outside."""

    low: float | None
    high: float | None
    origin: Origin
    beyond: Grade = Grade.FAIL

    @classmethod
    def of_script(cls, limit: Mapping[str, Any]) -> Self:
        """From what a calibration's class declares.

        Raises:
            ValueError: it is no limit.
        """
        low, high = (None if limit.get(side) is None else float(limit[side]) for side in ("low", "high"))
        if any(side is not None and math.isnan(side) for side in (low, high)):
            raise ValueError("a limit that is not a number")
        if low is not None and high is not None and low > high:
            raise ValueError(f"a lower limit of {low:g} above the upper one of {high:g}")
        return cls(low, high, Origin.SCRIPT, Grade(limit.get("beyond", Grade.FAIL)))

    def excess(self, values: Array) -> Array:
        """How far each value lies beyond its nearer limit: positive = outside, infinite = not a finite number.

        A yes/no lies inside if it is yes. Without limits the largest value is nearest to being outside.
        """
        if values.dtype == np.bool_:
            return np.where(values, -1.0, 1.0)
        if self.low is None and self.high is None:
            inside = -1 / (1 + np.abs(values))
        else:
            below = -np.inf if self.low is None else self.low - values
            above = -np.inf if self.high is None else values - self.high
            inside = np.maximum(below, above)
        return np.where(np.isfinite(values), inside, np.inf)


@dataclass(frozen=True)
class Quantity:
    """Something measured, one value per channel, or one yes/no per channel (yes is good).

    Attributes:
        values: floats, NaN where nothing was measured; or booleans.
        labels: what each channel is called.
    """

    name: str
    values: Array
    labels: Sequence[str]
    unit: str = ""


@dataclass(frozen=True)
class Check:
    """One line of a verdict.

    Attributes:
        where: the worst channel; empty if there is only one.
        value: of the worst channel; None if there is none or it is not a number.
        low: the limits, None = free.
        origin: of the limits; NONE = shown, not judged.
        n_outside: channels beyond the limits or without a number.
        note: what a reader must know beside the numbers.
        quantity: all channels, kept to apply other limits; not part of the verdict.
    """

    name: str
    where: str
    value: float | bool | None
    unit: str
    low: float | None
    high: float | None
    origin: Origin
    grade: Grade
    n_outside: int
    n_values: int
    note: str = ""
    quantity: Quantity | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, quantity: Quantity, limits: Limits, note: str = "") -> Self:
        """Apply limits to a quantity. Nothing measured, or anything that is not a finite number, is a failure."""
        values = quantity.values.ravel()
        excess = limits.excess(values)
        worst = int(np.argmax(excess)) if values.size else 0
        outside = int(np.count_nonzero(excess > 0))
        grade = limits.beyond if outside else Grade.PASS
        not_numbers = int(np.count_nonzero(~np.isfinite(values)))
        if not_numbers or not values.size:
            grade = Grade.FAIL
            note = f"{not_numbers} of {values.size} values are not finite numbers." if values.size else "No values."
        value = values[worst].item() if values.size and np.isfinite(values[worst]) else None
        where = quantity.labels[worst] if values.size and value is not True else ""
        return cls(
            quantity.name, where, value, quantity.unit, limits.low, limits.high, limits.origin, grade, outside,
            values.size, note, quantity,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """As it stands in the verdict's row."""
        return {
            "name": self.name,
            "where": self.where,
            "value": self.value,
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "origin": self.origin.value,
            "grade": self.grade.value,
            "n_outside": self.n_outside,
            "n_values": self.n_values,
            "note": self.note,
        }
