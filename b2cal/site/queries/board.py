"""All processings with their steps, for the board."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from b2cal import loop
from b2cal.loop import FINISHED, OVER
from b2cal.model import Calibration, Processing, ProcessingState, State, Step, now
from b2cal.site.looks import CALIBRATION, Look, look_of, worst

from .inbox import n_to_decide
from .views import view_of

MOST = 100


@dataclass(frozen=True)
class StepCount:
    """How the calibrations of one step stand.

    `state` is the one that most needs eyes, with its look; None if there are none.
    """

    step: Step
    state: State | None
    look: Look | None
    counts: dict[State, int]

    @property
    def is_cancelled(self) -> bool:
        """Something of it was not finished when its processing was cancelled."""
        return self.state is not None and self.look != CALIBRATION[self.state]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        return sum(count for state, count in self.counts.items() if state in FINISHED)


@dataclass(frozen=True)
class BoardRow:
    """One processing; `deciding` calibrations of it wait for somebody, counted as in what people have to do.

    Held are batch jobs of it that do not go on by themselves.
    """

    processing: Processing
    steps: tuple[StepCount, ...]
    window_ends_at: datetime | None
    deciding: int
    n_held: int

    @property
    def total(self) -> int:
        return sum(step.total for step in self.steps)

    @property
    def finished(self) -> int:
        return sum(step.finished for step in self.steps)


def board(db: Session) -> list[BoardRow]:
    """All processings that are not over, then the latest of the others."""
    latest = select(Processing).options(joinedload(Processing.release), joinedload(Processing.target_tag))
    latest = latest.order_by(Processing.id.desc())
    ended = db.scalars(latest.where(Processing.state.in_(OVER)).limit(MOST)).all()
    processings = [*db.scalars(latest.where(Processing.state.not_in(OVER))), *ended]
    of_these = Calibration.processing_id.in_([processing.id for processing in processings])
    counts: dict[int, dict[Step, dict[State, int]]] = {}
    for processing_id, step, state, count in db.execute(
        select(Calibration.processing_id, Calibration.step, Calibration.state, func.count())
        .where(of_these)
        .group_by(Calibration.processing_id, Calibration.step, Calibration.state)
    ):
        counts.setdefault(processing_id, {}).setdefault(step, {})[state] = count
    ends: dict[int, datetime | None] = {
        row[0]: row[1]
        for row in db.execute(
            select(Calibration.processing_id, func.max(Calibration.window_ends_at))
            .where(of_these, Calibration.state == State.OPEN)
            .group_by(Calibration.processing_id)
        )
    }
    at = now(db)
    deciding = {
        p.id: n_to_decide(view_of(db, p.id), at) for p in processings if p.id in counts and p.state in loop.GOING
    }
    held = loop.held_jobs(db, [p.id for p in processings if p.state in loop.GOING])
    return [
        BoardRow(
            p, step_counts(counts.get(p.id, {}), p.state), ends.get(p.id), deciding.get(p.id, 0), held.get(p.id, 0)
        )
        for p in processings
    ]


def step_counts(counts: dict[Step, dict[State, int]], processing: ProcessingState) -> tuple[StepCount, ...]:
    """All steps of a processing in their order, those without calibrations too."""
    return tuple(_step_count(step, counts.get(step, {}), processing) for step in Step)


def _step_count(step: Step, counts: dict[State, int], processing: ProcessingState) -> StepCount:
    if not counts:
        return StepCount(step, None, None, counts)
    state = worst(counts)
    return StepCount(step, state, look_of(state, processing), counts)


def counted(calibrations: Sequence[Calibration], processing: ProcessingState) -> tuple[StepCount, ...]:
    """The steps of one processing whose calibrations are at hand."""
    counts: dict[Step, dict[State, int]] = {}
    for it in calibrations:
        of_step = counts.setdefault(it.step, {})
        of_step[it.state] = of_step.get(it.state, 0) + 1
    return step_counts(counts, processing)
