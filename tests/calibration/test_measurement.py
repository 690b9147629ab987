"""Measurements as plain JSON, and those that nobody could judge."""

import json

import numpy as np
import pytest

from b2cal.calibration import Grade, Limit, Measurement
from b2cal.calibration.measurement import InvalidMeasurement, as_measurements


@pytest.mark.parametrize(
    ("values", "plain"),
    [
        (True, True),
        (np.bool_(False), False),
        (3, 3),
        (np.float32(0.5), 0.5),
        (float("nan"), None),
        ([1.0, np.inf, 2.5], [1.0, None, 2.5]),
        (np.array([True, False]), [True, False]),
        (np.arange(3, dtype="u1"), [0, 1, 2]),
        ([], []),
    ],
)
def test_values_become_plain_json_and_what_was_not_measured_null(values, plain):
    text = json.dumps(Measurement("gain", values).to_json(), allow_nan=False)
    assert json.loads(text)["values"] == plain
    assert type(json.loads(text)["values"]) is type(plain)


def test_all_fields_are_in_the_json():
    measurement = Measurement("gain", [1, 2], errors=[0.1, 0.2], unit="GeV", axis="layer", previous=np.array([3, 4]))
    assert measurement.to_json() == {
        "name": "gain",
        "values": [1, 2],
        "errors": [0.1, 0.2],
        "unit": "GeV",
        "axis": "layer",
        "previous": [3, 4],
    }


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"values": "text"}, "values"),
        ({"values": [[1, 2]]}, "values"),
        ({"values": None}, "values"),
        ({"values": [1, 2], "errors": [1]}, "errors"),
        ({"values": [1, 2], "errors": 1}, "errors"),
        ({"values": [1, 2], "previous": [1, 2, 3]}, "previous"),
    ],
)
def test_measurements_that_nobody_could_judge_are_refused(fields, what):
    with pytest.raises(InvalidMeasurement, match=f"The {what} of the measurement 'gain'"):
        Measurement("gain", **fields)


def test_measure_returns_a_list_of_measurements_with_names_of_their_own():
    one, other = Measurement("a", 1), Measurement("b", 2)
    assert as_measurements((one, other)) == [one, other]
    assert as_measurements(()) == []
    with pytest.raises(InvalidMeasurement, match="returned None"):
        as_measurements(None)
    with pytest.raises(InvalidMeasurement, match="returned a twice"):
        as_measurements([one, one])


def test_a_limit_says_what_lies_beyond():
    assert Limit(low=1, beyond=Grade.WARN).to_json() == {"low": 1, "high": None, "beyond": "warn"}
    assert Limit().beyond is Grade.FAIL
