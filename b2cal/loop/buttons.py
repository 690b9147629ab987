"""What a person may do now, from the rules: for pages, API and CLI."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from b2cal.model import Calibration, Person, Processing, Role

from .actors import Actor
from .obstacles import in_the_way, processing_obstacle
from .rules import PROCESSING_RULES, RULES, ProcessingVerb, Reason, Verb
from .view import ProcessingView


@dataclass(frozen=True)
class Button:
    """A verb that may be pressed, with its label."""

    verb: Verb | ProcessingVerb
    label: str
    needs_reason: bool


def buttons(view: ProcessingView, calibration: Calibration, username: str) -> Sequence[Button]:
    """All that this person could do to a calibration as it stands; nothing for those without a part in it."""
    return [
        Button(rule.verb, rule.label, rule.reason is Reason.NEEDED)
        for rule in RULES
        if calibration.state in rule.at and in_the_way(view, calibration, rule.verb, username) is None
    ]


def processing_buttons(db: Session, processing: Processing, username: str) -> Sequence[Button]:
    """The same for a processing, which is reopened only by what happens in it."""
    someone = db.get(Person, username)
    if someone is None or someone.role is not Role.MANAGER:
        return ()
    by = Actor(username, Role.MANAGER)
    return [
        Button(rule.verb, rule.label, rule.reason is Reason.NEEDED)
        for rule in PROCESSING_RULES
        if rule.verb is not ProcessingVerb.REOPEN and processing_obstacle(processing, rule.verb, by) is None
    ]
