"""Simulate raw data of the toy detector.

    python examples/toydetector/simulate.py --out DIR --profile demo --seed 1

DIR then holds
    raw/         ROOT files, one for each run and stream, and the run registry runs.json
    nominal/     constants as designed, to seed a base tag; constants.json lists them
    subsystem/   pedestals that the calorimeter group measured, with IoVs from before the first to after the last run
    truth.json   what was simulated; truth.npz the true constants
Runs that are simulated later, with the same seed and profile, are added. A DIR of another simulation is refused.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from plants import ALWAYS, PLANTS, plant
from raw_data import STREAMS
from release import calorimeter, tracker
from truth import BAD_RUN, EXCHANGED_CRATE, EXPERIMENT, PEDESTAL_PERIODS, RUNS, SECOND_WEEK, Truth, make_truth

from b2cal.calibration import Payload
from b2cal.core.iov import ExpRun, IoV

HOLDS_ANOTHER = os.EX_DATAERR  # by this exit code `b2cal data simulate` knows it; Python and argparse have others
FIRST_RUN_STARTED = datetime(2026, 11, 2, 6, tzinfo=UTC)


@dataclass(frozen=True)
class Profile:
    """Which runs, and how many events of each stream in a run."""

    runs: Sequence[int]
    events: Mapping[str, int]


PROFILES: Mapping[str, Profile] = {
    "demo": Profile(RUNS, {"bhabha": 20_000, "dimuon": 6_000, "cosmic": 3_000, "random": 200}),
    "small": Profile(range(6, 10), {"bhabha": 10_000, "dimuon": 4_000, "cosmic": 2_000, "random": 150}),
}


class HoldsAnother(Exception):
    """The folder holds the data of another simulation, which would be replaced in part."""


def simulate(out: Path, profile: Profile, seed: int, planted: Mapping[str, float], runs: Sequence[int]) -> Truth:
    """Write everything into `out`; returns the truth.

    Raises:
        HoldsAnother: another seed, profile or deviation made what is there; nothing was written.
    """
    planted = {**ALWAYS, **planted}
    story = _story(seed, planted, profile.events)
    _see_that_it_is_the_same(out, story)
    truth = make_truth(seed)
    plant(truth, planted)
    out.mkdir(parents=True, exist_ok=True)
    truth.write(out, story)
    _write_constants(out / "nominal", nominal_constants())
    _write_constants(out / "subsystem", subsystem_constants(truth, seed))
    for run in runs:
        write_run(out / "raw", truth, run, profile.events, seed)
    return truth


def write_run(folder: Path, truth: Truth, run: int, events: Mapping[str, int], seed: int) -> None:
    """Write the files of one run and enter it into the registry."""
    folder.mkdir(exist_ok=True)
    for number, (stream, n) in enumerate(events.items()):
        rng = np.random.default_rng([seed, 1 + number, run])
        with uproot.recreate(folder / f"{stream}_e{EXPERIMENT:04}_r{run:05}.root", compression=None) as file:
            file["events"] = STREAMS[stream](n, truth, run, rng)
    registry = folder / "runs.json"
    known = json.loads(registry.read_text()) if registry.exists() else []
    entries = [entry for entry in known if entry["run"] != run] + [_registry_entry(run, events)]
    registry.write_text(json.dumps(sorted(entries, key=lambda entry: entry["run"]), indent=1))


def nominal_constants() -> list[Payload]:
    """Constants as designed, valid for ever."""
    always = IoV(ExpRun(0, 0), None)
    crystals, ladders = np.ones(calorimeter.N_CRYSTALS), np.zeros(tracker.N_LADDERS)
    never = np.zeros(calorimeter.N_CRYSTALS, dtype=bool)
    return [
        Payload(
            "Pedestals",
            always,
            {"pedestal": calorimeter.NOMINAL_PEDESTAL * crystals, "noise": calorimeter.NOMINAL_NOISE * crystals},
            covariance=np.tile(np.diag([0.5**2, 15.0**2]), (calorimeter.N_CRYSTALS, 1, 1)),
        ),
        Payload(
            "ChannelMask",
            always,
            {
                "crystal": np.zeros(calorimeter.N_CRYSTALS, dtype=np.uint8),
                "channel": np.zeros(tracker.N_CHANNELS, dtype=np.uint8),
            },
        ),
        Payload(
            "TimeOffsets",
            always,
            {"offset": 0 * crystals, "measured": never},
            covariance=4.0**2 * crystals[:, None, None],
        ),
        Payload(
            "LadderAlignment",
            always,
            {"shift_u": ladders, "shift_z": ladders, "measured": np.zeros(tracker.N_LADDERS, dtype=bool)},
        ),
        Payload(
            "CrystalGains",
            always,
            {"gain": calorimeter.NOMINAL_GAIN * crystals, "measured": never},
            covariance=(0.1 * calorimeter.NOMINAL_GAIN) ** 2 * crystals[:, None, None],
        ),
        Payload("MomentumScale", always, {"scale": [1.0], "pairs": [0]}, covariance=[[1e-6]]),
    ]


def subsystem_constants(truth: Truth, seed: int) -> list[Payload]:
    """Pedestals and noise as the calorimeter group measured them, each time in 2000 local events."""
    n = 2000
    first_runs = [ExpRun(EXPERIMENT - 1, 100), *(ExpRun(EXPERIMENT, first) for first, _ in PEDESTAL_PERIODS[1:])]
    last_runs = [*(ExpRun(EXPERIMENT, last) for _, last in PEDESTAL_PERIODS[:-1]), None]
    rng = np.random.default_rng([seed, 1 + len(STREAMS)])
    payloads = []
    for (run, _), first, last in zip(PEDESTAL_PERIODS, first_runs, last_runs, strict=True):
        true = truth.at(run)["Pedestals"]
        errors = {"noise": true["noise"] / np.sqrt(2 * n), "pedestal": true["noise"] / np.sqrt(n)}
        covariance = np.stack(list(errors.values()), axis=1)[:, :, None] ** 2 * np.eye(2)
        values = {key: rng.normal(true[key], error) for key, error in errors.items()}
        payloads.append(Payload("Pedestals", IoV(first, last), values, covariance))
    return payloads


def _write_constants(folder: Path, payloads: Sequence[Payload]) -> None:
    folder.mkdir(exist_ok=True)
    entries = []
    for payload in payloads:
        file = f"{payload.name}_{payload.iov.first}.root"
        payload.write(folder / file)
        first, last = payload.iov.to_json()
        entries.append({"name": payload.name, "first": first, "last": last, "path": file, "identity": payload.identity})
    (folder / "constants.json").write_text(json.dumps(entries, indent=1))


def _registry_entry(run: int, events: Mapping[str, int]) -> dict[str, Any]:
    good = ["Good Or Recoverable", "Bad For Alignment"] if run == BAD_RUN else ["Good", "Good Or Recoverable"]
    return {
        "exp": EXPERIMENT,
        "run": run,
        "started": (FIRST_RUN_STARTED + timedelta(days=run - 1)).isoformat(),
        "duration_s": 72_000,
        "n_events": sum(events.values()),
        "attributes": {"Magnet": ["On"], "Run Type": ["physics"], "Data Quality Tag": good},
        "expected": dict(events),
    }


def _see_that_it_is_the_same(out: Path, story: Mapping[str, Any]) -> None:
    try:
        before = json.loads((out / "truth.json").read_text())
    except (FileNotFoundError, ValueError):  # nothing, or a simulation that was killed as it began
        return
    if before != story:
        seed = before.get("seed")
        what = "profile or deviations" if seed == story["seed"] else f"seed, {seed}"
        raise HoldsAnother(f"{out} holds data that were simulated with another {what}: nothing was written.")


def _story(seed: int, planted: Mapping[str, float], events: Mapping[str, int]) -> dict[str, Any]:
    return {
        "seed": seed,
        "events_per_run": dict(events),
        "experiment": EXPERIMENT,
        "planted": [
            {"check": name, "what": PLANTS[name].what, "in_units_of_its_limit": value}
            for name, value in planted.items()
            if value
        ],
        "jump": {
            "payload": "TimeOffsets",
            "crate": EXCHANGED_CRATE,
            "crystals": np.flatnonzero(calorimeter.CRATE == EXCHANGED_CRATE).tolist(),
            "first_run": [EXPERIMENT, SECOND_WEEK],
            "ns": planted["time_offsets.step"] * (PLANTS["time_offsets.step"].limit or 0.0),
            "why": "The crate was exchanged in the night before this run. The jump is real: signing off is right.",
        },
        "not_good": [[EXPERIMENT, BAD_RUN]],
        "not_good_why": "The tracker's high voltage tripped: its hits are three times less precise.",
    }


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for everything")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="demo", help="how many runs and events")
    parser.add_argument("--seed", type=int, default=1, help="fixes truth and data (default 1)")
    parser.add_argument("--runs", type=_run_range, metavar="FIRST-LAST", help="only these runs of experiment 26")
    parser.add_argument("--plant", action="append", type=_planted, default=[], metavar="NAME=VALUE", help="a deviation")
    parser.add_argument("--list-plants", action="store_true", help="show what can be planted, and end")
    arguments = parser.parse_args(argv)
    if arguments.out is None and not arguments.list_plants:
        parser.error("--out is missing: say where the data are to be written, for instance --out var/toy")
    return arguments


def _run_range(text: str) -> range:
    first, _, last = text.partition("-")
    runs = range(int(first), int(last or first) + 1)
    if not runs or runs[0] not in RUNS or runs[-1] not in RUNS:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of runs between {RUNS[0]} and {RUNS[-1]}")
    return runs


def _planted(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in PLANTS:
        raise argparse.ArgumentTypeError(f"there is no plant {name!r}; --list-plants shows them")
    return name, float(value)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; ends with 65 if the folder holds another simulation."""
    arguments = _arguments(argv)
    if arguments.list_plants:
        for name, each in PLANTS.items():
            sys.stdout.write(f"{name:40} {each.what} ({ALWAYS.get(name, 0):g} unless given; 1 is the check's limit)\n")
        return 0
    profile = PROFILES[arguments.profile]
    try:
        simulate(arguments.out, profile, arguments.seed, dict(arguments.plant), arguments.runs or profile.runs)
    except HoldsAnother as refused:
        sys.stderr.write(f"{refused}\n")
        return HOLDS_ANOTHER
    return 0


if __name__ == "__main__":
    sys.exit(main())
