"""The tracker as designed, and the fit of a helix to its hits.

Eight cylindrical layers around the beam, each made of ladders; every ladder measures where a particle crosses it along
the ladder's width (u) and along the beam (z). Lengths are in metres, momenta in GeV, angles in radians.

A helix is (d0, phi0, curvature, z0, tanl): signed distance and direction at the point nearest to the beam, inverse
radius, z there, and slope dz/ds. It leaves the cylinder of radius r outwards ("outgoing"); a cosmic muon has entered it
before ("incoming").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LAYER_RADII = np.array([0.10, 0.22, 0.34, 0.48, 0.62, 0.78, 0.94, 1.10])
LADDERS_PER_LAYER = np.array([12, 16, 20, 24, 28, 32, 36, 40])
SEGMENTS_PER_LADDER = 4  # readout chips along u; a channel is one of them

N_LAYERS = len(LAYER_RADII)
N_LADDERS = int(LADDERS_PER_LAYER.sum())
N_CHANNELS = N_LADDERS * SEGMENTS_PER_LADDER
FIRST_LADDER = np.cumsum(LADDERS_PER_LAYER) - LADDERS_PER_LAYER
LADDER_LAYER = np.repeat(np.arange(N_LAYERS), LADDERS_PER_LAYER)
LADDER_RADIUS = LAYER_RADII[LADDER_LAYER]
LADDER_PHI = (np.arange(N_LADDERS) - FIRST_LADDER[LADDER_LAYER] + 0.5) * 2 * np.pi / LADDERS_PER_LAYER[LADDER_LAYER]
LADDER_WIDTH = 2 * np.pi * LADDER_RADIUS / LADDERS_PER_LAYER[LADDER_LAYER]
CHANNEL_LAYER = np.repeat(LADDER_LAYER, SEGMENTS_PER_LADDER)

SIGMA_U = 100e-6
SIGMA_Z = 300e-6

IMPACT_SIGMA_U = 150e-6
IMPACT_SIGMA_Z = 250e-6
"""Errors of a fitted beam track where it enters the calorimeter."""

MIN_HITS = 5
"""Fewer make no track: it would hang on too few ladders."""

FIELD_T = 1.5
CURVATURE_OF_1_GEV = 0.299792458 * FIELD_T
"""Curvature (1/m) of a transverse momentum of 1 GeV in the nominal field."""

BEAM_PATH = (LAYER_RADII, np.ones(N_LAYERS, dtype=bool))
COSMIC_PATH = (np.concatenate([LAYER_RADII[::-1], LAYER_RADII]), np.repeat([False, True], N_LAYERS))
"""Radii of the layers in the order in which a particle meets them, and whether it leaves or enters them."""


def tracks(events: Any) -> tuple[Ints, Floats, Floats, Floats, Bools]:
    """Hits with one row for each track: channel (-1 for none), u, z; and the path of these tracks.

    A raw event has 16 places for hits: layer by layer of two tracks from the beam, or along one cosmic muon.
    """
    radius, outgoing = COSMIC_PATH if events.data_name == "cosmic" else BEAM_PATH
    channel, u, z = (events[name].reshape(-1, len(radius)) for name in ("hit_channel", "hit_u", "hit_z"))
    return channel.astype(int), u.astype(float), z.astype(float), radius, outgoing


def hit_positions(
    channel: Ints, u: Floats, z: Floats, constants: Mapping[str, Mapping[str, Any]]
) -> tuple[Floats, Floats, Ints, Bools]:
    """Azimuth and z of hits on aligned ladders, the ladders, and which hits exist and are not masked."""
    good = (channel >= 0) & (constants["ChannelMask"]["channel"][channel] == 0)
    ladder = np.maximum(channel, 0) // SEGMENTS_PER_LADDER
    aligned = constants["LadderAlignment"]
    phi = LADDER_PHI[ladder] + (u + aligned["shift_u"][ladder]) / LADDER_RADIUS[ladder]
    return phi, z + aligned["shift_z"][ladder], ladder, good


def ladder_at(layer: Ints, phi: Floats) -> Ints:
    """The ladder that a particle crosses in a layer at an azimuth."""
    count = LADDERS_PER_LAYER[layer]
    return np.asarray(FIRST_LADDER[layer] + np.floor(phi / (2 * np.pi) * count).astype(int) % count)


def channel_at(ladder: Ints, u: Floats) -> Ints:
    """The channel that reads the position u of a ladder."""
    segment = np.floor((u / LADDER_WIDTH[ladder] + 0.5) * SEGMENTS_PER_LADDER).astype(int)
    return np.asarray(ladder * SEGMENTS_PER_LADDER + np.clip(segment, 0, SEGMENTS_PER_LADDER - 1))


def crossing(helix: Floats, radius: Floats, outgoing: Bools) -> tuple[Floats, Floats, Floats]:
    """Where helices cross cylinders.

    Args:
        helix: (n, 5).
        radius: (m,) of the cylinders.
        outgoing: (m,), False where the incoming half is meant.

    Returns:
        phi, z, and the sine of the angle to the radial direction, each (n, m). A helix that does not reach the cylinder
        has |sine| >= 1; phi and z are then those of the nearest that does.
    """
    d0, phi0, curvature, z0, tanl = (helix[:, i, None] for i in range(5))
    sine = (curvature * (radius**2 + d0**2) + 2 * d0) / (2 * radius * (1 + curvature * d0))
    bent = np.arcsin(np.clip(sine, -0.999, 0.999))
    chord = np.sqrt(np.maximum(radius**2 + d0**2 - 2 * radius * d0 * sine, 1e-12))
    arc = chord * (1 + (curvature * chord) ** 2 / 24 + 3 * (curvature * chord) ** 4 / 640)  # 2/c asin(c chord/2)
    phi = np.where(outgoing, phi0 + bent, phi0 + np.pi - bent)
    return phi, z0 + tanl * np.where(outgoing, arc, -arc), sine


@dataclass(frozen=True)
class TrackFit:
    """Fitted tracks; measurements are the m values of r phi, then the m values of z.

    Attributes:
        helix: (n, 5).
        covariance: (n, 5, 5) of helix.
        residuals: (n, 2m), measured minus fitted, in metres.
        derivatives: (n, 2m, 5) of the fitted positions.
        weights: (n, 2m), inverse variances; 0 where there is no hit.
        chi2, ndf: (n,).
    """

    helix: Floats
    covariance: Floats
    residuals: Floats
    derivatives: Floats
    weights: Floats
    chi2: Floats
    ndf: Ints


def fit_tracks(radius: Floats, outgoing: Bools, phi: Floats, z: Floats, good: Bools) -> TrackFit:
    """Fit helices by least squares (Gauss-Newton from a parabola).

    Args:
        radius: (m,) of the layers in the order in which a particle meets them.
        outgoing: (m,).
        phi: (n, m), measured azimuths.
        z: (n, m).
        good: (n, m), which of them to use; at least three per track.
    """
    helix = _parabola(radius, phi, good)
    weights = np.concatenate([good / SIGMA_U**2, good / SIGMA_Z**2], axis=1)
    residuals, derivatives = _expand(helix, radius, outgoing, phi, z)
    for _ in range(3):
        weighted = derivatives * weights[:, :, None]
        covariance = np.linalg.inv(weighted.transpose(0, 2, 1) @ derivatives)
        helix = helix + (covariance @ (weighted.transpose(0, 2, 1) @ residuals[:, :, None]))[:, :, 0]
        residuals, derivatives = _expand(helix, radius, outgoing, phi, z)
    chi2 = (residuals**2 * weights).sum(axis=1)
    return TrackFit(helix, covariance, residuals, derivatives, weights, chi2, 2 * good.sum(axis=1) - 5)


def _parabola(radius: Floats, phi: Floats, good: Bools) -> Floats:
    """Helix near the hits: a parabola in the frame whose x axis points from the first to the last hit."""
    track = np.arange(len(phi))
    first, last = good.argmax(axis=1), good.shape[1] - 1 - good[:, ::-1].argmax(axis=1)
    x, y = radius * np.cos(phi), radius * np.sin(phi)
    chord = np.arctan2(y[track, last] - y[track, first], x[track, last] - x[track, first])[:, None]
    x, y = x * np.cos(chord) + y * np.sin(chord), y * np.cos(chord) - x * np.sin(chord)
    powers = np.stack([np.ones_like(x), x, x**2], axis=2) * good[:, :, None]
    normal = powers.transpose(0, 2, 1) @ powers
    offset, slope, half_curvature = np.linalg.solve(normal, powers.transpose(0, 2, 1) @ (y * good)[:, :, None])[
        :, :, 0
    ].T
    curvature = 2 * half_curvature / (1 + slope**2) ** 1.5
    curvature = np.where(np.abs(curvature) < 1e-6, 1e-6, curvature)
    angle = np.arctan(slope)
    center = np.stack([-np.sin(angle), np.cos(angle)]) / curvature + np.stack([np.zeros_like(offset), offset])
    distance = np.sign(curvature) * np.hypot(*center)
    direction = np.arctan2(-center[0] / distance, center[1] / distance) + chord[:, 0]
    zero = np.zeros_like(offset)
    return np.stack([distance - 1 / curvature, direction, curvature, zero, zero], axis=1)


def _expand(helix: Floats, radius: Floats, outgoing: Bools, phi: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Residuals (n, 2m) and derivatives (n, 2m, 5) of the positions at a helix."""
    d0, _, curvature, _, tanl = (helix[:, i, None] for i in range(5))
    crossed_phi, crossed_z, sine = crossing(helix, radius, outgoing)
    sine = np.clip(sine, -0.999, 0.999)
    side = np.where(outgoing, 1.0, -1.0)
    scale = 1 + curvature * d0
    sine_d0 = 1 / radius - curvature * sine / scale
    sine_curvature = (radius**2 - d0**2) / (2 * radius * scale**2)
    cosine = np.sqrt(1 - sine**2)
    chord = np.sqrt(np.maximum(radius**2 + d0**2 - 2 * radius * d0 * sine, 1e-12))
    chord_d0 = (d0 - radius * sine - radius * d0 * sine_d0) / chord
    chord_curvature = -radius * d0 * sine_curvature / chord
    arc = chord * (1 + (curvature * chord) ** 2 / 24)
    derivatives = np.zeros((*phi.shape, 2, 5))
    derivatives[:, :, 0, 0] = side * radius * sine_d0 / cosine
    derivatives[:, :, 0, 1] = radius
    derivatives[:, :, 0, 2] = side * radius * sine_curvature / cosine
    derivatives[:, :, 1, 0] = side * tanl * chord_d0
    derivatives[:, :, 1, 2] = side * tanl * (chord_curvature + curvature * chord**3 / 12)
    derivatives[:, :, 1, 3] = 1
    derivatives[:, :, 1, 4] = side * arc
    wrapped = (phi - crossed_phi + np.pi) % (2 * np.pi) - np.pi
    residuals = np.concatenate([radius * wrapped, z - crossed_z], axis=1)
    return residuals, np.concatenate([derivatives[:, :, 0], derivatives[:, :, 1]], axis=1)
