"""May it start? Why does it wait? The same answer for the scheduler and for people."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from b2cal.data import Completeness
from b2cal.model import (
    Attempt,
    Calibration,
    GlobalTag,
    Grade,
    Kind,
    NoVerdictPolicy,
    Outcome,
    Processing,
    SignOffPolicy,
    StartPolicy,
    State,
    Verdict,
    now,
    stage_in_words,
)
from b2cal.validation import judged

from .expiry import expired
from .inputs import accepted, inputs_of, lacks_selection
from .jobs import HELD_THERE, StageJobs, next_try, stages_of
from .outages import site_awaited_since
from .rejections import Rejections, last_rejection, rejected_by
from .rules import FINISHED, GOING
from .view import Freshness, ProcessingView
from .windows_and_reminders import asks_for_inputs, spoken


@dataclass(frozen=True)
class Why:
    """One sentence that says what a calibration waits for, and the calibration to look at, if another one decides.

    `incident` is the number of the one for whose end its jobs wait.
    """

    sentence: str
    calibration: str | None = None
    incident: int | None = None


@dataclass(frozen=True)
class Lack:
    """What is not there of the inputs, in a sentence; and whether it can go on without if the manager says so."""

    sentence: str
    dispensable: bool = False


def obstacle(view: ProcessingView, calibration: Calibration, at: datetime) -> Why | None:
    """What keeps a submitted calibration from starting now, its inputs aside."""
    if view.processing.held:
        return Why(f"{view.processing.name} is held: nothing new starts.")
    if (
        view.processing.start_policy is StartPolicy.DEADLINE
        and calibration.window_ends_at is not None
        and at < calibration.window_ends_at
    ):
        return Why(f"Starts at the end of the window, in {spoken(calibration.window_ends_at - at)}.")
    for other in view.before(calibration.name):
        if not view.settled(other.name):
            return _waits_for(view, other)
    return None


def _waits_for(view: ProcessingView, upstream: Calibration) -> Why:
    if upstream.state is State.SIGNED_OFF:
        standing = view.standing(upstream.name)
        return Why(
            f"Waits for {upstream.name}, which is {standing.freshness} because of {standing.because}.", upstream.name
        )
    todo = {
        State.OPEN: f"to be submitted ({upstream.expert})",
        State.REVIEW: f"to be signed off ({upstream.expert})",
        State.FAILED: f"which failed ({upstream.expert} decides)",
    }.get(upstream.state, f"which is {upstream.state.word}")
    return Why(f"Waits for {upstream.name} {todo}.", upstream.name)


def lacking(view: ProcessingView, calibration: Calibration) -> Lack | None:
    """What a submitted calibration lacks of its inputs; None: with no obstacle either, it may start."""
    if calibration.kind is Kind.COPY:
        return _lacking_source(view, calibration)
    assert calibration.submission is not None, "a submitted calibration has a submission"
    inputs = inputs_of(view, calibration, calibration.submission.selection)
    if not inputs.files:
        return Lack("No file of its inputs has arrived: it never starts on nothing.")
    if says := expired(inputs, now(view.db)):
        return Lack(says)
    if inputs.completeness is Completeness.COMPLETE or accepted(view, calibration, inputs):
        return None
    return Lack(f"Waits for its inputs. {inputs}", dispensable=True)


def _lacking_source(view: ProcessingView, calibration: Calibration) -> Lack | None:
    assert calibration.submission is not None, "a submitted calibration has a submission"
    config = calibration.submission.config
    if config.get("unchanged"):
        return None
    name = config.get("source_tag", "")
    if view.db.scalar(select(GlobalTag.id).where(GlobalTag.name == name)) is None:
        return Lack(f"The tag {name!r} that it copies from does not exist yet.")
    return None


def put_to_manager(view: ProcessingView, calibration: Calibration, lack: Lack) -> str:
    """What the manager is asked when inputs have been incomplete for too long."""
    since = calibration.incomplete_since
    assert since is not None, "it is asked because of the time that has passed since"
    way_out = "Go on" if lack.dispensable else "Veto"
    return (
        f"{lack.sentence} That has been so since {since.day} {since:%b, %H:%M} UTC:"
        f' {view.processing.manager} decides with "{way_out}", else it waits on.'
    )


def always_asks(processing: Processing, calibration: Calibration, attempt: Attempt) -> str:
    """Why a green verdict does not sign off by itself; empty where it does."""
    if processing.sign_off_policy is SignOffPolicy.MANUAL:
        return "this processing always asks"
    has_constants = attempt.outcome in (Outcome.CONSTANTS, Outcome.REPLACED) and calibration.kind is Kind.CALIBRATE
    generic_only = attempt.verdict is not None and attempt.verdict.generic_only
    if generic_only and has_constants and processing.no_verdict_policy is NoVerdictPolicy.ASK:
        return "the script gives no verdict"
    return ""


def why(view: ProcessingView, calibration: Calibration, at: datetime) -> Why:
    """What this calibration waits for, in one sentence."""
    if view.processing.state not in GOING:
        return _when_over(view, calibration, at)
    standing = view.standing(calibration.name)
    if standing.freshness is Freshness.STALE and calibration.state is State.SIGNED_OFF:
        return Why(
            f"Stale: {standing.because} changed after it was read. The manager restarts or keeps it.", standing.because
        )
    if standing.freshness is Freshness.STALE and _is_by_hand(view, calibration):
        return Why(
            f"Stale: {standing.because} changed after it was replaced by hand."
            f" {calibration.expert} replaces it again, restarts or rejects it.",
            standing.because,
        )
    sentence = _SENTENCES[calibration.state](view, calibration, at)
    if view.processing.held and calibration.state not in FINISHED:
        return _held(view, calibration, sentence)
    return _as_it_stands(view, calibration, sentence)


def _as_it_stands(view: ProcessingView, calibration: Calibration, otherwise: Why) -> Why:
    """What it waits for because of what it has read; else what it waits for otherwise."""
    because = view.standing(calibration.name).because
    if restarts_itself(view, calibration):
        return Why(f"Stale: {because} changed after it was read. It is done again {_when_due(view)}.", because)
    if view.standing(calibration.name).freshness is not Freshness.IN_DOUBT:
        return otherwise
    waits = signs_itself_off(view, calibration)
    says = "Waits until it is known whether what it has read holds." if waits else otherwise.sentence
    return Why(f"{says} In doubt: {because} is being done again.", because, otherwise.incident)


def restarts_itself(view: ProcessingView, calibration: Calibration) -> bool:
    """Whether it is done again without a person, because it stands on what has been replaced."""
    if calibration.state in FINISHED or _is_by_hand(view, calibration):
        return False  # what a person brought is not thrown away by itself
    return view.standing(calibration.name).freshness is Freshness.STALE


def signs_itself_off(view: ProcessingView, calibration: Calibration) -> bool:
    """Whether it is signed off without a person: everything is green, and the policy asks nobody."""
    attempt = view.attempts.get(calibration.name)
    if calibration.state is not State.REVIEW or attempt is None or attempt.verdict is None:
        return False
    return attempt.verdict.grade is Grade.PASS and not always_asks(view.processing, calibration, attempt)


def _when_over(view: ProcessingView, calibration: Calibration, at: datetime) -> Why:
    """Nothing is done again any more, so nothing is in doubt or asked of anybody."""
    if calibration.state in FINISHED:
        return _finished(view, calibration, at)
    return Why(f"{view.processing.name} is {view.processing.state.value}.")


def _when_due(view: ProcessingView) -> str:
    """When happens what b2cal does as soon as it is due; the end of a sentence."""
    return "now" if view.goes_on_by_itself else "when b2cal runs again (`b2cal up`)"


def _held(view: ProcessingView, calibration: Calibration, otherwise: Why) -> Why:
    """Nothing goes on by itself; what a person may decide is said all the same."""
    held = f"{view.processing.name} is held: nothing goes on by itself until {view.processing.manager} releases it."
    ended = calibration.state in (State.FAILED, State.REVIEW) and not signs_itself_off(view, calibration)
    asks = ended or calibration.name in view.asking
    return Why(f"{otherwise.sentence} {held}", otherwise.calibration) if asks else Why(held)


def _is_by_hand(view: ProcessingView, calibration: Calibration) -> bool:
    attempt = view.attempts.get(calibration.name)
    return attempt is not None and attempt.outcome is Outcome.REPLACED


def _open(view: ProcessingView, calibration: Calibration, at: datetime) -> Why:
    rejection = last_rejection(view, calibration)
    told = f"{rejected_by(rejection)} " if rejection is not None else ""
    return Why(f"{told}{_what_comes(view, calibration, at)}")


def _what_comes(view: ProcessingView, calibration: Calibration, at: datetime) -> str:
    """How it goes on with an open calibration if nobody does anything."""
    if calibration.window_ends_at is None or calibration.window_ends_at <= at:
        return calibration.problem or _at_the_end(view, calibration, at)
    left = spoken(calibration.window_ends_at - at)
    if lacks_selection(calibration):
        return f"Has no selection of data: {view.processing.manager} gives one ({left} left)."
    if Rejections(view, calibration).hold_the_defaults():
        expert = calibration.expert
        return f"Nothing is submitted unless {expert} changes something ({left} left): the defaults were rejected."
    return f"Submitted with the defaults in {left} unless {calibration.expert} changes something."


def _at_the_end(view: ProcessingView, calibration: Calibration, at: datetime) -> str:
    away_since = site_awaited_since(view.db, calibration)
    if away_since is None:
        return f"The window is over: it is submitted {_when_due(view)}."
    return f"The window is over, but nobody could reach the site for {spoken(at - away_since)}: it waits for the site."


def _submitted(view: ProcessingView, calibration: Calibration, at: datetime) -> Why:
    before = obstacle(view, calibration, at)
    if before is not None:
        return before
    lack = lacking(view, calibration)
    if lack is None:
        return Why(f"Starts {_when_due(view)}.")
    asks = asks_for_inputs(view.processing, calibration, at)
    return Why(put_to_manager(view, calibration, lack) if asks else lack.sentence)


def _running(view: ProcessingView, calibration: Calibration, at: datetime) -> Why:
    attempt = view.attempts.get(calibration.name)
    stages = stages_of(view.db, [attempt.id]) if attempt is not None else []
    it = next((stage for stage in stages if stage.goes_on), None)
    if it is None:
        return Why(f"The next step begins {_when_due(view)}.")
    done = f"Runs: {stage_in_words(it.stage, it.iteration)}, {it.jobs.done} of {it.jobs.total} jobs done"
    if it.asks:
        jobs = f"{it.asks:,} job{'' if it.asks == 1 else 's'} failed"
        return Why(f"{done}; {jobs}. {it.hindrance.rstrip('.')}. {calibration.expert} or the manager decides.")
    if not view.goes_on_by_itself:
        return Why(f"{done}. It goes on {_when_due(view)}.")
    return _under_way(view, it, done, at)


def _under_way(view: ProcessingView, it: StageJobs, done: str, at: datetime) -> Why:
    """How the jobs of a stage go on that nobody has to look after."""
    if it.slow:
        done = f"{done}; {'1 job runs' if it.slow == 1 else f'{it.slow:,} jobs run'} far longer than the others needed"
    if it.hindrance:
        return Why(f"{done}. {it.hindrance.rstrip('.')}.", incident=it.incident)
    n_stopped, said = it.stopped
    if n_stopped:
        jobs = "1 job is" if n_stopped == 1 else f"{n_stopped:,} jobs are"
        return Why(f"{done}; {jobs} held at {view.processing.centre}: {said.rstrip('.')}. {HELD_THERE}")
    later = next_try([it], at)
    if later is None:
        return Why(f"{done}.")
    jobs = "1 job is" if later.n_jobs == 1 else f"{later.n_jobs} jobs are"
    return Why(f"{done}; {jobs} tried again at {later.at:%H:%M} UTC.")


def _review(view: ProcessingView, calibration: Calibration, _at: datetime) -> Why:
    attempt = view.attempts.get(calibration.name)
    verdict = attempt.verdict if attempt else None
    if attempt is None or verdict is None:
        return Why(f"{calibration.expert} decides.")
    worst = next((check for check in verdict.checks if check["grade"] == verdict.grade.value), None)
    if verdict.grade is Grade.PASS:
        reason = always_asks(view.processing, calibration, attempt)
        decides = f"{calibration.expert} decides, {reason}" if reason else f"it is signed off {_when_due(view)}"
        green = all_green(verdict)
        return Why(f"{green[0].upper()}{green[1:]}; {decides}.")
    where = f" ({worst['where']})" if worst and worst["where"] else ""
    return Why(f"{worst['name'] if worst else 'A check'} is beyond its limit{where}; {calibration.expert} decides.")


def _finished(view: ProcessingView, calibration: Calibration, _at: datetime) -> Why:
    attempt = view.attempts.get(calibration.name)
    if calibration.state is State.VETOED:
        fallback = calibration.fallback_tag
        return Why(
            f"Vetoed; {f'constants of {fallback.name} are used' if fallback else 'earlier constants stay valid'}."
        )
    if attempt is None or attempt.verdict is None:
        return Why("Done.")
    outcome = attempt.message or {"constants": "New constants", "files": "Files registered"}.get(
        attempt.outcome.value if attempt.outcome else "", "Nothing to publish"
    )
    if attempt.verdict.grade is Grade.PASS:
        return Why(f"{outcome.rstrip('.')}; {all_green(attempt.verdict)}.")
    checks = judged(attempt.verdict.checks)
    n_beyond = sum(check["grade"] != Grade.PASS for check in checks)
    return Why(f"{outcome.rstrip('.')}; {n_beyond} of {len(checks)} checks beyond the limit, signed off all the same.")


def all_green(verdict: Verdict) -> str:
    """What a verdict without anomalies says: `12 checks green`."""
    n_checks = len(judged(verdict.checks))
    return f"{n_checks} check{'' if n_checks == 1 else 's'} green" if n_checks else "nothing to check"


_SENTENCES = {
    State.OPEN: _open,
    State.SUBMITTED: _submitted,
    State.RUNNING: _running,
    State.VALIDATING: lambda view, *_: Why(f"The new constants are judged {_when_due(view)}."),
    State.REVIEW: _review,
    State.FAILED: lambda _view, calibration, _at: Why(
        f"Failed: {calibration.problem.rstrip('.')}. {calibration.expert} decides."
    ),
    State.SIGNED_OFF: _finished,
    State.VETOED: _finished,
}
