"""Copying a file to a second place: whole, compared, and only then under its name.

All may be killed at any moment and done again: what is half there is begun anew, what is whole is found.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from b2cal.calibration.doors import ADLER32, SCHEME, Address, check, is_not_there, server_of
from b2cal.calibration.uploads import adler32, compare, half_of, put, transfer
from b2cal.core.checksums import sha256_file
from b2cal.core.errors import B2calError

_HALF = ".part"


class CannotCopy(B2calError):
    """A file is not what was registered, or what arrived of it is another."""


@dataclass(frozen=True)
class Original:
    """A registered file, on a disk or behind a door."""

    place: str
    size_bytes: int
    checksum: str

    @property
    def source(self) -> Path | str:
        return self.place if self.place.startswith(SCHEME) else Path(self.place)

    def is_like(self, path: Path) -> bool:
        """Whether a file on a disk has the same content."""
        if path.stat().st_size != self.size_bytes:
            return False
        return (adler32(path) if self.checksum.startswith(ADLER32) else sha256_file(path)) == self.checksum


def copy_file(original: Original, target: str) -> None:
    """Bring a file to its second place, a path or an address.

    Raises:
        CannotCopy: the original is not as it was registered, or something else lies at the target.
        DoorTrouble, OSError: a server or disk is away, or full.
    """
    if target.startswith(SCHEME):
        _behind_door(original, target)
    else:
        _on_disk(original, Path(target))


def _on_disk(original: Original, target: Path) -> None:
    if target.exists():
        if not original.is_like(target):
            raise CannotCopy(f"Another file lies at {target}.", hint="Move it away.")
        return
    half = target.with_name(f".{target.name}{_HALF}")
    target.parent.mkdir(parents=True, exist_ok=True)
    half.unlink(missing_ok=True)
    try:
        if isinstance(original.source, Path):
            shutil.copyfile(original.source, half)
        else:
            transfer(original.source, half)
        _see_that_is_unchanged(original, half)
        _sync(half)
        half.replace(target)
    except BaseException:
        half.unlink(missing_ok=True)  # it takes room that others need
        raise
    _sync(target.parent)


def _behind_door(original: Original, target: str) -> None:
    checksum = original.checksum
    if isinstance(original.source, Path):
        _see_that_is_unchanged(original, original.source)
        checksum = adler32(original.source)
    server, path = server_of(target), Address.of(target).path
    status, _ = server.stat(path)
    if status.ok:
        compare(target, original.size_bytes, checksum)
        return
    if not is_not_there(status):
        check(target, status)
    server.rm(Address.of(half_of(target)).path)  # of a try that was killed
    put(original.source, target, original.size_bytes, checksum)


def _see_that_is_unchanged(original: Original, path: Path) -> None:
    if not original.is_like(path):
        raise CannotCopy(
            f"{original.place} is not as it was registered: {original.size_bytes:,} bytes with {original.checksum}.",
            hint="Look whether its disk or storage is damaged; restart its production if it is.",
        )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
