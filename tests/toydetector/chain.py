"""The whole chain of the toy detector's calibrations in one process, by the code that batch jobs run.

Each stage gets a folder with a `job.json` and is carried out by `b2cal.calibration.stage.main`; what the loop would do
between the stages (which files, which constants, when to iterate) is done here in its simplest form.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from b2cal.calibration import Payload, stage
from b2cal.calibration.script import PACKAGE, load
from b2cal.calibration.strategy import pieces
from b2cal.core.checksums import sha256_file
from b2cal.core.ids import new_token
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import Grade
from b2cal.validation import judge

RELEASE = Path(__file__).resolve().parents[2] / "examples" / "toydetector" / "release"
EXPERIMENT = 26
CALIBRATIONS = ("channel_mask", "time_offsets", "alignment", "energy_scale", "momentum_scale")
ORDER = ("pedestals", "channel_mask", "time_offsets", "alignment", "cdst", "energy_scale", "momentum_scale")

Entry = dict[str, Any]


@dataclass
class Result:
    """What one calibration gave: entries as in the conditions of a job, and its measurements."""

    payloads: list[Entry] = field(default_factory=list)
    measurements: dict[str, dict[str, Any]] = field(default_factory=dict)
    limits: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: list[Entry] = field(default_factory=list)
    outcome: str = "ok"
    iterations: int = 1
    names_read: set[str] = field(default_factory=set)


class Chain:
    """Calibrations of one set of simulated data, each with the constants of those before it."""

    def __init__(self, data: Path, work: Path, runs: Sequence[int], files_per_job: int = 4) -> None:
        self.data, self.work, self.runs, self.files_per_job = data, work, list(runs), files_per_job
        self.iov = IoV(ExpRun(EXPERIMENT, self.runs[0]), None)
        self.nominal = constants_in(data / "nominal")
        self.results: dict[str, Result] = {}
        self._raw = {path: sha256_file(path) for path in sorted((data / "raw").glob("*.root"))}

    def run(self, scripts: Sequence[str] = ORDER) -> None:
        for module in scripts:
            self.results[module] = self.result_of(module)

    def result_of(self, module: str, withheld: Sequence[str] = (), files: list[Entry] | None = None) -> Result:
        """Run one script; constants of the withheld scripts are the nominal ones, cDST may be given."""
        if module == "pedestals":
            return Result(payloads=self._copied())
        conditions = self.conditions(module, withheld)
        inputs = self.inputs(module) if files is None else files
        if module == "cdst":
            return self._produced(inputs, conditions)
        return self._calibrated(module, inputs, conditions)

    def conditions(self, module: str, withheld: Sequence[str] = ()) -> list[Entry]:
        """The nominal constants, then those of everything upstream."""
        given = [each for each in upstream(module) if each not in withheld]
        return [*self.nominal, *(entry for each in given for entry in self.results[each].payloads)]

    def found(self) -> list[Entry]:
        return [entry for result in self.results.values() for entry in result.payloads]

    def _copied(self) -> list[Entry]:
        clipped = []
        for entry in constants_in(self.data / "subsystem"):
            iov = IoV.from_json([entry["first"], entry["last"]]).clip(self.iov)
            if iov is not None:
                first, last = iov.to_json()
                clipped.append({**entry, "first": first, "last": last})
        return clipped

    def inputs(self, module: str) -> list[Entry]:
        """The raw or cDST files that a script reads."""
        with release_loaded():
            settings = load(RELEASE, module).settings
        names = settings.input_data_names
        if "cdst" in settings.input_data_formats:
            return [file for file in self.results["cdst"].files if file["data_name"] in names]
        return [
            {"path": str(path), "data_name": name, "exp": EXPERIMENT, "run": run, "sha256": checksum}
            for path, checksum in self._raw.items()
            for name, run in [(path.name.split("_")[0], int(path.stem.split("_r")[1]))]
            if name in names and run in self.runs
        ]

    def _produced(self, inputs: list[Entry], conditions: list[Entry]) -> Result:
        folder = self._stage("produce", "cdst", inputs=inputs, conditions=conditions)
        made = json.loads((folder / "outputs/result.json").read_text())
        files = []
        for file in made["files"]:
            path = folder / "outputs" / file.pop("file")
            files.append({**file, "path": str(path), "sha256": sha256_file(path)})
        return Result(files=files, names_read=set(made["names_read"]))

    def _calibrated(self, module: str, inputs: list[Entry], base: list[Entry]) -> Result:
        with release_loaded():
            script = load(RELEASE, module)
            calibration = script.calibration()
            config = script.settings.expert_config
            runs = {ExpRun(file["exp"], file["run"]) for file in inputs}
            iovs = [iov.to_json() for iov in pieces(calibration.strategy, self.iov, config, runs)]
        answer, conditions = Result(outcome="iterate", iterations=0), list(base)
        while answer.outcome == "iterate" and answer.iterations < calibration.max_iterations:
            collected = self._collected(module, inputs, conditions, answer)
            fitted = self._stage("fit", module, collected=collected, conditions=conditions, iovs=iovs)
            result = json.loads((fitted / "outputs/result.json").read_text())
            for entry in result["payloads"]:
                entry["path"] = str(fitted / "outputs" / entry.pop("file"))
            answer.payloads, answer.outcome = result["payloads"], result["outcome"]
            answer.names_read |= set(result["names_read"])
            answer.iterations += 1
            conditions = [*base, *answer.payloads]
        if answer.payloads:
            folder = self._stage("measure", module, collected=collected, conditions=base, payloads=answer.payloads)
            measured = json.loads((folder / "outputs/measurements.json").read_text())
            answer.measurements = {entry["name"]: entry for entry in measured["measurements"]}
            answer.limits = measured["limits"]
        return answer

    def _collected(self, module: str, inputs: list[Entry], conditions: list[Entry], answer: Result) -> list[str]:
        """Results of collect jobs, each with `files_per_job` files; what they read is noted in the answer."""
        paths = []
        for first in range(0, len(inputs), self.files_per_job):
            some = inputs[first : first + self.files_per_job]
            folder = self._stage("collect", module, inputs=some, conditions=conditions)
            answer.names_read |= set(json.loads((folder / "outputs/collected.json").read_text())["names_read"])
            paths.append(str(folder / "outputs/collected.npz"))
        return paths

    def _stage(self, name: str, module: str, **parts: Any) -> Path:
        with release_loaded():
            config = load(RELEASE, module).settings.expert_config
        job = {"stage": name, "release": str(RELEASE), "module": module, "config": config, "seed": "0" * 64}
        folder = self.work / f"{module}_{name}_{new_token()[:8]}"
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(json.dumps(job | parts))
        before = Path.cwd()
        os.chdir(folder)
        try:
            with release_loaded():
                assert stage.main() == 0, f"{module} {name}"
        finally:
            os.chdir(before)
        return folder


def upstream(module: str) -> list[str]:
    """The scripts whose constants a script reads, directly or through others, in their order."""
    with release_loaded():
        names = {load(RELEASE, each).settings.name: each for each in ORDER}
        found: set[str] = set()
        todo = list(load(RELEASE, module).settings.depends_on)
        while todo:
            settings = todo.pop()
            found.add(names[settings.name])
            todo += settings.depends_on
    return [each for each in ORDER if each in found]


def constants_in(folder: Path) -> list[Entry]:
    entries = json.loads((folder / "constants.json").read_text())
    return [{**entry, "path": str(folder / entry["path"])} for entry in entries]


def read(entry: Entry) -> Payload:
    return Payload.read(entry["path"], IoV.from_json([entry["first"], entry["last"]]))


def red(result: Result) -> set[str]:
    """Names of the checks that the verdict on this result does not pass."""
    verdict = judge(list(result.measurements.values()), result.limits, [])
    return {check.name for check in verdict.checks if check.grade is not Grade.PASS}


@contextmanager
def release_loaded() -> Iterator[None]:
    """Give the loader a process in which no other release was loaded, as every job has."""

    def ours() -> dict[str, Any]:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == PACKAGE}

    others, written = ours(), sys.dont_write_bytecode
    sys.modules.update(_LOADED)
    try:
        yield
    finally:
        _LOADED.update(ours())
        sys.modules.update(others)
        sys.dont_write_bytecode = written


_LOADED: dict[str, Any] = {}
