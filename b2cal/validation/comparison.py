"""How much constants have changed, on a scale that tells a jump from the drift of every detector.

Each array of a payload is compared channel by channel with the one that was valid before. With d = new - previous:

* **typical size** R of a constant: the larger of the median of |previous| and the robust spread of `previous` over the
  channels (1.4826 times the median absolute deviation, which is one standard deviation for a Gaussian); if both are 0,
  the root of the mean square.
* **statistical error** e of a change: from the covariances of both payloads, added in quadrature; 0 if there are none.
* When at least 8 channels have changed at all, the drift of the detector is seen in them: its centre m = median(d) and
  its robust spread s. A channel's **own change** is (d - m) / sqrt(e^2 + s^2 + (0.01 R)^2): how unlike that of the
  others. Their **common change** is m / sqrt(E^2 + (0.025 R)^2), E the median of e divided by the root of their number.
* With fewer there is nothing to learn the drift from: own change = d / sqrt(e^2 + (0.025 R)^2).

A channel that has not changed has own change 0. Both are judged with the limit 8. So what drifts like all others is
within, whatever its size in units; a channel is red when it moves by more than 8 % of the typical constant and by more
than 8 times what its neighbours and its error allow, and a whole array when it moves by more than 20 %. 1 %, 2.5 % and
8 are b2cal's choice; a script replaces the limit by one under the check's name.

Booleans, and integers of at most 8 different values, are **flags**: their measure is the share of channels that
changed. Nothing can be said where the previous constants are nominal: all zero, or one value for several channels.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from b2cal.calibration.payload import Payload

Array = np.ndarray[Any, np.dtype[Any]]

LIMIT = 8.0
MANY = 8
ALONE, TOGETHER = 0.01, 0.025
MOST_FLAG_VALUES = 8
SHARE_OF_FLAGS, FLAGS_AT_LEAST = 0.05, 3


class Manner(StrEnum):
    """How two arrays were compared."""

    NUMBERS = "numbers"
    FLAGS = "flags"
    NOMINAL = "nominal"


@dataclass(frozen=True)
class Comparison:
    """Two arrays of equal shape, flattened.

    Attributes:
        own: own change of each channel; for flags 1.0 where one changed.
        common: common change of all; None with few channels and for flags.
    """

    manner: Manner
    own: Array
    common: float | None = None


def compare(new: Array, previous: Array, error: Array | None = None) -> Comparison:
    """Compare two arrays of one shape.

    Args:
        new: constants, finite.
        previous: those before, finite.
        error: standard deviation of each change.
    """
    if _are_flags(new) and _are_flags(previous):
        return Comparison(Manner.FLAGS, (new != previous).ravel().astype(float))
    before = previous.astype(float).ravel()
    change = new.astype(float).ravel() - before
    if before.size == 0 or not np.any(before) or (before.size > 1 and np.all(before == before[0])):
        return Comparison(Manner.NOMINAL, np.zeros_like(change))
    e = np.zeros_like(change) if error is None else error.astype(float).ravel()
    R = max(float(np.median(np.abs(before))), spread(before)) or float(np.sqrt(np.mean(before**2)))
    moved = change != 0
    n = int(np.count_nonzero(moved))
    if n < MANY:
        return Comparison(Manner.NUMBERS, change / np.hypot(e, TOGETHER * R))
    m, s = float(np.median(change[moved])), spread(change[moved])
    own = np.where(moved, (change - m) / np.sqrt(e**2 + s**2 + (ALONE * R) ** 2), 0.0)
    E = float(np.median(e[moved])) / math.sqrt(n)
    return Comparison(Manner.NUMBERS, own, m / math.hypot(E, TOGETHER * R))


def spread(values: Array) -> float:
    """Robust standard deviation: 1.4826 times the median absolute deviation from the median."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def errors(payload: Payload) -> dict[str, Array]:
    """Standard deviation of each value, by key, as far as the covariance tells.

    One matrix (n, n) belongs to all values in the order of the payload's keys, or to the only key that has n values.
    Matrices (channels, n, n) belong to n keys of `channels` values each.
    """
    covariance = payload.covariance
    if covariance is None:
        return {}
    variances = np.clip(np.diagonal(covariance, axis1=-2, axis2=-1), 0, None)
    arrays = dict(payload.values)
    if covariance.ndim == 3:
        columns = {key: array for key, array in arrays.items() if array.size == covariance.shape[0]}
        if len(columns) != covariance.shape[1]:
            return {}
        return {key: np.sqrt(variances[:, i]).reshape(a.shape) for i, (key, a) in enumerate(columns.items())}
    if variances.size != sum(array.size for array in arrays.values()):
        arrays = {key: array for key, array in arrays.items() if array.size == variances.size}
        if len(arrays) != 1:
            return {}
    ends = np.cumsum([array.size for array in arrays.values()])[:-1]
    parts = np.split(np.sqrt(variances), ends)
    return {key: part.reshape(array.shape) for (key, array), part in zip(arrays.items(), parts, strict=True)}


def error_of_change(key: str, new: dict[str, Array], previous: dict[str, Array]) -> Array | None:
    """Errors of both in quadrature; None if neither is known."""
    known = [errors[key] for errors in (new, previous) if key in errors]
    return np.sqrt(sum(error**2 for error in known)) if known else None


def _are_flags(array: Array) -> bool:
    if array.dtype.kind == "b":
        return True
    return array.dtype.kind in "iu" and np.unique(array).size <= MOST_FLAG_VALUES
