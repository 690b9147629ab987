"""The folder of payload files, found by the identity of their contents."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from b2cal.core.checksums import sha256_file
from b2cal.core.errors import B2calError
from b2cal.core.files import CannotWrite, replacing

_IDENTITY = re.compile(r"[0-9a-f]{64}")


class PayloadChanged(B2calError):
    """A payload file is gone, or is not the one any more that was checked."""


@dataclass(frozen=True)
class StoredFile:
    """A payload file that lies in the store. Its bytes may differ from another file of the same identity."""

    path: Path
    checksum: str
    size_bytes: int


class PayloadStore:
    """Payload files by identity. Files are only ever added, whole; several processes may do so at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, identity: str) -> Path:
        """Where the file of an identity lies, or would lie."""
        if not _IDENTITY.fullmatch(identity):
            raise ValueError(f"{identity!r} is no identity of a payload")
        return self.folder / f"{identity}.root"

    def has(self, identity: str) -> bool:
        return self.path(identity).is_file()

    def put(self, source: Path, identity: str, checksum: str) -> StoredFile:
        """Copy a checked file into the store, unless there is one of this identity already, which then stays.

        Args:
            source: the file, anywhere.
            identity: of its contents, as the check found it.
            checksum: SHA-256 of the file that was checked.

        Returns:
            The file that lies in the store now; its checksum is the one to remember.

        Raises:
            PayloadChanged: the source is gone or is not the file that was checked; the store is as before.
            CannotWrite: the disk is full or the folder not writable; the store is as before.
        """
        path = self.path(identity)
        if not path.is_file():
            _require(source, checksum)
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with replacing(path) as copy:
                    shutil.copyfile(source, copy)
                    _require(copy, checksum)
            except OSError as error:
                raise CannotWrite(
                    f"The payload file {path} cannot be written: {error.strerror}.",
                    hint=f"Make room in {self.folder} or make it writable for this user, then go on.",
                ) from error
        return StoredFile(path, sha256_file(path), path.stat().st_size)


def _require(path: Path, checksum: str) -> None:
    try:
        found = sha256_file(path)
    except OSError as error:
        raise PayloadChanged(
            f"The payload file {path} cannot be read any more: {error.strerror}.", hint="Restart the calibration."
        ) from error
    if found != checksum:
        raise PayloadChanged(
            f"The payload file {path} has changed since it was checked (SHA-256 {found[:12]}, was {checksum[:12]}).",
            hint="Find out who writes into the folder of the attempt, then restart the calibration.",
        )
