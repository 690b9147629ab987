"""Looks into one data file behind an XRootD door. Runs in a process apart: see `core.apart`."""

from typing import Any

from b2cal.calibration.doors import DoorTrouble, checksum_at, first_bytes
from b2cal.core.root_file import HEADER_BYTES, header_problem
from b2cal.data.opener import count_events, in_words


def handle(url: str) -> dict[str, Any]:
    """Count the events of a file and ask its server for the checksum, or say why it cannot be read."""
    try:
        if problem := header_problem(*first_bytes(url, HEADER_BYTES)):
            return {"reason": problem}
        found = count_events(url)
        return found if "reason" in found else {**found, "sha256": checksum_at(url)}
    except MemoryError:
        raise
    except DoorTrouble as error:
        return {"reason": str(error).rstrip(".")}
    except Exception as error:  # noqa: BLE001 (a damaged file makes uproot raise errors of many types)
        return {"reason": in_words(error)}
