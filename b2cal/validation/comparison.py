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
changed. Nothing can be said where the previous constants are **nominal**: all zero, or one value for several channels;
nothing about the flags of a payload whose numbers are all nominal; and nothing about integers of fewer than 8 channels,
which are **counts**: how many events there were is no constant.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from b2cal.calibration.payload import Payload

Array = np.ndarray[Any, np.dtype[Any]]

LIMIT = 8.0
MANY = 8
ALONE, TOGETHER = 0.01, 0.025
MOST_FLAG_VALUES = 8
SHARE_OF_FLAGS, FLAGS_AT_LEAST, MOST_OF_FLAGS = 0.05, 3, 0.5


class Manner(StrEnum):
    """How two arrays were compared."""

    NUMBERS = "numbers"
    FLAGS = "flags"
    NOMINAL = "nominal"
    COUNTS = "counts"


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


def compare_payloads(new: Payload, previous: Payload) -> dict[str, Comparison]:
    """Compare the arrays that both have in the same shape, by key."""
    e_new, e_previous = errors(new), errors(previous)
    found = {}
    for key, array in new.values.items():
        before = previous.values.get(key)
        if before is not None and before.shape == array.shape:
            known = [it[key] for it in (e_new, e_previous) if key in it]
            found[key] = compare(array, before, np.sqrt(sum(e**2 for e in known)) if known else None)
    numbers = [it for it in found.values() if it.manner in (Manner.NUMBERS, Manner.NOMINAL)]
    if numbers and all(it.manner is Manner.NOMINAL for it in numbers):
        return {key: replace(it, manner=Manner.NOMINAL) for key, it in found.items()}
    return found


def compare(new: Array, previous: Array, error: Array | None = None) -> Comparison:
    """Compare two arrays of one shape.

    Args:
        new: constants, finite.
        previous: those before, finite.
        error: standard deviation of each change.
    """
    if new.dtype.kind in "iu" and new.size < MANY:
        return Comparison(Manner.COUNTS, np.zeros(new.size))
    if _are_flags(new) and _are_flags(previous):
        return Comparison(Manner.FLAGS, (new != previous).ravel().astype(float))
    before = previous.astype(float).ravel()
    change = new.astype(float).ravel() - before
    if not np.any(before) or (before.size > 1 and np.all(before == before[0])):
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

    It belongs to the floating-point values in the order of their keys: either one matrix to all of them, or, in the
    form (channels, n, n), one matrix of each channel to n keys.
    """
    covariance = payload.covariance
    arrays = {key: array for key, array in payload.values.items() if array.dtype.kind == "f"}
    if covariance is None or not arrays:
        return {}
    sigma = np.sqrt(np.clip(np.diagonal(covariance, axis1=-2, axis2=-1), 0, None))
    sizes = [array.size for array in arrays.values()]
    if covariance.ndim == 3 and sigma.shape == (sizes[0], len(sizes)) and len(set(sizes)) == 1:
        parts = list(sigma.T)
    elif covariance.ndim == 2 and sigma.size == sum(sizes):
        parts = np.split(sigma, np.cumsum(sizes)[:-1])
    else:
        return {}
    return {key: part.reshape(array.shape) for (key, array), part in zip(arrays.items(), parts, strict=True)}


def _are_flags(array: Array) -> bool:
    if array.dtype.kind == "b":
        return True
    return array.dtype.kind in "iu" and np.unique(array).size <= MOST_FLAG_VALUES
