"""Writing files so that a reader, or a crash, never meets half of one."""

import os
from pathlib import Path

from b2cal.core.errors import B2calError
from b2cal.core.ids import new_token


class CannotWrite(B2calError):
    """The disk is full, or the folder is missing or not writable."""


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Replace the file at `path` in one step and make it survive a power cut. Text is written as UTF-8.

    Raises:
        CannotWrite: nothing was changed; an earlier file at `path` is still whole.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{new_token()}.tmp")
    try:
        _write_to_disk(temporary, content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise CannotWrite(
            f"Cannot write {path}: {error.strerror}.",
            hint=f"Make room in {path.parent} or make it writable for this user, then try again.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _write_to_disk(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    # The rename itself lives in the folder: without this a power cut may bring back the old name.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
