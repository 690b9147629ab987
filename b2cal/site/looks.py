"""How states look: a shape, a tone and a word each, so that nobody depends on seeing colours."""

from collections.abc import Iterable
from dataclasses import dataclass

from b2cal import loop
from b2cal.loop import JobWord
from b2cal.model import Grade, GroupState, ProcessingState, State, Step, TagState


@dataclass(frozen=True)
class Look:
    """`tone` is a class of the style sheet; `urgency` orders a list, the worst first."""

    shape: str
    tone: str
    word: str
    urgency: int = 0


CALIBRATION = {
    state: Look(shape, tone, state.word, urgency)
    for state, shape, tone, urgency in (
        (State.FAILED, "✕", "bad", 7),
        (State.REVIEW, "▲", "ask", 6),
        (State.OPEN, "◇", "open", 5),
        (State.RUNNING, "●", "busy", 4),
        (State.VALIDATING, "◐", "busy", 3),
        (State.SUBMITTED, "○", "idle", 2),
        (State.VETOED, "⊘", "idle", 1),
        (State.SIGNED_OFF, "✓", "good", 0),
    )
}
PROCESSING = {
    ProcessingState.PLANNED: Look("◇", "open", "planned"),
    ProcessingState.ACTIVE: Look("●", "busy", "active"),
    ProcessingState.COMPLETE: Look("▲", "ask", "complete"),
    ProcessingState.PUBLISHED: Look("✓", "good", "published"),
    ProcessingState.CANCELLED: Look("⊘", "idle", "cancelled"),
}
GRADE = {
    Grade.FAIL: Look("✕", "bad", "fail", 2),
    Grade.WARN: Look("▲", "ask", "warn", 1),
    Grade.PASS: Look("✓", "good", "pass", 0),
}
JOB = {
    JobWord.FAILED: Look("✕", "bad", "failed", 5),
    JobWord.HELD: Look("‖", "ask", "held", 4),
    JobWord.RUNNING: Look("●", "busy", "running", 3),
    JobWord.QUEUED: Look("○", "idle", "queued", 2),
    JobWord.CANCELLED: Look("⊘", "idle", "cancelled", 1),
    JobWord.DONE: Look("✓", "good", "done", 0),
}
GROUP = {
    GroupState.WANTED: Look("○", "idle", "wanted"),
    GroupState.SUBMITTED: Look("●", "busy", "submitted"),
    GroupState.DONE: Look("✓", "good", "done"),
    GroupState.FAILED: Look("✕", "bad", "failed"),
    GroupState.CANCELLED: Look("⊘", "idle", "cancelled"),
}
TAG = {
    TagState.OPEN: Look("◇", "open", "open"),
    TagState.TESTING: Look("◐", "busy", "testing"),
    TagState.VALIDATED: Look("✓", "good", "validated"),
    TagState.PUBLISHED: Look("✓", "good", "published"),
    TagState.RUNNING: Look("●", "busy", "running"),
    TagState.INVALID: Look("⊘", "idle", "invalid"),
}
STEP = {
    Step.LOCAL: "Local",
    Step.PRE_TRACKING: "Pre-tracking",
    Step.ALIGNMENT: "Alignment",
    Step.CDST_PRODUCTION: "cDST",
    Step.POST_TRACKING: "Post-tracking",
    Step.ANALYSIS: "Analysis",
}


def look_of(state: State, processing: ProcessingState) -> Look:
    """How a calibration looks in a processing: cancelled with it if it was not finished by then."""
    word = loop.state_in_words(state, processing)
    return CALIBRATION[state] if word == state.word else Look("⊘", "idle", word)


def worst(states: Iterable[State]) -> State:
    """The state of several that most needs somebody's eyes."""
    return max(states, key=lambda state: CALIBRATION[state].urgency)
