"""Looks into one payload file. Runs in the process apart: see `core.apart`."""

import resource
from pathlib import Path
from typing import Any

import uproot

from b2cal.calibration.inputs import UnreadableInput, reading
from b2cal.calibration.payload import InvalidPayload, Payload
from b2cal.core.checksums import sha256_file
from b2cal.core.errors import B2calError
from b2cal.core.iov import ExpRun, IoV
from b2cal.core.root_file import root_file_problem

_CLASSES = frozenset({"TTree", "TObjString", "TDirectory"})


class Refused(B2calError):
    """The file must not be published; the text says why, as half a sentence."""


def handle(path: str) -> dict[str, Any]:
    """Name, identity, checksum and size of a payload file that is in order, or its `problem`."""
    try:
        _check_bytes(Path(path))
        _check_declared(path)
        payload = Payload.read(path, IoV(ExpRun(0, 0), None))
    except (Refused, InvalidPayload) as error:
        return {"problem": str(error).rstrip(".")}
    except UnreadableInput as error:
        return {"problem": str(error).removeprefix(f"The input {path} cannot be read: ").rstrip(".")}
    return {
        "name": payload.name,
        "identity": payload.identity,
        "checksum": sha256_file(path),
        "size_bytes": Path(path).stat().st_size,
    }


def _check_bytes(path: Path) -> None:
    """What the first bytes say: a ROOT file, and all of it is there."""
    if not path.is_file():
        raise Refused("it does not exist")
    _check_size(path.stat().st_size)
    if problem := root_file_problem(path):
        raise Refused(problem)


def _check_declared(path: str) -> None:
    """What the file says about its contents, before anything large is unpacked."""
    with reading(path), uproot.open(path) as file:
        classes = file.classnames(recursive=True, cycle=False)
        strange = sorted(f"{key} ({name})" for key, name in classes.items() if name not in _CLASSES)
        if strange:
            raise Refused(f"it holds {', '.join(strange)}, which no payload has")
        if "meta" not in classes:
            raise Refused("it has no 'meta', so it was not written as a payload")
        # Objects first: a tree's header has to be unpacked to learn the size of its columns.
        _check_size(sum(file.key(key).data_uncompressed_bytes for key in classes))
        branches = [file[key]["value"] for key, name in classes.items() if name == "TTree"]
        _check_size(sum(max(branch.uncompressed_bytes, branch.num_entries) for branch in branches))


def _check_size(declared: int) -> None:
    # Contents are copied several times on their way; with an eighth of the memory all copies find room.
    most = resource.getrlimit(resource.RLIMIT_AS)[0] // 8
    if not 0 <= declared <= most:
        raise Refused(f"it declares {declared:,} bytes of contents, a payload has at most {most:,}")
