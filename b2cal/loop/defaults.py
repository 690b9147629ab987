"""The defaults of a calibration: what its script says, single keys taken over from the last published processing."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.model import Calibration, Definition, Processing, ProcessingState, State, Submission
from b2cal.releases import config_problems, merged_config


def default_config(calibration: Calibration) -> dict[str, Any]:
    """The configuration with which it is submitted if nobody changes anything."""
    return merged_config(calibration.definition, _values(calibration.carried_over))


def carried_over(db: Session, processing: Processing, definition: Definition) -> dict[str, Any]:
    """What a new calibration takes over: for each key its `value`, and the name of the processing it is `of`.

    What counts is the last published processing of the same kind in which this calibration was signed off. A value that
    does not fit the script any more is left behind.
    """
    keys = definition.traits.get("carried_over", ())
    before = db.execute(
        select(Processing.name, Submission.config)
        .join(Calibration, Calibration.processing_id == Processing.id)
        .join(Submission, Submission.calibration_id == Calibration.id)
        .where(
            Processing.kind == processing.kind,
            Processing.state == ProcessingState.PUBLISHED,
            Calibration.name == definition.name,
            Calibration.state == State.SIGNED_OFF,
            Submission.live.is_(True),
        )
        .order_by(Processing.ended_at.desc(), Processing.id.desc())
        .limit(1)
    ).one_or_none()
    if not keys or before is None:
        return {}
    carried = {key: {"value": before.config[key], "of": before.name} for key in keys if key in before.config}
    wrong = {problem.key for problem in config_problems(definition, merged_config(definition, _values(carried)))}
    return {} if "" in wrong else {key: it for key, it in carried.items() if key not in wrong}


def _values(carried: dict[str, Any]) -> dict[str, Any]:
    return {key: it["value"] for key, it in carried.items()}
