"""What stands in the way of a verb: the same answer for whoever tries it and for pages that say so before."""

from collections.abc import Set as AbstractSet

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal.conditions import way_to_correct
from b2cal.core.errors import B2calError
from b2cal.model import Calibration, Decision, Kind, Processing, ProcessingState, Role

from .actors import Actor, actor, manager
from .errors import Conflict, NotAllowed
from .expiry import of_expiry
from .rounds import retry_obstacle
from .rules import GOING, ProcessingVerb, Verb, processing_rule, rule_at, rules_for
from .view import Freshness, ProcessingView
from .words import states_in_words

_WAY_ON = {
    ProcessingState.PLANNED: "Its calibrations come into being when it is activated.",
    ProcessingState.PUBLISHED: f"Later runs go into another processing. {way_to_correct('ITS_TAG')}",
    ProcessingState.CANCELLED: "Nothing of it is published: calibrate its runs in another processing.",
}


def in_the_way(view: ProcessingView, calibration: Calibration, verb: Verb, username: str) -> B2calError | None:
    """Why this person cannot do this to a calibration as it stands, with what helps; None where nothing is."""
    try:
        role = actor(view.db, username, calibration).role
    except NotAllowed as refusal:
        return refusal
    return (
        obstacle(view.db, calibration, verb, role)
        or of_freshness(view, calibration.name, verb)
        or of_expiry(view, calibration, verb)
    )


def in_the_way_of_processing(
    db: Session, processing: Processing, verb: ProcessingVerb, username: str
) -> B2calError | None:
    """The same for a processing."""
    try:
        return processing_obstacle(processing, verb, manager(db, username))
    except NotAllowed as refusal:
        return refusal


def obstacle(db: Session, calibration: Calibration, verb: Verb, role: Role) -> Conflict | NotAllowed | None:
    """What the rules have against it: the processing, the kind, the role or the state; or its jobs."""
    over = nothing_changes(calibration.processing)
    if over is not None:
        return over
    rules = rules_for(verb)
    label, anybody = rules[0].label, frozenset[Role]().union(*(rule.who for rule in rules))
    if role not in anybody:
        return NotAllowed(f"The {role.value} may not {label.lower()}.", hint=f"It is for: {_listed(anybody)}.")
    rule = rule_at(verb, calibration.state)
    if rule is None:
        return as_it_stands(db, calibration, verb)
    if calibration.kind not in rule.kinds:
        return Conflict(
            f"{calibration.name} is of the kind {calibration.kind.value}: {label.lower()} has no meaning for it.",
            hint=f"It is for the kinds: {_listed(rule.kinds)}.",
        )
    if role not in rule.who:
        return NotAllowed(
            f"The {role.value} may not {label.lower()} while {calibration.name} is {calibration.state.word}.",
            hint=f"It is for: {_listed(rule.who)}.",
        )
    return retry_obstacle(db, calibration) if verb is Verb.RETRY_JOBS else None


def processing_obstacle(processing: Processing, verb: ProcessingVerb, by: Actor) -> Conflict | NotAllowed | None:
    """The same for a processing; hold and release exclude each other, and nobody takes over what is theirs."""
    rule, name = processing_rule(verb), processing.name
    if by.role not in rule.who:
        return NotAllowed(
            f"The {by.role.value} may not {rule.label.lower()} it.", hint=f"It is for: {_listed(rule.who)}."
        )
    if processing.state not in rule.at:
        return Conflict(
            f"{name} is {processing.state.value}: {rule.label.lower()} is not possible.",
            hint=f'"{rule.label}" is possible while it is {states_in_words(rule.at)}.',
        )
    if verb is ProcessingVerb.HOLD and processing.held:
        return Conflict(f"{name} is held already.", hint="Release it when it may go on.")
    if verb is ProcessingVerb.RELEASE and not processing.held:
        return Conflict(f"{name} is not held.", hint="It goes on by itself: nothing is to be done.")
    if verb is ProcessingVerb.TAKE_OVER and processing.manager == by.username:
        return Conflict(f"{name} is yours already.", hint="Nothing is to be done.")
    return None


def nothing_changes(processing: Processing) -> Conflict | None:
    """What to tell who wants to change something in a processing that is not going on."""
    if processing.state in GOING:
        return None
    return Conflict(
        f"{processing.name} is {processing.state.value}: nothing in it can be changed.", hint=_WAY_ON[processing.state]
    )


def as_it_stands(db: Session, calibration: Calibration, verb: Verb) -> Conflict:
    """The refusal of a verb that does not fit to how a calibration stands now; says who did what to it last."""
    latest = db.scalar(
        select(Decision).where(Decision.calibration_id == calibration.id).order_by(Decision.id.desc()).limit(1)
    )
    done = (
        f"; the last that happened: {latest.verb.replace('_', ' ')} by {latest.actor} at {latest.at:%H:%M:%S} UTC"
        if latest
        else ""
    )
    rules = rules_for(verb)
    states = states_in_words({state for rule in rules for state in rule.at})
    return Conflict(
        f"{calibration.name} is {calibration.state.word} now{done}.",
        hint=f'"{rules[0].label}" is possible while it is {states}. Look at it again.',
    )


def of_freshness(view: ProcessingView, name: str, verb: Verb) -> Conflict | None:
    """What to tell who would do something that cannot be done to constants which stand as these do; else None."""
    standing = view.standing(name)
    match verb, standing.freshness:
        case Verb.KEEP, Freshness.FRESH:
            return Conflict(f"{name} is fresh: nothing that it read has changed.", hint="Nothing is to be done.")
        case Verb.KEEP, Freshness.IN_DOUBT:
            return Conflict(
                f"{name} is in doubt: {standing.because} is being done again.",
                hint="Wait until that has ended; keep it then, if it is stale.",
            )
        case Verb.REPLACE, Freshness.IN_DOUBT:  # what it would be judged with is not known yet
            return Conflict(
                f"{name} cannot be replaced now: {standing.because} upstream of it is being done again.",
                hint="Replace it when that has ended.",
            )
        case Verb.RETRY_JOBS, Freshness.IN_DOUBT | Freshness.STALE:
            return Conflict(
                f"What jobs of {name} have read is {standing.freshness}: {standing.because} changed or is done again.",
                hint="Wait: if it has changed, all is done again by itself when that has ended.",
            )
        case Verb.SIGN_OFF, Freshness.IN_DOUBT | Freshness.STALE:
            return Conflict(
                f"What {name} read is {standing.freshness}: {standing.because} changed or is done again.",
                hint="Wait: it is done again by itself when that has ended.",
            )
        case _:
            return None


def refuse_by_freshness(view: ProcessingView, name: str, verb: Verb) -> None:
    """See that something can be done to constants which stand as these do.

    Raises:
        Conflict: it cannot.
    """
    refusal = of_freshness(view, name, verb)
    if refusal is not None:
        raise refusal


def _listed(names: AbstractSet[Role] | AbstractSet[Kind]) -> str:
    return ", ".join(sorted(names))
