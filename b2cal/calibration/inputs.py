"""Input files: where they lie, whether they can be read, and the error if not."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from b2cal.calibration.doors import ADLER32, SCHEME, BehindDoors, Doors, DoorTrouble, fetch
from b2cal.calibration.job import FETCHED
from b2cal.core.checksums import sha256_file
from b2cal.core.errors import B2calError
from b2cal.core.files import writing
from b2cal.core.root_file import root_file_problem

Place = Path | BehindDoors
"""Where an input file lies: on a disk, or behind XRootD doors."""


class UnreadableInput(B2calError):
    """An input file is missing, truncated, damaged or not the one that was frozen. Not the script's fault."""

    def __init__(
        self, path: str | Place, reason: str, hint: str = "Restore the file or leave it out, then restart."
    ) -> None:
        super().__init__(f"The input {path} cannot be read: {reason}.", hint)


def place(path: str, doors: Sequence[str]) -> Place:
    """The place that a path or an address names; `doors` are those of the centre at which this job runs."""
    return BehindDoors.of(path, doors) if path.startswith(SCHEME) else Path(path)


@contextmanager
def reading(path: str | Place) -> Iterator[None]:
    """Turn whatever goes wrong inside into an UnreadableInput that names the file."""
    try:
        yield
    except DoorTrouble as error:
        raise UnreadableInput(path, str(error).rstrip("."), error.hint) from error
    except B2calError:
        raise
    except FileNotFoundError as error:
        raise UnreadableInput(path, "it does not exist") from error
    except Exception as error:  # a damaged ROOT file makes uproot raise errors of many types
        raise UnreadableInput(path, f"{type(error).__name__}: {_first_line(error)}") from error


@contextmanager
def open_root(path: str | Path, name: str | Place | None = None) -> Iterator[Any]:
    """Open a ROOT file; what goes wrong while it is open becomes an UnreadableInput. A copy has a name of its own."""
    import uproot

    name = path if name is None else name
    with reading(name):
        if problem := root_file_problem(path):
            raise UnreadableInput(name, problem)
        with uproot.open(path) as file:
            yield file


@contextmanager
def at_hand(file: Place, checksum: str, doors: Doors) -> Iterator[Path]:
    """Where an input file lies on a disk of this machine, if it is still the one whose checksum was frozen.

    From behind doors it is fetched, whole and once for all who read it inside, and compared while it comes.

    Raises:
        UnreadableInput: it is missing, or its bytes are others.
        CannotWrite: there is no room for it here.
    """
    path = file if isinstance(file, Path) else Path(FETCHED, file.name)
    try:
        with reading(file):
            found = sha256_file(file) if isinstance(file, Path) else _fetched(file, path, checksum, doors)
        if found != checksum:
            raise UnreadableInput(file, f"its {_told(found)}, but {_shown(checksum)} was frozen for this attempt")
        yield path
    finally:
        if path != file:
            path.unlink(missing_ok=True)


def _fetched(file: BehindDoors, path: Path, checksum: str, doors: Doors) -> str:
    """Fetch a file; its checksum, of the kind of the other one."""
    way = doors.open_way(file)
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        with open(path, "wb") as copy:
            found = fetch(way, copy)
    return found if checksum.startswith(ADLER32) else sha256_file(path)


def _told(checksum: str) -> str:
    return f"{'adler32' if checksum.startswith(ADLER32) else 'SHA-256'} is {_shown(checksum)}"


def _shown(checksum: str) -> str:
    return checksum.removeprefix(ADLER32) if checksum.startswith(ADLER32) else f"{checksum[:12]}..."


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else "no message"
