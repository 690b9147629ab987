"""Dead and hot channels of calorimeter and tracker, from events that a random trigger took.

Nothing but noise is expected in them: a crystal whose amplitude never moves is dead, as is a tracker channel that never
fires; one that pulses far too often is hot. Whoever reads the mask leaves both out.
"""

import numpy as np

from b2cal.calibration import Calibration, CalibrationSettings, Limit, Measurement, NotEnoughData, Payload

from . import pedestals
from .tracker import CHANNEL_LAYER, N_LAYERS

GOOD, DEAD, HOT = range(3)

settings = CalibrationSettings(
    name="Channel mask",
    expert_username="tracker",
    subsystem="tracker",
    description=__doc__,
    input_data_formats=["raw"],
    input_data_names=["random"],
    input_data_filters={"random": ["Good"]},
    depends_on=[pedestals.settings],
    expert_config={"min_events": 300, "pulse_in_sigma": 6.0, "hot_crystal_rate": 0.05, "hot_channel_rate": 0.3},
)

expert_config_schema = {
    "type": "object",
    "properties": {
        "min_events": {"type": "integer", "minimum": 1, "description": "random events; fewer are too few data"},
        "pulse_in_sigma": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "what counts as a pulse, in units of the crystal's noise",
        },
        "hot_crystal_rate": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "share of events with a pulse above which a crystal is hot",
        },
        "hot_channel_rate": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "share of events with a hit above which a tracker channel is hot",
        },
    },
    "additionalProperties": False,
}


class ChannelMask(Calibration):
    branches = ("crystal_adc", "channel_hit")
    limits = {"bad_crystals": Limit(high=2.0), "bad_channels": Limit(high=2.0)}

    def collect(self, events, conditions, config):
        """Pulses and mean square of each crystal in units of its noise, hits of each tracker channel."""
        noise = conditions["Pedestals"]["noise"]
        pulse = (events["crystal_adc"] - conditions["Pedestals"]["pedestal"]) / noise
        return {
            "events": np.array(events.size),
            "squares": (pulse**2).sum(axis=0),
            "pulses": (pulse > config["pulse_in_sigma"]).sum(axis=0),
            "hits": events["channel_hit"].sum(axis=0, dtype=int),
        }

    def fit(self, collected, conditions, config, iov):
        n = int(collected["events"])
        if n < config["min_events"]:
            raise NotEnoughData(needed=config["min_events"], found=n)
        crystal_dead = collected["squares"] / n < 0.2
        crystal_hot = collected["pulses"] / n > config["hot_crystal_rate"]
        channel_dead = collected["hits"] == 0
        channel_hot = collected["hits"] / n > config["hot_channel_rate"]
        values = {
            "crystal": np.select([crystal_dead, crystal_hot], [DEAD, HOT], GOOD).astype(np.uint8),
            "channel": np.select([channel_dead, channel_hot], [DEAD, HOT], GOOD).astype(np.uint8),
        }
        return Payload("ChannelMask", iov, values)

    def measure(self, payloads, collected, conditions, config):
        crystal, channel = payloads[0].values["crystal"] != GOOD, payloads[0].values["channel"] != GOOD
        before = conditions["ChannelMask"]
        n, hits = int(collected["events"]), collected["hits"]
        good_in_layer = np.bincount(CHANNEL_LAYER, ~channel) / np.bincount(CHANNEL_LAYER)
        return [
            Measurement(
                "bad_crystals", 100 * crystal.mean(), unit="%", previous=100 * np.mean(before["crystal"] != GOOD)
            ),
            Measurement(
                "bad_channels", 100 * channel.mean(), unit="%", previous=100 * np.mean(before["channel"] != GOOD)
            ),
            Measurement("good_in_layer", 100 * good_in_layer, unit="%", axis="layer"),
            Measurement("every_layer_reads_out", bool(len(good_in_layer) == N_LAYERS and np.all(good_in_layer > 0.5))),
            Measurement("hit_rate", 100 * hits / n, 100 * np.sqrt(hits) / n, unit="%", axis="tracker channel"),
        ]
