"""Find what people call by name; who is not found is told what there is."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from b2cal import releases
from b2cal.model import Person, Release

from .errors import NotFound


def person_named(db: Session, username: str) -> Person:
    """The person of this login name.

    Raises:
        NotFound: nobody has it.
    """
    found = db.get(Person, username)
    if found is None:
        raise NotFound(f"Nobody is known as {username}.", hint="`b2cal person add` adds people; check the spelling.")
    return found


def without_password(db: Session) -> set[str]:
    """Login names of those who cannot log in, such as experts that only a release has named so far."""
    return set(db.scalars(select(Person.username).where(Person.password_hash == "")))


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
