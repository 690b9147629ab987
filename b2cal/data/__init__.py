"""Data: the run registry, the catalogue of files, and the way from a selection to the inputs of a calibration."""

from .inputs import Completeness, Inputs, RunChoice, Shortfall, select
from .selection import InvalidSelection, Selection, default_selection, selection_problems

__all__ = [
    "Completeness",
    "Inputs",
    "InvalidSelection",
    "RunChoice",
    "Selection",
    "Shortfall",
    "default_selection",
    "select",
    "selection_problems",
]
