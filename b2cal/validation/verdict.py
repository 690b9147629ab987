"""The verdict on an attempt: limits of the script on what it measured, and the generic checks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from b2cal.core.errors import sentence
from b2cal.model import Grade

from .check import Check, Limits, Origin, Quantity


@dataclass(frozen=True)
class Judgement:
    """The verdict on an attempt: all its checks and the worst of their grades.

    Attributes:
        generic_only: nothing that the script measured was judged.
    """

    grade: Grade
    generic_only: bool
    checks: tuple[Check, ...]


_ORDER = {Grade.PASS: 0, Grade.WARN: 1, Grade.FAIL: 2}


def judge(
    measurements: Sequence[Mapping[str, Any]], limits: Mapping[str, Mapping[str, Any]], generic: Sequence[Check]
) -> Judgement:
    """Apply limits to what a script measured, and put the generic checks beside it.

    Args:
        measurements: as `Measurement.to_json` gives them. Those without a limit are shown and not judged, except that
            a yes/no must be yes, and that something must have been measured.
        limits: by name of the measurement, as `Limit.to_json` gives them; the name of a generic check replaces its
            limits.
        generic: see `generic_checks`.

    Returns:
        The verdict; checks as measured, generic ones last. Without any check nothing was made: that is a pass.
    """
    ours = [_measured(measurement, limits) for measurement in measurements]
    theirs = [_with_limits_of_script(check, limits) for check in generic]
    known = {check.name for check in (*ours, *theirs)}
    ours += [_never_measured(name) for name in limits if name not in known]
    checks = (*ours, *theirs)
    grade = max((check.grade for check in checks), key=_ORDER.__getitem__, default=Grade.PASS)
    return Judgement(grade, not any(check.origin is not Origin.NONE for check in ours), checks)


def judged(checks: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of the checks that are kept with a verdict those that have limits; the others are shown only."""
    return [check for check in checks if check["origin"] != Origin.NONE or check["grade"] != Grade.PASS]


def _measured(measurement: Mapping[str, Any], limits: Mapping[str, Mapping[str, Any]]) -> Check:
    name = str(measurement.get("name", "unnamed measurement"))
    try:
        quantity = _quantity(name, measurement)
        return Check.of(quantity, _limits_for(quantity, limits))
    except (KeyError, TypeError, ValueError) as error:
        return _failure(name, sentence(f"It cannot be judged: {error!s}"))


def _quantity(name: str, measurement: Mapping[str, Any]) -> Quantity:
    values = measurement["values"]
    array = np.asarray(values)
    if array.dtype != np.bool_:
        array = np.asarray(values, dtype=float)  # null, a value that was not measured, becomes NaN
    axis = str(measurement.get("axis") or "")
    labels = [""] if array.ndim == 0 else [_label(axis, index) for index in np.ndindex(array.shape)]
    return Quantity(name, array, labels, str(measurement.get("unit") or ""))


def _label(axis: str, index: tuple[int, ...]) -> str:
    text = ", ".join(map(str, index))
    return f"{axis} {text}" if axis else f"[{text}]"


def _limits_for(quantity: Quantity, limits: Mapping[str, Mapping[str, Any]]) -> Limits:
    if quantity.name in limits:
        return Limits.of_script(limits[quantity.name])
    return Limits(None, None, Origin.SCRIPT if quantity.values.dtype == np.bool_ else Origin.NONE)


def _with_limits_of_script(check: Check, limits: Mapping[str, Mapping[str, Any]]) -> Check:
    if check.name not in limits or check.quantity is None:
        return check
    try:
        return Check.of(check.quantity, Limits.of_script(limits[check.name]), check.note)
    except (KeyError, TypeError, ValueError) as error:
        return _failure(check.name, sentence(f"It cannot be judged: {error!s}"))


def _never_measured(name: str) -> Check:
    return _failure(name, "The script gives a limit for it, but measured nothing of this name.")


def _failure(name: str, note: str) -> Check:
    return Check(name, "", None, "", None, None, Origin.SCRIPT, Grade.FAIL, 0, 0, note)
