"""Withholding what an edge of the graph carries makes the result that the edge names worse."""

import chain
import compare
import edges
import pytest
import simulate

RUNS = range(6, 10)

pytestmark = [pytest.mark.physics, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edges")
    simulate.simulate(folder / "data", simulate.PROFILES["small"], 11, {}, RUNS)
    return _calibrated(folder)


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """The same detector, other events."""
    folder = tmp_path_factory.mktemp("again")
    truth = simulate.simulate(folder / "data", simulate.PROFILES["small"], 11, {}, RUNS)
    for run in RUNS:
        simulate.write_run(folder / "data/raw", truth, run, simulate.PROFILES["small"].events, seed=12)
    return _calibrated(folder)


def _calibrated(folder):
    one = chain.Chain(folder / "data", folder / "jobs", RUNS)
    one.run()
    return one


@pytest.mark.parametrize("edge", edges.EDGES, ids=lambda edge: f"{edge.upstream} -> {edge.downstream}")
def test_without_the_upstream_constants_the_result_is_worse_by_more_than_5_sigma(full, edge):
    before, after = (
        [chain.read(entry) for entry in payloads] for payloads in (_full(full, edge), _without(full, edge))
    )
    truth, _ = compare.true_detector(full.data)
    assert edges.worsening(edge, before, after, truth, RUNS) > 5


@pytest.mark.parametrize("edge", edges.EDGES, ids=lambda edge: f"{edge.upstream} -> {edge.downstream}")
def test_with_them_other_events_of_the_same_detector_are_no_worse(full, again, edge):
    assert [entry["identity"] for entry in full.found()] != [entry["identity"] for entry in again.found()]
    before, after = ([chain.read(entry) for entry in _full(one, edge)] for one in (full, again))
    truth, _ = compare.true_detector(full.data)
    assert abs(edges.worsening(edge, before, after, truth, RUNS)) < 5


def _full(one, edge):
    return [entry for entry in one.results[edge.judged_by].payloads if entry["name"] == edge.payload]


def _without(one, edge):
    if "cdst" not in (edge.upstream, edge.downstream):
        return one.result_of(edge.downstream, withheld=[edge.upstream]).payloads
    withheld = chain.ORDER if edge.upstream == "cdst" else [edge.upstream]  # a cDST made with nominal constants
    cdst = one.result_of("cdst", withheld=withheld)
    names = {file["data_name"] for file in one.inputs(edge.judged_by)}
    files = [file for file in cdst.files if file["data_name"] in names]
    return one.result_of(edge.judged_by, files=files).payloads
