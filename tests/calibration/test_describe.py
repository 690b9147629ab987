"""What scripts say about themselves, and what is said about scripts that cannot be imported."""

import json
import os
import subprocess
import sys

import pytest

SETTINGS = 'settings = CalibrationSettings("{name}", "me", "What it is", ["raw"], ["cosmic", "beam"]{more})\n'
IMPORT = "from b2cal.calibration import *\n"
COLLECT = "    def collect(self, events, conditions, config): ...\n"
FIT = "    def fit(self, collected, conditions, config, iov): ...\n"


def script(name="A", more="", rest=""):
    return IMPORT + SETTINGS.format(name=name, more=more) + rest


@pytest.fixture
def describe(tmp_path, shipped):
    def run(**scripts):
        """Describe a release with these scripts; the answer by script."""
        for module, text in scripts.items():
            (tmp_path / f"{module.removeprefix('not_listed_')}.py").write_text(text)
        listed = [module for module in scripts if not module.startswith("not_listed_")]
        (tmp_path / "release.toml").write_text("".join(f'[[definition]]\nscript = "{module}"\n' for module in listed))
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-m", "b2cal.calibration.describe", str(tmp_path)],
            env=os.environ | {"PYTHONPATH": str(shipped), "PYTHONDONTWRITEBYTECODE": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(ended.stdout)["scripts"]
        assert [each["script"] for each in found] == listed
        return {each["script"]: each for each in found}

    return run


def test_scripts_of_all_kinds_are_described(describe, tmp_path):
    calibrate = script(
        "Gain",
        ', {"beam": ["Good"], "cosmic": []}, [copy.settings], {"x": [1, 2.5]}, subsystem="ecl"',
        "from . import copy\n"
        "expert_config_schema = {'type': 'object'}\n"
        "print('this is no part of the document')\n"
        f"class Base(Calibration):\n    max_iterations = 4\n{COLLECT}"
        "class Gain(Base):\n"
        "    branches = {'cosmic': ['a'], 'beam': ['a', 'b']}\n"
        "    strategy = Strategy.BOUNDARIES\n"
        "    carried_over = ('x',)\n"
        f"    limits = {{'spread': Limit(high=0.1, beyond=Grade.WARN)}}\n{FIT}",
    ).replace("settings = ", "from . import copy\nsettings = ", 1)
    produce = script("cDST", rest="class Cdst(Production):\n    branches = ['a']\n    def produce(self, *_): ...\n")
    found = describe(
        copy=script("Local", ', produced_payloads=["Pedestals", "Noise"]'), calibrate=calibrate, produce=produce
    )
    assert found["copy"] == {
        "script": "copy",
        "imports": [],
        "error": None,
        "hint": "",
        "traceback": "",
        "settings": {
            "name": "Local",
            "expert_username": "me",
            "description": "What it is",
            "input_data_formats": ["raw"],
            "input_data_names": ["beam", "cosmic"],
            "input_data_filters": {},
            "depends_on": [],
            "expert_config": {},
            "subsystem": None,
            "produced_payloads": ["Pedestals", "Noise"],
        },
        "class": None,
        "kind": "copy",
        "produced_payloads": ["Pedestals", "Noise"],
        "expert_config_schema": None,
    }
    gain = found["calibrate"]
    assert gain["settings"]["depends_on"] == ["Local"]
    assert gain["settings"]["expert_config"] == {"x": [1, 2.5]}
    del gain["settings"]
    assert gain == {
        "script": "calibrate",
        "imports": ["copy"],
        "error": None,
        "hint": "",
        "traceback": "",
        "class": "Gain",
        "kind": "calibrate",
        "produced_payloads": ["Gain"],
        "expert_config_schema": {"type": "object"},
        "tree": "events",
        "branches": {"beam": ["a", "b"], "cosmic": ["a"]},
        "carried_over": ["x"],
        "strategy": "boundaries",
        "max_iterations": 4,
        "limits": {"spread": {"low": None, "high": 0.1, "beyond": "warn"}},
    }
    assert (found["produce"]["kind"], found["produce"]["class"]) == ("produce", "Cdst")
    assert found["produce"]["branches"] == {"beam": ["a"], "cosmic": ["a"]}
    assert found["produce"]["produced_payloads"] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calibrate.py", "copy.py", "produce.py", "release.toml"]


def test_scripts_that_cannot_be_imported_say_why_and_do_not_hide_the_others(describe):
    found = describe(
        good=script("Good"),
        syntax=IMPORT + "settings = (\n",
        missing_module="import no_such_module\n",
        sibling="import good\n",
        exits="import sys\nsys.exit(3)\n",
        fails=IMPORT + "\n1 / 0\n",
        no_settings=IMPORT,
        bad_settings=script("x" * 65),
        bad_filters=script(more=', {"cosmic": []}'),
        no_file_at_all="",
        two_classes=script(rest=f"class A(Calibration):\n{COLLECT}{FIT}class B(Calibration):\n{COLLECT}{FIT}"),
        incomplete=script(rest="class A(Calibration):\n    def fit(self, *_): ...\n"),
        wrong_branches=script(rest=f"class A(Calibration):\n    branches = {{'beam': []}}\n{COLLECT}{FIT}"),
        wrong_strategy=script(rest=f"class A(Calibration):\n    strategy = 'dance'\n{COLLECT}{FIT}"),
        wrong_schema=script(rest="expert_config_schema = {'type': {'object'}}\n"),
        one="from . import other\n" + script("One", ", depends_on=[other.settings]"),
        other="from . import one\n" + script("Other", ", depends_on=[one.settings]"),
    )
    errors = {module: each["error"] for module, each in found.items()}
    assert errors.pop("good") is None
    for module, start in {
        "syntax": "SyntaxError: '(' was never closed (syntax.py, line 2)",
        "missing_module": "ModuleNotFoundError: No module named 'no_such_module' (missing_module.py, line 1)",
        "sibling": "ModuleNotFoundError: No module named 'good' (sibling.py, line 1)",
        "exits": "SystemExit: 3 (exits.py, line 2)",
        "fails": "ZeroDivisionError: division by zero (fails.py, line 3)",
        "no_settings": "InvalidScript: The script no_settings has no settings.",
        "bad_settings": "InvalidSettings: The name 'xxx",
        "bad_filters": "InvalidSettings: input_data_filters of 'A' are for cosmic,",
        "no_file_at_all": "InvalidScript: The script no_file_at_all has no settings.",
        "two_classes": "InvalidScript: The script two_classes has several classes that calculate: A, B.",
        "incomplete": "InvalidScript: The class A in the script incomplete lacks collect.",
        "wrong_branches": "InvalidScript: The branches are given for beam, but the script reads beam, cosmic.",
        "wrong_strategy": "ValueError: 'dance' is not a valid Strategy",
        "wrong_schema": "TypeError: Object of type set is not JSON serializable",
        "one": "AttributeError: partially initialized module 'b2cal_release.one' has no attribute 'settings'",
        "other": "AttributeError: partially initialized module 'b2cal_release.other' has no attribute 'settings'",
    }.items():
        assert errors.pop(module).startswith(start)
    assert errors == {}
    assert (found["one"]["imports"], found["other"]["imports"]) == (["other"], ["one"])
    assert found["no_settings"]["hint"].startswith("Write settings = CalibrationSettings(")
    assert "1 / 0" in found["fails"]["traceback"]


def test_what_the_release_gives_as_a_package_can_be_imported(describe, tmp_path):
    (tmp_path / "__init__.py").write_text("ANSWER = 42\n")
    found = describe(
        a="from . import ANSWER\nfrom .b import BEAM\n" + script(), not_listed_b="from . import ANSWER\nBEAM = ANSWER\n"
    )
    assert found["a"]["error"] is None
    assert found["a"]["imports"] == ["b"]
