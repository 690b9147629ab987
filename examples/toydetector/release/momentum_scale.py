"""Momentum scale by blocks of runs, from the mass peak of muon pairs.

The invariant mass of two muons, and of the photon that they may have radiated, must be the energy of the collision. The
scale is what all momenta are to be multiplied with so that the mean mass agrees. A mean mass is not the mass of mean
momenta: curvatures have Gaussian errors, momenta are their inverse. The excess is found from the errors of each event.
The magnet drifts: a new scale from each of `payload_boundaries` on.
"""

import numpy as np

from b2cal.calibration import Calibration, CalibrationSettings, Limit, Measurement, NotEnoughData, Payload, Strategy

from . import cdst, energy_scale
from .beam import ENERGY_SPREAD, MUON_MASS, TOTAL_ENERGY
from .calorimeter import CELLS, ENERGY_SIGMA, SEED, direction_of
from .tracker import CURVATURE_OF_1_GEV

settings = CalibrationSettings(
    name="Momentum scale",
    expert_username="physics",
    subsystem="tracker",
    description=__doc__,
    input_data_formats=["cdst"],
    input_data_names=["dimuon"],
    input_data_filters={"dimuon": ["Good", "On"]},
    depends_on=[cdst.settings, energy_scale.settings],
    expert_config={
        "mass_window_gev": [10.08, 11.08],
        "min_pairs": 1000,
        "payload_boundaries": [[26, 4], [26, 8], [26, 11]],
    },
)

expert_config_schema = {
    "type": "object",
    "properties": {
        "mass_window_gev": {
            "type": "array",
            "items": {"type": "number", "exclusiveMinimum": 0},
            "minItems": 2,
            "maxItems": 2,
            "description": "lowest and highest mass of a pair, in GeV",
        },
        "min_pairs": {"type": "integer", "minimum": 2, "description": "muon pairs; fewer are too few data"},
    },
    "additionalProperties": False,
}


class MomentumScale(Calibration):
    branches = ("helix", "curvature_sigma", "cell_crystal", "cell_amplitude", "cluster_status")
    strategy = Strategy.BOUNDARIES
    limits = {"deviation": Limit(low=-0.005, high=0.005), "resolution_excess": Limit(high=0.3)}

    def collect(self, events, conditions, config):
        """Sums over the pairs in the mass window, [without, with photon]: the mass at scale 1 and its derivative."""
        complete = (events["cluster_status"] != cdst.INCOMPLETE).all(axis=1)
        pairs = Pairs({name: events[name][complete] for name in self.branches}, conditions["CrystalGains"]["gain"])
        mass, sigma = pairs.mass_and_sigma()
        slope = (pairs.mass(scale=1.001) - pairs.mass(scale=0.999)) / 0.002
        low, high = config["mass_window_gev"]
        inside = (mass > low) & (mass < high)
        difference = mass - TOTAL_ENERGY
        sums = {
            "pairs": np.ones_like(mass),
            "difference": difference,
            "square": difference**2,
            "pull2": (difference / sigma) ** 2,
            "slope": slope,
        }
        with_photon = pairs.has_photon.astype(int)
        return {name: np.bincount(with_photon[inside], each[inside], 2) for name, each in sums.items()}

    def fit(self, collected, conditions, config, iov):
        n_pairs = int(collected["pairs"].sum())
        if n_pairs < config["min_pairs"]:
            raise NotEnoughData(needed=config["min_pairs"], found=n_pairs, what="muon pairs")
        scale, error = scale_and_error({name: each.sum() for name, each in collected.items()})
        return Payload("MomentumScale", iov, {"scale": [scale], "pairs": [n_pairs]}, covariance=[[error**2]])

    def measure(self, payloads, collected, conditions, config):
        scale = np.array([payload.values["scale"][0] for payload in payloads])
        error = np.array([np.sqrt(payload.covariance[0, 0]) for payload in payloads])
        previous = [conditions.at(payload.iov.first)["MomentumScale"]["scale"][0] for payload in payloads]
        (without, photon), (without_error, photon_error) = scale_and_error(collected)
        agree = abs(without - photon) < 5 * np.hypot(without_error, photon_error)
        width = np.sqrt(collected["pull2"].sum() / collected["pairs"].sum())
        return [
            Measurement("deviation", scale - 1, error, axis="block of runs", previous=np.array(previous) - 1),
            Measurement("resolution_excess", width - 1),
            Measurement("photon_events_agree", bool(agree)),
        ]


def scale_and_error(sums):
    """The scale at which the mean mass is right, from one step of Newton's method."""
    mean = sums["difference"] / sums["pairs"]
    scatter = np.sqrt(sums["square"] / sums["pairs"] - mean**2) * np.sqrt(sums["pairs"])
    return 1 - sums["difference"] / sums["slope"], scatter / sums["slope"]


class Pairs:
    """Muon pairs with the energy that they radiated, found in the calorimeter."""

    def __init__(self, events, gain):
        helix = events["helix"].reshape(-1, 2, 5)
        self.phi, self.curvature, self.tanl = helix[:, :, 1], np.abs(helix[:, :, 2]), helix[:, :, 4]
        self.curvature_sigma = events["curvature_sigma"]
        crystal = events["cell_crystal"].reshape(-1, 2, CELLS).astype(int)
        cluster = (events["cluster_status"] == cdst.COMPLETE)[:, :, None]
        energy = np.where(cluster, events["cell_amplitude"].reshape(-1, 2, CELLS) / gain[crystal], 0.0).sum(axis=2)
        self.photon_energy = energy.sum(axis=1)
        self.has_photon = self.photon_energy > 0
        self.photon_momentum = (energy[:, :, None] * direction_of(crystal[:, :, SEED])).sum(axis=1)

    def mass(self, scale=1.0, curvature=0.0, photon=0.0):
        """Invariant mass; curvatures are shifted by (n, 2), the photon's energy by (n,) of itself."""
        pt = scale * CURVATURE_OF_1_GEV / (self.curvature + curvature)
        muons = np.stack([pt * np.cos(self.phi), pt * np.sin(self.phi), pt * self.tanl], axis=-1)
        energy = np.sqrt((muons**2).sum(axis=-1) + MUON_MASS**2).sum(axis=1) + self.photon_energy * (1 + photon)
        momentum = muons.sum(axis=1) + self.photon_momentum * (1 + np.reshape(photon, (-1, 1)))
        return np.sqrt(np.maximum(energy**2 - (momentum**2).sum(axis=1), 0))

    def mass_and_sigma(self):
        """The mass without the excess from finite resolution, and its expected resolution."""
        central = self.mass()
        photon_sigma = ENERGY_SIGMA / np.sqrt(np.where(self.has_photon, self.photon_energy, np.inf))
        mass, variance = central.copy(), np.full_like(central, ENERGY_SPREAD**2)
        for errors in (
            {"curvature": self.curvature_sigma * [1, 0]},
            {"curvature": self.curvature_sigma * [0, 1]},
            {"photon": photon_sigma},
        ):
            up = self.mass(**errors)
            down = self.mass(**{name: -error for name, error in errors.items()})
            mass -= (up + down) / 2 - central
            variance += ((up - down) / 2) ** 2
        return mass, np.sqrt(variance)
