"""What happened when: decisions, and the times that they and the batch jobs tell."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.model import Attempt, Calibration, Decision, Job, JobGroup, Outcome, Processing, State
from b2cal.site.timeline import Batch, Share, Stay, shares

_REMEMBERED = 50


def decisions_of(db: Session, calibration_id: int) -> Sequence[Decision]:
    """All decisions on a calibration, the latest first."""
    query = select(Decision).where(Decision.calibration_id == calibration_id).order_by(Decision.id.desc())
    return db.scalars(query).all()


def last_of(db: Session, processing: Processing, verb: loop.ProcessingVerb) -> Decision | None:
    """The last decision with this verb on a processing as a whole."""
    query = select(Decision).where(Decision.processing_id == processing.id, Decision.verb == verb)
    return db.scalar(query.order_by(Decision.id.desc()).limit(1))


def time_spent(view: loop.ProcessingView, now: datetime) -> list[Share]:
    """Where the time of a processing went."""
    db, processing, until = view.db, view.processing, view.processing.ended_at or now
    before = {name: sorted(names) for name, names in view.directly_before.items()}
    return shares(_stays(db, view.calibrations, until), _batches(db, processing.id), before, until)


def durations(db: Session, names: Sequence[str]) -> dict[str, list[timedelta]]:
    """How long attempts of definitions of these names took lately in any processing, if they came to their end."""
    other_ends = (Outcome.REPLACED, Outcome.FAILED)
    rows = db.execute(
        select(Calibration.name, Attempt.started_at, Attempt.ended_at)
        .join(Calibration, Calibration.id == Attempt.calibration_id)
        .where(Calibration.name.in_(names), Attempt.ended_at.is_not(None), Attempt.outcome.not_in(other_ends))
        .order_by(Attempt.id.desc())
        .limit(_REMEMBERED * max(1, len(names)))
    )
    took: dict[str, list[timedelta]] = {}
    for name, started_at, ended_at in rows:
        if ended_at is not None:
            took.setdefault(name, []).append(ended_at - started_at)
    return took


def _stays(db: Session, calibrations: Mapping[str, Calibration], until: datetime) -> list[Stay]:
    names = {it.id: name for name, it in calibrations.items()}
    rows = db.execute(
        select(Decision.calibration_id, Decision.at, Decision.from_state, Decision.to_state)
        .where(Decision.calibration_id.in_(names))
        .order_by(Decision.id)
    ).all()
    begun = {it.id: it.window_started_at for it in calibrations.values()}
    stays = []
    changes: dict[int, list[tuple[datetime, str, str]]] = {}
    for calibration_id, at, before, after in rows:
        if before != after and calibration_id is not None:
            changes.setdefault(calibration_id, []).append((at, before, after))
    for calibration_id, name in names.items():
        own = changes.get(calibration_id, [])
        first = calibrations[name].processing.activated_at or begun[calibration_id]
        if first is None:
            continue
        begin, state = first, State(own[0][1]) if own else calibrations[name].state
        for at, _before, after in own:
            stays.append(Stay(name, state, begin, max(begin, at)))
            begin, state = at, State(after)
        stays.append(Stay(name, state, begin, max(begin, until)))
    return stays


def _batches(db: Session, processing_id: int) -> list[Batch]:
    rows = db.execute(
        select(
            Calibration.name,
            JobGroup.round,
            JobGroup.wanted_at,
            func.min(Job.started_at),
            JobGroup.ended_at,
        )
        .join(Attempt, Attempt.id == JobGroup.attempt_id)
        .join(Calibration, Calibration.id == Attempt.calibration_id)
        .join(Job, Job.group_id == JobGroup.id)
        .where(Calibration.processing_id == processing_id)
        .group_by(JobGroup.id)
    )
    return [Batch(*row) for row in rows]
