"""What a calibration would read now: its selection of data, and what that comes to."""

from typing import Any

from sqlalchemy import select

from b2cal.core.checksums import digest
from b2cal.data import Inputs, default_selection
from b2cal.data import select as select_inputs
from b2cal.model import Calibration, Decision, Kind

from .rules import Verb
from .view import ProcessingView


def inputs_of(view: ProcessingView, calibration: Calibration, selection: dict[str, Any]) -> Inputs:
    """Runs and files that this selection would give now, with the reasons; looked for once per view."""
    key = calibration.name, digest(selection)
    if key not in view.inputs:
        view.inputs[key] = _inputs_of(view, calibration, selection)
    return view.inputs[key]


def _inputs_of(view: ProcessingView, calibration: Calibration, selection: dict[str, Any]) -> Inputs:
    settings = calibration.definition.settings
    return select_inputs(
        view.db,
        view.processing.release.vocabulary,
        settings["input_data_formats"],
        settings["input_data_names"],
        selection,
        view.processing.run_first,
        view.processing.run_last,
        produced_by=productions(view, calibration.name),
    )


def productions(view: ProcessingView, name: str) -> list[int]:
    """The attempts upstream whose files a calibration reads."""
    produce = [other.name for other in view.upstream(name) if other.kind is Kind.PRODUCE]
    return [view.attempts[other].id for other in produce if other in view.attempts]


def accepted(view: ProcessingView, calibration: Calibration, inputs: Inputs) -> bool:
    """Whether somebody decided to go on although exactly this, or more, was missing."""
    if not calibration.accept_incomplete:
        return False
    details = view.db.scalar(
        select(Decision.details)
        .where(Decision.calibration_id == calibration.id, Decision.verb == Verb.GO_ON)
        .order_by(Decision.id.desc())
        .limit(1)
    )
    return inputs.is_accepted_with((details or {}).get("shortage", {}))


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
