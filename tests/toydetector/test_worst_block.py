"""What is wrong in any block of runs is as wrong as in the last one: limits look at all payloads."""

import numpy as np
import pytest
from release import calorimeter
from release.energy_scale import CrystalGains
from release.time_offsets import TimeOffsets
from simulate import nominal_constants

from b2cal.calibration.conditions import Conditions, Constants
from b2cal.calibration.payload import Payload
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import Grade
from b2cal.validation import judge

BLOCKS = [IoV(ExpRun(26, 1), ExpRun(26, 3)), IoV(ExpRun(26, 4), ExpRun(26, 7)), IoV(ExpRun(26, 8), None)]
IN_EACH_BLOCK = pytest.mark.parametrize("block", range(len(BLOCKS)))
SOME_CRYSTALS = np.arange(1700, 1720)
SOME_CRATE = calorimeter.CRATE == 40


@pytest.fixture
def conditions(tmp_path):
    """The constants of which nothing is measured yet."""
    stored = []
    for payload in nominal_constants():
        path = tmp_path / f"{payload.name}.root"
        payload.write(path)
        stored.append(Constants(payload.name, payload.iov, path, payload.identity))
    return Conditions(stored)


def _as_designed(block, values):
    pass


def _payloads(nominal, change=_as_designed):
    """As designed and measured in all blocks, but for the change."""
    found = []
    for block, iov in enumerate(BLOCKS):
        values = {key: np.array(each) for key, each in nominal.values.items()} | {
            "measured": np.ones(calorimeter.N_CRYSTALS, dtype=bool)
        }
        change(block, values)
        found.append(Payload(nominal.name, iov, values, covariance=1e-4 * nominal.covariance))
    return found


def _measured(calibration, payloads, conditions):
    """What the script measures where the events are spread as expected."""
    per_crystal = {
        CrystalGains: {"pulses": 100.0, "ee": 1.0, "ea": 0.0, "aa": 99.0},
        TimeOffsets: {"pulses": 100.0, "weight": 1.0, "time": 0.0, "square": 99.0},
    }[calibration]
    collected = {name: np.full(calorimeter.N_CRYSTALS, each) for name, each in per_crystal.items()}
    measured = calibration().measure(payloads, collected, conditions, {"min_pulses": 5})
    return {each.name: each for each in measured}


def _red(calibration, payloads, conditions):
    limits = {name: limit.to_json() for name, limit in calibration.limits.items()}
    verdict = judge([each.to_json() for each in _measured(calibration, payloads, conditions).values()], limits, [])
    return {check.name for check in verdict.checks if check.grade is not Grade.PASS}


@pytest.mark.parametrize("calibration", [CrystalGains, TimeOffsets])
def test_nothing_is_red_where_all_is_as_designed(conditions, calibration):
    nominal = conditions.payload(calibration.__name__)
    assert _red(calibration, _payloads(nominal), conditions) == set()


@IN_EACH_BLOCK
@pytest.mark.parametrize("factor", [0.1, 1.9])
def test_crystals_whose_gain_is_wrong_in_one_block_are_red(conditions, block, factor):
    def change(at, values):
        if at == block:
            values["gain"][SOME_CRYSTALS] *= factor

    payloads = _payloads(conditions.payload("CrystalGains"), change)
    assert _red(CrystalGains, payloads, conditions) == {"deviation"}


@IN_EACH_BLOCK
@pytest.mark.parametrize("calibration", [CrystalGains, TimeOffsets])
def test_a_crate_that_is_not_measured_in_one_block_is_red(conditions, calibration, block):
    def change(at, values):
        if at == block:
            values["measured"][SOME_CRATE] = False

    payloads = _payloads(conditions.payload(calibration.__name__), change)
    assert _red(calibration, payloads, conditions) == {"every_crate_measured"}


@IN_EACH_BLOCK
def test_a_gain_that_was_measured_in_one_block_only_counts_there(conditions, block):
    """What was never measured is no deviation, and does not hide one."""

    def change(at, values):
        values["gain"][SOME_CRYSTALS] *= 1.9
        values["measured"][SOME_CRYSTALS] = at == block
        values["measured"][0] = False

    payloads = _payloads(conditions.payload("CrystalGains"), change)
    deviation = _measured(CrystalGains, payloads, conditions)["deviation"].values
    np.testing.assert_allclose(deviation[SOME_CRYSTALS], 0.9)
    assert np.flatnonzero(np.isnan(deviation)).tolist() == [0]
