"""Snapshots of releases: a copy of a folder, found by the digest of its contents."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from b2cal.core.checksums import digest, sha256_file
from b2cal.core.files import CannotWrite, put_folder
from b2cal.core.ids import new_token
from b2cal.model import Release
from b2cal.settings import Settings

from .errors import ReleaseRefused

_MAX_FILES = 5_000
_MAX_BYTES = 50_000_000


def folder(settings: Settings, release: Release) -> Path:
    """Where the snapshot of a release lies."""
    return settings.releases / release.digest


def copy_release(source: Path, target: Path) -> None:
    """Copy what belongs to a release: all but compiled code and hidden files.

    Raises:
        ReleaseRefused: the folder holds links, devices, unreadable files, or far more than scripts.
        CannotWrite: the disk of `target` is full, or it is not writable.
    """
    if not source.is_dir():
        raise ReleaseRefused("The release", [f"{source} is not a folder."], hint="Give the folder with release.toml.")
    files = _files(source)
    problems = [
        f"{path.relative_to(source)} is a link or no ordinary file; put the file itself there."
        for path in files
        if path.is_symlink() or not path.is_file()
    ]
    if not problems and (len(files) > _MAX_FILES or sum(path.stat().st_size for path in files) > _MAX_BYTES):
        problems = [f"It holds more than {_MAX_FILES:,} files or {_MAX_BYTES // 1_000_000} MB; keep data elsewhere."]
    if problems:
        raise ReleaseRefused(f"The release in {source}", problems, hint="A release is scripts and small tables.")
    for path in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ReleaseRefused(
                f"The release in {source}", [f"{path} cannot be read: {error.strerror}."], hint="Make it readable."
            ) from error
        _put(target / path.relative_to(source), content)


def digest_of(snapshot: Path) -> str:
    """SHA-256 over the names and contents of a release's files, wherever it lies and however old they are."""
    return digest([[path.relative_to(snapshot).as_posix(), sha256_file(path)] for path in _files(snapshot)])


def store(copy: Path, snapshots: Path) -> None:
    """Put a copied release among the snapshots in one step; one that is there and whole stays.

    Raises:
        CannotWrite: nothing was added.
    """
    target = snapshots / digest_of(copy)
    incoming, spoilt = (snapshots / f".{kind}-{new_token()}" for kind in ("incoming", "spoilt"))
    try:
        with _alone_in(snapshots):
            if _is_whole(target):
                return
            for path in _files(copy):
                _put(incoming / path.relative_to(copy), path.read_bytes())
                (incoming / path.relative_to(copy)).chmod(0o444)
            if target.exists():
                target.rename(spoilt)
            put_folder(incoming, target)
    except OSError as error:
        raise _cannot_write(snapshots, error) from error
    finally:
        for leftover in (incoming, spoilt):
            shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until nobody else is at work in a folder: who finds a spoilt snapshot must not move away a new one."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_whole(snapshot: Path) -> bool:
    return snapshot.is_dir() and digest_of(snapshot) == snapshot.name


def _files(folder: Path) -> list[Path]:
    """Everything below a folder that belongs to a release, links and devices too, in the order of names."""
    found = []
    for parent, folders, names in os.walk(folder):
        visible = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        folders[:] = [name for name in visible if not (Path(parent) / name).is_symlink()]
        links = [name for name in visible if name not in folders]
        found += [Path(parent) / name for name in (*names, *links) if not name.startswith(".")]
    return sorted(found)


def _put(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(place: Path, error: OSError) -> CannotWrite:
    return CannotWrite(
        f"Cannot write {place}: {error.strerror}.",
        hint="Make room there or make it writable for this user, then try again.",
    )
