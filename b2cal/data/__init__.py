"""Data: the run registry, the catalogue of files, and the way from a selection to the inputs of a calibration."""

from .behind_doors import FolderBehindDoors, NoDoor, bring, trouble_at
from .catalogue import GONE, ScanReport, scan
from .inputs import ChosenFile, Completeness, Inputs, RunChoice, Shortfall, select
from .produced import NewFile, UnusableFile, late_files, register_produced
from .registry import RegistryRefused
from .selection import InvalidSelection, Selection, default_selection, selection_problems

__all__ = [
    "GONE",
    "ChosenFile",
    "Completeness",
    "FolderBehindDoors",
    "Inputs",
    "InvalidSelection",
    "NewFile",
    "NoDoor",
    "RegistryRefused",
    "RunChoice",
    "ScanReport",
    "Selection",
    "Shortfall",
    "UnusableFile",
    "bring",
    "default_selection",
    "late_files",
    "register_produced",
    "scan",
    "select",
    "selection_problems",
    "trouble_at",
]
