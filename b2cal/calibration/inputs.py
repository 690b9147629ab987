"""Input files: where they lie, whether they can be read, and the error if not."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from b2cal.calibration.doors import ADLER32, SCHEME, BehindDoors, DoorTrouble, adler32_of
from b2cal.core.checksums import sha256_file
from b2cal.core.errors import B2calError
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
def open_root(path: str | Place) -> Iterator[Any]:
    """Open a ROOT file; what goes wrong while it is open becomes an UnreadableInput."""
    import uproot

    with reading(path):
        if isinstance(path, BehindDoors):
            opened = uproot.open(path.open_way())
        elif problem := root_file_problem(path):
            raise UnreadableInput(path, problem)
        else:
            opened = uproot.open(path)
        with opened as file:
            yield file


def check_unchanged(path: str | Place, checksum: str) -> None:
    """Make sure that a file is still the one whose checksum was frozen.

    Raises:
        UnreadableInput: it is missing, or its bytes are others.
    """
    with reading(path):
        found = adler32_of(path.open_way()) if isinstance(path, BehindDoors) else sha256_file(path)
    if found != checksum:
        raise UnreadableInput(path, f"its {_told(found)}, but {_shown(checksum)} was frozen for this attempt")


def _told(checksum: str) -> str:
    return f"{'adler32' if checksum.startswith(ADLER32) else 'SHA-256'} is {_shown(checksum)}"


def _shown(checksum: str) -> str:
    return checksum.removeprefix(ADLER32) if checksum.startswith(ADLER32) else f"{checksum[:12]}..."


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else "no message"
