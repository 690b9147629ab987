"""Where data files lie, as the catalogue sees it: a folder on a disk, or one behind XRootD doors."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Protocol

from .opening import Opened, open_files


@dataclass(frozen=True)
class Lying:
    """A file as it lies there; `problem` says why nobody need open it."""

    path: str
    size_bytes: int = 0
    mtime_ns: int = 0
    problem: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Shelf(Protocol):
    """A folder with data files and their registry. All paths are whole, as the catalogue keeps them."""

    @property
    def name(self) -> str:
        """Its own path."""

    def exists(self) -> bool: ...

    def read(self, name: str) -> bytes:
        """What a file directly in it holds.

        Raises:
            OSError: it is not there, or cannot be read.
        """

    def files(self) -> list[Lying]:
        """All ROOT files below, in the order of names, but for those that somebody is still writing."""

    def holds(self, path: str) -> bool:
        """Whether a file below is one of its own, by its name."""

    def open(self, files: Sequence[Lying]) -> list[Opened]:
        """Look into files: how many events, which checksum, or why they cannot be used; in their order."""

    def lies_there(self, path: str, size_bytes: int, mtime_ns: int) -> bool:
        """Whether a file of this size and age is there, below or elsewhere."""


@dataclass(frozen=True)
class Folder:
    """A folder on a disk."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        return self.path.exists()

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def files(self) -> list[Lying]:
        return [_lying(path) for path in sorted(self.path.rglob("*.root")) if not path.name.startswith(".")]

    def holds(self, path: str) -> bool:
        return True

    def open(self, files: Sequence[Lying]) -> list[Opened]:
        return open_files([Path(file.path) for file in files])

    def lies_there(self, path: str, size_bytes: int, mtime_ns: int) -> bool:
        try:
            status = Path(path).stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (size_bytes, mtime_ns)


@dataclass(frozen=True)
class OneStream:
    """What a folder holds of one stream or skim; its other files are left alone."""

    folder: Shelf
    stream: str

    @property
    def name(self) -> str:
        return self.folder.name

    def exists(self) -> bool:
        return self.folder.exists()

    def read(self, name: str) -> bytes:
        return self.folder.read(name)

    def files(self) -> list[Lying]:
        return [file for file in self.folder.files() if self.holds(file.path)]

    def holds(self, path: str) -> bool:
        return re.match(rf"{re.escape(self.stream)}_e\d", path.rpartition("/")[2]) is not None

    def open(self, files: Sequence[Lying]) -> list[Opened]:
        return self.folder.open(files)

    def lies_there(self, path: str, size_bytes: int, mtime_ns: int) -> bool:
        return self.folder.lies_there(path, size_bytes, mtime_ns)


def _lying(path: Path) -> Lying:
    try:
        status = path.stat()
    except OSError as error:
        return Lying(str(path), problem=str(error.strerror))
    if not S_ISREG(status.st_mode):
        return Lying(str(path), problem="it is no ordinary file")
    return Lying(str(path), status.st_size, status.st_mtime_ns)
