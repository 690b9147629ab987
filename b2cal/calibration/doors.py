"""Files behind XRootD doors: one storage under several addresses, of which the first that answers is used.

How long one is waited for the environment says (XRD_*, see `b2cal.settings`), to this module as to the client library,
which waits alike when a server goes away in the middle of a file.
"""

import os
import socket
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, Self
from urllib.parse import urlsplit

from b2cal.core.errors import B2calError

SCHEME = "root://"
ADLER32 = "adler32:"
"""How the checksums of files behind doors begin, as storage keeps them. All others are SHA-256."""

_REFUSALS = (204, 400)  # of the client: errAuthFailed, errErrorResponse
_NOT_LET_IN = (3010, 3030)  # of the server: kXR_NotAuthorized, kXR_AuthFailed
_NEVER_ASKED_LONGER_S = 30
_PORT = 1094

_BLOCK_BYTES = 8 << 20


class DoorTrouble(B2calError):
    """A server behind a door does not answer, or does not give what it is asked for."""


class Address(NamedTuple):
    """The parts of `root://host:1094//raw/cosmics_e0026_r00180.root`."""

    server: str
    path: str

    @classmethod
    def of(cls, url: str) -> Self:
        server, _, path = url.removeprefix(SCHEME).partition("/")
        return cls(f"{SCHEME}{server}/", path)


@dataclass(frozen=True)
class BehindDoors:
    """A file that can be had at several addresses; the first is its name."""

    ways: tuple[str, ...]

    @classmethod
    def of(cls, url: str, doors: Sequence[str]) -> Self:
        """The file `url` as it can be had through each of the doors, in their order, if it lies behind one of them."""
        below = next((rest for door in doors if (rest := below_door(url, door)) is not None), None)
        return cls((url,) if below is None else tuple(f"{stem(door)}{below}" for door in doors))

    def __str__(self) -> str:
        return self.ways[0]

    @property
    def name(self) -> str:
        return PurePosixPath(Address.of(self.ways[0]).path).name


@dataclass
class Doors:
    """The doors of one storage, as somebody goes through them.

    Attributes:
        addresses: of the doors, in the order in which they are tried.
        opens_after_s: how long to wait before the first file is opened, so that not all jobs of a group come at once.
        silent: servers that did not answer when they were asked last: they are asked after the others.
    """

    addresses: tuple[str, ...] = ()
    opens_after_s: float = 0.0
    silent: set[str] = field(default_factory=set)

    def open_way(self, file: BehindDoors) -> str:
        """The address at which to read a file: the first whose server says now that it is there.

        Where there is only one, it is that: the client library waits for its server by itself.

        Raises:
            DoorTrouble: each server says that it cannot be had, or in all the patience none answers.
        """
        time.sleep(self.opens_after_s)
        self.opens_after_s = 0.0
        return file.ways[0] if len(file.ways) == 1 else self._first_open(file.ways)

    def _first_open(self, ways: Iterable[str]) -> str:
        window_s, tries = _patience()
        ends = time.monotonic() + window_s * (tries - 1)
        while True:
            round_ends = time.monotonic() + window_s
            closed: list[_Closed] = []
            for way in sorted(ways, key=lambda way: Address.of(way).server in self.silent):
                found = _look(way, min(window_s, _NEVER_ASKED_LONGER_S))
                (self.silent.add if found and not found.for_good else self.silent.discard)(Address.of(way).server)
                if found is None:
                    return way
                closed.append(found)
            if all(way.for_good for way in closed) or time.monotonic() > ends:
                told = "; ".join(f"{it.way}: {it.why}" for it in closed)
                raise DoorTrouble(
                    f"No door leads to it: {told}.", hint="Look whether its servers run and have the file."
                )
            time.sleep(max(0.0, round_ends - time.monotonic()))


def stem(door: str) -> str:
    """What the address of everything behind a door begins with."""
    return door if door.endswith("/") else f"{door}/"


def below_door(url: str, door: str) -> str | None:
    """The path of something below a door, empty for the door itself; None if it lies elsewhere."""
    if f"{url}/" == stem(door):
        return ""
    return url.removeprefix(stem(door)) if url.startswith(stem(door)) else None


def server_of(url: str) -> Any:
    """The client of the server that an address names."""
    return client().FileSystem(proved(Address.of(url).server))


def proved(url: str) -> str:
    """An address for the client, with the credentials that the environment names now.

    By itself it takes the proxy that it was told last, and shares connections, whatever token they have begun with.
    """
    usual = f"/tmp/x509up_u{os.geteuid()}"  # noqa: S108  there all clients look for one that nobody has named
    told = [f"xrd.gsiusrpxy={os.environ.get('X509_USER_PROXY') or usual}"]
    if token := os.environ.get("BEARER_TOKEN_FILE"):
        # Only addresses of one intent share a connection: not with another token, nor with the one before it.
        told.append(f"xrdcl.intent={token}@{_changed_at(token)}")
    return f"{url}?{'&'.join(told)}"


def _changed_at(file: str) -> int:
    with suppress(OSError):
        return Path(file).stat().st_mtime_ns
    return 0


def client() -> Any:
    """The client library, for who goes through a door: not every machine has it, and it starts threads.

    Raises:
        DoorTrouble: there is none in this Python.
    """
    try:
        import XRootD.client
    except ImportError as error:
        raise DoorTrouble(
            f"{sys.executable} has no XRootD client.", hint="Install xrootd and fsspec-xrootd into it."
        ) from error
    return XRootD.client


def fetch(url: str, copy: BinaryIO) -> str:
    """Copy a file and tell the checksum of the bytes that came: what its server remembers may be older than they are.

    Raises:
        DoorTrouble: it cannot be read.
        OSError: `copy` cannot be written.
    """
    position, checksum = 0, zlib.adler32(b"")
    with _opened(url) as file:
        while True:
            status, block = file.read(position, _BLOCK_BYTES)
            check(url, status)
            if not block:
                return f"{ADLER32}{checksum:08x}"
            copy.write(block)
            position, checksum = position + len(block), zlib.adler32(block, checksum)


def checksum_at(url: str) -> str:
    """The checksum of a file that its server tells, as it remembers or finds it.

    Raises:
        DoorTrouble: the server does not answer, or knows no such file or no adler32.
    """
    address = Address.of(url)
    status, told = server_of(url).query(client().flags.QueryCode.CHECKSUM, f"{address.path}?cks.type=adler32")
    check(url, status)
    kind, _, digits = told.rstrip(b"\0").decode(errors="replace").partition(" ")
    if kind != "adler32":
        raise DoorTrouble(
            f"Its server tells the checksum {kind or 'nothing'}, not adler32.",
            hint="Let the server tell it: `xrootd.chksum adler32` in its configuration.",
        )
    return f"{ADLER32}{digits.strip().lower().zfill(8)}"


def size_at(url: str) -> int:
    """The size of a file that its server tells.

    Raises:
        DoorTrouble: the server does not answer, or knows no such file.
    """
    status, told = server_of(url).stat(Address.of(url).path)
    check(url, status)
    return int(told.size)


def first_bytes(url: str, n_bytes: int) -> tuple[bytes, int]:
    """What a file begins with, and its size.

    Raises:
        DoorTrouble: it cannot be read.
    """
    with _opened(url) as file:
        status, header = file.read(0, n_bytes)
        check(url, status)
        return header, size_at(url)


@contextmanager
def _opened(url: str) -> Iterator[Any]:
    file = client().File()
    status, _ = file.open(proved(url))
    check(url, status)
    try:
        yield file
    finally:
        file.close()


def check(url: str, status: Any) -> None:
    """Make sure that the client was given what it asked for.

    Raises:
        DoorTrouble: it was not; says why.
    """
    if not status.ok:
        raise DoorTrouble(f"{url}: {reason(status)}.", hint="Look whether its server runs and the address is right.")


def reason(status: Any) -> str:
    """Why the client was not given what it asked for, in the words of the server as far as it has said any."""
    words = str(status.message).strip().splitlines() or ["no message"]
    return words[0].removeprefix("[ERROR] ").removeprefix("[FATAL] ").rstrip(".")


def has_refused(status: Any) -> bool:
    """Whether a server has answered that there is no such thing, or that it may not be had."""
    return bool(status.code in _REFUSALS)


def is_not_there(status: Any) -> bool:
    """Whether a server has answered that there is no such thing. Who is not let in has heard nothing about that."""
    return has_refused(status) and status.code != _REFUSALS[0] and status.errno not in _NOT_LET_IN


class _Closed(NamedTuple):
    """An address at which a file cannot be read now; for good, if its server says so."""

    way: str
    why: str
    for_good: bool


def _look(way: str, patience_s: int) -> _Closed | None:
    server, path = Address.of(way)
    at = urlsplit(server)
    try:  # The client takes all its time to say that nobody listens.
        socket.create_connection((at.hostname, at.port or _PORT), timeout=patience_s).close()
    except OSError as error:
        return _Closed(way, str(error), for_good=False)
    status, _ = server_of(way).stat(path, timeout=patience_s)
    return None if status.ok else _Closed(way, reason(status), has_refused(status))


def _patience() -> tuple[int, int]:
    """Seconds between two tries to reach a server, and how many there are; else those of the client library."""
    return int(os.environ.get("XRD_CONNECTIONWINDOW", "120")), int(os.environ.get("XRD_CONNECTIONRETRY", "5"))
