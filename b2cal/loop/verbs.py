"""What people do to a calibration. Each verb is one transaction of the caller; pages, API and CLI call these."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from b2cal.conditions import tag_named
from b2cal.core.errors import listed
from b2cal.core.iov import IoV
from b2cal.data import selection_problems
from b2cal.model import Attempt, Calibration, GroupState, JobGroup, Kind, Role, State, Submission
from b2cal.releases import config_problems

from .attempts import begin_by_hand, live_attempt
from .by_hand import ByHand, entries_of_tag
from .calendar import after
from .defaults import default_config
from .errors import Conflict, InvalidChoice, InvalidConfig
from .expiry import of_expiry
from .inputs import inputs_of, lacks_selection, selection_by_default
from .named import person_named
from .obstacles import refuse_by_freshness
from .outages import give_back, site_awaited_since
from .rules import Verb
from .transition import Act, Transition, raise_signals, refuse_early, transition
from .view import Freshness, ProcessingView
from .windows_and_reminders import open_window

MOST_HOURS = 24 * 365
"""By how much a window is extended at once."""


@dataclass(frozen=True)
class Choice:
    """What an expert submits: changes on top of the default configuration, and a selection (None: the default)."""

    changes: dict[str, Any] = field(default_factory=dict)
    selection: dict[str, Any] | None = None


def submit(db: Session, calibration_id: int, choice: Choice, act: Act) -> Submission:
    """Fix configuration and input selection of a calibration; it starts as soon as it may.

    Raises:
        Conflict, NotAllowed: as in `transition`; nothing was written.
        InvalidConfig: the configuration breaks the schema.
        InvalidChoice: there is no selection, or one that the vocabulary does not know.
    """
    with transition(db, calibration_id, Verb.SUBMIT, act) as it:
        submission = Submission(
            calibration_id=calibration_id,
            number=_next_number(db, Submission, calibration_id),
            live=True,
            config=_checked_config(it.calibration, choice.changes),
            selection=_checked_selection(it.calibration, choice.selection),
            submitted_by=act.by.username,
            automatic=act.by.role is Role.LOOP,
            submitted_at=it.at,
            comment=act.reason,
        )
        _drop_live(db, Submission, calibration_id)
        db.add(submission)
        it.calibration.problem = ""
        carried = {key: of["of"] for key, of in it.calibration.carried_over.items() if key not in choice.changes}
        it.detail(changes=choice.changes, submission=submission.number)
        if submission.selection not in ({}, selection_by_default(it.calibration)):
            it.detail(selection=submission.selection)
        if carried:
            it.detail(carried_over=carried)
        return submission


def withdraw(db: Session, calibration_id: int, act: Act) -> None:
    """Take a submission back: people before the window ends, b2cal when it had submitted what was rejected before.

    Raises:
        Conflict: besides those of `transition`: the window is over.
    """
    with transition(db, calibration_id, Verb.WITHDRAW, act) as it:
        it.calibration.accept_incomplete = False
        ends_at = it.calibration.window_ends_at
        if act.by.role is not Role.LOOP and (ends_at is None or ends_at <= it.at):
            raise Conflict(
                f"The window of {it.calibration.name} is over.", hint="Restart or reject it instead, when it has run."
            )
        _drop_live(db, Submission, calibration_id)


def sign_off(db: Session, calibration_id: int, act: Act) -> None:
    """Accept the constants of the live attempt.

    Raises:
        Conflict: besides those of `transition`: what it read is in doubt or stale.
    """
    calibration = refuse_early(db, calibration_id, Verb.SIGN_OFF, act)
    refuse_by_freshness(ProcessingView(db, calibration.processing_id), calibration.name, Verb.SIGN_OFF)
    with transition(db, calibration_id, Verb.SIGN_OFF, act):
        pass


def reject(db: Session, calibration_id: int, act: Act) -> None:
    """Send a calibration back to its expert, with a new window."""
    with transition(db, calibration_id, Verb.REJECT, act) as it:
        attempt = _end_attempt(it)
        if attempt is not None:
            attempt.rejected = True
        _drop_live(db, Submission, calibration_id)
        _reopen(it)
        it.tell(it.calibration.expert, f"Rejected by {act.by.username}: {act.reason}. It is open again.")


def replace(db: Session, calibration_id: int, made: ByHand, act: Act) -> Attempt:
    """Put payloads made by hand in the place of what the calibration made; they are judged like any others.

    Raises:
        Conflict: besides those of `transition`: a calibration upstream is unfinished.
    """
    calibration = refuse_early(db, calibration_id, Verb.REPLACE, act)
    view = ProcessingView(db, calibration.processing_id)
    refuse_by_freshness(view, calibration.name, Verb.REPLACE)
    sums_hold = view.standing(calibration.name).freshness is Freshness.FRESH
    with transition(db, calibration_id, Verb.REPLACE, act) as it:
        before = _end_attempt(it)
        assert before is not None, "what failed or was judged has an attempt"
        attempt = begin_by_hand(view, before, made, it.at, sums_hold=sums_hold)
        it.calibration.problem = ""
        it.calibration.kept_reads = None
        it.detail(attempt=attempt.number, instead_of=before.number, origin=made.origin, payloads=made.contents)
        if act.by.username != it.calibration.expert:
            it.tell(it.calibration.expert, f"Replaced by hand by {act.by.username}: {act.reason}")
        return attempt


def restart(db: Session, calibration_id: int, act: Act) -> None:
    """Run the same submission again.

    Raises:
        Conflict: besides those of `transition`: its inputs have expired. What b2cal does again by itself, because what
            it has made holds no longer, waits for them.
    """
    calibration = refuse_early(db, calibration_id, Verb.RESTART, act)
    if act.by.role is not Role.LOOP:
        refusal = of_expiry(ProcessingView(db, calibration.processing_id), calibration, Verb.RESTART)
        if refusal is not None:
            raise refusal
    with transition(db, calibration_id, Verb.RESTART, act) as it:
        _end_attempt(it)
        it.calibration.problem = ""
        it.calibration.kept_reads = None


def veto(db: Session, calibration_id: int, act: Act, fallback_tag: str | None = None) -> None:
    """Leave a calibration out. Its jobs are cancelled; constants of `fallback_tag`, else those of the base, stand in.

    Raises:
        UnknownTag: there is no such tag.
        InvalidChoice: it lacks some of the payloads, or some of the runs.
    """
    tag_id = _checked_fallback(db, calibration_id, fallback_tag) if fallback_tag else None
    with transition(db, calibration_id, Verb.VETO, act) as it:
        _end_attempt(it)
        it.calibration.fallback_tag_id = tag_id
        it.detail(fallback_tag=fallback_tag)


def _checked_fallback(db: Session, calibration_id: int, name: str) -> int:
    """The tag, if it has what the calibration would have made, for all its runs."""
    tag = tag_named(db, name)
    calibration = db.get_one(Calibration, calibration_id)
    _, problems = entries_of_tag(ProcessingView(db, calibration.processing_id), calibration, tag.id)
    if problems:
        raise InvalidChoice(
            f"The tag {name} cannot stand in for {calibration.name}: {listed(problems)}.",
            hint="Choose another fallback, or none: then the constants of the base stay valid.",
        )
    return tag.id


def lift(db: Session, calibration_id: int, act: Act) -> None:
    """Take a veto back; the calibration is open again, with a new window."""
    with transition(db, calibration_id, Verb.LIFT, act) as it:
        it.calibration.fallback_tag_id = None
        _drop_live(db, Submission, calibration_id)
        _reopen(it)


def keep(db: Session, calibration_id: int, act: Act) -> None:
    """Keep signed-off constants although something that they read has changed.

    Raises:
        Conflict: besides those of `transition`: nothing has changed, or it is in doubt and may become stale yet.
    """
    with transition(db, calibration_id, Verb.KEEP, act) as it:
        view, name = ProcessingView(db, it.calibration.processing_id), it.calibration.name
        refuse_by_freshness(view, name, Verb.KEEP)
        it.calibration.kept_reads = view.reads_digest(name)
        raise_signals(db, it.calibration.processing_id)


def go_on(db: Session, calibration_id: int, act: Act) -> None:
    """Start with the inputs that are there; when more should be missing later, at a restart, it is asked again."""
    with transition(db, calibration_id, Verb.GO_ON, act) as it:
        assert it.calibration.submission is not None, "a submitted calibration has a submission"
        view = ProcessingView(db, it.calibration.processing_id)
        it.detail(shortage=inputs_of(view, it.calibration, it.calibration.submission.selection).shortage)
        it.calibration.accept_incomplete = True
        it.calibration.incomplete_since = None


def select_data(db: Session, calibration_id: int, selection: dict[str, Any], act: Act) -> None:
    """Give a selection to a calibration whose script has no filters."""
    with transition(db, calibration_id, Verb.SELECT, act) as it:
        it.calibration.selection = _checked_selection(it.calibration, selection)
        it.calibration.problem = ""


def reassign(db: Session, calibration_id: int, expert: str, act: Act) -> None:
    """Make somebody else responsible.

    Raises:
        NotFound: nobody is known by that name.
    """
    person_named(db, expert)
    with transition(db, calibration_id, Verb.REASSIGN, act) as it:
        it.detail(expert=[it.calibration.expert, expert])
        it.calibration.expert = expert
        if it.calibration.deputy == expert:
            it.detail(deputy=[expert, None])
            it.calibration.deputy = None
        it.tell(expert, f"{act.by.username} made you responsible.")


def name_deputy(db: Session, calibration_id: int, deputy: str | None, act: Act) -> None:
    """Let somebody act for the expert, or nobody any more (None).

    Raises:
        NotFound: nobody is known by that name.
        InvalidChoice: it is the expert, or stands like that already.
    """
    if deputy is not None:
        person_named(db, deputy)
    with transition(db, calibration_id, Verb.NAME_DEPUTY, act) as it:
        calibration, before = it.calibration, it.calibration.deputy
        if deputy is None and before is None:
            raise InvalidChoice(f"{calibration.name} has no deputy.", hint="There is nothing to take away.")
        if deputy in (before, calibration.expert):
            raise InvalidChoice(
                f"{deputy} is the {'expert' if deputy == calibration.expert else 'deputy'} of"
                f" {calibration.name} already.",
                hint="Name somebody else.",
            )
        it.detail(deputy=[before, deputy])
        calibration.deputy = deputy
        if before is not None:
            it.tell(before, f"You are no longer the deputy of {calibration.expert}, says {act.by.username}.")
        if deputy is not None:
            it.tell(deputy, f"{act.by.username} made you the deputy of {calibration.expert}: you may act as well.")
        if calibration.expert not in (act.by.username, before, deputy):
            it.tell(calibration.expert, f"{act.by.username} made {deputy or 'nobody'} your deputy.")


def extend(db: Session, calibration_id: int, hours: float, act: Act) -> None:
    """Let the window of an open calibration end `hours` later; where it is over, one of `hours` begins."""
    if not 0 < hours <= MOST_HOURS:
        raise InvalidChoice(
            f"A window cannot be extended by {hours:g} h.", hint=f"Give more than 0 h, and at most {MOST_HOURS:,} h."
        )
    with transition(db, calibration_id, Verb.EXTEND, act) as it:
        while give_back(db, it.calibration):
            pass  # first what the site's outages took from it
        ends_at, blocked = it.calibration.window_ends_at, it.calibration.processing.blocked_days
        if ends_at is None or (ends_at <= it.at and site_awaited_since(db, it.calibration) is None):
            ends_at = open_window(it.calibration, it.at, hours * 3600, blocked)
        else:
            it.calibration.window_ends_at = ends_at = after(ends_at, timedelta(hours=hours), blocked)
        it.calibration.problem = ""
        it.detail(window_ends_at=ends_at.isoformat())


def consequences(view: ProcessingView, name: str) -> list[str]:
    """What would be put in doubt if `name` were opened or done again: attempts downstream that have begun."""
    return in_doubt_with(view, [name])


def in_doubt_with(view: ProcessingView, names: Collection[str]) -> list[str]:
    """The same for several at once; they themselves do not count."""
    begun = (State.RUNNING, State.VALIDATING, State.REVIEW, State.SIGNED_OFF, State.FAILED)
    others = {other.name: other for name in names for other in view.downstream(name) if other.name not in names}
    return [f"{other.name} ({other.state.word})" for other in others.values() if other.state in begun]


def _reopen(it: Transition) -> None:
    calibration = it.calibration
    open_window(calibration, it.at, calibration.processing.reject_window_s, calibration.processing.blocked_days)
    calibration.problem = ""
    calibration.kept_reads = None
    calibration.accept_incomplete = False


def _end_attempt(it: Transition) -> Attempt | None:
    """The live attempt lives no longer; the agent cancels the jobs that are left."""
    attempt = live_attempt(it.db, it.calibration.id)
    if attempt is None:
        return None
    attempt.live = None
    attempt.ended_at = attempt.ended_at or it.at
    left = it.db.scalar(
        select(func.count(JobGroup.id)).where(
            JobGroup.attempt_id == attempt.id, JobGroup.state.in_([GroupState.WANTED, GroupState.SUBMITTED])
        )
    )
    it.detail(attempt=attempt.number, groups_cancelled=left)
    it.db.flush()
    return attempt


def _drop_live(db: Session, kind: type[Submission] | type[Attempt], calibration_id: int) -> None:
    db.execute(update(kind).where(kind.calibration_id == calibration_id, kind.live.is_(True)).values(live=None))


def _next_number(db: Session, kind: type[Submission] | type[Attempt], calibration_id: int) -> int:
    latest = db.scalar(select(func.max(kind.number)).where(kind.calibration_id == calibration_id))
    return (latest or 0) + 1


def _checked_config(calibration: Calibration, changes: dict[str, Any]) -> dict[str, Any]:
    config = {**default_config(calibration), **changes}
    problems = config_problems(calibration.definition, config)
    if problems:
        raise InvalidConfig(problems)
    return config


def _checked_selection(calibration: Calibration, selection: dict[str, Any] | None) -> dict[str, Any]:
    definition = calibration.definition
    chosen: dict[str, Any] = _with_filters(selection_by_default(calibration), selection)
    if selection is None and lacks_selection(calibration):
        raise InvalidChoice(
            f"{calibration.name} has no selection of data: its script gives no filters.",
            hint="The manager gives one; an expert may give one with the submission.",
        )
    if calibration.kind is Kind.COPY:
        return {}
    processing = calibration.processing
    within = IoV.from_numbers(processing.run_first, processing.run_last)
    problems = selection_problems(processing.release.vocabulary, definition.settings, chosen, within)
    if problems:
        raise InvalidChoice(f"The selection cannot be used: {listed(problems)}.", hint="Correct it and submit again.")
    return chosen


def _with_filters(default: dict[str, Any], selection: Any) -> Any:
    """What somebody chose. Who chose nothing has the default; who gave no filters has those of the default."""
    if selection is None or selection == {}:
        return default
    return {"filters": default["filters"], **selection} if isinstance(selection, dict) else selection
