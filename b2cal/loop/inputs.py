"""What a calibration would read now: its selection of data, and what that comes to."""

from typing import Any

from b2cal.data import Inputs, default_selection
from b2cal.data import select as select_inputs
from b2cal.model import Calibration, Kind

from .view import ProcessingView


def inputs_of(view: ProcessingView, calibration: Calibration, selection: dict[str, Any]) -> Inputs:
    """Runs and files that this selection would give now, with the reasons."""
    settings = calibration.definition.settings
    productions = [
        view.attempts[other.name].id
        for other in view.upstream(calibration.name)
        if other.kind is Kind.PRODUCE and other.name in view.attempts
    ]
    return select_inputs(
        view.db,
        view.processing.release.vocabulary,
        settings["input_data_formats"],
        settings["input_data_names"],
        selection,
        view.processing.run_first,
        view.processing.run_last,
        produced_by=productions,
    )


def selection_by_default(calibration: Calibration) -> dict[str, Any]:
    """What is read if nobody says otherwise with a submission: the manager's selection, else the script's."""
    return calibration.selection or default_selection(calibration.definition.settings)


def lacks_selection(calibration: Calibration) -> bool:
    """Neither its script nor the manager says which data it reads: it cannot be submitted automatically."""
    return (
        calibration.kind is not Kind.COPY
        and calibration.selection is None
        and not calibration.definition.settings["input_data_filters"]
    )
