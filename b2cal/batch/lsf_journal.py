"""What was handed to LSF: the arrays of each group, kept on this machine, because LSF forgets them.

A line for each array is written before it is submitted, and once more with LSF's number afterwards. What a power cut
leaves of a line is no line: the array is then found by its name.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from b2cal.core.files import write_atomically


@dataclass(frozen=True)
class Array:
    """One job array: some of the jobs of one submission of a group.

    Attributes:
        name: as LSF knows it.
        folders: a file with a line `NUMBER FOLDER` for each of its jobs, in the order of their index.
        at: when it was written down, in seconds of the epoch.
        number: LSF's; empty as long as nobody knows whether LSF has it.
        memory_mb: what each of its jobs asks for.
        host: the only one where they may run; empty: any that is not avoided.
        not_on: a host on which they may not run; empty: none.
    """

    name: str
    token: str
    epoch: int
    folders: str
    at: float
    number: str = ""
    memory_mb: int = 0
    host: str = ""
    not_on: str = ""

    def jobs(self) -> list[tuple[int, Path]]:
        """Number and folder of each of its jobs; nothing if the attempt has been cleaned up."""
        try:
            lines = Path(self.folders).read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(int(number), Path(folder)) for number, folder in (line.split(" ", 1) for line in lines)]


class Journal:
    """The journal of one centre; others may write it before this process becomes the one that does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._arrays: dict[str, Array] = {}
        self._read: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Array]:
        return iter(list(self._known().values()))

    def of(self, token: str) -> list[Array]:
        """The arrays of a group."""
        return [array for array in self if array.token == token]

    def get(self, name: str) -> Array | None:
        """The array of this name."""
        return self._known().get(name)

    def forget(self, arrays: Iterable[Array]) -> None:
        """Know nothing more of some arrays.

        Raises:
            CannotWrite: nothing is forgotten.
        """
        gone = {array.name for array in arrays}
        kept = {name: array for name, array in self._known().items() if name not in gone}
        write_atomically(self._path, "".join(map(_line, kept.values())))
        self._arrays, self._read = kept, self._stamp()

    def begin(self, array: Array) -> Array:
        """An array is about to be submitted.

        Raises:
            OSError: it could not be written down; nothing must be submitted.
        """
        self._write(array)
        return array

    def submitted(self, array: Array, number: str) -> Array:
        """LSF has an array.

        Raises:
            OSError: it could not be written down; it will be found by its name.
        """
        known = replace(array, number=number)
        self._write(known)
        return known

    def _write(self, array: Array) -> None:
        line = _line(array)
        with self._path.open("a+b") as file:
            if file.tell() and not _ends_a_line(self._path):
                line = "\n" + line
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self._arrays[array.name] = array
        self._read = self._stamp()

    def _known(self) -> dict[str, Array]:
        stamp = self._stamp()
        if stamp != self._read:
            self._arrays, self._read = {array.name: array for array in _lines(self._path)}, stamp
        return self._arrays

    def _stamp(self) -> tuple[int, int] | None:
        """What tells one state of the file from another; None: there is no file."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_ino, stat.st_size


def _line(array: Array) -> str:
    return json.dumps(asdict(array)) + "\n"


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _lines(path: Path) -> Iterator[Array]:
    if not path.exists():
        return
    for line in path.read_text(errors="replace").splitlines():
        try:
            yield Array(**json.loads(line))
        except (ValueError, TypeError):
            continue
