"""What each edge of the release's graph is good for: the result that becomes worse without the upstream constants.

A script that depends on another says so in `depends_on`; here stands what proves that the dependence is real. Of cDST
production, which makes no constants itself, it is a result of a script that reads the cDST.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from compare import pulls, wrong
from truth import EXPERIMENT, Truth

from b2cal.calibration import Payload
from b2cal.core.iov import ExpRun


class Worse(StrEnum):
    """In which way constants become worse."""

    DISTANCE = "they are farther from the truth"
    PRECISION = "their statistical error grows"


@dataclass(frozen=True)
class Edge:
    """`downstream` reads constants of `upstream`; without them the `payload` that `judged_by` makes is worse."""

    upstream: str
    downstream: str
    judged_by: str
    payload: str
    worse: Worse = Worse.DISTANCE


EDGES = (
    Edge("pedestals", "channel_mask", "channel_mask", "ChannelMask"),
    Edge("pedestals", "time_offsets", "time_offsets", "TimeOffsets"),
    Edge("channel_mask", "time_offsets", "time_offsets", "TimeOffsets"),
    Edge("channel_mask", "alignment", "alignment", "LadderAlignment"),
    Edge("pedestals", "cdst", "energy_scale", "CrystalGains"),
    Edge("channel_mask", "cdst", "energy_scale", "CrystalGains"),
    Edge("time_offsets", "cdst", "energy_scale", "CrystalGains"),
    Edge("alignment", "cdst", "momentum_scale", "MomentumScale", Worse.PRECISION),
    Edge("cdst", "energy_scale", "energy_scale", "CrystalGains"),
    Edge("cdst", "momentum_scale", "momentum_scale", "MomentumScale", Worse.PRECISION),
    Edge("energy_scale", "momentum_scale", "momentum_scale", "MomentumScale"),
)


def worsening(
    edge: Edge, full: Sequence[Payload], withheld: Sequence[Payload], truth: Truth, runs: Sequence[int]
) -> float:
    """By how many standard deviations the result of an edge is worse than with everything upstream.

    The distance to the truth counts in errors of the better constants: chi2 rises by so many times its own spread. Of
    classified channels the number of wrong ones counts. A statistical error s from n events is known to s / sqrt(2n).
    """
    pieces = list(_pieces(full, withheld, runs))
    if edge.worse is Worse.PRECISION:
        better, worse, _ = pieces[0]
        assert better.covariance is not None
        assert worse.covariance is not None
        n_better, n_worse = better.values["pairs"][0], worse.values["pairs"][0]
        ratio = np.sqrt(worse.covariance[0, 0] * n_worse / (better.covariance[0, 0] * n_better))
        return float((ratio - 1) * np.sqrt(2 * n_better))
    rise, ndf = 0.0, 0
    for better, worse, own_runs in pieces:
        true = truth.mean(own_runs)[better.name]
        if better.covariance is None:
            more = wrong(worse.values, true) - wrong(better.values, true)
            return float(more / max(1.0, np.sqrt(abs(more))))
        before = pulls(better, true, better.values)
        after = pulls(_with_claims_of(worse, better), true, worse.values)
        rise += float((after**2).sum() - (before**2).sum() - (len(after) - len(before)))
        ndf += len(after)
    return float(rise / np.sqrt(2 * ndf))


def _pieces(
    full: Sequence[Payload], withheld: Sequence[Payload], runs: Sequence[int]
) -> Iterator[tuple[Payload, Payload, list[int]]]:
    for better in full:
        own = [run for run in runs if better.iov.contains(ExpRun(EXPERIMENT, run))]
        if own:
            first = ExpRun(EXPERIMENT, own[0])
            yield better, next(worse for worse in withheld if worse.iov.contains(first)), own


def _with_claims_of(worse: Payload, better: Payload) -> Payload:
    """The better constants' errors; where only the worse claim to have measured a channel, the errors they claim."""
    if better.covariance is None or worse.covariance is None or better.covariance.ndim == 2:
        return better
    measured = better.values["measured"]
    covariance = np.where(measured[:, None, None], better.covariance, worse.covariance)
    return Payload(
        better.name, better.iov, {**better.values, "measured": measured | worse.values["measured"]}, covariance
    )
