"""What does not go on by itself: the loop waits until somebody decides."""

from datetime import datetime

from b2cal.model import Calibration, State

from .inputs import lacks_selection
from .view import Freshness, ProcessingView
from .waiting import signs_itself_off
from .windows_and_reminders import asks_for_inputs, asks_to_be_submitted


def asks_somebody(view: ProcessingView, calibration: Calibration, at: datetime) -> bool:
    """Whether a calibration does not go on before somebody decides, whoever that is.

    One that failed or is in review may be stale as well: then it restarts by itself in a moment, see `restarts_itself`.
    That is not looked at here, because it takes long and every page asks.
    """
    match calibration.state:
        case State.REVIEW | State.FAILED:
            return not signs_itself_off(view, calibration)
        case State.OPEN:
            return lacks_selection(calibration) or asks_to_be_submitted(calibration, at)
        case State.SUBMITTED:
            return asks_for_inputs(view.processing, calibration, at)
        case State.RUNNING:
            return calibration.name in view.asking
        case State.SIGNED_OFF:
            return view.standing(calibration.name).freshness is Freshness.STALE
        case _:
            return False
