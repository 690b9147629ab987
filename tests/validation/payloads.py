"""Payload files for tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from b2cal.calibration import Payload
from b2cal.core.ids import new_token
from b2cal.core.iov import OPEN, ExpRun, IoV

FIRST = ExpRun(26, 5)
REQUESTED = IoV(FIRST, None)


@dataclass(frozen=True)
class File:
    """What `generic_checks` needs to know of a payload."""

    name: str
    first: int
    last: int
    path: Path
    identity: str


def written(folder: Path, name: str, values: dict[str, Any], covariance: Any = None, iov: IoV = REQUESTED) -> File:
    """Write a payload and describe its file."""
    payload = Payload(name, iov, values, covariance)
    path = folder / f"{name}_{new_token()}.root"
    payload.write(path)
    return File(name, iov.first.number, OPEN if iov.last is None else iov.last.number, path, payload.identity)
