"""What `collect` returned: adding it up, and carrying it from the collect jobs to the fit.

Sums are kept for each input file and added in one fixed order, by run, data name and file name. So the constants do not
depend on how files were spread over jobs, although floating-point sums depend on their order.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from b2cal.calibration.base import Collected, NotEnoughData
from b2cal.calibration.events import InputFile
from b2cal.calibration.inputs import reading
from b2cal.calibration.payload import Array
from b2cal.core.errors import B2calError
from b2cal.core.files import replacing
from b2cal.core.iov import ExpRun

Arrays = Mapping[str, Array]
"""Collected arrays by key; an array that was returned alone stands under the key ""."""

_ALONE = ""


class InvalidCollected(B2calError):
    """`collect` returned something that cannot be added."""


def as_arrays(collected: Any) -> Arrays:
    """What a script's `collect` returned, in one form.

    Raises:
        InvalidCollected: it is no array of numbers and no dictionary of such arrays.
    """
    arrays = {str(key): np.asarray(value) for key, value in _items(collected)}
    for key, array in arrays.items():
        if array.dtype.kind not in "biufc":
            raise InvalidCollected(
                f"collect returned {type(collected).__name__}{f' with {key!r}' if key else ''} of type {array.dtype}.",
                hint="Return an array of numbers, or a dictionary of such arrays.",
            )
    return arrays


def as_collected(arrays: Arrays) -> Collected:
    """The form in which the script returned it."""
    return arrays[_ALONE] if arrays.keys() == {_ALONE} else dict(arrays)


def add(total: Arrays, part: Arrays) -> Arrays:
    """Add element by element, by key; a key that one side lacks counts as zero there.

    Raises:
        InvalidCollected: two arrays of one key have different shapes.
    """
    result = dict(total)
    for key, array in part.items():
        if key not in result:
            result[key] = array.copy()  # a script may use its own array again for the next chunk
        elif result[key].shape != array.shape:
            raise InvalidCollected(
                f"collect returned arrays of shape {result[key].shape} and {array.shape}"
                f"{f' for {key!r}' if key else ''}, which cannot be added.",
                hint="Let the shape depend on the configuration only, for instance a histogram with fixed edges.",
            )
        else:
            result[key] = result[key] + array
    return result


@dataclass(frozen=True, order=True)
class Part:
    """The sum over one input file, on disk. Parts are ordered as they are to be added."""

    run: ExpRun
    data_name: str
    file_name: str
    sha256: str
    path: Path
    number: int

    def arrays(self) -> Arrays:
        with _members(self.path) as members:
            keys = json.loads(str(members[f"{self.number}.keys"]))
            return {key: members[f"{self.number}.{position}"] for position, key in enumerate(keys)}


def write(path: Path, sums: Mapping[InputFile, Arrays]) -> None:
    """Write the sums over some input files as one npz file, without pickles."""
    sources = [[file.run.exp, file.run.run, file.data_name, file.path.name, file.sha256] for file in sums]
    members = {"sources": _text(sources)}
    for number, arrays in enumerate(sums.values()):
        members[f"{number}.keys"] = _text(list(arrays))
        members |= {f"{number}.{position}": array for position, array in enumerate(arrays.values())}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **members)


def read(paths: Iterable[Path]) -> list[Part]:
    """All parts in files made by `write`, in the order of their sum, whatever the order of the files.

    Raises:
        UnreadableInput: one of the files is missing or damaged.
        InvalidCollected: an input file was collected twice.
    """
    parts: list[Part] = []
    for path in paths:
        with _members(path) as members:
            for number, (exp, run, data_name, name, sha256) in enumerate(json.loads(str(members["sources"]))):
                parts.append(Part(ExpRun(exp, run), data_name, name, sha256, path, number))
    parts.sort()
    for one, other in pairwise(parts):
        if (one.run, one.data_name, one.sha256) == (other.run, other.data_name, other.sha256):
            raise InvalidCollected(
                f"{one.file_name} of {one.run} was collected twice, in {one.path} and {other.path}.",
                hint="Start the calibration again; if it comes back, report it as a defect of b2cal.",
            )
    return parts


def total(parts: Iterable[Part]) -> Collected:
    """The sum of parts, added in the order in which they are given.

    Raises:
        NotEnoughData: there are none.
    """
    arrays = [part.arrays for part in parts]
    if not arrays:
        raise NotEnoughData(needed=1, found=0)
    return as_collected(functools.reduce(lambda summed, read: add(summed, read()), arrays[1:], arrays[0]()))


@contextmanager
def _members(path: Path) -> Iterator[Mapping[str, Array]]:
    with reading(path), open(path, "rb") as file, np.load(file) as members:
        yield members


def _items(collected: Any) -> Iterable[tuple[Any, Any]]:
    return collected.items() if isinstance(collected, Mapping) else [(_ALONE, collected)]


def _text(value: Any) -> Array:
    return np.array(json.dumps(value))
