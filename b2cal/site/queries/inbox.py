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
from b2cal.model import Calibration, Processing, ProcessingState, PublishPolicy, State, now


class Task(StrEnum):
    """What is to be done, the most urgent kind first."""

    DECIDE = auto()
    REPAIR = auto()
    CHOOSE = auto()
    INPUTS = auto()
    KEEP = auto()
    PUBLISH = auto()
    SUBMIT = auto()


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
    """All that waits for this person, the most urgent first."""
    found = _tasks(db, username, is_manager=is_manager)
    return sorted((_item(view, it, task, at) for view, it, task in found), key=_urgency)


def n_waiting(db: Session, username: str, *, is_manager: bool) -> int:
    """How many there are."""
    return sum(1 for _ in _tasks(db, username, is_manager=is_manager))


def _tasks(
    db: Session, username: str, *, is_manager: bool
) -> Iterator[tuple[loop.ProcessingView, Calibration | None, Task]]:
    absent = loop.without_password(db)
    for processing_id in _concerned(db, username, is_manager=is_manager):
        view = loop.ProcessingView(db, processing_id)
        manages = is_manager and view.processing.manager == username
        for it in view.calibrations.values():
            task = _task_of_manager(view, it, absent) if manages else None
            if task is None and username in (it.expert, it.deputy):
                task = _task_of_expert(it)
            if task is not None:
                yield view, it, task
        if manages and _to_publish(view):
            yield view, None, Task.PUBLISH


def _concerned(db: Session, username: str, *, is_manager: bool) -> list[int]:
    """Processings that are going on and have something for this person."""
    query = select(Processing.id).where(Processing.state.in_(loop.GOING)).order_by(Processing.id)
    if not is_manager:
        hers = or_(Calibration.expert == username, Calibration.deputy == username)
        query = query.where(Processing.id.in_(select(Calibration.processing_id).where(hers)))
    return list(db.scalars(query))


def _task_of_manager(view: loop.ProcessingView, it: Calibration, absent: AbstractSet[str]) -> Task | None:
    match it.state:
        case State.REVIEW | State.FAILED if {it.expert, it.deputy} - {None} <= absent:
            return _task_of_expert(it)
        case State.OPEN if loop.lacks_selection(it):
            return Task.CHOOSE
        case State.SUBMITTED if loop.asks_for_inputs(view.processing, it, now(view.db)):
            return Task.INPUTS
        case State.SIGNED_OFF if view.standing(it.name).freshness is loop.Freshness.STALE:
            return Task.KEEP
    return None


def _task_of_expert(it: Calibration) -> Task | None:
    return {State.REVIEW: Task.DECIDE, State.FAILED: Task.REPAIR, State.OPEN: Task.SUBMIT}.get(it.state)


def _item(view: loop.ProcessingView, it: Calibration | None, task: Task, at: datetime) -> Item:
    if it is None:
        sentence = loop.Why("All calibrations are finished; publishing waits for you.")
        return Item(task, view.processing, None, sentence, (), None)
    waiting = tuple(other.name for other in view.after(it.name) if other.state is State.SUBMITTED)
    until = it.window_ends_at if task is Task.SUBMIT else None
    since = loop.inputs_asked_at(view.processing, it) if task is Task.INPUTS else it.since
    return Item(task, view.processing, it, loop.why(view, it, at), waiting, since, until)


def _to_publish(view: loop.ProcessingView) -> bool:
    it = view.processing
    return it.state is ProcessingState.COMPLETE and it.publish_policy is PublishPolicy.MANUAL


def _urgency(item: Item) -> tuple[int, int, float]:
    if item.task is Task.SUBMIT:
        return 1, 0, item.until.timestamp() if item.until is not None else 0.0
    return 0, -len(item.waiting), item.since.timestamp() if item.since is not None else 0.0
