"""Over 20 simulated detectors the found constants scatter about the true ones as their statistical errors say."""

import chain
import compare
import numpy as np
import pytest
import simulate

SEEDS = range(1001, 1021)
RUNS = (4, 6, 7, 8, 9, 10)  # two blocks of runs, with drifts inside and the jump between them
EVENTS = {"bhabha": 15_000, "dimuon": 2_500, "cosmic": 1_500, "random": 60}
WITH_ERRORS = ("Pedestals", "TimeOffsets", "LadderAlignment", "CrystalGains", "MomentumScale")
ALPHA = 0.05 / (2 * len(WITH_ERRORS))  # a bias and a width of each are tested together

pytestmark = [pytest.mark.physics, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Payloads with the truth of their runs, by type, of all seeds."""
    pairs = {}
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp(f"seed{seed}_")
        truth = simulate.simulate(folder / "data", simulate.Profile(RUNS, EVENTS), seed, {}, RUNS)
        one = chain.Chain(folder / "data", folder / "jobs", RUNS)
        one.run()
        for name in truth.constants:
            payloads = [chain.read(entry) for entry in one.found() if entry["name"] == name]
            pairs.setdefault(name, []).extend(compare.with_truth(payloads, truth, RUNS))
    return pairs


@pytest.fixture(scope="module")
def pulls(found):
    return {
        name: np.concatenate([compare.pulls(payload, true, payload.values) for payload, true in found[name]])
        for name in WITH_ERRORS
    }


@pytest.fixture(scope="module")
def stats():
    from scipy import stats  # takes a second: only who uses it pays

    return stats


@pytest.mark.parametrize("name", WITH_ERRORS)
def test_pulls_have_no_bias(stats, pulls, name):
    each = pulls[name]
    allowed = stats.norm.isf(ALPHA / 2) * each.std(ddof=1) / np.sqrt(len(each))
    assert abs(each.mean()) < allowed
    assert len(each) < 3000 or abs(each.mean()) < 0.1


@pytest.mark.parametrize("name", WITH_ERRORS)
def test_pulls_are_as_wide_as_the_errors_say(stats, pulls, name):
    each = pulls[name]
    ndf, squares = len(each) - 1, each.var() * len(each)
    lowest, highest = (np.sqrt(squares / stats.chi2.isf(tail, ndf)) for tail in (ALPHA / 2, 1 - ALPHA / 2))
    assert lowest < 1 < highest
    assert len(each) < 3000 or 0.95 < each.std() < 1.05


def test_types_of_many_values_are_among_them(pulls):
    assert sum(len(each) >= 3000 * len(SEEDS) for each in pulls.values()) >= 2


def test_no_channel_passes_for_what_it_is_not(found):
    assert sum(compare.wrong(payload.values, true) for payload, true in found["ChannelMask"]) == 0
