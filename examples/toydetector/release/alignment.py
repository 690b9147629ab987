"""Positions of the ladders across (u) and along the beam (z), from cosmic and beam muons.

Each track is fitted with the present positions. Its residuals depend on the ladders' shifts a and on the track itself;
eliminating the track (Schur complement) leaves normal equations in a alone, summed over all tracks: with weights W and
track derivatives H, the matrix is P = W - W H (H'WH)^-1 H'W, and the right-hand side W times the residuals. This is the
method of Millepede (V. Blobel, Nucl. Instrum. Meth. A 566 (2006) 5). Repeated until no ladder moves any more.

No track can see a rotation of the whole tracker about the beam or its shift along it: both are fixed to zero by
Lagrange multipliers. Four more combinations are seen weakly, by cosmic muons that miss the beam; their errors are
measured.
"""

import numpy as np

from b2cal.calibration import Calibration, CalibrationSettings, Iterate, Limit, Measurement, NotEnoughData, Payload

from . import channel_mask
from .tracker import LADDER_PHI, LADDER_RADIUS, MIN_HITS, N_LADDERS, fit_tracks, hit_positions, tracks

settings = CalibrationSettings(
    name="Layer alignment",
    expert_username="tracker",
    subsystem="tracker",
    description=__doc__,
    input_data_formats=["raw"],
    input_data_names=["cosmic", "dimuon"],
    input_data_filters={"cosmic": ["Good", "On"], "dimuon": ["Good", "On"]},
    depends_on=[channel_mask.settings],
    expert_config={"min_tracks": 2000, "min_hits_per_ladder": 30, "converged_in_sigma": 0.1},
)
expert_config_schema = {
    "type": "object",
    "properties": {
        "min_tracks": {"type": "integer", "minimum": 1, "description": "tracks; fewer are too few data"},
        "min_hits_per_ladder": {"type": "integer", "minimum": 1, "description": "hits that a ladder needs to be moved"},
        "converged_in_sigma": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "largest move of any ladder in the last iteration, in units of its error",
        },
    },
    "additionalProperties": False,
}


UNSEEN = np.zeros((2, 2 * N_LADDERS))
UNSEEN[0, :N_LADDERS] = LADDER_RADIUS  # rotation about the beam
UNSEEN[1, N_LADDERS:] = 1.0  # shift along the beam

WEAK = np.zeros((4, 2 * N_LADDERS))
WEAK[0, :N_LADDERS] = LADDER_RADIUS**2 * np.cos(LADDER_PHI)  # these two look like a changed momentum
WEAK[1, :N_LADDERS] = LADDER_RADIUS**2 * np.sin(LADDER_PHI)
WEAK[2, N_LADDERS:] = LADDER_RADIUS * np.cos(LADDER_PHI)  # these two like a tilted beam
WEAK[3, N_LADDERS:] = LADDER_RADIUS * np.sin(LADDER_PHI)


class LadderAlignment(Calibration):
    branches = ("hit_channel", "hit_u", "hit_z")
    max_iterations = 4
    limits = {
        "shift_u": Limit(low=-1000, high=1000),
        "shift_z": Limit(low=-2000, high=2000),
        "chi2_excess": Limit(low=-0.1, high=0.1),
    }

    def collect(self, events, conditions, config):
        """Normal equations of all ladders with the tracks eliminated."""
        channel, u, z, radius, outgoing = tracks(events)
        phi, z, ladder, good = hit_positions(channel, u, z, conditions)
        enough = good.sum(axis=1) >= MIN_HITS
        ladder, good = ladder[enough], good[enough]
        fit = fit_tracks(radius, outgoing, phi[enough], z[enough], good)

        n = 2 * N_LADDERS
        shift = np.concatenate([ladder, ladder + N_LADDERS], axis=1)
        weighted = fit.weights[:, :, None] * fit.derivatives
        schur = -weighted @ fit.covariance @ weighted.transpose(0, 2, 1)
        diagonal = np.arange(schur.shape[1])
        schur[:, diagonal, diagonal] += fit.weights
        pair = shift[:, :, None] * n + shift[:, None, :]
        return {
            "matrix": np.bincount(pair.ravel(), schur.ravel(), n * n).reshape(n, n),
            "vector": -np.bincount(shift.ravel(), (fit.weights * fit.residuals).ravel(), n),
            "hits": np.bincount(ladder[good], minlength=N_LADDERS),
            "tracks": np.array(len(ladder)),
            "chi2": fit.chi2.sum(),
            "ndf": fit.ndf.sum(),
        }

    def fit(self, collected, conditions, config, iov):
        if collected["tracks"] < config["min_tracks"]:
            raise NotEnoughData(needed=config["min_tracks"], found=int(collected["tracks"]), what="tracks")
        measured = collected["hits"] >= config["min_hits_per_ladder"]
        step, covariance = solve(collected["matrix"], collected["vector"], np.tile(measured, 2))
        previous = conditions["LadderAlignment"]
        values = {
            "shift_u": previous["shift_u"] + step[:N_LADDERS],
            "shift_z": previous["shift_z"] + step[N_LADDERS:],
            "measured": measured,
        }
        payload = Payload("LadderAlignment", iov, values, covariance)
        sigma = np.sqrt(np.diagonal(covariance))
        still = np.abs(step) <= config["converged_in_sigma"] * sigma
        return payload if np.all(still) else Iterate(payload)

    def measure(self, payloads, collected, conditions, config):
        new, previous = payloads[0], conditions["LadderAlignment"]
        error = 1e6 * np.sqrt(np.diagonal(new.covariance))
        shift = {key: np.where(new.values["measured"], 1e6 * new.values[key], np.nan) for key in ("shift_u", "shift_z")}
        return [
            Measurement("shift_u", shift["shift_u"], error[:N_LADDERS], "µm", "ladder", 1e6 * previous["shift_u"]),
            Measurement("shift_z", shift["shift_z"], error[N_LADDERS:], "µm", "ladder", 1e6 * previous["shift_z"]),
            Measurement("chi2_excess", collected["chi2"] / collected["ndf"] - 1),
            Measurement("weak_mode_error", 1e6 * weak_mode_errors(new.covariance), unit="µm", axis="weak mode"),
            Measurement("every_ladder_measured", bool(np.all(new.values["measured"]))),
        ]


def solve(matrix, vector, free):
    """Shifts and their covariance; ladders that are not free stay where they are."""
    n, fixed = len(vector), np.flatnonzero(~free)
    full = np.zeros((n + len(UNSEEN), n + len(UNSEEN)))
    scale = np.trace(matrix) / n
    full[:n, :n] = matrix
    full[n:, :n], full[:n, n:] = scale * UNSEEN, scale * UNSEEN.T
    full[fixed, :] = full[:, fixed] = 0
    full[fixed, fixed] = scale
    inverse = np.linalg.inv(full)[:n, :n]
    inverse[fixed, fixed] = 0
    return inverse @ np.where(free, vector, 0), (inverse + inverse.T) / 2


def weak_mode_errors(covariance):
    """How far the ladders may move together in each weak mode: one standard deviation, rms over the ladders."""
    unit = WEAK / np.sqrt((WEAK**2).sum(axis=1, keepdims=True))
    return np.sqrt(np.einsum("ki,ij,kj->k", unit, covariance, unit) / N_LADDERS)
