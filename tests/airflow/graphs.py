"""Frozen graphs for tests, as `loop` writes them."""

import json
from pathlib import Path
from typing import Any

STEPS = ["local", "pre-tracking", "alignment", "cdst-production", "post-tracking", "analysis"]


def node(name: str, step: str, *upstream: str) -> dict[str, Any]:
    return {"name": name, "task_id": name.lower().replace(" ", "_"), "step": step, "upstream": list(upstream)}


def graph(processing: str = "bucket1", **changes: Any) -> dict[str, Any]:
    """A small graph over all steps: a chain, and two calibrations that do not wait for each other."""
    return {
        "processing": processing,
        "state": "active",
        "steps": STEPS,
        "calibrations": [
            node("Channel mask", "pre-tracking"),
            node("Time offsets", "pre-tracking", "channel_mask"),
            node("Layer alignment", "alignment", "time_offsets"),
            node("cDST", "cdst-production", "channel_mask", "layer_alignment"),
            node("Energy scale", "post-tracking", "cdst"),
            node("Momentum scale", "analysis", "cdst"),
        ],
    } | changes


def write(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / f"{document['processing']}.json"
    path.write_text(json.dumps(document))
    return path
