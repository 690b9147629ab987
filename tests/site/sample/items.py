"""The release of the sample: its people, its calibrations, and how they stand in the processing of the day."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from b2cal.core.iov import ExpRun
from b2cal.model import Kind, State, Step

NOW = datetime(2026, 11, 27, 3, 40, tzinfo=UTC)
PASSWORD = "demo"
FIRST, LAST = ExpRun(26, 180), ExpRun(26, 1967)
N_RUNS = 412
STREAMS = {"bhabha": 52_000, "hadron": 48_000, "cosmic": 10_000}
VOCABULARY = {
    "Magnet": ["On", "Off", "Either"],
    "Run Type": ["beam", "cosmic", "debug", "null", "physics"],
    "Data Tag": list(STREAMS),
    "Data Quality Tag": [">=30 Minute Run", "Good", "Good Or Recoverable"],
}
PEOPLE = {
    "tracking": "E. Expert",
    "second": "D. Second",
    "calorimeter": "F. Crystal",
    "alignment": "A. Align",
    "muon": "K. Muon",
    "vertex": "V. Vertex",
    "data": "P. Production",
}


@dataclass(frozen=True)
class Item:
    """A calibration of the sample's release."""

    name: str
    step: Step
    expert: str
    upstream: tuple[str, ...] = ()
    payloads: tuple[str, ...] = ()
    kind: Kind = Kind.CALIBRATE
    streams: tuple[str, ...] = ("hadron", "cosmic")
    config: dict[str, Any] = field(default_factory=lambda: {"min_events": 5000, "iterations": 5})


S = Step
ITEMS = (
    Item(
        "Pedestals",
        S.LOCAL,
        "tracking",
        (),
        ("Pedestals",),
        Kind.COPY,
        (),
        {"source_tag": "local-23", "unchanged": False},
    ),
    Item("Noise", S.LOCAL, "tracking", (), ("Noise",), Kind.COPY, (), {"source_tag": "local-23", "unchanged": False}),
    Item("Channel masks", S.PRE_TRACKING, "tracking", ("Pedestals", "Noise"), ("ChannelMask",)),
    Item("Time offsets", S.PRE_TRACKING, "tracking", ("Channel masks",), ("TimeOffsets",)),
    Item(
        "x-t relation",
        S.PRE_TRACKING,
        "tracking",
        ("Time offsets",),
        ("XtRelations", "SpaceResolutions"),
        config={
            "max_events_hadron": 12_000,
            "iterations": 5,
            "mode": "quick",
            "use_cosmics": True,
            "momentum_window_gev": [0.5, 4.0],
            "payload_boundaries": [],
            "fractions": {"hadron": 0.5, "cosmic": 1, "bhabha": 0.25},
            "min_hits": 20,
            "comment": "standard reprocessing settings",
        },
    ),
    Item("Crystal energy", S.PRE_TRACKING, "calorimeter", ("Channel masks",), ("CrystalEnergy",), streams=("bhabha",)),
    Item("Alignment", S.ALIGNMENT, "alignment", ("x-t relation",), ("Alignment",)),
    Item("Align. monitor", S.ALIGNMENT, "alignment", ("Alignment",), ("AlignmentMonitor",)),
    Item(
        "cDST production",
        S.CDST_PRODUCTION,
        "data",
        ("Align. monitor", "Crystal energy"),
        (),
        Kind.PRODUCE,
        ("hadron", "bhabha"),
        {},
    ),
    Item("dE/dx gain", S.POST_TRACKING, "tracking", ("cDST production",), ("DedxGain",)),
    Item("Leakage", S.POST_TRACKING, "calorimeter", ("cDST production",), ("Leakage",)),
    Item("Crystal time", S.POST_TRACKING, "calorimeter", ("cDST production",), ("CrystalTime",)),
    Item("Muon efficiency", S.POST_TRACKING, "muon", ("cDST production",), ("MuonEfficiency",)),
    Item("Beam spot", S.ANALYSIS, "vertex", ("dE/dx gain",), ("BeamSpot",)),
    Item("Boost vector", S.ANALYSIS, "vertex", ("Beam spot",), ("BoostVector",)),
    Item("Momentum scale", S.ANALYSIS, "tracking", ("dE/dx gain", "Leakage"), ("MomentumScale",)),
)
STATES = {
    "Pedestals": State.SIGNED_OFF,
    "Noise": State.SIGNED_OFF,
    "Channel masks": State.SIGNED_OFF,
    "Time offsets": State.SIGNED_OFF,
    "x-t relation": State.REVIEW,
    "Crystal energy": State.SIGNED_OFF,
    "Muon efficiency": State.VETOED,
    "Crystal time": State.OPEN,
    "Beam spot": State.OPEN,
    "dE/dx gain": State.OPEN,
}
SCHEMA = {
    "max_events_hadron": {
        "type": "integer",
        "minimum": 1,
        "maximum": 1_000_000,
        "description": "hadron events per run",
    },
    "iterations": {"type": "integer", "minimum": 1, "maximum": 20},
    "mode": {"enum": ["quick", "full"]},
    "use_cosmics": {"type": "boolean"},
    "momentum_window_gev": {"type": "array", "items": {"type": "number"}},
    "payload_boundaries": {"type": "array"},
    "fractions": {"type": "object"},
    "min_hits": {"type": "integer", "minimum": 0},
    "min_events": {"type": "integer", "minimum": 0},
    "comment": {"type": "string"},
    "source_tag": {"type": "string"},
    "unchanged": {"type": "boolean"},
}
