"""Folders behind XRootD doors."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

from b2cal.calibration.doors import (
    Address,
    BehindDoors,
    DoorTrouble,
    below_door,
    check,
    checksum_at,
    client,
    first_bytes,
    is_not_there,
    reason,
    server_of,
    size_at,
    stem,
)
from b2cal.calibration.uploads import adler32, deliver
from b2cal.core.apart import Allowance, work_apart
from b2cal.core.errors import B2calError
from b2cal.core.files import CannotWrite
from b2cal.core.ids import new_token
from b2cal.settings import Settings, StorageSettings

from .credentials import proving
from .opening import Opened, opened
from .registry import FILE as REGISTRY
from .shelf import Lying

_OPENER = Path(__file__).with_name("opener_behind_doors.py")
_PATIENCE_S = 10
_LISTING_S = 600
_LARGEST_REGISTRY = 1 << 30
_CREDENTIALS = ("BEARER_TOKEN", "KRB5CCNAME", "X509_", "XDG_RUNTIME_DIR", "XRD_", "XrdSec")
"""What the names of variables begin with by which the client proves who it is."""

_HASTE = {"ConnectionWindow": _PATIENCE_S, "ConnectionRetry": 1, "StreamErrorWindow": 0, "TimeoutResolution": 1}
"""Somebody waits for the answer. What the environment says (XRD_*) goes before."""


class NoDoor(B2calError):
    """The settings know no door behind which a folder lies."""


@dataclass(frozen=True)
class FolderBehindDoors:
    """A folder of a storage.

    Attributes:
        name: its address through the first door that leads there of all in the settings, whichever is used.
        way: its address through the first door of the storage that answers.
        storage: through whose doors one goes, with its credentials.
    """

    name: str
    way: str
    storage: StorageSettings
    is_there: bool

    @classmethod
    def find(cls, url: str, settings: Settings, centre: str = "") -> Self:
        """The folder at an address.

        Args:
            url: through any door.
            settings: name the storages, of which several may share a door.
            centre: through whose doors one goes if they lead there, with its credentials; empty: nobody knows.

        Raises:
            NoDoor: the settings have no door that leads there.
            DoorTrouble: no server answers, or none has the folder while not all answer.
        """
        folder = _trimmed(url)
        leading = _leading_there(folder, settings)
        storage = _best(leading, settings.storages.get(centre))
        (name, *_), ways = (_ways(folder, it) for it in (leading[0], storage))
        silent: list[tuple[str, Any]] = []
        without: list[tuple[str, Any]] = []
        for way in ways:
            with proving(storage):
                status = _ask(way)
            if status.ok:
                return cls(name, way, storage, is_there=True)
            (without if is_not_there(status) else silent).append((way, status))
        if silent:
            told = "; ".join(f"{way}: {reason(status)}" for way, status in (*silent, *without))
            raise DoorTrouble(
                f"{folder} cannot be looked at: {told}.",
                hint="Look whether the servers run and let this account in, and whether `doors` in b2cal.toml names"
                " them. Nothing was changed.",
            )
        return cls(name, ways[0], storage, is_there=False)

    def exists(self) -> bool:
        return self.is_there

    def read(self, name: str) -> bytes:
        url = f"{stem(self.way)}{name}"
        with proving(self.storage):
            status = _ask(url)
            if is_not_there(status):
                raise FileNotFoundError(errno.ENOENT, reason(status))
            check(url, status)
            return first_bytes(url, _LARGEST_REGISTRY)[0]

    def files(self) -> list[Lying]:
        if not self.is_there:
            return []
        names = {entry.name: entry for entry in self.below() if entry.name.endswith(".root")}
        lying = [_lying(f"{stem(self.name)}{name}", names[name].statinfo) for name in sorted(names)]
        return [file for file in lying if file is not None and not file.name.startswith(".")]

    def below(self, name: str = "") -> list[Any]:
        """All that lies below it, or below one of its folders, as the client names and describes it.

        Raises:
            DoorTrouble: its server does not answer, or tells it only in part.
        """
        flags, way = client().flags.DirListFlags, f"{stem(self.way)}{name}"
        wanted = flags.STAT | flags.RECURSIVE | flags.LOCATE | flags.MERGE
        with proving(self.storage):
            status, listing = server_of(way).dirlist(Address.of(way).path, wanted, timeout=_LISTING_S)
        check(way, status)
        if status.code:
            raise DoorTrouble(
                f"{way} is only listed in part.", hint="Look which of its servers is away, then do it again."
            )
        return list(listing)

    def holds(self, path: str) -> bool:
        return True

    def open(self, files: Sequence[Lying]) -> list[Opened]:
        urls = [self._through_the_door(file.path) for file in files]
        with proving(self.storage):
            environment = {name: value for name, value in os.environ.items() if name.startswith(_CREDENTIALS)}
        environment = {f"XRD_{name.upper()}": str(value) for name, value in _HASTE.items()} | environment
        found = [opened(answer) for answer in work_apart(_OPENER, urls, Allowance(), environment=environment)]
        if any(one.reason for one in found):
            with proving(self.storage):
                check(self.way, _ask(self.way))  # is it the files, or has the door been shut?
        return found

    def lies_there(self, path: str, size_bytes: int, mtime_ns: int) -> bool:
        url = self._through_the_door(path)
        with proving(self.storage):
            status, told = server_of(url).stat(Address.of(url).path, timeout=_PATIENCE_S)
        if is_not_there(status):
            return False
        check(url, status)
        return (told.size, told.modtime * 10**9) == (size_bytes, mtime_ns)

    def _through_the_door(self, path: str) -> str:
        below = below_door(path, self.name)
        return path if below is None else f"{stem(self.way)}{below}"


def bring(folder: Path, door: str, settings: Settings, centre: str) -> FolderBehindDoors:
    """Copy a folder of data files and its registry behind a door of a centre, but for what is there already.

    Raises:
        NoDoor: the settings do not know the door.
        DoorTrouble: it does not answer, or a file did not arrive whole.
        CannotWrite: a file is there with other contents.
    """
    there = FolderBehindDoors.find(f"{stem(door)}{folder.name}", settings, centre)
    with proving(there.storage):
        for path in (*sorted(folder.rglob("*.root")), folder / REGISTRY):  # last: what has one is complete
            _bring(path, f"{stem(there.way)}{path.relative_to(folder).as_posix()}")
    return FolderBehindDoors.find(there.name, settings, centre)


def _bring(path: Path, url: str) -> None:
    status = _ask(url)
    if is_not_there(status):
        deliver(path, url)
        return
    check(url, status)
    if (size_at(url), checksum_at(url)) != (path.stat().st_size, adler32(path)):
        raise CannotWrite(
            f"{url} is there already, with other contents than {path}.",
            hint="Nothing was replaced. Remove its folder behind the door if nobody needs it, or give another door.",
        )


def look_behind_doors(url: str, settings: Settings, centre: str) -> tuple[Lying, str]:
    """A file of a centre as its server tells it, and the checksum; the problem says if it is not there.

    Raises:
        NoDoor: the settings have no door that leads there.
        DoorTrouble: no server answers.
    """
    file = FolderBehindDoors.find(url, settings, centre)
    if not file.is_there:
        return Lying(url, problem="it is not there"), ""
    with proving(file.storage):
        status, told = server_of(file.way).stat(Address.of(file.way).path, timeout=_PATIENCE_S)
        check(file.way, status)
        return _lying(url, told) or Lying(url, problem="it is still being written"), checksum_at(file.way)


def free_behind_doors(url: str, settings: Settings, centre: str) -> int | None:
    """Bytes that a centre may still write into a folder; None: it is not there, or its server does not tell.

    Raises:
        NoDoor: the settings have no door that leads there.
        DoorTrouble: no server answers.
    """
    folder = FolderBehindDoors.find(url, settings, centre)
    if not folder.exists():
        return None  # what a server tells of a folder that is not there changes from time to time
    path = Address.of(folder.way).path
    with proving(folder.storage):
        status, told = server_of(folder.way).query(client().flags.QueryCode.SPACE, path, timeout=_PATIENCE_S)
    check(folder.way, status)
    return parse_space(told.rstrip(b"\0").decode(errors="replace"))


def parse_space(told: str) -> int | None:
    """Free bytes, from `oss.space=270553174016&oss.free=67406774272&oss.used=203146399744&oss.quota=-1`."""
    facts = dict(parse_qsl(told))
    try:
        space, free, used, quota = (int(facts[f"oss.{name}"]) for name in ("space", "free", "used", "quota"))
    except (KeyError, ValueError):
        return None
    if not space:
        return None  # it knows no such folder
    return free if quota < 0 else max(0, min(free, quota - used))


def trouble_at(door: str, storage: StorageSettings) -> str:
    """Why a door of a storage cannot be gone through, as half a sentence; empty if it can."""
    try:
        with proving(storage):
            status = _ask(door)
    except DoorTrouble as error:
        return f"{str(error).rstrip('.')}; {error.hint.rstrip('.')}"
    return "" if status.ok else reason(status)


def trouble_in_writing(folder: FolderBehindDoors) -> str:
    """Why nothing can be written into a folder, as half a sentence; empty if it can. Nothing stays there."""
    url = f"{stem(folder.way)}.b2cal-{new_token()}"
    server, path = server_of(url), Address.of(url).path
    with proving(folder.storage):
        status, _ = server.mkdir(path, timeout=_PATIENCE_S)
        if not status.ok:
            return reason(status)
        status, _ = server.rmdir(path, timeout=_PATIENCE_S)
    return "" if status.ok else reason(status)


def _ask(url: str) -> Any:
    """The status with which the server of an address answers whether something is there; soon, in any case."""
    for name, value in _HASTE.items():
        client().EnvPutInt(name, value)
    status, _ = server_of(url).stat(Address.of(url).path, timeout=_PATIENCE_S)
    return status


def _trimmed(url: str) -> str:
    """Without a slash at the end, but for the one that is the path."""
    server, path = Address.of(url)
    return f"{server}/{path.strip('/')}"


def _leading_there(url: str, settings: Settings) -> list[StorageSettings]:
    """The storages of whose doors one leads there, this machine's before those of centres."""
    storages = settings.storages.values()
    leading = [it for it in storages if any(below_door(url, door) is not None for door in it.doors)]
    if leading:
        return leading
    known = dict.fromkeys(door for storage in storages for door in storage.doors)
    raise NoDoor(
        f"No door leads to {url}; known are {', '.join(known) or 'none'}.",
        hint='Write the doors of its storage into b2cal.toml, `doors = ["root://host:1094//store"]` under [batch] if'
        " jobs on this machine read it, or under the centre whose jobs do.",
    )


def _best(leading: Sequence[StorageSettings], meant: StorageSettings | None) -> StorageSettings:
    """That which is meant, else one with credentials: who has none may not be let in where another is."""
    return (
        meant if meant is not None and meant in leading else next((it for it in leading if it.credentials), leading[0])
    )


def _ways(url: str, storage: StorageSettings) -> list[str]:
    return [_trimmed(way) for way in BehindDoors.of(url, storage.doors).ways]


def _lying(path: str, status: Any) -> Lying | None:
    """A file as its server tells it; None while it is being written."""
    if status is None:
        return Lying(path, problem="its server does not tell its size")
    flags = client().flags.StatInfoFlags
    if status.flags & flags.POSC_PENDING:
        return None
    if status.flags & (flags.IS_DIR | flags.OTHER):
        return Lying(path, problem="it is no ordinary file")
    if status.flags & flags.OFFLINE:
        return Lying(path, problem="it is on tape: bring it to the disk")
    return Lying(path, status.size, status.modtime * 10**9)
