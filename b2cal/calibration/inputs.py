"""Input files: whether they can be read, and the error if not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from b2cal.core.checksums import sha256_file
from b2cal.core.errors import B2calError
from b2cal.core.root_file import root_file_problem


class UnreadableInput(B2calError):
    """An input file is missing, truncated, damaged or not the one that was frozen. Not the script's fault."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(
            f"The input {path} cannot be read: {reason}.", hint="Restore the file or leave it out, then restart."
        )
        self.path = Path(path)


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn whatever goes wrong inside into an UnreadableInput that names the file."""
    try:
        yield
    except B2calError:
        raise
    except FileNotFoundError as error:
        raise UnreadableInput(path, "it does not exist") from error
    except Exception as error:  # a damaged ROOT file makes uproot raise errors of many types
        raise UnreadableInput(path, f"{type(error).__name__}: {_first_line(error)}") from error


@contextmanager
def open_root(path: str | Path) -> Iterator[Any]:
    """Open a ROOT file; what goes wrong while it is open becomes an UnreadableInput."""
    import uproot

    with reading(path):
        if problem := root_file_problem(path):
            raise UnreadableInput(path, problem)
        with uproot.open(path) as file:
            yield file


def check_unchanged(path: str | Path, sha256: str) -> None:
    """Make sure that a file is still the one whose checksum was frozen.

    Raises:
        UnreadableInput: it is missing, or its bytes are others.
    """
    with reading(path):
        found = sha256_file(path)
    if found != sha256:
        raise UnreadableInput(path, f"its SHA-256 is {found[:12]}..., but {sha256[:12]}... was frozen for this attempt")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else "no message"
