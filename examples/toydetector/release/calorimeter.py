"""The calorimeter as designed: a barrel of crystals that measure energy and time.

Lengths are in metres, energies in GeV, times in ns, amplitudes in ADC counts above the pedestal.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from b2cal.calibration import Payload

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_ROWS, N_COLUMNS = 36, 96  # along z and around the beam
N_CRYSTALS = N_ROWS * N_COLUMNS
RADIUS = 1.25
HALF_LENGTH = 1.0
ROW_PITCH = 2 * HALF_LENGTH / N_ROWS
COLUMN_ANGLE = 2 * np.pi / N_COLUMNS

CRATE = np.arange(N_CRYSTALS) // N_COLUMNS // 6 * 12 + np.arange(N_CRYSTALS) % N_COLUMNS // 8
"""The electronics crate that reads each crystal: 72 crates of 6 rows times 8 columns."""

CELLS = 9
"""A cluster is the crystal that the trigger names and its neighbours, row by row; cell 4 is the seed."""
SEED = 4

NOMINAL_GAIN = 400.0  # counts per GeV
NOMINAL_PEDESTAL = 100.0
NOMINAL_NOISE = 3.0
ENERGY_SIGMA = 0.05  # of 1 GeV in a crystal; grows with the square root
SHOWER_WIDTH = 0.02
MIN_TIMED_AMPLITUDE = 20.0
NO_TIME = -999.0

_ROWS_AWAY, _COLUMNS_AWAY = (axis.ravel() for axis in np.mgrid[-1:2, -1:2])


def crystal_at(phi: Floats, z: Floats) -> Ints:
    """The crystal at a point of the front face; -1 beyond the ends of the barrel."""
    row = np.floor((z + HALF_LENGTH) / ROW_PITCH).astype(int)
    column = np.floor(phi / COLUMN_ANGLE).astype(int) % N_COLUMNS
    return np.where((row >= 0) & (row < N_ROWS), row * N_COLUMNS + column, -1)


def cluster_around(seed: Ints) -> Ints:
    """The nine crystals around each seed (n, 9); -1 beyond the ends of the barrel and for a seed of -1."""
    row = seed[:, None] // N_COLUMNS + _ROWS_AWAY
    column = (seed[:, None] % N_COLUMNS + _COLUMNS_AWAY) % N_COLUMNS
    return np.where((row >= 0) & (row < N_ROWS) & (seed[:, None] >= 0), row * N_COLUMNS + column, -1)


def shower_shares(seed: Ints, phi: Floats, z: Floats) -> Floats:
    """Share of a shower's energy in each of the nine crystals around a seed (n, 9), from the point where it began.

    The profile is the product of two logistic functions; what leaves the nine is neglected.
    """
    from_row = z - ((seed // N_COLUMNS + 0.5) * ROW_PITCH - HALF_LENGTH)
    from_column = phi - (seed % N_COLUMNS + 0.5) * COLUMN_ANGLE
    from_column = RADIUS * ((from_column + np.pi) % (2 * np.pi) - np.pi)
    along = _shares_of_three(from_row, ROW_PITCH)
    around = _shares_of_three(from_column, RADIUS * COLUMN_ANGLE)
    return (along[:, :, None] * around[:, None, :]).reshape(-1, CELLS)


def direction_of(crystal: Ints) -> Floats:
    """Unit vectors (..., 3) from the centre of the detector to the middle of crystals."""
    phi = (crystal % N_COLUMNS + 0.5) * COLUMN_ANGLE
    z = (crystal // N_COLUMNS + 0.5) * ROW_PITCH - HALF_LENGTH
    return np.stack([RADIUS * np.cos(phi), RADIUS * np.sin(phi), z], axis=-1) / np.hypot(RADIUS, z)[..., None]


def amplitudes(
    crystal: Ints, adc: Ints, constants: Mapping[str, Mapping[str, Any]]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Pulse heights above the pedestal, and which of them come from a crystal that exists and is not masked."""
    good = (crystal >= 0) & (constants["ChannelMask"]["crystal"][crystal] == 0)
    return np.where(good, adc - constants["Pedestals"]["pedestal"][crystal], 0.0), good


def least_measured(payloads: Sequence[Payload]) -> Floats:
    """Share of each crate's crystals that are measured, in that payload in which they are fewest."""
    measured = [np.bincount(CRATE, payload.values["measured"]) for payload in payloads]
    return np.min(measured, axis=0) / np.bincount(CRATE)


def time_walk(amplitude: Floats) -> Floats:
    """How much later a small pulse passes the discriminator."""
    return 20.0 / np.sqrt(np.maximum(amplitude, MIN_TIMED_AMPLITUDE))


def time_sigma(amplitude: Floats) -> Floats:
    """Time resolution of one crystal."""
    return np.hypot(0.5, 10.0 / np.maximum(amplitude, MIN_TIMED_AMPLITUDE))


def _shares_of_three(position: Floats, pitch: float) -> Floats:
    edges = pitch * np.array([-1.5, -0.5, 0.5, 1.5])
    inside = np.clip(position, -pitch, pitch)  # a point far away has no shares
    below = np.tanh((edges - inside[:, None]) / (2 * SHOWER_WIDTH))
    return np.diff(below, axis=1) / (below[:, -1:] - below[:, :1])
