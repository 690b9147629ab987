"""What the jobs of a stage leave behind, read with distrust: a job may end well and still leave nonsense.

The forms are those that `b2cal.calibration.stage` writes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from b2cal.calibration.doors import SCHEME
from b2cal.core.errors import B2calError
from b2cal.core.fit_outcome import FitOutcome
from b2cal.core.iov import ExpRun, IoV
from b2cal.model import Stage

from .work import Measurements, ProducedFile, ProducedPayload, StageOutcome

OUTPUTS: Mapping[Stage, tuple[str, ...]] = {
    Stage.COLLECT: ("outputs/collected.npz", "outputs/collected.json"),
    Stage.FIT: ("outputs/result.json",),
    Stage.PRODUCE: ("outputs/result.json",),
    Stage.MEASURE: ("outputs/measurements.json",),
}
"""The files, below a job's folder, without which a job of that stage has not done its work."""


@dataclass(frozen=True)
class FitResult:
    """What a fit brought back; `without_data` are the runs for which there were too few."""

    outcome: FitOutcome
    message: str
    payloads: tuple[ProducedPayload, ...]
    without_data: tuple[IoV, ...]


class UnusableOutput(B2calError):
    """A job ended well, but what it left behind is missing or malformed."""


def collected_paths(stage: StageOutcome) -> list[str]:
    """What the collect jobs brought back, in the order of the partition."""
    return [str(folder / "outputs/collected.npz") for folder in _folders(stage)]


def fit_result(stage: StageOutcome) -> FitResult:
    """Result of the one job of a fit.

    Raises:
        UnusableOutput: it is missing or malformed.
    """
    (folder,) = _folders(stage)
    path = folder / "outputs/result.json"
    content = _read(path)
    try:
        payloads = tuple(_payload(entry, path.parent) for entry in content["payloads"])
        without_data = tuple(IoV.from_json(iov) for iov in content.get("without_data", []))
        return FitResult(FitOutcome(content["outcome"]), str(content.get("message", "")), payloads, without_data)
    except _MALFORMED as error:
        raise _unusable(path, error) from error


def produced_files(stage: StageOutcome) -> tuple[ProducedFile, ...]:
    """Files that the jobs of a production wrote, in the order of the partition.

    Raises:
        UnusableOutput: a job's result, or a file that it names, is missing or malformed.
    """
    return tuple(file for folder in _folders(stage) for file in _files(folder / "outputs/result.json"))


def measurements(stage: StageOutcome) -> Measurements:
    """What a finished measure stage brought back.

    Raises:
        UnusableOutput: it is missing or malformed.
    """
    (folder,) = _folders(stage)
    path = folder / "outputs/measurements.json"
    content = _read(path)
    try:
        measured, limits = list(content["measurements"]), dict(content["limits"])
        return Measurements(measured, limits, frozenset(content["names_read"]))
    except _MALFORMED as error:
        raise _unusable(path, error) from error


def names_read(stages: Iterable[StageOutcome]) -> frozenset[str]:
    """Names of all constants that the jobs of these stages have read.

    Raises:
        UnusableOutput: a job did not tell.
    """
    names: set[str] = set()
    for stage in stages:
        for folder in _folders(stage):
            path = folder / OUTPUTS[stage.stage][-1]
            try:
                names.update(_read(path)["names_read"])
            except _MALFORMED as error:
                raise _unusable(path, error) from error
    return frozenset(names)


_MALFORMED = (KeyError, TypeError, ValueError, B2calError)


def _folders(stage: StageOutcome) -> list[Path]:
    folders = [job.folder for job in sorted(stage.jobs, key=lambda job: job.number)]
    return [folder for folder in folders if folder is not None]


def _payload(entry: Mapping[str, Any], outputs: Path) -> ProducedPayload:
    iov = IoV.from_json([entry["first"], entry["last"]])
    path = _existing(outputs / entry["file"])
    return ProducedPayload(entry["name"], iov.first.number, iov.last_number, path, entry["identity"])


def _files(path: Path) -> list[ProducedFile]:
    content = _read(path)
    try:
        return [
            ProducedFile(
                file if (file := str(entry["file"])).startswith(SCHEME) else _existing(path.parent / file),
                entry["data_name"],
                ExpRun(int(entry["exp"]), int(entry["run"])).number,
                int(entry["n_events"]),
                str(entry.get("checksum", "")),
            )
            for entry in content["files"]
        ]
    except _MALFORMED as error:
        raise _unusable(path, error) from error


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"it names {path.name}, which is not there")
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError) as error:
        raise _unusable(path, error) from error
    if not isinstance(content, dict):
        raise _unusable(path, TypeError("it is no JSON object"))
    return content


def _unusable(path: Path, error: Exception) -> UnusableOutput:
    if isinstance(error, UnusableOutput):
        return error
    said = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
    return UnusableOutput(
        f"A job ended without error, but its {path.name} cannot be used: {said}.",
        hint=f"Look at the log beside {path}; if the disk was full, make room; then restart the calibration.",
    )
