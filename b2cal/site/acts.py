"""What people do on the pages: from a form to a verb of `loop`. No rule stands here; each entry is a call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from b2cal import loop
from b2cal.core.checksums import digest
from b2cal.core.errors import B2calError
from b2cal.loop import Act, ProcessingVerb, Verb
from b2cal.model import Calibration, State

from .typed import listed

Form = Mapping[str, str]

DIRECT = frozenset({Verb.SUBMIT, Verb.SIGN_OFF, Verb.WITHDRAW})
"""Verbs that need no form of their own: one click, with a reason beside it for who likes to give one."""

CONSEQUENCES = frozenset({Verb.REJECT, Verb.REPLACE, Verb.RESTART, Verb.VETO, Verb.LIFT})
"""Verbs that may put others in doubt: those are listed before."""


@dataclass(frozen=True)
class Wording:
    """What the form of a verb says: what will happen, and of what is told afterwards."""

    effect: str
    done: str
    is_grave: bool = False


WORDING = {
    Verb.WITHDRAW: Wording("The submission is taken back; the calibration is open again.", "is open again"),
    Verb.SIGN_OFF: Wording("Its constants are accepted; what waits for them starts.", "is signed off"),
    Verb.REJECT: Wording(
        "It goes back to its expert with a new window; the attempt does not count any more.",
        "was rejected",
        is_grave=True,
    ),
    Verb.REPLACE: Wording(
        "Payloads made by hand take the place of what it made; they are judged like any others.",
        "is replaced and will be judged",
        is_grave=True,
    ),
    Verb.RESTART: Wording("The same submission is run again on what its inputs are now.", "starts again"),
    Verb.VETO: Wording(
        "It is left out: its jobs are cancelled, and others go on with the constants that stand in for it.",
        "is vetoed",
        is_grave=True,
    ),
    Verb.LIFT: Wording("It takes part again: open, with a new window.", "is open again"),
    Verb.KEEP: Wording("Its constants stay although something that they were made from has changed.", "is kept"),
    Verb.GO_ON: Wording("It starts with the inputs that are there.", "goes on"),
    Verb.SELECT: Wording(
        "It is submitted with this selection of data unless its expert gives another.", "has a selection"
    ),
    Verb.REASSIGN: Wording("Somebody else is responsible from now on, and is told.", "is reassigned"),
    Verb.NAME_DEPUTY: Wording(
        "Somebody may act for the expert from now on, who stays responsible. Only constants made by hand and the naming"
        " of a deputy remain the expert's.",
        "has another deputy",
    ),
    Verb.EXTEND: Wording("It may be changed and submitted for longer.", "may wait longer"),
    Verb.CANCEL_JOBS: Wording(
        "Its jobs are cancelled, and it has failed. What is done is kept: somebody decides whether only the others are"
        " done again, or all.",
        "has failed: its jobs are being cancelled",
        is_grave=True,
    ),
    Verb.RETRY_JOBS: Wording(
        "Only the jobs that failed or were cancelled are done again, with all their tries; the others are kept, and the"
        " attempt goes on.",
        "goes on: its failed jobs are done again",
    ),
}
PROCESSING_WORDING = {
    ProcessingVerb.ACTIVATE: Wording("Release, graph and base are frozen; all windows open.", "is active"),
    ProcessingVerb.PUBLISH: Wording("All its constants go into the tag in one step, all or nothing.", "is published"),
    ProcessingVerb.HOLD: Wording("Jobs that run go on; nothing new starts.", "is held"),
    ProcessingVerb.RELEASE: Wording("Everything that became due meanwhile is done now.", "goes on"),
    ProcessingVerb.TAKE_OVER: Wording("What it asks of its manager is asked of you from now on.", "is yours"),
    ProcessingVerb.CANCEL: Wording("Its jobs are cancelled and nothing is published.", "is cancelled", is_grave=True),
}
EXTEND_ALL = "extend"
EXTEND_WORDING = Wording("All calibrations that are open now may be changed for longer.", "has longer windows")
VETO_SUBSYSTEM = "veto"
VETO_WORDING = Wording(
    "Every calibration of the subsystem is left out: their jobs are cancelled, and others go on with the constants that"
    " stand in for theirs.",
    "goes on without it",
    is_grave=True,
)


def carry_out(db: Session, number: int, verb: Verb, act: Act, form: Form) -> None:
    """Do what a form asks for.

    Raises:
        B2calError: what the verb raises, or a form that lacks what the verb needs.
    """
    match verb:
        case Verb.REASSIGN:
            loop.reassign(db, number, form.get("expert", ""), act)
        case Verb.NAME_DEPUTY:
            loop.name_deputy(db, number, form.get("deputy") or None, act)
        case Verb.EXTEND:
            loop.extend(db, number, _hours(form), act)
        case Verb.VETO:
            loop.veto(db, number, act, form.get("fallback") or None)
        case Verb.SELECT:
            loop.select_data(db, number, selection(form), act)
        case _:
            _PLAIN[verb](db, number, act)


def carry_out_on_processing(db: Session, number: int, verb: ProcessingVerb, act: Act, form: Form) -> None:
    """The same for a processing."""
    if verb is ProcessingVerb.PUBLISH:
        loop.publish(db, number, act, form.get("previewed", ""))
    else:
        _ON_PROCESSING[verb](db, number, act)


def carry_out_on_many(db: Session, view: loop.ProcessingView, verb: str, act: Act, form: Form) -> None:
    """Extend every window that is open, or veto the subsystem that the form names.

    Raises:
        B2calError: what is in the way of it, what the verb raises, or a form that lacks what it needs.
    """
    refusal = in_the_way_of_many(db, view, verb, act.by.username)
    if refusal is not None:
        raise refusal
    if verb == EXTEND_ALL:
        _extend_all(db, view, act, form)
    else:
        _veto_subsystem(db, view, act, form)


def in_the_way_of_many(db: Session, view: loop.ProcessingView, verb: str, username: str) -> B2calError | None:
    """Why this person cannot extend or veto several calibrations at once; None where nothing is in the way."""
    try:
        loop.manager(db, username)
    except loop.NotAllowed as refusal:
        return refusal
    over = loop.nothing_changes(view.processing)
    if over is not None:
        return over
    name = view.processing.name
    if verb == EXTEND_ALL and not any(it.state is State.OPEN for it in view.calibrations.values()):
        return loop.Conflict(f"No calibration of {name} is open.", hint="Only what is open has a window to extend.")
    if verb == VETO_SUBSYSTEM and not loop.subsystems(view):
        return loop.Conflict(
            f"{name} has no subsystem that could be vetoed: its scripts name none, or all of them are vetoed.",
            hint="Veto calibrations one by one, on their pages.",
        )
    return None


def default_filters(it: Calibration) -> dict[str, list[str]]:
    """The filters that count if nobody says otherwise, for each data name."""
    filters = loop.selection_by_default(it).get("filters", {})
    return {name: list(filters.get(name, ())) for name in sorted(it.definition.settings["input_data_names"])}


def selection(form: Form) -> dict[str, Any]:
    """The selection that the fields `filters.<data name>`, `exclude` and `only` describe, lists with commas."""
    chosen: dict[str, Any] = {
        "filters": {
            name.removeprefix("filters."): listed(text) for name, text in form.items() if name.startswith("filters.")
        }
    }
    for key in ("exclude", "only"):
        if runs := listed(form.get(key, "")):
            chosen[key] = runs
    return chosen


def request_key(verb: str, number: int, username: str, form: Form) -> str:
    """One key for all sendings of one form: the same person, verb and contents, the version seen among them.

    Who fills in the same form differently in a second window is told what the first has done.
    """
    contents = {name: text for name, text in form.items() if name != "csrf_token"}
    return f"{verb}:{number}:{username}:{digest(contents)[:32]}"


class NotAForm(B2calError):
    """A form lacks what its verb needs."""


def seen_version(form: Form) -> int:
    """The version that stood in the form.

    Raises:
        NotAForm: it has none.
    """
    seen = form.get("seen", "")
    if not (seen.isdecimal() and len(seen) < 19):
        raise NotAForm("The form does not say what was seen.", hint="Load the page again and send it again.")
    return int(seen)


def _extend_all(db: Session, view: loop.ProcessingView, act: Act, form: Form) -> None:
    hours = _hours(form)
    for it in view.calibrations.values():
        if it.state is State.OPEN:
            # Extending does not change the processing's version: the form brings what tells it from the next one.
            key = act.key_for(form.get("once", ""), it.id)
            loop.extend(db, it.id, hours, Act(act.by, it.version, act.reason, key))


def _veto_subsystem(db: Session, view: loop.ProcessingView, act: Act, form: Form) -> None:
    once = Act(act.by, act.seen, act.reason, act.key_for(form.get("once", "")))
    loop.veto_subsystem(db, view.processing.id, form.get("subsystem", ""), once, form.get("fallback") or None)


def _hours(form: Form) -> float:
    try:
        return float(form.get("hours", ""))
    except ValueError:
        raise loop.InvalidChoice(
            f"{form.get('hours', '')!r} is no number of hours.", hint="Write for instance 12 or 0.5."
        ) from None


_PLAIN: dict[Verb, Callable[[Session, int, Act], object]] = {
    Verb.WITHDRAW: loop.withdraw,
    Verb.SIGN_OFF: loop.sign_off,
    Verb.REJECT: loop.reject,
    Verb.RESTART: loop.restart,
    Verb.LIFT: loop.lift,
    Verb.KEEP: loop.keep,
    Verb.GO_ON: loop.go_on,
    Verb.CANCEL_JOBS: loop.cancel_jobs,
    Verb.RETRY_JOBS: loop.retry_jobs,
}
_ON_PROCESSING: dict[ProcessingVerb, Callable[[Session, int, Act], object]] = {
    ProcessingVerb.HOLD: loop.hold,
    ProcessingVerb.RELEASE: loop.release,
    ProcessingVerb.CANCEL: loop.cancel,
    ProcessingVerb.TAKE_OVER: loop.take_over,
}
