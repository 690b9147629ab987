"""How near calibrations came to the truth of a simulated detector.

    python examples/toydetector/compare.py --data DIR --found found.json

DIR is what simulate.py wrote; found.json lists payloads as in a job's conditions: {"name", "first", "last", "path"},
paths relative to it. Prints a table and ends with 1 if a type of constants has p <= 0.001, or was not found at all.

The distance to the truth is the root mean square of the pulls, decorrelated with the full covariance: 1 is what
statistical errors allow. Of channels that were classified, it is the number of wrong ones. The resolution says within
which distance of the right value 68.3 % of values lie, in new events of the last run; with nominal, found and true
constants.
"""

# mypy: allow-untyped-calls
# because calibration scripts are written without annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plants import plant
from raw_data import STREAMS
from release import calorimeter, cdst, momentum_scale
from release.beam import BEAM_ENERGY, TOTAL_ENERGY
from scipy import special
from simulate import nominal_constants
from truth import EXPERIMENT, Truth, make_truth

from b2cal.calibration import Events, Payload
from b2cal.core.iov import ExpRun, IoV
from b2cal.validation import AgainstTruth

Floats = NDArray[np.float64]
Values = Mapping[str, NDArray[Any]]
Constants = Mapping[str, Values]

CLASSIFIED = {"ChannelMask"}
"""Constants that are states: right or wrong, without errors."""
EXPECTED_WRONG = 0.1
"""Channels that pass for something else by chance: the mask's own limits are chosen so."""
NOTHING_FOUND = (0, "no constants", 0.0, 0.0, 0.0)
"""What `distance` would say of constants that nobody made."""
_SAMPLE = 4_000  # events of each stream
_SAMPLE_STREAM = 100  # random numbers that no simulated data have


def compare(truth: Truth, found: Sequence[Payload], runs: Sequence[int], seed: int) -> list[AgainstTruth]:
    """Compare found constants with the truth, one row for each type of the detector's constants.

    A type of which nothing was made from data has p = 0: it is as wrong as can be.

    Args:
        truth: of the simulated detector.
        found: payloads of any types; of each, those with runs among `runs` count.
        runs: from which the constants were made.
        seed: of the events that show the resolution.
    """
    nominal = nominal_constants()
    last = ExpRun(EXPERIMENT, runs[-1])
    before = {payload.name: payload.values for payload in nominal}
    after = before | {payload.name: payload.values for payload in found if payload.iov.contains(last)}
    true = before | truth.at(last.run)
    resolutions = [resolution(constants, truth, last, seed) for constants in (before, after, true)]
    rows = []
    for payload in nominal:
        made = [each for each in found if each.name == payload.name and each.identity != payload.identity]
        pairs = with_truth(made, truth, runs)
        shown, spreads = resolutions[0][payload.name][0], [each[payload.name][1] for each in resolutions]
        distances = distance(payload, pairs) if pairs else NOTHING_FOUND
        rows.append(AgainstTruth(payload.name, *distances, shown, *spreads))
    return rows


def with_truth(payloads: Sequence[Payload], truth: Truth, runs: Sequence[int]) -> list[tuple[Payload, Values]]:
    """Payloads that were made from data of the runs, with the mean of the truth over them."""
    pairs: list[tuple[Payload, Values]] = []
    for payload in payloads:
        own = [run for run in runs if payload.iov.contains(ExpRun(EXPERIMENT, run))]
        if own and np.any(payload.values.get("measured", True)):
            pairs.append((payload, truth.mean(own)[payload.name]))
    return pairs


def distance(nominal: Payload, pairs: Sequence[tuple[Payload, Values]]) -> tuple[int, str, float, float, float]:
    """Number of values, unit, distance of nominal and of found constants, and p."""
    if nominal.name in CLASSIFIED:
        n = sum(states.size for _, true in pairs for states in true.values())
        wrong_before = sum(wrong(nominal.values, true) for _, true in pairs)
        wrong_after = sum(wrong(payload.values, true) for payload, true in pairs)
        p = special.pdtrc(wrong_after - 1, EXPECTED_WRONG) if wrong_after else 1.0
        return n, "wrong", wrong_before, wrong_after, float(p)
    before = np.concatenate([pulls(payload, true, nominal.values) for payload, true in pairs])
    after = np.concatenate([pulls(payload, true, payload.values) for payload, true in pairs])
    return len(after), "σ", _rms(before), _rms(after), float(special.chdtrc(len(after), (after**2).sum()))


def pulls(payload: Payload, true: Values, values: Values) -> Floats:
    """Decorrelated differences of values to the truth in units of the payload's statistical error.

    Combinations that the covariance fixes exactly, such as the frame of an alignment, and channels that were not
    measured do not count.
    """
    assert payload.covariance is not None
    keys = sorted(true)
    difference = np.stack([values[key] - true[key] for key in keys])
    measured = np.asarray(payload.values.get("measured", np.ones(difference.shape[1], dtype=bool)))
    if payload.covariance.ndim == 3:
        covariance, each = payload.covariance[measured], difference[:, measured].T
    else:
        chosen = np.tile(measured, len(keys))
        covariance, each = payload.covariance[None][:, chosen][:, :, chosen], difference.reshape(1, -1)[:, chosen]
    variance, direction = np.linalg.eigh(covariance)
    fixed = variance < 1e-10 * variance.max(axis=1, keepdims=True)
    projected = np.einsum("nij,ni->nj", direction, each)
    return np.asarray((projected / np.sqrt(np.where(fixed, 1, variance)))[~fixed])


def wrong(values: Values, true: Values) -> int:
    """How many channels were classified wrongly."""
    return int(sum(np.sum(values[key] != true[key]) for key in true))


def resolution(constants: Constants, truth: Truth, run: ExpRun, seed: int) -> dict[str, tuple[str, float]]:
    """By payload: what is shown, and within which distance 68.3 % of it lie."""
    bhabha, dimuon, random = (_sample(stream, truth, run, seed) for stream in ("bhabha", "dimuon", "random"))
    mask, gain = constants["ChannelMask"], constants["CrystalGains"]["gain"]
    noise = random["crystal_adc"][:100] - constants["Pedestals"]["pedestal"]

    seed_cell = slice(calorimeter.SEED, None, calorimeter.CELLS)
    crystal, amplitude, status = cdst.clusters(bhabha, constants, time_window=np.inf)
    timed = (crystal[:, seed_cell] >= 0) & (bhabha["cell_time"][:, seed_cell] != calorimeter.NO_TIME)
    time = bhabha["cell_time"][:, seed_cell] - calorimeter.time_walk(amplitude[:, seed_cell])
    time = time - constants["TimeOffsets"]["offset"][crystal[:, seed_cell]]
    energy = (amplitude / gain[crystal]).reshape(-1, 2, calorimeter.CELLS).sum(axis=2)[status == cdst.COMPLETE]

    reconstructed = cdst.Cdst().produce(dimuon, constants, cdst.settings.expert_config)
    pairs = momentum_scale.Pairs(reconstructed, gain)
    mass = pairs.mass(scale=constants["MomentumScale"]["scale"][0])
    misjudged = 100 * wrong(mask, truth.at(run.run)["ChannelMask"]) / sum(state.size for state in mask.values())
    return {
        "Pedestals": ("noise about the pedestal, counts", _within(noise)),
        "ChannelMask": ("channels with wrong state, %", misjudged),
        "TimeOffsets": ("time of a cluster, ns", _within(time[timed])),
        "LadderAlignment": ("impact parameter of muons, µm", 1e6 * _within(reconstructed["helix"][:, [0, 5]])),
        "CrystalGains": ("energy of a cluster, %", 100 * _within(energy / BEAM_ENERGY - 1)),
        "MomentumScale": ("mass of muon pairs, %", 100 * _within(mass / TOTAL_ENERGY - 1)),
    }


def _sample(stream: str, truth: Truth, run: ExpRun, seed: int) -> Events:
    rng = np.random.default_rng([seed, _SAMPLE_STREAM, run.run])
    n = _SAMPLE if stream != "random" else 100
    return Events(STREAMS[stream](n, truth, run.run, rng), run, stream, n, rng)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _within(differences: NDArray[Any]) -> float:
    return float(np.quantile(np.abs(differences), 0.683))


def true_detector(folder: Path) -> tuple[Truth, int]:
    """Truth and seed of simulated data: it follows from the seed and from what was planted."""
    story = json.loads((folder / "truth.json").read_text())
    truth = make_truth(story["seed"])
    plant(truth, {each["check"]: each["in_units_of_its_limit"] for each in story["planted"]})
    return truth, story["seed"]


def good_runs(folder: Path) -> list[int]:
    """The simulated runs that calibrations use."""
    registry = json.loads((folder / "raw" / "runs.json").read_text())
    return [entry["run"] for entry in registry if "Good" in entry["attributes"]["Data Quality Tag"]]


def as_text(rows: Sequence[AgainstTruth]) -> str:
    """The rows as a table."""
    lines = [
        f"{'constants':16}{'values':>7}  {'distance to truth':24}{'p':>8}   resolution: nominal, found, true constants"
    ]
    for row in rows:
        digits = 0 if row.unit == "wrong" else 2
        moved = f"{row.before:.{digits}f} -> {row.after:.{digits}f} {row.unit}" if row.values else row.unit
        spread = f"{row.resolution_before:.3g}, {row.resolution_after:.3g}, {row.resolution_true:.3g}"
        lines.append(f"{row.payload:16}{row.values:7}  {moved:24}{row.p:8.3f}   {row.resolution}: {spread}")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what simulate.py wrote")
    parser.add_argument("--found", type=Path, required=True, metavar="FILE", help="JSON list of payloads")
    parser.add_argument(
        "--runs", metavar="FIRST-LAST", help="the runs they were made from (default: all that are Good)"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args(argv)
    runs = good_runs(arguments.data)
    if arguments.runs:
        first, _, last = arguments.runs.partition("-")
        runs = [run for run in runs if int(first) <= run <= int(last or first)]
    found = [
        Payload.read(arguments.found.parent / entry["path"], IoV.from_json([entry["first"], entry["last"]]))
        for entry in json.loads(arguments.found.read_text())
    ]
    truth, seed = true_detector(arguments.data)
    rows = compare(truth, found, runs, seed)
    sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=1) if arguments.json else as_text(rows))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
