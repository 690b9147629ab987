"""How an attempt becomes groups of jobs, and what their outputs mean. Pure planning; no database, no batch system."""

from .work import (
    Constants,
    Ended,
    InputFile,
    JobOutcome,
    Measurements,
    ProducedFile,
    ProducedPayload,
    StageOutcome,
    WantedJob,
    WantGroup,
    Work,
)

__all__ = [
    "Constants",
    "Ended",
    "InputFile",
    "JobOutcome",
    "Measurements",
    "ProducedFile",
    "ProducedPayload",
    "StageOutcome",
    "WantGroup",
    "WantedJob",
    "Work",
]
