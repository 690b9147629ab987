"""A worker node: stages of a small release run on it as they do in a batch job."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uproot

from b2cal.calibration.events import InputFile
from b2cal.calibration.payload import Payload
from b2cal.core.checksums import sha256_file
from b2cal.core.iov import ExpRun, IoV

Columns = dict[str, np.ndarray]


def write_raw(folder: Path, run: ExpRun, columns: Columns, data_name: str = "cosmic", stream: str = "") -> InputFile:
    """Write a raw data file with the tree `events`; its stream is called like the data name if nothing is said."""
    stream = stream or data_name
    path = folder / f"{stream}_e{run.exp:04}_r{run.run:05}.root"
    with uproot.recreate(path) as file:
        tree = file.mktree("events", {name: np.dtype((c.dtype, c.shape[1:])) for name, c in columns.items()})
        if len(next(iter(columns.values()))):
            tree.extend(columns)
    return InputFile(path, data_name, stream, run, sha256_file(path))


@dataclass(frozen=True)
class Ended:
    """How a stage ended."""

    exit_code: int
    stderr: str
    outputs: Path

    def json(self, name: str) -> Any:
        return json.loads((self.outputs / name).read_text())

    @property
    def constants(self) -> list[dict[str, Any]]:
        """The new payloads as job.json gives conditions."""
        assert self.exit_code == 0, self.stderr
        return [entry | {"path": str(self.outputs / entry["file"])} for entry in self.json("result.json")["payloads"]]

    @property
    def payloads(self) -> list[Payload]:
        return [Payload.read(entry["path"], IoV.from_json([entry["first"], entry["last"]])) for entry in self.constants]

    @property
    def collected(self) -> str:
        assert self.exit_code == 0, self.stderr
        return str(self.outputs / "collected.npz")


class Node:
    """Runs stages of one release, each in a new folder and in a process of its own, with only what is shipped.

    Attributes:
        environment: variables of these processes, besides those of this one.
    """

    def __init__(self, folder: Path, shipped: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.shipped = shipped
        self._jobs = 0
        (folder / "release").mkdir()
        (folder / "raw").mkdir()

    def script(self, text: str, module: str = "gain") -> None:
        (self.folder / "release" / f"{module}.py").write_text(text)

    def raw(self, run: ExpRun, columns: Columns, data_name: str = "cosmic", stream: str = "") -> InputFile:
        return write_raw(self.folder / "raw", run, columns, data_name, stream)

    def payload(self, name: str, iov: IoV, **values: Any) -> dict[str, Any]:
        """Constants that exist already, as job.json gives them."""
        payload, path = Payload(name, iov, values), self.folder / f"{name}_{iov.first}.root"
        payload.write(path)
        first, last = iov.to_json()
        return {"name": name, "first": first, "last": last, "path": str(path), "identity": payload.identity}

    def job(self, stage: str, inputs: Iterable[InputFile] = (), **more: Any) -> Path:
        """The folder of a new job."""
        self._jobs += 1
        folder = self.folder / f"job{self._jobs}"
        folder.mkdir()
        entries = [
            {"path": str(f.path), "data_name": f.data_name, "stream": f.stream, "sha256": f.sha256}
            | {"exp": f.run.exp, "run": f.run.run}
            for f in inputs
        ]
        document = {"stage": stage, "release": "../release", "module": "gain", "config": {}, "seed": "5eed"}
        (folder / "job.json").write_text(json.dumps(document | {"inputs": entries} | more))
        return folder

    def run(self, stage: str, inputs: Iterable[InputFile] = (), **more: Any) -> Ended:
        return self.start(self.job(stage, inputs, **more))

    def start(self, folder: Path, command: Sequence[str] = ("-m", "b2cal.calibration.stage")) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-W", "error", *command],
            cwd=folder,
            env=os.environ | self.environment | {"PYTHONPATH": str(self.shipped), "PYTHONDONTWRITEBYTECODE": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(ended.returncode, ended.stderr, folder / "outputs")
