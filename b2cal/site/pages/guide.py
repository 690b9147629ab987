"""Help: what the words and marks of the pages mean, and who may do what. All of it comes from the tables of `loop`."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, render_template

from b2cal import loop
from b2cal.loop import ProcessingRule, Rule, Verb
from b2cal.model import Role, State
from b2cal.site import acts

pages = Blueprint("guide", __name__)


@dataclass(frozen=True)
class Right:
    """What people may do, as the page tells it."""

    label: str
    effect: str
    at: str
    people: tuple[str, ...]
    by_itself: bool
    needs_reason: bool


@pages.get("/help")
def page() -> str:
    return render_template(
        "help.html",
        states=loop.STATE_MEANINGS,
        processing_states=loop.PROCESSING_MEANINGS,
        freshness=loop.FRESHNESS_MEANINGS,
        rights=[*_rights_on_calibrations()],
        processing_rights=[*_rights_on_processings()],
    )


def _rights_on_calibrations() -> Iterator[Right]:
    for rule in loop.RULES:
        if rule.verb is Verb.SUBMIT:  # it has a page of its own, which says more than one sentence
            yield _right(rule, loop.STATE_MEANINGS[State.SUBMITTED])
        elif rule.verb in acts.WORDING:
            yield _right(rule, acts.WORDING[rule.verb].effect)


def _rights_on_processings() -> Iterator[Right]:
    for rule in loop.PROCESSING_RULES:
        if rule.verb in acts.PROCESSING_WORDING:
            yield _right(rule, acts.PROCESSING_WORDING[rule.verb].effect)


def _right(rule: Rule | ProcessingRule, effect: str) -> Right:
    return Right(
        rule.label,
        effect,
        loop.states_in_words(rule.at),
        tuple(role.value for role in Role if role in rule.who and role is not Role.LOOP),
        Role.LOOP in rule.who,
        rule.reason is loop.Reason.NEEDED,
    )
