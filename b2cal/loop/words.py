"""States as people read them: one wording for pages, commands and sentences."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from b2cal.model import ProcessingState, State

from .rules import FINISHED
from .view import Freshness

CANCELLED = "cancelled"

# In the order in which life usually goes through them; those that end it badly come last.
STATE_MEANINGS: Mapping[State, str] = {
    State.OPEN: "Configuration and selection of data may be changed and submitted until the end of the window; then"
    " b2cal submits the defaults.",
    State.SUBMITTED: "Configuration and selection are fixed. It starts as soon as everything upstream is finished and"
    " its inputs are complete.",
    State.RUNNING: "Its batch jobs collect, fit and measure.",
    State.VALIDATING: "What was measured is compared with the limits.",
    State.REVIEW: "There is a verdict. Where something is beyond its limits, or the policy wants it, a person decides.",
    State.SIGNED_OFF: "Its constants are accepted; what waits for them may start.",
    State.FAILED: "It gave nothing that can be signed off. A person looks at the first error and decides.",
    State.VETOED: "A manager left it out; others go on with the constants that stand in for it.",
}
PROCESSING_MEANINGS: Mapping[ProcessingState, str] = {
    ProcessingState.PLANNED: "It is created. Nothing is frozen, and no window is open.",
    ProcessingState.ACTIVE: "Release, graph and base are frozen; its calibrations go their ways.",
    ProcessingState.COMPLETE: "All its calibrations are finished and fresh, or kept; it can be published.",
    ProcessingState.PUBLISHED: "Its constants are in the target tag.",
    ProcessingState.CANCELLED: "It was given up; nothing of it is published.",
}
FRESHNESS_MEANINGS: Mapping[Freshness, str] = {
    Freshness.FRESH: "What it read is what it would read now.",
    Freshness.IN_DOUBT: "A calibration upstream is being done again. Nothing starts, is signed off or published on it"
    " until that is finished; if it comes out the same, everything is fresh again.",
    Freshness.STALE: "What it read has been replaced. It is done again by itself, or, once signed off, the manager"
    " chooses: restart it, or keep it with a reason.",
}


def states_in_words(states: AbstractSet[State] | AbstractSet[ProcessingState]) -> str:
    """Several states of one life: `in review, failed`, `anything but vetoed`, `anything`."""
    life = tuple(STATE_MEANINGS) if states <= set(STATE_MEANINGS) else tuple(PROCESSING_MEANINGS)
    others = [state for state in life if state not in states]
    if len(others) > 1:
        return ", ".join(state.word for state in life if state in states)
    return f"anything but {others[0].word}" if others else "anything"


def state_in_words(state: State, processing: ProcessingState) -> str:
    """The state of a calibration; what was not finished when its processing was cancelled is cancelled with it."""
    if processing is ProcessingState.CANCELLED and state not in FINISHED:
        return CANCELLED
    return state.word
