"""Removing files behind a door."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from b2cal.calibration.doors import Address, check, client, is_not_there, server_of, stem

from .behind_doors import FolderBehindDoors
from .credentials import proving

_PATIENCE_S = 60


def folders_in(folder: FolderBehindDoors) -> set[str]:
    """The names of the folders that lie in one; none if it is not there.

    Raises:
        DoorTrouble: its server does not answer.
    """
    if not folder.is_there:
        return set()
    with proving(folder.storage):
        stat = client().flags.DirListFlags.STAT
        status, listing = server_of(folder.way).dirlist(Address.of(folder.way).path, stat, timeout=_PATIENCE_S)
    check(folder.way, status)
    return {entry.name for entry in listing if _is_folder(entry)}


def files_in(folder: FolderBehindDoors, name: str) -> dict[str, datetime]:
    """When each file below one of its folders was written last, by its path there.

    Raises:
        DoorTrouble: its server does not answer, or tells it only in part.
    """
    files = (entry for entry in folder.below(name) if not _is_folder(entry))
    return {entry.name: datetime.fromtimestamp(entry.statinfo.modtime, UTC) for entry in files}


def remove_from(folder: FolderBehindDoors, name: str, files: Collection[str]) -> None:
    """Remove files below one of its folders, and the folders that are empty then, this one too.

    Raises:
        DoorTrouble: its server does not answer, or refuses; some may be gone.
    """
    root = f"{stem(folder.way)}{name}"
    with proving(folder.storage):
        server, path = server_of(root), Address.of(root).path
        for file in sorted(files):
            status, _ = server.rm(f"{path}/{file}", timeout=_PATIENCE_S)
            if not is_not_there(status):
                check(f"{root}/{file}", status)
        inside = (entry.name for entry in folder.below(name) if _is_folder(entry))
        for below in (*sorted(inside, key=len, reverse=True), ""):
            server.rmdir(f"{path}/{below}", timeout=_PATIENCE_S)  # refused where something lies


def _is_folder(entry: Any) -> bool:
    return bool(entry.statinfo.flags & client().flags.StatInfoFlags.IS_DIR)
