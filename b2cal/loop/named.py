"""Find what people call by name; who is not found is told what there is."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import releases
from b2cal.model import Person, Release, Role

from .errors import NotAllowed, NotFound

_NAMED = 5


def person_named(db: Session, username: str) -> Person:
    """The person of this login name.

    Raises:
        NotFound: nobody has it.
    """
    found = db.get(Person, username)
    if found is None:
        known = _listed(db.scalars(select(Person.username).order_by(Person.username).limit(_NAMED + 1)).all())
        raise NotFound(
            f"Nobody is known as {username}.", hint=f"`b2cal person add` adds people; known: {known or 'nobody yet'}."
        )
    return found


def acting(db: Session, username: str) -> Person:
    """The person who wants to do something; a refusal says how to act as somebody else.

    Raises:
        NotFound: nobody has that name.
        NotAllowed: who has it was removed, or never got a password.
    """
    someone = db.get(Person, username)
    if someone is None:
        raise NotFound(f"Nobody is known as {username}.", hint=f"{_others(db)} `b2cal person add` adds people.")
    if not someone.password_hash:
        raise NotAllowed(
            f"{someone.full_name} has no password, and so may not act.",
            hint=f"{_others(db)} `b2cal person add {username}` gives a password.",
        )
    return someone


def _others(db: Session) -> str:
    """Who may act, as a hint for somebody who acts under the wrong name."""
    able = select(Person.username).where(Person.password_hash != "").order_by(Person.role.desc(), Person.username)
    known = db.scalars(able.limit(_NAMED + 1)).all()
    if not known:
        return "Nobody may act yet."
    return f"To act as somebody else: `b2cal --as {known[0]} ...`; known: {_listed(known)}."


def _listed(usernames: Sequence[str]) -> str:
    return ", ".join(usernames[:_NAMED]) + (", ..." if len(usernames) > _NAMED else "")


def without_password(db: Session) -> set[str]:
    """Login names of those who cannot log in, such as experts that only a release has named so far."""
    return set(db.scalars(select(Person.username).where(Person.password_hash == "")))


def managers(db: Session) -> set[str]:
    """Login names of those who can log in and decide as managers."""
    rows = select(Person.username).where(Person.role == Role.MANAGER, Person.password_hash != "")
    return set(db.scalars(rows))


def release_named(db: Session, name: str) -> Release:
    """The release of this name that was added last.

    Raises:
        NotFound: there is none.
    """
    found = releases.newest(db, name)
    if found is None:
        known = ", ".join(db.scalars(select(Release.name).distinct())) or "none yet"
        raise NotFound(f"There is no release {name}.", hint=f"`b2cal release add FOLDER` adds one; known: {known}.")
    return found
