"""Settings take what Belle II's scripts write, and refuse what contradicts itself."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from b2cal.calibration import CalibrationSettings, InvalidSettings

ALIGNMENT = CalibrationSettings("Alignment", "tracker", "", ["raw"], ["cosmic"])
GOOD = {
    "name": "Momentum scale",
    "expert_username": "tracking",
    "description": "From the mass of a narrow resonance.",
    "input_data_formats": ["cDST"],
    "input_data_names": ["hadron"],
    "input_data_filters": {"hadron": ["hadron_calib", "NOT Off"]},
    "depends_on": [ALIGNMENT],
    "expert_config": {"window": [1.8, 1.93], "min": 5000},
}


def test_every_field_comes_out_as_plain_json():
    settings = CalibrationSettings(**GOOD, subsystem="tracking", produced_payloads=["Scale"])
    assert json.loads(json.dumps(settings.to_json())) == GOOD | {
        "input_data_formats": ["cdst"],
        "depends_on": ["Alignment"],
        "subsystem": "tracking",
        "produced_payloads": ["Scale"],
    }


def test_fields_may_be_given_by_position_in_the_order_of_belle_2():
    assert CalibrationSettings(*GOOD.values()).to_json() == CalibrationSettings(**GOOD).to_json()


def test_what_need_not_be_given_is_empty():
    json_form = ALIGNMENT.to_json()
    assert (json_form["input_data_filters"], json_form["depends_on"], json_form["expert_config"]) == ({}, [], {})
    assert (json_form["subsystem"], json_form["produced_payloads"]) == (None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "x" * 65}, "1 to 64 characters, not 65"),
        ({"name": ""}, "1 to 64 characters, not 0"),
        ({"input_data_formats": []}, "at least one of input_data_formats"),
        ({"input_data_formats": ["raw", "dst"]}, "unknown input_data_formats dst"),
        ({"input_data_formats": "raw"}, "must be a list, not the text 'raw'"),
        ({"input_data_names": []}, "at least one of input_data_names"),
        ({"input_data_names": "hadron"}, "must be a list, not the text 'hadron'"),
        ({"input_data_filters": {"bhabha": []}}, "are for bhabha, its input_data_names are hadron"),
        ({"input_data_filters": {"hadron": [], "bhabha": []}}, "are for bhabha, hadron"),
        ({"input_data_filters": {"hadron": "Good"}}, "must be a list, not the text 'Good'"),
        ({"depends_on": ["Alignment"]}, "'Alignment' is none"),
        ({"expert_config": {"a": {1, 2}}}, "cannot be written as JSON"),
        ({"expert_config": {"a": float("nan")}}, "cannot be written as JSON"),
        ({"expert_config": 5}, "cannot be written as JSON"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(change, message):
    with pytest.raises(InvalidSettings, match=message) as refused:
        CalibrationSettings(**GOOD | change)
    # Belle II's class raises these.
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, TypeError)


def test_settings_cannot_be_changed():
    config = {"window": [1, 2]}
    settings = CalibrationSettings(**GOOD | {"expert_config": config})
    with pytest.raises(FrozenInstanceError):
        settings.name = "other"
    config["window"].append(3)
    settings.expert_config["window"].append(4)
    with pytest.raises(TypeError):
        settings.input_data_filters["bhabha"] = ()
    assert settings.expert_config == {"window": [1, 2]}


def test_importing_what_an_expert_imports_does_not_import_uproot():
    program = (
        "import sys, b2cal.calibration.stage, b2cal.calibration.describe\n"
        "print([name for name in ('uproot', 'awkward', 'scipy', 'sqlalchemy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_settings_need_the_standard_library_only(shipped):
    program = (
        "import importlib.util, sys, types\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "package = sys.modules['b2cal.calibration'] = types.ModuleType('b2cal.calibration')\n"
        "package.__path__ = [sys.argv[1] + '/b2cal/calibration']\n"
        "import b2cal.calibration.settings"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", program, str(shipped)], check=True)
