"""Bringing produced files into a storage behind XRootD doors: whole, compared, and only then under their names."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from b2cal.calibration.doors import (
    ADLER32,
    Address,
    BehindDoors,
    Doors,
    DoorTrouble,
    check,
    checksum_at,
    client,
    is_not_there,
    proved,
    server_of,
    size_at,
    stem,
)
from b2cal.core.files import CannotWrite
from b2cal.core.ids import new_token

_HALF = ".part"
_BLOCK_BYTES = 8 << 20
_LAST_WORD_S = 30


@dataclass(frozen=True)
class Brought:
    """A file where it was brought, named by the first door of its storage."""

    url: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True)
class Destination:
    """A folder for the files of one execution of a job. No other writes there, so nothing is ever replaced.

    Attributes:
        name: its address through the first door of the storage.
        way: its address through the door that is used.
    """

    name: str
    way: str

    @classmethod
    def open(cls, folder: str, below: str, doors: Doors) -> Self:
        """A new folder in `folder/below`; `below` is the job's own in all its tries.

        What one of them left half-written, because the server went away under it, is removed.

        Raises:
            CannotWrite: no door leads to `folder`, or its server refuses.
        """
        ways, token = BehindDoors.of(folder, doors.addresses), new_token()
        with _delivering(folder):
            way = f"{stem(doors.open_way(ways))}{below}"
            _remove_halves(way)
        return cls(f"{stem(str(ways))}{below}/{token}", f"{way}/{token}")

    def bring(self, path: Path) -> Brought:
        """Copy a file here, compare size and checksum with what has arrived, and give it its name.

        Raises:
            CannotWrite: it could not be copied, or is not the same there; nothing is left of it, unless the server is
                away: then the next try removes that.
        """
        whole = f"{self.way}/{path.name}"
        with _delivering(whole):
            size_bytes, checksum = deliver(path, whole)
        return Brought(f"{self.name}/{path.name}", size_bytes, checksum)


def deliver(path: Path, url: str) -> tuple[int, str]:
    """Copy a file to an address: there whole, with the same size and checksum, which are returned, or not at all.

    Raises:
        DoorTrouble: it could not be copied, or is not the same there; a file that was there before is still whole.
    """
    size_bytes, checksum = path.stat().st_size, adler32(path)
    put(path, url, size_bytes, checksum)
    return size_bytes, checksum


def put(source: Path | str, url: str, size_bytes: int, checksum: str) -> None:
    """Copy a file, from a disk or behind a door, to an address: there with this size and checksum, or not at all.

    Raises:
        DoorTrouble: as in `deliver`.
    """
    half = half_of(url)
    try:
        transfer(source, half)
        compare(half, size_bytes, checksum)
        status, _ = server_of(half).mv(Address.of(half).path, Address.of(url).path)
        check(url, status)
    except BaseException:
        # Never `url`: what lies there is whole, and may have been there before.
        server_of(half).rm(Address.of(half).path, timeout=_LAST_WORD_S)
        raise


def half_of(url: str) -> str:
    """Where a file lies until it is whole."""
    folder, _, name = url.rpartition("/")
    return f"{folder}/.{name}{_HALF}"


def transfer(source: Path | str, target: Path | str) -> None:
    """Copy a file; at least one of the two lies behind a door. What lies at the target already is not replaced.

    Raises:
        DoorTrouble: it could not be copied.
    """
    ends = (str(it.absolute()) if isinstance(it, Path) else proved(it) for it in (source, target))
    copying = client().CopyProcess()
    copying.add_job(*ends, mkdir=True)
    check(str(target), copying.prepare())
    status, _ = copying.run()
    check(str(target), status)


def compare(url: str, size_bytes: int, checksum: str) -> None:
    """See that a file behind a door is whole.

    Raises:
        DoorTrouble: it is not, or its server does not tell.
    """
    arrived, told = size_at(url), checksum_at(url)
    if (arrived, told) != (size_bytes, checksum):
        raise DoorTrouble(
            f"{arrived:,} bytes with {told} arrived of {size_bytes:,} with {checksum}",
            hint="Look whether the network or the storage is damaged.",
        )


def _remove_halves(folder: str) -> None:
    server, flags = server_of(folder), client().flags.DirListFlags
    status, listing = server.dirlist(Address.of(folder).path, flags.STAT | flags.RECURSIVE)
    if is_not_there(status):
        return  # the first try of this job
    check(folder, status)
    for entry in listing:
        if entry.name.endswith(_HALF):
            server.rm(f"{Address.of(folder).path}/{entry.name}")


def adler32(path: Path) -> str:
    """The checksum of a file on a disk, as servers tell it."""
    checksum = zlib.adler32(b"")
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            checksum = zlib.adler32(block, checksum)
    return f"{ADLER32}{checksum:08x}"


@contextmanager
def _delivering(url: str) -> Iterator[None]:
    try:
        yield
    except DoorTrouble as error:
        raise CannotWrite(f"{url} cannot be written: {str(error).rstrip('.')}.", error.hint) from error
