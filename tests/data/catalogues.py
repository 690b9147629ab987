"""A catalogue to fill: runs and files as rows, or as a folder of ROOT files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from sqlalchemy.orm import Session

from b2cal.core.iov import ExpRun
from b2cal.model import DataFile, DataFormat, Run, now

VOCABULARY = {
    "Magnet": ["On", "Off", "Either"],
    "Beam Energy": ["4S", "Continuum", ""],
    "Run Type": ["beam", "cosmic_run", "physics"],
    "Data Tag": ["bhabha", "cosmic", "hadron"],
    "Data Quality Tag": ["Good", "Good Or Recoverable"],
}
PHYSICS = {"Magnet": ["On"], "Beam Energy": ["4S"], "Run Type": ["physics"], "Data Quality Tag": ["Good"]}


def run(
    db: Session,
    number: int,
    attributes: Mapping[str, Sequence[str]] | None = None,
    expected: Mapping[str, int] | None = None,
) -> Run:
    """A run of experiment 26."""
    row = Run(
        exprun=ExpRun(26, number).number,
        started_at=now(db),
        duration_s=3600.0,
        n_events=1000,
        attributes=dict(PHYSICS if attributes is None else attributes),
        expected=dict(expected or {}),
    )
    db.add(row)
    db.flush()  # files refer to it
    return row


def file(db: Session, number: int, stream: str = "bhabha", n_events: int = 100, **columns: Any) -> DataFile:
    """A file of a run of experiment 26."""
    columns = {
        "path": f"/data/{stream}_e0026_r{number:05}.root",
        "format": DataFormat.RAW,
        "size_bytes": 1,
        "mtime_ns": 1,
        "sha256": "0" * 64,
        "registered_at": now(db),
        **columns,
    }
    row = DataFile(data_name=stream, exprun=ExpRun(26, number).number, n_events=n_events, **columns)
    db.add(row)
    return row


def root_file(folder: Path, name: str, n_events: int) -> Path:
    """A ROOT file as the detector writes it, with a tree of two branches."""
    path = folder / name
    columns = {"energy": np.linspace(0, 1, n_events), "cell": np.arange(n_events, dtype=np.int32)}
    with uproot.recreate(path) as written:
        tree = written.mktree("events", {name: values.dtype for name, values in columns.items()})
        tree.extend(columns)
    return path


def registry_entry(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "exp": 26,
        "run": number,
        "started": "2026-11-02T06:00:00Z",
        "duration_s": 3600.0,
        "n_events": 1000,
        "attributes": PHYSICS,
        "expected": {"bhabha": 100},
        **fields,
    }


def write_registry(folder: Path, entries: Sequence[object]) -> None:
    (folder / "runs.json").write_text(json.dumps(list(entries)))
