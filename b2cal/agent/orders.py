"""The groups that concern the agent now, as one query sees them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, aliased

from b2cal.model import Attempt, Calibration, GroupState, Incident, Job, JobGroup, JobState, Outcome, Processing


@dataclass(frozen=True)
class Order:
    """A group that has not ended.

    Attributes:
        live: its attempt counts, and was not given up, and what it would do is not done yet: else it is not wanted any
            more.
        held: its processing is held: nothing new is submitted, what runs goes on.
        waits: for the end of an incident.
        asks: it waits until somebody decides.
    """

    group_id: int
    token: str
    state: GroupState
    not_before: datetime
    live: bool
    held: bool
    waits: bool
    asks: bool
    centre: str


LIVE = and_(Attempt.live.is_not(None), Attempt.outcome.is_distinct_from(Outcome.FAILED))
"""Whether the groups of an attempt are wanted: it counts, and was not given up."""

_Raced = aliased(Job)
_IS_TO_DO = or_(
    JobGroup.round == 0,
    select(Job.id)
    .outerjoin(_Raced, _Raced.id == Job.copy_of)
    .where(Job.group_id == JobGroup.id, or_(Job.copy_of.is_(None), _Raced.state != JobState.DONE))
    .exists(),
)
"""Whether not all jobs of a group are copies of jobs that were done before."""

_OPEN = (
    select(
        JobGroup.id,
        JobGroup.token,
        JobGroup.state,
        JobGroup.not_before,
        and_(LIVE, _IS_TO_DO),
        Processing.held,
        Incident.live.is_not(None),
        JobGroup.asks_since.is_not(None),
        Processing.centre,
    )
    .join(Attempt, JobGroup.attempt_id == Attempt.id)
    .join(Calibration, Attempt.calibration_id == Calibration.id)
    .join(Processing, Calibration.processing_id == Processing.id)
    .outerjoin(Incident, JobGroup.incident_id == Incident.id)
    .where(JobGroup.state.in_((GroupState.WANTED, GroupState.SUBMITTED)))
    .order_by(JobGroup.id)
)


def open_orders(db: Session) -> list[Order]:
    """All groups that have not ended, oldest first."""
    return [Order(*row) for row in db.execute(_OPEN)]
