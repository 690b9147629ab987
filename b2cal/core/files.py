"""Writing files and folders so that a reader, or a crash, never meets half of one."""

import ctypes
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from b2cal.core.errors import B2calError
from b2cal.core.ids import new_token

_LEFT_BEHIND_S = 24 * 3600


class CannotWrite(B2calError):
    """The disk is full, or the folder is missing or not writable."""


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Replace the file at `path` in one step and make it survive a power cut. Text is written as UTF-8.

    Raises:
        CannotWrite: nothing was changed; an earlier file at `path` is still whole.
    """
    with replacing(path) as temporary, writing(Path(path)):
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; what was written there by the end takes the place of `path`.

    If the block ends with an error nothing is changed: an earlier file at `path` is still whole.

    Raises:
        CannotWrite: likewise.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{new_token()}.tmp")
    try:
        yield temporary
        with writing(path):
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)  # the rename lives in the folder: else a power cut may bring back the old file
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def put_folder(finished: Path, target: Path) -> None:
    """Give a finished folder its name in one step; a power cut leaves all that is in it, or no `target`.

    Raises:
        OSError: there is a `target` already, or the disk is full.
    """
    flush_file_system(finished)
    finished.rename(target)
    _flush(target.parent)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A folder of one's own below `parent`, removed at the end.

    Those that killed processes left there are removed when they are a day old; nothing here lasts for so long.

    Raises:
        CannotWrite: there can be none.
    """
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(dir=parent)
    for left in parent.iterdir():
        with suppress(FileNotFoundError):  # somebody else clears as well
            if time.time() - left.stat().st_mtime > _LEFT_BEHIND_S:
                shutil.rmtree(left, ignore_errors=True)
    with folder as name:
        yield Path(name)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong with the disk inside into a CannotWrite that names the path."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(
            f"Cannot write {path}: {error.strerror}.",
            hint=f"Make room in {path.parent} or make it writable for this user, then try again.",
        ) from error


def flush_file_system(path: Path) -> None:
    """Bring all that was written on the file system of `path` to its disk: syncfs(2).

    For ten thousand files that takes a fortieth of the time that one fsync after another takes.

    Raises:
        OSError: something could not be written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(path))
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
