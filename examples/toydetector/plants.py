"""Deviations that can be planted into the truth, one for each check that a calibration's limits make.

A value of 1 puts the deviation at the check's limit, 2 at twice the limit; a yes/no check is violated by any but 0.
Where constants change with the runs, a deviation lies in one of the two weeks: a check has to look at all payloads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from release import calorimeter, tracker
from release.alignment import LadderAlignment
from release.channel_mask import DEAD, ChannelMask
from release.energy_scale import CrystalGains
from release.momentum_scale import MomentumScale
from release.time_offsets import TimeOffsets
from truth import EXCHANGED_CRATE, RUNS, SECOND_WEEK, Truth, in_frame

from b2cal.calibration import Calibration

_IN_SECOND_WEEK = np.array([run >= SECOND_WEEK for run in RUNS])
_SOME_CRYSTALS = np.arange(1700, 1720)
_SOME_LADDER = 100
_SOME_LAYER = 3
_SOME_CRATE = 40


@dataclass(frozen=True)
class Plant:
    """One deviation.

    Attributes:
        what: what happens to the detector.
        put: changes the truth by a deviation.
        limit: of the check, in the unit of `put`; None for a yes/no check.
    """

    what: str
    put: Callable[[Truth, float], None]
    limit: float | None = None

    @property
    def numeric(self) -> bool:
        """Whether its check compares a number with a limit."""
        return self.limit is not None


def plant(truth: Truth, planted: Mapping[str, float]) -> None:
    """Put deviations, given in units of their limits, into the truth."""
    for name, value in planted.items():
        if value:
            PLANTS[name].put(truth, value * (PLANTS[name].limit or 1.0))


def _dead_crystals(truth: Truth, percent: float) -> None:
    n = round(percent / 100 * calorimeter.N_CRYSTALS)
    truth.constants["ChannelMask"]["crystal"][np.linspace(0, calorimeter.N_CRYSTALS - 1, n).astype(int)] = DEAD


def _dead_channels(truth: Truth, percent: float) -> None:
    n = round(percent / 100 * tracker.N_CHANNELS)
    truth.constants["ChannelMask"]["channel"][np.linspace(0, tracker.N_CHANNELS - 1, n).astype(int)] = DEAD


def _dead_layer(truth: Truth, _: float) -> None:
    channels = np.flatnonzero(tracker.CHANNEL_LAYER == _SOME_LAYER)
    truth.constants["ChannelMask"]["channel"][channels[: 6 * len(channels) // 10]] = DEAD


def _time_step(truth: Truth, ns: float) -> None:
    crate = calorimeter.CRATE == EXCHANGED_CRATE
    truth.constants["TimeOffsets"]["offset"][np.ix_(_IN_SECOND_WEEK, crate)] += ns


def _time_resolution(truth: Truth, excess: float) -> None:
    truth.time_sigma = 1 + excess


def _timeless_crate(truth: Truth, _: float) -> None:
    truth.timeless_crate[~_IN_SECOND_WEEK] = _SOME_CRATE


def _shift_u(truth: Truth, micrometres: float) -> None:
    truth.constants["LadderAlignment"]["shift_u"][_SOME_LADDER] = 1e-6 * micrometres
    truth.constants["LadderAlignment"] = in_frame(truth.constants["LadderAlignment"])


def _shift_z(truth: Truth, micrometres: float) -> None:
    truth.constants["LadderAlignment"]["shift_z"][_SOME_LADDER] = 1e-6 * micrometres
    truth.constants["LadderAlignment"] = in_frame(truth.constants["LadderAlignment"])


def _hit_resolution(truth: Truth, chi2_excess: float) -> None:
    truth.hit_sigma = truth.hit_sigma * np.sqrt(1 + chi2_excess)


def _blind_ladder(truth: Truth, _: float) -> None:
    truth.blind_ladder = _SOME_LADDER


def _gains(truth: Truth, deviation: float) -> None:
    some = np.ix_(~_IN_SECOND_WEEK, _SOME_CRYSTALS)
    truth.constants["CrystalGains"]["gain"][some] = calorimeter.NOMINAL_GAIN * (1 + deviation)


def _light_yield(truth: Truth, drift: float) -> None:
    truth.constants["CrystalGains"]["gain"][_IN_SECOND_WEEK] *= 1 - drift


def _energy_resolution(truth: Truth, excess: float) -> None:
    truth.shower_sigma = 1 + excess


def _blind_crate(truth: Truth, _: float) -> None:
    truth.blind_crate[~_IN_SECOND_WEEK] = _SOME_CRATE


def _field(truth: Truth, deviation: float) -> None:
    truth.constants["MomentumScale"]["scale"][_IN_SECOND_WEEK] += deviation


def _mass_resolution(truth: Truth, excess: float) -> None:
    truth.extra_energy_spread = 0.065 * np.sqrt((1 + excess) ** 2 - 1)


def _photon_loss(truth: Truth, _: float) -> None:
    truth.photon_loss = 0.1


def _limit(calibration: type[Calibration], name: str) -> float | None:
    return calibration.limits[name].high


PLANTS: Mapping[str, Plant] = {
    "channel_mask.bad_crystals": Plant("crystals die", _dead_crystals, _limit(ChannelMask, "bad_crystals")),
    "channel_mask.bad_channels": Plant("tracker chips die", _dead_channels, _limit(ChannelMask, "bad_channels")),
    "channel_mask.every_layer_reads_out": Plant("most chips of a layer die", _dead_layer),
    "time_offsets.step": Plant("a crate's clock jumps before run 8", _time_step, _limit(TimeOffsets, "step")),
    "time_offsets.resolution_excess": Plant(
        "times become less precise", _time_resolution, _limit(TimeOffsets, "resolution_excess")
    ),
    "time_offsets.every_crate_measured": Plant("a crate gives no times before run 8", _timeless_crate),
    "alignment.shift_u": Plant("a ladder moves sideways", _shift_u, _limit(LadderAlignment, "shift_u")),
    "alignment.shift_z": Plant("a ladder moves along the beam", _shift_z, _limit(LadderAlignment, "shift_z")),
    "alignment.chi2_excess": Plant("hits become less precise", _hit_resolution, _limit(LadderAlignment, "chi2_excess")),
    "alignment.every_ladder_measured": Plant("a ladder is read out too late", _blind_ladder),
    "energy_scale.deviation": Plant(
        "some crystals are far too bright before run 8", _gains, _limit(CrystalGains, "deviation")
    ),
    "energy_scale.drift": Plant("light yield drops before run 8", _light_yield, _limit(CrystalGains, "drift")),
    "energy_scale.resolution_excess": Plant(
        "energies become less precise", _energy_resolution, _limit(CrystalGains, "resolution_excess")
    ),
    "energy_scale.every_crate_measured": Plant("a crate gives no amplitudes in collisions before run 8", _blind_crate),
    "momentum_scale.deviation": Plant(
        "the magnet's current is wrong from run 8 on", _field, _limit(MomentumScale, "deviation")
    ),
    "momentum_scale.resolution_excess": Plant(
        "the energy of collisions spreads", _mass_resolution, _limit(MomentumScale, "resolution_excess")
    ),
    "momentum_scale.photon_events_agree": Plant("photons lose energy on their way", _photon_loss),
}

ALWAYS: Mapping[str, float] = {"time_offsets.step": 2.0}
"""Planted unless told otherwise: the jump is real, and a person has to see that."""
