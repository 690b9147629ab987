"""How an attempt becomes groups of jobs, and what their outputs mean. Pure planning; no database, no batch system."""

from .outputs import OUTPUTS, UnusableOutput, measurements
from .plan import measure_step, next_step
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
    "OUTPUTS",
    "Constants",
    "Ended",
    "InputFile",
    "JobOutcome",
    "Measurements",
    "ProducedFile",
    "ProducedPayload",
    "StageOutcome",
    "UnusableOutput",
    "WantGroup",
    "WantedJob",
    "Work",
    "measure_step",
    "measurements",
    "next_step",
]
