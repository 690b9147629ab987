"""All that is due for one calibration, now. This is what the DAG tasks call; it may be repeated at any moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from b2cal.model import Calibration, Grade, State, now

from .actors import THE_LOOP
from .attempts import begin, frozen
from .errors import Conflict, InvalidChoice, InvalidConfig
from .inputs import lacks_selection
from .judging import judge_attempt
from .outages import give_back, gives_up_site_at, site_awaited_since
from .rejections import Rejections
from .results import bring_back
from .rules import FINISHED, GOING, OVER, Verb
from .transition import Act, say, transition
from .verbs import Choice, restart, sign_off, submit, withdraw
from .view import Freshness, ProcessingView
from .waiting import Lack, all_green, always_asks, lacking, obstacle, put_to_manager, restarts_itself
from .windows_and_reminders import asks_for_inputs, next_due, next_reminder, spoken
from .workplace import Workplace


@dataclass(frozen=True)
class Progress:
    """How something stands after all that was due has been done.

    Attributes:
        signal: raised with everything that can make something due; read before looking.
        next_due: when something becomes due by itself, if nothing raises the signal before.
        generation: of the processing; it goes up when something finished is reopened.
    """

    state: str
    finished: bool
    signal: int
    next_due: datetime | None
    generation: int


Step = Callable[[Workplace, str, str], bool]

_REJECTED = "the same configuration on the same inputs and constants was rejected"


def advance(workplace: Workplace, processing: str, calibration: str) -> Progress:
    """Do all that is due for a calibration, and say how it stands.

    Raises:
        NotFound: there is no such processing or calibration.
    """
    while True:
        with workplace.database.read() as db:
            view = ProcessingView.of(db, processing)
            it = view.calibration(calibration)
            progress = Progress(
                state=it.state.value,
                finished=it.state in FINISHED or view.processing.state in OVER,
                signal=it.signal,
                next_due=_next_due(view, it, workplace.settings.loop.reminders),
                generation=view.processing.generation,
            )
            step = _due(view, it)
        if step is None or not step(workplace, processing, calibration):
            return progress


def _next_due(view: ProcessingView, it: Calibration, reminders: Sequence[float]) -> datetime | None:
    planned = next_due(view.processing, it, reminders, now(view.db))
    waits_for_site = not view.processing.held and view.processing.state in GOING
    return planned or (gives_up_site_at(view.db, it) if waits_for_site else None)


def _due(view: ProcessingView, calibration: Calibration) -> Step | None:
    """The step that the state of a calibration calls for; a step tells whether it changed anything."""
    if view.processing.held or view.processing.state not in GOING or calibration.state in FINISHED:
        return None
    if restarts_itself(view, calibration):
        return _restart
    if view.standing(calibration.name).freshness is Freshness.IN_DOUBT and calibration.state is State.REVIEW:
        return None
    return _STEPS.get(calibration.state)


def _remind_or_submit(workplace: Workplace, processing: str, calibration: str) -> bool:
    def unit(db: Session) -> bool:
        view = ProcessingView.of(db, processing)
        it = view.calibration(calibration)
        if it.state is not State.OPEN or it.window_ends_at is None:
            return False
        if give_back(db, it):
            return True
        if now(db) >= it.window_ends_at:
            return site_awaited_since(db, it) is None and _submit_defaults(db, view, it)
        reminder_at = next_reminder(it, workplace.settings.loop.reminders)
        if reminder_at is None or now(db) < reminder_at:
            return False
        it.reminders_sent += 1
        left = spoken(it.window_ends_at - now(db))
        key = f"reminder:{it.id}:{it.window_ends_at.isoformat()}:{it.reminders_sent}"
        say(db, key, it, it.expert, _reminder(view, it, left))
        return True

    return workplace.database.write(unit)


def _reminder(view: ProcessingView, it: Calibration, left: str) -> str:
    if Rejections(view, it).hold_the_defaults():
        return f"Nothing is submitted unless you change something ({left} left): the defaults were rejected."
    return f"Submitted with the defaults in {left} unless you change something."


def _submit_defaults(db: Session, view: ProcessingView, it: Calibration) -> bool:
    """The automatic submission; where it must not be made the manager is asked, once."""
    problem = _no_automatic_submission(view, it)
    if not problem:
        savepoint = db.begin_nested()
        try:
            submit(db, it.id, Choice(), Act(THE_LOOP, it.version, "end of the window"))
        except (InvalidConfig, InvalidChoice) as error:
            savepoint.rollback()
            problem = str(error)
        else:
            savepoint.commit()
            return True
    if it.problem == problem:
        return False
    it.problem = problem
    say(db, f"asks:{it.id}:{it.version}", it, view.processing.manager, problem)
    return True


def _no_automatic_submission(view: ProcessingView, it: Calibration) -> str:
    if lacks_selection(it):
        return f"Not submitted: its script has no filters, so {view.processing.manager} must give a selection."
    if Rejections(view, it).hold_the_defaults():
        return f"Not submitted: {_REJECTED}; {it.expert} must change something."
    return ""


def _start(workplace: Workplace, processing: str, calibration: str) -> bool:
    """Runs are looked through before anybody has to wait to write; that holds until a signal tells of another state."""
    with workplace.database.read() as db:
        before = ProcessingView.of(db, processing)
        seen = before.calibration(calibration)
        if seen.state is not State.SUBMITTED or seen.submission is None:
            return False
        if obstacle(before, seen, now(db)) is None:
            lacking(before, seen)
        elif seen.incomplete_since is None:
            return False

    def unit(db: Session) -> bool:
        view = ProcessingView.of(db, processing)
        it = view.calibration(calibration)
        if it.signal != seen.signal:
            return True
        if it.state is not State.SUBMITTED or it.submission is None:
            return False
        view.inputs = before.inputs
        waited_for_inputs = it.incomplete_since is not None
        if obstacle(view, it, now(db)) is not None:
            it.incomplete_since = None
            return waited_for_inputs
        lack = lacking(view, it)
        if lack is not None:
            return _wait_for_inputs(db, view, it, lack)
        if Rejections(view, it).hold_automatic(it.submission):
            withdraw(db, it.id, Act(THE_LOOP, it.version, _REJECTED))  # open again, it asks
            return True
        with transition(db, it.id, Verb.START, Act(THE_LOOP, it.version)) as change:
            attempt = begin(view, it, it.submission)
            change.detail(attempt=attempt.number, **frozen(db, attempt))
        return True

    return workplace.database.write(unit)


def _wait_for_inputs(db: Session, view: ProcessingView, it: Calibration, lack: Lack) -> bool:
    """Only inputs are missing: note since when, and put it to the manager, once, when that has lasted too long."""
    if it.incomplete_since is None:
        it.incomplete_since = now(db)
        return True
    if asks_for_inputs(view.processing, it, now(db)):
        key = f"inputs:{it.id}:{it.incomplete_since.isoformat()}"
        say(db, key, it, view.processing.manager, put_to_manager(view, it, lack))
    return False


def _restart(workplace: Workplace, processing: str, calibration: str) -> bool:
    def unit(db: Session) -> bool:
        view = ProcessingView.of(db, processing)
        it = view.calibration(calibration)
        standing = view.standing(calibration)
        if standing.freshness is not Freshness.STALE or it.state in FINISHED:
            return False
        restart(db, it.id, Act(THE_LOOP, it.version, f"{standing.because} changed after it was read"))
        return True

    return workplace.database.write(unit)


def _sign_off_by_policy(workplace: Workplace, processing: str, calibration: str) -> bool:
    def unit(db: Session) -> bool:
        view = ProcessingView.of(db, processing)
        it = view.calibration(calibration)
        attempt = view.attempts.get(calibration)
        if it.state is not State.REVIEW or attempt is None or attempt.verdict is None:
            return False
        if attempt.verdict.grade is not Grade.PASS or always_asks(view.processing, it, attempt):
            return False
        sign_off(db, it.id, Act(THE_LOOP, it.version, all_green(attempt.verdict)))
        return True

    try:
        return workplace.database.write(unit)
    except Conflict:
        return False


_STEPS: dict[State, Step] = {
    State.OPEN: _remind_or_submit,
    State.SUBMITTED: _start,
    State.RUNNING: bring_back,
    State.VALIDATING: judge_attempt,
    State.REVIEW: _sign_off_by_policy,
}
