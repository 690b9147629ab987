"""Every check of the calibrations sees what it is there for."""

import chain
import plants
import pytest
import simulate

RUNS = range(6, 10)
QUIET = {"time_offsets.step": 0.0}
NUMERIC = [name for name, plant in plants.PLANTS.items() if plant.numeric]
YES_NO = [name for name, plant in plants.PLANTS.items() if not plant.numeric]

ALSO_RED = {
    # Six of ten chips of a layer are more dead channels than allowed, and ladders of it are hit by too few tracks.
    "channel_mask.every_layer_reads_out": {"channel_mask.bad_channels", "alignment.every_ladder_measured"},
    # A time needs an amplitude.
    "energy_scale.every_crate_measured": {"time_offsets.every_crate_measured"},
    # The width is taken about the right mass: masses that are off by 1 % in half of the runs make it larger.
    "momentum_scale.deviation": {"momentum_scale.resolution_excess"},
    # The energy that photons lose is missing in the masses, and all of them give one scale.
    "momentum_scale.photon_events_agree": {"momentum_scale.deviation", "momentum_scale.resolution_excess"},
}
"""What else a plant cannot but make red, and why."""

pytestmark = [pytest.mark.physics, pytest.mark.timeout(600)]


def _red(folder, planted):
    simulate.simulate(folder / "data", simulate.PROFILES["small"], 7, QUIET | planted, RUNS)
    one = chain.Chain(folder / "data", folder / "jobs", RUNS)
    one.run()
    return {f"{script}.{name}" for script in chain.CALIBRATIONS for name in chain.red(one.results[script])}


def test_nothing_is_red_where_nothing_is_planted(tmp_path):
    assert _red(tmp_path, {}) == set()


@pytest.mark.parametrize("name", NUMERIC)
def test_twice_the_limit_is_red_and_nothing_else(tmp_path, name):
    assert _red(tmp_path, {name: 2.0}) == {name, *ALSO_RED.get(name, ())}


@pytest.mark.parametrize("name", NUMERIC)
def test_half_the_limit_is_not_red(tmp_path, name):
    assert _red(tmp_path, {name: 0.5}) == set()


@pytest.mark.parametrize("name", YES_NO)
def test_a_violated_yes_no_check_is_red_and_nothing_else(tmp_path, name):
    assert _red(tmp_path, {name: 1.0}) == {name, *ALSO_RED.get(name, ())}
