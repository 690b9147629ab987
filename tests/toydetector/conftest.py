"""The example's modules as its own commands import them, and one small chain that several tests look at."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parents[1] / "examples" / "toydetector"
sys.path[:0] = [str(HERE), str(EXAMPLE)]


@pytest.fixture(scope="session")
def small_chain(tmp_path_factory):
    """Two runs, one on each side of the jump, simulated and calibrated from end to end."""
    import chain
    import simulate

    folder = tmp_path_factory.mktemp("toydetector")
    runs = range(7, 9)
    events = {"bhabha": 6_000, "dimuon": 2_500, "cosmic": 1_500, "random": 200}
    simulate.simulate(folder / "data", simulate.Profile(runs, events), 3, {}, runs)
    small = chain.Chain(folder / "data", folder / "jobs", runs)
    small.run()
    return small
