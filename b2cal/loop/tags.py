"""What a manager does to a global tag by hand; each act leaves a decision, like everything that changes something."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from b2cal import conditions
from b2cal.conditions import Change, Entry
from b2cal.model import GlobalTag, Role, TagState, now

from .errors import Conflict, NotAllowed
from .publication import tag_changed, wake_tag
from .transition import Act, decided, refuse_repetition


class TagVerb(StrEnum):
    """What can be done to a global tag beside publishing a processing to it."""

    CREATE = "create"
    ADD = "add"
    COPY = "copy"
    SET_STATE = "set_state"


def create_tag(db: Session, name: str, act: Act) -> GlobalTag:
    """Make an empty tag.

    Raises:
        TagRefused: there is one of this name already, or the name cannot be one.
        NotAllowed, Repeated: as in `transition`.
    """
    _refuse_others(db, act)
    tag = db.get_one(GlobalTag, conditions.create_tag(db, name))
    _keep_decision(db, tag, TagVerb.CREATE, act, tag.state)
    tag_changed(db, tag)
    return tag


def add_to_tag(db: Session, tag: GlobalTag, entries: Iterable[Entry], act: Act) -> list[Change]:
    """Put curated payloads into a tag: a first base, or what a subsystem gives.

    Raises:
        PublicationRefused: something that is published already would have to change.
        NotAllowed, Conflict, Repeated: as in `transition`.
    """
    _refuse_others(db, act, tag)
    added = list(entries)
    changes = conditions.publish(db, tag.id, added)
    put = [[entry.name, str(entry.iov), entry.identity] for entry in added]
    _keep_decision(db, tag, TagVerb.ADD, act, tag.state, payloads=put)
    tag_changed(db, tag)
    return changes


def copy_tag(db: Session, source: GlobalTag, name: str, act: Act) -> GlobalTag:
    """Make an open tag that holds what another holds now: the way on for later runs from one that is final.

    Raises:
        TagRefused: there is one of this name already, or the name cannot be one.
        NotAllowed, Conflict, Repeated: as in `transition`.
    """
    _refuse_others(db, act, source)
    tag = db.get_one(GlobalTag, conditions.create_tag(db, name))
    conditions.publish(db, tag.id, conditions.tag_entries(db, source.id))
    _keep_decision(db, tag, TagVerb.COPY, act, tag.state, origin=source.name)
    tag_changed(db, tag)
    return tag


def set_tag_state(db: Session, tag: GlobalTag, state: TagState, act: Act) -> None:
    """Change the state of a tag; nothing is decided where it is in it already.

    Raises:
        TagRefused: the rules of the conditions database do not allow it; says what they do allow.
        NotAllowed, Conflict, Repeated: as in `transition`.
    """
    _refuse_others(db, act, tag)
    before = tag.state
    conditions.set_tag_state(db, tag.id, state)
    if state is not before:
        _keep_decision(db, tag, TagVerb.SET_STATE, act, before)
        wake_tag(db, tag.id)


def _refuse_others(db: Session, act: Act, tag: GlobalTag | None = None) -> None:
    refuse_repetition(db, act)
    if act.by.role is not Role.MANAGER:
        raise NotAllowed(f"Global tags are not for the {act.by.role.value}.", hint="Ask a manager.")
    if tag is not None and tag.version != act.seen:
        raise Conflict(f"The tag {tag.name} was changed by somebody else meanwhile.", hint="Look at it again.")


def _keep_decision(db: Session, tag: GlobalTag, verb: TagVerb, act: Act, before: TagState, **facts: Any) -> None:
    decision = decided(act, now(db), verb, before, tag.state)
    decision.tag_id, decision.details = tag.id, facts
    db.add(decision)
    db.flush()
