"""Stages of a calibration as batch jobs: real processes, real ROOT files, only what is shipped with a job."""

import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import uproot

from b2cal.calibration import job
from b2cal.core.iov import ExpRun, IoV

pytestmark = pytest.mark.processes

RUN_1, RUN_2, RUN_3 = ExpRun(26, 1), ExpRun(26, 2), ExpRun(26, 3)
RANGE = IoV(RUN_1, None)

GAIN = '''
"""Gain of each channel from the mean amplitude, which should be 100."""

import numpy as np

from b2cal.calibration import (
    Calibration, CalibrationSettings, Iterate, Limit, Measurement, NotEnoughData, Payload, Strategy
)

settings = CalibrationSettings("Gain", "calorimeter", __doc__, ["raw"], ["cosmic"])


class Gain(Calibration):
    branches = ["channel", "amplitude"]
    strategy = Strategy.BOUNDARIES
    max_iterations = 3
    limits = {"spread": Limit(high=0.1)}

    def collect(self, events, conditions, config):
        amplitude = events["amplitude"] * conditions["Gain"]["gain"][events["channel"]]
        smeared = amplitude + 0.1 * events.rng.normal(size=events.size)
        return {"sum": np.bincount(events["channel"], smeared, 4), "n": np.bincount(events["channel"], minlength=4)}

    def fit(self, collected, conditions, config, iov):
        found = int(collected["n"].sum())
        if found < config.get("min_events", 1):
            raise NotEnoughData(needed=config["min_events"], found=found)
        correction = 100 / (collected["sum"] / collected["n"])
        gain = conditions["Gain"]["gain"] * correction
        payload = Payload("Gain", iov, {"gain": gain}, covariance=np.diag(1 / collected["n"]))
        return payload if np.all(abs(correction - 1) < config["tolerance"]) else Iterate(payload)

    def measure(self, payloads, collected, conditions, config):
        gain, previous = payloads[0].values["gain"], conditions["Gain"]["gain"]
        return [
            Measurement("spread", np.std(gain)),
            Measurement("gain", gain, errors=np.sqrt(1 / collected["n"]), axis="channel", previous=previous),
        ]
'''


def amplitudes(seed, events=1000):
    """Amplitudes of four channels around 50, 80, 125 and 200."""
    rng = np.random.default_rng(seed)
    channel = rng.integers(0, 4, events).astype("i4")
    return {"channel": channel, "amplitude": rng.normal(np.array([50, 80, 125, 200])[channel], 1).astype("f4")}


@pytest.fixture
def gain(node):
    node.script(GAIN)
    return node


@pytest.fixture
def nominal(gain):
    return [gain.payload("Gain", IoV(ExpRun(0, 0), None), gain=np.ones(4))]


def test_constants_are_collected_fitted_iterated_and_measured(gain, nominal):
    inputs = [gain.raw(run, amplitudes(run.run)) for run in (RUN_1, RUN_2)]
    config, iovs = {"tolerance": 0.01}, [RANGE.to_json()]

    collected = gain.run("collect", inputs, conditions=nominal)
    first = gain.run("fit", collected=[collected.collected], conditions=nominal, config=config, iovs=iovs)
    assert first.json("result.json")["outcome"] == "iterate"

    fed_back = nominal + first.constants
    again = gain.run("collect", inputs, conditions=fed_back)
    last = gain.run("fit", collected=[again.collected], conditions=fed_back, config=config, iovs=iovs)
    assert last.json("result.json")["outcome"] == "ok"
    (payload,) = last.payloads
    assert payload.values["gain"] == pytest.approx([2, 1.25, 0.8, 0.5], rel=0.01)
    assert (payload.name, payload.iov) == ("Gain", RANGE)
    assert payload.identity == last.constants[0]["identity"]

    measured = gain.run("measure", collected=[again.collected], conditions=nominal, payloads=last.constants)
    spread, gains = measured.json("measurements.json")["measurements"]
    assert spread == {"name": "spread", "unit": "", "axis": "", "errors": None, "previous": None} | {
        "values": pytest.approx(np.std([2, 1.25, 0.8, 0.5]), rel=0.02)
    }
    assert (gains["previous"], gains["axis"], len(gains["values"])) == ([1, 1, 1, 1], "channel", 4)
    assert measured.json("measurements.json")["limits"] == {"spread": {"low": None, "high": 0.1, "beyond": "fail"}}
    for ended, document in ((again, "collected.json"), (last, "result.json"), (measured, "measurements.json")):
        assert ended.json(document)["names_read"] == ["Gain"]
    assert [path.name for path in (gain.folder / "release").iterdir()] == ["gain.py"], "nothing is added to a release"


def test_constants_do_not_depend_on_how_files_are_spread_over_jobs(gain, nominal):
    inputs = [gain.raw(run, amplitudes(run.run)) for run in (RUN_1, RUN_2, RUN_3)]
    inputs.append(gain.raw(RUN_1, amplitudes(4), data_name="beam"))
    config, iovs = {"tolerance": 10}, [RANGE.to_json()]

    def identity(*jobs):
        paths = [gain.run("collect", files, conditions=nominal).collected for files in jobs]
        fit = gain.run("fit", collected=paths, conditions=nominal, config=config, iovs=iovs)
        return fit.constants[0]["identity"]

    assert identity(inputs) == identity([inputs[2], inputs[0]], [inputs[3], inputs[1]])


PRODUCTION = """
import numpy as np
from b2cal.calibration import CalibrationSettings, Production

settings = CalibrationSettings("cDST", "tracking", "Hits above threshold", ["raw"], ["skim"])


class Cdst(Production):
    branches = {"skim": ["hits", "id"]}

    def produce(self, events, conditions, config):
        energy = events["hits"] * conditions["Scale"]["scale"]
        keep = energy.sum(axis=1) > config["threshold"]
        return {"energy": energy[keep], "id": events["id"][keep], "good": keep[keep]}
"""


def test_a_production_writes_one_file_of_kept_events_for_each_input_file_and_keeps_its_stream(node):
    node.script(PRODUCTION)
    ids = np.arange(120_000)
    full = {"hits": np.stack([ids % 2, ids % 2, np.zeros_like(ids)], axis=1).astype("f4"), "id": ids}
    empty = {name: column[:0] for name, column in full.items()}
    inputs = [node.raw(RUN_1, full, "skim", "cosmic"), node.raw(RUN_2, empty, "skim", "cosmic")]
    scale = node.payload("Scale", RANGE, scale=np.full(3, 2.0))
    ended = node.run("produce", inputs, conditions=[scale], config={"threshold": 1})
    assert ended.json("result.json") == {
        "outcome": "ok",
        "files": [
            {"file": "files/cosmic_e0026_r00001.root", "data_name": "cosmic", "exp": 26, "run": 1, "n_events": 60_000},
            {"file": "files/cosmic_e0026_r00002.root", "data_name": "cosmic", "exp": 26, "run": 2, "n_events": 0},
        ],
        "names_read": ["Scale"],
    }
    with uproot.open(ended.outputs / "files" / "cosmic_e0026_r00001.root") as file:
        columns = file["events"].arrays(library="np")
    assert columns["id"].tolist() == list(range(1, 120_000, 2))
    assert columns["energy"].dtype == np.float64
    assert np.all(columns["energy"] == [2, 2, 0])
    assert columns["good"].dtype == bool
    with uproot.open(ended.outputs / "files" / "cosmic_e0026_r00002.root") as file:
        assert file["events"].typenames() == {"energy": "double[3]", "id": "int64_t", "good": "bool"}


def test_a_truncated_root_file_is_an_input_that_cannot_be_read(gain, nominal):
    good = gain.raw(RUN_1, amplitudes(1))
    good.path.write_bytes(good.path.read_bytes()[:-1000])
    ended = gain.run("collect", [good], conditions=nominal)
    assert ended.exit_code == os.EX_IOERR
    assert str(good.path) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(ended.outputs.iterdir()) == []


def test_an_error_in_the_script_keeps_its_traceback_and_stands_in_the_report(gain, nominal):
    gain.script(GAIN.replace("smeared = amplitude +", "smeared = amplitude[None][1] +"))
    file = gain.raw(RUN_1, amplitudes(1))
    folder = gain.job("collect", [file], conditions=nominal)
    command = [sys.executable, "-m", "b2cal.calibration.stage"]
    (folder / "wrapper.json").write_text(json.dumps({"command": command}))
    assert gain.start(folder, [job.__file__]).exit_code == 1
    report, stderr = json.loads((folder / "job_report.json").read_text()), (folder / "stderr").read_text()
    assert report["exit_code"] == 1
    assert report["error"] == "IndexError: index 1 is out of bounds for axis 0 with size 1"
    assert "gain.py" in stderr
    assert "smeared = amplitude[None][1]" in stderr
    assert f"While reading {file.path}." in stderr


TWO_NAMES = """
from b2cal.calibration import Calibration, CalibrationSettings, Payload

settings = CalibrationSettings("Pair", "tracking", "", ["raw"], ["all", "high"], produced_payloads=["Pair"])


class Pair(Calibration):
    branches = {"all": ["energy"], "high": ["time"]}

    def collect(self, events, conditions, config):
        return {events.data_name: events[list(events)[0]].sum()}

    def fit(self, collected, conditions, config, iov):
        return Payload("Pair", iov, {name: [float(total)] for name, total in collected.items()})
"""


def test_a_file_is_read_under_each_data_name_with_the_branches_of_that_name(node):
    node.script(TWO_NAMES)
    file = node.raw(RUN_1, {"energy": np.arange(4.0), "time": np.arange(4.0) * 10}, "all", "hadron_calib")
    inputs = [file, replace(file, data_name="high")]
    collected = node.run("collect", inputs).collected
    fitted = node.run("fit", collected=[collected], iovs=[RANGE.to_json()])
    (payload,) = fitted.payloads
    assert {name: value.tolist() for name, value in payload.values.items()} == {"all": [6.0], "high": [60.0]}
