"""cDST: fitted tracks and calibrated clusters of beam events, which everything after tracking reads.

Of each cluster the pulse heights stay, above the pedestal and without masked crystals, so that energies can be
recalibrated. A cluster counts if its seed was in time with the collision.
"""

import numpy as np

from b2cal.calibration import CalibrationSettings, Production

from . import alignment, channel_mask, pedestals, time_offsets
from .calorimeter import CELLS, NO_TIME, SEED, amplitudes, time_walk
from .tracker import MIN_HITS, fit_tracks, hit_positions, tracks

NONE, COMPLETE, INCOMPLETE = range(3)
"""What is known of a cluster's energy; incomplete: a crystal of it is masked."""

settings = CalibrationSettings(
    name="cDST production",
    expert_username="production",
    description=__doc__,
    input_data_formats=["raw"],
    input_data_names=["bhabha", "dimuon"],
    input_data_filters={"bhabha": ["Good", "On"], "dimuon": ["Good", "On"]},
    depends_on=[pedestals.settings, channel_mask.settings, time_offsets.settings, alignment.settings],
    expert_config={"time_window_ns": 5.0},
)

expert_config_schema = {
    "type": "object",
    "properties": {
        "time_window_ns": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "a cluster counts if its seed is nearer to the collision, in ns",
        },
    },
    "additionalProperties": False,
}


class Cdst(Production):
    branches = ("hit_channel", "hit_u", "hit_z", "cell_crystal", "cell_adc", "cell_time")

    def produce(self, events, conditions, config):
        channel, u, z, radius, outgoing = tracks(events)
        phi, z, _, good = hit_positions(channel, u, z, conditions)
        kept = (good.sum(axis=1) >= MIN_HITS).reshape(-1, 2).all(axis=1)
        both = np.repeat(kept, 2)
        fit = fit_tracks(radius, outgoing, phi[both], z[both], good[both])

        crystal, amplitude, status = clusters(events, conditions, config["time_window_ns"])
        return {
            "helix": fit.helix.reshape(-1, 10),
            "curvature_sigma": np.sqrt(fit.covariance[:, 2, 2]).reshape(-1, 2),
            "chi2": fit.chi2.reshape(-1, 2),
            "cell_crystal": crystal[kept].astype(np.int16),
            "cell_amplitude": amplitude[kept].astype(np.float32),
            "cluster_status": status[kept].astype(np.int8),
        }


def clusters(events, conditions, time_window):
    """Crystals and amplitudes (n, 18) of the two clusters of each event, -1 and 0 if masked; and status (n, 2)."""
    read = events["cell_crystal"]
    amplitude, good = amplitudes(read, events["cell_adc"], conditions)
    seed = slice(SEED, None, CELLS)
    time = events["cell_time"][:, seed] - time_walk(amplitude[:, seed])
    in_time = np.abs(time - conditions["TimeOffsets"]["offset"][read[:, seed]]) < time_window
    timed = good[:, seed] & (events["cell_time"][:, seed] != NO_TIME)
    complete = (good | (read < 0)).reshape(-1, 2, CELLS).all(axis=2)
    there = (read[:, seed] >= 0) & (in_time | ~timed)
    return np.where(good, read, -1), amplitude, np.where(there, np.where(complete & timed, COMPLETE, INCOMPLETE), NONE)
