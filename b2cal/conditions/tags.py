"""Global tags: their states and what stands in them. A tag's version row is the lock under which IoVs change."""

import re
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from b2cal.core.errors import B2calError
from b2cal.core.iov import IoV
from b2cal.model import GlobalTag, Payload, TagIov, TagState, now

from .entries import Entry

MAY_BECOME: dict[TagState, frozenset[TagState]] = {
    TagState.OPEN: frozenset({TagState.TESTING, TagState.RUNNING}),
    TagState.TESTING: frozenset({TagState.VALIDATED, TagState.OPEN}),
    TagState.VALIDATED: frozenset({TagState.PUBLISHED, TagState.OPEN}),
    TagState.PUBLISHED: frozenset(),
    TagState.RUNNING: frozenset(),
    TagState.INVALID: frozenset(),
}
"""The rules of the Belle II conditions database. Its rules for invalid are not known to b2cal: nothing leads there."""

_PUBLISHING = {
    TagState.OPEN: "Processings may publish into it.",
    TagState.RUNNING: "Processings may publish into it for later runs only: it grows forwards.",
}

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)


class TagRefused(B2calError):
    """A global tag cannot be made, or cannot become what was asked for."""


class UnknownTag(B2calError):
    """There is no global tag of this name."""


def create_tag(db: Session, name: str, state: TagState = TagState.OPEN) -> int:
    """Make an empty global tag and give its id.

    Raises:
        TagRefused: there is one of this name already, or the name cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise TagRefused(
            f"{name!r} cannot be the name of a global tag.",
            hint="Use up to 64 letters, digits, '_', '-' and '.', beginning with a letter or digit.",
        )
    if db.scalar(select(GlobalTag.id).where(GlobalTag.name == name)) is not None:
        raise TagRefused(f"There is already a global tag {name}.", hint="Take another name, or use that tag.")
    tag = GlobalTag(name=name, state=state, version=1, created_at=now(db))
    db.add(tag)
    db.flush()
    return tag.id


def tag_named(db: Session, name: str) -> GlobalTag:
    """The tag of a name.

    Raises:
        UnknownTag: there is none.
    """
    tag = db.scalar(select(GlobalTag).where(GlobalTag.name == name))
    if tag is None:
        raise UnknownTag(f"There is no global tag {name}.", hint="See the tags with: b2cal tag show")
    return tag


def takes_payloads(tag: GlobalTag) -> bool:
    """Whether anything can be published into a tag in its state."""
    return tag.state in _PUBLISHING


def way_to_correct(name: str) -> str:
    """Where constants go that correct those of a tag: what it has for a run it keeps, and a copy has it too."""
    return f"Corrections go into an empty tag: calibrate into it with `--base {name}`."


def way_on(tag: GlobalTag) -> str:
    """What helps whoever was refused by a tag as it stands."""
    if takes_payloads(tag):
        return f"Later runs go into {tag.name} itself. {way_to_correct(tag.name)}"
    if TagState.OPEN in MAY_BECOME[tag.state]:
        return f"Open it again with `b2cal tag set-state {tag.name} open`."
    later = f"That is final. Later runs go into a copy, which is open: `b2cal tag copy {tag.name} NEW`."
    return f"{later} {way_to_correct(tag.name)}"


def state_change(tag: GlobalTag, state: TagState) -> str:
    """What another state means for a tag, for whoever is about to change it; empty if the tag is in it already.

    Raises:
        TagRefused: the rules do not allow it; says what they do allow.
    """
    if tag.state is state:
        return ""
    _refuse_forbidden(tag, state)
    ways = " or ".join(sorted(MAY_BECOME[state]))
    publishing = _PUBLISHING.get(state, "No processing can publish into it.")
    onwards = f"From there it may become {ways}." if ways else "That is final: it can never be changed again."
    return f"The tag {tag.name} is {tag.state} and becomes {state}. {publishing} {onwards}"


def set_tag_state(db: Session, tag_id: int, state: TagState) -> None:
    """Change the state of a tag; a tag that is in it already stays as it is.

    Raises:
        TagRefused: the rules do not allow it; says what they do allow.
    """
    tag = locked(db, tag_id)
    if tag.state is state:
        return
    _refuse_forbidden(tag, state)
    tag.state = state
    tag.version += 1


def _refuse_forbidden(tag: GlobalTag, state: TagState) -> None:
    allowed = MAY_BECOME[tag.state]
    if state not in allowed:
        choices = " or ".join(sorted(allowed)) or "nothing else any more"
        copy = f"Go on with a copy, which is open: `b2cal tag copy {tag.name} NEW`. {way_to_correct(tag.name)}"
        raise TagRefused(
            f"Global tag {tag.name} is {tag.state} and cannot become {state}: it may become {choices}.",
            hint="Go there step by step." if allowed else copy,
        )


def tag_entries(
    db: Session, tag_id: int, names: Collection[str] | None = None, overlapping: IoV | None = None
) -> list[Entry]:
    """What stands in a tag, sorted by name and run: of these payloads only, and sharing runs with `overlapping`."""
    query = (
        select(TagIov.name, TagIov.first, TagIov.last, TagIov.payload_id, Payload.identity)
        .join(Payload, Payload.id == TagIov.payload_id)
        .where(TagIov.tag_id == tag_id)
        .order_by(TagIov.name, TagIov.first)
    )
    if names is not None:
        query = query.where(TagIov.name.in_(names))
    if overlapping is not None:
        query = query.where(TagIov.first <= overlapping.last_number, TagIov.last >= overlapping.first.number)
    return [Entry(*row) for row in db.execute(query)]


def store_payload(db: Session, name: str, identity: str, checksum: str, size_bytes: int) -> int:
    """Make a stored payload known and give its id; the same name and identity always have the same id."""
    known = select(Payload.id).where(Payload.name == name, Payload.identity == identity)
    payload_id = db.scalar(known)
    if payload_id is not None:
        return payload_id
    payload = Payload(name=name, identity=identity, checksum=checksum, size_bytes=size_bytes, created_at=now(db))
    try:
        with db.begin_nested():
            db.add(payload)
        return payload.id
    except IntegrityError:  # another transaction was first, between the question and the insertion
        return db.scalars(known).one()


def locked(db: Session, tag_id: int) -> GlobalTag:
    """The tag's row, as it is now, locked until the end of the transaction (SQLite: the whole database is)."""
    query = select(GlobalTag).where(GlobalTag.id == tag_id).with_for_update().execution_options(populate_existing=True)
    return db.scalars(query).one()
