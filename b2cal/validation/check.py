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
        if not isinstance(limit, Mapping):
            raise ValueError("a limit that has no low and high")  # noqa: TRY004  it comes from a file, not from a caller
        low, high = (None if limit.get(side) is None else float(limit[side]) for side in ("low", "high"))
        low, high = None if low == -math.inf else low, None if high == math.inf else high
        if any(side is not None and not math.isfinite(side) for side in (low, high)):
            raise ValueError("a limit that is not a finite number")
        if low is not None and high is not None and low > high:
            raise ValueError(f"a lower limit of {low:g} above the upper one of {high:g}")
        return cls(low, high, Origin.SCRIPT, Grade(limit.get("beyond", Grade.FAIL)))

    def excess(self, values: Array) -> Array:
        """How far each value lies beyond its nearer limit: positive = outside, NaN = not measured.

        A yes/no lies inside if it is yes, an infinite value always outside. Without limits the largest value is nearest
        to being outside.
        """
        if values.dtype == np.bool_:
            return np.where(values, -1.0, 1.0)
        finite = np.where(np.isinf(values), 0.0, values)
        if self.low is None and self.high is None:
            beyond = -1 / (1 + np.abs(finite))
        else:
            below = -np.inf if self.low is None else self.low - finite
            above = -np.inf if self.high is None else finite - self.high
            beyond = np.maximum(below, above)
        return np.where(np.isinf(values), np.inf, beyond)


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
        n_outside: channels beyond the limits; all of them if nothing was measured.
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
        """Apply limits to a quantity.

        A channel that was not measured says nothing. No values, none that was measured, or an infinite one: failure.
        """
        values = quantity.values.ravel()
        excess = limits.excess(values)
        n_unmeasured = int(np.count_nonzero(np.isnan(excess)))
        if n_unmeasured == values.size:
            note = "It was not measured." if values.size else "It has no values."
            return cls._line(quantity, limits, worst=None, grade=Grade.FAIL, n_outside=n_unmeasured, note=note)
        worst = int(np.nanargmax(excess))
        n_outside = int(np.count_nonzero(excess > 0))
        grade = limits.beyond if n_outside else Grade.PASS
        if np.isinf(values[worst]):
            grade, note = Grade.FAIL, "Not all values are finite."
        elif n_unmeasured:
            note = f"{note} {n_unmeasured} of {values.size} were not measured.".strip()
        return cls._line(quantity, limits, worst=worst, grade=grade, n_outside=n_outside, note=note)

    @classmethod
    def _line(
        cls, quantity: Quantity, limits: Limits, *, worst: int | None, grade: Grade, n_outside: int, note: str
    ) -> Self:
        value = None if worst is None else quantity.values.ravel()[worst].item()
        return cls(
            name=quantity.name,
            where="" if worst is None or value is True else quantity.labels[worst],
            value=None if value is None or math.isinf(value) else value,
            unit=quantity.unit,
            low=limits.low,
            high=limits.high,
            origin=limits.origin,
            grade=grade,
            n_outside=n_outside,
            n_values=quantity.values.size,
            note=note,
            quantity=quantity,
        )

    @property
    def is_judged(self) -> bool:
        """It has limits, or something is wrong with it; the others are shown only and not counted."""
        return self.origin is not Origin.NONE or self.grade is not Grade.PASS

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
