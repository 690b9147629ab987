"""What a person may do now, from the rules: for pages, API and CLI."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from b2cal.model import Calibration, Person, Processing, Role

from .actors import actor
from .errors import NotAllowed
from .rules import GOING, PROCESSING_RULES, RULES, ProcessingVerb, Reason, Verb
from .view import Freshness, ProcessingView


@dataclass(frozen=True)
class Button:
    """A verb that may be pressed, with its label."""

    verb: Verb | ProcessingVerb
    label: str
    needs_reason: bool


def buttons(db: Session, calibration: Calibration, username: str) -> Sequence[Button]:
    """All that this person could do to a calibration as it stands; nothing for those without a part in it."""
    try:
        role = actor(db, username, calibration).role
    except NotAllowed:
        return ()
    if calibration.processing.state not in GOING:
        return ()
    possible = [
        rule for rule in RULES if calibration.state in rule.at and role in rule.who and calibration.kind in rule.kinds
    ]
    return [
        Button(rule.verb, rule.label, rule.reason is Reason.NEEDED)
        for rule in possible
        if rule.verb is not Verb.KEEP or _is_stale(db, calibration)
    ]


def processing_buttons(db: Session, processing: Processing, username: str) -> Sequence[Button]:
    """The same for a processing; hold and release exclude each other, and nobody takes over what is theirs."""
    someone = db.get(Person, username)
    if someone is None or someone.role is not Role.MANAGER:
        return ()
    senseless = {ProcessingVerb.REOPEN, ProcessingVerb.HOLD if processing.held else ProcessingVerb.RELEASE}
    if processing.manager == username:
        senseless.add(ProcessingVerb.TAKE_OVER)
    return [
        Button(rule.verb, rule.label, rule.reason is Reason.NEEDED)
        for rule in PROCESSING_RULES
        if processing.state in rule.at and Role.MANAGER in rule.who and rule.verb not in senseless
    ]


def _is_stale(db: Session, calibration: Calibration) -> bool:
    return ProcessingView(db, calibration.processing_id).standing(calibration.name).freshness is Freshness.STALE
