"""The true constants of a simulated detector: what the calibrations have to find.

They follow from the seed alone: whichever runs are simulated, and however many events, the truth of a run is the same.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from release import calorimeter, tracker
from release.alignment import UNSEEN
from release.channel_mask import DEAD, HOT

Array = NDArray[Any]

EXPERIMENT = 26
RUNS = range(1, 15)
"""Two weeks, a run a day."""
SECOND_WEEK = 8
"""In the night before this run a crate of the calorimeter was exchanged: its times jump."""
BAD_RUN = 5
"""The tracker's high voltage tripped: this run is not Good."""
EXCHANGED_CRATE = 17
PEDESTAL_PERIODS = ((1, 7), (8, 11), (12, 14))
"""First and last runs between two local runs of the calorimeter."""


@dataclass
class Truth:
    """True constants; the first axis of those that change is the run, in the order of RUNS.

    Attributes:
        constants: by payload and key.
        hit_sigma: (runs,) resolution of the tracker over its design value.
        time_sigma: resolution of times over design.
        shower_sigma: resolution of energies over design.
        extra_energy_spread: of the collisions that make muon pairs, in GeV.
        photon_loss: share of a radiated photon's energy lost before the calorimeter.
        blind_ladder: its hits are lost in collisions and cosmics; -1 for none.
        blind_crate: (runs,) its amplitudes are lost in collisions.
        timeless_crate: (runs,) its times are lost.
    """

    constants: dict[str, dict[str, Array]]
    hit_sigma: Array = field(default_factory=lambda: np.ones(len(RUNS)))
    time_sigma: float = 1.0
    shower_sigma: float = 1.0
    extra_energy_spread: float = 0.0
    photon_loss: float = 0.0
    blind_ladder: int = -1
    blind_crate: Array = field(default_factory=lambda: np.full(len(RUNS), -1))
    timeless_crate: Array = field(default_factory=lambda: np.full(len(RUNS), -1))

    def at(self, run: int) -> dict[str, dict[str, Array]]:
        """The true constants of one run, as a calibration's conditions would give them."""
        return self.mean([run])

    def mean(self, runs: list[int]) -> dict[str, dict[str, Array]]:
        """Their mean over runs: what one set of constants for all of them can find at best."""
        rows = [RUNS.index(run) for run in runs]
        return {
            payload: {key: each[rows].mean(axis=0) if _changes(payload) else each for key, each in values.items()}
            for payload, values in self.constants.items()
        }

    def write(self, folder: Path, story: dict[str, Any]) -> None:
        """`truth.npz` with the constants, `truth.json` with what else a person wants to know."""
        np.savez(
            folder / "truth.npz",
            **{f"{name}.{key}": each for name, values in self.constants.items() for key, each in values.items()},
        )
        (folder / "truth.json").write_text(json.dumps(story, indent=1))


def in_frame(shifts: dict[str, Array]) -> dict[str, Array]:
    """Ladder shifts without what defines the frame: the tracker is not rotated about the beam nor shifted along it."""
    shift = np.concatenate([shifts["shift_u"], shifts["shift_z"]])
    seen = shift - np.linalg.pinv(UNSEEN) @ (UNSEEN @ shift)
    return {"shift_u": seen[: tracker.N_LADDERS], "shift_z": seen[tracker.N_LADDERS :]}


def make_truth(seed: int) -> Truth:
    """Draw a detector."""
    rng = np.random.default_rng([seed, 0])
    n_runs, n_crystals = len(RUNS), calorimeter.N_CRYSTALS
    second_week = np.array([run >= SECOND_WEEK for run in RUNS])

    period = np.repeat(np.arange(len(PEDESTAL_PERIODS)), [last - first + 1 for first, last in PEDESTAL_PERIODS])
    noise = calorimeter.NOMINAL_NOISE * rng.lognormal(0.0, 0.15, n_crystals)
    pedestal = calorimeter.NOMINAL_PEDESTAL + rng.normal(0, 15, n_crystals)
    pedestal = pedestal + rng.normal(0, 0.5, (len(PEDESTAL_PERIODS), n_crystals))

    crate_offset = rng.normal(0, 4.0, calorimeter.CRATE.max() + 1)
    crate_change = rng.normal(0, 0.05, crate_offset.shape)
    offset = crate_offset[calorimeter.CRATE] + rng.normal(0, 0.5, n_crystals)
    offset = offset + np.outer(second_week, crate_change[calorimeter.CRATE])

    shift = np.concatenate([rng.normal(0, 200e-6, tracker.N_LADDERS), rng.normal(0, 400e-6, tracker.N_LADDERS)])

    gain = calorimeter.NOMINAL_GAIN * 0.96 * (1 + 0.06 * np.clip(rng.normal(0, 1, n_crystals), -3, 3))
    light_yield = 1 - 0.0005 * np.arange(n_runs)
    field_scale = 1.001 + np.cumsum(rng.normal(0, 2e-4, n_runs))

    return Truth(
        {
            "Pedestals": {"pedestal": pedestal[period], "noise": np.tile(noise, (n_runs, 1))},
            "ChannelMask": {
                "crystal": _bad(rng, n_crystals, dead=10, hot=6),
                "channel": _bad(rng, tracker.N_CHANNELS, dead=2, hot=2),
            },
            "TimeOffsets": {"offset": offset},
            "LadderAlignment": in_frame({"shift_u": shift[: tracker.N_LADDERS], "shift_z": shift[tracker.N_LADDERS :]}),
            "CrystalGains": {"gain": np.outer(light_yield, gain)},
            "MomentumScale": {"scale": field_scale[:, None]},
        },
        hit_sigma=np.where([run == BAD_RUN for run in RUNS], 3.0, 1.0),
    )


def _changes(payload: str) -> bool:
    return payload not in ("ChannelMask", "LadderAlignment")


def _bad(rng: np.random.Generator, n: int, dead: int, hot: int) -> Array:
    state = np.zeros(n, dtype=np.uint8)
    chosen = rng.choice(n, dead + hot, replace=False)
    state[chosen[:dead]], state[chosen[dead:]] = DEAD, HOT
    return state
