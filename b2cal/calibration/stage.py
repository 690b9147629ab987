"""One stage of a calibration, run as a batch job: `python -m b2cal.calibration.stage` in the job's folder.

Reads `job.json` and writes into `outputs/`, the JSON document last. Exit codes: 0 the stage ran (too little data is a
result as well), 1 the script failed, 2 job.json makes no sense, 73 an output could not be written, 74 an input, or
job.json itself, could not be read. The last two are not the script's fault.
"""

import copy
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum, auto
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from b2cal.calibration import collected
from b2cal.calibration.conditions import Conditions, Constants
from b2cal.calibration.doors import Doors
from b2cal.calibration.events import InputFile, chunks
from b2cal.calibration.fit import fit_all
from b2cal.calibration.inputs import UnreadableInput, at_hand
from b2cal.calibration.measurement import as_measurements
from b2cal.calibration.payload import Array, Payload
from b2cal.calibration.production import write_events
from b2cal.calibration.script import Script, load
from b2cal.calibration.uploads import Destination
from b2cal.core.errors import B2calError
from b2cal.core.files import CannotWrite, write_atomically
from b2cal.core.iov import IoV

OUTPUTS = Path("outputs")
_DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


class Stage(StrEnum):
    """What a job can do."""

    COLLECT = auto()
    FIT = auto()
    MEASURE = auto()
    PRODUCE = auto()


class InvalidJob(B2calError):
    """job.json does not say what its stage needs."""


@dataclass(frozen=True)
class Job:
    """What `job.json` says.

    Attributes:
        stage: what to do.
        release: folder of the calibration scripts.
        module: which of them.
        config: the expert_config.
        seed: for the random numbers; the same in all jobs of an attempt.
        inputs: files to collect from, or to produce from.
        conditions: constants that the script may read, the last of several is valid.
        collected: results of the collect jobs.
        iovs: intervals to fit one by one.
        payloads: new constants to measure.
        doors: of the storage at the centre where it runs; jobs of a large group begin to read one after the other.
        output: a folder behind them, and a path below that is this job's own, for produced files; None: they stay here.
    """

    stage: Stage
    release: Path
    module: str
    config: dict[str, Any]
    seed: str
    inputs: tuple[InputFile, ...]
    conditions: tuple[Constants, ...]
    collected: tuple[Path, ...]
    iovs: tuple[IoV, ...]
    payloads: tuple[Constants, ...]
    doors: Doors
    output: tuple[str, str] | None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        addresses = tuple(str(door) for door in document.get("doors", []))
        output = document.get("output")
        return cls(
            stage=Stage(document["stage"]),
            release=Path(document["release"]),
            module=str(document["module"]),
            config=dict(document["config"]),
            seed=str(document["seed"]),
            inputs=tuple(InputFile.from_json(entry, addresses) for entry in document.get("inputs", [])),
            conditions=tuple(Constants.from_json(entry) for entry in document.get("conditions", [])),
            collected=tuple(Path(path) for path in document.get("collected", [])),
            iovs=tuple(IoV.from_json(value) for value in document.get("iovs", [])),
            payloads=tuple(Constants.from_json(entry) for entry in document.get("payloads", [])),
            doors=Doors(addresses, float(document.get("opens_after_s", 0.0))),
            output=(str(output[0]), str(output[1])) if output else None,
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a `job.json`.

        Raises:
            UnreadableInput: it is missing or damaged, as a power cut may leave it.
            InvalidJob: a part of it is missing or has another form.
        """
        try:
            document = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UnreadableInput(path, str(error).rstrip(".")) from error
        try:
            job = cls.from_json(document)
        except KeyError as error:
            raise InvalidJob(f"{path} does not say {error}.") from error
        except (TypeError, ValueError, AttributeError, B2calError) as error:
            raise InvalidJob(f"{path} cannot be understood: {error}") from error
        if (job.stage is Stage.FIT and not job.iovs) or (job.stage is Stage.MEASURE and not job.payloads):
            raise InvalidJob(f"{path} gives the stage {job.stage} nothing to do.")
        # A production names its outputs like its inputs; other stages may read a file under several data names.
        inputs = [
            (file.path.name, "") if job.stage is Stage.PRODUCE else (str(file.path), file.data_name)
            for file in job.inputs
        ]
        if len(set(inputs)) < len(inputs):
            raise InvalidJob(f"{path} gives an input file twice.")
        return job


def collect(job: Job, script: Script) -> None:
    """Sum up what the script collects, file by file: `collected.npz` and `collected.json`."""
    conditions = Conditions(job.conditions)
    sums: dict[InputFile, collected.Arrays] = {}
    for file, path in _inputs(job):
        calibration, config = script.calibration(), copy.deepcopy(job.config)
        for events in chunks(file, path, calibration.tree, calibration.branches, job.seed):
            if events.size:
                with _noting(file):
                    answer = calibration.collect(events, conditions.at(file.run), config)
                    sums[file] = collected.add(sums.get(file, {}), collected.as_arrays(answer))
    collected.write(OUTPUTS / "collected.npz", sums)
    _write("collected.json", {"names_read": sorted(conditions.names_read)})


def fit(job: Job, script: Script) -> None:
    """Make payloads from what was collected: `payloads/*.root` and `result.json`."""
    conditions = Conditions(job.conditions)
    fitted = fit_all(script, job.iovs, collected.read(job.collected), conditions, job.config)
    (OUTPUTS / "payloads").mkdir(exist_ok=True)
    result = {
        "outcome": fitted.outcome,
        "message": fitted.message,
        "payloads": [_written(payload) for payload in fitted.payloads],
        "without_data": [iov.to_json() for iov in fitted.without_data],
        "names_read": sorted(conditions.names_read),
    }
    _write("result.json", result)


def measure(job: Job, script: Script) -> None:
    """Measure new constants: `measurements.json`, with the limits that the script suggests."""
    calibration = script.calibration()
    payloads = [constants.read() for constants in job.payloads]
    conditions = Conditions(job.conditions, min(payload.iov.first for payload in payloads))
    summed = collected.total(collected.read(job.collected))
    measurements = calibration.measure(payloads, summed, conditions, copy.deepcopy(job.config))
    result = {
        "measurements": [measurement.to_json() for measurement in as_measurements(measurements)],
        "limits": {name: limit.to_json() for name, limit in calibration.limits.items()},
        "names_read": sorted(conditions.names_read),
    }
    _write("measurements.json", result)


def produce(job: Job, script: Script) -> None:
    """Make a file of new events from each input file: `files/*.root`, or files behind a door, and `result.json`."""
    conditions = Conditions(job.conditions)
    (OUTPUTS / "files").mkdir(exist_ok=True)
    destination = Destination.open(*job.output, job.doors) if job.output else None
    entries = []
    for file, path in _inputs(job):
        target = Path("files", file.path.name)
        n_events = write_events(OUTPUTS / target, _produced(file, path, job, script, conditions))
        entries.append(
            {
                "data_name": file.stream,
                "exp": file.run.exp,
                "run": file.run.run,
                "n_events": n_events,
                **(_brought(OUTPUTS / target, destination) if destination else {"file": str(target)}),
            }
        )
    _write("result.json", {"outcome": "ok", "files": entries, "names_read": sorted(conditions.names_read)})


def _inputs(job: Job) -> Iterator[tuple[InputFile, Path]]:
    """The inputs by runs, each with the path where it lies meanwhile; one under several data names comes but once."""
    ordered = sorted(job.inputs, key=lambda file: (file.run, str(file.path)))
    for (place, checksum), readers in groupby(ordered, key=lambda file: (file.path, file.sha256)):
        with at_hand(place, checksum, job.doors) as path:
            for file in readers:
                yield file, path


def _brought(path: Path, destination: Destination) -> dict[str, Any]:
    brought = destination.bring(path)
    path.unlink()
    return {"file": brought.url, "size_bytes": brought.size_bytes, "checksum": brought.checksum}


def _produced(
    file: InputFile, path: Path, job: Job, script: Script, conditions: Conditions
) -> Iterator[dict[str, Array]]:
    production, config = script.production(), copy.deepcopy(job.config)
    for events in chunks(file, path, production.tree, production.branches, job.seed):
        with _noting(file):
            columns = production.produce(events, conditions.at(file.run), config)
        yield columns


@contextmanager
def _noting(file: InputFile) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"While reading {file.path}.")
        raise


def _written(payload: Payload) -> dict[str, Any]:
    file = Path("payloads", f"{payload.name}_{payload.iov.first}.root")
    payload.write(OUTPUTS / file)
    first, last = payload.iov.to_json()
    return {"name": payload.name, "first": first, "last": last, "file": str(file), "identity": payload.identity}


def _write(name: str, document: Mapping[str, Any]) -> None:
    write_atomically(OUTPUTS / name, json.dumps(document, indent=1, allow_nan=False))


STAGES: Mapping[Stage, Callable[[Job, Script], None]] = {
    Stage.COLLECT: collect,
    Stage.FIT: fit,
    Stage.MEASURE: measure,
    Stage.PRODUCE: produce,
}


def main() -> int:
    """Run the stage of the job folder that is the current one; returns the exit code.

    Raises:
        Exception: what the script raised, so that its traceback is seen.
    """
    try:
        job = Job.read(Path("job.json"))
        OUTPUTS.mkdir(exist_ok=True)
        STAGES[job.stage](job, load(job.release, job.module))
    except InvalidJob as error:
        return _refused(error, 2)
    except CannotWrite as error:
        return _refused(error, os.EX_CANTCREAT)
    except UnreadableInput as error:
        return _refused(error, os.EX_IOERR)
    except OSError as error:
        if error.errno in _DISK_TROUBLE:
            full = CannotWrite(f"{Path.cwd()} cannot be written to: {error.strerror}.", hint="Make room there.")
            return _refused(full, os.EX_CANTCREAT)
        raise
    except B2calError as error:
        error.add_note(f"Hint: {error.hint}")
        raise
    except SystemExit as stop:
        raise RuntimeError(f"The script called sys.exit({stop.code!r}) and gave no result.") from stop
    return 0


def _refused(error: B2calError, exit_code: int) -> int:
    sys.stderr.write(f"Error: {error}\n{error.hint}\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
