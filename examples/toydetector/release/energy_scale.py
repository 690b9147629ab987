"""Gain of each crystal (ADC counts per GeV), from electrons and positrons of known energy in Bhabha events.

The fitted track says where the particle entered, hence which share of the beam energy each crystal should see. The gain
is the slope of amplitude against that energy. Light yield falls slowly: new gains from each of `payload_boundaries` on.
"""

from itertools import pairwise

import numpy as np

from b2cal.calibration import Calibration, CalibrationSettings, Limit, Measurement, NotEnoughData, Payload, Strategy

from . import cdst
from .beam import BEAM_ENERGY
from .calorimeter import (
    CELLS,
    ENERGY_SIGMA,
    N_CRYSTALS,
    NOMINAL_GAIN,
    NOMINAL_NOISE,
    RADIUS,
    SEED,
    least_measured,
    shower_shares,
)
from .tracker import IMPACT_SIGMA_U, IMPACT_SIGMA_Z, crossing

settings = CalibrationSettings(
    name="Energy scale",
    expert_username="calorimeter",
    subsystem="calorimeter",
    description=__doc__,
    input_data_formats=["cdst"],
    input_data_names=["bhabha"],
    input_data_filters={"bhabha": ["Good", "On"]},
    depends_on=[cdst.settings],
    expert_config={
        "min_share": 0.1,
        "min_pulses": 5,
        "min_crystals": 1000,
        "payload_boundaries": [[26, 4], [26, 8], [26, 11]],
    },
)

expert_config_schema = {
    "type": "object",
    "properties": {
        "min_share": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "share of the beam energy that a crystal must be expected to see",
        },
        "min_pulses": {"type": "integer", "minimum": 1, "description": "pulses that a crystal needs for a gain"},
        "min_crystals": {
            "type": "integer",
            "minimum": 1,
            "description": "fewer crystals are too few data",
        },
    },
    "additionalProperties": False,
}


class CrystalGains(Calibration):
    branches = ("helix", "cell_crystal", "cell_amplitude", "cluster_status")
    strategy = Strategy.BOUNDARIES
    limits = {
        "deviation": Limit(low=-0.3, high=0.3),
        "drift": Limit(low=-0.02, high=0.02),
        "resolution_excess": Limit(high=0.3),
    }

    def collect(self, events, conditions, config):
        """Sums for a straight line through zero, weighted with the expected resolution."""
        crystal = events["cell_crystal"].reshape(-1, CELLS).astype(int)
        amplitude = events["cell_amplitude"].reshape(-1, CELLS).astype(float)
        energy, blur2 = expected_energies(events["helix"].reshape(-1, 5), crystal[:, SEED])
        in_time = (events["cluster_status"].reshape(-1, 1) != cdst.NONE) & (crystal[:, [SEED]] >= 0)
        used = in_time & (crystal >= 0) & (energy > config["min_share"] * BEAM_ENERGY)
        crystal, amplitude, energy, blur2 = crystal[used], amplitude[used], energy[used], blur2[used]
        spread2 = ENERGY_SIGMA**2 * energy + blur2
        weight = 1 / (NOMINAL_GAIN**2 * spread2 + NOMINAL_NOISE**2)
        sums = {
            "pulses": np.ones_like(energy),
            "ee": weight * (energy**2 - blur2 / 2),  # an inexact abscissa flattens a fitted line: half of it shows here
            "ea": weight * energy * amplitude,
            "aa": weight * amplitude**2,
            "spread": (weight * energy) ** 2 * spread2,
            "noise": (weight * energy * NOMINAL_NOISE) ** 2,
        }
        return {name: np.bincount(crystal, each, N_CRYSTALS) for name, each in sums.items()}

    def fit(self, collected, conditions, config, iov):
        measured = collected["pulses"] >= config["min_pulses"]
        if measured.sum() < config["min_crystals"]:
            raise NotEnoughData(needed=config["min_crystals"], found=measured.sum(), what="crystals with pulses")
        previous = conditions.payload("CrystalGains")
        ee = np.where(measured, collected["ee"], 1)
        gain = np.where(measured, collected["ea"] / ee, previous.values["gain"])
        variance = (gain**2 * collected["spread"] + collected["noise"]) / ee**2
        variance = np.where(measured, variance, previous.covariance[:, 0, 0])
        values = {"gain": gain, "measured": measured}
        return Payload("CrystalGains", iov, values, covariance=variance[:, None, None])

    def measure(self, payloads, collected, conditions, config):
        previous = conditions["CrystalGains"]
        deviation, error = largest_deviation(payloads)
        steps = [mean_ratio(after, before) - 1 for before, after in pairwise(payloads)]
        ee = np.where(collected["ee"] > 0, collected["ee"], 1)
        chi2 = (collected["aa"] - collected["ea"] ** 2 / ee).sum()
        return [
            Measurement(
                "deviation",
                deviation,
                error,
                axis="crystal",
                previous=previous["gain"] / NOMINAL_GAIN - 1,
            ),
            Measurement("drift", max(steps, key=abs, default=0.0)),
            Measurement("resolution_excess", np.sqrt(chi2 / np.maximum(collected["pulses"] - 1, 0).sum()) - 1),
            Measurement("every_crate_measured", bool(np.all(least_measured(payloads) > 0.5))),
        ]


def expected_energies(helix, seed):
    """Energies (n, 9) that the crystals around a seed should see, and their variances from the error of the impact."""
    phi, z, _ = crossing(helix, np.array([RADIUS]), np.array([True]))
    phi, z = phi[:, 0], z[:, 0]
    energy = BEAM_ENERGY * shower_shares(seed, phi, z)
    sideways = BEAM_ENERGY * shower_shares(seed, phi + IMPACT_SIGMA_U / RADIUS, z) - energy
    along = BEAM_ENERGY * shower_shares(seed, phi, z + IMPACT_SIGMA_Z) - energy
    return energy, sideways**2 + along**2


def largest_deviation(payloads):
    """The largest deviation of each crystal's gain from nominal, and its error; NaN where none has measured it."""
    gain = np.array([payload.values["gain"] for payload in payloads]) / NOMINAL_GAIN
    error = np.sqrt([payload.covariance[:, 0, 0] for payload in payloads]) / NOMINAL_GAIN
    measured = np.array([payload.values["measured"] for payload in payloads])
    largest = np.where(measured, np.abs(gain - 1), -1).argmax(axis=0), np.arange(N_CRYSTALS)
    return np.where(measured[largest], gain[largest] - 1, np.nan), error[largest]


def mean_ratio(after, before):
    """Mean gain over mean gain before, of the crystals that both have measured."""
    both = after.values["measured"] & before.values["measured"]
    return after.values["gain"][both].mean() / before.values["gain"][both].mean()
