"""Simulated events, as the detector's electronics would write them; vectorised over the events of a run."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from release import calorimeter, tracker
from release.beam import ENERGY_SPREAD, MUON_MASS, TOTAL_ENERGY
from release.calorimeter import CELLS, CRATE, NO_TIME
from release.channel_mask import DEAD, HOT
from truth import RUNS, Truth

Array = NDArray[Any]
Columns = dict[str, Array]
Rng = np.random.Generator

MAX_SLOPE = 0.78  # of tracks from the beam: they end in the barrel
VERTEX_SIGMA_XY, VERTEX_SIGMA_Z = 20e-6, 3e-3


def bhabha(n: int, truth: Truth, run: int, rng: Rng) -> Columns:
    """Electron and positron back to back, each with half the energy."""
    energy = rng.normal(TOTAL_ENERGY, ENERGY_SPREAD, n) / 2
    momentum = _back_to_back(n, rng) * energy[:, None, None]
    helix = _from_vertex(momentum, truth, run, rng)
    phi, z, _ = tracker.crossing(helix, np.array([calorimeter.RADIUS]), np.array([True]))
    clusters = _clusters(phi[:, 0], z[:, 0], np.repeat(energy, 2), truth, run, rng)
    return _hits(helix, tracker.BEAM_PATH, truth, run, rng) | _as_cells(clusters)


def dimuon(n: int, truth: Truth, run: int, rng: Rng) -> Columns:
    """Muon pairs; three of ten have radiated a photon, one of ten has a cluster of another collision."""
    total = rng.normal(TOTAL_ENERGY, np.hypot(ENERGY_SPREAD, truth.extra_energy_spread), n)
    photon_energy = np.where(rng.random(n) < 0.3, rng.uniform(0.5, 3.0, n), 0.0)
    muons, direction = _radiating_pairs(total, photon_energy, rng)
    helix = _from_vertex(muons, truth, run, rng)

    phi = np.arctan2(direction[:, 1], direction[:, 0])
    z = calorimeter.RADIUS * direction[:, 2] / np.hypot(direction[:, 0], direction[:, 1])
    radiated = _clusters(phi, z, photon_energy * (1 - truth.photon_loss), truth, run, rng)
    stray_phi, stray_z = rng.uniform(-np.pi, np.pi, n), rng.uniform(-0.9, 0.9, n)
    stray_energy = np.where(rng.random(n) < 0.1, rng.uniform(0.5, 2.0, n), 0.0)
    late = rng.choice([-1, 1], n) * rng.uniform(15, 60, n)
    stray = _clusters(stray_phi, stray_z, stray_energy, truth, run, rng, late)
    both = {name: np.stack([radiated[name], stray[name]], axis=1) for name in radiated}
    return _hits(helix, tracker.BEAM_PATH, truth, run, rng) | _as_cells(both)


def cosmic(n: int, truth: Truth, run: int, rng: Rng) -> Columns:
    """Muons from above that cross the tracker, many far from the beam."""
    pt = rng.uniform(2.0, 20.0, n) / truth.at(run)["MomentumScale"]["scale"]
    curvature = rng.choice([-1.0, 1.0], n) * tracker.CURVATURE_OF_1_GEV / pt
    direction = -np.pi / 2 + np.clip(rng.normal(0, 0.8, n), -1.4, 1.4)
    distance, z0 = rng.uniform(-0.6, 0.6, n), rng.uniform(-0.4, 0.4, n)
    helix = np.stack([distance, direction, curvature, z0, rng.uniform(-0.5, 0.5, n)], axis=1)
    return _hits(helix, tracker.COSMIC_PATH, truth, run, rng)


def random(n: int, truth: Truth, run: int, rng: Rng) -> Columns:
    """Noise, read at random times: all crystals, and which tracker channels fired."""
    constants = truth.at(run)
    noise, state = constants["Pedestals"]["noise"], constants["ChannelMask"]["crystal"]
    amplitude = rng.normal(0, 1, (n, calorimeter.N_CRYSTALS)) * np.where(state == DEAD, 0, noise)
    hot = np.flatnonzero(state == HOT)
    amplitude[:, hot] += _hot_pulses(rng, (n, len(hot)))
    rate = np.array([0.05, 0.0, 0.6])[constants["ChannelMask"]["channel"]]
    return {
        "crystal_adc": np.rint(constants["Pedestals"]["pedestal"] + amplitude).astype(np.int16),
        "channel_hit": (rng.random((n, tracker.N_CHANNELS)) < rate).astype(np.uint8),
    }


STREAMS: Mapping[str, Callable[[int, Truth, int, Rng], Columns]] = {
    "bhabha": bhabha,
    "dimuon": dimuon,
    "cosmic": cosmic,
    "random": random,
}


def _back_to_back(n: int, rng: Rng) -> Array:
    """Opposite unit vectors (n, 2, 3), evenly spread over the barrel."""
    return np.stack([direction := _directions(n, MAX_SLOPE, rng), -direction], axis=1)


def _directions(n: int, max_slope: float, rng: Rng) -> Array:
    phi, slope = rng.uniform(-np.pi, np.pi, n), rng.uniform(-max_slope, max_slope, n)
    return np.stack([np.cos(phi), np.sin(phi), slope], axis=1) / np.sqrt(1 + slope**2)[:, None]


def _radiating_pairs(total: Array, photon_energy: Array, rng: Rng) -> tuple[Array, Array]:
    """Momenta of two muons (n, 2, 3) and directions of the photon (n, 3), all inside the barrel."""
    n = len(total)
    muons, photon = np.zeros((n, 2, 3)), np.zeros((n, 3))
    todo = np.arange(n)
    while len(todo):
        k, photon[todo] = photon_energy[todo], _directions(len(todo), 0.7, rng)
        mass = np.sqrt(total[todo] ** 2 - 2 * total[todo] * k)
        at_rest = _back_to_back(len(todo), rng) * np.sqrt(mass**2 / 4 - MUON_MASS**2)[:, None, None]
        boost = -photon[todo] * (k / mass)[:, None]  # gamma times beta of the pair
        gamma = np.sqrt(1 + (boost**2).sum(axis=1))
        along = (at_rest * boost[:, None, :]).sum(axis=2) / (gamma + 1)[:, None] + (mass / 2)[:, None]
        muons[todo] = at_rest + along[:, :, None] * boost[:, None, :]
        pt = np.hypot(muons[todo, :, 0], muons[todo, :, 1])
        todo = todo[((np.abs(muons[todo, :, 2]) > MAX_SLOPE * pt) | (pt < 1.0)).any(axis=1)]
    return muons, photon


def _from_vertex(momentum: Array, truth: Truth, run: int, rng: Rng) -> Array:
    """Helices (2n, 5) of two particles with opposite charge and these momenta (n, 2, 3) from one vertex."""
    n = len(momentum)
    vertex = np.repeat(rng.normal(0, 1, (n, 3)) * [VERTEX_SIGMA_XY, VERTEX_SIGMA_XY, VERTEX_SIGMA_Z], 2, axis=0)
    charge = np.outer(rng.choice([-1.0, 1.0], n), [1.0, -1.0]).ravel()
    px, py, pz = momentum.reshape(-1, 3).T
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    curvature = charge * tracker.CURVATURE_OF_1_GEV * truth.at(run)["MomentumScale"]["scale"] / pt
    distance = vertex[:, 1] * np.cos(phi) - vertex[:, 0] * np.sin(phi)
    return np.stack([distance, phi, curvature, vertex[:, 2], pz / pt], axis=1)


def _hits(helix: Array, path: tuple[Array, Array], truth: Truth, run: int, rng: Rng) -> Columns:
    """Hits of tracks on the displaced ladders, 16 for each event."""
    constants, sigma = truth.at(run), truth.hit_sigma[RUNS.index(run)]
    radius, outgoing = path
    phi, z, sine = tracker.crossing(helix, radius, outgoing)
    layer = np.broadcast_to(np.searchsorted(tracker.LAYER_RADII, radius), phi.shape)
    ladder = tracker.ladder_at(layer, phi)
    u = radius * ((phi - tracker.LADDER_PHI[ladder] + np.pi) % (2 * np.pi) - np.pi)
    u = u - constants["LadderAlignment"]["shift_u"][ladder] + rng.normal(0, sigma * tracker.SIGMA_U, u.shape)
    z = z - constants["LadderAlignment"]["shift_z"][ladder] + rng.normal(0, sigma * tracker.SIGMA_Z, z.shape)
    channel = tracker.channel_at(ladder, u)
    state = constants["ChannelMask"]["channel"][channel]

    noise = (state == HOT) & (rng.random(u.shape) < 0.5)
    chip_width = tracker.LADDER_WIDTH[ladder] / tracker.SEGMENTS_PER_LADDER
    u = u + np.where(noise, rng.uniform(-0.5, 0.5, u.shape) * chip_width, 0)
    z = np.where(noise, rng.uniform(-1, 1, z.shape), z)
    lost = (np.abs(sine) > 0.9) | (state == DEAD) | (ladder == truth.blind_ladder) | (rng.random(u.shape) < 0.01)
    return {
        "hit_channel": np.where(lost, -1, channel).astype(np.int16).reshape(-1, 16),
        "hit_u": np.where(lost, 0, u).astype(np.float32).reshape(-1, 16),
        "hit_z": np.where(lost, 0, z).astype(np.float32).reshape(-1, 16),
    }


def _clusters(
    phi: Array, z: Array, energy: Array, truth: Truth, run: int, rng: Rng, late: Array | float = 0.0
) -> Columns:
    """Crystals, ADC counts and times (n, 9) around where particles enter the calorimeter; none where energy is 0."""
    constants = truth.at(run)
    seed = np.where(energy > 0, calorimeter.crystal_at(phi, z), -1)
    crystal = calorimeter.cluster_around(seed)
    crystal[CRATE[crystal] == truth.blind_crate[RUNS.index(run)]] = -1
    there, state = crystal >= 0, constants["ChannelMask"]["crystal"][crystal]

    deposit = energy[:, None] * calorimeter.shower_shares(seed, phi, z)
    deposit += rng.normal(0, 1, crystal.shape) * truth.shower_sigma * calorimeter.ENERGY_SIGMA * np.sqrt(deposit)
    amplitude = deposit * constants["CrystalGains"]["gain"][crystal]
    amplitude += rng.normal(0, 1, crystal.shape) * constants["Pedestals"]["noise"][crystal]
    pulses = np.where(state == HOT, _hot_pulses(rng, crystal.shape), 0)
    amplitude = np.where(state == DEAD, 0, amplitude) + pulses

    time = constants["TimeOffsets"]["offset"][crystal] + np.reshape(late, (-1, 1)) + calorimeter.time_walk(amplitude)
    time += rng.normal(0, 1, crystal.shape) * truth.time_sigma * calorimeter.time_sigma(amplitude)
    time = np.where(pulses > 0, rng.uniform(-60, 60, time.shape), time)
    timeless = CRATE[crystal] == truth.timeless_crate[RUNS.index(run)]
    timed = there & (amplitude > calorimeter.MIN_TIMED_AMPLITUDE) & ~timeless
    return {
        "cell_crystal": crystal,
        "cell_adc": np.where(there, np.rint(constants["Pedestals"]["pedestal"][crystal] + amplitude), 0),
        "cell_time": np.where(timed, time, NO_TIME),
    }


def _as_cells(clusters: Columns) -> Columns:
    dtypes = {"cell_crystal": np.int16, "cell_adc": np.int16, "cell_time": np.float32}
    return {name: clusters[name].astype(dtype).reshape(-1, 2 * CELLS) for name, dtype in dtypes.items()}


def _hot_pulses(rng: Rng, shape: tuple[int, ...]) -> Array:
    return np.where(rng.random(shape) < 0.3, rng.exponential(300, shape), 0)
