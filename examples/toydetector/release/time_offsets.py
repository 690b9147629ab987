"""Time offset of each crystal, from electrons and positrons of Bhabha events.

They reach the calorimeter at a known time. What a crystal's clock shows then, after correction for the time walk of
small pulses, is its offset: the mean over its pulses, weighted with their expected resolution. Crates are exchanged now
and then: `payload_boundaries` names the runs from which on offsets may have changed.
"""

from itertools import pairwise

import numpy as np

from b2cal.calibration import Calibration, CalibrationSettings, Limit, Measurement, NotEnoughData, Payload, Strategy

from . import channel_mask, pedestals
from .calorimeter import N_CRYSTALS, NO_TIME, amplitudes, least_measured, time_sigma, time_walk

settings = CalibrationSettings(
    name="Time offsets",
    expert_username="calorimeter",
    subsystem="calorimeter",
    description=__doc__,
    input_data_formats=["raw"],
    input_data_names=["bhabha"],
    input_data_filters={"bhabha": ["Good"]},
    depends_on=[pedestals.settings, channel_mask.settings],
    expert_config={"min_amplitude": 100.0, "min_pulses": 5, "min_crystals": 1000, "payload_boundaries": [[26, 8]]},
)

expert_config_schema = {
    "type": "object",
    "properties": {
        "min_amplitude": {"type": "number", "minimum": 0, "description": "ADC counts of a pulse whose time is used"},
        "min_pulses": {"type": "integer", "minimum": 1, "description": "pulses that a crystal needs for an offset"},
        "min_crystals": {
            "type": "integer",
            "minimum": 1,
            "description": "fewer crystals are too few data",
        },
    },
    "additionalProperties": False,
}


class TimeOffsets(Calibration):
    branches = ("cell_crystal", "cell_adc", "cell_time")
    strategy = Strategy.BOUNDARIES
    limits = {"step": Limit(low=-2.0, high=2.0), "resolution_excess": Limit(high=0.3)}

    def collect(self, events, conditions, config):
        """Weighted sums of time and squared time for each crystal."""
        crystal = events["cell_crystal"]
        amplitude, good = amplitudes(crystal, events["cell_adc"], conditions)
        used = good & (amplitude > config["min_amplitude"]) & (events["cell_time"] != NO_TIME)
        crystal, amplitude = crystal[used], amplitude[used]
        time = events["cell_time"][used] - time_walk(amplitude)
        weight = time_sigma(amplitude) ** -2
        sums = {"pulses": np.ones_like(weight), "weight": weight, "time": weight * time, "square": weight * time**2}
        return {name: np.bincount(crystal, each, N_CRYSTALS) for name, each in sums.items()}

    def fit(self, collected, conditions, config, iov):
        measured = collected["pulses"] >= config["min_pulses"]
        if measured.sum() < config["min_crystals"]:
            raise NotEnoughData(needed=config["min_crystals"], found=measured.sum(), what="crystals with pulses")
        previous = conditions.payload("TimeOffsets")
        weight = np.where(measured, collected["weight"], 1)
        offset = np.where(measured, collected["time"] / weight, previous.values["offset"])
        variance = np.where(measured, 1 / weight, previous.covariance[:, 0, 0])
        values = {"offset": offset, "measured": measured}
        return Payload("TimeOffsets", iov, values, covariance=variance[:, None, None])

    def measure(self, payloads, collected, conditions, config):
        previous = conditions.payload("TimeOffsets")
        last = payloads[-1]
        step, step_error = largest_step([previous, *payloads])
        seen = collected["pulses"] >= config["min_pulses"]
        pulses, weight, time, square = (collected[key][seen] for key in ("pulses", "weight", "time", "square"))
        excess = (
            np.median(np.sqrt((square - time**2 / weight) / (pulses - 1))) - 1
        )  # a few crystals that step do not count
        measured_in_crate = least_measured(payloads)
        return [
            Measurement("step", step, step_error, unit="ns", axis="crystal"),
            Measurement("resolution_excess", excess),
            Measurement("measured_in_crate", 100 * measured_in_crate, unit="%", axis="crate"),
            Measurement("every_crate_measured", bool(np.all(measured_in_crate > 0.5))),
            Measurement(
                "offset",
                np.where(last.values["measured"], last.values["offset"], np.nan),
                np.sqrt(last.covariance[:, 0, 0]),
                unit="ns",
                axis="crystal",
                previous=previous.values["offset"],
            ),
        ]


def largest_step(payloads):
    """The largest change of each crystal's offset from one payload to the next, and its error.

    NaN where no two successive payloads have measured it: a nominal value is no measurement.
    """
    step, error = np.full(N_CRYSTALS, np.nan), np.full(N_CRYSTALS, np.nan)
    for before, after in pairwise(payloads):
        change = after.values["offset"] - before.values["offset"]
        both = after.values["measured"] & before.values["measured"]
        larger = both & ~(np.abs(change) <= np.abs(step))
        step[larger] = change[larger]
        error[larger] = np.sqrt(after.covariance[:, 0, 0] + before.covariance[:, 0, 0])[larger]
    return step, error
