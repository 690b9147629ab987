"""What a person has to do: her calibrations that wait for somebody, and what only a manager can end.

The manager is also asked what an expert should decide who cannot log in.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.model import Calibration, Processing, State, now

from .publishing import Asked, asked_to_publish
from .views import view_of


class Task(StrEnum):
    """What is to be done, the most urgent kind first."""

    DECIDE = auto()
    REPAIR = auto()
    JOBS = auto()
    CHOOSE = auto()
    INPUTS = auto()
    EXPIRING = auto()
    KEEP = auto()
    UNSUBMITTED = auto()
    PUBLISH = auto()
    UNPUBLISHED = auto()
    SUBMIT = auto()


_ASKING = {State.REVIEW: Task.DECIDE, State.FAILED: Task.REPAIR, State.RUNNING: Task.JOBS}


@dataclass(frozen=True)
class Item:
    """One thing to do.

    Attributes:
        calibration: None where it is about the whole processing.
        why: from the loop.
        waiting: names of the calibrations that cannot go on before.
        since: when it began to wait for somebody.
        until: when it ends by itself; None: never.
    """

    task: Task
    processing: Processing
    calibration: Calibration | None
    why: loop.Why
    waiting: tuple[str, ...]
    since: datetime | None
    until: datetime | None = None


def inbox(db: Session, username: str, *, is_manager: bool, at: datetime) -> list[Item]:
    """All that waits for this person, the most urgent first.

    What waits for the manager of a processing who is none any more, or cannot log in, waits for every manager.
    """
    found = _tasks(db, username, is_manager=is_manager)
    return sorted((_item(view, it, task, at) for view, it, task in found), key=_urgency)


def n_waiting(db: Session, username: str, *, is_manager: bool) -> int:
    """How many there are."""
    return sum(1 for _ in _tasks(db, username, is_manager=is_manager))


def _tasks(
    db: Session, username: str, *, is_manager: bool
) -> Iterator[tuple[loop.ProcessingView, Calibration | Asked, Task]]:
    absent, managers, at = loop.without_password(db), loop.managers(db), now(db)
    for processing_id in _concerned(db, username, is_manager=is_manager):
        view = view_of(db, processing_id)
        manages = is_manager and (view.processing.manager == username or view.processing.manager not in managers)
        for it in view.calibrations.values():
            task = _task_of_manager(view, it, absent, at) if manages else None
            if task is None and username in (it.expert, it.deputy):
                task = _task_of_expert(view, it, at)
            if task is not None:
                yield view, it, task
        asked = asked_to_publish(view) if manages else None
        if asked is not None:
            yield view, asked, Task.UNPUBLISHED if asked.refused else Task.PUBLISH
        expiring = loop.expiring(view, at) if manages else None
        if expiring is not None:
            yield view, Asked(expiring.told(at), refused=False), Task.EXPIRING


def n_to_decide(view: loop.ProcessingView, at: datetime) -> int:
    """How many calibrations of a processing do not go on before somebody decides, whoever that is."""
    return sum(loop.asks_somebody(view, it, at) for it in view.calibrations.values())


def _concerned(db: Session, username: str, *, is_manager: bool) -> list[int]:
    """Processings that are going on and have something for this person."""
    query = select(Processing.id).where(Processing.state.in_(loop.GOING)).order_by(Processing.id)
    if not is_manager:
        hers = or_(Calibration.expert == username, Calibration.deputy == username)
        query = query.where(Processing.id.in_(select(Calibration.processing_id).where(hers)))
    return list(db.scalars(query))


def _task_of_manager(view: loop.ProcessingView, it: Calibration, absent: AbstractSet[str], at: datetime) -> Task | None:
    match it.state:
        case State.REVIEW | State.FAILED | State.RUNNING if (
            it.name in view.asking or {it.expert, it.deputy} - {None} <= absent
        ):
            return _task_of_expert(view, it, at)
        case State.OPEN if loop.lacks_selection(it):
            return Task.CHOOSE
        case State.OPEN if loop.asks_to_be_submitted(it, at):
            return Task.UNSUBMITTED
        case State.SUBMITTED if loop.asks_for_inputs(view.processing, it, at):
            return Task.INPUTS
        case State.SIGNED_OFF if view.standing(it.name).freshness is loop.Freshness.STALE:
            return Task.KEEP
    return None


def _task_of_expert(view: loop.ProcessingView, it: Calibration, at: datetime) -> Task | None:
    if loop.asks_to_be_submitted(it, at):
        return Task.UNSUBMITTED
    if it.state is State.OPEN:
        return Task.SUBMIT
    if it.state in _ASKING and loop.asks_somebody(view, it, at):
        return _ASKING[it.state]
    return None


def _item(view: loop.ProcessingView, it: Calibration | Asked, task: Task, at: datetime) -> Item:
    if isinstance(it, Asked):
        return Item(task, view.processing, None, loop.Why(it.sentence), (), None)
    waiting = tuple(other.name for other in view.after(it.name) if other.state is State.SUBMITTED)
    ends_at = it.window_ends_at if task is Task.SUBMIT else None
    until = ends_at if ends_at is not None and ends_at > at else None
    return Item(task, view.processing, it, loop.why(view, it, at), waiting, _since(view, it, task), until)


def _since(view: loop.ProcessingView, it: Calibration, task: Task) -> datetime | None:
    if task is Task.INPUTS:
        return loop.inputs_asked_at(view.processing, it)
    if task is Task.JOBS:
        return view.asking[it.name]
    return it.window_ends_at if task is Task.UNSUBMITTED else it.since


def _urgency(item: Item) -> tuple[int, int, float]:
    if item.task is Task.SUBMIT:
        return 1, 0, item.until.timestamp() if item.until is not None else 0.0
    return 0, -len(item.waiting), item.since.timestamp() if item.since is not None else 0.0
