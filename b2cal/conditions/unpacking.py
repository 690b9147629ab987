"""Takes a local database out of an archive that nobody vouches for. Runs in the process apart: see `core.apart`."""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

_WANTED = re.compile(r"database\.txt|dbstore_[A-Za-z]\w*_rev_\w+\.root", re.ASCII)
_MOST_MEMBERS = 10_000

DATABASE = "database.txt"
MOST_TEXT = 1_000_000
"""Bytes of `database.txt`: a hundred for each payload of the largest archive that is taken; a bucket has hundreds."""

_PIECE = 1 << 20

Member = tuple[str, IO[bytes]]


class Refused(Exception):
    """The archive is not taken; the text says why, as half a sentence."""


def handle(item: dict[str, str | int]) -> str:
    """Unpack into a folder; the problem as half a sentence, empty if there is none."""
    try:
        with _members(Path(str(item["archive"]))) as members:
            _take(members, Path(str(item["folder"])), int(item["most_bytes"]))
    except Refused as refused:
        return str(refused)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        return f"it is damaged ({error})"
    return ""


def _take(members: Iterator[Member], folder: Path, free: int) -> None:
    places = set()
    for name, content in members:
        path = PurePosixPath(name)
        if not _WANTED.fullmatch(path.name):
            continue
        if (folder / path.name).exists():
            raise Refused(f"it holds {path.name} twice")
        places.add(path.parent)
        with open(folder / path.name, "xb") as target:
            while piece := content.read(_PIECE):
                if path.name == DATABASE and target.tell() + len(piece) > MOST_TEXT:
                    raise Refused(f"its {DATABASE} has more than {MOST_TEXT:,} bytes")
                free -= len(piece)  # what really comes out: an archive may say anything about its sizes
                if free < 0:
                    raise Refused("it unpacks to more than is taken")
                target.write(piece)
    if not (folder / DATABASE).exists():
        raise Refused(f"it holds no {DATABASE}")
    if len(places) > 1:
        raise Refused(f"the payload files do not lie beside {DATABASE}")


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            yield _of_zip(packed)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as packed_tar:
            yield _of_tar(packed_tar)
    else:
        raise Refused("it is neither a .tar nor a .zip")


def _of_zip(packed: zipfile.ZipFile) -> Iterator[Member]:
    if len(packed.infolist()) > _MOST_MEMBERS:
        raise Refused(f"it holds more than {_MOST_MEMBERS:,} files")
    for info in packed.infolist():
        if not info.is_dir():
            with packed.open(info) as content:
                yield info.filename, content


def _of_tar(packed: tarfile.TarFile) -> Iterator[Member]:
    for number, info in enumerate(packed):
        if number >= _MOST_MEMBERS:
            raise Refused(f"it holds more than {_MOST_MEMBERS:,} files")
        if info.isreg():
            content = packed.extractfile(info)
            assert content is not None, "a regular file has contents"
            with content:
                yield info.name, content
