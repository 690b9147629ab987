"""States, stages and jobs as people read them: one wording for pages, commands and sentences."""

from b2cal.model import ProcessingState, Stage, State

from .rules import FINISHED

CANCELLED = "cancelled"


def state_in_words(state: State, processing: ProcessingState) -> str:
    """The state of a calibration; what was not finished when its processing was cancelled is cancelled with it."""
    if processing is ProcessingState.CANCELLED and state not in FINISHED:
        return CANCELLED
    return state.word


def stage_in_words(stage: Stage, iteration: int) -> str:
    """What jobs do: `fit`, and `fit, iteration 2` when the first fit was not the last; stored numbers begin with 0."""
    return f"{stage.value}, iteration {iteration + 1}" if iteration else stage.value


def job_in_words(stage: Stage, iteration: int, number: int) -> str:
    """One job of a stage: `collect, job 3`."""
    return f"{stage_in_words(stage, iteration)}, job {number + 1}"
