"""What an expert imports to write a calibration, and what runs it on a worker node.

This folder and `b2cal/core` travel with every job. They import nothing else of b2cal and know no database: JSON and
files in, JSON and files out.
"""

from b2cal.calibration.base import Calibration, Collected, Iterate, NotEnoughData, Production
from b2cal.calibration.conditions import Conditions, MissingConstants
from b2cal.calibration.events import Events, MissingBranch
from b2cal.calibration.inputs import UnreadableInput
from b2cal.calibration.measurement import Grade, Limit, Measurement
from b2cal.calibration.payload import InvalidPayload, Payload
from b2cal.calibration.settings import CalibrationSettings, InvalidSettings
from b2cal.calibration.strategy import Strategy

__all__ = [
    "Calibration",
    "CalibrationSettings",
    "Collected",
    "Conditions",
    "Events",
    "Grade",
    "InvalidPayload",
    "InvalidSettings",
    "Iterate",
    "Limit",
    "Measurement",
    "MissingBranch",
    "MissingConstants",
    "NotEnoughData",
    "Payload",
    "Production",
    "Strategy",
    "UnreadableInput",
]
