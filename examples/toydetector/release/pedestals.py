"""Pedestals and noise of the crystals, measured by the calorimeter group in local runs and copied from its own tag."""

from b2cal.calibration import CalibrationSettings

settings = CalibrationSettings(
    name="Pedestals",
    expert_username="calorimeter",
    subsystem="calorimeter",
    description=__doc__,
    input_data_formats=["raw"],
    input_data_names=["random"],
    input_data_filters={"random": ["Good"]},
    expert_config={"source_tag": "calorimeter_local", "unchanged": False},
    produced_payloads=["Pedestals"],
)
