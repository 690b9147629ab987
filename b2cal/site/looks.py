"""How states look: a shape, a tone and a word each, so that nobody depends on seeing colours."""

from collections.abc import Iterable
from dataclasses import dataclass

from b2cal.model import Grade, GroupState, JobState, ProcessingState, State, Step, TagState


@dataclass(frozen=True)
class Look:
    """`tone` is a class of the style sheet; `urgency` orders a list, the worst first."""

    shape: str
    tone: str
    word: str
    urgency: int = 0


CALIBRATION = {
    State.FAILED: Look("✕", "bad", "failed", 7),
    State.REVIEW: Look("▲", "ask", "review", 6),
    State.OPEN: Look("◇", "open", "open", 5),
    State.RUNNING: Look("●", "busy", "running", 4),
    State.VALIDATING: Look("◐", "busy", "validating", 3),
    State.SUBMITTED: Look("○", "idle", "submitted", 2),
    State.VETOED: Look("⊘", "idle", "vetoed", 1),
    State.SIGNED_OFF: Look("✓", "good", "signed off", 0),
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
    JobState.FAILED: Look("✕", "bad", "failed", 4),
    JobState.RUNNING: Look("●", "busy", "running", 3),
    JobState.QUEUED: Look("○", "idle", "queued", 2),
    JobState.CANCELLED: Look("⊘", "idle", "cancelled", 1),
    JobState.DONE: Look("✓", "good", "done", 0),
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


def worst(states: Iterable[State]) -> State:
    """The state of several that most needs somebody's eyes."""
    return max(states, key=lambda state: CALIBRATION[state].urgency)
