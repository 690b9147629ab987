"""Limits applied to what jobs measured: checks, the verdict, and the report that people judge by."""

from .against_truth import WORST_P, AgainstTruth
from .check import Check, Limits, Origin, Quantity
from .generic_checks import ConstantsFile, generic_checks, not_converged, not_measured
from .report import INDEX, NUMBERS, Provenance, write_report
from .verdict import Judgement, judge, judged

__all__ = [
    "INDEX",
    "NUMBERS",
    "WORST_P",
    "AgainstTruth",
    "Check",
    "ConstantsFile",
    "Judgement",
    "Limits",
    "Origin",
    "Provenance",
    "Quantity",
    "generic_checks",
    "judge",
    "judged",
    "not_converged",
    "not_measured",
    "write_report",
]
