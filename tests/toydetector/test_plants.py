"""Every check of the calibrations sees what it is there for."""

import chain
import plants
import pytest
import simulate

RUNS = range(6, 10)
QUIET = {"time_offsets.step": 0.0}
NUMERIC = [name for name, plant in plants.PLANTS.items() if plant.numeric]
YES_NO = [name for name, plant in plants.PLANTS.items() if not plant.numeric]

pytestmark = [pytest.mark.physics, pytest.mark.timeout(600)]


def _red(folder, planted):
    simulate.simulate(folder / "data", simulate.PROFILES["small"], 7, QUIET | planted, RUNS)
    one = chain.Chain(folder / "data", folder / "jobs", RUNS)
    one.run()
    return {f"{script}.{name}" for script in chain.CALIBRATIONS for name in chain.beyond(one.results[script])}


def _unrelated(name):
    script = name.split(".")[0]
    related = {script, *chain.upstream(script), *(each for each in chain.ORDER if script in chain.upstream(each))}
    return set(chain.ORDER) - related


def test_nothing_is_red_where_nothing_is_planted(tmp_path):
    assert _red(tmp_path, {}) == set()


@pytest.mark.parametrize("name", NUMERIC)
def test_twice_the_limit_is_red(tmp_path, name):
    red = _red(tmp_path, {name: 2.0})
    assert name in red
    assert not {each.split(".")[0] for each in red} & _unrelated(name)


@pytest.mark.parametrize("name", NUMERIC)
def test_half_the_limit_is_not_red(tmp_path, name):
    assert _red(tmp_path, {name: 0.5}) == set()


@pytest.mark.parametrize("name", YES_NO)
def test_a_violated_yes_no_check_is_red(tmp_path, name):
    red = _red(tmp_path, {name: 1.0})
    assert name in red
    assert not {each.split(".")[0] for each in red} & _unrelated(name)
