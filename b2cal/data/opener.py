"""Looks into one data file. Runs in a process apart: see `core.apart`. Imports nothing of b2cal, to begin quickly."""

import hashlib
import warnings
from typing import Any

import uproot

_TREE = "events"

warnings.simplefilter("ignore")


def handle(path: str) -> dict[str, Any]:
    """Count the events of a file and take its checksum, or say why it cannot be read."""
    try:
        found = count_events(path)
        if "reason" in found:
            return found
        with open(path, "rb") as content:
            return {**found, "sha256": hashlib.file_digest(content, "sha256").hexdigest()}
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 (a damaged file makes uproot raise errors of many types)
        return {"reason": in_words(error)}


def count_events(place: str) -> dict[str, Any]:
    """The number of events of a file, or the reason why they cannot be used."""
    with uproot.open(place) as file:
        if _TREE not in file:
            return {"reason": f"it has no tree {_TREE!r}"}
        tree = file[_TREE]
        n_events = int(tree.num_entries)
        for branch in getattr(tree, "branches", ()):  # a TTree's; the fields of an RNTuple have one length
            if branch.num_entries != n_events:
                return {"reason": f"its branch {branch.name!r} has {branch.num_entries:,} of {n_events:,} events"}
        return {"n_events": n_events}


def in_words(error: Exception) -> str:
    """The first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
