"""Events as columns, read from ROOT files in chunks of a fixed size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from b2cal.calibration.inputs import Place, open_root, place
from b2cal.calibration.payload import Array
from b2cal.core.checksums import digest
from b2cal.core.errors import B2calError
from b2cal.core.iov import ExpRun

CHUNK_EVENTS = 50_000
"""Events in one chunk. Random numbers and the order of sums hang on it: another value changes constants slightly."""

Branches = Sequence[str] | Mapping[str, Sequence[str]]
"""Names of columns, or such names by data name."""


class MissingBranch(B2calError):
    """The script asks for a column that the file does not have, or that is not a column of numbers."""


@dataclass(frozen=True)
class InputFile:
    """One file of one run, as it was frozen for the attempt.

    Attributes:
        data_name: the one of the script's `input_data_names` under which it reads the file.
        stream: what the detector or a production calls it.
        sha256: its checksum; of a file behind a door an adler32.
    """

    path: Place
    data_name: str
    stream: str
    run: ExpRun
    sha256: str

    @classmethod
    def from_json(cls, entry: Mapping[str, Any], doors: Sequence[str] = ()) -> Self:
        run = ExpRun(int(entry["exp"]), int(entry["run"]))
        name = str(entry["data_name"])
        stream = str(entry.get("stream", name))  # job.json of an attempt that began before there was a difference
        return cls(place(entry["path"], doors), name, stream, run, str(entry["sha256"]))


class Events(Mapping[str, Array]):
    """A chunk of events of one run: `events["trk_px"]` is a numpy array with one row for each event.

    Attributes:
        run: the run.
        data_name: the one of the script's `input_data_names` under which they are read, for instance "hadron".
        size: number of events. (`len(events)` is the number of columns.)
        rng: random numbers that belong to this chunk of this file; the same whenever and wherever it is read again.
    """

    def __init__(
        self, columns: Mapping[str, Array], run: ExpRun, data_name: str, size: int, rng: np.random.Generator
    ) -> None:
        self._columns = columns
        self.run = run
        self.data_name = data_name
        self.size = size
        self.rng = rng

    def __getitem__(self, branch: str) -> Array:
        return self._columns[branch]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def chunks(file: InputFile, path: Path, tree: str, branches: Branches, seed: str) -> Iterator[Events]:
    """Read a file chunk by chunk, at least one, which is empty if the file has no events.

    Args:
        file: what to read.
        path: where it lies on this machine.
        tree: name of the tree.
        branches: the columns.
        seed: of the attempt; with name of the file and chunk it fixes the random numbers.

    Raises:
        UnreadableInput: the file cannot be read.
        MissingBranch: it does not hold what the script asks for.
    """
    with open_root(path, file.path) as root:
        names = _wanted(branches, file.data_name)
        events = _tree(root, tree, names, file)
        for number, start in enumerate(range(0, max(events.num_entries, 1), CHUNK_EVENTS)):
            stop = min(start + CHUNK_EVENTS, events.num_entries)
            columns = events.arrays(names, entry_start=start, entry_stop=stop, library="np")
            _check_flat(columns, file)
            # Not the checksum: a file produced again has other bytes, and a door tells another sum of the same ones.
            source = [seed, file.run.number, file.data_name, file.path.name, number]
            rng = np.random.default_rng(int(digest(source), 16))
            yield Events(columns, file.run, file.data_name, stop - start, rng)


def _wanted(branches: Branches, data_name: str) -> list[str]:
    if not isinstance(branches, Mapping):
        return list(branches)
    if data_name not in branches:
        raise MissingBranch(
            f"The script's branches say nothing about the data name {data_name!r}.",
            hint=f"They are given for {', '.join(sorted(branches))}; add the missing one.",
        )
    return list(branches[data_name])


def _tree(root: Any, tree: str, names: Sequence[str], file: InputFile) -> Any:
    if tree not in root:
        raise MissingBranch(
            f"{file.path} has no tree {tree!r}.",
            hint=f"It has {', '.join(root.keys(cycle=False)) or 'nothing in it'}.",
        )
    there = root[tree].keys()
    if missing := [name for name in names if name not in there]:
        raise MissingBranch(
            f"{file.path} has no branch {', '.join(missing)} in its tree {tree!r}.",
            hint=f"It has {', '.join(sorted(there))}.",
        )
    return root[tree]


def _check_flat(columns: Mapping[str, Array], file: InputFile) -> None:
    for name, column in columns.items():
        if column.dtype.kind not in "biuf":
            raise MissingBranch(
                f"The branch {name} of {file.path} has no fixed number of values for each event.",
                hint="Only branches of numbers or booleans, or of arrays of fixed size, can be read.",
            )
