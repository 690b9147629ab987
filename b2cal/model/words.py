"""Stages and jobs as people read them: one wording for pages, commands, sentences and errors."""

from .enums import Stage


def stage_in_words(stage: Stage, iteration: int) -> str:
    """What jobs do: `fit`, and `fit, iteration 2` when the first fit was not the last; stored numbers begin with 0."""
    return f"{stage.value}, iteration {iteration + 1}" if iteration else stage.value


def job_in_words(stage: Stage, iteration: int, number: int) -> str:
    """One job of a stage: `collect, job 3`."""
    return f"{stage_in_words(stage, iteration)}, job {number + 1}"
